"""The FFT method: which windows are transformed, by which passes, and what the tasks of a call need."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import log2, prod
from typing import Any

import numpy as np

from . import direct
from .axis import Axis, Window, window
from .butterfly import (
    Pass,
    compile_pass,
    compile_product,
    compile_transpose,
    factors,
    frequencies,
    twiddle_table,
)
from .fourier import DIMENSION, PASS, SPECTRAL_JOB, compile_filter_worker, compile_spectral_worker
from .jobs import Geometry, geometry, run
from .layout import gather_cycles, round_up, window_length
from .machine import CACHE_LINE, vector_bytes
from .problem import Problem, merged
from .threads import available
from .tiles import TUNING, compile_gather

_TILES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
_PASS_CYCLES = {2: 4.0, 3: 5.0, 4: 5.0, 5: 8.0, 8: 7.0}  # of a complex vector
_MOST_GROWTH = 64  # of a kernel's memory, where that is what takes more than tiles should
_CHOICES = (24, 16, 9, 4)  # lengths to choose from along each axis, by the number of axes
_BATCH_LINE = 64  # outputs of a tile along a batch axis that is the last


@dataclass(frozen=True)
class SpectralLayout:
    """How a problem is cut into windows and how these are transformed.

    Parameters
    ----------
    shape : tuple of int
        Outputs of a window along each axis.
    lengths : tuple of int
        Samples along each axis of a transform; along an axis without taps, those of the window.
    transformed : tuple of int
        The axes that have taps.
    pair_axis : int
        The axis along which two windows make a tile.
    split : bool
        Whether the last axis is transformed alone, as two dimensions.
    lanes : int
        Lines that are transformed at once.
    """

    shape: tuple[int, ...]
    lengths: tuple[int, ...]
    transformed: tuple[int, ...]
    pair_axis: int
    split: bool
    lanes: int

    @property
    def samples(self) -> int:
        """Samples of one transform."""
        return prod(self.lengths[a] for a in self.transformed)

    @property
    def transposed(self) -> bool:
        """Whether the last axis is transformed, so that lanes are rows."""
        return self.transformed[-1] == len(self.lengths) - 1

    @property
    def rows(self) -> int:
        """Rows of a plane, of which the transforms of the last axis take as many as there are lanes."""
        if self.split:
            return _halves(self.lengths[-1])[0]
        return round_up(prod(self.lengths[:-1]), self.lanes)

    @property
    def row(self) -> int:
        """Samples from a row to the next. One vector too many keeps rows out of each other's way in the caches."""
        if self.split:
            return _halves(self.lengths[-1])[1]
        return round_up(self.lengths[-1], self.lanes) + self.lanes

    @property
    def dimensions(self) -> list[tuple[int, int, int]]:
        """Length, samples from one to the next, and repetitions around it, in the order of the transforms."""
        if self.split:
            return [(self.rows, self.row, 1), (self.row, 1, 1)]
        inner = [
            prod(self.lengths[a + 1 : -1]) * self.row if a < len(self.lengths) - 1 else 1 for a in self.transformed
        ]
        return [(self.lengths[a], pitch, prod(self.lengths[:a])) for a, pitch in zip(self.transformed, inner)]

    @property
    def slab(self) -> int:
        """Complex samples of the longest slab, whole blocks of a transposition."""
        return max(round_up(length, self.lanes) for length, _, _ in self.dimensions) * self.lanes


def _halves(length: int) -> tuple[int, int]:
    """Return two factors of a multiple of 256, multiples of 16 and of like size."""
    short = max(d for d in range(1, int((length // 256) ** 0.5) + 1) if (length // 256) % d == 0)
    return 16 * short, length // (16 * short)


@lru_cache(maxsize=1)
def _fast_lengths() -> list[int]:
    """Return the lengths that are products of 2, 3 and 5."""
    limit = 2**26
    powers = [[p**k for k in range(27) if p**k <= limit] for p in (2, 3, 5)]
    return sorted(n for n in (a * b * c for a, b, c in product(*powers)) if n <= limit)


def fast_length(least: int, multiple: int = 1) -> int:
    """Return the least fast length, a multiple of ``multiple``, that is not below ``least``."""
    lengths = _fast_lengths()
    return multiple * lengths[bisect_left(lengths, -(-least // multiple))]


def transform_type(problem: Problem) -> str:
    """Return the type of the transforms: whole numbers need the mantissa of a double."""
    return "float32" if problem.working == "float32" and not problem.exact else "float64"


def prepared(problem: Problem) -> Problem:
    """Return a problem whose last axis makes long lines.

    Frames stay apart from the axis of the kernel, so that the items of a batch do not share rounding errors.
    """
    problem = merged(problem, most_interleaved=0)
    axes, last = problem.axes, problem.axes[-1]
    if len(axes) > 1 and last.is_batch and last.length < _BATCH_LINE and problem.fill_period == 1:
        order = [len(axes) - 1, *range(len(axes) - 1)]
        steps = [tuple(steps[a] for a in order) for steps in (problem.x_steps, problem.out_steps)]
        return replace(problem, axes=tuple(axes[a] for a in order), x_steps=steps[0], out_steps=steps[1])
    return problem


def layouts(problem: Problem) -> Iterator[SpectralLayout]:
    """Yield the ways to cut a prepared problem."""
    axes, last = problem.axes, len(problem.axes) - 1
    lanes = vector_bytes() // np.dtype(transform_type(problem)).itemsize
    transformed = tuple(a for a, axis in enumerate(axes) if axis.taps > 1)
    split = transformed == (last,)
    choices = [
        _lengths(axis, 256 if split else 1, _CHOICES[min(len(transformed), len(_CHOICES)) - 1])
        if a in transformed
        else [(min(axis.outputs, _BATCH_LINE if a == last else 1),) * 2]
        for a, axis in enumerate(axes)
    ]
    for choice in product(*choices):
        shape, lengths = zip(*choice, strict=True)
        # Two windows along the axis on which the second is most often there.
        pair = min(transformed, key=lambda a: (-(-axes[a].outputs // shape[a]) % 2, -axes[a].outputs / shape[a]))
        yield SpectralLayout(shape, lengths, transformed, pair, split, lanes)


def _lengths(axis: Axis, multiple: int, most: int) -> list[tuple[int, int]]:
    """Return outputs of a window and the length of its transform: the longer the fewer samples for an output."""
    found: list[tuple[int, int]] = []
    for tiles in reversed(_TILES):
        outputs = -(-axis.outputs // tiles)
        length = fast_length(window_length(axis, outputs), multiple)
        if found and length == found[-1][1]:
            found[-1] = outputs, length
        elif not found or length / outputs < found[-1][1] / found[-1][0]:
            found.append((outputs, length))
    if len(found) <= most:
        return found
    return [found[n * (len(found) - 1) // (most - 1)] for n in range(most)]


def cycles(problem: Problem, layout: SpectralLayout) -> float:
    """Estimate the cycles of one core for one tile and group. The constants were fitted to timings of single tiles."""
    item = np.dtype(transform_type(problem)).itemsize
    plane = layout.rows * layout.row
    vectors = plane / layout.lanes
    samples = 2 * prod(window_length(a, n) for a, n in zip(problem.axes, layout.shape, strict=True))
    line = window_length(problem.axes[-1], layout.shape[-1])
    copied = problem.in_channels * samples / line * gather_cycles(line)
    outputs = 2 * prod(layout.shape)
    copied += problem.out_channels * outputs / layout.shape[-1] * gather_cycles(layout.shape[-1])
    of_spectra = TUNING.product_cycles
    if 2 * plane * item * filters(problem) > TUNING.near_bytes:  # they come from the next level
        of_spectra = max(of_spectra, 2 * layout.lanes * item / TUNING.far_bytes)
    multiplied = problem.in_channels * problem.out_channels * vectors * of_spectra
    transforms = problem.in_channels + problem.out_channels
    return copied + multiplied + transforms * _transform_cycles(layout, item)


def _transform_cycles(layout: SpectralLayout, item: int) -> float:
    plane = layout.rows * layout.row
    total = 0.0
    for length, _, _ in layout.dimensions:
        total += plane / layout.lanes * (TUNING.slab_cycles + sum(_PASS_CYCLES[r] for r in factors(length)))
        if 2 * plane * item > TUNING.near_bytes:
            total += 4 * plane * item / TUNING.far_bytes
    return total


def tiles(problem: Problem, layout: SpectralLayout) -> list[int]:
    """Return the tiles along each axis."""
    windows = [-(-axis.outputs // n) for axis, n in zip(problem.axes, layout.shape, strict=True)]
    windows[layout.pair_axis] = -(-windows[layout.pair_axis] // 2)
    return windows


def memory(problem: Problem, layout: SpectralLayout) -> int:
    """Return the bytes of every thread's tile and of the spectra."""
    item = np.dtype(transform_type(problem)).itemsize
    planes = max(problem.in_channels, problem.out_channels) * available() + filters(problem)
    return 2 * planes * layout.rows * layout.row * item


def elapsed(problem: Problem, layout: SpectralLayout, batch: bool) -> float:
    """Estimate the cycles that all threads together take, for one item of a batch or for all."""
    counts = tiles(problem, layout)
    tasks = problem.groups * prod(n for a, n in enumerate(counts) if batch or a in layout.transformed)
    spectra = filters(problem) * _transform_cycles(layout, np.dtype(transform_type(problem)).itemsize) / 2
    threads = available()
    rounds = -(-tasks // threads) if tasks < 8 * threads else tasks / threads
    return cycles(problem, layout) * rounds + spectra / min(threads, filters(problem))


@lru_cache(maxsize=256)
def best(problem: Problem) -> SpectralLayout | None:
    """Return the layout of a prepared problem whose items take least time.

    None where no axis has taps, or where the spectra of many filters would not fit. It does not depend on the size of
    the batch, nor does a result's rounding.
    """
    if all(axis.taps == 1 for axis in problem.axes):
        return None
    fitting = [layout for layout in layouts(problem) if memory(problem, layout) <= TUNING.memory_bytes]
    if fitting:
        return min(fitting, key=lambda layout: elapsed(problem, layout, batch=False))
    smallest = min(layouts(problem), key=lambda layout: memory(problem, layout))
    kernel_bytes = filters(problem) * problem.taps * np.dtype(problem.working).itemsize
    return smallest if memory(problem, smallest) <= _MOST_GROWTH * kernel_bytes else None


def filters(problem: Problem) -> int:
    """Return the number of filters, of every group and both channels."""
    return problem.groups * problem.out_channels * problem.in_channels


@dataclass(frozen=True)
class Spectra:
    """A kernel's filters, their spectra, and the bits of the magnitudes between which samples must lie."""

    kernel: np.ndarray
    spectra: np.ndarray
    least: int
    most: int


@dataclass(frozen=True)
class SpectralPlan:
    """All of a problem that does not depend on the arrays' contents and addresses, laid out for compiled code."""

    problem: Problem
    layout: SpectralLayout
    working: str
    workers: int
    job: np.ndarray
    geometry: Geometry
    tables: tuple[np.ndarray, ...]  # kept alive, as are the routines: the job holds their addresses
    routines: tuple[Any, ...]

    @property
    def flops(self) -> int:
        """Operations of a call, the filters' transforms not counted."""
        samples, channels = self.layout.samples, self.problem.in_channels + self.problem.out_channels
        beside = prod(n for a, n in enumerate(self.layout.shape) if a not in self.layout.transformed)
        products = 6 * self.problem.in_channels * self.problem.out_channels * samples
        return int(self.job["tasks"][0] * beside * (channels * 5 * samples * log2(samples) + products))

    @property
    def scratch_bytes(self) -> int:
        """Bytes that a thread takes."""
        return int(self.job["scratch_bytes"][0])

    @property
    def weight_bytes(self) -> int:
        """Bytes that the spectra take."""
        return int(self.job["spectrum_bytes"][0]) * filters(self.problem)

    def describe(self) -> list[str]:
        """Say what runs."""
        lengths = " x ".join(str(self.layout.lengths[a]) for a in self.layout.transformed)
        return [
            f"taps      {self.problem.in_channels * self.problem.taps} for each output",
            f"tile      two windows of {self.layout.shape} outputs, transforms of {lengths} in {self.working}",
        ]

    def prepare(self, kernel: np.ndarray, workers: int | None) -> Spectra:
        """Return the spectra of the filters of every group, `problem.canonical_kernel`."""
        weights = kernel.astype(np.float64)
        job = self.job.copy()
        count = filters(self.problem)
        job["tasks"] = count
        arrays = {
            "filters": (weights / self.layout.samples).astype(self.working),
            "weights": aligned(int(job["spectrum_bytes"][0]) * count),
        }
        run(job, self.geometry.axes, self.routines[1], arrays, workers, count)
        return Spectra(kernel, arrays["weights"], *_range(weights, self.layout.samples, self.working))

    def __call__(
        self, x: np.ndarray, weights: Spectra, fills: np.ndarray, out: np.ndarray, workers: int | None
    ) -> None:
        """Convolve ``x`` into ``out``; the parameters are those of `DirectPlan`."""
        job = self.job.copy()
        job["least"], job["most"] = weights.least, weights.most
        flags = np.zeros(int(job["tasks"][0]), np.int64)
        arrays = {"x": x, "out": out, "weights": weights.spectra, "flags": flags, "fills": fills.astype(self.working)}
        run(job, self.geometry.axes, self.routines[0], arrays, workers, self.workers)
        direct.repair(self.problem, self.geometry, flags, x, weights.kernel, fills, out, workers)


def _range(weights: np.ndarray, samples: int, working: str) -> tuple[int, int]:
    """Return the bits of the least and the most magnitude of samples that transforms can represent.

    A transform sums all samples, and a spectrum's products are small where the weights are.
    """
    info, size = np.finfo(working), np.dtype(working).itemsize
    sums = np.abs(weights).sum(axis=2).max()
    with np.errstate(all="ignore"):
        gain = min(1.0, sums / samples)
        least = float(info.tiny) / float(info.eps) / gain if gain else 0.0
        most = float(info.max) / (8.0 * samples * max(1.0, sums))
    if not (np.isfinite(sums) and least <= most):
        return 1, 0
    bits = [int(np.array(v, working).view(f"i{size}")) for v in (least, most)]
    return bits[0], bits[1]


def aligned(size: int) -> np.ndarray:
    """Return uninitialised bytes that begin with a cache line."""
    room = np.empty(size + CACHE_LINE, np.uint8)
    first = -room.ctypes.data % CACHE_LINE
    return room[first : first + size]


@lru_cache(maxsize=64)
def plan(problem: Problem) -> SpectralPlan:
    """Return the plan of a prepared problem that has a layout."""
    layout = best(problem)
    assert layout is not None
    return build(problem, layout)


def build(problem: Problem, layout: SpectralLayout) -> SpectralPlan:
    """Lay out the tables and the job of a problem."""
    working, lanes = transform_type(problem), layout.lanes
    item = np.dtype(working).itemsize
    vector = lanes * item
    windows = [window(axis, outputs) for axis, outputs in zip(problem.axes, layout.shape, strict=True)]
    pitches = [item * layout.row * prod(layout.lengths[a + 1 : -1]) for a in range(len(windows) - 1)] + [item]
    steps = [n * (2 if a == layout.pair_axis else 1) for a, n in enumerate(layout.shape)]
    begins = [
        np.minimum(np.arange(0, axis.outputs + step, step), axis.outputs)
        for axis, step in zip(problem.axes, steps, strict=True)
    ]
    outline = geometry(problem, working, windows, begins, pitches, problem.exact)

    passes: list[tuple[int, ...]] = []
    dimensions: list[tuple[int, ...]] = []
    tables: list[np.ndarray] = []
    routines: list[Any] = []
    for length, pitch, outer in layout.dimensions:
        first, span = len(passes), length
        for radix in factors(length):
            blocks, span = length // span, span // radix
            both = [compile_pass(Pass(working, lanes, radix, inverse, span > 1)) for inverse in (False, True)]
            twiddles = twiddle_table(radix, span, working)
            passes.append((both[0].address, both[1].address, blocks, span, twiddles.ctypes.data))
            tables.append(twiddles)
            routines += both
        dimensions.append((length, pitch * item, outer, max(1, pitch // lanes), first, len(passes) - first))
    dimension_table, pass_table = np.array(dimensions, DIMENSION), np.array(passes, PASS)
    length, pitch, outer = layout.dimensions[-1]
    columns = 1 if layout.transposed else pitch // lanes
    slabs = layout.rows // lanes if layout.transposed else outer * columns
    slab_bytes = 2 * item * layout.slab
    twist = np.zeros(0)
    if layout.split:
        twist = _twist(layout, working)
    runs = _place_runs(problem, windows, pitches, 1 if layout.transposed else lanes, item)
    tables += [dimension_table, pass_table, twist, runs]
    products = [
        compile_product(working, lanes, adds, conjugates)
        for adds, conjugates in ((False, False), (False, True), (True, True))
    ]
    others = [
        compile_transpose(working, lanes),
        compile_gather(np.dtype(working).str, working),
    ]
    plane = item * layout.rows * layout.row
    tile_bytes = 2 * plane * max(problem.in_channels, problem.out_channels)
    slabs_at = outline.values["window_at"] + tile_bytes
    values = {
        "channel_pitch": 2 * plane,
        "pair_axis": layout.pair_axis, "pair_outputs": layout.shape[layout.pair_axis],
        "plane": plane, "row": layout.row * item, "vector": vector, "slab_bytes": slab_bytes, "slabs_at": slabs_at,
        "dimensions": dimension_table.ctypes.data, "dimension_count": len(dimensions),
        "passes": pass_table.ctypes.data, "pass_count": len(passes),
        "transposed": layout.transposed, "slabs": slabs, "alike": columns,
        "twist": twist.ctypes.data if layout.split else 0,
        "transpose": others[0].address, "twist_by": products[0].address, "untwist_by": products[1].address,
        "multiply": products[1].address, "multiply_add": products[2].address,
        "copy": others[1].address, "place_runs": runs.ctypes.data, "place_count": len(runs),
        "filter_bytes": item * problem.taps,
        "spectrum_bytes": slabs // columns * slab_bytes,
        "tasks": prod(len(b) - 1 for b in begins) * problem.groups,
        "scratch_bytes": round_up(slabs_at + (problem.in_channels + 1) * slab_bytes, CACHE_LINE),
    }  # fmt: skip
    routines += products + others
    workers = [compile_spectral_worker(len(windows)), compile_filter_worker()]
    useful = direct.useful_workers(problem, cycles(problem, layout) * values["tasks"])
    return SpectralPlan(
        problem, layout, working, useful, outline.job(SPECTRAL_JOB, values), outline,
        tuple(tables), tuple(workers + routines),
    )  # fmt: skip


def _twist(layout: SpectralLayout, working: str) -> np.ndarray:
    """Return the twiddles between the two dimensions of a line, slab by slab: (slabs, samples, 2, lanes)."""
    rows, row, lanes = layout.rows, layout.row, layout.lanes
    frequency = frequencies(rows).reshape(-1, 1, lanes)
    angle = -2 * np.pi * (frequency * np.arange(row)[:, None] % (rows * row)) / (rows * row)
    table = np.zeros((rows // lanes, layout.slab // lanes, 2, lanes), working)
    table[:, :row, 0], table[:, :row, 1] = np.cos(angle), np.sin(angle)
    return table


def _place_runs(problem: Problem, windows: list[Window], pitches: list[int], columns: int, item: int) -> np.ndarray:
    """Return the places of a filter's taps in a tile as runs of (place, length, first tap, step of the taps)."""
    places = np.zeros(1, np.int64)
    for own, pitch in zip(windows, pitches, strict=True):
        places = (places[:, None] + own.places * (pitch // item)).ravel()
    taps = np.arange(len(places))
    if columns > 1:  # the same weight in every lane
        return np.stack([places, np.full_like(taps, columns), taps, np.zeros_like(taps)], axis=1)
    first = np.flatnonzero(np.diff(places, prepend=places[0] - 2) != 1)
    lengths = np.diff(first, append=len(places))
    return np.stack([places[first], lengths, first, np.ones_like(first)], axis=1)
