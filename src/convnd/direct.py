"""The direct method: every output sums its taps, by the layout that runs the problem best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from . import threads
from .axis import window
from .layout import Layout, best, granularity, line_length, round_up, tile_begins
from .problem import Levels, Problem
from .routine import compile_register_tile
from .taps import TapTable, pack, table
from .tiles import AXIS, JOB, RUN_FIELDS, TUNING, compile_gather, compile_store, compile_worker, run_workers

_CACHE_LINE = 64


@dataclass(frozen=True)
class DirectPlan:
    """All of a problem that does not depend on the arrays' contents and addresses, laid out for compiled code."""

    problem: Problem
    layout: Layout
    taps: TapTable
    workers: int  # that the work is large enough for
    job: np.ndarray
    tables: tuple[np.ndarray, ...]  # kept alive, as are the routines: the job holds their addresses
    routines: tuple[Any, ...]

    def __call__(
        self, x: np.ndarray, kernel: np.ndarray, fills: np.ndarray, out: np.ndarray, workers: int | None
    ) -> None:
        """Convolve ``x`` into ``out``.

        Parameters
        ----------
        x, out : ndarray
            Arrays of the strides and types that the problem was made from.
        kernel : ndarray
            The filters of every group, `problem.canonical_kernel`.
        fills : ndarray
            What stands outside every channel, `problem.fills`.
        workers : int or None
            Threads asked for.
        """
        weights = pack(kernel, self.taps, self.layout.sharing)
        spans = [(n - 1) * step for n, step in zip(x.shape, x.strides, strict=True)]
        first = x.ctypes.data
        job = self.job.copy()
        job["x"], job["x_low"] = first, first + sum(min(0, span) for span in spans)
        job["x_high"] = first + sum(max(0, span) for span in spans) + x.itemsize - self.problem.stored_bytes
        with threads.team(workers, self.workers) as count:
            scratch = np.empty(count * int(job["scratch_bytes"][0]), np.uint8)
            next_task = np.zeros(1, np.int64)
            arrays = {"out": out, "weights": weights, "fills": fills, "scratch": scratch, "next_task": next_task}
            for name, array in arrays.items():
                job[name] = array.ctypes.data
            run_workers(count, self.routines[0], job, self.tables[0])


@lru_cache(maxsize=256)
def plan(problem: Problem) -> DirectPlan:
    """Return the plan of a problem, by the layout of least cost."""
    return build(problem, *best(problem))


def build(problem: Problem, layout: Layout, cycles: float) -> DirectPlan:
    """Lay out the tables and the job of a problem."""
    tile, sharing, last = layout.tile, layout.sharing, len(problem.axes) - 1
    item = np.dtype(problem.working).itemsize
    along = list(zip(problem.axes, layout.shape, strict=True))
    windows = [window(axis, outputs) for axis, outputs in along]
    lengths = [len(w.positions) for w in windows]
    pitches = [item * prod(lengths[a + 1 :]) for a in range(len(lengths))]
    channel_pitch = item * prod(lengths)
    x_channels, out_channels = _offsets(problem.x_channel_steps), _offsets(problem.out_channel_steps)
    taps = table(
        problem.axes, windows, sharing, pitches, problem.x_steps,
        channel_pitch, x_channels[: problem.in_channels],
    )  # fmt: skip
    begins = [
        tile_begins(axis, outputs, granularity(problem, layout, a) if layout.inside else 0)
        for a, (axis, outputs) in enumerate(along)
    ]
    positions = np.concatenate([w.positions for w in windows])
    all_begins = np.concatenate(begins)
    axes = np.zeros(len(lengths), AXIS)
    for a, axis in enumerate(problem.axes):
        axes[a] = (
            axis.length, axis.stride, axis.before, axis.extent - 1, axis.unit,
            problem.x_steps[a], problem.out_steps[a], len(begins[a]) - 1, sum(map(len, begins[:a])),
            lengths[a], sum(lengths[:a]), pitches[a],
        )  # fmt: skip

    routines = (
        compile_worker(len(lengths)),
        compile_gather(problem.stored, problem.working),
        compile_register_tile(tile),
        compile_store(problem.accumulated, problem.result),
    )
    row_axis = sharing.axis if sharing.axis is not None and not tile.interleaved else -1
    channel_steps = set(np.diff(out_channels[: problem.out_channels]).tolist())
    direct_store = problem.stores_inside and layout.flat == 0 and len(channel_steps) <= 1
    block_channels = tile.rows if sharing.channels else 1
    blocks = -(-problem.out_channels // block_channels)
    tiles = prod(len(b) - 1 for b in begins) * problem.groups
    workers = _useful_workers(problem, cycles)
    tasks = TUNING.tasks_per_worker * min(workers, threads.available())
    chunks = min(blocks, max(1, tasks // tiles)) if workers > 1 else 1
    chunk = -(-blocks // chunks)
    chunks = -(-blocks // chunk)
    runs_at = 8 * sum(lengths)
    window_at = round_up(runs_at + 8 * 2 * RUN_FIELDS * lengths[last], _CACHE_LINE)
    # The last vectors and the rows that do not exist read behind the window.
    window_bytes = problem.in_channels * channel_pitch + 2 * tile.rows * tile.block * item
    results_at = window_at + round_up(window_bytes, _CACHE_LINE)
    pieces = -(-line_length(problem, layout) // tile.block)  # of a flat run, whose lines are taken apart when stored
    block_bytes = tile.rows * tile.block * item
    if layout.flat == 0:
        pieces = min(pieces, max(1, TUNING.results_bytes // block_bytes))
    values = {
        "begins": all_begins.ctypes.data, "positions": positions.ctypes.data,
        "x_channels": x_channels.ctypes.data, "out_channels": out_channels.ctypes.data,
        "gather": routines[1].address, "mode": problem.mode, "fill_period": problem.fill_period, "item": item,
        "in_channels": problem.in_channels, "channel_pitch": channel_pitch, "inside_allowed": layout.inside,
        "channels_low": x_channels.min(), "channels_high": x_channels.max(),
        "routine": routines[2].address, "packed": taps.packed.ctypes.data, "inside": taps.inside.ctypes.data,
        "bounds": taps.bounds.ctypes.data, "steps": len(taps.bounds),
        "rows": tile.rows if sharing.channels or row_axis >= 0 else 1, "row_axis": row_axis,
        "row_spacing": problem.axes[row_axis].tap_spacing, "block": tile.block, "pieces": pieces,
        "ahead": _ahead(problem, row_axis, tile.rows),
        "x_row": problem.x_steps[row_axis] * problem.axes[row_axis].stride if row_axis >= 0 else 0,
        "groups": problem.groups, "out_per_group": problem.out_channels,
        "block_channels": block_channels, "blocks": blocks, "chunk": chunk, "chunks": chunks,
        "weights_block": len(taps.source) * tile.rows * item,
        "store": routines[3].address, "direct_store": direct_store,
        "channel_step": max(channel_steps, default=0), "flat": layout.flat,
        "tasks": tiles * chunks, "runs_at": runs_at, "window_at": window_at, "results_at": results_at,
        "scratch_bytes": results_at + pieces * block_bytes,
    }  # fmt: skip
    job = np.zeros(1, JOB)
    for name, value in values.items():
        job[name] = value
    tables = (axes, all_begins, positions, x_channels, out_channels)
    return DirectPlan(problem, layout, taps, workers, job, tables, routines)


def _useful_workers(problem: Problem, cycles: float) -> int:
    outputs = problem.groups * problem.out_channels * prod(axis.outputs for axis in problem.axes)
    return int((cycles + outputs) // TUNING.serial_below) + 1


def _ahead(problem: Problem, row_axis: int, rows: int) -> int:
    """Return the bytes from a block to the rows to ask memory for: far enough for them to come in time."""
    if len(problem.axes) == 1:
        return 0  # memory fetches one line ahead by itself
    axis = problem.axes[0]
    return problem.x_steps[0] * (axis.extent + (rows * axis.stride if row_axis == 0 else 0))


def _offsets(levels: Levels) -> np.ndarray:
    """Return the byte offsets of nested ``(count, step)`` levels, the last running fastest."""
    offsets = np.zeros(1, np.int64)
    for count, step in levels:
        offsets = (offsets[:, None] + np.arange(count, dtype=np.int64) * step).ravel()
    return offsets
