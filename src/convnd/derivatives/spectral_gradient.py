"""The derivative by a large kernel, by Fourier transforms of the FFT method's tiles.

A tile's windows of x and, at the places of their outputs, the outputs given are both transformed. The first's spectrum
times the conjugate of the second's is that of their correlation, whose real part at the place of a tap is the sum of
products for that tap, of both windows: all tiles of a part add up their spectra and share one transform back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..jit.expressions import call_address, records_at
from ..jit.fourier import (
    DIMENSION,
    PASS,
    SPECTRAL_JOB,
    gather_pair,
    load_slab,
    slab_address,
    transform_columns,
    unload_slab,
)
from ..jit.gather import AXIS, clear, is_in_range, tile_box, tile_counts, unravel
from ..jit.machine import CACHE_LINE, compile_routine, take_next, write_index
from ..methods import tuning
from ..methods.fft import SpectralPlan, build, tap_places
from ..methods.jobs import geometry, run
from ..methods.layout import round_up
from ..methods.windows import best, cycles
from ..problem.axis import Axis, window
from ..problem.boundary import CONSTANT
from ..problem.canonical import Problem
from ..problem.dtypes import bits
from .parts import rounds

_TILES_OF_PAIR = 16  #: of a part, at least, for each pair of channels and one channel of each
_PARTS = 8  # that the tiles are divided into, however many threads there are

#: What the tasks share beside the jobs of x and of the outputs, which are gathered as another x.
SPECTRAL_GRADIENT = np.dtype([(name, np.int64) for name in (
    # the first tile, the one behind the last, and how many a part has; bytes of a part's weights and of a filter's;
    # where the taps are
    "first_tile", "tiles", "tiles_of_part", "part_bytes", "filter_bytes", "place_runs", "place_count",
    # of a worker's scratch: where the outputs' windows are, and the sums of spectra with their bytes
    "outputs_at", "sums_at", "sums_bytes",
)])  # fmt: skip


def add_products(dimensions, passes, job, values, tile, others, slabs, sums):
    """Add a tile's products of spectra, of every output channel and every input channel, to their sums."""
    last = dimensions[job.dimension_count - 1]
    for d in range(job.dimension_count - 1):
        for channel in range(job.in_channels):
            transform_columns(dimensions[d], passes, False, tile + channel * job.channel_pitch, job, slabs)
        for channel in range(values.in_channels):
            transform_columns(dimensions[d], passes, False, others + channel * job.channel_pitch, job, slabs)
    of_others = slabs + job.in_channels * job.slab_bytes
    for n in range(job.slabs):
        offset = slab_address(n, last, 0, job)
        for channel in range(job.in_channels):
            source = tile + offset + channel * job.channel_pitch
            load_slab(source, n, last, passes, job, slabs + channel * job.slab_bytes)
        for channel in range(values.in_channels):
            source = others + offset + channel * job.channel_pitch
            load_slab(source, n, last, passes, job, of_others + channel * job.slab_bytes)
        for pair in range(values.in_channels * job.in_channels):
            slab = slabs + pair % job.in_channels * job.slab_bytes
            other = of_others + pair // job.in_channels * job.slab_bytes
            target = sums + (pair * job.slabs + n) * job.slab_bytes
            call_address(job.multiply_add, (slab, other, target, last.length))


def write_taps(dimensions, passes, job, gradient, tile, slabs, sums, target):
    """Transform the sums of one pair of channels back and write what stands at the places of the taps."""
    last = dimensions[job.dimension_count - 1]
    for n in range(job.slabs):
        unload_slab(sums + n * job.slab_bytes, n, last, passes, job, slab_address(n, last, tile, job))
    for d in range(job.dimension_count - 2, -1, -1):
        transform_columns(dimensions[d], passes, True, tile, job, slabs)
    call_address(job.copy, (tile, job.item, gradient.place_runs, gradient.place_count, target, 0, 0, 1))


@lru_cache(maxsize=32)
def compile_worker(rank: int) -> Any:
    """Compile a worker for one number of axes: it runs tasks, each a part of the tiles and a group.

    A tile out of range is left out and its part flagged.
    """
    zeros = (0,) * rank

    def worker(number, jobs, axis_records):
        job, values = jobs[0], jobs[1]
        gradient = records_at(job.weights, 1, SPECTRAL_GRADIENT)[0]
        every_axis = axis_records
        axes, value_axes = every_axis[: len(zeros)], every_axis[len(zeros) :]
        dimensions = records_at(job.dimensions, job.dimension_count, DIMENSION)
        passes = records_at(job.passes, job.pass_count, PASS)
        scratch = job.scratch + number * job.scratch_bytes
        tile, others = scratch + job.window_at, scratch + gradient.outputs_at
        slabs, sums = scratch + job.slabs_at, scratch + gradient.sums_at
        grid = tile_counts(zeros, axes)
        pairs = values.in_channels * job.in_channels
        task = take_next(job.next_task)
        while task < job.tasks:
            group, part = task % job.groups, task // job.groups
            clear(sums, gradient.sums_bytes)
            first_tile = gradient.first_tile + part * gradient.tiles_of_part
            for k in range(first_tile, min(gradient.tiles, first_tile + gradient.tiles_of_part)):
                origin, outputs = tile_box(unravel(k, grid), axes, job)
                gather_pair(group, origin, outputs, axes, job, scratch, tile)
                gather_pair(group, origin, outputs, value_axes, values, scratch, others)
                if is_in_range(tile, job, scratch) and is_in_range(others, values, scratch):
                    add_products(dimensions, passes, job, values, tile, others, slabs, sums)
                else:
                    write_index(job.flags, task, 1)
            for pair in range(pairs):
                target = job.out + part * gradient.part_bytes + (group * pairs + pair) * gradient.filter_bytes
                own = sums + pair * job.slabs * job.slab_bytes
                write_taps(dimensions, passes, job, gradient, tile, slabs, own, target)
            task = take_next(job.next_task)

    return compile_routine(worker, jobs=SPECTRAL_JOB, axis_records=AXIS)


@dataclass(frozen=True)
class SpectralGradientPlan:
    """All of a problem's gradient that does not depend on the arrays' contents and addresses."""

    forward: SpectralPlan
    parts: tuple[int, ...]  # shape: parts, groups, output and input channels, taps, lines beside each other
    job: np.ndarray
    axes: np.ndarray
    gradient: np.ndarray
    kept: tuple[Any, ...]  # alive: the job holds their addresses
    worker: Any

    def __call__(self, x: np.ndarray, y: np.ndarray, fills: np.ndarray, workers: int | None) -> np.ndarray | None:
        """Return the gradient, ``(groups, C_out, C_in * taps)``; None where transforms cannot hold the samples."""
        job, sums = self.job.copy(), np.zeros(())
        job["x"] = [x.ctypes.data, y.ctypes.data]
        flags = np.zeros(int(job["tasks"][0]), np.int64)
        for gradient in rounds(self.gradient, self.parts[0]):
            parts = np.zeros(self.parts, self.forward.working)
            arrays = {"fills": fills.astype(self.forward.working), "out": parts, "flags": flags, "weights": gradient}
            run(job, self.axes, self.worker, arrays, workers, self.forward.workers)
            if flags.any():
                return None
            sums = sums + parts.sum(axis=(0, 5), dtype=np.float64) / self.forward.layout.samples
        return sums.reshape(*sums.shape[:2], -1)


@tuning.remembered(16)
def plan(problem: Problem) -> SpectralGradientPlan | None:
    """Lay out the gradient of a prepared problem; None where it has no extent to transform, or too many channels."""
    layout = best(problem, gradient=True)
    if layout is None:
        return None
    forward = build(problem, layout)
    job, item = forward.job, np.dtype(forward.working).itemsize
    slabs_bytes = int(job["slabs"][0] * job["slab_bytes"][0])
    pairs = problem.out_channels * problem.in_channels
    given = replace(
        problem, axes=tuple(Axis(axis.outputs) for axis in problem.axes), x_steps=problem.out_steps, mode=CONSTANT,
        in_channels=problem.out_channels, x_channel_steps=problem.out_channel_steps, stored=problem.result,
        fill_period=1,
    )  # fmt: skip
    shape = forward.layout.shape
    windows = [window(axis, n) for axis, n in zip(given.axes, shape, strict=True)]
    pitches = forward.geometry.axes["pitch"].tolist()
    outline = geometry(given, forward.working, windows, [np.arange(2)] * len(windows), pitches, ranged=True)

    lines = 1 if forward.layout.transposed else forward.layout.lengths[-1]
    places = tap_places([window(axis, n) for axis, n in zip(problem.axes, shape, strict=True)], pitches, item)
    taps = np.arange(len(places))
    runs = np.stack([taps * lines, np.full_like(taps, lines), places, np.ones_like(taps)], axis=1)
    tiles = prod(forward.geometry.axes["tiles"].tolist())
    # The way back is as long as that of so many tiles, for each pair of channels.
    most = pairs * _TILES_OF_PAIR // (problem.in_channels + problem.out_channels)
    most = max(1, most, int(tuning.TUNING.gradient_cycles // cycles(problem, layout)))
    tiles_of_part = min(most, -(-tiles // _PARTS))
    parts = min(_PARTS, -(-tiles // tiles_of_part))
    slabs_at = int(job["slabs_at"][0])
    outputs_at = round_up(
        slabs_at + (problem.in_channels + problem.out_channels + 1) * int(job["slab_bytes"][0]), CACHE_LINE
    )
    sums_at = outputs_at + problem.out_channels * int(job["channel_pitch"][0])
    gradient = np.zeros(1, SPECTRAL_GRADIENT)
    filter_bytes = item * lines * problem.taps
    gradient[0] = (
        0, tiles, tiles_of_part, problem.groups * pairs * filter_bytes, filter_bytes, runs.ctypes.data, len(runs),
        outputs_at, sums_at, pairs * slabs_bytes,
    )  # fmt: skip
    both = np.concatenate([job, job])
    for name, value in outline.values.items():
        both[name][1] = value
    info = np.finfo(forward.working)
    # Products of spectra are sums of products of samples: half of each type's range is either's.
    limits = (float(info.tiny) / float(info.eps)) ** 0.5, float(info.max) ** 0.5 / (8 * forward.layout.samples)
    both["least"], both["most"] = (bits(limit, forward.working) for limit in limits)
    both["tasks"] = parts * problem.groups
    both["scratch_bytes"] = round_up(sums_at + pairs * slabs_bytes, CACHE_LINE)
    return SpectralGradientPlan(
        forward, (parts, problem.groups, problem.out_channels, problem.in_channels, problem.taps, lines), both,
        np.concatenate([forward.geometry.axes, outline.axes]), gradient, (outline, runs), compile_worker(len(windows)),
    )  # fmt: skip
