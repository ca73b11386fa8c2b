"""Sizes and costs that were measured, for how problems are cut and which method runs them.

The tuning is a part of the key of everything that depends on it, so that another one makes nothing that is remembered
wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..jit.machine import ADDS_BESIDE, HAS_NEAR_L3, VECTOR_BYTES
from ..problem.canonical import Problem

#: Cycles in a millisecond of the machine that every estimate was fitted to, by ``benchmarks/choice.py`` (AMD Zen 5 at
#: 3.7 GHz, 2 cores with AVX-512), and the bytes that its memory carries in one.
_CYCLES_PER_MS, _BYTES_PER_MS = 3.7e6, 3.0e7

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)  # compared as an object: a hash of every field would slow down a small call
class Tuning:
    """Sizes and costs that were measured, in one place so that tests can make them small."""

    window_bytes: int = 512 * 1024  #: of a tile's window: it stays in L2 beside its outputs
    rolling: int = 4  #: times that, where x is read in place and once: a few rows of the window at a time are in use
    most_tiles: int = 128  #: shapes of register tiles of more than one row in a process, which keeps 1.1 MiB of each
    line_price: int = 64  #: what starting a line costs, as elements of halo: memory brings long lines by itself
    small_halo: float = 1 / 128  #: share of a window that is read twice, below which a tile need not grow
    gather_cycles: float = 0.4  #: of an element that is gathered, with the array in memory
    gather_line_cycles: float = 80.0  #: of a line that is gathered
    results_bytes: int = 8 * 1024  #: of results that wait to be converted and stored: they stay in L1
    serial_below: float = 300_000.0  #: estimated cycles below which a second thread costs more than it brings
    tasks_per_worker: int = 8  #: so that a slow core does not hold up the others
    inside_cycles: float = 0.8  #: of an element that is read in place, the time it takes from memory
    cached_bytes: int = 2**25  #: of x and the result, beyond which they come from memory
    threads_ms: float = 0.03  #: that a call of more than one thread takes beside its work
    part_cycles: float = 40_000.0  #: that starting the threads takes for each part of a convolution
    far_rows: int = 4  #: and vectors of each, at most, of a register tile that reads in place what comes from memory
    far_gather_cycles: float = 0.07  #: of a byte that is gathered from memory
    scattered_bytes: int = 2**23  #: of a result, beyond which channels that lie far from each other wait for memory
    scattered_cycles: float = 20.0  #: of a vector of such results
    row_tap_cycles: float = 0.75  #: of a vector and a tap of a pass along rows
    line_tap_cycles: float = 1.4  #: of one along lines, whose vectors lie across cache lines
    first_level_bytes: int = 32 * 1024  #: of the rows that a pass uses at once
    second_level_cycles: float = 3.0  #: of a vector whose rows do not fit there
    summed_taps: int = 12 if ADDS_BESIDE else 17  #: of an axis, from which equal weights are moving sums
    summed_line_cycles: float = 6.0  #: of a vector of moving sums along an axis that is not the last
    summed_row_cycles: float = 18.0  #: of one along the last axis
    #: of an axis, from which symmetric weights are folded: half of the multiplications become additions
    folded_taps: int = (13 if VECTOR_BYTES == 64 else 25) if ADDS_BESIDE else 2**30
    folded_cycles: float = 3.0  #: of a vector of folded sums
    folded_tap_cycles: float = 0.65  #: of one and a tap
    turned_cycles: float = 10.0  #: of one along the last axis, whose lines are turned, and back
    slab_cycles: float = 12.0  #: of a complex vector, to and from a slab of a Fourier transform
    product_cycles: float = 4.0  #: of a complex vector times the spectrum's
    near_bytes: int = 768 * 1024  #: of a complex tile, up to which its transforms stay in L2
    far_bytes: float = 24.0 if HAS_NEAR_L3 else 6.0  #: that a core moves in a cycle beyond that
    memory_bytes: int = 56 * 2**20  #: of tiles and spectra that a call may hold
    packed_once: int = 2**22  #: of weights, from which to compare them with the last call's is no gain
    looking_ms: float = 0.14  #: of direct summation, below which another way costs more to find than it saves
    slab_samples: int = 2**22  #: or results, of a slab: arrays of so many are held beside those of the call
    slab_extents: int = 4  #: of a window, that such a slab is at least as long as
    large_adjoint: int = 2**18  #: samples, from which an adjoint's positions outside the array are convolved apart
    adjoint_growth: float = 1.25  #: times the samples, that all its positions are at most then
    small_gradient: int = 2**20  #: products of a gradient that are not worth dividing
    gradient_products: int = 2**29  #: that a thread sums in one go: an interrupt waits for them
    gradient_outputs: int = 1024  #: of a sum, at least: its lanes are added up once
    gradient_cycles: float = 1e8  #: estimated, that a thread takes for sums of spectra: an interrupt waits for it


TUNING = Tuning()  #: the one in use; tests replace it


def remembered(most: int) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Remember up to ``most`` results of a function of its arguments and of the tuning."""

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        @lru_cache(maxsize=most)
        def of_tuning(_: Tuning, *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
            return function(*arguments, **named)

        @wraps(function)
        def of_current(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
            return of_tuning(TUNING, *arguments, **named)  # type: ignore[arg-type]  # all have hashes

        return of_current

    return decorate


def is_far(problem: Problem) -> bool:
    """Return whether x and the result are larger than caches."""
    return problem.moved_bytes > TUNING.cached_bytes


def far_cycles(size: Any) -> Any:
    """Estimate the cycles of reading so many bytes again: those that do not stay in a near cache come from the next.

    ``size`` is one number, or an array of them.
    """
    return np.maximum(0, size - TUNING.near_bytes) / TUNING.far_bytes


def milliseconds(problem: Problem, cycles: float, workers: int, beside: float, times: float, share: float) -> float:
    """Estimate the time of a call whose workers take so many cycles for its tasks.

    The rest is fitted for a method: milliseconds ``beside`` the tasks, the time of an estimated cycle in cycles, and
    the ``share`` of the time in which memory carries x and the result that does not pass behind the tasks.
    """
    beside += TUNING.threads_ms if workers > 1 else 0
    return beside + times * cycles / _CYCLES_PER_MS + share * problem.moved_bytes / _BYTES_PER_MS
