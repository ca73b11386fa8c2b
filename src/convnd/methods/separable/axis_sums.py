"""Passes of sums along one axis: moving sums of equal weights, folded ones of symmetric weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...jit import tables as t
from ...jit.compile import function
from ...jit.intrinsics.axis_sums import folded_sums, moving_sums
from ...jit.intrinsics.transpose import transpose
from ...jit.machine import CACHE_LINE, VECTOR_REGISTERS
from ...jit.transforms.axis_sums import sum_tile
from ...problem.axis import Axis
from ...problem.canonical import Problem
from .. import tuning
from ..tiling.layout import round_up
from ..tiling.tables import Columns, dense_pitches
from ..tiling.taps import Window
from ..tiling.ways import lanes_of
from ..tiling.weights import copies
from .factors import Structure, Symmetry

_VECTORS, _TURNED_VECTORS = 4, 2  # of moving sums at once: of a line, of the lines of a block
_FOLDED_ROWS = (VECTOR_REGISTERS - 2) // 3 // 4 * 4  # at once: each has its sum and two samples in registers
_MOST_SPACING = 16  # of taps: tiles are as long, so that their windows hold all positions
_RESULTS = 4  # blocks of lines of results that wait to be stored
_TURNED_OUTPUTS, _TURNED_EXTENTS = 256, 8  # outputs, and extents of the taps, that folded sums turn at once, at least
_ENDLESS = 2**40  # positions: no result has so many


class AxisSums(NamedTuple):
    """How a factor is summed along its axis: by moving sums where its weights are "equal", else by folded ones."""

    axis: int
    symmetry: Symmetry

    @property
    def is_moving(self) -> bool:
        """Whether the weights are equal."""
        return self.symmetry == "equal"

    def vectors(self, is_last: bool) -> int:
        """Return the vectors that are summed at once, of a line, or of neighbouring lines along the last axis."""
        return (_TURNED_VECTORS if is_last else _VECTORS) if self.is_moving else 1


def sums_of_factors(problem: Problem, factors: Structure) -> list[AxisSums | None]:
    """Return how each factor is summed along an axis, or None where the register tile sums it.

    The tiles have no say in it: it changes results in their last bits. A kernel along one axis alone has no such.
    """
    found, tuned = list[AxisSums | None](), tuning.TUNING
    for along, _, _, symmetry, *_ in factors:
        own = [a for a in along if problem.axes[a].taps > 1]
        axis = problem.axes[own[0] if own else 0]
        if symmetry == "equal" and axis.taps < tuned.summed_taps:
            symmetry = "even"
        least = tuned.summed_taps if symmetry == "equal" else tuned.folded_taps
        is_summed = symmetry != "" and len(own) == 1 and len(factors) > 1 and axis.taps >= least
        is_dense = axis.stride == 1 and axis.dilation <= min(axis.outputs, _MOST_SPACING)
        found.append(AxisSums(own[0], symmetry) if is_summed and is_dense else None)
    return found


def sum_cycles(sums: AxisSums, lengths: Sequence[Any], axis: Axis, lanes: int) -> Any:
    """Estimate the cycles of sums along an axis, of so many outputs along each, or of arrays of such numbers."""
    *lines, length = lengths
    is_last, tuned = sums.axis == len(lines), tuning.TUNING
    block = sums.vectors(is_last) * lanes
    if sums.is_moving:
        cycles, read = tuned.summed_row_cycles if is_last else tuned.summed_line_cycles, axis.extent
    else:
        cycles, read = tuned.folded_cycles + tuned.folded_tap_cycles * axis.taps + tuned.turned_cycles * is_last, 0
    if is_last:
        rows = prod(lines[:-1]) * round_up(lines[-1] if lines else 1, block)
        return cycles * rows / lanes * (length + read)
    vectors, outputs = round_up(length, block) / lanes, lengths[sums.axis]
    summed = outputs + read if sums.is_moving else round_up(outputs, _FOLDED_ROWS)
    return cycles * vectors * prod(lines) / outputs * summed


@dataclass(frozen=True)
class SumPass:
    """A pass of sums along an axis over the windows of tiles, laid out for compiled code as a `TilePass` is."""

    working: str
    sums: AxisSums
    columns: Columns
    window_bytes: int
    results_bytes: int
    pitches: list[int]
    weight_bytes: int

    def pack(self, kernel: np.ndarray, workers: int | None, exponent: int) -> np.ndarray:
        """Return the weights for each group, as `TilePass.pack` does: the one of all taps, or those of half of them."""
        taps = kernel.reshape(len(kernel), -1)
        if self.sums.is_moving:
            weights = taps.mean(axis=1, keepdims=True, dtype=kernel.dtype if kernel.dtype.kind == "i" else np.float64)
        else:
            weights = taps[:, : -(-taps.shape[1] // 2)]
        return copies(weights.astype(self.working), exponent)


def lay_out_sums(problem: Problem, sums: AxisSums, outputs: int, windows: Sequence[Window]) -> SumPass:
    """Lay out the pass that turns the windows of a tile into its outputs, so many along its axis."""
    axes, along, axis = problem.axes, sums.axis, problem.axes[sums.axis]
    item, lanes, last = np.dtype(problem.working).itemsize, lanes_of(problem.working), len(axes) - 1
    lengths, pitches, is_last = [own.length for own in windows], dense_pitches(windows, item), along == last
    vectors = sums.vectors(is_last)
    if sums.is_moving:
        ends, period, weights = axis.taps * vectors * lanes * item, axis.taps, item
        emitted = moving_sums.compile(problem.working, lanes, vectors)
    else:
        ends, period, weights = 0, _ENDLESS, -(-axis.taps // 2) * item
        emitted = folded_sums.compile(problem.working, lanes, _FOLDED_ROWS, sums.symmetry == "odd")
    block, pieces = vectors * lanes, _RESULTS
    if is_last:
        least = outputs if sums.is_moving else max(_TURNED_OUTPUTS, _TURNED_EXTENTS * axis.extent)
        turned = round_up(min(outputs, least), lanes)
        pieces = turned // lanes
        results = block * round_up(turned + axis.extent, lanes) * item + lanes * turned * item
        beyond = block * pitches[-2] if last else 0
    else:
        results, beyond = _RESULTS * outputs * block * item, 0
    columns = {
        t.RUN_TILE: function(sum_tile), t.TILE_FUNCTION: emitted,
        t.TRANSPOSE: transpose.compile(problem.working, lanes) if is_last else 0,
        t.ROW_AXIS: last - 1 if is_last else -1, t.ROWS: block if is_last else 1,
        t.ROW_SPACING: axis.dilation, t.BLOCK: lanes if is_last else block, t.PIECES: pieces,
        t.LANES: lanes, t.SUM_AXIS: along, t.SUM_TAPS: axis.taps, t.SUM_PERIOD: period, t.SUM_ENDS: ends,
        t.WRITES_OUT: problem.stores_inside, t.WEIGHTS_BLOCK: weights, t.BLOCKS: 1,
        t.CHANNEL_PITCH: pitches[0] * lengths[0], t.FRAME: 1,
    }  # fmt: skip
    window_bytes = round_up(pitches[0] * lengths[0] + item * 2 * block + beyond, CACHE_LINE)
    return SumPass(problem.working, sums, columns, window_bytes, ends + results, pitches, weights)
