"""How a problem is cut: what the register tile's rows are, and which outputs a tile holds.

The estimates are a pure function of the problem and of constants that were measured once; nothing here changes a
result's bits. For each shape a few of the ways that `ways` ranks are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import inf
from typing import NamedTuple, TypeVar

import numpy as np

from ...jit.intrinsics.register_tile import RegisterTile
from ...jit.parallel import available
from ...problem.axis import Axis
from ...problem.canonical import Problem, merged, reordered
from .. import tuning
from .costs import Span, Way, gather_cycles, span_of, tile_cycles, window_cycles
from .taps import Sharing
from .ways import kind_of, lanes_of, ranked

_LOOKED_AT = 2  # ways, at most, for a shape, of those that read alike
_LONG_LINE = 4  # vectors of an axis that takes the place of a short last one, where there is one so long
_ALIKE = 1.1  # of the cycles of the best layout, that one of tiles that are there may take
_FEW_ROWS = 2  # of a register tile across channels: it waits for weights, which each row could use
_FAR = 4096  # bytes from a sample to the next, beyond which each costs a page
_LOOKING_CYCLES, _LOOKING_SHARE = 4000.0, 0.02  # that are not worth looking for

T = TypeVar("T")


class Layout(NamedTuple):
    """How a problem is cut: by which register tile, and the outputs of a tile along each axis."""

    way: Way
    shape: tuple[int, ...]

    @property
    def tile(self) -> RegisterTile:
        """The register tile's shape."""
        return self.way.tile

    @property
    def sharing(self) -> Sharing:
        """What its rows are."""
        return self.way.sharing

    @property
    def flat(self) -> int:
        """Axes that run as one line with the last."""
        return self.way.flat

    @property
    def inside(self) -> bool:
        """Whether the register tile reads ``x`` itself where a window lies inside it."""
        return self.way.inside


@lru_cache(maxsize=256)
def turned(problem: Problem) -> Problem:
    """Return a merged problem whose last axis, along which vectors lie or rows, has outputs for more than one.

    The nearest axis of memory with long lines takes the place of a short one, or the longest, of the kernel or of a
    batch.
    """
    problem = merged(problem)
    lanes, last = lanes_of(problem.working), len(problem.axes) - 1
    sizes = [axis.outputs for axis in problem.axes]
    if problem.branch_channels >= lanes and sizes[last] > _FEW_ROWS:  # vectors are channels then
        return problem
    near = [
        a
        for a in range(last)
        # The samples of lines that lie beside each other come from memory once, those of lines far apart again.
        if sizes[last] <= (lanes if a == last - 1 else lanes // 2)
        and sizes[a] >= 2 * sizes[last]
        and abs(problem.x_steps[a]) <= _FAR
    ]
    if not near:
        return problem
    line = max(near, key=lambda a: (min(sizes[a], _LONG_LINE * lanes), a))
    return reordered(problem, [a for a in range(last + 1) if a != line] + [line])


_tiles: set[RegisterTile] = set()  # shapes of more than one row, which layouts of this process have


def _is_there(tile: RegisterTile) -> bool:
    return tile.rows == 1 or tile in _tiles


def _settled(found: T, tile: RegisterTile, cycles: float, other: Callable[[], tuple[T, float]]) -> T:
    """Return a layout, or another one of tiles that are there: a process compiles and keeps so many and no more.

    The second half of them is for those that save much.
    """
    if _is_there(tile):
        return found
    if len(_tiles) >= tuning.TUNING.most_tiles // 2:
        there, cost = other()
        if cost <= _ALIKE * cycles or len(_tiles) >= tuning.TUNING.most_tiles:
            return there
    _tiles.add(tile)
    return found


@tuning.remembered(256)
def best(problem: Problem) -> tuple[Layout, float]:
    """Return the layout of least cost of those looked at, and that cost in cycles of one core."""
    return _best_of(problem, ranked(kind_of(problem)))


def usable(problem: Problem) -> tuple[Layout, float]:
    """Return the layout of least cost of those that the process may have, and the cost of the best."""

    def other() -> tuple[Layout, float]:
        return _best_of(problem, [own for own in ranked(kind_of(problem)) if _is_there(own[1].tile)])

    layout, cycles = best(problem)
    return _settled(layout, layout.tile, cycles, other), cycles


def _best_of(problem: Problem, ways: Iterable[tuple[float, Way]]) -> tuple[Layout, float]:
    spans = [span_of(axis) for axis in problem.axes]
    outputs, lines, last = 1, problem.in_channels, problem.axes[-1]
    for span in spans:
        outputs *= span.outputs
        lines *= span.length(span.outputs) if span is not spans[-1] else 1
    gathering = lines * gather_cycles(spans[-1].length(spans[-1].outputs))
    most, ends = most_outputs(problem, outputs), (last.before > 0) + (last.after > 0)
    halos = [span.reach / span.stride for span in spans]
    halos[-1] += tuning.TUNING.line_price / spans[-1].stride
    if not problem.results_near:  # what lies between them is written soon, while all of it is in the cache
        held = problem.branches * np.dtype(problem.result).itemsize
        most = min(most, max(1, tuning.TUNING.window_bytes // held))
        halos = [
            inf if axis.is_batch and abs(step) < abs(problem.out_steps[-1]) else halo
            for axis, step, halo in zip(problem.axes, problem.out_steps, halos, strict=True)
        ]
    room = tuning.TUNING.window_bytes / (problem.in_channels * np.dtype(problem.working).itemsize)
    found, least, enough = None, inf, inf
    looked_at: dict[tuple[int, bool, bool], int] = {}
    for price, way in ways:
        routine = price * outputs
        if routine >= enough:
            break
        alike, together = (way.flat, way.inside, way.tile.across), frame(problem, way)
        looks = looked_at.get(alike, 0)
        if looks == _LOOKED_AT or (not way.inside and routine + gathering / together >= enough):
            continue
        shape = None
        if _fits(way, spans):
            shape = _tile_shape(spans, halos, way, room * (tuning.TUNING.rolling if way.inside else 1), most)
        if shape is None:
            continue
        routine = tile_cycles(spans, way, shape)
        if way.inside:
            routine *= 1 + ends * way.tile.block / max(last.outputs, way.tile.block)
        cycles = routine + window_cycles(problem, spans, way, shape, together)
        if cycles < least:
            found, least = Layout(way, tuple(shape)), cycles
            enough = least - max(_LOOKING_CYCLES, _LOOKING_SHARE * least)
        looked_at[alike] = looks + 1
    assert found is not None
    return found, problem.groups * least


def best_of_tile(problem: Problem, inside: bool) -> tuple[Layout, float]:
    """Return the layout of least cost of a problem that is one tile, and the cycles of its register tiles.

    ``inside`` says whether they may read ``x`` itself, whose lines do not run as one.
    """
    spans = [span_of(axis) for axis in problem.axes]
    shape = tuple([span.outputs for span in spans])
    fitting = [
        way for _, way in ranked(kind_of(problem)) if not (way.inside or (inside and way.flat)) and _fits(way, spans)
    ]

    def least(ways: Sequence[Way]) -> tuple[Way, float]:
        costs = [tile_cycles(spans, way, shape) for way in ways]
        return ways[costs.index(min(costs))], min(costs)

    way, cycles = least(fitting[:_LOOKED_AT])
    way = _settled(way, way.tile, cycles, lambda: least([own for own in fitting if _is_there(own.tile)]))
    return Layout(way, shape), problem.groups * cycles


def _fits(way: Way, spans: Sequence[Span]) -> bool:
    """Return whether there are as many outputs as the rows of a register tile cover."""
    return way.sharing.axis is None or spans[way.sharing.axis].outputs >= way.rows_apart


def most_outputs(problem: Problem, outputs: int) -> int:
    """Return the most outputs of a tile, so that there are tasks for every thread where the work is worth them."""
    outputs *= problem.groups * problem.out_channels
    taps = problem.in_channels * problem.taps
    worth = int(outputs * (taps / lanes_of(problem.working) + 1) / tuning.TUNING.serial_below)
    threads = available() if worth else 1
    tasks = min(tuning.TUNING.tasks_per_worker, worth) * threads if threads > 1 else 1
    return max(1, -(-outputs // tasks))


def granularity(problem: Problem, layout: Layout, a: int) -> int:
    """Return the outputs along axis ``a`` that the register tile computes at once."""
    if a == len(problem.axes) - 1:
        return layout.tile.block
    return layout.way.rows_apart if a == layout.sharing.axis else 1


def _tile_shape(spans: Sequence[Span], halos: Sequence[float], way: Way, room: float, most: int) -> list[int] | None:
    """Return the outputs of a tile along each axis: the least halo that a window of so many positions allows.

    Axes are cut in two, each time that of least halo, until a tile is small enough. What lies between the lines of a
    run of several axes is computed and dropped, so its inner axes are taken whole, or there is no such tile.
    """
    last, is_long = len(spans) - 1, False
    least, shape = [], []
    for a, (span, halo) in enumerate(zip(spans, halos, strict=True)):
        unit, n = 1, span.outputs
        if way.flat and a > last - way.flat:
            unit = n
        elif a == last:
            unit = way.tile.block if way.tile.across else min(way.tile.block, round_up(n, way.tile.lanes))
        elif a == way.sharing.axis:
            unit = way.rows_apart
        if 0 < halo < tuning.TUNING.small_halo * n:  # longer tiles bring nothing
            n, is_long = max(unit, int(halo / tuning.TUNING.small_halo)), True
        least.append(unit)
        shape.append(-(-n // unit) * unit)
    if is_long:
        shape = [n if halo else unit for n, halo, unit in zip(shape, halos, least, strict=True)]
    while True:
        read, computed = 1, 1
        for span, n in zip(spans, shape, strict=True):
            read *= min(span.phases * n + span.reach, span.most * n)
            computed *= n
        excess = max(read / room, computed / most)
        if excess <= 1:
            break
        cuts = [(halos[a] / n, a) for a, n in enumerate(shape) if n > least[a]]
        if not cuts:
            if way.flat:
                return None
            break
        halo, a = min(cuts)
        smaller = int(shape[a] / (min(excess, 2) if halo else excess)) // least[a] * least[a]
        shape[a] = max(least[a], min(shape[a] - least[a], smaller))
    # Tiles of equal size in place of a last one that is nearly empty.
    for a, (span, n, unit) in enumerate(zip(spans, shape, least, strict=True)):
        shape[a] = -(-span.outputs // (-(-span.outputs // n) * unit)) * unit
    return shape


def frame(problem: Problem, way: Way) -> int:
    """Return the channels that lie together in ``x`` and in a window, sample by sample, or 1.

    A register tile across channels takes single samples from anywhere.
    """
    if not way.tile.across or len(problem.x_channel_steps) > 2:
        return 1
    _, step = problem.x_channel_steps[-1]
    return problem.in_channels if step == problem.stored_bytes != problem.x_steps[-1] else 1


def window_length(axis: Axis, outputs: int) -> int:
    """Return the number of positions that ``outputs`` neighbouring outputs read, or a little more."""
    return span_of(axis).length(outputs)


def line_length(problem: Problem, layout: Layout) -> int:
    """Return the elements of the line that the register tile runs along, in a full tile, or a little more."""
    length, pitch = 1, 1
    for axis, outputs in list(zip(problem.axes, layout.shape, strict=True))[: -2 - layout.flat : -1]:
        length += (min(outputs, axis.outputs) - 1) * pitch
        pitch *= window_length(axis, outputs)
    return length


def round_up(value: int, multiple: int) -> int:
    """Return the least multiple that is not below ``value``."""
    return -(-value // multiple) * multiple
