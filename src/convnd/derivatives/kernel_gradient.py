"""The derivative by the kernel: for every weight, the sum of all outputs times the samples that it joins to them.

Small kernels take dot products over tiles, large ones products of spectra. Tasks sum neighbouring tiles, the same ones
for any number of workers, and their sums are added up in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from math import prod

import numpy as np

from ..jit import tables as t
from ..jit.compile import function
from ..jit.gradient import Y, sum_gradient, sum_spectra, sum_tile
from ..jit.intrinsics.dot_products import dot_products
from ..jit.lines import compile_largest
from ..jit.machine import CACHE_LINE, VECTOR_BYTES
from ..jit.parallel import available
from ..methods import tuning
from ..methods.direct import useful_workers
from ..methods.tiling.layout import round_up
from ..methods.tiling.tables import (
    Builder,
    Columns,
    Tasks,
    add_axes,
    axis_rows,
    frames,
    functions,
    phase_table,
    tile_begins,
)
from ..methods.tiling.taps import Window, phases_apart, places_along, window
from ..methods.tiling.ways import lanes_of
from ..methods.transforms import fft, windows
from ..problem import dtypes
from ..problem.axis import Axis
from ..problem.canonical import Problem, branch_weights, canonical, canonical_axes, canonical_filters, fills, merged
from ..problem.request import Request
from .gradient_tiles import block_of, tile_shape

_TASKS = 16  # that large problems are divided into, however many threads there are
_SUMS_BYTES = 2**22  # of all tasks: more take longer to add up than filters to divide
_FILTER_TASKS = 8  # that there are at most where filters are divided, because tiles make fewer
_SUMS_OF_SAMPLE = 512  # that a task then adds products of a sample to, at least: each of them gathers x anew
_OUTPUTS = 2**15  # of a tile, at most
_LINE_PRICE = 100  # samples between two lines, below which they run as one: to begin a line costs as much
_SPECTRAL_TASKS = 8  # at most
_NEARLY = 1.05  # times the least time: the most tasks that take no longer are made
_TILES_OF_PAIR = 16  # of a task in one go, at least, times pairs of channels over channels: pairs have a way back each


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


def _describe(
    builder: Builder, job: int, problem: Problem, read: Sequence[Window], begins: Sequence[Sequence[int]],
    pitches: Sequence[int], working: str, columns: Columns,
) -> int:  # fmt: skip
    """Describe the windows of x, or of y, to gather. Return how many numbers a worker takes."""
    axes, described = add_axes(builder, problem, read, begins)
    compiled = {**functions(problem, working), **frames(problem, working)}
    builder.set({**described, **compiled, **columns, t.AXES: builder.add(axis_rows(axes, pitches))}, job)
    return int(described[t.NUMBERS])


def _windows_of_y(problem: Problem, groups: int, shape: Sequence[int]) -> tuple[Problem, list[Window]]:
    """Return y as the x of another problem, whose channels are filters in so many groups, and the windows of a tile."""
    axes = tuple(Axis(axis.outputs) for axis in problem.axes)
    other = replace(
        problem, axes=axes, x_steps=problem.out_steps, groups=groups, stored=problem.result,
        in_channels=problem.groups * problem.out_channels // groups, x_channel_steps=problem.out_channel_steps,
    )  # fmt: skip
    return other, [window(axis, n) for axis, n in zip(axes, shape, strict=True)]


@tuning.remembered(64)
def plan(problem: Problem, runs_on: bool) -> GradientPlan:
    """Lay out the gradient of a merged problem by dot products.

    ``runs_on`` says whether lines may run on over what lies between them, where zeros are multiplied by samples.
    """
    working, filters, channels = problem.working, problem.branch_channels, problem.in_channels
    item, outputs, last = np.dtype(working).itemsize, prod(a.outputs for a in problem.axes), len(problem.axes) - 1
    taps, tile_tasks, filter_tasks = channels * problem.taps, 1, 1
    if taps * problem.outputs > tuning.TUNING.small_gradient:
        sums_bytes = problem.groups * problem.out_channels * taps * item
        tile_tasks = min(_TASKS // problem.groups, _SUMS_BYTES // sums_bytes, outputs // tuning.TUNING.gradient_outputs)
        tile_tasks = max(1, tile_tasks)
        most = max(1, min(_FILTER_TASKS // (tile_tasks * problem.groups), filters * problem.taps // _SUMS_OF_SAMPLE))
        filter_tasks = max(n for n in range(1, most + 1) if filters % n == 0)
        filters //= filter_tasks
    shape = tile_shape(problem, filters, max(1, min(outputs // tile_tasks, _OUTPUTS)))
    begins = [tile_begins(axis, n, 0) for axis, n in zip(problem.axes, shape, strict=True)]
    shape, tiles = [int(np.diff(own).max()) for own in begins], prod(len(own) - 1 for own in begins)
    tile_tasks = -(-tiles // -(-tiles // tile_tasks))  # the fewest whose shares are no larger

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

    builder, y_groups = Builder(2, t.GRADIENT_COLUMNS), problem.groups * problem.branches * filter_tasks
    of_x = _describe(builder, 0, problem, read, begins, pitches, working, {t.CHANNEL_PITCH: channel_pitch})
    other, at = _windows_of_y(problem, y_groups, shape)
    of_y = _describe(builder, 1, other, at, begins, y_pitches, working, {t.CHANNEL_PITCH: y_pitch})
    offsets = []
    for lines in product(*(places_along(own, along) for own, along in zip(problem.axes, read, strict=True))):
        own = np.arange(channels) * channel_pitch
        for a, places in enumerate(lines):  # of as many taps as any phase has
            places = np.pad(places, (0, problem.axes[a].taps - len(places)), "edge" if len(places) else "constant")
            own = (own[:, None] + places * pitches[a]).ravel()
        offsets.append((builder.add(np.pad(own[bases], (0, tap_blocks * columns - len(bases)), "edge")), 0, 0, 0))
    builder.set({
        t.RUN_TASKS: function(sum_gradient), t.SUM_TILE: function(sum_tile), t.NUMBERS: max(of_x, of_y),
        t.SUM_PRODUCTS: dot_products.compile(working, lanes_of(working), rows * shifted, columns),
        t.PHASES: builder.add(phase_table(problem, offsets)), t.PHASE_COUNT: problem.branches, t.FLAT: last - first,
        t.ROWS: rows * shifted, t.ROW_BLOCKS: row_blocks, t.BLOCK_PITCH: y_pitch * rows,
        t.ROW_PITCH: y_pitch if shifted == 1 else -shift, t.BEYOND: margin // item, t.Y_AT: y_at,
        t.SCRATCH_BYTES: round_up(y_at + y_pitch * rows * row_blocks, CACHE_LINE),
        t.BLOCK_TAPS: columns, t.TAP_BLOCKS: tap_blocks, t.SUMS_PITCH: tap_blocks * columns,
        t.FILTER_TASKS: filter_tasks, t.SHARES: tile_tasks, t.TASKS: tile_tasks * y_groups,
    })  # fmt: skip
    return GradientPlan(
        builder.tasks(begins),
        (tile_tasks, problem.groups, problem.branches, filter_tasks, row_blocks * rows, shifted, tap_blocks * columns),
        working, useful_workers(problem, 2 * taps * problem.outputs / (VECTOR_BYTES // item)), numbers,
        max(1, tuning.TUNING.gradient_products // (taps * filters * prod(shape))),
    )  # fmt: skip


@tuning.remembered(16)
def spectral_plan(problem: Problem) -> GradientPlan | None:
    """Lay out the gradient of a prepared problem by spectra; None where nothing is transformed, or too much is."""
    layout, working = windows.layout_of(problem, gradient=True), windows.transform_type(problem)
    if layout is None:
        return None
    builder, item, info = Builder(2, t.GRADIENT_COLUMNS), np.dtype(working).itemsize, np.finfo(working)
    begins = fft.lay_out(builder, problem, layout)
    table, pitches = builder.table(), [item * pitch for pitch in layout.pitches]
    pairs, channels = problem.out_channels * problem.in_channels, problem.out_channels + problem.in_channels
    read = [window(axis, n) for axis, n in zip(problem.axes, layout.shape, strict=True)]
    places = item * fft.tap_places(problem, read, pitches, item)
    cycles, tiles = windows.cycles(problem, layout, gradient=True), prod(len(own) - 1 for own in begins)
    transforms = {  # one after the other, by tasks: of their tiles, and for each pair of channels their way back
        tasks: -(-tasks * problem.groups // available()) * (channels * tiles / tasks + pairs)
        for tasks in range(1, min(_SPECTRAL_TASKS, tiles) + 1)
    }
    tile_tasks = max(tasks for tasks, own in transforms.items() if own <= _NEARLY * min(transforms.values()))
    # Products of spectra are sums of products of samples: half of each type's range is either's.
    limits = (float(info.tiny) / float(info.eps)) ** 0.5, float(info.max) ** 0.5 / (8 * layout.samples)
    least, most = (dtypes.bits(limit, working) for limit in limits)
    channel_pitch, slab_bytes = int(table[t.CHANNEL_PITCH]), int(table[t.SLAB_BYTES])
    both = {t.LEAST: least, t.MOST: most, t.LARGEST: compile_largest(working), t.CHANNEL_PITCH: channel_pitch}
    other, at = _windows_of_y(problem, problem.groups, layout.shape)
    of_y = _describe(builder, 1, other, at, begins, pitches, working, both)
    spectra_at = channels * channel_pitch + (channels + 1) * slab_bytes
    builder.set({
        **both, t.RUN_TASKS: function(sum_gradient), t.SUM_TILE: function(sum_spectra), t.SPECTRA_AT: spectra_at,
        t.NUMBERS: max(of_y, int(table[t.NUMBERS])), t.SLABS_AT: channels * channel_pitch,
        t.SCRATCH_BYTES: round_up(spectra_at + pairs * int(table[t.SLABS]) * slab_bytes, CACHE_LINE),
        t.PHASES: builder.add(places), t.SUMS_PITCH: places.size, t.SHARES: tile_tasks,
        t.TASKS: tile_tasks * problem.groups,
    })  # fmt: skip
    return GradientPlan(
        builder.tasks(begins),
        (tile_tasks, problem.groups, problem.out_channels, problem.in_channels, places.size), working,
        useful_workers(problem, cycles * tiles * problem.groups), np.arange(problem.taps),
        max(1, pairs * _TILES_OF_PAIR // channels, int(tuning.TUNING.gradient_cycles // cycles)), layout.samples,
    )  # fmt: skip


def kernel_gradient(request: Request, x: np.ndarray, y: np.ndarray, by_transforms: bool) -> np.ndarray:
    """Return the derivative by the kernel of the sum of products of a request's result for ``x`` with ``y``."""
    result = dtypes.default_result(x.dtype, y.dtype)
    weights = np.zeros(request.kernel.shape, result)
    if y.size == 0:
        return weights
    if result.kind == "c":  # planes of x and of y are channels
        y = y.astype(np.result_type(y, np.complex64), copy=False)
    own = request.plain._replace(x=x, kernel=weights, working=dtypes.working(x.dtype, y, result, request.fill))
    problem = canonical(own, y)
    sums = _sums(problem, x, y, fills(own, problem), request.workers, by_transforms)
    if result.kind == "c":
        sums = _conjugate_products(sums, problem.taps, 2 if x.dtype.kind == "c" else 1)
    filters = canonical_filters(own, weights)
    filters = filters.reshape(request.groups, -1, *filters.shape[1:])
    axes = canonical_axes(own)
    shape = (*filters.shape[:3], *(axis.taps for axis in axes))
    for number, (taps, there) in enumerate(branch_weights(axes)):
        filters[taps] = sums[:, number].reshape(shape)[there]
    return weights


def _sums(
    problem: Problem, x: np.ndarray, y: np.ndarray, fills: np.ndarray, workers: int | None, by_transforms: bool
) -> np.ndarray:  # fmt: skip
    """Return the sums of products of a problem, ``(groups, phases, C_out, C_in * taps)``."""
    shape = problem.groups, problem.branches, problem.branch_channels, problem.in_channels * problem.taps
    if by_transforms and not (problem.exact or problem.is_upsampled):
        by_spectra = spectral_plan(windows.prepared(problem))
        if by_spectra is not None and (found := by_spectra(x, y, fills, workers)) is not None:
            return (found / by_spectra.samples).reshape(shape)
    problem = merged(problem)
    for runs_on in (True, False):
        own = plan(problem, runs_on)
        found = own(x, y, fills, workers)
        assert found is not None
        sums = found[:, :, :, : problem.branch_channels // found.shape[2], :, : own.taps.shape[1]]
        if np.isfinite(sums).all():
            break  # else zeros between lines may have met samples that they are not to touch
    if len(own.taps) == 1:
        return sums.reshape(shape)
    in_order = np.empty(shape, sums.dtype)
    in_order[..., own.taps[own.taps >= 0]] = sums.reshape(*shape[:3], *own.taps.shape)[..., own.taps >= 0]
    return in_order


def _conjugate_products(sums: np.ndarray, taps: int, x_planes: int) -> np.ndarray:
    """Return the sums of ``conj(x) * y`` from those of the products of their planes, which are channels."""
    planes = sums.reshape(*sums.shape[:2], -1, 2, sums.shape[3] // taps // x_planes, x_planes, taps)
    planes = np.moveaxis(planes, (3, 5), (0, 1))  # of y, of x
    products = np.empty(planes.shape[2:], np.complex128)
    products.real, products.imag = planes[0, 0], planes[1, 0]
    if x_planes == 2:
        products.real += planes[1, 1]
        products.imag -= planes[0, 1]
    return products
