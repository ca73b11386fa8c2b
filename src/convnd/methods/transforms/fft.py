"""The FFT method: everything laid out for compiled code, and run."""

from collections.abc import Sequence
from itertools import chain
from math import log2, prod

import numpy as np

from ...jit import tables as t
from ...jit.intrinsics.butterfly import butterflies, products
from ...jit.intrinsics.scaling import scale
from ...jit.intrinsics.transpose import transpose
from ...jit.lines import compile_reader
from ...jit.machine import CACHE_LINE
from ...jit.parallel import aligned, team_size
from ...jit.transforms.fourier import convolve_by_fft, transform_filters
from ...jit.transforms.radices import factors, frequencies, roots, twiddle_table
from ...problem.canonical import Kernel, Problem
from ...problem.dtypes import bits, largest
from ...problem.request import Request
from .. import direct, tuning
from ..separable.factors import Factor, Structure
from ..tiling.layout import round_up
from ..tiling.tables import Builder, add_axes, axis_rows, even_begins, functions, spacing_of
from ..tiling.taps import Window, window
from .spectral_layout import SpectralLayout
from .transform import Transformed, TransformPlan, bits_between, tasks_of
from .windows import cycles, elapsed, filters, layout_of, least_cycles, prepared, tiles, transform_type

_POWERS = {"float32": 96, "float64": 512}  # exponents that make subnormal samples normal
_FITTED = 0.125, 1.2, 0.7  # what `tuning.milliseconds` is told of the method
_PASS_ERROR = 3.5  #: roundings of a pass of a transform, after Higham (2002), "Accuracy and Stability", theorem 24.2


def _range(weights: np.ndarray, samples: int, working: str) -> tuple[int, int]:
    """Return the bits of the least and the most magnitude of samples that transforms can represent.

    A transform sums all samples, and a spectrum's products are small where the weights are.
    """
    info = np.finfo(working)
    sums = np.abs(weights).sum(axis=2).max()
    gain = min(1.0, sums / samples)
    least = float(info.tiny) / float(info.eps) / gain if gain else 0.0
    most = float(info.max) / (8.0 * samples * max(1.0, sums))
    return bits_between(least, most if np.isfinite(sums) else 0.0, working)


def _power(weights: np.ndarray, working: str) -> int:
    """Return the exponent of the power of two that makes weights that are all small sum up to about 1, else 0."""
    sums = np.abs(weights).sum(axis=2).max()
    return -int(np.frexp(sums)[1]) if 0 < sums < np.finfo(working).eps else 0


@tuning.remembered(64)
def plan(problem: Problem) -> TransformPlan:
    """Lay out the tables of a prepared problem that has a layout."""
    layout, builder, working = layout_of(problem), Builder(columns=t.FFT_COLUMNS), transform_type(problem)
    assert layout is not None
    begins = lay_out(builder, problem, layout)
    table, pairs, samples = builder.table(), problem.in_channels * problem.out_channels, layout.samples
    beside = prod(n for a, n in enumerate(layout.shape) if a not in layout.transformed)
    of_transforms = 5 * samples * log2(samples) * (problem.in_channels + problem.out_channels)
    lengths = " x ".join(str(layout.lengths[a]) for a in layout.transformed)
    return TransformPlan(
        problem, layout, working, direct.useful_workers(problem, cycles(problem, layout) * int(table[t.TASKS])),
        *tasks_of(builder.tasks(begins), convolve_by_fft, transform_filters, filters(problem)),
        int(int(table[t.TASKS]) * beside * (of_transforms + 6 * pairs * samples)),
        int(table[t.SPECTRUM_BYTES]) * filters(problem),
        [
            f"taps      {problem.in_channels * problem.taps} for each output",
            f"tile      {layout.shape} outputs, transforms of {lengths} complex samples in {working}",
        ],
    )  # fmt: skip


def lay_out(builder: Builder, problem: Problem, layout: SpectralLayout) -> list[list[int]]:
    """Lay out the transforms of a problem's tiles, and return the tiles' first outputs."""
    working, lanes = transform_type(problem), layout.lanes
    item = np.dtype(working).itemsize
    vector = lanes * item
    along = zip(problem.axes, layout.shape, layout.samples_along, strict=True)
    windows = [_read(window(axis, outputs), samples) for axis, outputs, samples in along]
    pitches = [item * pitch for pitch in layout.pitches]
    begins = [even_begins(axis, size) for axis, size in zip(problem.axes, layout.shape, strict=True)]
    axes, columns = add_axes(builder, problem, windows, begins)
    compiled = functions(problem, working, spacing_of(problem, windows), problem.exact, ranged=True)
    steps: list[tuple[int, ...]] = []
    dimensions: list[tuple[int, ...]] = []
    for d, (length, pitch, outer) in enumerate(layout.dimensions):
        first, span = len(steps), length
        for radix in factors(length):
            blocks, span = length // span, span // radix
            folded = (d, blocks) == (0, 1)
            both = [butterflies.compile(working, lanes, radix, inverse, span > 1, folded) for inverse in (False, True)]
            twiddles = builder.address(twiddle_table(radix, span, working, folded))
            steps.append((*both, blocks, span, twiddles))
        dimensions.append((length, pitch * item, outer, max(1, pitch // lanes), first, len(steps) - first))
    slab_bytes, plane = 2 * item * layout.slab, item * layout.rows * layout.row
    twist = builder.address(_twist(layout, working)) if layout.halves else 0
    runs = _place_runs(tap_places(problem, windows, pitches, item))
    power = _POWERS[working]
    by_table = [products.compile(working, lanes, *ways) for ways in ((False, False), (False, True), (True, True))]
    slabs_at = round_up(2 * plane * max(problem.in_channels, problem.out_channels), CACHE_LINE)
    at = builder.add([*chain(*dimensions)])
    builder.set({
        **columns, **compiled, t.AXES: builder.add(axis_rows(axes, pitches)), t.CHANNEL_PITCH: 2 * plane,
        t.ROW_AXIS: -1, t.PLANE: plane, t.ROW: layout.row * item, t.VECTOR: vector, t.SLAB_BYTES: slab_bytes,
        t.SLABS_AT: slabs_at,
        t.DIMENSIONS: at, t.LAST_DIMENSION: at + (len(dimensions) - 1) * t.DIMENSION_COLUMNS,
        t.STEPS: builder.add([*chain(*steps)]),
        t.SLABS: layout.slabs, t.TWIST: twist, t.TWIST_BY: by_table[0], t.UNTWIST_BY: by_table[1],
        t.MULTIPLY: by_table[1], t.MULTIPLY_ADD: by_table[2], t.TRANSPOSE: transpose.compile(working, lanes),
        t.COPY: compile_reader(np.dtype(working).str, working),
        t.SCALE: scale.compile(working, lanes), t.POWER: power,
        t.SMALL: bits(2.0**power * float(np.finfo(working).tiny), working),
        t.PLACE_RUNS: builder.add(runs), t.PLACE_COUNT: len(runs),
        t.FILTER_BYTES: item * problem.taps, t.SPECTRUM_BYTES: layout.slabs * slab_bytes,
        t.TASKS: prod(len(b) - 1 for b in begins) * problem.groups, t.GROUP_TASKS: 1,
        t.SCRATCH_BYTES: round_up(slabs_at + (problem.in_channels + 1) * slab_bytes, CACHE_LINE),
    })  # fmt: skip
    return begins


def _read(own: Window, samples: int) -> Window:
    """Return a window's first samples; it is dense where it has more."""
    return own if samples >= own.length else Window([[0, samples, 0, 1]], own.places.tolist())


def _twist(layout: SpectralLayout, working: str) -> np.ndarray:
    """Return the twiddles between the two dimensions of a line, slab by slab: (slabs, samples, 2, lanes)."""
    rows, row, lanes = layout.rows, layout.row, layout.lanes
    frequency = frequencies(rows).reshape(-1, 1, lanes)
    table = np.zeros((rows // lanes, layout.slab // lanes, 2, lanes), working)
    table[:, :row] = np.moveaxis(roots(np.arange(row)[:, None] * (4 * frequency - 1), rows * row), -1, 2)
    return table


def tap_places(problem: Problem, windows: list[Window], pitches: list[int], item: int) -> np.ndarray:
    """Return the place of every tap in a tile."""
    places = np.zeros(1, np.int64)
    for own, pitch in zip(problem.in_kernel_order(windows), problem.in_kernel_order(pitches), strict=True):
        places = (places[:, None] + own.places * (pitch // item)).ravel()
    return places


def _place_runs(places: np.ndarray) -> np.ndarray:
    """Return the places of a filter's taps in a tile as runs of (place, length, first tap)."""
    first = np.flatnonzero(np.diff(places, prepend=places[0] - 2) != 1)
    return np.stack([places[first], np.diff(first, append=len(places)), first], axis=1)


def unsupported_reason(request: Request, problem: Problem, kernel: np.ndarray, factors: Sequence[Factor]) -> str:
    """Return why the method cannot run a problem with a kernel, or nothing where it can."""
    if problem.is_upsampled:
        return "the branches of an upsampled axis are summed directly"
    if problem.taps == 1:
        return "there is no extent to transform"
    if _transformed(problem) == 0:
        return "transforms and spectra would take too much memory"
    if not problem.exact:
        return ""
    if problem.working == "int64":
        return "sums beyond 2^53 are exact in whole numbers only"
    weights = np.abs(kernel.astype(np.float64))
    error = rounding(problem, weights, max(largest(request.held or request.x.dtype), abs(request.fill)))
    return "" if error < 0.25 else "transforms of such large whole numbers would not be exact"


def rounding(problem: Problem, weights: np.ndarray, samples: float) -> float:
    """Bound the error of results, by the magnitudes of the weights and the largest of the samples."""
    # With d the relative error of a transform, |error| <= d (2 |x| |w| + |x| sum |w|), |.| the Euclidean norm.
    transformed = _transformed(problem)
    relative = _PASS_ERROR * float(np.finfo(transform_type(problem)).eps) * log2(2 * transformed)
    samples *= (2 * problem.in_channels * transformed) ** 0.5
    error: float = relative * samples * (2 * (weights**2).sum(axis=2).max() ** 0.5 + weights.sum(axis=2).max())
    return error


@tuning.remembered(256)
def _transformed(problem: Problem) -> int:
    """Return the samples of a transform, 0 where there is none."""
    layout = layout_of(prepared(problem))
    return 0 if layout is None else layout.samples


@tuning.remembered(256)
def estimate(problem: Problem, factors: Structure) -> float:
    """Estimate the milliseconds of a call."""
    own = prepared(problem)
    layout = layout_of(own)
    assert layout is not None
    all_cycles = cycles(own, layout) * own.groups * prod(tiles(own, layout))
    workers = team_size(None, direct.useful_workers(own, all_cycles))
    return tuning.milliseconds(problem, float(elapsed(own, layout, workers=workers)), workers, *_FITTED)


@tuning.remembered(256)
def least_estimate(problem: Problem) -> float:
    """Return milliseconds, at little cost: where other methods take no more, an estimate is not worth looking for."""
    if problem.is_upsampled:
        return 0.0
    return tuning.milliseconds(problem, least_cycles(problem), 1, *_FITTED)


def prepare(
    problem: Problem, kernel: Kernel, factors: Sequence[Factor], workers: int | None
) -> tuple[TransformPlan, Transformed]:
    """Return the plan of a problem, and the spectra of a kernel's filters."""
    own = plan(prepared(problem))
    weights, samples = kernel.weights.astype(np.float64), own.layout.samples
    power = _power(weights, own.working)
    weights = np.ldexp(weights, power)
    scaled, spectra = (weights / samples).astype(own.working), aligned(own.weight_bytes)
    own.filter_tasks.run({t.FILTERS: scaled, t.WEIGHTS: spectra}, workers, filters(own.problem))
    return own, Transformed(kernel.weights, spectra, *_range(weights, samples, own.working), power)
