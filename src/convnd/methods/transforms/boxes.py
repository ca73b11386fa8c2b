"""Which boxes of outputs Winograd's method computes at once: what it is for, memory, and the cost model.

A pure function of the problem and of constants that were measured once; nothing here changes a result's bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

from ...jit.intrinsics.minimal import FLOAT, OUTPUTS, PLANES, SAMPLES, TAPS
from ...jit.machine import VECTOR_BYTES, VECTOR_REGISTERS, VECTORS_MULTIPLIED
from ...jit.parallel import available
from ...problem.canonical import Problem, merged
from .. import tuning
from ..tiling.costs import gather_cycles
from ..tiling.layout import round_up
from ..tiling.likeness import representative

# Of products that a plane sums, without a folded axis and with one. Measured beside one sum of all products, normal
# samples and weights: 1.7 times its root mean square error at 24, 1.9 at 32, 1.3 at 128; with a folded axis 1.6 at 16
# and at 64. Positive ones: 0.4 and less. With fewer terms it comes to more than twice.
_LEAST_TERMS = {1: 24, TAPS: 16}
# Fewer terms are summed in two parts: as one sum they have up to 2.07 times that error.
_LEAST_TERMS_OF_ONE_SUM = 32
_PART_TERMS = 64  # of a part, and more
_FEW_BOXES = 3  # whose tasks transform the filters: all at once they would leave the caches before they are used
_MOST_OF_MEMORY = 0.75  # that a call may hold, for the transformed filters of more boxes
_PIECES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 64, 128, 256, 512, 1024)
_FEW_PIECES = tuple(n for n in _PIECES if n & (n - 1) == 0)  # where more axes have a kernel, to find a layout sooner
_REGISTER_TILES = ((8, 3), (8, 2), (16, 1), (4, 6), (4, 3), (4, 2), (8, 1))
_LINE_CYCLES, _TILE_CYCLES, _SUM_CYCLES = 34.0, 90.0, 110.0  # of a vector that is transformed
_PRODUCT_CYCLES = 60.0  # of a block of lanes and channels beside its multiply-adds
_FILTER_CYCLES, _FAR_FILTER_CYCLES = 20.0, 90.0  # of a filter; where all transformed ones leave the caches
_NEAR_FILTERS = 2**24  # bytes of transformed filters, up to which they do not


@dataclass(frozen=True)
class WinogradLayout:
    """How a problem is cut."""

    shape: tuple[int, ...]  # outputs of a box along each axis, whole tiles
    rows: int  # of the register tile, output channels
    vectors: int  # of the register tile, of lanes
    chunks: int  # tasks that the output channels of a box are divided among


class Tile(NamedTuple):
    """Winograd's tile on a prepared problem.

    A last axis of nine taps is folded into three lines: sample ``3 i + c`` is the ``i``-th of line ``c``, and line
    ``c + 3`` is line ``c`` from its next sample on. The nine taps are three by three, and a tile is four outputs of
    each of three lines, twelve neighbours.
    """

    folds: int  # lines that the last axis is folded into, or 1
    down: int  # the axis before the last of those that have a kernel, or the last where it is folded
    last: int
    height: int  # lines of outputs
    planes: int  # products
    units: tuple[int, ...]  # outputs along each axis
    terms: int  # products that each plane sums: input channels, times the taps along further axes
    parts: int  # of the sums


@lru_cache(maxsize=256)
def tile_of(problem: Problem) -> Tile:
    """Return the tile of a prepared problem."""
    folds = TAPS if problem.axes[-1].taps == TAPS**2 else 1
    *_, down, last = (a for a, axis in enumerate(problem.axes) if not axis.is_batch for _ in range(folds))
    height, terms = TAPS if folds > 1 else OUTPUTS, problem.in_channels * problem.taps // TAPS**2
    return Tile(
        folds, down, last, height, SAMPLES * (height + TAPS - 1),
        tuple(OUTPUTS * folds if a in (down, last) else 1 for a in range(len(problem.axes))),
        terms, 2 if terms < _LEAST_TERMS_OF_ONE_SUM else max(1, terms // _PART_TERMS),
    )  # fmt: skip


@dataclass(frozen=True)
class Items:
    """The items of a box: a plane of outputs or of samples, at each place along the other axes."""

    down: int  # rows of tiles of one
    across: int  # tiles of a row
    outputs: tuple[int, ...]  # items of outputs along each axis, 1 along those of the planes
    windows: tuple[int, ...]  # items of what these read

    @property
    def tiles(self) -> int:
        """Tiles of an item."""
        return self.down * self.across

    @property
    def lanes(self) -> int:
        """Lanes of a channel's windows."""
        return self.tiles * prod(self.windows)

    @property
    def summed_lanes(self) -> int:
        """Lanes from a box's first output to its last: between items there are some that only windows have."""
        before = 0
        for outputs, windows in zip(self.outputs, self.windows, strict=True):
            before = before * windows + outputs - 1
        return self.tiles * (before + 1)


def items_of(problem: Problem, shape: tuple[int, ...]) -> Items:
    """Return the items of a box."""
    tile = tile_of(problem)
    planes = tile.down, tile.last
    down = 1 if tile.folds > 1 else shape[tile.down] // tile.units[tile.down]
    outputs = tuple(1 if a in planes else size for a, size in enumerate(shape))
    windows = tuple(
        1 if a in planes else size + (axis.taps - 1) * min(axis.dilation, size)
        for a, (axis, size) in enumerate(zip(problem.axes, shape, strict=True))
    )
    return Items(down, shape[tile.last] // tile.units[tile.last], outputs, windows)


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
    ways = [((TAPS, 1),) * 2, ((TAPS**2, 1),)]
    if problem.axes[-1].is_batch or not any(
        tuple((axis.taps, axis.dilation) for axis in along[-len(way) :]) == way for way in ways
    ):
        return "minimal filtering takes 3 x 3 taps along two axes or 9 along one, the contiguous one among them"
    if any((axis.stride, axis.unit) != (1, 1) for axis in along):
        return "minimal filtering takes no strides"
    tile = tile_of(problem)
    if tile.terms < (least := _LEAST_TERMS[tile.folds]):
        return f"minimal filtering of fewer than {least} channels has larger rounding errors"
    return ""


def filters_of(problem: Problem) -> int:
    """Return how many filters of nine taps there are."""
    return problem.groups * problem.out_channels * tile_of(problem).terms


def boxes_of(problem: Problem, shape: tuple[int, ...]) -> int:
    """Return how many boxes there are."""
    return prod(-(-axis.outputs // size) for axis, size in zip(problem.axes, shape, strict=True))


def transforms_inside(problem: Problem, shape: tuple[int, ...]) -> bool:
    """Return whether each task transforms the filters that it uses, as many at once as there are lanes."""
    most = _MOST_OF_MEMORY * tuning.TUNING.memory_bytes
    return boxes_of(problem, shape) <= _FEW_BOXES or PLANES * FLOAT * filters_of(problem) > most


def span_of(problem: Problem, layout: WinogradLayout, row: int, chunk: int) -> int:
    """Return the blocks of channels whose sums are held at once: they stay in the caches."""
    if transforms_inside(problem, layout.shape):
        return max(1, VECTOR_BYTES // FLOAT // layout.rows)
    return min(chunk, max(1, tuning.TUNING.window_bytes // 2 // (PLANES * layout.rows * row)))


@lru_cache(maxsize=1)
def register_tiles() -> list[tuple[int, int]]:
    """Return the rows and vectors of the register tiles that the processor has registers for."""
    half = VECTOR_BYTES // FLOAT // 2
    return [(r, v) for r, v in _REGISTER_TILES if r * v + v + 1 <= VECTOR_REGISTERS and r % half == 0]


def layouts(problem: Problem) -> Iterator[WinogradLayout]:
    """Yield the ways to cut a prepared problem."""
    smallest, *larger = _shapes(problem)
    most = max(2 * VECTOR_BYTES, 4 * tuning.TUNING.window_bytes // (PLANES * problem.in_channels)) // FLOAT
    shapes = [smallest, *(shape for shape in larger if items_of(problem, shape).lanes <= most)]
    for rows, vectors in register_tiles():
        for shape, chunks in product(shapes, sorted({1, 2, available()})):
            yield WinogradLayout(shape, rows, vectors, chunks)


def _shapes(problem: Problem) -> list[tuple[int, ...]]:
    """Return the shapes that a box can have, the smallest first; several of a batch are in a box as a whole only."""
    choices = []
    pieces = _PIECES if problem.taps == TAPS**2 else _FEW_PIECES
    for axis, unit in zip(problem.axes, tile_of(problem).units, strict=True):
        tiles = -(-axis.outputs // unit)
        choices.append(sorted({unit * -(-tiles // n) for n in pieces}))
    return [
        shape
        for shape in product(*choices)
        if all(size == 1 for size, axis in zip(shape, problem.axes, strict=True) if axis.is_batch)
        or all(
            size == own[-1] for size, own, axis in zip(shape, choices, problem.axes, strict=True) if not axis.is_batch
        )
    ]


def cycles(problem: Problem, layout: WinogradLayout, is_near: bool = False) -> float:
    """Estimate the cycles of one core for one box, every group and output channel, with its planes in a near cache."""
    lanes, items, tile = VECTOR_BYTES // FLOAT, items_of(problem, layout.shape), tile_of(problem)
    planes, height, terms = tile.planes, tile.height, tile.terms
    blocks, lines = -(-problem.out_channels // layout.rows), height * items.down + TAPS - 1
    of_line = gather_cycles(OUTPUTS * items.across + SAMPLES - OUTPUTS) + -(-items.across // lanes) * _LINE_CYCLES
    of_item = lines * of_line + -(-items.tiles // lanes) * _TILE_CYCLES
    windows = problem.in_channels * prod(items.windows) * of_item * layout.chunks
    register_tile = max(layout.rows * layout.vectors / VECTORS_MULTIPLIED, (layout.rows + layout.vectors + 1) / 2) + 0.3
    lane_blocks = -(-items.summed_lanes // (layout.vectors * lanes))
    products = planes * blocks * lane_blocks * (terms * register_tile + tile.parts * _PRODUCT_CYCLES)
    row = FLOAT * round_up(items.summed_lanes, layout.vectors * lanes)
    windows_bytes = planes * problem.in_channels * FLOAT * round_up(items.lanes, layout.vectors * lanes)
    if not is_near:
        products += blocks / span_of(problem, layout, row, blocks) * tuning.far_cycles(windows_bytes)
    if not transforms_inside(problem, layout.shape):
        products += planes * blocks * layout.rows * terms * FLOAT / tuning.TUNING.far_bytes / 2
    elif not is_near:
        products += _FILTER_CYCLES * problem.out_channels * terms
    sums = -(-items.summed_lanes // lanes) * _SUM_CYCLES
    stored = prod(items.outputs) * height * items.down * gather_cycles(OUTPUTS * items.across)
    return problem.groups * (windows + products + problem.out_channels * (sums + stored))


@tuning.remembered(256)
def least_cycles(problem: Problem) -> float:
    """Return cycles that all threads together take at least, whatever the boxes."""
    units = tile_of(problem).units
    shape = tuple([unit * -(-axis.outputs // unit) for axis, unit in zip(problem.axes, units, strict=True)])
    ways = [WinogradLayout(shape, rows, vectors, 1) for rows, vectors in register_tiles()]
    share = 1.0 if problem.taps == TAPS**2 else 0.8  # smaller boxes have fewer lanes that no output needs
    return share * min([cycles(problem, way, is_near=True) for way in ways]) / available()


def elapsed(problem: Problem, layout: WinogradLayout) -> float:
    """Estimate the cycles that all threads together take, those of the filters' transforms too."""
    threads = available()
    tasks = boxes_of(problem, layout.shape) * problem.groups * layout.chunks
    rounds = -(-tasks // threads) if tasks < 8 * threads else tasks / threads
    elapsed = cycles(problem, layout) / (problem.groups * layout.chunks) * rounds
    if transforms_inside(problem, layout.shape):
        return elapsed
    filters = filters_of(problem)
    each = _FILTER_CYCLES if PLANES * FLOAT * filters <= _NEAR_FILTERS else _FAR_FILTER_CYCLES
    return elapsed + each * filters / threads


def layout_of(problem: Problem) -> WinogradLayout:
    """Return the layout of a prepared problem: as many boxes along each axis as are best for its representative."""
    like = representative(problem)
    layout, shape = best(like)[0], []
    for size, axis, other, unit in zip(layout.shape, problem.axes, like.axes, tile_of(problem).units, strict=True):
        boxes = -(-other.outputs // size)
        shape.append(unit * -(-axis.outputs // (unit * boxes)))
    return replace(layout, shape=tuple(shape))


@tuning.remembered(256)
def best(problem: Problem) -> tuple[WinogradLayout, float]:
    """Return the layout of a prepared problem that takes least time, and its cycles, of all threads together."""
    return min(((layout, elapsed(problem, layout)) for layout in layouts(problem)), key=lambda choice: choice[1])
