"""Passes of moving sums: those of a factor whose weights are all the same, along one axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ...jit import tables as t
from ...jit.compile import function
from ...jit.intrinsics.moving_sums import moving_sums
from ...jit.intrinsics.transpose import transpose
from ...jit.machine import CACHE_LINE
from ...jit.transforms.moving_sums import sum_tile
from ...problem.canonical import Problem
from .. import tuning
from ..tiling.layout import round_up
from ..tiling.tables import Columns, dense_pitches
from ..tiling.taps import Window
from ..tiling.ways import lanes_of
from ..tiling.weights import copies
from .factors import Structure

_VECTORS, _TURNED_VECTORS = 4, 2  # at once: of a line, of the lines of a block
_MOST_SPACING = 16  # of taps: tiles are as long, so that their windows hold all positions
_RESULTS = 4  # blocks of lines of results that wait to be stored


def summed_axes(problem: Problem, factors: Structure) -> list[int]:
    """Return the axis along which moving sums compute each factor, or -1 where the register tile does.

    The tiles have no say in it: it changes results in their last bits. A kernel along one axis alone has no such.
    """
    found = []
    for along, _, _, is_constant, *_ in factors:
        own = [a for a in along if problem.axes[a].taps > 1]
        axis = problem.axes[own[0] if own else 0]
        is_summed = is_constant and len(own) == 1 and len(factors) > 1 and axis.taps >= tuning.TUNING.summed_taps
        is_dense = axis.stride == 1 and axis.dilation <= min(axis.outputs, _MOST_SPACING)
        found.append(own[0] if is_summed and is_dense else -1)
    return found


def sum_cycles(lengths: Sequence[float], along: int, extent: int, lanes: int) -> float:
    """Estimate the cycles of moving sums along an axis, of so many outputs along each."""
    *lines, length = lengths
    if along == len(lines):
        rows = prod(lines[:-1]) * round_up(int(lines[-1]) if lines else 1, _TURNED_VECTORS * lanes)
        return tuning.TUNING.summed_row_cycles * rows / lanes * (length + extent)
    vectors = round_up(int(length), _VECTORS * lanes) / lanes
    return tuning.TUNING.summed_line_cycles * vectors * prod(lines) * (1 + extent / lengths[along])


@dataclass(frozen=True)
class SumPass:
    """A pass of moving sums over the windows of tiles, laid out for compiled code as a `TilePass` is."""

    working: str
    columns: Columns
    window_bytes: int
    results_bytes: int
    pitches: list[int]
    weight_bytes: int

    def pack(self, kernel: np.ndarray, workers: int | None, exponent: int) -> np.ndarray:
        """Return the one weight of all taps for each group, as `TilePass.pack` does."""
        weight = kernel.mean(dtype=kernel.dtype if kernel.dtype.kind == "i" else np.float64)
        return copies(np.full(len(kernel), weight, self.working), exponent)


def lay_out_sums(problem: Problem, along: int, outputs: int, windows: Sequence[Window]) -> SumPass:
    """Lay out the pass that turns the windows of a tile into its outputs, so many along its axis."""
    axes, axis = problem.axes, problem.axes[along]
    item, lanes, last = np.dtype(problem.working).itemsize, lanes_of(problem.working), len(axes) - 1
    lengths, pitches = [own.length for own in windows], dense_pitches(windows, item)
    vectors = _TURNED_VECTORS if along == last else _VECTORS
    block = vectors * lanes
    ends = axis.taps * block * item
    if along == last:
        results = block * round_up(lengths[-1], lanes) * item + lanes * round_up(outputs, lanes) * item
        beyond = block * pitches[-2] if last else 0
    else:
        results, beyond = _RESULTS * outputs * block * item, 0
    columns = {
        t.RUN_TILE: function(sum_tile), t.TILE_FUNCTION: moving_sums.compile(problem.working, lanes, vectors),
        t.TRANSPOSE: transpose.compile(problem.working, lanes) if along == last else 0,
        t.ROW_AXIS: last - 1 if along == last else -1, t.ROWS: block if along == last else 1,
        t.ROW_SPACING: axis.dilation, t.BLOCK: lanes if along == last else block, t.PIECES: _RESULTS,
        t.LANES: lanes, t.SUM_AXIS: along, t.SUM_TAPS: axis.taps, t.SUM_ENDS: ends,
        t.WRITES_OUT: problem.stores_inside, t.WEIGHTS_BLOCK: item, t.BLOCKS: 1,
        t.CHANNEL_PITCH: pitches[0] * lengths[0], t.FRAME: 1,
        t.BESIDE_FILLS: item * problem.groups * problem.in_channels,
    }  # fmt: skip
    window_bytes = round_up(pitches[0] * lengths[0] + item * 2 * block + beyond, CACHE_LINE)
    return SumPass(problem.working, columns, window_bytes, ends + results, pitches, item)
