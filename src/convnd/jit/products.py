"""The tasks of kernel gradients: windows of x, and outputs beside them, to the outer tile.

Where there are few filters, the rows of the outer tile are one filter's outputs, each row shifted against the one
before it. Then row ``r`` multiplies the sample that a tap reads by the output that reads it by the tap ``r`` steps
on, and one load of x serves several taps. Zeros stand around a tile's outputs for rows that reach beyond them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .expressions import call_address, records_at, with_element
from .gather import AXIS, clear, gather, tile_box, tile_counts, total, unravel
from .machine import compile_routine, read_index, take_next, write_index
from .tiles import JOB, branch_record, last_tiles, outputs_of_branch, window_inside

#: What a gradient's tasks share beside two jobs, of x and of the outputs, which are gathered as another x.
GRADIENT = np.dtype([(name, np.int64) for name in (
    # routine, its rows, and the blocks of rows of a chunk of filters and of columns of all taps
    "outer", "rows", "row_blocks", "column_blocks",
    # columns; branches; the first tile, the one behind the last, and how many's sums one part holds; bytes of a
    # chunk's sums, and of a row's
    "columns", "branches", "first_tile", "tiles", "tiles_of_part", "chunk_bytes", "row_bytes",
    # rows: the filters of a block of them, the filters and the bytes of the outputs' window from one to the next; where
    # they are shifted along an axis, by how many outputs, and where the outputs begin in their window, amid zeros
    "block_filters", "row_filters", "row_step", "shift_axis", "shift", "margin_bytes",
    # of a worker's scratch: where the outputs' tables begin, the addresses of lines and the offsets of rows
    "outputs_at", "lines_at", "rows_at",
)])  # fmt: skip


def write_lines(outputs, samples, is_inside, axes, values, are_inside, value_axes, lines):
    """Write the addresses of every line of a tile, in x and in the outputs; return how many there are."""
    last = len(outputs) - 1
    counts = with_element(outputs, last, 1)
    for number in range(total(counts)):
        place = unravel(number, counts)
        x, y = samples, values
        for a in range(last):
            axis, value_axis = axes[a], value_axes[a]
            x += place[a] * (axis.stride * axis.x_step if is_inside else axis.pitch)
            y += place[a] * (value_axis.x_step if are_inside else value_axis.pitch)
        write_index(lines, 2 * number, x)
        write_index(lines, 2 * number + 1, y)
    return total(counts)


def sum_products(number, taps, line_count, length, item, gradient, values, are_inside, scratch, sums):
    """Add the products of a tile's lines to the sums of the ``number``-th chunk of filters."""
    rows, lines = scratch + gradient.rows_at, scratch + gradient.lines_at
    for row_block in range(gradient.row_blocks):
        for r in range(gradient.rows):
            channel = row_block * gradient.block_filters + r * gradient.row_filters
            channel = min(channel, values.in_channels - 1)  # rows beyond are dropped
            offset = channel * values.channel_pitch - r * gradient.row_step
            if are_inside:
                offset = read_index(values.x_channels, number * values.in_channels + channel)
            write_index(rows, r, offset)
        for column_block in range(gradient.column_blocks):
            first = column_block * gradient.columns
            totals = sums + row_block * gradient.rows * gradient.row_bytes + first * item
            call_address(
                gradient.outer, (taps + 8 * first, rows, lines, line_count, length, totals, gradient.row_bytes)
            )


@lru_cache(maxsize=32)
def compile_gradient_worker(rank: int) -> Any:
    """Compile a worker for one number of axes: it runs tasks, each the next that no worker has taken.

    A task is one part of the tiles, one group, and one chunk of the group's filters.
    """
    zeros = (0,) * rank

    def worker(number, jobs, axis_records):
        job, values = jobs[0], jobs[1]
        gradient = records_at(job.weights, 1, GRADIENT)[0]
        every_axis = axis_records
        axes, value_axes = every_axis[: len(zeros)], every_axis[len(zeros) :]
        scratch = job.scratch + number * job.scratch_bytes
        grid = tile_counts(zeros, axes)
        task = take_next(job.next_task)
        while task < job.tasks:
            chunk, rest = task % job.chunks, task // job.chunks
            group, part = rest % job.groups, rest // job.groups
            if gradient.shift_axis >= 0:  # what no output reads is multiplied by zero
                clear(scratch + job.window_at, gradient.outputs_at - job.window_at)
            first_tile = gradient.first_tile + part * gradient.tiles_of_part
            for k in range(first_tile, min(gradient.tiles, first_tile + gradient.tiles_of_part)):
                tile = unravel(k, grid)
                origin, box = tile_box(tile, axes, job)
                samples = window_inside(group, origin, box, axes, job) if job.inside_allowed else 0
                is_inside = samples != 0
                if not is_inside:
                    samples = scratch + job.window_at
                    gather(group, origin, box, axes, job, scratch, samples)
                for branch in range(gradient.branches):
                    record = branch_record(branch, len(zeros), job)
                    outputs = outputs_of_branch(box, last_tiles(tile, grid), record)
                    if total(outputs) == 0:
                        continue
                    chunk_number = (group * gradient.branches + branch) * job.chunks + chunk
                    first, are_inside = values.x, values.inside_allowed != 0
                    for a in range(len(zeros)):
                        first += origin[a] * value_axes[a].x_step
                    if not are_inside:
                        tables = scratch + gradient.outputs_at
                        first = tables + values.window_at + gradient.margin_bytes
                        if gradient.shift_axis >= 0:
                            clear(tables + values.window_at, gradient.lines_at - gradient.outputs_at - values.window_at)
                        gather(chunk_number, origin, outputs, value_axes, values, tables, first)
                    for a in range(len(zeros)):
                        if a == gradient.shift_axis:
                            outputs = with_element(outputs, a, outputs[a] + (gradient.rows - 1) * gradient.shift)
                    lines = scratch + gradient.lines_at
                    count = write_lines(outputs, samples, is_inside, axes, first, are_inside, value_axes, lines)
                    taps = read_index(record, int(is_inside))
                    numbers = job.groups * gradient.branches * job.chunks
                    sums = job.out + (part * numbers + chunk_number) * gradient.chunk_bytes
                    length, item = outputs[len(zeros) - 1], job.item
                    sum_products(chunk_number, taps, count, length, item, gradient, values, are_inside, scratch, sums)
            task = take_next(job.next_task)

    return compile_routine(worker, jobs=JOB, axis_records=AXIS)
