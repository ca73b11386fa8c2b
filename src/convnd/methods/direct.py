"""The direct method: every output sums its taps, by the layout that runs the problem best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from ..jit import parallel
from ..jit import tables as t
from ..jit.compile import function
from ..jit.intrinsics.register_tile import register_tile
from ..jit.intrinsics.transpose import transpose
from ..jit.kernels import convolve_directly
from ..jit.machine import CACHE_LINE
from ..jit.tiles import run_channels, run_rows, run_tile
from ..problem.axis import Branch, Window, window
from ..problem.canonical import Problem
from ..problem.request import Request
from . import tuning
from .separable.factors import Factor, Structure
from .tiling.layout import Layout, best, frame, granularity, line_length, round_up, turned, usable
from .tiling.tables import (
    Builder,
    Columns,
    Region,
    Tasks,
    add_axes,
    dense_pitches,
    functions,
    offsets,
    phase_table,
    tile_begins,
    window_columns,
    writer,
)
from .tiling.taps import Sharing, Taps, counted, filter_blocks, tap_offsets, taps_of
from .tiling.weights import pack


@dataclass(frozen=True)
class TilePass:
    """One pass of a register tile over the windows of tiles, laid out for compiled code.

    ``window_bytes`` have room for the vectors and rows that are read
    behind the window and dropped. ``blocks`` are those of a group's weights, of all phases.
    """

    sharing: Sharing
    taps: list[Taps]  # of each phase
    columns: Columns
    blocks: int
    window_bytes: int
    results_bytes: int

    def pack(self, kernel: np.ndarray, workers: int | None) -> np.ndarray:
        """Return the filters ``(groups, C_out, C_in * taps)`` as the register tile reads them."""
        return pack(kernel, self.taps, self.sharing, workers)


def lay_out_pass(builder: Builder, problem: Problem, layout: Layout, windows: Sequence[Window]) -> TilePass:
    """Lay out the pass that turns the windows of a tile into its outputs."""
    tile, sharing = layout.tile, layout.sharing
    item, axes = np.dtype(problem.working).itemsize, problem.axes
    lengths = [len(w.positions) for w in windows]
    together = frame(problem, layout.way)
    pitches = dense_pitches(windows, item * together)
    channel_pitch = item * prod(lengths) if together == 1 else item
    out_channels, count = offsets(problem.out_channel_steps), problem.in_channels
    channels = np.stack([channel_pitch * np.arange(count), offsets(problem.x_channel_steps)[:count]])
    ordered = problem.in_kernel_order
    along, lines = ordered(axes), (ordered(windows), ordered(pitches), ordered(problem.x_steps))
    shared = sharing if sharing.axis is None else sharing._replace(axis=problem.kernel_axes.index(sharing.axis))
    branches = [axis.branches or (Branch(range(axis.taps), 0, 0),) for axis in along]
    taps, fields = [], []
    for phase in product(*branches):
        about = tuple([(len(own.taps), axis.stride, axis.dilation) for own, axis in zip(phase, along, strict=True)])
        own = taps_of(about, (count, *[axis.taps for axis in along]), shared, tile.runs)
        own, place = counted(own, tap_offsets(own, [b.shift for b in phase], *lines, channels), problem.pattern)
        fields.append((*map(builder.address, (place[0], place[1], own.bounds)), len(own.bounds)))
        taps.append(own)
    row_axis = sharing.axis if sharing.axis is not None and not tile.interleaved else -1
    spacing = problem.axes[row_axis].tap_spacing
    x_row = problem.x_steps[row_axis] * problem.axes[row_axis].stride if row_axis >= 0 and problem.reads_native else 0
    channel_steps = set(np.diff(out_channels[: problem.branch_channels]).tolist())
    pieces = -(-line_length(problem, layout) // tile.block)  # of several axes' lines, taken apart when stored
    block_bytes = sharing.rows * tile.block * item
    if layout.flat == 0:
        # Those of a tile across channels are transposed, line by line: the longer the better.
        pieces = min(pieces, max(1, tuning.TUNING.results_bytes * (4 if tile.across else 1) // block_bytes))
    rows_beyond = -layout.shape[row_axis] % (tile.rows * spacing) * pitches[row_axis] if row_axis >= 0 else 0
    blocks = filter_blocks(problem.branch_channels, sharing)
    results_bytes = pieces * block_bytes
    channel_step = max(channel_steps, default=0)
    columns = {
        t.CHANNEL_PITCH: channel_pitch, t.FRAME: together,
        t.RUN_TILE: function(run_tile), t.RUN_LINE: function(run_channels if tile.across else run_rows),
        t.TILE_FUNCTION: register_tile.compile(tile),
        t.PHASES: builder.add(phase_table(problem, fields)), t.PHASE_BLOCKS: blocks,
        t.PHASE_FILTERS: problem.branch_channels,
        t.ROWS: sharing.rows if sharing.channels or row_axis >= 0 else 1, t.ROW_AXIS: row_axis,
        t.ROW_SPACING: spacing, t.BLOCK: tile.block, t.PIECES: pieces,
        t.X_ROW: x_row,
        t.BLOCK_FILTERS: sharing.rows if sharing.channels else 1, t.BLOCKS: len(taps) * blocks,
        t.TASK_BLOCKS: len(taps) * blocks, t.GROUP_TASKS: 1,
        t.WEIGHTS_BLOCK: max(len(own.source) for own in taps) * sharing.rows * item,
        t.WRITES_OUT: problem.stores_inside and layout.flat == 0 and len(channel_steps) <= 1,
        t.CHANNEL_STEP: channel_step, t.FLAT: layout.flat,
        t.BESIDE_FILLS: item * problem.groups * problem.in_channels,
    }  # fmt: skip
    if tile.across:
        near = len(channel_steps) == 1 and abs(channel_step) < abs(problem.out_steps[-1])
        size = np.dtype(problem.result).itemsize
        neighbours = channel_step == size if near else problem.results_near
        write = writer(problem.accumulated, problem.result, neighbours, False, problem.updates)
        results_bytes = 2 * sharing.rows * round_up(pieces * tile.block, tile.lanes) * item
        columns |= {
            t.LANES: tile.lanes, t.TRANSPOSE: transpose.compile(problem.working, tile.lanes), t.WRITE: write,
            t.CHANNELS_NEAR: near,
            t.WRITES_OUT: problem.stores_native and channel_step == item,
        }  # fmt: skip
    # The last vectors and the rows that do not exist read behind the window.
    beyond = tile.rows * pitches[-1] if tile.across else 2 * tile.rows * tile.block * item + rows_beyond
    window_bytes = round_up(problem.in_channels * prod(lengths) * item + beyond, CACHE_LINE)
    return TilePass(sharing, taps, columns, len(taps) * blocks, window_bytes, results_bytes)


@dataclass(frozen=True)
class DirectPlan:
    """All of a problem that does not depend on the arrays' contents and addresses, laid out for compiled code."""

    problem: Problem
    layout: Layout
    cycles: float  # of one core
    tile_pass: TilePass
    workers: int  # that the work is large enough for
    tasks: Tasks

    @property
    def flops(self) -> int:
        """Operations of a call."""
        return 2 * self.problem.weights * self.problem.outputs

    @property
    def weight_bytes(self) -> int:
        """Bytes that the weights take."""
        return int(self.tile_pass.columns[t.WEIGHTS_BLOCK]) * self.tile_pass.blocks * self.problem.groups

    def describe(self) -> list[str]:
        """Say what runs."""
        tile = self.layout.tile
        return [
            f"taps      {self.problem.weights} for each output",
            f"tile      {self.layout.shape} outputs, {tile.rows} x {tile.block} of them at once in registers",
        ]

    def prepare(self, kernel: np.ndarray, workers: int | None) -> np.ndarray:
        """Return the filters of every group, `problem.canonical_kernel`, as the register tile reads them."""
        return self.tile_pass.pack(kernel, workers)

    def __call__(
        self,
        x: np.ndarray,
        weights: np.ndarray,
        fills: np.ndarray,
        out: np.ndarray,
        workers: int | None,
        region: Region | None = None,
        columns: Columns | None = None,
    ) -> None:
        """Convolve ``x`` into ``out``, of the strides and types that the problem was made from.

        ``weights`` are what `prepare` made of the kernel, ``fills`` are `canonical.fills`. A ``region`` is the first
        output along each of the problem's axes and the one behind the last. ``columns`` of the table go before others.
        """
        tasks = self.tasks if region is None else self.tasks.restricted(region)
        low, high = self.problem.bounds(x)
        own: Columns = {t.X: x, t.OUT: out, t.WEIGHTS: weights, t.FILLS: fills, t.X_LOW: low, t.X_HIGH: high}
        tasks.run({**own, **(columns or {})}, workers, self.workers)


@tuning.remembered(256)
def plan(problem: Problem) -> DirectPlan:
    """Return the plan of a merged problem, by the layout of least cost."""
    return build(problem, *usable(problem))


def build(problem: Problem, layout: Layout, cycles: float) -> DirectPlan:
    """Lay out the tables of a problem."""
    along = list(zip(problem.axes, layout.shape, strict=True))
    windows = [window(axis, outputs) for axis, outputs in along]
    begins = [
        tile_begins(axis, outputs, granularity(problem, layout, a) if layout.inside else 0)
        for a, (axis, outputs) in enumerate(along)
    ]
    builder = Builder(columns=t.SMALL_COLUMNS)
    tile_pass = lay_out_pass(builder, problem, layout, windows)
    pitches = dense_pitches(windows, np.dtype(problem.working).itemsize * tile_pass.columns[t.FRAME])
    axes, columns = add_axes(builder, problem, windows, begins, pitches)
    compiled = functions(problem, problem.working, ranged=problem.is_searched)
    tiles = prod(len(b) - 1 for b in begins) * problem.groups
    workers = useful_workers(problem, cycles)
    tasks = tuning.TUNING.tasks_per_worker * min(workers, parallel.available()) if workers > 1 else 1
    task_blocks = -(-tile_pass.blocks // min(tile_pass.blocks, max(1, tasks // tiles)))
    group_tasks = -(-tile_pass.blocks // task_blocks)
    x_channels = offsets(problem.x_channel_steps)
    builder.set({
        **columns, **compiled, **window_columns(tile_pass.columns, tile_pass.window_bytes, tile_pass.results_bytes),
        t.AXES: builder.add(axes), t.RUN_TASKS: function(convolve_directly), t.READS_X: layout.inside,
        t.CHANNELS_LOW: x_channels.min(), t.CHANNELS_HIGH: x_channels.max(),
        t.AHEAD: rows_ahead(problem, layout.sharing, layout.tile.rows) if layout.inside else 0,
        t.TASK_BLOCKS: task_blocks, t.GROUP_TASKS: group_tasks, t.TASKS: tiles * group_tasks,
    })  # fmt: skip
    own = builder.tasks(begins)
    return DirectPlan(problem, layout, cycles, tile_pass, workers, own)


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
    _, cycles = best(turned(problem))
    workers = parallel.team_size(None, useful_workers(problem, cycles))
    return tuning.milliseconds(problem, cycles / workers, 0.12, 1.15, 0.35)


def least_estimate(problem: Problem) -> float:
    """Return milliseconds that an estimate is not below, at little cost."""
    return 0.0


def prepare(
    problem: Problem, kernel: np.ndarray, factors: Sequence[Factor], workers: int | None
) -> tuple[DirectPlan, np.ndarray]:
    """Return the plan of a problem, and its kernel ready for it."""
    own = plan(turned(problem))
    return own, own.prepare(kernel, workers)
