"""The tile pipeline: gather -> routine -> store, for any rank, over the tiles of the output in parallel.

A tile is a box of neighbouring outputs. *Gather* copies the input window that it reads into a small buffer and is the
only place that knows the boundary, the memory layout of ``x`` and its type; where the window lies inside an
array that the routine can read as it is, the routine is pointed at the array instead. The *routine* (`routine.py`)
turns the window into rows of outputs. *Store* writes the rows that exist, as the result's type.

Compiled code sees a call as one `JOB` record and its `AXIS` records: addresses, and steps and pitches in bytes.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numba import carray, from_dtype, njit, prange, types
from numba.cpython.unsafe.tuple import tuple_setitem

from .boundary import source_position
from .routine import (
    call_address,
    compile_routine,
    read_index,
    read_line,
    source_digest,
    take_next,
    with_disk_cache,
    write_index,
    write_line,
)


@dataclass
class Tuning:
    """Sizes that were measured, in one place so that tests can make them small."""

    window_bytes: int = 512 * 1024  #: of a tile's window: it stays in L2 beside its outputs
    rolling: int = 4  #: windows of one that is read in place: a few of its rows at a time are in use
    line_price: int = 16  #: what starting a line costs, as elements of halo
    small_halo: float = 1 / 128  #: share of a window that is read twice, below which a tile need not grow
    gather_cycles: float = 0.4  #: of an element that is gathered, with the array in memory
    gather_line_cycles: float = 80.0  #: of a line that is gathered
    results_bytes: int = 8 * 1024  #: of results that wait to be converted and stored: they stay in L1
    serial_below: float = 60_000.0  #: estimated cycles below which a second thread costs more than it brings
    tasks_per_worker: int = 8  #: so that a slow core does not hold up the others


TUNING = Tuning()

#: One axis of a job. ``window`` positions are gathered for a full tile; ``reach`` is the extent - 1, ``first`` the
#: axis' place in the table of positions, ``first_tile`` in the table of the tiles' first outputs.
AXIS = np.dtype(
    [(name, np.int64) for name in (
        "length", "stride", "before", "reach", "unit", "x_step", "out_step",
        "tiles", "first_tile", "window", "first", "pitch",
    )]
)  # fmt: skip

#: What the tasks of one call share.
JOB = np.dtype(
    [(name, np.int64) for name in (
        # addresses: the arrays, the first and the last element that x has
        "x", "out", "weights", "x_low", "x_high",
        # tables: the tiles' first outputs, the windows' relative positions, the channels' offsets, the fill values
        "begins", "positions", "x_channels", "out_channels", "fills",
        # gather: routine, boundary code, period of the fill values, bytes of a working element
        "gather", "mode", "fill_period", "item", "in_channels", "channel_pitch",
        # whether the routine may read x itself, and the channels' lowest and highest offset there
        "inside_allowed", "channels_low", "channels_high",
        # routine: its taps, its rows (neighbours along row_axis, row_spacing apart, or channels), its block
        # of a line, and the blocks whose results wait to be stored
        "routine", "packed", "inside", "bounds", "steps", "rows", "row_axis", "row_spacing", "block", "pieces",
        # bytes from a block to the rows that the next one reads first, and between those rows
        "ahead", "x_row",
        # output channels: of a group, of a block of weights; blocks of a group, of a task
        "groups", "out_per_group", "block_channels", "blocks", "chunk", "weights_block",
        # store: routine, whether the register tile may write the result itself, and then the bytes between output
        # channels; axes run as one line
        "store", "direct_store", "channel_step", "flat",
        # tasks: how many, the next, and the scratch of a worker with its parts' offsets
        "tasks", "next_task", "scratch", "scratch_bytes", "runs_at", "window_at", "results_at",
    )]
)  # fmt: skip

UNREAD = -(2**62)  # the source of a position that no output of the tile reads
LINES_AHEAD = 8  # of the line that is gathered, memory is asked for another
RUN_FIELDS = 4  # of an affine run: first place, length, first source, step of the source

_WORKER = ctypes.CFUNCTYPE(None, ctypes.c_ssize_t, ctypes.c_ssize_t, ctypes.c_ssize_t)

compiled = partial(njit, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


@compiled
def unravel(index, counts):
    """Return the multi-index of a flat index, the last axis running fastest."""
    place = counts
    for back in range(len(counts)):
        a = len(counts) - 1 - back
        place = tuple_setitem(place, a, index % counts[a])
        index //= counts[a]
    return place


@compiled
def total(counts):
    """Return the number of multi-indices."""
    product = 1
    for count in counts:
        product *= count
    return product


@compiled
def source(axis, place, origin, outputs, job):
    """Return the index along ``axis`` that supplies a place of the window of ``outputs`` from ``origin``.

    A negative number stands for a fill value: ``-1 - k`` for the ``k``-th of the samples that alternate.
    """
    position = read_index(job.positions, axis.first + place)
    if position > axis.stride * (outputs - 1) + axis.reach:
        return UNREAD
    position += axis.stride * origin - axis.before
    if 0 <= position < axis.length:
        return position
    index = source_position(position // axis.unit, axis.length // axis.unit, job.mode)
    return -1 - position % job.fill_period if index < 0 else index * axis.unit + position % axis.unit


@compiled
def affine_runs(axis, origin, outputs, job, is_inside, runs):
    """Write the line along the last axis as runs whose source advances by one step; return their number.

    A line that lies outside the array along another axis is fill values throughout.
    """
    count, run = 0, runs - 8 * RUN_FIELDS
    begin, length, first, advance = 0, 0, 0, 0
    for place in range(axis.window):
        index = source(axis, place, origin, outputs, job)
        if index == UNREAD:
            continue
        if not is_inside and index >= 0:
            index = -1 - index % job.fill_period
        alike = length > 0 and place == begin + length and (index < 0) == (first < 0)
        if alike and length == 1:
            advance = index - first
        if alike and index == first + length * advance:
            length += 1
        else:
            count, run = count + 1, run + 8 * RUN_FIELDS
            begin, length, first, advance = place, 1, index, 0
            write_index(run, 0, begin)
            write_index(run, 2, first)
        write_index(run, 1, length)
        write_index(run, 3, advance)
    return count


@compiled
def gather(group, origin, counts, axes, job, scratch):
    """Copy the window of the tile at ``origin`` into the worker's scratch."""
    maps, runs, window = scratch, scratch + job.runs_at, scratch + job.window_at
    last = len(origin) - 1
    lines = tuple_setitem(origin, last, 1)
    for a in range(last):
        axis = axes[a]
        lines = tuple_setitem(lines, a, axis.window)
        for place in range(axis.window):
            write_index(maps, axis.first + place, source(axis, place, origin[a], counts[a], job))
    line_axis = axes[last]
    run_counts = (0, 0)  # of a line outside the array, and of one inside
    for is_inside in range(2):
        line_runs = runs + is_inside * line_axis.window * RUN_FIELDS * 8
        count = affine_runs(line_axis, origin[last], counts[last], job, is_inside, line_runs)
        run_counts = tuple_setitem(run_counts, is_inside, count)

    ahead = LINES_AHEAD * axes[last - 1].x_step if last > 0 else 0
    for channel in range(job.in_channels):
        number = group * job.in_channels + channel
        plane = job.x + read_index(job.x_channels, number)
        fill = job.fills + number * job.fill_period * job.item
        for line in range(total(lines)):
            place = unravel(line, lines)
            first, target, is_inside, is_read = plane, window + channel * job.channel_pitch, 1, True
            for a in range(last):
                axis = axes[a]
                index = read_index(maps, axis.first + place[a])
                is_read = is_read and index != UNREAD
                is_inside = is_inside if index >= 0 else 0
                first += index * axis.x_step
                target += place[a] * axis.pitch
            if is_read:
                line_runs = runs + is_inside * line_axis.window * RUN_FIELDS * 8
                arguments = (first, line_axis.x_step, line_runs, run_counts[is_inside], target, fill, ahead)
                call_address(job.gather, arguments)


@compiled
def window_inside(origin, counts, axes, job):
    """Return the address of the tile's first sample, or 0 where not all that the routine reads lies in the array."""
    first, low, high = job.x, job.channels_low, job.channels_high + -counts[-1] % job.block * job.item
    for a in range(len(origin)):
        axis = axes[a]
        start = axis.stride * origin[a] - axis.before
        span = axis.stride * (counts[a] - 1) + axis.reach
        if start < 0 or start + span >= axis.length:
            return 0
        if a == job.row_axis:  # the rows that do not exist are computed and dropped
            span += axis.stride * (-counts[a] % (job.rows * job.row_spacing))
        first += start * axis.x_step
        low += min(0, span * axis.x_step)
        high += max(0, span * axis.x_step)
    return first if job.x_low <= first + low and first + high <= job.x_high else 0


@compiled
def run_task(task, tiles, axes, job, scratch):
    """Compute one task: the outputs of one tile and one chunk of one group's output channels."""
    chunks = -(-job.blocks // job.chunk)
    chunk, task = task % chunks, task // chunks
    group, tile = task % job.groups, unravel(task // job.groups, tiles)
    last = len(tiles) - 1
    origin, counts, starts, lines = tile, tile, tile, tile
    length = 1  # of the line that the routine runs along
    for a in range(len(tiles)):
        axis = axes[a]
        begin = read_index(job.begins, axis.first_tile + tile[a])
        count = read_index(job.begins, axis.first_tile + tile[a] + 1) - begin
        origin = tuple_setitem(origin, a, begin)
        counts = tuple_setitem(counts, a, count)
        is_flat = a >= last - job.flat
        lines = tuple_setitem(lines, a, count if is_flat and a < last else 1)
        if is_flat:
            length += (count - 1) * (axis.pitch // job.item)
        if a == job.row_axis:
            count = -(-count // (job.rows * job.row_spacing)) * job.row_spacing
        starts = tuple_setitem(starts, a, 1 if is_flat else count)

    samples = window_inside(origin, counts, axes, job) if job.inside_allowed else 0
    is_inside = samples != 0
    if is_inside:
        samples += read_index(job.x_channels, group * job.in_channels)
    else:
        gather(group, origin, counts, axes, job, scratch)
        samples = scratch + job.window_at
    taps = job.inside if is_inside else job.packed
    ahead = job.ahead if is_inside else 0

    for block in range(chunk * job.chunk, min(job.blocks, (chunk + 1) * job.chunk)):
        channel = group * job.out_per_group + block * job.block_channels
        weights = job.weights + (group * job.blocks + block) * job.weights_block
        for start in range(total(starts)):
            place = unravel(start, starts)
            source, target = samples, job.out + read_index(job.out_channels, channel)
            rows = min(job.block_channels, job.out_per_group - block * job.block_channels)
            row_step = job.channel_step
            for a in range(len(tiles)):
                axis = axes[a]
                here = place[a]
                if a == job.row_axis:
                    here = here // job.row_spacing * job.row_spacing * job.rows + here % job.row_spacing
                    rows = min(job.rows, -(-(counts[a] - here) // job.row_spacing))
                    row_step = job.row_spacing * axis.out_step
                source += here * (axis.stride * axis.x_step if is_inside else axis.pitch)
                target += (origin[a] + here) * axis.out_step
            if rows <= 0:
                continue
            done = 0
            if job.direct_store and rows == job.rows:
                whole = length // job.block
                done = whole * job.block
                call_address(
                    job.routine,
                    (source, taps, weights, job.bounds, job.steps, target, row_step, whole, ahead, job.x_row),
                )
            while done < length:
                pieces = min(-(-(length - done) // job.block), job.pieces)
                results, results_step = scratch + job.results_at, pieces * job.block * job.item
                first = source + done * job.item
                call_address(
                    job.routine,
                    (first, taps, weights, job.bounds, job.steps, results, results_step, pieces, ahead, job.x_row),
                )
                count = min(counts[last] - done, pieces * job.block)
                write = target + done * axes[last].out_step
                store(results, results_step, write, row_step, rows, channel, count, lines, axes, job)
                done += pieces * job.block


@compiled
def store(results, results_step, target, row_step, rows, channel, length, lines, axes, job):
    """Write the rows of results that exist, line by line, as the result's type."""
    last = len(lines) - 1
    for row in range(rows):
        for line in range(total(lines)):
            place = unravel(line, lines)
            read, write = results + row * results_step, target
            if job.row_axis >= 0:
                write += row * row_step
            else:
                write += read_index(job.out_channels, channel + row) - read_index(job.out_channels, channel)
            for a in range(last):
                read += place[a] * axes[a].pitch
                write += place[a] * axes[a].out_step
            call_address(job.store, (read, length, write, axes[last].out_step))


@lru_cache(maxsize=32)
def compile_worker(rank: int) -> Any:
    """Compile a worker for one number of axes: it runs tasks, each the next that no worker has taken."""
    digest, origin = source_digest(), (np.int64(0),) * rank  # an int would be typed as the literal 0

    def worker(number, jobs, axis_records):
        digest  # noqa: B018 (a free variable is part of the cache's key)
        job, axes = carray(jobs, 1)[0], carray(axis_records, len(origin))
        tiles = origin
        for a in range(len(origin)):
            tiles = tuple_setitem(tiles, a, axes[a].tiles)
        scratch = job.scratch + number * job.scratch_bytes
        task = take_next(job.next_task)
        while task < job.tasks:
            run_task(task, tiles, axes, job, scratch)
            task = take_next(job.next_task)

    signature = types.void(types.intp, types.CPointer(from_dtype(JOB)), types.CPointer(from_dtype(AXIS)))
    return compile_routine(signature, worker)


@lru_cache(maxsize=1)
def _compile_team() -> Any:
    """Compile the loop that runs one worker in each thread of a team."""
    digest = source_digest()

    def team(workers, worker, job, axes):
        digest  # noqa: B018
        for number in prange(workers):
            call_address(worker, (number, job, axes))

    signature = types.void(types.intp, types.intp, types.intp, types.intp)
    return with_disk_cache(partial(njit, signature, nogil=True, parallel=True), team)


def run_workers(count: int, worker: Any, job: np.ndarray, axes: np.ndarray) -> None:
    """Run ``count`` workers over the tasks of a job: one in this thread, more in a team of threads."""
    if count == 1:
        _WORKER(worker.address)(0, job.ctypes.data, axes.ctypes.data)  # releases the GIL
    else:
        _compile_team()(count, worker.address, job.ctypes.data, axes.ctypes.data)


@lru_cache(maxsize=256)
def compile_gather(stored: str, working: str) -> Any:
    """Compile the copy of one line into a window, from the type ``stored`` to the ``working`` type."""
    digest, native, size = source_digest(), np.dtype(working).str, np.dtype(working).itemsize

    def gather_line(source, step, runs, count, window, fills, ahead):
        digest  # noqa: B018
        for k in range(count):
            run = runs + 8 * RUN_FIELDS * k
            place, length = read_index(run, 0), read_index(run, 1)
            first, advance = read_index(run, 2), read_index(run, 3)
            if first < 0:
                for j in range(length):
                    fill = fills + (-1 - first - j * advance) * size
                    read_line(fill, size, 1, window + (place + j) * size, 0, native, working)
            else:
                target = window + place * size
                read_line(source + first * step, advance * step, length, target, ahead, stored, working)

    return compile_routine(types.void(*[types.intp] * 7), gather_line)


@lru_cache(maxsize=256)
def compile_store(working: str, stored: str) -> Any:
    """Compile the store of one line of results, from the ``working`` type to the type ``stored``."""
    digest = source_digest()

    def store_line(results, length, target, step):
        digest  # noqa: B018
        write_line(results, length, target, step, working, stored)

    return compile_routine(types.void(*[types.intp] * 4), store_line)
