"""The ways to cut problems of a kind, the least cost first.

What depends on the kernel and not on the size of ``x`` is ranked once; `layout` chooses among the ways for each shape.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ...jit import tables as t
from ...jit.intrinsics.register_tile import RegisterTile
from ...jit.machine import VECTOR_BYTES, VECTOR_REGISTERS
from ...problem.axis import Axis, Branch
from ...problem.canonical import Problem
from .. import tuning
from .costs import Way, block_cycles, span_of
from .taps import Sharing, divided, filter_blocks, shared_runs

_ROWS = (1, 2, 3, 4, 6, 8, 12)
_MOST_NEIGHBOURS = 8  # rows beyond serve output channels only: so many lines of one array crowd the caches
_VECTORS = (1, 2, 3, 4, 6, 8, 12)
_BESIDE = 9  # registers that shifting takes beside the vectors it holds
_SIZES = 33  # vectors of a line, and outputs along other axes, beyond which lengths are alike when ways are ranked
_PAGES, _PAGE = 64, 4096  # bytes, that a processor finds without a search: in place each channel may lie on its own
_LONG = 2**40  # outputs of an axis that stands for any longer ones


@lru_cache(maxsize=8)
def lanes_of(dtype: str) -> int:
    """Return the elements of a vector."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


class Kind(NamedTuple):
    """What the ranking of ways depends on. Of each axis: taps, stride, dilation, spread, taps of branches, and size."""

    working: str
    axes: tuple[tuple[int, int, int, int, tuple[int, ...], int], ...]
    in_channels: int
    weights: int
    branches: int
    branch_channels: int
    reads_inside: bool
    reads_native: bool
    depthwise: bool
    is_far: bool
    is_scattered: bool  # whether neighbouring channels of a large result lie far from each other
    has_lines: bool  # whether the taps of the last axis lie sample by sample, one after the other
    divided: tuple[int, int]  # the axis of which parts have some taps only, and the least of them; or -1


def kind_of(problem: Problem) -> Kind:
    """Return what kind a problem is; longer axes than `_SIZES` says are alike."""
    axes, lanes, last = [], lanes_of(problem.working), len(problem.axes) - 1
    for a, axis in enumerate(problem.axes):
        branches = tuple([len(branch.taps) for branch in axis.branches]) if axis.branches else ()
        size, unit = axis.outputs, 1
        if a == last and size > 2 * lanes:
            size, unit = -(-size // lanes), lanes
        outputs = unit * size if size < _SIZES else _LONG
        axes.append((axis.taps, axis.stride, axis.dilation, axis.spread, branches, outputs))
    channels = problem.in_channels
    step = max([abs(step) for _, step in problem.x_channel_steps[1:]], default=0)
    is_near = channels * min(step, _PAGE) < _PAGES * _PAGE
    if problem.depthwise:  # lanes are channels, which are neighbours where the samples of a line are none
        is_near = problem.x_steps[-1] != problem.stored_bytes
    first, least = divided(channels, problem.in_kernel_order(problem.axes))
    cut = problem.axes[problem.kernel_axes[first]]
    is_cut = 2 * least <= -(-cut.taps // cut.phase_count)
    line, behind = problem.axes[-1], problem.kernel_axes[problem.kernel_axes.index(last) + 1 :]
    has_lines = (
        line.taps > 1
        and line.stride == line.dilation == 1
        and not line.branches
        and all(problem.axes[a].taps == 1 for a in behind)
        and problem.weights == channels * problem.taps
        and (channels == 1 or first != problem.kernel_axes.index(last))
    )
    results = problem.outputs * np.dtype(problem.result).itemsize
    is_scattered = problem.results_near and not problem.depthwise and results > tuning.TUNING.scattered_bytes
    return Kind(
        problem.working, tuple(axes), channels, problem.weights, problem.branches, problem.branch_channels,
        problem.reads_inside and (is_near or channels <= _PAGES), problem.reads_native and is_near,
        problem.depthwise, tuning.is_far(problem), is_scattered, has_lines,
        (problem.kernel_axes[first], least) if is_cut else (-1, 0),
    )  # fmt: skip


@tuning.remembered(256)
def ranked(kind: Kind) -> list[tuple[float, Way]]:
    """Return the ways that suit problems of a kind, each with its cycles for an output position, the least first."""
    axes = [
        Axis(0, taps, stride, dilation, branches=tuple(Branch(range(n), 0, 0) for n in branches), spread=spread)
        for taps, stride, dilation, spread, branches, _ in kind.axes
    ]
    sizes = [size for *_, size in kind.axes]

    def price(way: Way) -> float:
        cost, last = way.cycles / (way.tile.block if way.flat else 1), len(axes) - 1
        for a, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
            if a > last - way.flat:  # one line of several axes has what lies between their lines
                cost *= span_of(axis).length(size) / size
            elif a == last:
                cost *= -(-size // way.tile.block) / size
            elif a == way.sharing.axis:
                cost *= -(-size // way.rows_apart) / size
        return cost

    found = [(price(way), way) for way in _ways(kind, axes, sizes, lanes_of(kind.working))]
    # Where rows are of several planes, the next block, one line on, finds all other lines in the nearest cache. Arrays
    # that do not come from memory are a little faster by rows of one plane.
    order = 1 if kind.is_far else -1
    return sorted(found, key=lambda ranked: (ranked[0], ranked[1].inside, order * (ranked[1].sharing.axis or 0)))


def _ways(kind: Kind, axes: Sequence[Axis], sizes: Sequence[int], lanes: int) -> Iterator[Way]:
    """Yield the ways to cut problems of a kind."""
    taps = kind.in_channels * prod(axis.taps for axis in axes)
    parts = "many" if taps >= t.LEAST_DIVIDED else "one"
    may_slide = VECTOR_BYTES == 64 and np.dtype(kind.working).kind == "f" and kind.has_lines
    for rows in () if kind.depthwise else _ROWS:
        for sharing, interleaved, apart in _sharings(kind, axes, sizes, rows, lanes):
            runs = tuple(shared_runs(None if sharing.axis is None else axes[sharing.axis], sharing))
            outside = -1 if sharing.axis is None else sharing.axis
            for vectors in _VECTORS:
                if rows * vectors + vectors + 1 > VECTOR_REGISTERS:
                    break
                own = "staggered" if sharing.axis == kind.divided[0] else parts
                tile = RegisterTile(kind.working, rows, vectors, lanes, interleaved, runs, parts=own)
                slide = _sliding(tile) if may_slide else (0,)
                for flat in range(max(1, len(axes) - 1 - outside)):
                    if flat and sizes[-flat] == _LONG:
                        break
                    suits = not kind.is_far or _suits_memory(tile, sizes[-1])
                    for inside in (False, True) if flat == 0 and kind.reads_inside and suits else (False,):
                        for slides in slide:
                            yield _way(kind, axes, tile._replace(slides=slides), sharing, flat, inside, apart)
    yield from _ways_across(kind, axes, sizes[-1], lanes, parts)


def _sliding(tile: RegisterTile) -> tuple[int, ...]:
    """Return how many vectors a register tile may shift: none, or as many as suit its rows and registers."""
    shifted = tile.vectors - 1 if tile.rows > 1 else tile.vectors // 2
    held = 1 + shifted * (2 if tile.interleaved else 1)
    fits = tile.rows * tile.vectors + held + _BESIDE <= VECTOR_REGISTERS
    return (0, shifted) if tile.vectors > 2 and fits else (0,)


def _suits_memory(tile: RegisterTile, size: int) -> bool:
    """Return whether a register tile may read lines of so many outputs in place that come from memory.

    A block waits where it asks for many lines at once, and a line that is shorter than a block is stored apart.
    """
    most = tuning.TUNING.far_rows
    return tile.block <= size and (tile.rows == 1 or tile.interleaved or max(tile.rows, tile.vectors) <= most)


def _ways_across(kind: Kind, axes: Sequence[Axis], size: int, lanes: int, parts: str) -> Iterator[Way]:
    """Yield those whose lanes are output channels, with rows that cover a short last axis evenly."""
    lanes = kind.branch_channels if kind.depthwise else lanes
    for vectors in _VECTORS:
        # Samples of the next rows wait in registers too.
        most = max((r for r in range(1, 32) if (r + 1) * vectors + -(-r // 6) <= VECTOR_REGISTERS), default=0)
        if kind.branch_channels == 1 or most < 1 or vectors > -(-kind.branch_channels // lanes):
            break
        sharing = Sharing(vectors * lanes, channels=True)
        even = -(-size // -(-size // most))
        choices = [even] if size < _LONG else [*range(most, most // 2, -2)]
        for rows in [*choices, 1] if kind.depthwise else choices:  # some tile that any process may have
            tile = RegisterTile(kind.working, rows, vectors, lanes, False, ((0, rows),), True, parts, kind.depthwise)
            for inside in (False, True) if kind.reads_native else (False,):
                yield _way(kind, axes, tile, sharing, 0, inside, 1)


def _way(
    kind: Kind, axes: Sequence[Axis], tile: RegisterTile, sharing: Sharing, flat: int, inside: bool, apart: int
) -> Way:
    blocks = kind.branches * filter_blocks(kind.branch_channels, sharing)
    cycles = blocks * block_cycles(axes, kind.in_channels, kind.weights, tile, sharing)
    if flat and not tile.across:  # results are taken apart when stored
        cycles += blocks * tile.rows * tile.vectors
    if tile.across and kind.is_scattered:
        cycles += tuning.TUNING.scattered_cycles * blocks * tile.rows * tile.vectors
    return Way(tile, sharing, flat, inside, apart, blocks, cycles)


def _sharings(
    kind: Kind, axes: Sequence[Axis], sizes: Sequence[int], rows: int, lanes: int
) -> Iterator[tuple[Sharing, bool, int]]:
    """Yield what ``rows`` rows can be, whether they are neighbouring vectors of a line, and the outputs they cover."""
    if rows == 1:
        yield Sharing(1), False, 1
        return
    if kind.branch_channels > 1 and rows < 2 * kind.branch_channels:
        yield Sharing(rows, channels=True), False, 1
    if kind.weights < kind.in_channels * prod(axis.taps for axis in axes):
        return  # rows of neighbours share taps that are next to each other
    for a, (axis, size) in enumerate(zip(axes, sizes, strict=True)):
        spacing, is_last = axis.tap_spacing, a == len(axes) - 1
        apart = rows * (lanes if is_last else spacing)
        if axis.taps == 1 or rows > _MOST_NEIGHBOURS or size < apart or (is_last and lanes % spacing):
            continue
        sharing = Sharing(rows, a, lanes // spacing if is_last else 1)
        if a != kind.divided[0] or sharing.lag * (rows - 1) <= kind.divided[1]:
            yield sharing, is_last, apart
