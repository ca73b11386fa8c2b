"""Convolution of tiles by their Fourier transforms (overlap-save), on the same gather and store as the direct method.

Two windows that are neighbours along an axis are the real and imaginary planes of one complex tile: its transform times
the conjugate of a real kernel's is the transform of both correlations. A tile is a dense array of *dimensions*; each
is transformed by passes across lanes (`butterfly.py`), where a *slab* is the vectors that the lanes of one transform
run through: a vector of real parts and one of imaginary parts for each sample. The lanes are neighbours along the last
dimension, or rows of the tile where the last dimension itself is transformed: its slabs are transposed.

The last transform, the product with the kernel's spectrum and its way back are one visit to each slab. A single long
line is two dimensions of which the second is *twisted*, turned by the twiddles of the whole line in between
(Bailey's four steps); the frequencies' order does not matter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .expressions import call_address, records_at, with_element
from .gather import AXIS, JOB_FIELDS, clear, gather, is_in_range, tile_box, tile_counts, unravel
from .machine import compile_routine, read_index, take_next, write_index
from .tiles import store

#: A dimension that is transformed: ``outer`` times around it, ``columns`` vectors inside it, ``pitch`` bytes apart.
DIMENSION = np.dtype(
    [(name, np.int64) for name in ("length", "pitch", "outer", "columns", "first_pass", "passes")]
)  # fmt: skip

PASS = np.dtype([(name, np.int64) for name in ("forward", "inverse", "blocks", "span", "twiddles")])

#: What the tasks of one call share. ``weights`` are the filters' spectra.
SPECTRAL_JOB = np.dtype(
    JOB_FIELDS + [(name, np.int64) for name in (
        # the axis along which two windows make a tile, and the outputs of the first
        "pair_axis", "pair_outputs",
        # bytes: of a plane, of a row of it, of a vector of lanes, of a slab; where the slabs lie in a worker's scratch
        "plane", "row", "vector", "slab_bytes", "slabs_at",
        # tables: the dimensions in the order of their transforms and their passes; how many
        "dimensions", "dimension_count", "passes", "pass_count",
        # the last transform: whether its slabs are transposed, how many there are, and how many neighbours share one
        # of a spectrum; its twist (0 for none)
        "transposed", "slabs", "alike", "twist",
        # routines
        "transpose", "twist_by", "untwist_by", "multiply", "multiply_add",
        # bits of what a tile's largest magnitude must be at least, or 0
        "least",
        # the kernel: the copy of its weights to their places in a tile, bytes of a filter's weights and of its spectrum
        "copy", "place_runs", "place_count", "filters", "filter_bytes", "spectrum_bytes",
    )]
)  # fmt: skip


def run_passes(dimension, passes, inverse, source, target, slab):
    """Transform one slab: from an (address, pitch, plane) to another, in ``slab`` in between."""
    read = source
    for k in range(dimension.passes):
        write = target if k == dimension.passes - 1 else slab
        step = passes[dimension.first_pass + (dimension.passes - 1 - k if inverse else k)]
        arguments = (read[0], read[1], read[2], write[0], write[1], write[2], step.blocks, step.span, step.twiddles)
        call_address(step.inverse if inverse else step.forward, arguments)
        read = slab


def is_zero(address, dimension, job):
    """Return whether a slab of a tile holds zeros only: transforms of windows, and more so of kernels, start so."""
    for sample in range(dimension.length):
        row = address + sample * dimension.pitch
        bits = 0
        for word in range(job.vector // 8):
            bits |= read_index(row, word) | read_index(row + job.plane, word)
        if bits != 0:
            return False
    return True


def transform_columns(dimension, passes, inverse, tile, job, slab):
    """Transform every column of a tile along a dimension, in place."""
    between = (slab, 2 * job.vector, job.vector)
    for outer in range(dimension.outer):
        for column in range(dimension.columns):
            address = tile + outer * dimension.length * dimension.pitch + column * job.vector
            if inverse or not is_zero(address, dimension, job):
                line = (address, dimension.pitch, job.plane)
                run_passes(dimension, passes, inverse, line, line, between)


def slab_address(number, dimension, tile, job):
    """Return where a slab of the last transform begins in a tile."""
    if job.transposed:
        return tile + number * (job.vector // job.item) * job.row
    outer, column = number // dimension.columns, number % dimension.columns
    return tile + outer * dimension.length * dimension.pitch + column * job.vector


def slab_steps(slab, job):
    """Return a slab's address, and the bytes to its next sample, its next block and its imaginary parts."""
    return slab, 2 * job.vector, 2 * job.vector * (job.vector // job.item), job.vector


def transpose(source, target, dimension, job):
    """Transpose rows of a tile into a slab, or back: between (address, pitch, step, plane)."""
    blocks = -(-dimension.length * job.item // job.vector)
    for plane in range(2):
        read, write = source[0] + plane * source[3], target[0] + plane * target[3]
        call_address(job.transpose, (read, source[1], source[2], write, target[1], target[2], blocks))


def load_slab(address, number, dimension, passes, job, slab):
    """Transform a slab of a tile along the last transformed dimension, into ``slab``."""
    inside = (slab, 2 * job.vector, job.vector)
    if not job.transposed:
        run_passes(dimension, passes, False, (address, dimension.pitch, job.plane), inside, inside)
        return
    transpose((address, job.row, job.vector, job.plane), slab_steps(slab, job), dimension, job)
    if job.twist != 0:
        call_address(job.twist_by, (slab, job.twist + number * job.slab_bytes, slab, dimension.length))
    run_passes(dimension, passes, False, inside, inside, inside)


def unload_slab(slab, number, dimension, passes, job, address):
    """Undo `load_slab`, times the dimension's length."""
    inside = (slab, 2 * job.vector, job.vector)
    if not job.transposed:
        run_passes(dimension, passes, True, inside, (address, dimension.pitch, job.plane), inside)
        return
    run_passes(dimension, passes, True, inside, inside, inside)
    if job.twist != 0:
        call_address(job.untwist_by, (slab, job.twist + number * job.slab_bytes, slab, dimension.length))
    transpose(slab_steps(slab, job), (address, job.row, job.vector, job.plane), dimension, job)


def transform_filter(number, dimensions, passes, job, scratch):
    """Write the spectrum of one filter."""
    tile, slab = scratch + job.window_at, scratch + job.slabs_at
    clear(tile, 2 * job.plane)
    weights = job.filters + number * job.filter_bytes
    call_address(job.copy, (weights, job.item, job.place_runs, job.place_count, tile, 0, 0, 1))
    last = dimensions[job.dimension_count - 1]
    for d in range(job.dimension_count - 1):
        transform_columns(dimensions[d], passes, False, tile, job, slab)
    for n in range(0, job.slabs, job.alike):
        target = job.weights + number * job.spectrum_bytes + n // job.alike * job.slab_bytes
        load_slab(slab_address(n, last, tile, job), n, last, passes, job, target)


def convolve_tile(group, dimensions, passes, job, tile, slabs):
    """Turn the windows of a group's channels, in place, into its output channels."""
    last = dimensions[job.dimension_count - 1]
    for channel in range(job.in_channels):
        for d in range(job.dimension_count - 1):
            transform_columns(dimensions[d], passes, False, tile + channel * job.channel_pitch, job, slabs)
    result = slabs + job.in_channels * job.slab_bytes
    for n in range(job.slabs):
        address = slab_address(n, last, tile, job)
        for channel in range(job.in_channels):
            load_slab(address + channel * job.channel_pitch, n, last, passes, job, slabs + channel * job.slab_bytes)
        for out_channel in range(job.out_per_group):
            number = (group * job.out_per_group + out_channel) * job.in_channels
            spectrum = job.weights + number * job.spectrum_bytes + n // job.alike * job.slab_bytes
            for channel in range(job.in_channels):
                routine = job.multiply if channel == 0 else job.multiply_add
                slab = slabs + channel * job.slab_bytes
                call_address(routine, (slab, spectrum + channel * job.spectrum_bytes, result, last.length))
            unload_slab(result, n, last, passes, job, address + out_channel * job.channel_pitch)
    for out_channel in range(job.out_per_group):
        for d in range(job.dimension_count - 2, -1, -1):
            transform_columns(dimensions[d], passes, True, tile + out_channel * job.channel_pitch, job, slabs)


def halves(origin, outputs, job):
    """Return the outputs of the first of a tile's two windows, and the second's first output and its outputs."""
    pair = job.pair_axis
    first = min(outputs[pair], job.pair_outputs)
    second = with_element(outputs, pair, outputs[pair] - first)
    return with_element(outputs, pair, first), with_element(origin, pair, origin[pair] + first), second


def gather_pair(group, origin, outputs, axes, job, scratch, tile):
    """Gather the two windows of a tile, for every channel, into its planes."""
    first, second_origin, second = halves(origin, outputs, job)
    clear(tile, job.in_channels * job.channel_pitch)
    gather(group, origin, first, axes, job, scratch, tile)
    if second[job.pair_axis] > 0:
        gather(group, second_origin, second, axes, job, scratch, tile + job.plane)


def store_window(group, origin, outputs, axes, job, window):
    """Write the outputs of one window, for every output channel of a group."""
    last = len(origin) - 1
    lines = with_element(outputs, last, 1)
    target = job.out
    for a in range(len(origin)):
        target += origin[a] * axes[a].out_step
    for out_channel in range(job.out_per_group):
        channel = group * job.out_per_group + out_channel
        there = target + read_index(job.out_channels, channel)
        store(window + out_channel * job.channel_pitch, 0, there, 0, 1, channel, outputs[last], lines, axes, job)


@lru_cache(maxsize=32)
def compile_spectral_worker(rank: int) -> Any:
    """Compile a worker for one number of axes: it runs tasks, each a tile and a group, until none is left.

    A tile out of range is left alone and flagged.
    """
    zeros = (0,) * rank

    def worker(number, jobs, axis_records):
        job, axes = jobs[0], axis_records
        dimensions = records_at(job.dimensions, job.dimension_count, DIMENSION)
        passes = records_at(job.passes, job.pass_count, PASS)
        scratch = job.scratch + number * job.scratch_bytes
        tile, slabs = scratch + job.window_at, scratch + job.slabs_at
        grid = tile_counts(zeros, axes)
        task = take_next(job.next_task)
        while task < job.tasks:
            group = task % job.groups
            origin, outputs = tile_box(unravel(task // job.groups, grid), axes, job)
            gather_pair(group, origin, outputs, axes, job, scratch, tile)
            if is_in_range(tile, job, scratch):
                convolve_tile(group, dimensions, passes, job, tile, slabs)
                first, second_origin, second = halves(origin, outputs, job)
                store_window(group, origin, first, axes, job, tile)
                store_window(group, second_origin, second, axes, job, tile + job.plane)
            else:
                write_index(job.flags, task, 1)
            task = take_next(job.next_task)

    return compile_routine(worker, jobs=SPECTRAL_JOB, axis_records=AXIS)


@lru_cache(maxsize=1)
def compile_filter_worker() -> Any:
    """Compile a worker whose tasks are the transforms of filters."""

    def worker(number, jobs, unused):
        job = jobs[0]
        dimensions = records_at(job.dimensions, job.dimension_count, DIMENSION)
        passes = records_at(job.passes, job.pass_count, PASS)
        scratch = job.scratch + number * job.scratch_bytes
        task = take_next(job.next_task)
        while task < job.tasks:
            transform_filter(task, dimensions, passes, job, scratch)
            task = take_next(job.next_task)

    return compile_routine(worker, jobs=SPECTRAL_JOB, axis_records=AXIS)
