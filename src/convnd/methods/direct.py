"""The direct method: every output sums its taps, by the layout that runs the problem best."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..jit import parallel
from ..jit import tables as t
from ..jit.compile import function
from ..jit.kernels import convolve_tiles
from ..jit.machine import CACHE_LINE, VECTOR_BYTES
from ..jit.packing import SQUARES
from ..problem.canonical import Kernel, Problem
from ..problem.request import Request
from . import tuning
from .separable.factors import Factor, Structure
from .tiling.borders import border_table, reads_zeros
from .tiling.ends import PartedPlan, parted
from .tiling.layout import best, round_up, tile_size, tiles_there, usable
from .tiling.likeness import representative, turned
from .tiling.tables import (
    Builder,
    Columns,
    Region,
    Tasks,
    add_axes,
    axis_rows,
    functions,
    offsets,
    spacing_of,
    tile_begins,
    window_columns,
)
from .tiling.taps import Sharing, window
from .tiling.tile_pass import TilePass, lay_out_pass, sums_of
from .tiling.weights import Packing, lift_of, lifted_by, packing


@dataclass(frozen=True)
class DirectPlan:
    """All of a problem that does not depend on the arrays' contents and addresses, laid out for compiled code."""

    problem: Problem
    shape: tuple[int, ...]  # of a tile's outputs
    tile_pass: TilePass
    workers: int  # that the work is large enough for
    tasks: Tasks
    packs_inside: bool  # whether each task packs its blocks of weights, which no other task reads

    @property
    def flops(self) -> int:
        """Operations of a call."""
        return 2 * self.problem.weights * self.problem.outputs

    @property
    def weight_bytes(self) -> int:
        """Bytes that the packed weights take."""
        return 0 if self.packs_inside else self.tile_pass.weight_bytes * self.problem.groups

    def describe(self) -> list[str]:
        """Say what runs."""
        tile = self.tile_pass.sums.way.tile
        return [
            f"taps      {self.problem.weights} for each output",
            f"tile      {self.shape} outputs, {tile.rows} x {tile.block} of them at once in registers",
        ]

    def prepare(self, kernel: np.ndarray, workers: int | None) -> np.ndarray | Packing:
        """Return the filters of every group, `problem.canonical_kernel`, as the register tile reads them."""
        sums = self.tile_pass.sums
        if not sums.way.sharing.channels:
            return self.tile_pass.pack(kernel, workers, lift_of([kernel]))
        filters = kernel.reshape(-1, sums.like.out_channels, kernel.shape[-1])
        own = packing(filters, sums.taps, sums.way.sharing)
        if self.packs_inside:
            return own
        packed = own.run(workers)
        return self.tile_pass.pack(kernel, workers, own.lift) if own.lift else packed[None]

    def kernel_columns(self, weights: np.ndarray, fills: np.ndarray) -> list[Columns]:
        """Return the columns of each job that depend on the kernel's values or on the fill values."""
        return [{t.WEIGHTS: weights.ctypes.data, t.LIFTED_BY: lifted_by(weights)}]

    def __call__(
        self, x: np.ndarray, weights: np.ndarray | Packing, fills: np.ndarray, out: np.ndarray, workers: int | None,
        region: Region | None = None, columns: Columns | None = None,
    ) -> None:  # fmt: skip
        """Convolve ``x`` into ``out``, of the strides and types that the problem was made from.

        ``weights`` are what `prepare` made of the kernel. A ``region`` is the first output along each of the problem's
        axes and the one behind the last. ``columns`` of the table go before others.
        """
        tasks = self.tasks if region is None else self.tasks.restricted(region)
        low, high = self.problem.bounds(x)
        own: Columns = {t.X: x, t.OUT: out, t.FILLS: fills, t.X_LOW: low, t.X_HIGH: high, **(columns or {})}
        if not isinstance(weights, Packing):
            tasks.run({**own, **self.kernel_columns(weights, fills)[0]}, workers, self.workers)
            return
        tasks.run({**own, t.PACKING: weights.table}, workers, self.workers)
        if weights.lift and self.tile_pass.columns[t.SCALE]:  # results are not added to what out holds
            lifted = self.tile_pass.pack(weights.kernel, workers, weights.lift)
            self(x, lifted, fills, out, workers, region, columns)


@tuning.remembered(256)
def plan(problem: Problem, is_finite: bool = False) -> DirectPlan:
    """Return the plan of a merged problem, by the layout of least cost.

    ``is_finite`` says whether all weights are known to be: others make NaN of zeros, so these are not left out.
    """
    builder, like, last = Builder(), representative(problem), len(problem.axes) - 1
    (way, tiles), cycles = usable(like, tiles_there())
    shape, windows, begins = [], [], []
    for a, axis in enumerate(problem.axes):
        size = tile_size(way, a, a == last, axis.outputs, tiles[a])
        border = way.tile.block if a == last else way.rows_apart if a == way.sharing.axis else 1
        shape.append(size)
        windows.append(window(axis, size, way.tile.across and a == last))  # it takes single samples from anywhere
        begins.append(tile_begins(axis, size, border if way.inside else 0))
    sums, x_channels = sums_of(like, way), offsets(problem.x_channel_steps)
    tile_pass = lay_out_pass(
        builder, sums, problem, shape, windows, problem.x_steps, x_channels[: problem.in_channels],
        problem.out_steps[-1], offsets(problem.out_channel_steps),
    )  # fmt: skip
    axes, columns = add_axes(builder, problem, windows, begins)
    grid = prod([len(own) - 1 for own in begins]) * problem.groups
    workers = useful_workers(problem, cycles * problem.outputs / like.outputs)
    if is_finite and (borders := border_table(builder, problem, way, sums.taps[0])):
        columns[t.BORDERS] = builder.add(borders)
    tasks = tuning.TUNING.tasks_per_worker * min(workers, parallel.available()) if workers > 1 else 1
    task_blocks = -(-sums.blocks // min(sums.blocks, max(1, tasks // grid)))
    group_tasks = -(-sums.blocks // task_blocks)
    packs_inside = (
        way.sharing.channels and len(sums.taps) == 1 and grid == problem.groups and not problem.keeps_kernel
        and workers > 1 and problem.groups * tile_pass.weight_bytes >= tuning.TUNING.packed_once
    )  # fmt: skip
    columns |= functions(like, problem.working, spacing_of(problem, windows), ranged=problem.is_searched)
    columns |= window_columns(tile_pass.columns, tile_pass.window_bytes, tile_pass.results_bytes)
    if packs_inside:
        columns[t.PACKED_AT] = columns[t.SCRATCH_BYTES]
        packed_bytes = tile_pass.columns[t.WEIGHTS_BLOCK] + SQUARES * VECTOR_BYTES * way.sharing.rows
        columns[t.SCRATCH_BYTES] += round_up(packed_bytes, CACHE_LINE)
    builder.set({
        **columns,
        t.AXES: builder.add(axis_rows(axes, tile_pass.pitches)),
        t.RUN_TASKS: function(convolve_tiles), t.READS_X: way.inside,
        t.CHANNELS_LOW: min(x_channels), t.CHANNELS_HIGH: max(x_channels),
        t.AHEAD: rows_ahead(problem, way.sharing, way.tile.rows) if way.inside else 0,
        t.TASK_BLOCKS: task_blocks, t.GROUP_TASKS: group_tasks, t.TASKS: grid * group_tasks,
    })  # fmt: skip
    return DirectPlan(problem, tuple(shape), tile_pass, workers, builder.tasks(begins), packs_inside)


def useful_workers(problem: Problem, cycles: float) -> int:
    """Return the number of threads that so much work is large enough for."""
    return int((cycles + problem.outputs) // tuning.TUNING.serial_below) + 1


def rows_ahead(problem: Problem, sharing: Sharing, rows: int) -> int:
    """Return the bytes from a block to the rows to ask memory for: far enough for them to come in time."""
    if len(problem.axes) == 1:
        return 0  # memory fetches one line ahead by itself
    before = len(problem.axes) - 2
    if sharing.axis is not None and sharing.axis < before:  # the next line, of the planes that no rows before have read
        planes, lines = problem.axes[sharing.axis].extent - 1, problem.axes[before].extent
        return planes * problem.x_steps[sharing.axis] + lines * problem.x_steps[before]
    a = next((a for a, axis in enumerate(problem.axes[:-1]) if axis.taps > 1), 0)  # items of a batch share no rows
    axis = problem.axes[a]
    return problem.x_steps[a] * (axis.extent + (rows * axis.stride if sharing.axis == a else 0))


def unsupported_reason(request: Request, problem: Problem, kernel: np.ndarray, factors: Sequence[Factor]) -> str:
    """Return why the method cannot run a problem with a kernel, or nothing where it can: this one always can."""
    return ""


@tuning.remembered(256)
def estimate(problem: Problem, factors: Structure) -> float:
    """Estimate the milliseconds of a call."""
    like = representative(turned(problem))
    layout, cycles = best(like)
    parts, own_cycles = parted(like)
    cycles = own_cycles if parts else cycles
    weight_bytes = (
        like.out_channels * like.weights * np.dtype(like.working).itemsize
    )  # of a group: each tile reads them
    cycles += like.groups * prod(layout.tiles) * tuning.far_cycles(weight_bytes)
    workers = parallel.team_size(None, useful_workers(problem, cycles))
    return tuning.milliseconds(problem, cycles / workers, workers, 0.12, 1.15, 0.35)


def prepare(
    problem: Problem, kernel: Kernel, factors: Sequence[Factor], workers: int | None
) -> tuple[DirectPlan | PartedPlan, Any]:
    """Return the plan of a problem, and its kernel ready for it."""
    problem = turned(problem)
    if parts := parted(problem)[0]:
        plans, weights = zip(*[prepare(own, kernel, factors, workers) for own, _ in parts], strict=True)
        return PartedPlan(plans, tuple([offset for _, offset in parts])), weights
    is_finite = reads_zeros(problem) and kernel.of("is_finite", lambda: bool(np.isfinite(kernel.weights).all()))
    own = plan(problem, is_finite)
    return own, kernel.of((own.tile_pass.sums.packing, own.packs_inside), lambda: own.prepare(kernel.weights, workers))
