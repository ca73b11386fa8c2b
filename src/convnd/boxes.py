"""Which boxes of outputs Winograd's method computes at once: what it is for, memory, and the cost model.

A pure function of the problem and of constants that were measured once; nothing here changes a result's bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

# Measured beside direct summation, normal samples and weights: 1.95 times its root mean square error at 24 terms (input
# channels times taps summed as they are), 1.9 at 32, 1.7 at 128; positive ones: 0.4 and 0.3. With fewer it is more than
# twice.
_LEAST_TERMS = 24
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


@dataclass(frozen=True)
class Items:
    """The items of a box: a plane of outputs or of samples, at each place along the other axes.

    Parameters
    ----------
    tiles : int
        Winograd's tiles of one.
    outputs, windows : tuple of int
        Their counts, of outputs and of what these read, along each axis; 1 along those of the planes.
    """

    tiles: int
    outputs: tuple[int, ...]
    windows: tuple[int, ...]

    @property
    def lanes(self) -> int:
        """Lanes of a channel's windows."""
        return self.tiles * prod(self.windows)

    @property
    def summed_lanes(self) -> int:
        """Lanes from a box's first output to its last: between items there are some that only windows have."""
        return self.tiles * (1 + self.before([count - 1 for count in self.outputs]))

    def before(self, place: Sequence[int]) -> int:
        """Return how many items of a window stand before one."""
        index = 0
        for own, count in zip(place, self.windows, strict=True):
            index = index * count + own
        return index


def items_of(problem: Problem, shape: tuple[int, ...]) -> Items:
    """Return the items of a box."""
    planes = plane_axes(problem)
    outputs = tuple(1 if a in planes else size for a, size in enumerate(shape))
    windows = tuple(
        1 if a in planes else size + (axis.taps - 1) * min(axis.dilation, size)
        for a, (axis, size) in enumerate(zip(problem.axes, shape, strict=True))
    )
    return Items(prod(shape[a] // OUTPUTS for a in planes), outputs, windows)


def prepared(problem: Problem) -> Problem:
    """Return the problem with the axes of the kernel apart from those of a batch."""
    return merged(problem, most_interleaved=0)


def plane_axes(problem: Problem) -> tuple[int, int]:
    """Return the two axes of Winograd's tiles: the last two of a prepared problem that have a kernel."""
    *_, down, last = (a for a, axis in enumerate(problem.axes) if not axis.is_batch)
    return down, last


def terms_of(problem: Problem) -> int:
    """Return the products that each of the 36 planes sums: input channels, times the taps along further axes."""
    return problem.in_channels * problem.taps // TAPS**2


def why_not(problem: Problem) -> str:
    """Return why a prepared problem cannot be done within what is promised, or nothing where it can."""
    along = [axis for axis in problem.axes if not axis.is_batch]
    if problem.is_upsampled:
        return "the branches of an upsampled axis are summed directly"
    if problem.working != "float32" or problem.exact or len(problem.out_channel_steps) > 2:
        return "minimal filtering is for real floats in single precision"
    if len(along) < 2 or problem.axes[-1].is_batch:
        return "minimal filtering takes two axes or more, the contiguous one among them"
    if any((axis.taps, axis.dilation) != (TAPS, 1) for axis in along[-2:]) or any(
        (axis.stride, axis.unit) != (1, 1) for axis in along
    ):
        return "minimal filtering takes kernels of 3 x 3 taps, without strides and dilation"
    if terms_of(problem) < _LEAST_TERMS:
        return f"minimal filtering of fewer than {_LEAST_TERMS} channels has larger rounding errors"
    filters = problem.groups * problem.out_channels * terms_of(problem)
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
    most = 4 * TUNING.window_bytes // (PLANES * problem.in_channels * FLOAT)
    shapes = [smallest, *(shape for shape in larger if items_of(problem, shape).lanes <= most)]
    for rows, vectors in _REGISTER_TILES:
        if rows * vectors + vectors + 1 <= vector_registers() and rows % (lanes // 2) == 0:
            for shape, chunks in product(shapes, sorted({1, 2, available()})):
                yield WinogradLayout(shape, rows, vectors, chunks)


def _shapes(problem: Problem) -> list[tuple[int, ...]]:
    """Return the shapes that a box can have, the smallest first; several of a batch are in a box as a whole only."""
    choices, planes = [], plane_axes(problem)
    for a, axis in enumerate(problem.axes):
        unit = OUTPUTS if a in planes else 1
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
    down, last = plane_axes(problem)
    down_tiles, across_tiles = layout.shape[down] // OUTPUTS, layout.shape[last] // OUTPUTS
    items, terms = items_of(problem, layout.shape), terms_of(problem)
    blocks, lines = -(-problem.out_channels // layout.rows), OUTPUTS * down_tiles + SAMPLES - OUTPUTS
    of_line = gather_cycles(OUTPUTS * across_tiles + SAMPLES - OUTPUTS) + -(-across_tiles // lanes) * _LINE_CYCLES
    of_item = lines * of_line + -(-down_tiles * across_tiles // lanes) * _TILE_CYCLES
    windows = problem.in_channels * prod(items.windows) * of_item * layout.chunks
    register_tile = max(layout.rows * layout.vectors / 2, (layout.rows + layout.vectors + 1) / 2) + 0.3
    lane_blocks = -(-items.summed_lanes // (layout.vectors * lanes))
    products = PLANES * blocks * lane_blocks * (terms * register_tile + _PRODUCT_CYCLES)
    row = FLOAT * round_up(items.summed_lanes, layout.vectors * lanes)
    windows_bytes = PLANES * problem.in_channels * FLOAT * round_up(items.lanes, layout.vectors * lanes)
    if windows_bytes > TUNING.near_bytes:  # the planes come from the next level
        products += windows_bytes * blocks / span_of(layout, row, blocks) / TUNING.far_bytes
    products += PLANES * blocks * layout.rows * terms * FLOAT / TUNING.far_bytes / 2
    sums = -(-items.summed_lanes // lanes) * _SUM_CYCLES
    stored = prod(items.outputs) * OUTPUTS * down_tiles * gather_cycles(OUTPUTS * across_tiles)
    return problem.groups * (windows + products + problem.out_channels * (sums + stored))


def elapsed(problem: Problem, layout: WinogradLayout) -> float:
    """Estimate the cycles that all threads together take, those of the filters' transforms too."""
    threads = available()
    boxes = prod(-(-axis.outputs // size) for axis, size in zip(problem.axes, layout.shape, strict=True))
    tasks = boxes * problem.groups * layout.chunks
    rounds = -(-tasks // threads) if tasks < 8 * threads else tasks / threads
    filters = problem.groups * problem.out_channels * terms_of(problem) * _FILTER_CYCLES
    return cycles(problem, layout) / (problem.groups * layout.chunks) * rounds + filters / threads


@lru_cache(maxsize=256)
def best(problem: Problem) -> tuple[WinogradLayout, float]:
    """Return the layout of a prepared problem that takes least time, and its cycles, of all threads together."""
    return min(((layout, elapsed(problem, layout)) for layout in layouts(problem)), key=lambda choice: choice[1])
