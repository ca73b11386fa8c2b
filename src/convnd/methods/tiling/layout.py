"""How a problem is cut: what the register tile's rows are, and which outputs a tile holds.

The estimates are a pure function of the problem and of constants that were measured once; nothing here changes a
result's bits. For each shape a few of the ways that `ways` ranks are looked at.
"""

from collections.abc import Callable, Iterable, Sequence
from math import inf, prod
from typing import NamedTuple, TypeVar

import numpy as np

from ...jit.intrinsics.register_tile import RegisterTile
from ...jit.parallel import available
from ...problem.axis import Axis
from ...problem.canonical import Problem
from .. import tuning
from .costs import Span, Way, gather_cycles, span_of, tile_cycles, window_cycles
from .ways import kind_of, lanes_of, ranked

_LOOKED_AT = 2  # ways, at most, for a shape, of those that read alike
_NEARLY, _ALIKE = 1.03, 1.1  # of the cycles of the best layout, that one of tiles that are there may take
_LOOKING_CYCLES, _LOOKING_SHARE = 4000.0, 0.02  # that are not worth looking for
_CLEARLY = 1 - 1e-9  # times the least cycles: what is below is not another order of the same sum


Cut = TypeVar("Cut", "Layout", Way)


class Layout(NamedTuple):
    """How a problem is cut: by which register tile, and into how many tiles along each axis."""

    way: Way
    tiles: list[int]

    @property
    def tile(self) -> RegisterTile:
        """The register tile's shape."""
        return self.way.tile


_tiles: set[RegisterTile] = set()  # shapes of more than one row, which layouts of this process have


def _is_there(tile: RegisterTile) -> bool:
    return tile.rows == 1 or tile in _tiles


def tiles_there() -> int:
    """Return the number of register tiles of more than one row that the process has."""
    return len(_tiles)


def _settled(own: Cut, cycles: float, other: Callable[[], tuple[Cut, float]]) -> tuple[Cut, float]:
    """Return what is to cut a problem, or another of tiles that are there: a process compiles and keeps so many.

    The second half of them is for those that save much.
    """
    if _is_there(own.tile):
        return own, cycles
    most = tuning.TUNING.most_tiles
    there, cost = other()
    if cost <= (_ALIKE if len(_tiles) >= most // 2 else _NEARLY) * cycles or len(_tiles) >= most:
        return there, cost
    _tiles.add(own.tile)
    return own, cycles


@tuning.remembered(256)
def usable(problem: Problem, tiles: int) -> tuple[Layout, float]:
    """Return the layout of least cost of those that a process of so many tiles may have, and its cost."""
    layout, cycles = best(problem)

    def other() -> tuple[Layout, float]:
        there = [own for own in ranked(kind_of(problem)) if _is_there(own[1].tile)]
        return _best_of(problem, there) if there else (layout, inf)

    return _settled(layout, cycles, other)


@tuning.remembered(256)
def best(problem: Problem) -> tuple[Layout, float]:
    """Return the layout of least cost of those looked at, and that cost in cycles of one core."""
    return _best_of(problem, ranked(kind_of(problem)))


class _About(NamedTuple):
    """What bounds the tiles of a problem."""

    spans: list[Span]
    halos: list[float]  # of each axis, what a tile reads twice, in outputs
    room: float  # positions of a window
    most: int  # outputs of a tile
    worth_a_tile: int  # outputs along an axis, up to which longer tiles that read in place pay


def _about(problem: Problem) -> _About:
    spans = [span_of(axis) for axis in problem.axes]
    halos = [span.reach / span.stride for span in spans]
    most = _most_outputs(problem)
    if not problem.results_near:  # what lies between them is written soon, while all of it is in the cache
        held = problem.branches * np.dtype(problem.result).itemsize
        most = min(most, max(1, tuning.TUNING.window_bytes // held))
        halos = [
            inf if axis.is_batch and abs(step) < abs(problem.out_steps[-1]) else halo
            for axis, step, halo in zip(problem.axes, problem.out_steps, halos, strict=True)
        ]
    room = tuning.TUNING.window_bytes / (problem.read_channels * np.dtype(problem.working).itemsize)
    worth_a_tile = problem.outputs // (4 * tuning.TUNING.tasks_per_worker * available())
    return _About(spans, halos, room, most, worth_a_tile)


def _cycles(problem: Problem, about: _About, way: Way, shape: Sequence[int]) -> float:
    """Estimate the cycles of one core for a group of channels."""
    cycles, last = tile_cycles(about.spans, way, shape), problem.axes[-1]
    if way.inside:  # a block at a padded end is half for nothing, in the mean
        cycles *= 1 + ((last.before > 0) + (last.after > 0)) * way.tile.block / max(last.outputs, way.tile.block) / 2
    return cycles + window_cycles(problem, about.spans, way, shape, frame(problem, way))


def _best_of(problem: Problem, ways: Iterable[tuple[float, Way]]) -> tuple[Layout, float]:
    about = _about(problem)
    spans, outputs = about.spans, prod(axis.outputs for axis in problem.axes)
    lines = problem.read_channels * prod(span.length(span.outputs) for span in spans[:-1])
    gathering = lines * gather_cycles(spans[-1].length(spans[-1].outputs))
    found, least, enough = None, inf, inf
    looked_at: dict[tuple[int, bool, bool], int] = {}
    for price, way in ways:
        routine = price * outputs
        if routine >= enough:
            break
        alike = way.flat, way.inside, way.tile.across
        looks = looked_at.get(alike, 0)
        if looks == _LOOKED_AT or (not way.inside and routine + gathering / frame(problem, way) >= enough):
            continue
        if not _fits(way, spans):
            continue
        shape, is_small = _tile_shape(about, way)
        if way.flat and not is_small:
            continue
        cycles = _cycles(problem, about, way, shape)
        if cycles < least * _CLEARLY:
            found, least = Layout(way, [-(-span.outputs // n) for span, n in zip(spans, shape, strict=True)]), cycles
            enough = least - max(_LOOKING_CYCLES, _LOOKING_SHARE * least)
        looked_at[alike] = looks + 1
    assert found is not None
    return found, problem.groups * least


@tuning.remembered(256)
def best_of_tile(problem: Problem, inside: bool, tiles: int | None = None) -> tuple[Way, float]:
    """Return the way of least cost for a problem that is one tile, and the cycles of its register tiles.

    ``inside`` says whether they may read ``x`` itself, whose lines do not run as one. ``tiles`` are those that the
    process has: a way is one that it may have then.
    """
    spans = [span_of(axis) for axis in problem.axes]
    shape = [span.outputs for span in spans]
    fitting = [
        way for _, way in ranked(kind_of(problem)) if not (way.inside or (inside and way.flat)) and _fits(way, spans)
    ]

    def least(ways: Sequence[Way]) -> tuple[Way, float]:
        costs = [problem.groups * tile_cycles(spans, way, shape) for way in ways]
        return ways[costs.index(min(costs))], min(costs)

    way, cycles = least(fitting[:_LOOKED_AT])
    if tiles is not None:
        return _settled(way, cycles, lambda: least([own for own in fitting if _is_there(own.tile)]))
    return way, cycles


def _fits(way: Way, spans: Sequence[Span]) -> bool:
    """Return whether there are as many outputs as the rows of a register tile cover."""
    return way.sharing.axis is None or spans[way.sharing.axis].outputs >= way.rows_apart


def _most_outputs(problem: Problem) -> int:
    """Return the most outputs of a tile, so that there are tasks for every thread where the work is worth them."""
    work = problem.outputs * (problem.in_channels * problem.taps / lanes_of(problem.working) + 1)
    worth = int(work / tuning.TUNING.serial_below)
    threads = available() if worth else 1
    tasks = min(tuning.TUNING.tasks_per_worker, worth) * threads if threads > 1 else 1
    return max(1, -(-problem.outputs // tasks))


def tile_size(way: Way, a: int, is_last: bool, outputs: int, tiles: int) -> int:
    """Return the outputs along axis ``a`` of about so many tiles of equal size: of several each has whole blocks."""
    unit = tiles * (way.tile.block if is_last else way.rows_apart if a == way.sharing.axis else 1)
    return min(outputs, -(-outputs // unit) * unit // tiles)


def _tile_shape(about: _About, way: Way) -> tuple[list[int], bool]:
    """Return the outputs of a tile along each axis, of the least halo that its bounds allow, and whether it keeps them.

    Axes are cut in two, each time that of least halo, until a tile is small enough. What lies between the lines of a
    run of several axes is computed and dropped, so its inner axes are taken whole.
    """
    spans, halos, room, most, _ = about
    halos = [*halos[:-1], halos[-1] + tuning.TUNING.line_price / spans[-1].stride]
    room *= tuning.TUNING.rolling if way.inside and way.blocks == 1 else 1  # each block reads the window again
    last, is_long, is_small = len(spans) - 1, False, True
    least, shape = [], []
    for a, (span, halo) in enumerate(zip(spans, halos, strict=True)):
        unit, n = 1, span.outputs
        if way.flat and a > last - way.flat:
            unit = n
        elif a == last:
            unit = way.tile.block if way.tile.across else min(way.tile.block, round_up(n, way.tile.lanes))
        elif a == way.sharing.axis:
            unit = way.rows_apart
        longest = max(unit, halo / tuning.TUNING.small_halo, about.worth_a_tile if way.inside else 0)
        if halo > 0 and longest < n:  # longer tiles bring nothing
            n, is_long = int(longest), True
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
            is_small = False
            break
        halo, a = min(cuts)
        smaller = int(shape[a] / (min(excess, 2) if halo else excess)) // least[a] * least[a]
        shape[a] = max(least[a], min(shape[a] - least[a], smaller))
    # Tiles of equal size in place of a last one that is nearly empty.
    for a, (span, n, unit) in enumerate(zip(spans, shape, least, strict=True)):
        shape[a] = -(-span.outputs // (-(-span.outputs // n) * unit)) * unit
    return shape, is_small


def frame(problem: Problem, way: Way) -> int:
    """Return the channels that lie together in ``x`` and in a window, sample by sample, or 1.

    A register tile across channels takes single samples from anywhere, or those of the channels that its lanes are.
    """
    if problem.depthwise:
        return problem.read_channels
    return frame_of_x(problem) if way.tile.across else 1


def frame_of_x(problem: Problem) -> int:
    """Return the channels that lie together in ``x``, sample by sample, or 1."""
    _, step = problem.x_channel_steps[-1]
    is_frame = len(problem.x_channel_steps) <= 2 and step == problem.stored_bytes != problem.x_steps[-1]
    return problem.in_channels if is_frame else 1


def window_length(axis: Axis, outputs: int) -> int:
    """Return the number of positions that ``outputs`` neighbouring outputs read, or a little more."""
    return span_of(axis).length(outputs)


def round_up(value: int, multiple: int) -> int:
    """Return the least multiple that is not below ``value``."""
    return -(-value // multiple) * multiple
