"""How a gradient by dot products, or by outer products, is laid out for compiled code."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from math import prod
from typing import NamedTuple

import numpy as np

from ..jit import tables as t
from ..jit.compile import function
from ..jit.gradient import Y, sum_gradient, sum_outputs, sum_tile
from ..jit.intrinsics.dot_products import dot_products
from ..jit.intrinsics.outer_products import outer_products
from ..jit.intrinsics.transpose import turn_lines
from ..jit.machine import CACHE_LINE
from ..methods import tuning
from ..methods.direct import useful_workers
from ..methods.tiling.layout import round_up
from ..methods.tiling.tables import (
    Builder,
    Columns,
    Tasks,
    add_axes,
    axis_rows,
    dense_pitches,
    frames,
    functions,
    phase_table,
    spacing_of,
    tile_begins,
)
from ..methods.tiling.taps import Window, phases_apart, places_along, window
from ..methods.tiling.ways import lanes_of
from ..problem.axis import Axis
from ..problem.canonical import Problem
from .gradient_tiles import block_of, block_of_filters, suits_filters, tile_shape

_TASKS = 16  # that large problems are divided into, however many threads there are
_SUMS_BYTES = 2**22  # of all tasks: more take longer to add up than filters to divide
_FILTER_TASKS = 8  # that there are at most where filters are divided, because tiles make fewer
_SUMS_OF_SAMPLE = 512  # that a task then adds products of a sample to, but of two: each of them gathers x anew
_OUTPUTS = 2**15  # of a tile, at most
_LINE_PRICE = 100  # samples between two lines, below which they run as one: to begin a line costs as much


@dataclass(frozen=True)
class GradientPlan:
    """All of a gradient that does not depend on the arrays' contents and addresses.

    ``shape`` is that of the sums; its first axis is of the tasks that the tiles are divided among, ``most_tiles`` of a
    task in one go. ``taps`` says which tap each sum of dot products is of, -1 for none. Transforms of so many
    ``samples`` multiply the sums by them.
    """

    tasks: Tasks
    shape: tuple[int, ...]
    working: str
    workers: int  # that the work is large enough for
    taps: np.ndarray
    most_tiles: int
    samples: int = 1
    meets_zeros: bool = False  # whether zeros between the lines of y are multiplied by samples

    def __call__(self, x: np.ndarray, y: np.ndarray, fills: np.ndarray, workers: int | None) -> np.ndarray | None:
        """Return the sums of all tiles; None where transforms cannot represent the samples."""
        table, tiles, total = self.tasks.table, prod(self.tasks.grid), None
        flags, turns = np.zeros(int(table[t.TASKS]), np.int64), -(-tiles // (self.shape[0] * self.most_tiles))
        no_fills = np.zeros(int(table[Y + t.GROUPS] * table[Y + t.IN_CHANNELS]), self.working)
        columns = {t.X: x, t.FILLS: fills.astype(self.working), Y + t.X: y, Y + t.FILLS: no_fills, t.FLAGS: flags}
        for first, end in pairwise([tiles * turn // turns for turn in range(turns + 1)]):
            sums = np.zeros(self.shape, self.working)
            own = {**columns, t.OUT: sums, t.FIRST_TILE: first, t.END_TILE: end}
            self.tasks.run(own, workers, self.workers)
            found = sums[0] if len(sums) == 1 else sums.sum(axis=0)
            total = found if total is None else total + found
        return None if flags.any() else total


def describe(
    builder: Builder, job: int, problem: Problem, read: Sequence[Window], begins: Sequence[Sequence[int]],
    pitches: Sequence[int], working: str, columns: Columns,
) -> int:  # fmt: skip
    """Describe the windows of x, or of y, to gather. Return how many numbers a worker takes."""
    axes, described = add_axes(builder, problem, read, begins)
    compiled = {**functions(problem, working, spacing_of(problem, read)), **frames(problem, working)}
    builder.set({**described, **compiled, **columns, t.AXES: builder.add(axis_rows(axes, pitches))}, job)
    return int(described[t.NUMBERS])


def windows_of_y(problem: Problem, groups: int, shape: Sequence[int]) -> tuple[Problem, list[Window]]:
    """Return y as the x of another problem, whose channels are filters in so many groups, and the windows of a tile."""
    axes = tuple(Axis(axis.outputs) for axis in problem.axes)
    other = replace(
        problem, axes=axes, x_steps=problem.out_steps, groups=groups, stored=problem.result,
        in_channels=problem.groups * problem.out_channels // groups, x_channel_steps=problem.out_channel_steps,
    )  # fmt: skip
    return other, [window(axis, n) for axis, n in zip(axes, shape, strict=True)]


class _Shares(NamedTuple):
    """How the work is divided: the tiles that begin at such outputs, and the tasks."""

    shape: list[int]  # of a tile
    begins: Sequence[Sequence[int]]
    tile_tasks: int
    filter_tasks: int
    filters: int  # of a task


def _shares(problem: Problem, unit: int) -> _Shares:
    """Divide a problem's tiles, and where these make too few tasks its filters, of which tasks have whole units."""
    filters, taps, tile_tasks, filter_tasks = problem.branch_channels, problem.in_channels * problem.taps, 1, 1
    item, outputs = np.dtype(problem.working).itemsize, prod(a.outputs for a in problem.axes)
    if taps * problem.outputs > tuning.TUNING.small_gradient:
        sums_bytes = problem.groups * problem.out_channels * taps * item
        tile_tasks = min(_TASKS // problem.groups, _SUMS_BYTES // sums_bytes, outputs // tuning.TUNING.gradient_outputs)
        tile_tasks = max(1, tile_tasks)
        tasks = tile_tasks * problem.groups
        worth = max(filters * problem.taps // _SUMS_OF_SAMPLE, 2 if tasks == 1 else 1)
        most = max(1, min(_FILTER_TASKS // tasks, worth))
        filter_tasks = max(n for n in range(1, most + 1) if n == 1 or filters % (n * unit) == 0)
        filters //= filter_tasks
    shape = tile_shape(problem, filters, max(1, min(outputs // tile_tasks, _OUTPUTS)))
    begins = [tile_begins(axis, n, 0) for axis, n in zip(problem.axes, shape, strict=True)]
    shape, tiles = [int(np.diff(own).max()) for own in begins], prod(len(own) - 1 for own in begins)
    tile_tasks = -(-tiles // -(-tiles // tile_tasks))  # the fewest whose shares are no larger
    return _Shares(shape, begins, tile_tasks, filter_tasks, filters)


def _offsets(
    problem: Problem, read: Sequence[Window], pitches: Sequence[int], channel_pitch: int
) -> Iterator[np.ndarray]:  # fmt: skip
    """Yield where in a window each branch's taps of all channels read first: of as many taps as any branch has."""
    for lines in product(*(places_along(own, along) for own, along in zip(problem.axes, read, strict=True))):
        own = np.arange(problem.in_channels) * channel_pitch
        for a, places in enumerate(lines):
            places = np.pad(places, (0, problem.axes[a].taps - len(places)), "edge" if len(places) else "constant")
            own = (own[:, None] + places * pitches[a]).ravel()
        yield own


def _finished(
    builder: Builder, problem: Problem, shares: _Shares, blocks: tuple[int, ...], taps: np.ndarray, runs_on: bool
) -> GradientPlan:  # fmt: skip
    """Return the plan of a table that is complete but for its tasks; ``blocks`` are the last axes of its sums."""
    groups, tasks = problem.groups * problem.branches * shares.filter_tasks, shares.tile_tasks
    products = problem.in_channels * problem.taps * shares.filters * prod(shares.shape)
    lanes = lanes_of(problem.working)
    builder.set({
        t.RUN_TASKS: function(sum_gradient), t.PHASE_COUNT: problem.branches,
        t.FILTER_TASKS: shares.filter_tasks, t.SHARES: tasks, t.TASKS: tasks * groups,
    })  # fmt: skip
    return GradientPlan(
        builder.tasks(shares.begins), (tasks, problem.groups, problem.branches, shares.filter_tasks, *blocks),
        problem.working, useful_workers(problem, 2 * problem.in_channels * problem.taps * problem.outputs / lanes),
        taps, max(1, tuning.TUNING.gradient_products // products), meets_zeros=runs_on,
    )  # fmt: skip


@tuning.remembered(64)
def plan(problem: Problem, runs_on: bool) -> GradientPlan:
    """Lay out the gradient of a merged problem by products of lines, or of vectors of filters where there are many.

    ``runs_on`` says whether lines may run on over what lies between them, where zeros are multiplied by samples.
    """
    lanes = lanes_of(problem.working)
    if suits_filters(problem.branch_channels, problem.in_channels * problem.taps, lanes):
        return _by_filters(problem, _shares(problem, lanes))
    return _by_lines(problem, _shares(problem, 1), runs_on)


def _by_filters(problem: Problem, shares: _Shares) -> GradientPlan:
    """Lay out outer products of samples and vectors of filters."""
    working, channels, last = problem.working, problem.in_channels, len(problem.axes) - 1
    item, lanes, filters, shape = np.dtype(working).itemsize, lanes_of(working), shares.filters, shares.shape
    read = [window(axis, n, a == last) for a, (axis, n) in enumerate(zip(problem.axes, shape, strict=True))]
    pitches, y_pitches = dense_pitches(read, item), [item * prod(shape[a + 1 :]) for a in range(last + 1)]
    channel_pitch, y_pitch, taps = pitches[0] * read[0].length, item * prod(shape), channels * problem.taps
    block_taps, vectors = block_of_filters(filters, taps, lanes)
    rows = vectors * lanes
    row_blocks, tap_blocks, frame = -(-filters // rows), -(-taps // block_taps), rows * item
    builder = Builder(2, t.GRADIENT_COLUMNS)
    offsets = [
        (builder.add(np.pad(own, (0, tap_blocks * block_taps - taps), "edge")), 0, 0, 0)
        for own in _offsets(problem, read, pitches, channel_pitch)
    ]
    if read[-1].is_dense:  # where what neighbouring outputs read is a stride apart
        pitches[-1] *= problem.axes[-1].stride
    of_x = describe(builder, 0, problem, read, shares.begins, pitches, working, {t.CHANNEL_PITCH: channel_pitch})
    other, at = windows_of_y(problem, problem.groups * problem.branches * shares.filter_tasks, shape)
    of_y = describe(builder, 1, other, at, shares.begins, y_pitches, working, {t.CHANNEL_PITCH: y_pitch})
    y_at = round_up(channels * channel_pitch, CACHE_LINE)
    places_at = y_at + round_up(filters * y_pitch, CACHE_LINE)
    turned_at = places_at + round_up(8 * prod(shape), CACHE_LINE)
    totals_at = turned_at + row_blocks * prod(shape) * frame
    builder.set({
        t.SUM_TILE: function(sum_outputs), t.NUMBERS: max(of_x, of_y),
        t.SUM_PRODUCTS: outer_products.compile(working, lanes, block_taps, vectors),
        t.WRITE_LANES: turn_lines.compile(working, lanes), t.PHASES: builder.add(phase_table(problem, offsets)),
        t.ROWS: rows, t.ROW_BLOCKS: row_blocks, t.BLOCK_PITCH: prod(shape) * frame,
        t.BLOCK_TAPS: block_taps, t.TAP_BLOCKS: tap_blocks, t.SUMS_PITCH: taps,
        t.Y_AT: y_at, t.PLACES_AT: places_at, t.TURNED_AT: turned_at, t.TOTALS_AT: totals_at,
        t.SCRATCH_BYTES: totals_at + row_blocks * tap_blocks * block_taps * frame,
    })  # fmt: skip
    return _finished(builder, problem, shares, (filters, 1, taps), np.arange(taps)[None], runs_on=False)


def _by_lines(problem: Problem, shares: _Shares, runs_on: bool) -> GradientPlan:
    """Lay out dot products of lines."""
    working, channels, last = problem.working, problem.in_channels, len(problem.axes) - 1
    item, filters, shape, taps = np.dtype(working).itemsize, shares.filters, shares.shape, channels * problem.taps
    read = [window(axis, n) for axis, n in zip(problem.axes, shape, strict=True)]
    lengths = [own.length for own in read]
    read[-1], lengths[-1], strides = phases_apart(problem.axes[-1], read[-1], prod(lengths[:-1]))
    pitches = [item * prod(lengths[a + 1 :]) for a in range(last + 1)]
    first = last  # of the axes that run as one line
    while runs_on and first > 0 and (lengths[first] - shape[first]) * prod(lengths[first + 1 :]) < _LINE_PRICE:
        first -= 1
    y_lengths, shifts = [*shape[: first + 1], *lengths[first + 1 :]], {}
    for a, axis in enumerate(problem.axes):
        if a >= first and axis.stride == 1 and runs_on and not problem.is_upsampled:
            shifts[a] = min(axis.dilation, shape[a]) * pitches[a] / (item * prod(y_lengths[first:]))
    rows, shifted, columns, along, step = block_of(problem, filters, shifts)
    count, pitch = problem.axes[along].taps, prod(own.taps for own in problem.axes[along + 1 :])
    own_taps, further = np.arange(taps) // pitch % count, step * np.arange(shifted)[:, None]
    bases = np.flatnonzero(own_taps // step % shifted == 0)
    numbers = np.where(own_taps[bases] + further < count, bases + further * pitch, -1)
    row_blocks, tap_blocks = -(-filters // rows), -(-len(bases) // columns)

    # Zeros stand between lines of y, and before and behind those that are shifted.
    shift = step * pitches[along] * min(problem.axes[along].dilation, shape[along])
    margin = (shifted - 1) * shift
    line = round_up(item * prod(y_lengths[first:]) + margin, CACHE_LINE)
    y_pitches = [*(line * prod(y_lengths[a + 1 : first]) for a in range(first)), *pitches[first:]]
    y_pitch, channel_pitch = line * prod(y_lengths[:first]), item * strides * prod(lengths)
    y_at = round_up(channels * channel_pitch + margin, CACHE_LINE)

    builder, y_groups = Builder(2, t.GRADIENT_COLUMNS), problem.groups * problem.branches * shares.filter_tasks
    of_x = describe(builder, 0, problem, read, shares.begins, pitches, working, {t.CHANNEL_PITCH: channel_pitch})
    other, at = windows_of_y(problem, y_groups, shape)
    of_y = describe(builder, 1, other, at, shares.begins, y_pitches, working, {t.CHANNEL_PITCH: y_pitch})
    offsets = [
        (builder.add(np.pad(own[bases], (0, tap_blocks * columns - len(bases)), "edge")), 0, 0, 0)
        for own in _offsets(problem, read, pitches, channel_pitch)
    ]
    builder.set({
        t.SUM_TILE: function(sum_tile), t.NUMBERS: max(of_x, of_y), t.FLAT: last - first,
        t.SUM_PRODUCTS: dot_products.compile(working, lanes_of(working), rows * shifted, columns),
        t.PHASES: builder.add(phase_table(problem, offsets)),
        t.ROWS: rows * shifted, t.ROW_BLOCKS: row_blocks, t.BLOCK_PITCH: y_pitch * rows,
        t.ROW_PITCH: y_pitch if shifted == 1 else -shift, t.BEYOND: margin // item, t.Y_AT: y_at,
        t.SCRATCH_BYTES: round_up(y_at + y_pitch * rows * row_blocks, CACHE_LINE),
        t.BLOCK_TAPS: columns, t.TAP_BLOCKS: tap_blocks, t.SUMS_PITCH: tap_blocks * columns,
    })  # fmt: skip
    blocks = row_blocks * rows, shifted, tap_blocks * columns
    return _finished(builder, problem, shares, blocks, numbers, runs_on)
