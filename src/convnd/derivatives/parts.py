"""How a gradient by the kernel is cut: which outputs a tile holds, and which tiles' sums are added up in one place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from ..jit.machine import vector_bytes, vector_registers
from ..jit.outer import OuterTile
from ..methods import tuning
from ..methods.layout import tile_begins, window_length
from ..problem.canonical import Problem

_TASKS = 16  # that large problems are divided into, however many threads there are
_PARTS_BYTES = 2**22  # of partial sums: more take longer to add up than filters to divide
_ROW_BLOCKS = 8  # of a chunk's filters, at least: every chunk gathers x anew
_OFFSETS = 12  # that fit the registers for addresses beside what else is there
_TAPS_IN_PLACE = 32  # of an array that is not gathered, at most: memory carries it once, the caches the rest


@dataclass(frozen=True)
class Shift:
    """The rows of an outer tile as one filter's outputs, shifted along an axis: by so many taps of a phase each."""

    axis: int
    taps: int
    outputs: int


def outer_tile(problem: Problem, may_shift: bool) -> tuple[OuterTile, Shift | None]:
    """Return the outer tile of least cost, and how its rows are shifted where they are not filters."""
    filters, last = problem.branch_channels, len(problem.axes) - 1
    taps, lanes = problem.in_channels * problem.taps, vector_bytes() // np.dtype(problem.working).itemsize
    choices: list[tuple[float, int, int, Shift | None]] = []
    for rows in range(1, 7):
        most = min((vector_registers() - rows - 1) // rows, _OFFSETS - rows)
        for columns in range(1, most + 1):
            if rows <= filters:
                blocks = -(-filters // rows) * -(-taps // columns)
                choices.append((blocks * _cycles(rows, columns), rows, columns, None))
            for a in (last - 1, last) if may_shift and rows > filters else ():
                axis = problem.axes[a]
                phase = max(map(len, axis.phases()))
                step = columns if a == last else 1  # taps from row to row
                # Rows outputs apart read neighbours in a window that leaves no position out.
                if a < 0 or rows * step > phase or axis.outputs < axis.tap_spacing:
                    continue
                blocks = filters * -(-taps // phase * (-(-phase // (rows * step)) * step) // columns)
                shift = Shift(a, step, step * axis.tap_spacing)
                choices.append((blocks * _cycles(rows, columns), rows, columns, shift))
    _, rows, columns, chosen = min(choices, key=lambda choice: choice[:3])
    return OuterTile(problem.working, rows, columns, lanes), chosen


def _cycles(rows: int, columns: int) -> float:
    """Estimate the cycles of a vector: of products, and of loads that do not pass behind them (fitted, Zen 5)."""
    return rows * columns / 2 + 0.4 * (rows + columns)


@dataclass(frozen=True)
class Cut:
    """How a gradient is cut.

    Parameters
    ----------
    tile : OuterTile
        The routine's shape.
    shift : Shift or None
        How its rows are shifted, where they are not filters.
    is_inside : bool
        Whether the routine reads ``x`` itself where a window lies inside it.
    begins : list of ndarray
        The first output of every tile along each axis, and the number of outputs behind them.
    tiles, tiles_of_part : int
        All tiles, and those whose sums one part holds, in each round of its own.
    parts : int
        Parts of the tiles, each with sums of its own.
    chunks : int
        Tasks that the filters of a group are divided among.
    """

    tile: OuterTile
    shift: Shift | None
    is_inside: bool
    begins: list[np.ndarray]
    tiles: int
    tiles_of_part: int
    parts: int
    chunks: int

    @property
    def widest(self) -> list[int]:
        """Most outputs of a tile along each axis."""
        return [int(np.diff(own).max()) for own in self.begins]


def cut(problem: Problem, may_shift: bool) -> Cut:
    """Cut a problem into tiles, parts and chunks: enough tasks, and no more sums than are soon added up."""
    item, taps = np.dtype(problem.working).itemsize, problem.in_channels * problem.taps
    large = problem.outputs // problem.groups * item > tuning.TUNING.window_bytes
    in_place = problem.reads_inside and taps <= _TAPS_IN_PLACE and large
    tile, shift = outer_tile(problem, may_shift and not in_place)
    weight_bytes = problem.groups * problem.out_channels * taps * item
    parts, chunks = 1, 1
    if taps * problem.outputs > tuning.TUNING.small_gradient:
        outputs = prod(axis.outputs for axis in problem.axes)
        parts = max(
            1, min(_TASKS // problem.groups, _PARTS_BYTES // weight_bytes, outputs // tuning.TUNING.gradient_outputs)
        )
        chunks = _chunks(problem.branch_channels, _ROW_BLOCKS * tile.rows, _TASKS // (parts * problem.groups))
    shape = _tile_outputs(problem, problem.branch_channels // chunks, 1 if shift else tile.rows, parts, shift)
    is_inside = in_place and shift is None
    begins = [tile_begins(axis, n, int(is_inside)) for axis, n in zip(problem.axes, shape, strict=True)]
    tiles = prod(len(own) - 1 for own in begins)
    products_of_tile = taps * problem.branch_channels * problem.branches // chunks * prod(shape)
    tiles_of_part = min(-(-tiles // parts), max(1, tuning.TUNING.gradient_products // products_of_tile))
    return Cut(tile, shift, is_inside, begins, tiles, tiles_of_part, min(parts, -(-tiles // tiles_of_part)), chunks)


def rounds(gradient: np.ndarray, parts: int) -> Iterator[np.ndarray]:
    """Yield a gradient's record for each round of so many parts, of which there are several where tiles take long."""
    tiles, step = int(gradient["tiles"][0]), parts * int(gradient["tiles_of_part"][0])
    for first in range(0, tiles, step):
        own = gradient.copy()
        own["first_tile"], own["tiles"] = first, min(tiles, first + step)
        yield own


def _tile_outputs(
    problem: Problem, filters: int, rows: int, parts: int, shift: Shift | None
) -> tuple[int, ...]:  # fmt: skip
    """Return the outputs of a tile along each axis.

    They are as many as fit the second cache level, nearly the first those of several rows, in tiles for every part.
    """
    axes, last = problem.axes, len(problem.axes) - 1
    item, shape = np.dtype(problem.working).itemsize, [axis.outputs for axis in axes]
    most = max(1, prod(shape) // parts)
    if rows > 1:
        most = min(most, max(1, 2 * tuning.TUNING.first_level_bytes // (rows * item)))

    def bytes_of(shape: list[int]) -> int:
        read = prod(window_length(axis, n) for axis, n in zip(axes, shape, strict=True))
        return item * (problem.in_channels * read + filters * prod(shape))

    def halo(a: int) -> float:  # what half the outputs would read twice, or of vectors at the ends of lines
        return (axes[a].extent - 1 + (tuning.TUNING.line_price if a == last else 0)) / (axes[a].stride * shape[a])

    while bytes_of(shape) > tuning.TUNING.window_bytes or prod(shape) > most:
        least = [axes[a].tap_spacing if shift and a == shift.axis else 1 for a in range(len(shape))]
        divisible = [a for a in range(len(shape)) if shape[a] // 2 >= least[a]]
        if not divisible:
            break
        a = min(divisible, key=lambda a: (halo(a), a))
        shape[a] = -(-shape[a] // 2)
    return tuple(shape)


def _chunks(filters: int, least: int, wanted: int) -> int:
    """Return how many chunks of equal size, of no fewer than ``least``, filters make: as many as are wanted at most."""
    return max(n for n in range(1, max(1, min(wanted, filters // least)) + 1) if filters % n == 0)
