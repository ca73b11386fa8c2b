"""The derivative by the kernel: for every weight, the sum of all outputs times the samples that it joins to them.

Small kernels take products over tiles, large ones products of spectra. Tasks sum neighbouring tiles, the same ones
for any number of workers, and their sums are added up in order.
"""

from math import prod

import numpy as np

from ..jit import tables as t
from ..jit.compile import function
from ..jit.gradient import sum_gradient, sum_spectra
from ..jit.lines import compile_largest
from ..jit.machine import CACHE_LINE
from ..jit.parallel import available
from ..methods import tuning
from ..methods.direct import useful_workers
from ..methods.tiling.layout import round_up
from ..methods.tiling.tables import Builder
from ..methods.tiling.taps import window
from ..methods.transforms import fft, windows
from ..problem import dtypes
from ..problem.canonical import Problem, branch_weights, canonical, canonical_axes, canonical_filters, fills, merged
from ..problem.request import Request
from .gradient_plans import GradientPlan, describe, plan, windows_of_y

_SPECTRAL_TASKS = 8  # at most
_NEARLY = 1.05  # times the least time: the most tasks that take no longer are made
_TILES_OF_PAIR = 16  # of a task in one go, at least, times pairs of channels over channels: pairs have a way back each


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
    other, at = windows_of_y(problem, problem.groups, layout.shape)
    of_y = describe(builder, 1, other, at, begins, pitches, working, both)
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
    working = dtypes.working(x.dtype, y, result, request.fill)
    own = request.plain._replace(x=x, kernel=weights, working=working, scale=1.0)
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
        if not own.meets_zeros or np.isfinite(sums).all():
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
