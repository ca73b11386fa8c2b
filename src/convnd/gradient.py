"""The derivative by the kernel: for every weight the sum, over all outputs, of an output times the sample it read.

It runs over the direct method's tiles: the window of a tile is gathered, or read in place, as if its outputs were to be
computed, and the outputs are gathered beside it. Sums of neighbouring tiles are added up in an order that the problem
alone decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numba import carray, from_dtype, types
from numba.cpython.unsafe.tuple import tuple_setitem

from . import dtypes
from .arguments import Request
from .axis import Axis, tap_lines, window
from .boundary import CONSTANT
from .jobs import branch_records, dense_pitches, geometry, offsets, run
from .layout import round_up, tile_begins, window_length
from .machine import CACHE_LINE, as_pointer, call_address, compile_routine, read_index, source_digest, take_next, write_index
from .outer import OuterTile, compile_outer_tile, outer_tile_shape
from .problem import Problem, canonical, canonical_axes, canonical_filters, fills, merged
from .taps import Sharing, TapTable, table
from .tiles import (
    AXIS,
    JOB,
    TUNING,
    branch_record,
    compiled,
    gather,
    last_tiles,
    outputs_of_branch,
    tile_box,
    tile_counts,
    total,
    unravel,
    window_inside,
)

_TASKS = 16  # that large problems are divided into, however many threads there are
_SMALL_WORK = 2**20  # products that are not worth dividing
_PARTS_BYTES = 2**20  # of partial sums: more take longer to add up than filters to divide
_PASSES_IN_PLACE = 4  # over an array that is not gathered: memory carries it once, the caches the rest

#: What a gradient's tasks share beside two jobs, of x and of the outputs, which are gathered as another x.
GRADIENT = np.dtype([(name, np.int64) for name in (
    # routine, its rows, and the blocks of rows of a chunk of filters and of columns of all taps
    "outer", "rows", "row_blocks", "column_blocks",
    # columns; branches; tiles, and those whose sums one part holds; bytes of a chunk's sums, and of a filter's
    "columns", "branches", "tiles", "tiles_of_part", "chunk_bytes", "filter_bytes",
    # of a worker's scratch: where the outputs' tables begin, the addresses of lines and the offsets of rows
    "outputs_at", "lines_at", "rows_at",
)])  # fmt: skip


@compiled
def write_lines(outputs, samples, is_inside, axes, values, are_inside, value_axes, lines):
    """Write the addresses of every line of a tile, in x and in the outputs; return how many there are."""
    last = len(outputs) - 1
    counts = tuple_setitem(outputs, last, 1)
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


@compiled
def sum_products(number, taps, line_count, length, item, gradient, values, are_inside, scratch, sums):
    """Add the products of a tile's lines to the sums of the ``number``-th chunk of filters."""
    rows, lines = scratch + gradient.rows_at, scratch + gradient.lines_at
    for row_block in range(gradient.row_blocks):
        for r in range(gradient.rows):
            channel = min(row_block * gradient.rows + r, values.in_channels - 1)  # rows beyond are dropped
            offset = channel * values.channel_pitch
            if are_inside:
                offset = read_index(values.x_channels, number * values.in_channels + channel)
            write_index(rows, r, offset)
        for column_block in range(gradient.column_blocks):
            first = column_block * gradient.columns
            totals = sums + row_block * gradient.rows * gradient.filter_bytes + first * item
            call_address(
                gradient.outer, (taps + 8 * first, rows, lines, line_count, length, totals, gradient.filter_bytes)
            )


@lru_cache(maxsize=32)
def compile_gradient_worker(rank: int) -> Any:
    """Compile a worker for one number of axes: it runs tasks, each the next that no worker has taken.

    A task is one part of the tiles, one group, and one chunk of the group's filters.
    """
    digest, zeros = source_digest(), (np.int64(0),) * rank

    def worker(number, jobs, axis_records):
        digest  # noqa: B018 (a free variable is part of the cache's key)
        job, values = carray(jobs, 2)[0], carray(jobs, 2)[1]
        gradient = carray(as_pointer(job.weights), 1, GRADIENT)[0]
        every_axis = carray(axis_records, 2 * len(zeros))
        axes, value_axes = every_axis[: len(zeros)], every_axis[len(zeros) :]
        scratch = job.scratch + number * job.scratch_bytes
        grid = tile_counts(zeros, axes)
        task = take_next(job.next_task)
        while task < job.tasks:
            chunk, rest = task % job.chunks, task // job.chunks
            group, part = rest % job.groups, rest // job.groups
            for k in range(part * gradient.tiles_of_part, min(gradient.tiles, (part + 1) * gradient.tiles_of_part)):
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
                        first = tables + values.window_at
                        gather(chunk_number, origin, outputs, value_axes, values, tables, first)
                    lines = scratch + gradient.lines_at
                    count = write_lines(outputs, samples, is_inside, axes, first, are_inside, value_axes, lines)
                    taps = read_index(record, int(is_inside))
                    numbers = job.groups * gradient.branches * job.chunks
                    sums = job.out + (part * numbers + chunk_number) * gradient.chunk_bytes
                    length, item = outputs[len(zeros) - 1], job.item
                    sum_products(
                        chunk_number, taps, count, length, item, gradient, values, are_inside, scratch, sums
                    )
            task = take_next(job.next_task)

    signature = types.void(types.intp, types.CPointer(from_dtype(JOB)), types.CPointer(from_dtype(AXIS)))
    return compile_routine(signature, worker)


@dataclass(frozen=True)
class GradientPlan:
    """All of a problem's gradient that does not depend on the arrays' contents and addresses."""

    problem: Problem
    tile: OuterTile
    tables: list[TapTable]  # of each branch
    parts: tuple[int, ...]  # shape: parts, groups, branches, chunks of filters, their filters, taps
    job: np.ndarray
    axes: np.ndarray
    kept: tuple[Any, ...]  # alive: the job holds their addresses
    worker: Any

    def __call__(
        self, x: np.ndarray, y: np.ndarray, fills: np.ndarray, workers: int | None
    ) -> np.ndarray:
        """Return the gradient of every branch, ``(groups, branches, C_out, C_in * taps)``.

        Its taps are in the order of the branch's table.
        """
        job, parts = self.job.copy(), np.zeros(self.parts, self.tile.dtype)
        job["x"] = [x.ctypes.data, y.ctypes.data]
        job["x_low"][0], job["x_high"][0] = self.problem.bounds(x)
        run(job, self.axes, self.worker, {"fills": fills, "out": parts}, workers, int(job["tasks"][0]))
        sums = parts[0]
        if len(parts) > 1:
            sums = parts.sum(axis=0, dtype=np.int64 if self.tile.dtype == "int64" else np.float64)
        groups, branches, chunks = sums.shape[:3]
        sums = sums[:, :, :, : self.problem.branch_channels // chunks]
        return sums.reshape(groups, branches, self.problem.branch_channels, -1)


@lru_cache(maxsize=64)
def plan(problem: Problem) -> GradientPlan:
    """Lay out the gradient of a merged problem, whose results are the outputs that are given."""
    item, taps = np.dtype(problem.working).itemsize, problem.in_channels * problem.taps
    tile = outer_tile_shape(problem.working, problem.branch_channels, taps)
    column_blocks = -(-taps // tile.columns)
    shape = _tile_outputs(problem, item)
    is_inside = problem.reads_inside and column_blocks * -(-problem.branch_channels // tile.rows) <= _PASSES_IN_PLACE
    begins = [tile_begins(axis, n, int(is_inside)) for axis, n in zip(problem.axes, shape, strict=True)]
    widest = [int(np.diff(own).max()) for own in begins]
    tiles = prod(len(own) - 1 for own in begins)
    weight_bytes = problem.groups * problem.out_channels * taps * item
    parts = min(tiles, _TASKS, max(1, _PARTS_BYTES // weight_bytes))
    parts = -(-tiles // -(-tiles // parts))
    chunks = _chunks(problem.branch_channels, tile.rows, -(-_TASKS // (parts * problem.groups)))
    filters = problem.branch_channels // chunks
    row_blocks = -(-filters // tile.rows)

    windows = [window(axis, outputs) for axis, outputs in zip(problem.axes, widest, strict=True)]
    outline = geometry(problem, problem.working, windows, begins)
    given = replace(
        problem, axes=tuple(Axis(axis.outputs) for axis in problem.axes), x_steps=problem.out_steps,
        groups=problem.groups * problem.branches * chunks, in_channels=filters, mode=CONSTANT, fill_period=1,
        x_channel_steps=problem.out_channel_steps, stored=problem.result,
    )  # fmt: skip
    given_windows = [window(Axis(axis.outputs), outputs) for axis, outputs in zip(problem.axes, widest, strict=True)]
    given_outline = geometry(given, problem.working, given_windows, begins)

    pitches, channel_pitch = dense_pitches(windows, item), item * prod(len(w.positions) for w in windows)
    x_channels = offsets(problem.x_channel_steps)
    tables = [
        table(lines, [axis.taps for axis in problem.axes], Sharing(1), ((0, 1),), pitches, problem.x_steps,
              channel_pitch, x_channels[: problem.in_channels])
        for lines in product(*(tap_lines(axis, own) for axis, own in zip(problem.axes, windows, strict=True)))
    ]  # fmt: skip
    columns = [
        np.stack([_padded(own.packed, column_blocks * tile.columns), _padded(own.inside, column_blocks * tile.columns)])
        for own in tables
    ]
    branches = branch_records(problem, [(own[0].ctypes.data, own[1].ctypes.data, 0, 0) for own in columns])
    routine, worker = compile_outer_tile(tile), compile_gradient_worker(len(windows))

    given_pitch = item * prod(widest)
    outputs_at = round_up(outline.values["window_at"] + problem.in_channels * channel_pitch, CACHE_LINE)
    lines_at = round_up(outputs_at + given_outline.values["window_at"] + filters * given_pitch, CACHE_LINE)
    rows_at = lines_at + 16 * prod(widest[:-1])
    gradient = np.zeros(1, GRADIENT)
    gradient[0] = (
        routine.address, tile.rows, row_blocks, column_blocks, tile.columns, problem.branches, tiles,
        -(-tiles // parts), row_blocks * tile.rows * column_blocks * tile.columns * item,
        column_blocks * tile.columns * item,
        outputs_at, lines_at, rows_at,
    )  # fmt: skip
    first = outline.job(JOB, {
        "inside_allowed": is_inside, "channels_low": x_channels.min(), "channels_high": x_channels.max(),
        "channel_pitch": channel_pitch, "block": 1, "branches": branches.ctypes.data, "chunks": chunks,
        "weights": gradient.ctypes.data, "tasks": parts * problem.groups * chunks,
        "scratch_bytes": round_up(rows_at + 8 * tile.rows, CACHE_LINE),
    })  # fmt: skip
    second = given_outline.job(JOB, {"inside_allowed": given.reads_inside, "channel_pitch": given_pitch})
    return GradientPlan(
        problem, tile, tables,
        (parts, problem.groups, problem.branches, chunks, row_blocks * tile.rows, column_blocks * tile.columns),
        np.concatenate([first, second]), np.concatenate([outline.axes, given_outline.axes]),
        (outline, given_outline, columns, branches, routine, gradient), worker,
    )  # fmt: skip


def _tile_outputs(problem: Problem, item: int) -> tuple[int, ...]:
    """Return the outputs of a tile along each axis: as many as fit the second cache level, but enough tiles."""
    axes, last = problem.axes, len(problem.axes) - 1
    shape = [axis.outputs for axis in axes]
    work = problem.in_channels * problem.taps * problem.outputs
    most = max(1, prod(shape) // _TASKS) if work > _SMALL_WORK else prod(shape)

    def bytes_of(shape: list[int]) -> int:
        read = prod(window_length(axis, n) for axis, n in zip(axes, shape, strict=True))
        return item * (problem.in_channels * read + problem.branch_channels * prod(shape))

    def halo(a: int) -> float:  # what half the outputs would read twice, or of vectors at the ends of lines
        return (axes[a].extent - 1 + (TUNING.line_price if a == last else 0)) / (axes[a].stride * shape[a])

    while bytes_of(shape) > TUNING.window_bytes or prod(shape) > most:
        divisible = [a for a in range(len(shape)) if shape[a] > 1]
        if not divisible:
            break
        a = min(divisible, key=lambda a: (halo(a), a))
        shape[a] = -(-shape[a] // 2)
    return tuple(shape)


def _chunks(filters: int, rows: int, wanted: int) -> int:
    """Return the number of chunks, at most as many as wanted, that divide the filters with no fewer than ``rows`` each."""
    return max(n for n in range(1, max(1, min(wanted, filters // rows)) + 1) if filters % n == 0)


def _padded(table: np.ndarray, length: int) -> np.ndarray:
    """Return a table whose last entry is repeated; what such columns sum is dropped."""
    return np.pad(table, (0, length - len(table)), mode="edge" if len(table) else "constant")


def kernel_gradient(request: Request, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the derivative by the kernel of the sum of products of a request's result for ``x`` with ``y``."""
    result = dtypes.default_result(x.dtype, y.dtype)
    weights = np.zeros(request.kernel.shape, result)
    if y.size == 0:
        return weights
    if result.kind == "c":  # planes of x and of the outputs are channels
        y = y.astype(np.result_type(y, np.complex64), copy=False)
    working = dtypes.working(x.dtype, y, result, request.fill)
    own = replace(request, x=x, kernel=weights, working=working)
    problem = merged(canonical(own, y))
    own_plan = plan(problem)
    sums = own_plan(x, y, fills(own, problem), request.workers)
    filters = canonical_filters(own, weights)
    filters = filters.reshape(request.groups, -1, *filters.shape[1:])
    axes = canonical_axes(own)
    shape = (*filters.shape[:3], *(axis.taps for axis in axes))
    for number, branch in enumerate(product(*(axis.branches or (None,) for axis in axes))):
        source = own_plan.tables[number].source[:, 0]
        if len(source):
            of_branch = _in_canonical_order(
                sums[:, number, :, : len(source)], source, problem.in_channels * problem.taps
            )
            if result.kind == "c":
                of_branch = _conjugate_products(of_branch, problem.taps, 2 if x.dtype.kind == "c" else 1)
            taps = [slice(None) if own is None else slice(own.taps[0], None, own.taps.step) for own in branch]
            exist = [slice(None) if own is None else slice(len(own.taps)) for own in branch]
            filters[(..., *taps)] = of_branch.reshape(shape)[(..., *exist)]
    return weights


def _in_canonical_order(sums: np.ndarray, source: np.ndarray, weights: int) -> np.ndarray:
    """Return the sums of a branch's taps in the places of canonical weights."""
    if len(source) == weights and (np.diff(source) == 1).all():
        return sums
    in_order = np.zeros((*sums.shape[:2], weights), sums.dtype)
    in_order[..., source] = sums
    return in_order


def _conjugate_products(sums: np.ndarray, taps: int, x_planes: int) -> np.ndarray:
    """Return the sums of ``conj(x) * y`` from those of the products of their planes, which are channels."""
    groups, rows, columns = sums.shape
    planes = sums.reshape(groups, rows // 2, 2, columns // taps // x_planes, x_planes, taps)
    with_y = planes[:, :, 0] + 1j * planes[:, :, 1]  # each plane of x with both of y
    return with_y[:, :, :, 0] - 1j * with_y[:, :, :, 1] if x_planes == 2 else with_y[:, :, :, 0]
