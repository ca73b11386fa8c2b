"""The tile pipeline: gather -> routine -> store, for any rank, over the tiles of the output in parallel.

*Gather* (`gather.py`) fills the window of a tile; where it lies inside an array that the routine can read as it is, the
routine is pointed at the array instead. The *routine* (`routine.py`) turns the window into rows of outputs. *Store*
writes the rows that exist, as the result's type.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .expressions import call_address, with_element
from .gather import AXIS, JOB_FIELDS, clear, extreme_of, gather, tile_box, tile_counts, total, unravel
from .lines import write_line
from .machine import compile_routine, read_index, take_next, write_index
from .missing import normalise_line

#: What the tasks of one call share of one pass of the register tile. The direct method is one pass; a separable kernel
#: takes several, each from the window of its own that the one before it filled.
JOB = np.dtype(
    JOB_FIELDS + [(name, np.int64) for name in (
        # how many passes there are; addresses of the first and the last element that x has
        "passes", "x_low", "x_high",
        # whether the routine may read x itself, and the channels' lowest and highest offset there
        "inside_allowed", "channels_low", "channels_high",
        # routine: its rows (neighbours along row_axis, row_spacing apart, or channels), its block of a line, and the
        # blocks whose results wait to be stored
        "routine", "rows", "row_spacing", "block", "pieces",
        # branches of an upsampled problem, one where it is none, each as `BRANCH_FIELDS` integers and by how many
        # outputs it has fewer than most along each axis; blocks of weights and output channels of one
        "branches", "branch_blocks", "branch_channels",
        # bytes from a block to the rows that the next one reads first, and between those rows
        "ahead", "x_row",
        # output channels of a block of weights; blocks of a group and of a chunk; chunks of a group
        "block_channels", "blocks", "chunk", "chunks", "weights_block",
        # whether the register tile may write the result itself, and then the bytes between output channels;
        # axes run as one line; where results wait in a worker's scratch
        "direct_store", "channel_step", "flat", "results_at",
        # lanes of a vector where they are output channels, else 0; whether the result's channels lie nearer than its
        # outputs; a routine that transposes blocks
        "across", "frames", "transpose",
    )]
)  # fmt: skip

BRANCH_FIELDS = 4  # the taps' offsets in a window and in x, the bounds of their groups, and the outer steps


def window_inside(group, origin, outputs, axes, job):
    """Return the address of the tile's first sample, or 0 where not all that the routine reads lies in the array."""
    last = len(origin) - 1
    first, low, high = job.x, job.channels_low, job.channels_high
    for a in range(len(origin)):
        axis = axes[a]
        start = axis.stride * origin[a] - axis.before
        span = axis.stride * (outputs[a] - 1) + axis.reach
        if start < 0 or start + span >= axis.length:
            return 0
        if a == job.row_axis:  # the rows that do not exist are computed and dropped
            span += axis.stride * (-outputs[a] % (job.rows * job.row_spacing))
        if a == last:  # so is what the last block has beyond the line
            span += axis.stride * (-carried(outputs[a], axis) % job.block)
        first += start * axis.x_step
        if axis.x_step < 0:
            low += span * axis.x_step
        else:
            high += span * axis.x_step
    if first + low < job.x_low or first + high > job.x_high:
        return 0
    return first + read_index(job.x_channels, group * job.in_channels)


def branch_record(branch, rank, job):
    """Return the address of what a job knows of a branch."""
    return job.branches + branch * 8 * (BRANCH_FIELDS + rank)


def outputs_of_branch(box, is_last, record):
    """Return a branch's outputs in a tile of ``box`` outputs; ``is_last`` is 1 along axes whose last tile it is."""
    for a in range(len(box)):
        box = with_element(box, a, box[a] - is_last[a] * read_index(record, BRANCH_FIELDS + a))
    return box


def last_tiles(tile, grid):
    """Return 1 along the axes whose last tile a tile is, else 0."""
    is_last = tile
    for a in range(len(tile)):
        is_last = with_element(is_last, a, int(tile[a] + 1 == grid[a]))
    return is_last


def run_tile(group, chunk, box, is_last, samples, is_inside, axes, job, scratch, first_target):
    """Run the register tile over a tile, for one chunk of a group's output channels, and store its results.

    ``box`` are the tile's outputs, of which a branch may have fewer where it ``is_last``.
    """
    last = len(box) - 1
    step = axes[last].stride * axes[last].x_step if is_inside else axes[last].pitch  # along the line
    ahead = job.ahead if is_inside else 0
    results = scratch + job.results_at
    for block in range(chunk * job.chunk, min(job.blocks, (chunk + 1) * job.chunk)):
        branch = branch_record(block // job.branch_blocks, len(box), job)
        taps, bounds, steps = read_index(branch, int(is_inside)), read_index(branch, 2), read_index(branch, 3)
        outputs = outputs_of_branch(box, is_last, branch)
        starts, lines = outputs, outputs  # where the register tile starts; the lines of a flat run
        length = 1  # of the line that the routine runs along
        for a in range(len(box)):
            axis, count = axes[a], outputs[a]
            is_flat = a >= last - job.flat
            lines = with_element(lines, a, count if is_flat and a < last else 1)
            if is_flat:
                length += (count - 1) * (axis.pitch // axes[last].pitch)
            if a == job.row_axis:
                count = -(-count // (job.rows * job.row_spacing)) * job.row_spacing
            starts = with_element(starts, a, 1 if is_flat else count)
        filters = block % job.branch_blocks * job.block_channels
        channels_left = job.branch_channels - filters
        channel = group * job.out_per_group + block // job.branch_blocks * job.branch_channels + filters
        weights = job.weights + (group * job.blocks + block) * job.weights_block
        for start in range(total(starts)):
            place = unravel(start, starts)
            source, target = samples, first_target + read_index(job.out_channels, channel)
            rows_left, most_rows, row_step = channels_left, job.block_channels, job.channel_step
            for a in range(len(outputs)):
                axis, here = axes[a], place[a]
                if a == job.row_axis:
                    here = here // job.row_spacing * job.row_spacing * job.rows + here % job.row_spacing
                    rows_left = -(-(outputs[a] - here) // job.row_spacing)
                    most_rows, row_step = job.rows, job.row_spacing * axis.out_step
                source += here * (axis.stride * axis.x_step if is_inside else axis.pitch)
                target += here * axis.out_step
            rows = rows_left if rows_left < most_rows else most_rows
            if rows <= 0:
                continue
            if job.across > 0:
                run_across(
                    source, step, target, taps, bounds, steps, weights, rows, channel, length, lines, axes, job, results
                )
                continue
            done = 0
            while done < length:
                count = length - done
                pieces = -(-count // job.block)
                is_direct = job.direct_store and rows == job.rows and count >= job.block
                write, write_step = target + done * axes[last].out_step, row_step
                if is_direct:
                    pieces = count // job.block
                    count = pieces * job.block
                else:
                    if pieces > job.pieces:
                        pieces = job.pieces
                        count = pieces * job.block
                    write, write_step = results, pieces * job.block * job.item
                first = source + done * step
                call_address(
                    job.routine,
                    (first, taps, weights, bounds, steps, write, write_step, pieces, ahead, job.x_row),
                )
                if not is_direct:
                    write = target + done * axes[last].out_step
                    line = outputs[last] if job.flat else count
                    store(results, write_step, write, row_step, rows, channel, line, lines, axes, job)
                done += count


def run_across(source, step, target, taps, bounds, steps, weights, filters, channel, length, lines, axes, job, results):
    """Run a register tile whose lanes are output channels along a line, and store its results."""
    out_step = axes[len(lines) - 1].out_step
    frame = job.rows * job.item  # the results of one output
    done = 0
    while done < length:
        count = min(length - done, job.pieces * job.block)
        is_direct = job.direct_store and job.frames and filters == job.rows and count >= job.block
        if is_direct:
            count = count // job.block * job.block
        first, write = source + done * step, target + done * out_step
        to, to_step = (write, out_step) if is_direct else (results, frame)
        pieces = -(-count // job.block)
        call_address(job.routine, (first, taps, weights, bounds, steps, to, to_step, pieces, 0, step))
        if not is_direct and job.frames:
            for k in range(count):
                whole, read, to = job.wholes + 2 * job.item * channel, results + k * frame, write + k * out_step
                call_address(job.store, (read, filters, to, job.channel_step, whole, 2 * job.item))
        elif not is_direct:
            blocks = -(-job.pieces * job.block // job.across)
            columns, pitch = results + blocks * job.across * frame, blocks * job.across * job.item
            for vector in range(job.rows // job.across):
                call_address(
                    job.transpose,
                    (
                        results + vector * job.across * job.item, frame, job.across * frame,
                        columns + vector * job.across * pitch, pitch, job.across * job.item,
                        -(-count // job.across),
                    ),
                )  # fmt: skip
            store(columns, pitch, write, 0, filters, channel, count, lines, axes, job)
        done += count


def run_passes(outputs, is_last, samples, is_inside, jobs, axes, scratch, target):
    """Run one pass after the other, each into the window of the next and the last into the result.

    Return whether they could: none goes on from a window whose samples are out of range.
    """
    rank = len(outputs)
    for p in range(len(jobs)):
        job, own = jobs[p], axes[p * rank : (p + 1) * rank]
        if p > 0:
            samples = scratch + job.window_at
            size = job.in_channels * job.channel_pitch
            if p == 1 and job.most > 0 and extreme_of(samples, size, job, scratch) > job.most:
                return False
        here = outputs
        for a in range(rank):
            here = with_element(here, a, carried(outputs[a], own[a]))
        to = target if p == len(jobs) - 1 else scratch + jobs[p + 1].window_at
        run_tile(0, 0, here, is_last, samples, is_inside and p == 0, own, job, scratch, to)
    return True


def carried(outputs, axis):
    """Return what a pass computes along an axis: outputs, or as many positions as later passes need for them."""
    return outputs if axis.whole == 0 else min(axis.whole, outputs + axis.halo)


def store(results, results_step, target, row_step, rows, channel, length, lines, axes, job):
    """Write the rows of results that exist, line by line, as the result's type."""
    last = len(lines) - 1
    for row in range(rows):
        for line in range(total(lines)):
            place = unravel(line, lines)
            read, write = results + row * results_step, target
            own = channel
            if job.row_axis >= 0:
                write += row * row_step
            else:
                own += row
                write += read_index(job.out_channels, own) - read_index(job.out_channels, channel)
            for a in range(last):
                read += place[a] * axes[a].pitch
                write += place[a] * axes[a].out_step
            whole = job.wholes + 2 * job.item * own
            call_address(job.store, (read, length, write, axes[last].out_step, whole, 0))


def is_smaller(outputs, axes, job):
    """Return whether a tile is smaller than the first."""
    smaller = False
    for a in range(len(outputs)):
        smaller |= outputs[a] < read_index(job.begins, axes[a].first_tile + 1)
    return smaller


@lru_cache(maxsize=32)
def compile_worker(rank: int, several: bool = False) -> Any:
    """Compile a worker for one number of axes: it runs tasks, each the next that no worker has taken.

    A task is one tile, one group, and one chunk of the group's output channels. It is done by one job, by jobs that
    each gather its window anew, or, for the ``several`` passes of a separable kernel, by jobs that go on from each
    other.
    """
    zeros = (0,) * rank

    def worker(number, jobs, axis_records):
        job = jobs[0]
        axes = axis_records[: len(zeros)]  # of the first pass
        scratch = job.scratch + number * job.scratch_bytes
        grid = tile_counts(zeros, axes)
        task, gathered, missing = take_next(job.next_task), -1, True
        while task < job.tasks:
            chunk, rest = task % job.chunks, task // job.chunks
            group = rest % job.groups
            tile = unravel(rest // job.groups, grid)
            origin, outputs = tile_box(tile, axes, job)
            is_last = last_tiles(tile, grid)
            target = job.out
            for a in range(len(zeros)):
                target += origin[a] * axis_records[(job.passes - 1) * len(zeros) + a].out_step
            if several and is_smaller(outputs, axes, job):  # what is left of others may be out of range
                clear(scratch + job.window_at, (job.results_at - job.window_at) // 8 * 8)
            for p in range(1 if several else job.passes):
                own = jobs[p]
                samples = window_inside(group, origin, outputs, axes, own) if own.inside_allowed else 0
                is_inside = samples != 0
                if not is_inside:
                    samples = scratch + own.window_at
                    if several or rest != gathered:  # a tile's chunks of output channels share its window
                        gather(group, origin, outputs, axes, own, scratch, samples)
                        if own.one != 0:
                            missing = extreme_of(samples, own.samples_bytes, own, scratch) < own.one
                if own.one != 0 and not missing:
                    continue  # all the weight is found
                if several:
                    every_job = jobs[: job.passes]
                    if not run_passes(outputs, is_last, samples, is_inside, every_job, axis_records, scratch, target):
                        write_index(job.flags, task, 1)
                else:
                    own_axes = axis_records[p * len(zeros) : (p + 1) * len(zeros)]
                    run_tile(group, chunk, outputs, is_last, samples, is_inside, own_axes, own, scratch, target)
            gathered = rest
            task = take_next(job.next_task)

    return compile_routine(worker, jobs=JOB, axis_records=AXIS)


@lru_cache(maxsize=256)
def compile_store(working: str, stored: str, whole: bool = False, normalises: bool = False) -> Any:
    """Compile the store of one line of results, from the ``working`` type to the type ``stored``.

    ``whole`` says that they are whole numbers but for rounding; ``normalises`` that they are weights, which divide what
    the result holds.
    """
    rounds = int(whole)

    def store_line(results, length, target, step, _wholes, _wholes_step):
        write_line(results, length, target, step, working, stored, rounds)

    def divide_line(results, length, target, step, wholes, wholes_step):
        normalise_line(results, length, target, step, wholes, wholes_step, working, stored)

    return compile_routine(divide_line if normalises else store_line)
