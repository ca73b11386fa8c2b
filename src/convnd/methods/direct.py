"""The direct method: every output sums its taps, by the layout that runs the problem best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..jit import threads
from ..jit.butterfly import compile_transpose
from ..jit.machine import CACHE_LINE
from ..jit.routine import compile_register_tile
from ..jit.tiles import JOB, compile_worker
from ..problem.axis import Window, tap_lines, window
from ..problem.canonical import Constants, Problem, merged
from ..problem.request import Request
from . import tuning
from .costs import best
from .factors import Factor, Structure
from .jobs import Geometry, Region, branch_records, dense_pitches, geometry, offsets, run
from .layout import Layout, distinct, frame, granularity, line_length, round_up, tile_begins
from .taps import Sharing, TapTable, filter_blocks, table
from .weights import pack


@dataclass(frozen=True)
class PassLayout:
    """One pass of a register tile over gathered windows, laid out for compiled code."""

    sharing: Sharing
    taps: list[TapTable]  # of each branch
    branches: np.ndarray  # what compiled code knows of each; like the tables kept alive
    routines: tuple[Any, ...]  # kept alive: the values hold their addresses
    blocks: int  # of a group's filters, of all branches
    window_bytes: int  # with room for the vectors and rows behind it that are read and dropped
    results_bytes: int
    values: dict[str, Any]

    def pack(self, kernel: np.ndarray, workers: int | None) -> np.ndarray:
        """Return the filters ``(groups, C_out, C_in * taps)`` as the routine reads them."""
        return pack(kernel, self.taps, self.sharing, workers)


def lay_out_pass(problem: Problem, layout: Layout, windows: Sequence[Window]) -> PassLayout:
    """Lay out the pass that turns the windows of a tile into its outputs."""
    tile, sharing = layout.tile, layout.sharing
    item = np.dtype(problem.working).itemsize
    lengths = [len(w.positions) for w in windows]
    together = frame(problem, layout)
    pitches = dense_pitches(windows, item * together)
    channel_pitch = item * prod(lengths) if together == 1 else item
    x_channels, out_channels = offsets(problem.x_channel_steps), offsets(problem.out_channel_steps)
    along = [tap_lines(axis, own) for axis, own in zip(problem.axes, windows, strict=True)]
    taps = [
        table(
            lines, [axis.taps for axis in problem.axes], sharing, tile.runs, pitches, problem.x_steps,
            channel_pitch, x_channels[: problem.in_channels],
        )
        for lines in product(*along)
    ]  # fmt: skip
    fields = [(own.packed.ctypes.data, own.inside.ctypes.data, own.bounds.ctypes.data, len(own.bounds)) for own in taps]
    branches = branch_records(problem, fields)
    routines = [compile_register_tile(tile)]
    row_axis = sharing.axis if sharing.axis is not None and not tile.interleaved else -1
    spacing = problem.axes[row_axis].tap_spacing
    channel_steps = set(np.diff(out_channels[: problem.branch_channels]).tolist())
    block_channels = sharing.rows if sharing.channels else 1
    pieces = -(-line_length(problem, layout) // tile.block)  # of a flat run, whose lines are taken apart when stored
    block_bytes = sharing.rows * tile.block * item
    if layout.flat == 0:
        # Those of a tile across channels are transposed, line by line: the longer the better.
        pieces = min(pieces, max(1, tuning.TUNING.results_bytes * (4 if tile.across else 1) // block_bytes))
    rows_beyond = -layout.shape[row_axis] % (tile.rows * spacing) * pitches[row_axis] if row_axis >= 0 else 0
    blocks = filter_blocks(problem.branch_channels, sharing)
    most = max(len(own.source) for own in taps)
    results_bytes = pieces * block_bytes
    channel_step = max(channel_steps, default=0)
    values = {
        "channel_pitch": channel_pitch,
        "routine": routines[0].address, "branches": branches.ctypes.data, "branch_blocks": blocks,
        "branch_channels": problem.branch_channels,
        "rows": sharing.rows if sharing.channels or row_axis >= 0 else 1, "row_axis": row_axis,
        "row_spacing": spacing, "block": tile.block, "pieces": pieces,
        "x_row": problem.x_steps[row_axis] * problem.axes[row_axis].stride if row_axis >= 0 else 0,
        "block_channels": block_channels, "blocks": len(taps) * blocks, "weights_block": most * sharing.rows * item,
        "direct_store": problem.stores_inside and layout.flat == 0 and len(channel_steps) <= 1,
        "channel_step": channel_step, "flat": layout.flat,
    }  # fmt: skip
    if tile.across:
        routines.append(compile_transpose(problem.working, tile.lanes))
        results_bytes = 2 * sharing.rows * round_up(pieces * tile.block, tile.lanes) * item
        values |= {
            "across": tile.lanes, "transpose": routines[1].address,
            "frames": len(channel_steps) == 1 and abs(channel_step) < abs(problem.out_steps[-1]),
            "direct_store": problem.stores_native and channel_step == item,
        }  # fmt: skip
    # The last vectors and the rows that do not exist read behind the window.
    beyond = tile.rows * pitches[-1] if tile.across else 2 * tile.rows * tile.block * item + rows_beyond
    window_bytes = round_up(problem.in_channels * prod(lengths) * item + beyond, CACHE_LINE)
    return PassLayout(sharing, taps, branches, tuple(routines), len(taps) * blocks, window_bytes, results_bytes, values)


@dataclass(frozen=True)
class DirectPlan:
    """All of a problem that does not depend on the arrays' contents and addresses, laid out for compiled code."""

    problem: Problem
    layout: Layout
    cycles: float  # of one core
    routine: PassLayout
    workers: int  # that the work is large enough for
    job: np.ndarray
    geometry: Geometry  # kept alive, as is the routine: the job holds their addresses
    worker: Any

    @property
    def flops(self) -> int:
        """Operations of a call."""
        return 2 * self.problem.in_channels * self.problem.taps * self.problem.outputs

    @property
    def scratch_bytes(self) -> int:
        """Bytes that a thread takes."""
        return int(self.job["scratch_bytes"][0])

    @property
    def weight_bytes(self) -> int:
        """Bytes that the weights take."""
        values = self.routine.values
        return int(values["weights_block"]) * self.routine.blocks * self.problem.groups

    def describe(self) -> list[str]:
        """Say what runs."""
        tile = self.layout.tile
        return [
            f"taps      {self.problem.in_channels * self.problem.taps} for each output",
            f"tile      {self.layout.shape} outputs, {tile.rows} x {tile.block} of them at once in registers",
        ]

    def prepare(self, kernel: np.ndarray, workers: int | None) -> np.ndarray:
        """Return the filters of every group, `problem.canonical_kernel`, as the routine reads them."""
        return self.routine.pack(kernel, workers)

    def __call__(
        self,
        x: np.ndarray,
        weights: np.ndarray,
        constants: Constants,
        out: np.ndarray,
        workers: int | None,
        region: Region | None = None,
    ) -> None:
        """Convolve ``x`` into ``out``.

        Parameters
        ----------
        x, out : ndarray
            Arrays of the strides and types that the problem was made from.
        weights : ndarray
            What `prepare` made of the kernel.
        constants : dict
            What stands outside every channel and what else the problem asks for, `problem.Constants`.
        workers : int or None
            Threads asked for.
        region : sequence of (int, int), optional
            The first output along each of the problem's axes and the one behind the last; all by default.
        """
        job, axes = self.job.copy(), self.geometry.axes
        job["x_low"], job["x_high"] = self.problem.bounds(x)
        arrays = {"x": x, "out": out, "weights": weights, **constants}
        if region is not None:
            axes, arrays["begins"] = self.geometry.restricted(region)
            job["tasks"] = prod(axes["tiles"].tolist()) * self.problem.groups * job["chunks"]
        run(job, axes, self.worker, arrays, workers, self.workers)


def repair(
    problem: Problem,
    geometry: Geometry,
    flags: np.ndarray,
    x: np.ndarray,
    kernel: np.ndarray,
    constants: Constants,
    out: np.ndarray,
    workers: int | None,
) -> None:
    """Compute the tiles of another method whose flags are set: those that it cannot do within what is promised."""
    tiles = distinct(np.flatnonzero(flags) // problem.groups)
    if len(tiles):
        own = plan(problem)
        weights = own.prepare(kernel, workers)
        for tile in tiles:
            own(x, weights, constants, out, workers, geometry.region(int(tile)))


class Joined:
    """Two direct convolutions of one array into one result, the second over what the first has written, tile by tile.

    Parameters
    ----------
    first, second : DirectPlan
        Plans of one layout whose tasks are the same.
    weights : tuple of ndarray
        What they prepared of their kernels.
    constants : tuple of dict
        The constants of each.
    workers : int or None
        Threads asked for.
    """

    def __init__(
        self, first: DirectPlan, second: DirectPlan, weights: Sequence[np.ndarray], constants: Sequence[Constants],
        workers: int | None,
    ) -> None:  # fmt: skip
        jobs = np.concatenate([first.job, second.job])
        jobs["passes"] = len(jobs)
        if jobs["chunks"][0] > 1:  # which share the windows of a tile: one behind the other
            shift = round_up(first.scratch_bytes, CACHE_LINE) - jobs["window_at"][1]
            for name in ("window_at", "results_at", "scratch_bytes"):
                jobs[name][1] += shift
        jobs["scratch_bytes"] = jobs["scratch_bytes"].max()
        jobs["weights"] = [own.ctypes.data for own in weights]
        for job, own in zip(jobs, constants, strict=True):
            for name, values in own.items():
                job[name] = values.ctypes.data
        self._jobs, self._axes = jobs, np.concatenate([first.geometry.axes, second.geometry.axes])
        self._first, self._workers = first, workers
        self._kept = second, weights, constants  # alive: the jobs hold their addresses

    def __call__(self, x: np.ndarray, out: np.ndarray) -> None:
        """Convolve ``x`` into ``out``, arrays of the strides and types that the plans were made for."""
        run(self._jobs, self._axes, self._first.worker, {"x": x, "out": out}, self._workers, 2 * self._first.workers)


@tuning.remembered(256)
def plan(problem: Problem) -> DirectPlan:
    """Return the plan of a merged problem, by the layout of least cost."""
    return build(problem, *best(problem))


def build(problem: Problem, layout: Layout, cycles: float) -> DirectPlan:
    """Lay out the tables and the job of a problem."""
    along = list(zip(problem.axes, layout.shape, strict=True))
    windows = [window(axis, outputs) for axis, outputs in along]
    begins = [
        tile_begins(axis, outputs, granularity(problem, layout, a) if layout.inside else 0)
        for a, (axis, outputs) in enumerate(along)
    ]
    outline = geometry(problem, problem.working, windows, begins, frame=frame(problem, layout))
    routine = lay_out_pass(problem, layout, windows)
    tiles = prod(len(b) - 1 for b in begins) * problem.groups
    workers = useful_workers(problem, cycles)
    tasks = tuning.TUNING.tasks_per_worker * min(workers, threads.available())
    chunks = min(routine.blocks, max(1, tasks // tiles)) if workers > 1 else 1
    chunk = -(-routine.blocks // chunks)
    chunks = -(-routine.blocks // chunk)
    results_at = outline.values["window_at"] + routine.window_bytes
    x_channels = offsets(problem.x_channel_steps)
    values = {
        "passes": 1, "inside_allowed": layout.inside,
        "channels_low": x_channels.min(), "channels_high": x_channels.max(),
        "ahead": rows_ahead(problem, layout.sharing, layout.tile.rows), "chunk": chunk, "chunks": chunks,
        "tasks": tiles * chunks, "results_at": results_at, "scratch_bytes": results_at + routine.results_bytes,
    }  # fmt: skip
    job = outline.job(JOB, {**routine.values, **values})
    return DirectPlan(problem, layout, cycles, routine, workers, job, outline, compile_worker(len(windows)))


def useful_workers(problem: Problem, cycles: float) -> int:
    """Return the number of threads that so much work is large enough for."""
    return int((cycles + problem.outputs) // tuning.TUNING.serial_below) + 1


def rows_ahead(problem: Problem, sharing: Sharing, rows: int) -> int:
    """Return the bytes from a block to the rows to ask memory for: far enough for them to come in time."""
    if len(problem.axes) == 1:
        return 0  # memory fetches one line ahead by itself
    axis = problem.axes[0]
    return problem.x_steps[0] * (axis.extent + (rows * axis.stride if sharing.axis == 0 else 0))


def unsupported_reason(request: Request, problem: Problem, kernel: np.ndarray, factors: Sequence[Factor]) -> str:
    """Return why the method cannot run a problem with a kernel, or nothing where it can: this one always can."""
    return ""


@tuning.remembered(256)
def estimate(problem: Problem, factors: Structure) -> float:
    """Estimate the milliseconds of a call."""
    _, cycles = best(merged(problem))
    workers = threads.team_size(None, useful_workers(problem, cycles))
    return tuning.milliseconds(problem, cycles / workers, 0.12, 1.15, 0.35)


def prepare(
    problem: Problem, kernel: np.ndarray, factors: Sequence[Factor], workers: int | None
) -> tuple[DirectPlan, np.ndarray]:
    """Return the plan of a problem, and its kernel ready for it."""
    own = plan(merged(problem))
    return own, own.prepare(kernel, workers)
