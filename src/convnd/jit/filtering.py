"""Winograd's minimal filtering on the tile pipeline: gather, transforms, products, transforms back, store.

A task is a *box* of outputs, a group, and a chunk of its output channels. The box is cut into Winograd's tiles of four
by four outputs, whose windows of six by six samples are lanes: one tile beside the other, one row of tiles below the
other, item by item: of a batch, and along axes whose taps are summed as they are. Each of the 36 *planes* of the
transformed windows is a matrix (input channels, lanes); the products are the register tile's, with output channels for
rows, and for taps the *terms*: every input channel, and of it the lanes so many items on that each such tap reads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .expressions import call_address, with_element
from .gather import AXIS, JOB_FIELDS, clear, extreme_of, gather, is_in_range, tile_box, tile_counts, total, unravel
from .machine import compile_routine, read_index, take_next, write_index
from .minimal import FLOAT, OUTPUTS, PLANES, TAPS

#: What the tasks of one call share. ``weights`` are the transformed filters: (groups, blocks, planes, terms, rows).
WINOGRAD_JOB = np.dtype(
    JOB_FIELDS + [(name, np.int64) for name in (
        # the axis of the kernel that is not the last, or the last where it is folded; lanes of a vector
        "down", "lanes",
        # into how many lines the last axis is folded, 1 where it is not, and then the bytes between lines of a window;
        # lines and outputs of a tile along these axes, and its planes
        "folds", "line_pitch", "height", "width", "planes",
        # routines, and the register tile's tables
        "transform_line", "transform_tiles", "transform_sums", "transform_filters", "product", "taps", "bounds",
        # bytes: of an item's lanes, of a channel's, of a row of sums; of the planes between two transforms, of windows,
        # of sums, of lines of outputs
        "item_row", "row", "sums_row", "between_plane", "plane", "sums_plane", "results_plane",
        # where these lie in a worker's scratch
        "between_at", "planes_at", "sums_at", "results_at",
        # output channels of a block, lanes of a block; blocks of a group, of a chunk, and those summed before they are
        # transformed; chunks of a group; bytes of a block's weights for one plane
        "rows", "block", "blocks", "chunk", "span", "chunks", "weights_plane",
        # input channels times the taps that are summed as they are
        "terms",
        # parts that they are summed in, the terms of one, and the bytes between the sums of one and the next
        "parts", "part_terms", "part_bytes",
        # bits of what a tile's largest magnitude must be at least, or 0
        "least",
        # the filters to transform, bytes of one, blocks of as many as there are lanes in a group, the transposition of
        # these, and the bits of each one's largest magnitude
        "filters", "filter_bytes", "filter_blocks", "transpose", "largest_taps",
    )]
)  # fmt: skip


def pieces(count, size):
    """Return how many times ``size`` covers ``count``."""
    return -(-count // size)


def tiles_along(outputs, job):
    """Return the rows of Winograd's tiles of a box, the tiles of a row, and the multi-indices of its items."""
    items = with_element(with_element(outputs, job.down, 1), len(outputs) - 1, 1)
    down = pieces(outputs[job.down], job.height) if job.folds == 1 else 1
    return down, pieces(outputs[-1], job.width), items


def lanes_before(item, axes, job):
    """Return the bytes of lanes before an item of a window, by its multi-index."""
    index = 0
    for a in range(len(item)):
        if a != job.down and a != len(item) - 1:
            index = index * axes[a].window + item[a]
    return index * job.item_row


def lanes_of(outputs, axes, job):
    """Return the lanes from the first output of a box to its last."""
    down, across, items = tiles_along(outputs, job)
    for a in range(len(items)):
        items = with_element(items, a, items[a] - 1)
    return lanes_before(items, axes, job) // FLOAT + down * across


def transform_windows(outputs, axes, job, scratch):
    """Transform the gathered windows of all channels into planes."""
    down, across, items = tiles_along(outputs, job)
    for a in range(len(items)):
        if a != job.down and a != len(items) - 1:
            items = with_element(items, a, min(axes[a].window, items[a] + axes[a].reach))
    between = scratch + job.between_at
    vectors = pieces(across, job.lanes)
    for channel in range(job.in_channels):
        window = scratch + job.window_at + channel * job.channel_pitch
        for item in range(total(items)):
            place = unravel(item, items)
            target = scratch + job.planes_at + channel * job.row + lanes_before(place, axes, job)
            first = window
            for a in range(len(outputs)):
                first += place[a] * axes[a].pitch
            for line in range(job.height * down + TAPS - 1):
                to = between + line % OUTPUTS * job.between_plane + line // OUTPUTS * across * FLOAT
                source = first + line * job.line_pitch
                if job.folds > 1 and line >= job.folds:
                    source += FLOAT - job.folds * job.line_pitch
                call_address(job.transform_line, (source, to, OUTPUTS * job.between_plane, vectors))
            count = pieces(down * across, job.lanes)
            arguments = (between, job.between_plane, across * FLOAT, target, job.plane, count)
            call_address(job.transform_tiles, arguments)


def sum_products(group, first, blocks, lanes, job, scratch):
    """Sum the products of all planes over the terms, for some blocks of output channels."""
    for plane in range(job.planes):
        source = scratch + job.planes_at + plane * job.plane
        for block in range(blocks):
            weights = job.weights + ((group * job.blocks + first + block) * PLANES + plane) * job.weights_plane
            target = scratch + job.sums_at + plane * job.sums_plane + block * job.rows * job.sums_row
            for part in range(job.parts):
                taps, own = job.taps + part * job.part_terms * 8, weights + part * job.part_terms * job.rows * FLOAT
                to, count = target + part * job.part_bytes, pieces(lanes, job.block)
                call_address(job.product, (source, taps, own, job.bounds + 16 * part, 1, to, job.sums_row, count, 0, 0))


def store_outputs(channel, target, outputs, axes, job, results):
    """Write the lines of outputs of one channel that exist."""
    _, across, items = tiles_along(outputs, job)
    for item in range(total(items)):
        place = unravel(item, items)
        first = target + read_index(job.out_channels, channel)
        for a in range(len(outputs)):
            first += place[a] * axes[a].out_step
        for line in range(outputs[job.down] if job.folds == 1 else 1):
            read = results + line % OUTPUTS * job.results_plane
            read += job.width * (lanes_before(place, axes, job) + line // OUTPUTS * across * FLOAT)
            write = first + line * axes[job.down].out_step
            call_address(job.store, (read, outputs[-1], write, axes[len(outputs) - 1].out_step, 0, 0))


def convolve_box(group, chunk, outputs, target, axes, job, scratch):
    """Turn the planes of a box into the outputs of a chunk of a group's channels."""
    lanes = lanes_of(outputs, axes, job)
    results = scratch + job.results_at
    end = min(pieces(job.out_per_group, job.rows), (chunk + 1) * job.chunk)
    for first in range(chunk * job.chunk, end, job.span):
        blocks = min(job.span, end - first)
        sum_products(group, first, blocks, lanes, job, scratch)
        for row in range(min(blocks * job.rows, job.out_per_group - first * job.rows)):
            sums = scratch + job.sums_at + row * job.sums_row
            arguments = (sums, job.sums_plane, job.part_bytes, results, job.results_plane, pieces(lanes, job.lanes))
            call_address(job.transform_sums, arguments)
            channel = group * job.out_per_group + first * job.rows + row
            store_outputs(channel, target, outputs, axes, job, results)


def is_whole(outputs, axes):
    """Return whether a box has all the outputs that its window has room for."""
    whole = True
    for a in range(len(outputs)):
        whole &= outputs[a] == axes[a].window - axes[a].reach
    return whole


@lru_cache(maxsize=32)
def compile_winograd_worker(rank: int) -> Any:
    """Compile a worker for one number of axes: it runs tasks until none is left.

    A box out of range is left alone and flagged.
    """
    zeros = (0,) * rank

    def worker(number, jobs, axis_records):
        job, axes = jobs[0], axis_records
        scratch = job.scratch + number * job.scratch_bytes
        window = scratch + job.window_at
        grid = tile_counts(zeros, axes)
        task = take_next(job.next_task)
        while task < job.tasks:
            chunk, rest = task % job.chunks, task // job.chunks
            group = rest % job.groups
            origin, outputs = tile_box(unravel(rest // job.groups, grid), axes, job)
            if not is_whole(outputs, axes):  # a tile's sums cancel what lies beyond the outputs that exist
                clear(window, job.in_channels * job.channel_pitch)
            gather(group, origin, outputs, axes, job, scratch, window)
            if is_in_range(window, job, scratch):
                transform_windows(outputs, axes, job, scratch)
                target = job.out
                for a in range(len(zeros)):
                    target += origin[a] * axes[a].out_step
                convolve_box(group, chunk, outputs, target, axes, job, scratch)
            else:
                write_index(job.flags, rest, 1)
            task = take_next(job.next_task)

    return compile_routine(worker, jobs=WINOGRAD_JOB, axis_records=AXIS)


def transform_block(group, block, job, scratch):
    """Transform the filters of as many output channels as there are lanes."""
    taps, line = scratch + job.planes_at, job.lanes * FLOAT
    first = block * job.lanes
    filters = job.filters + (group * job.filter_blocks + block) * job.lanes * job.filter_bytes
    for row in range(min(job.lanes, job.out_per_group - first)):
        bits = extreme_of(filters + row * job.filter_bytes, job.filter_bytes, job, scratch)
        write_index(job.largest_taps, group * job.out_per_group + first + row, bits)
    rows = group * job.blocks * job.rows + first
    target = job.weights + rows // job.rows * PLANES * job.weights_plane + rows % job.rows * FLOAT
    for term in range(0, job.terms, job.lanes):
        terms = min(job.lanes, job.terms - term)
        source = filters + term * TAPS * TAPS * FLOAT
        blocks = pieces(terms * TAPS * TAPS, job.lanes)
        call_address(job.transpose, (source, job.filter_bytes, line, taps, line, job.lanes * line, blocks))
        to = target + term * job.rows * FLOAT
        arguments = (taps, to, job.weights_plane, PLANES * job.weights_plane, terms)
        call_address(job.transform_filters, arguments)


@lru_cache(maxsize=1)
def compile_filters_worker() -> Any:
    """Compile a worker whose tasks are the transforms of blocks of filters."""

    def worker(number, jobs, unused):
        job = jobs[0]
        scratch = job.scratch + number * job.scratch_bytes
        task = take_next(job.next_task)
        while task < job.tasks:
            transform_block(task // job.filter_blocks, task % job.filter_blocks, job, scratch)
            task = take_next(job.next_task)

    return compile_routine(worker, jobs=WINOGRAD_JOB, axis_records=AXIS)
