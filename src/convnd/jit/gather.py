"""Gather: from an array to the windows of tiles.

A tile is a box of neighbouring outputs. Gather copies the input window that it reads into a small buffer and is the
only place that knows the boundary, the memory layout of ``x`` and its type.

Compiled code sees a call as one job record and its `AXIS` records: addresses, and steps and pitches in bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..problem.boundary import source_position
from ..problem.request import KEPT
from .expressions import call_address, with_element
from .lines import extreme_magnitude, read_line
from .machine import compile_routine, read_index, write_index

#: One axis of a job. ``window`` positions are gathered for a full tile; ``reach`` is the extent - 1, ``first`` the
#: axis' place in the table of positions, ``first_tile`` in the table of the tiles' first outputs. A pass that
#: leaves the axis as it is carries ``whole`` positions along, ``halo`` more than outputs at most; ``whole`` is 0 in one
#: that finds its outputs there.
AXIS = np.dtype(
    [(name, np.int64) for name in (
        "length", "stride", "before", "reach", "unit", "x_step", "out_step",
        "tiles", "first_tile", "window", "first", "pitch", "whole", "halo",
    )]
)  # fmt: skip

#: What gather, store and the loop over tasks need of any job.
JOB_FIELDS = [(name, np.int64) for name in (
    # addresses: the arrays, and the weights as the method wants them
    "x", "out", "weights",
    # tables: the tiles' first outputs, the windows' relative positions, the channels' offsets, the fill values
    "begins", "positions", "x_channels", "out_channels", "fills",
    # gather: routine, channels that are copied together, sample by sample of a line (or 1), boundary code, period of
    # the fill values, bytes of a working element, affine runs of a line
    "gather", "frame", "mode", "fill_period", "item", "in_channels", "channel_pitch", "line_runs", "line_run_count",
    # search for the largest (where weight is found, the smallest) magnitude of a window, the bits of what it may be at
    # most, and a flag for each task whose tile holds more
    "extreme", "most", "flags",
    # the bits of 1 where a window of ones alone need not be weighed, else 0; bytes of a window's samples
    "one", "samples_bytes",
    # store: routine, and the axis along which rows are neighbours, if any; for each output channel the whole weight of
    # a window, and how much of it must be found (0 where it is not looked for)
    "store", "row_axis", "wholes",
    # output channels of a group
    "groups", "out_per_group",
    # tasks: how many, the next, and the scratch of a worker with its parts' offsets
    "tasks", "next_task", "scratch", "scratch_bytes", "runs_at", "window_at",
)]  # fmt: skip


UNREAD = -(2**62)  # the source of a position that no output of the tile reads
LINES_AHEAD = 8  # of the line that is gathered, memory is asked for another
RUN_FIELDS = 4  # of an affine run: first place, length, first source, step of the source


def unravel(index, counts):
    """Return the multi-index of a flat index, the last axis running fastest."""
    place = counts
    for back in range(len(counts)):
        a = len(counts) - 1 - back
        place = with_element(place, a, index % counts[a])
        index //= counts[a]
    return place


def total(counts):
    """Return the number of multi-indices."""
    product = 1
    for count in counts:
        product *= count
    return product


def clear(address, size):
    """Set ``size`` bytes, a multiple of 8, to zero."""
    for word in range(size // 8):
        write_index(address, word, 0)


def map_window(origin, outputs, axes, count, job, maps):
    """Write for every place of the window, along the first ``count`` axes, the index along the axis that supplies it.

    A negative number stands for a fill value: ``-1 - k`` for the ``k``-th of the samples that alternate.
    """
    for a in range(count):
        axis = axes[a]
        first = axis.stride * origin[a] - axis.before
        reach = axis.stride * (outputs[a] - 1) + axis.reach
        for place in range(axis.window):
            relative = read_index(job.positions, axis.first + place)
            position = first + relative
            index = position
            if relative > reach:
                index = UNREAD
            elif not 0 <= position < axis.length:
                frame = source_position(position // axis.unit, axis.length // axis.unit, job.mode)
                index = frame * axis.unit + position % axis.unit
                if frame < 0:
                    index = -1 - position % job.fill_period
            write_index(maps, axis.first + place, index)


def affine_runs(map_address, length, fill_period, is_inside, runs):
    """Write the places of a line as runs whose source advances by one step; return their number.

    A line that lies outside the array along another axis is fill values throughout.
    """
    count, run = 0, runs - 8 * RUN_FIELDS
    begin, so_far, first, advance = 0, 0, 0, 0
    for place in range(length):
        index = read_index(map_address, place)
        if index == UNREAD:
            continue
        if index >= 0 and not is_inside:
            index = -1 - index % fill_period
        alike = so_far > 0 and place == begin + so_far and (index < 0) == (first < 0)
        if alike and so_far == 1:
            advance = index - first
        if alike and index == first + so_far * advance:
            so_far += 1
        else:
            count, run = count + 1, run + 8 * RUN_FIELDS
            begin, so_far, first, advance = place, 1, index, 0
            write_index(run, 0, begin)
            write_index(run, 2, first)
        write_index(run, 1, so_far)
        write_index(run, 3, advance)
    return count


def inside_runs(first, reach, job, runs):
    """Write the runs of a line that lies inside the array throughout; return their number.

    They are the affine runs of the window's positions, shifted, and cut where a tile is smaller than others.
    """
    count, run, known = 0, runs - 8 * RUN_FIELDS, job.line_runs
    for _ in range(job.line_run_count):
        begin, advance = read_index(known, 2), read_index(known, 3)
        if begin <= reach:
            count, run = count + 1, run + 8 * RUN_FIELDS
            length = read_index(known, 1)
            write_index(run, 0, read_index(known, 0))
            write_index(run, 1, min(length, (reach - begin) // advance + 1))
            write_index(run, 2, first + begin)
            write_index(run, 3, advance)
        known += 8 * RUN_FIELDS
    return count


def gather(group, origin, outputs, axes, job, scratch, window):
    """Copy the window of the tile at ``origin`` to the address ``window``; the tables go to the worker's scratch."""
    maps, runs = scratch, scratch + job.runs_at
    last = len(origin) - 1
    line_axis = axes[last]
    runs_bytes = line_axis.window * RUN_FIELDS * 8
    run_counts = (0, 0)  # of a line outside the array, and of one inside
    first = line_axis.stride * origin[last] - line_axis.before
    reach = line_axis.stride * (outputs[last] - 1) + line_axis.reach
    if job.fill_period == 1 and first >= 0 and first + reach < line_axis.length:
        map_window(origin, outputs, axes, last, job, maps)
        for k, value in enumerate((0, line_axis.window, -1, 0)):
            write_index(runs, k, value)
        run_counts = (1, inside_runs(first, reach, job, runs + runs_bytes))
    else:
        map_window(origin, outputs, axes, last + 1, job, maps)
        for is_inside in range(2):
            line_map = maps + 8 * line_axis.first
            count = affine_runs(line_map, line_axis.window, job.fill_period, is_inside, runs + is_inside * runs_bytes)
            run_counts = with_element(run_counts, is_inside, count)

    # Lines that are neighbours along the last axis but one are gathered in a row.
    lines, row_axis = with_element(origin, last, 1), axes[last - 1]
    for a in range(last):
        lines = with_element(lines, a, axes[a].window if a < last - 1 else 1)
    rows, ahead = (row_axis.window, LINES_AHEAD * row_axis.x_step) if last > 0 else (1, 0)
    for channel in range(job.in_channels // job.frame):
        number = group * job.in_channels + channel
        plane = job.x + read_index(job.x_channels, number)
        fill = job.fills + number * job.fill_period * job.item
        for line in range(total(lines)):
            place = unravel(line, lines)
            first, target, is_inside, is_read = plane, window + channel * job.channel_pitch, 1, True
            for a in range(last - 1):
                axis = axes[a]
                index = read_index(maps, axis.first + place[a])
                is_read = is_read and index != UNREAD
                is_inside = is_inside if index >= 0 else 0
                first += index * axis.x_step
                target += place[a] * axis.pitch
            for row in range(rows if is_read else 0):
                index = read_index(maps, row_axis.first + row) if last > 0 else 0
                if index != UNREAD:
                    line_inside = is_inside if index >= 0 else 0
                    source, write = first + index * row_axis.x_step, target + row * row_axis.pitch
                    line_runs, count = runs + line_inside * runs_bytes, run_counts[line_inside]
                    call_address(
                        job.gather, (source, line_axis.x_step, line_runs, count, write, fill, ahead, job.frame)
                    )


def tile_counts(grid, axes):
    """Return the number of tiles along each axis; ``grid`` is any multi-index."""
    for a in range(len(grid)):
        grid = with_element(grid, a, axes[a].tiles)
    return grid


def tile_box(tile, axes, job):
    """Return a tile's first output along each axis, and its numbers of outputs."""
    origin, outputs = tile, tile
    for a in range(len(tile)):
        begin = read_index(job.begins, axes[a].first_tile + tile[a])
        end = read_index(job.begins, axes[a].first_tile + tile[a] + 1)
        origin = with_element(origin, a, begin)
        outputs = with_element(outputs, a, end - begin)
    return origin, outputs


def extreme_of(samples, size, job, scratch):
    """Return the bits of the job's extreme magnitude of a gathered window; they order as magnitudes do, NaN last."""
    call_address(job.extreme, (samples, size // job.item, scratch))
    return read_index(scratch, 0)


def is_in_range(window, job, scratch):
    """Return whether a gathered window holds zeros alone, or a largest magnitude that its method can do."""
    bits = extreme_of(window, job.in_channels * job.channel_pitch, job, scratch)
    return bits == 0 or job.least <= bits <= job.most


@lru_cache(maxsize=256)
def compile_gather(stored: str, working: str, frames: bool = False, nans: str = KEPT) -> Any:
    """Compile the copy of one line into a window, from the type ``stored`` to the ``working`` type.

    The line is one of single samples, or of ``frames`` whose samples are neighbours in memory and in the window.
    ``nans`` is how they are read; fill values are read as they are.
    """
    native, size, stored_size = np.dtype(working).str, np.dtype(working).itemsize, np.dtype(stored).itemsize

    def gather_line(source, step, runs, count, window, fills, ahead, _frame):
        for k in range(count):
            run = runs + 8 * RUN_FIELDS * k
            place, length = read_index(run, 0), read_index(run, 1)
            first, advance = read_index(run, 2), read_index(run, 3)
            if first < 0 and advance == 0:
                read_line(fills + (-1 - first) * size, 0, length, window + place * size, 0, native, working, KEPT)
            elif first < 0:
                for j in range(length):
                    fill = fills + (-1 - first - j * advance) * size
                    read_line(fill, size, 1, window + (place + j) * size, 0, native, working, KEPT)
            else:
                target = window + place * size
                read_line(source + first * step, advance * step, length, target, ahead, stored, working, nans)

    def gather_frames(source, step, runs, count, window, fills, ahead, frame):
        for k in range(count):
            run = runs + 8 * RUN_FIELDS * k
            place, length = read_index(run, 0), read_index(run, 1)
            first, advance = read_index(run, 2), read_index(run, 3)
            pieces, samples = length, frame
            if first >= 0 and advance * step == frame * stored_size:  # frames follow each other
                pieces, samples = 1, length * frame
            for piece in range(pieces):
                target = window + (place + piece) * frame * size
                if first < 0:
                    read_line(fills, size, samples, target, 0, native, working, KEPT)
                else:
                    read = source + (first + piece * advance) * step
                    read_line(read, stored_size, samples, target, ahead, stored, working, nans)

    return compile_routine(gather_frames if frames else gather_line)


@lru_cache(maxsize=4)
def compile_extreme(working: str, extreme: str = "umax") -> Any:
    """Compile the search for the largest ("umax") or smallest ("umin") magnitude of a line.

    Its bits go to the address ``target``.
    """

    def search(source, count, target):
        write_index(target, 0, extreme_magnitude(working, source, count, extreme))

    return compile_routine(search)
