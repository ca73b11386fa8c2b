"""The outputs of a tile that all passes run over."""

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np

from ...jit.machine import VECTOR_BYTES
from ...jit.parallel import available
from ...problem.canonical import Problem
from .. import tuning
from ..tiling.layout import round_up, window_length
from .axis_sums import sum_cycles, sums_of_factors
from .factors import Structure

_TILES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 1024, 16384)
_ROWS = 8  # that a register tile computes at once
_BLOCK_VECTORS = 16  # of a line that a register tile computes at once, at most
#: Windows, as `Tuning.window_bytes` counts them, between two passes at most; and the work of a tile with more than one.
_MOST_WINDOWS, _BEYOND = 8, 1.08
_LINE_CYCLES = 200.0  #: of a line of a tile's window
_APART_CYCLES = 1000.0  #: of a run of lines that follow each other in x: its first samples wait for memory


def size_of(problem: Problem, a: int, tiles: int) -> int:
    """Return the outputs of a tile along an axis of about so many: whole blocks of the last one."""
    outputs = problem.axes[a].outputs
    size = -(-outputs // tiles)
    if a < len(problem.axes) - 1:
        return size
    return min(outputs, round_up(size, _BLOCK_VECTORS * VECTOR_BYTES // np.dtype(problem.working).itemsize))


def share_inside(problem: Problem, shape: Sequence[int]) -> float:
    """Return the share of outputs in tiles of a shape whose windows lie inside x."""
    return prod(
        max(0.0, 1 - 2 * n / axis.outputs)
        for axis, n in zip(problem.axes, shape, strict=True)
        if axis.before > 0 or axis.after > 0
    )


def tile_shape(problem: Problem, factors: Structure) -> tuple[int, ...]:
    """Return the outputs of a tile along each axis: the least work whose windows stay in the caches."""
    item, last = np.dtype(problem.working).itemsize, len(problem.axes) - 1
    lanes = VECTOR_BYTES // item
    line = _BLOCK_VECTORS * lanes
    choices = [sorted({size_of(problem, a, tiles) for tiles in _TILES}, reverse=True) for a in range(last + 1)]
    summed, whole_lines = sums_of_factors(problem, factors), tuple(axis.outputs for axis in problem.axes[1:])

    def cost(shape: tuple[int, ...]) -> tuple[bool, float]:
        lengths = [window_length(axis, n) for axis, n in zip(problem.axes, shape, strict=True)]
        lengths_of, windows, between = {-1: lengths}, [prod(lengths)], 0
        # Every window waits for memory, but for rows that a strip of whole lines shares with the one before. Those at
        # an end are gathered, and all of them where none is read in place.
        inside = share_inside(problem, shape)
        in_place = problem.reads_inside and inside > 0 and summed[0] is None
        in_order = in_place or (summed[0] is not None and not summed[0].is_moving)  # a few rows at a time are in use
        is_strip = shape[1:] == whole_lines
        work = tuning.TUNING.inside_cycles * prod(lengths[1:]) * (shape[0] if is_strip else lengths[0])
        work += tuning.TUNING.gather_cycles * prod(lengths) * (1 - inside if in_place else 1)
        cut = max([a for a in range(1, last + 1) if shape[a] < problem.axes[a].outputs], default=0)
        work += _LINE_CYCLES * prod(lengths[:-1]) + _APART_CYCLES * prod(lengths[:cut])
        for p, (along, terms, before, _, (source, _), _) in enumerate(factors):
            lengths = lengths_of[p] = [shape[a] if a in along else n for a, n in enumerate(lengths_of[source])]
            windows.append(terms * prod(lengths))
            if source >= 0:
                between = max(between, windows[source + 1] + windows[-1])
            if (own := summed[p]) is not None:
                work += sum_cycles(own, lengths, problem.axes[own.axis], lanes)
                continue
            lines = prod(round_up(n, _ROWS) if a in along else n for a, n in enumerate(lengths[:-1]))
            vectors = terms * lines * (round_up(lengths[-1], line if last in along else lanes) / lanes + 1)
            taps = before * prod(problem.axes[a].taps for a in along)
            work += vectors * taps * (tuning.TUNING.line_tap_cycles if last in along else tuning.TUNING.row_tap_cycles)
            rows = taps if last in along else taps + _ROWS
            if last not in along and rows * lengths[-1] * item > tuning.TUNING.first_level_bytes:
                work += vectors * tuning.TUNING.second_level_cycles
        tiles = prod(-(-axis.outputs // n) for axis, n in zip(problem.axes, shape, strict=True))
        held = item * max(between, windows[0] / (tuning.TUNING.rolling if in_order else 1)) / tuning.TUNING.window_bytes
        is_dense = all(shape[own.axis] >= problem.axes[own.axis].dilation for own in summed if own)
        work, fits = work * _BEYOND if held > 1 else work, held <= _MOST_WINDOWS and is_dense
        rounds = -(-tiles // available()) if tiles * work > tuning.TUNING.serial_below else tiles
        return not fits, work * rounds if fits else sum(windows)

    return min(product(*choices), key=cost)
