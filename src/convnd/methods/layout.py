"""How a problem is cut: what the register tile's rows are, and which outputs a tile holds.

A pure function of the problem and of constants that were measured once; nothing here changes a result's bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from ..jit.intrinsics.register_tile import RegisterTile
from ..jit.machine import vector_bytes, vector_registers
from ..jit.parallel import available
from ..problem.axis import Axis
from ..problem.canonical import Problem
from . import tuning
from .taps import Sharing, shared_runs

_ROWS = (1, 2, 3, 4, 6, 8, 12)
_MOST_NEIGHBOURS = 8  # rows beyond serve output channels only: so many lines of one array crowd the caches
_VECTORS = (1, 2, 3, 4, 6, 8, 12)


@dataclass(frozen=True)
class Layout:
    """How a problem is cut.

    Parameters
    ----------
    tile : RegisterTile
        The routine's shape.
    sharing : Sharing
        What its rows are.
    flat : int
        Axes that run as one line with the last.
    inside : bool
        Whether the routine reads ``x`` itself where a window lies inside it; tiles at the border are then thin.
    shape : tuple of int
        Outputs of a tile along each axis.
    """

    tile: RegisterTile
    sharing: Sharing
    flat: int
    inside: bool
    shape: tuple[int, ...]


def most_outputs(problem: Problem) -> int:
    """Return the most outputs of a tile, so that there are tasks for every thread where the work is worth them."""
    taps = problem.in_channels * problem.taps
    lanes = vector_bytes() // np.dtype(problem.working).itemsize
    threads = available()
    worth = int(problem.outputs * (taps / lanes + 1) / tuning.TUNING.serial_below)
    tasks = min(tuning.TUNING.tasks_per_worker, worth) * threads if threads > 1 and worth else 1
    return max(1, -(-problem.outputs // tasks))


def layouts(problem: Problem, most_outputs: int) -> Iterator[Layout]:
    """Yield the ways to cut a problem into tiles of at most so many outputs."""
    lanes = vector_bytes() // np.dtype(problem.working).itemsize
    for rows in _ROWS:
        for sharing, interleaved in _sharings(problem, rows, lanes):
            runs = tuple(shared_runs(shared_axis(problem, sharing), sharing))
            outside = -1 if sharing.axis is None else sharing.axis
            for vectors in _VECTORS:
                if rows * vectors + vectors + 1 > vector_registers():
                    break
                tile = RegisterTile(problem.working, rows, vectors, lanes, interleaved, runs)
                for flat in range(max(1, len(problem.axes) - 1 - outside)):
                    for inside in (False, True) if flat == 0 and problem.reads_inside else (False,):
                        shape = _tile_shape(problem, tile, sharing, flat, inside, most_outputs)
                        if shape is not None:
                            yield Layout(tile, sharing, flat, inside, shape)
    yield from _layouts_across(problem, lanes, most_outputs)


def _layouts_across(problem: Problem, lanes: int, most_outputs: int) -> Iterator[Layout]:
    """Yield the layouts whose lanes are output channels, each with the rows that cover the last axis evenly."""
    outputs = problem.axes[-1].outputs
    for vectors in _VECTORS:
        # Samples of the next rows wait in registers too.
        most = max((r for r in range(1, 32) if (r + 1) * vectors + -(-r // 6) <= vector_registers()), default=0)
        if problem.branch_channels == 1 or most < 1 or vectors > -(-problem.branch_channels // lanes):
            break
        rows = -(-outputs // -(-outputs // most))
        sharing = Sharing(vectors * lanes, channels=True)
        tile = RegisterTile(problem.working, rows, vectors, lanes, False, ((0, rows),), across=True)
        for inside in (False, True) if problem.reads_native else (False,):
            shape = _tile_shape(problem, tile, sharing, 0, inside, most_outputs)
            if shape is not None:
                yield Layout(tile, sharing, 0, inside, shape)


def _sharings(problem: Problem, rows: int, lanes: int) -> Iterator[tuple[Sharing, bool]]:
    """Yield what ``rows`` rows can be, and whether they are neighbouring vectors of one line."""
    last = len(problem.axes) - 1
    if rows == 1:
        yield Sharing(1), False
        return
    if problem.branch_channels > 1 and rows < 2 * problem.branch_channels:
        yield Sharing(rows, channels=True), False
    for a, axis in enumerate(problem.axes):
        spacing = axis.tap_spacing
        if rows > _MOST_NEIGHBOURS:
            continue
        if axis.taps > 1 and a < last and axis.outputs >= rows * spacing:
            yield Sharing(rows, a), False
        if axis.taps > 1 and a == last and lanes % spacing == 0 and axis.outputs >= rows * lanes:
            yield Sharing(rows, a, lanes // spacing), True


def shared_axis(problem: Problem, sharing: Sharing) -> Axis | None:
    """Return the axis along which rows are neighbours."""
    return None if sharing.axis is None else problem.axes[sharing.axis]


def granularity(problem: Problem, layout: Layout, a: int) -> int:
    """Return the outputs along axis ``a`` that the register tile computes at once."""
    if a == len(problem.axes) - 1:
        return layout.tile.block
    return layout.sharing.rows * problem.axes[a].tap_spacing if a == layout.sharing.axis else 1


def _tile_shape(
    problem: Problem, tile: RegisterTile, sharing: Sharing, flat: int, inside: bool, most_outputs: int
) -> tuple[int, ...] | None:
    """Return the outputs of a tile along each axis: the least halo that a window of `TUNING` bytes allows.

    What lies between the lines of a flat run is computed and dropped, so its inner axes are taken whole, or there is
    no such tile.
    """
    axes, last = problem.axes, len(problem.axes) - 1
    least = [1] * len(axes)
    if flat == 0:
        least[last] = tile.block if tile.across else min(tile.block, round_up(axes[last].outputs, tile.lanes))
    if sharing.axis is not None and sharing.axis < last:
        least[sharing.axis] = sharing.rows * axes[sharing.axis].tap_spacing
    for a in range(last - flat + 1, last + 1 if flat else 0):
        least[a] = axes[a].outputs
    shape = list(least)
    item = np.dtype(problem.working).itemsize

    def fits(shape: list[int]) -> bool:
        lengths = [window_length(axis, outputs) for axis, outputs in zip(axes, shape, strict=True)]
        limit = tuning.TUNING.window_bytes * (tuning.TUNING.rolling if inside else 1)
        return problem.in_channels * prod(lengths) * item <= limit and prod(shape) <= most_outputs

    if flat and not fits(shape):
        return None

    def halo(a: int) -> float:
        price = tuning.TUNING.line_price if a == last else 0
        return (axes[a].extent - 1 + price) / (axes[a].stride * shape[a])

    growing = [a for a in range(len(axes)) if shape[a] < axes[a].outputs]
    while growing:
        a = max(growing, key=lambda a: (halo(a), a))
        if 0 < halo(a) < tuning.TUNING.small_halo:
            break
        wider = [*shape[:a], min(2 * shape[a], round_up(axes[a].outputs, least[a])), *shape[a + 1 :]]
        if not fits(wider):
            growing.remove(a)
            continue
        shape = wider
        if shape[a] >= axes[a].outputs:
            growing.remove(a)
    # Tiles of equal size in place of a last one that is nearly empty.
    return tuple(
        round_up(-(-axis.outputs // -(-axis.outputs // size)), unit)
        for axis, size, unit in zip(axes, shape, least, strict=True)
    )


def tile_begins(axis: Axis, size: int, border: int) -> np.ndarray:
    """Return the first output of every tile along an axis, and the number of outputs behind them.

    Where the routine can read the array itself (``border`` > 0), the outputs whose windows leave the array get
    tiles of their own, as thin as multiples of ``border`` can be.
    """
    marks = [0, axis.outputs]
    if border:
        inside = (axis.length + axis.before - axis.extent) // axis.stride + 1  # outputs up to the last inside
        head = min(axis.outputs, round_up(max(0, -(-axis.before // axis.stride)), border))
        tail = head + max(0, min(inside, axis.outputs) - head) // border * border
        marks = [0, head, tail, axis.outputs]
    begins = [np.zeros(1, np.int64)]
    for first, end in itertools.pairwise(marks):
        tiles = max(1, -(-(end - first) // size))
        step = round_up(-(-(end - first) // tiles), max(1, border))
        begins.append(np.minimum(end, first + np.arange(1, tiles + 1) * step))
    return distinct(np.concatenate(begins))


def distinct(values: np.ndarray) -> np.ndarray:
    """Return the values of a sorted array, each once.

    `numpy.unique` imports a module when first called: a child that is forked meanwhile would wait for it for ever.
    """
    return values[np.diff(values, prepend=values[:1] - 1) > 0]


def even_begins(axis: Axis, size: int) -> np.ndarray:
    """Return what `tile_begins` does, for tiles of ``size`` outputs, of which the last may have fewer."""
    return np.minimum(np.arange(0, axis.outputs + size, size), axis.outputs)


def frame(problem: Problem, layout: Layout) -> int:
    """Return the channels that lie together in ``x`` and in a window, sample by sample, or 1.

    A register tile across channels takes single samples from anywhere.
    """
    _, step = problem.x_channel_steps[-1]
    gathers = layout.tile.across and len(problem.x_channel_steps) == 2
    return problem.in_channels if gathers and step == problem.stored_bytes != problem.x_steps[-1] else 1


def window_length(axis: Axis, outputs: int) -> int:
    """Return the number of positions that ``outputs`` neighbouring outputs read, or a little more."""
    axis = axis.reading
    return min(len(axis.phases()) * outputs + axis.extent - 1, axis.taps * outputs)


def line_length(problem: Problem, layout: Layout) -> int:
    """Return the elements of the line that the routine runs along, in a full tile, or a little more."""
    length, pitch = 1, 1
    for axis, outputs in list(zip(problem.axes, layout.shape, strict=True))[: -2 - layout.flat : -1]:
        length += (min(outputs, axis.outputs) - 1) * pitch
        pitch *= window_length(axis, outputs)
    return length


def round_up(value: int, multiple: int) -> int:
    """Return the least multiple that is not below ``value``."""
    return -(-value // multiple) * multiple
