"""The cost model of the direct method: cycles of one core, and the positions that tiles read.

The constants were fitted to timings of single tiles (AMD Zen 5, AVX-512).
"""

from collections.abc import Sequence
from typing import NamedTuple

from ...jit.intrinsics.register_tile import RegisterTile
from ...jit.machine import VECTOR_BYTES, VECTORS_LOADED, VECTORS_MULTIPLIED
from ...problem.axis import Axis
from ...problem.canonical import Problem
from .. import tuning
from .taps import Sharing, shared_runs


class Span(NamedTuple):
    """What tiles read along an axis: ``n`` outputs read ``min(phases * n + reach, most * n)`` positions."""

    outputs: int
    phases: int
    reach: int
    most: int
    stride: int

    def length(self, outputs: int) -> int:
        """Return the number of positions that neighbouring outputs read, or a little more."""
        return min(self.phases * outputs + self.reach, self.most * outputs)


def span_of(axis: Axis) -> Span:
    """Return what tiles read along an axis."""
    phases, most = axis.phase_count, axis.taps
    if axis.branches:
        phases, most = min(axis.extent, axis.stride), axis.extent
    return Span(axis.outputs, phases, axis.extent - 1, most, axis.stride)


class Way(NamedTuple):
    """A register tile on problems of a kind: what its rows are, what it reads, and what it costs."""

    tile: RegisterTile
    sharing: Sharing  # what its rows are
    flat: int  # axes that run as one line with the last
    inside: bool  # whether it reads x itself where a window lies inside it; tiles at the border are then thin
    rows_apart: int  # outputs that its rows cover along the axis on which they are neighbours
    blocks: int  # of filters of a group
    cycles: float  # of one block, all blocks of filters together


def tile_cycles(spans: Sequence[Span], way: Way, shape: Sequence[int]) -> float:
    """Estimate the cycles that register tiles take for a group of channels, in tiles of such a shape."""
    end, cycles = len(spans) - 1 - way.flat, way.cycles
    for a in range(end):
        outputs, n = spans[a].outputs, shape[a]
        cycles *= outputs if a != way.sharing.axis else _blocks(outputs, min(n, outputs), way.tile.rows, n)
    line, pitch = 1, 1
    for a in range(len(spans) - 1, end - 1, -1):
        line += (min(shape[a], spans[a].outputs) - 1) * pitch
        pitch *= spans[a].length(shape[a])
    return cycles * _blocks(spans[end].outputs, min(shape[end], spans[end].outputs), way.tile.block, line)


def _blocks(outputs: int, tile: int, size: int, length: int) -> int:
    """Return the blocks of ``size`` that cover an axis tile by tile, where a full tile is ``length`` long."""
    tiles, rest = divmod(outputs, tile)
    return tiles * -(-length // size) - (-(rest * length) // (tile * size))


def window_cycles(problem: Problem, spans: Sequence[Span], way: Way, shape: Sequence[int], together: int) -> float:
    """Estimate the cycles that a group of channels takes beside `tile_cycles`, as a factor and a summand of these."""
    lines = float(problem.read_channels // together)
    for span, n in zip(spans, shape, strict=True):
        lines *= max(1.0, span.outputs / n)
        if span is not spans[-1]:
            lines *= span.length(n)
    if not way.inside:
        samples = spans[-1].length(shape[-1]) * together
        far = tuning.TUNING.far_gather_cycles * problem.stored_bytes if tuning.is_far(problem) else 0
        return lines * (gather_cycles(samples) + far * samples)
    # The ends of lines alone, each a block.
    last = problem.axes[-1]
    ends = (last.before > 0) + (last.after > 0)
    share = ends * min(1.0, shape[-1] / last.outputs)
    return share * lines * gather_cycles((way.tile.block + last.extent) * together)


def gather_cycles(length: float) -> float:
    """Estimate the cycles of gathering, or storing, a line."""
    return tuning.TUNING.gather_line_cycles + tuning.TUNING.gather_cycles * length


def block_cycles(axes: Sequence[Axis], in_channels: int, taps: int, tile: RegisterTile, sharing: Sharing) -> float:
    """Estimate the cycles of one block, of so many taps in all channels.

    A vector that crosses a cache line, as most do, loads twice.
    """
    if tile.across:
        return _block_cycles_across(taps, axes[-1].taps, tile)
    axis = None if sharing.axis is None else axes[sharing.axis]
    other_taps = taps // (axis.taps if axis else 1)
    groups = len(tile.runs) * (in_channels if axis else 1)
    block: float = 12 + 2 * tile.rows * tile.vectors + (5 if tile.slides else 2) * groups
    runs = shared_runs(axis, sharing)
    # Every line of the window that the block reads comes from the second level once.
    beside = other_taps if tile.interleaved else -(-other_taps // axes[-1].taps) * sum(runs.values())
    block += (1 if sharing.channels else 3) * beside * tile.vectors * (tile.rows if tile.interleaved else 1)
    shifted, held, begins = _shifted(axes[-1].taps, tile)
    for (r0, r1), count in runs.items():
        sums = ((r1 - r0) * tile.vectors + shifted) / VECTORS_MULTIPLIED  # what multiplies shifts too
        loads = (2 * (tile.vectors - shifted + held) + (r1 - r0) + 1) / VECTORS_LOADED
        block += count * other_taps * (max(sums, loads) + 0.3 + begins)
    return block


def _shifted(line_taps: int, tile: RegisterTile) -> tuple[float, float, float]:
    """Return, for a tap in the mean: the vectors it shifts, those held for it, and the cycles of beginning its line."""
    if not tile.slides:
        return 0, 0, 0
    begins = -(-line_taps // tile.lanes) / line_taps
    shifted = tile.slides * (1 - begins)
    return shifted, begins * tile.slides if tile.interleaved else 0, 5 * begins


def _block_cycles_across(taps: int, line_taps: int, tile: RegisterTile) -> float:
    """Estimate those of a tile across channels: its weights come from the second level, its sums wait for each other.

    Spreading a sample takes a little more than a load, for its address; the results are transposed.
    """
    sums = tile.rows * tile.vectors
    loads = ((1 if tile.depthwise else 1.3) * tile.rows + tile.vectors) / VECTORS_LOADED
    weights = tile.vectors * VECTOR_BYTES / 28
    block = taps * (max(sums / VECTORS_MULTIPLIED, loads, weights, 4) + 0.7) + taps // line_taps
    return block + 12 + (2 + 0.2 * tile.lanes) * sums
