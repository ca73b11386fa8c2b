"""Which boxes of outputs Winograd's method computes at once: what it is for, memory, and the cost model.

A pure function of the problem and of constants that were measured once; nothing here changes a result's bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

from .layout import gather_cycles, round_up
from .machine import vector_bytes, vector_registers
from .minimal import FLOAT, OUTPUTS, PLANES, SAMPLES, TAPS
from .problem import Problem, merged
from .threads import available
from .tiles import TUNING

# Measured beside direct summation, normal samples and weights: 1.9 times its root mean square error at 32 channels, 1.7
# at 128; positive ones: 0.4 and 0.3. With fewer channels it is more than twice.
_LEAST_CHANNELS = 32
_MOST_OF_MEMORY = 0.75  # that a call may hold, for the transformed filters
_PIECES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64, 128, 256, 512, 1024)
_REGISTER_TILES = ((8, 3), (8, 2), (16, 1), (4, 6), (4, 3), (4, 2), (8, 1))
_LINE_CYCLES, _TILE_CYCLES, _SUM_CYCLES = 34.0, 90.0, 110.0  # of a vector that is transformed
_PRODUCT_CYCLES = 60.0  # of a block of lanes and channels beside its multiply-adds
_FILTER_CYCLES = 16.0  # of a filter


@dataclass(frozen=True)
class WinogradLayout:
    """How a problem is cut.

    Parameters
    ----------
    shape : tuple of int
        Outputs of a box along each axis, whole tiles.
    rows, vectors : int
        The register tile: output channels, and vectors of lanes.
    chunks : int
        Tasks that the output channels of a box are divided among.
    """

    shape: tuple[int, ...]
    rows: int
    vectors: int
    chunks: int

    @property
    def tiles(self) -> int:
        """Winograd's tiles of a box."""
        return prod(self.shape) // (OUTPUTS * OUTPUTS)


def prepared(problem: Problem) -> Problem:
    """Return the problem with the axes of the kernel apart from those of a batch."""
    return merged(problem, most_interleaved=0)


def why_not(problem: Problem) -> str:
    """Return why a prepared problem cannot be done within what is promised, or nothing where it can."""
    along = [axis for axis in problem.axes if not axis.is_batch]
    if problem.is_upsampled:
        return "the branches of an upsampled axis are summed directly"
    if problem.working != "float32" or problem.exact or len(problem.out_channel_steps) > 2:
        return "minimal filtering is for real floats in single precision"
    if any((axis.taps, axis.stride, axis.dilation, axis.unit) != (TAPS, 1, 1, 1) for axis in along):
        return "minimal filtering takes kernels of 3 x 3 taps, without strides and dilation"
    if len(along) != 2 or problem.axes[-1].is_batch:
        return "minimal filtering takes two axes, the contiguous one among them"
    if problem.in_channels < _LEAST_CHANNELS:
        return f"minimal filtering of fewer than {_LEAST_CHANNELS} channels has larger rounding errors"
    filters = problem.groups * problem.out_channels * problem.in_channels
    if PLANES * FLOAT * filters > _MOST_OF_MEMORY * TUNING.memory_bytes:
        return "there are too many filters for their transforms"
    return ""


def span_of(layout: WinogradLayout, row: int, chunk: int) -> int:
    """Return the blocks of channels whose sums are held at once: they stay in the caches."""
    return min(chunk, max(1, TUNING.window_bytes // 2 // (PLANES * layout.rows * row)))


def layouts(problem: Problem) -> Iterator[WinogradLayout]:
    """Yield the ways to cut a prepared problem."""
    lanes = vector_bytes() // FLOAT
    smallest, *larger = _shapes(problem)
    most = 4 * TUNING.window_bytes // (PLANES * problem.in_channels * FLOAT) * OUTPUTS * OUTPUTS  # outputs
    shapes = [smallest, *(shape for shape in larger if prod(shape) <= most)]
    for rows, vectors in _REGISTER_TILES:
        if rows * vectors + vectors + 1 <= vector_registers() and rows % (lanes // 2) == 0:
            for shape, chunks in product(shapes, sorted({1, 2, available()})):
                yield WinogradLayout(shape, rows, vectors, chunks)


def _shapes(problem: Problem) -> list[tuple[int, ...]]:
    """Return the shapes that a box can have, the smallest first; several items are in a box as a whole only."""
    choices = []
    for axis in problem.axes:
        unit = 1 if axis.is_batch else OUTPUTS
        tiles = -(-axis.outputs // unit)
        choices.append(sorted({unit * -(-tiles // n) for n in _PIECES}))
    return [
        shape
        for shape in product(*choices)
        if all(size == 1 for size, axis in zip(shape, problem.axes, strict=True) if axis.is_batch)
        or all(
            size == own[-1] for size, own, axis in zip(shape, choices, problem.axes, strict=True) if not axis.is_batch
        )
    ]


def cycles(problem: Problem, layout: WinogradLayout) -> float:
    """Estimate the cycles of one core for one box, every group and output channel."""
    lanes = vector_bytes() // FLOAT
    down, last = (a for a, axis in enumerate(problem.axes) if not axis.is_batch)
    down_tiles, across_tiles = layout.shape[down] // OUTPUTS, layout.shape[last] // OUTPUTS
    items = layout.tiles // (down_tiles * across_tiles)
    blocks, lines = -(-problem.out_channels // layout.rows), OUTPUTS * down_tiles + SAMPLES - OUTPUTS
    of_line = gather_cycles(OUTPUTS * across_tiles + SAMPLES - OUTPUTS) + -(-across_tiles // lanes) * _LINE_CYCLES
    of_item = lines * of_line + -(-down_tiles * across_tiles // lanes) * _TILE_CYCLES
    windows = problem.in_channels * items * of_item * layout.chunks
    register_tile = max(layout.rows * layout.vectors / 2, (layout.rows + layout.vectors + 1) / 2) + 0.3
    lane_blocks = -(-layout.tiles // (layout.vectors * lanes))
    products = PLANES * blocks * lane_blocks * (problem.in_channels * register_tile + _PRODUCT_CYCLES)
    row = FLOAT * round_up(layout.tiles, layout.vectors * lanes)
    if PLANES * problem.in_channels * row > TUNING.near_bytes:  # the planes come from the next level
        streamed = PLANES * problem.in_channels * row * blocks / span_of(layout, row, blocks)
        products += streamed / TUNING.far_bytes
    products += PLANES * blocks * layout.rows * problem.in_channels * FLOAT / TUNING.far_bytes / 2
    sums = -(-layout.tiles // lanes) * _SUM_CYCLES
    stored = items * OUTPUTS * down_tiles * gather_cycles(OUTPUTS * across_tiles)
    return problem.groups * (windows + products + problem.out_channels * (sums + stored))


def elapsed(problem: Problem, layout: WinogradLayout) -> float:
    """Estimate the cycles that all threads together take, those of the filters' transforms too."""
    threads = available()
    boxes = prod(-(-axis.outputs // size) for axis, size in zip(problem.axes, layout.shape, strict=True))
    tasks = boxes * problem.groups * layout.chunks
    rounds = -(-tasks // threads) if tasks < 8 * threads else tasks / threads
    filters = problem.groups * problem.out_channels * problem.in_channels * _FILTER_CYCLES
    return cycles(problem, layout) / (problem.groups * layout.chunks) * rounds + filters / threads


@lru_cache(maxsize=256)
def best(problem: Problem) -> tuple[WinogradLayout, float]:
    """Return the layout of a prepared problem that takes least time, and its cycles, of all threads together."""
    return min(((layout, elapsed(problem, layout)) for layout in layouts(problem)), key=lambda choice: choice[1])
