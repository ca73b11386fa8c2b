"""The outputs of a tile that all passes run over."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ...jit.machine import VECTOR_BYTES
from ...jit.parallel import available
from ...problem.canonical import Problem
from .. import tuning
from ..tiling.layout import round_up, window_length
from .axis_sums import sum_cycles, sums_of_factors
from .factors import Structure

_TILES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 1024, 16384)
_MOST_WINDOWS = 12  # of `Tuning.window_bytes` each: what a pass reads and writes takes no more room
_ROWS = 8  # that a register tile computes at once
_BLOCK_VECTORS = 16  # of a line that a register tile computes at once, at most
_LINE_CYCLES = 200.0  #: of a line of a tile's window
_APART_CYCLES = 1000.0  #: of a run of lines that follow each other in x: its first samples wait for memory


def size_of(problem: Problem, a: int, tiles: int) -> int:
    """Return the outputs of a tile along an axis of about so many: whole blocks of the last one."""
    outputs = problem.axes[a].outputs
    size = -(-outputs // tiles)
    if a < len(problem.axes) - 1:
        return size
    return min(outputs, round_up(size, _BLOCK_VECTORS * VECTOR_BYTES // np.dtype(problem.working).itemsize))


def share_inside(problem: Problem, shape: Sequence[Any]) -> Any:
    """Return the share of outputs in tiles of a shape, or of arrays of shapes, whose windows lie inside x."""
    return prod(
        np.maximum(0.0, 1 - 2 * n / axis.outputs)
        for axis, n in zip(problem.axes, shape, strict=True)
        if axis.before > 0 or axis.after > 0
    )


def tile_shape(problem: Problem, factors: Structure) -> tuple[int, ...]:
    """Return the outputs of a tile along each axis: the least work whose windows stay in the caches."""
    axes = range(len(problem.axes))
    choices = [sorted({size_of(problem, a, tiles) for tiles in _TILES}, reverse=True) for a in axes]
    work, fits, room = _estimates(problem, factors, choices)
    place = np.argmin(np.where(fits, work, np.inf) if fits.any() else room)
    return tuple([own[n] for own, n in zip(choices, np.unravel_index(place, work.shape), strict=True)])


def _estimates(problem: Problem, factors: Structure, choices: Sequence[Sequence[int]]) -> tuple[np.ndarray, ...]:
    """Estimate the work of all tiles, whether their windows are small enough, and the room that these take.

    ``choices`` are the outputs that a tile may have along each axis. The estimates are arrays with an axis for each of
    them, and are computed for all shapes at once.
    """
    windows_along = [[window_length(axis, n) for n in own] for axis, own in zip(problem.axes, choices, strict=True)]
    shape, lengths = (list[Any](np.meshgrid(*own, indexing="ij", sparse=True)) for own in (choices, windows_along))
    item, last = np.dtype(problem.working).itemsize, len(problem.axes) - 1
    lanes = VECTOR_BYTES // item
    line = _BLOCK_VECTORS * lanes
    summed, tuned = sums_of_factors(problem, factors), tuning.TUNING
    lengths_of, windows, most = {-1: lengths}, [prod(lengths)], 0
    # Every window waits for memory, but for rows that a strip of whole lines shares with the one before. Those at an
    # end are gathered, and all of them where none is read in place.
    inside = share_inside(problem, shape)
    in_place = (inside > 0) & (problem.reads_inside and summed[0] is None)
    in_order = in_place | (summed[0] is not None and not summed[0].is_moving)  # a few rows at a time are in use
    is_strip = prod([n == axis.outputs for n, axis in zip(shape[1:], problem.axes[1:], strict=True)])
    apart = np.array(1)  # runs of lines that follow each other in x
    for a in range(1, last + 1):
        apart = np.where(shape[a] < problem.axes[a].outputs, prod(lengths[:a]), apart)
    work = tuned.inside_cycles * prod(lengths[1:]) * np.where(is_strip, shape[0], lengths[0])
    work = work + tuned.gather_cycles * prod(lengths) * np.where(in_place, 1 - inside, 1)
    work = work + _LINE_CYCLES * prod(lengths[:-1]) + _APART_CYCLES * apart
    for p, (along, terms, before, _, (source, _), _) in enumerate(factors):
        lengths = lengths_of[p] = [shape[a] if a in along else n for a, n in enumerate(lengths_of[source])]
        windows.append(terms * prod(lengths))
        held = item * (windows[source + 1] + windows[-1]) * (source >= 0 or np.logical_not(in_order))
        work, most = work + tuning.far_cycles(held), np.maximum(most, held)
        if (own := summed[p]) is not None:
            work = work + sum_cycles(own, lengths, problem.axes[own.axis], lanes)
            continue
        lines = prod([round_up(n, _ROWS) if a in along else n for a, n in enumerate(lengths[:-1])])
        vectors = terms * lines * (round_up(lengths[-1], line if last in along else lanes) / lanes + 1)
        taps = before * prod(problem.axes[a].taps for a in along)
        work = work + vectors * taps * (tuned.line_tap_cycles if last in along else tuned.row_tap_cycles)
        rows = taps if last in along else taps + _ROWS
        if last not in along:
            is_far = rows * lengths[-1] * item > tuned.first_level_bytes
            work = work + vectors * tuned.second_level_cycles * is_far
    tiles = prod([-(-axis.outputs // n) for axis, n in zip(problem.axes, shape, strict=True)])
    rounds = np.where(tiles * work > tuned.serial_below, -(-tiles // available()), tiles)
    is_dense = prod([shape[own.axis] >= problem.axes[own.axis].dilation for own in summed if own])
    fits = np.broadcast_to(is_dense * (most <= _MOST_WINDOWS * tuned.window_bytes), work.shape)
    return work * rounds, fits, sum(windows)
