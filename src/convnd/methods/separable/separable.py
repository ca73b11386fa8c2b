"""The separable method: the factors of a kernel one after the other, inside the tile.

Each pass is the direct method's routine along the axes of one factor, from a window that holds outputs along the
axes done and positions along those to come, in the caches throughout: the array crosses memory once. The terms of a
sum are channels of the windows in between. The filters of a bank read a window in common, and share the passes of the
factors that they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from ...jit import tables as t
from ...jit.compile import function
from ...jit.kernels import convolve_separably
from ...jit.lines import compile_largest, compile_writer
from ...jit.machine import CACHE_LINE, VECTOR_BYTES
from ...jit.parallel import available, team_size
from ...problem.axis import window
from ...problem.canonical import Problem, merged
from ...problem.request import Request
from .. import tuning
from ..direct import TilePass, lay_out_pass, rows_ahead, useful_workers
from ..tiling.costs import gather_cycles
from ..tiling.layout import Layout, best_of_tile, round_up, window_length
from ..tiling.tables import Builder, Columns, Tasks, add_axes, dense_pitches, even_begins, functions, offsets
from .bank import check_separable
from .factors import Factor, Structure, most_bits, structure
from .moving_sums import SumPass, lay_out_sums, sum_cycles, summed_axes
from .passes import channels_of, passes_of

_TILES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 1024, 16384)
_ROWS = 8  # that a register tile computes at once
_BLOCK_VECTORS = 16  # of a line that a register tile computes at once, at most
#: Windows, as `Tuning.window_bytes` counts them, between two passes at most; and the work of a tile with more.
_MOST_WINDOWS, _BEYOND = 4, 1.5


@dataclass(frozen=True)
class Factors:
    """A kernel, and its factors as the routines read them."""

    kernel: np.ndarray
    packed: tuple[np.ndarray, ...]
    most: int  # bits of the largest magnitude that samples may have, 0 for any


@dataclass(frozen=True)
class SeparablePlan:
    """All of a problem that does not depend on the arrays' contents and addresses, laid out for compiled code."""

    problem: Problem
    factors: Structure
    shape: tuple[int, ...]
    cycles: float  # of one core
    passes: tuple[TilePass | SumPass, ...]
    workers: int
    tasks: Tasks

    @property
    def flops(self) -> int:
        """Operations of a call, the halos of tiles not counted."""
        return 2 * self.factor_taps * self.problem.outputs // self.problem.out_channels

    @property
    def weight_bytes(self) -> int:
        """Bytes that the weights take."""
        return sum(int(own.columns[t.WEIGHTS_BLOCK]) * own.blocks for own in self.passes)

    @property
    def factor_taps(self) -> int:
        """Taps of all factors and terms."""
        return sum(
            terms * before * prod(self.problem.axes[a].taps for a in along) for along, terms, before, *_ in self.factors
        )

    def describe(self) -> list[str]:
        """Say what runs."""
        passes = ", ".join(
            f"{terms * before} of {' x '.join(str(self.problem.axes[a].taps) for a in along)}"
            for along, terms, before, *_ in self.factors
        )
        return [
            f"taps      {self.problem.taps} for each output, {self.factor_taps} after factoring: {passes}",
            f"tile      {self.shape} outputs, in {len(self.factors)} passes",
        ]

    def prepare(self, kernel: np.ndarray, factors: Sequence[Factor]) -> Factors:
        """Return the canonical kernel, and its factors as the routines read them."""
        packed = []
        function(convolve_separably)  # not with the plan, which is made for an estimate too
        for factor, own in zip(factors, self.passes, strict=True):
            weights = factor.weights.astype(self.problem.working)
            groups = np.repeat(weights.reshape(1, len(weights), -1), self.problem.groups, axis=0)
            packed.append(own.pack(groups, None))
        return Factors(kernel, tuple(packed), most_bits(self.problem, kernel))

    def __call__(
        self, x: np.ndarray, weights: Factors, fills: np.ndarray, out: np.ndarray, workers: int | None,
        columns: Columns | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Convolve ``x`` into ``out`` by the parameters of `DirectPlan`; return which tiles are left."""
        flags = np.zeros(int(self.tasks.table[t.TASKS]), np.int64)
        low, high = self.problem.bounds(x)
        own = [{t.WEIGHTS: packed, t.OUT: out, t.MOST: weights.most} for packed in weights.packed]
        for job, (*_, channel) in zip(own, self.factors, strict=True):
            job.update(columns if columns and channel >= 0 else {})
        own[0] |= {
            t.X: x, t.FILLS: fills, t.X_LOW: low, t.X_HIGH: high, t.FLAGS: flags,
            t.RUN_TASKS: function(convolve_separably),
        }  # fmt: skip
        self.tasks.run(own[0], workers, self.workers, own[1:])
        return flags


@tuning.remembered(64)
def plan(problem: Problem, factors: Structure) -> SeparablePlan:
    """Return the plan of a merged problem whose kernel has such factors, by the tile of least cost."""
    shape, item = _tile_shape(problem, factors), np.dtype(problem.working).itemsize
    windows = [window(axis, outputs) for axis, outputs in zip(problem.axes, shape, strict=True)]
    begins = [even_begins(axis, n) for axis, n in zip(problem.axes, shape, strict=True)]
    tiles = prod(len(own) - 1 for own in begins)
    steps = passes_of(problem, shape, factors)
    x_channels = offsets(problem.x_channel_steps)
    summed = summed_axes(problem, factors)
    inside = (
        problem.reads_inside
        and summed[0] < 0
        and all(
            axis.stride == 1 and len(own.positions) == n + axis.extent - 1
            for axis, n, own in zip(problem.axes, shape, windows, strict=True)
        )
    )
    chosen: list[tuple[Layout | None, float]] = [
        (None, sum_cycles([n.outputs for n in step.axes], a, step.axes[a].extent, VECTOR_BYTES // item))
        if a >= 0
        else best_of_tile(step, inside and p == 0)
        for p, (step, a) in enumerate(zip(steps, summed, strict=True))
    ]
    gathered = prod(len(w.positions) for w in windows[:-1]) * gather_cycles(len(windows[-1].positions))
    cycles = tiles * (gathered + sum(cost for _, cost in chosen))

    builder = Builder(len(steps))
    axes, columns = add_axes(builder, problem, windows, begins, dense_pitches(windows, item))
    compiled = functions(problem, problem.working, ranged=True)
    done = {-1: {a for a, axis in enumerate(problem.axes) if axis.taps == 1}}
    passes, room = (
        list[TilePass | SumPass](),
        dict[int, int](),
    )  # bytes of what a pass writes, and of the gathered window
    channel_bytes = {-1: 0} | {p: item * prod(axis.outputs for axis in step.axes) for p, step in enumerate(steps)}
    for p, (step, (layout, _)) in enumerate(zip(steps, chosen, strict=True)):
        along, terms, _, _, (source, first), channel = factors[p]
        own_windows = [
            own if a in along else window(step.axes[a], step.axes[a].outputs) for a, own in enumerate(windows)
        ]
        own: TilePass | SumPass = (
            lay_out_sums(step, summed[p], own_windows)
            if layout is None
            else lay_out_pass(builder, step, layout, own_windows)
        )
        passes.append(own)
        done[p] = done[source] | set(along)
        room[source] = max(room.get(source, 0), first * channel_bytes[source] + own.window_bytes)
        own_axes = axes.copy()
        own_axes[:, t.PITCH], own_axes[:, t.OUT_STEP] = dense_pitches(own_windows, item), step.out_steps
        for a in set(range(len(shape))) - done[p]:
            length, reach = len(windows[a].positions), int(windows[a].positions.max())
            own_axes[a, t.KEPT], own_axes[a, t.HALO] = length, length - shape[a] if reach + 1 == length else length
        builder.set({
            **columns, **compiled, **own.columns, t.AXES: builder.add(own_axes),
            t.WRITE: compile_writer(step.accumulated, step.result, step.results_near),
            t.OUT_CHANNELS: builder.add(channels_of(problem, step, channel)),
            t.IN_CHANNELS: step.in_channels, t.GROUP_FILTERS: terms, t.PASSES: len(steps),
            t.TASKS: tiles * problem.groups,
            t.LARGEST_NUMBER: compile_largest(problem.working, counts_nan=False),
            t.READS_X: inside, t.CHANNELS_LOW: x_channels.min(), t.CHANNELS_HIGH: x_channels.max(),
            t.AHEAD: rows_ahead(problem, own.sharing, int(own.columns[t.ROWS])) if inside else 0,
        }, p)  # fmt: skip
    at = {-1: 0}  # where windows are: those of passes that do not follow each other share a place
    for p, (*_, (source, _), channel) in enumerate(factors):
        at |= {p: at[source] + room[source]} if channel < 0 else {}
    results_at = max(at[p] + room[p] for p in at)
    end = round_up(results_at + max(own.results_bytes for own in passes), CACHE_LINE)
    for p, (_, terms, _, _, (source, first), _) in enumerate(factors):
        builder.set({
            t.WINDOW_AT: at[source] + first * channel_bytes[source], t.TARGET_AT: at.get(p, 0),
            t.CHECKED: terms * channel_bytes[p] // item if p in at and source < 0 else 0,
            t.RESULTS_AT: results_at, t.SCRATCH_BYTES: end,
        }, p)  # fmt: skip
    tasks = builder.tasks(begins)
    return SeparablePlan(problem, factors, shape, cycles, tuple(passes), useful_workers(problem, cycles), tasks)


def _tile_shape(problem: Problem, factors: Structure) -> tuple[int, ...]:
    """Return the outputs of a tile along each axis: the least work whose windows stay in the caches."""
    item, last = np.dtype(problem.working).itemsize, len(problem.axes) - 1
    lanes = VECTOR_BYTES // item
    line = _BLOCK_VECTORS * lanes
    choices = []
    for a, axis in enumerate(problem.axes):
        sizes = {-(-axis.outputs // n) for n in _TILES}
        choices.append(sorted({min(axis.outputs, round_up(n, line)) if a == last else n for n in sizes}, reverse=True))

    summed = summed_axes(problem, factors)

    def cost(shape: tuple[int, ...]) -> tuple[bool, float]:
        lengths = [window_length(axis, n) for axis, n in zip(problem.axes, shape, strict=True)]
        lengths_of, windows, between = {-1: lengths}, [prod(lengths)], 0
        # A window that is read in place costs its way from memory, however often it is read; at an end it is gathered.
        ends = (2 * n >= axis.outputs and (axis.before > 0 or axis.after > 0) for axis, n in zip(problem.axes, shape))
        in_place = problem.reads_inside and not any(ends) and summed[0] < 0
        work = 1.0 * prod(lengths[:-1])
        work *= tuning.TUNING.inside_cycles * lengths[-1] if in_place else gather_cycles(lengths[-1])
        for p, (along, terms, before, _, (source, _), _) in enumerate(factors):
            lengths = lengths_of[p] = [shape[a] if a in along else n for a, n in enumerate(lengths_of[source])]
            windows.append(terms * prod(lengths))
            if source >= 0:
                between = max(between, windows[source + 1] + windows[-1])
            if summed[p] >= 0:
                work += sum_cycles(lengths, summed[p], problem.axes[summed[p]].extent, lanes)
                continue
            lines = prod(round_up(n, _ROWS) if a in along else n for a, n in enumerate(lengths[:-1]))
            vectors = terms * lines * (round_up(lengths[-1], line) / lanes + 1)
            taps = before * prod(problem.axes[a].taps for a in along)
            work += vectors * taps * (tuning.TUNING.line_tap_cycles if last in along else tuning.TUNING.row_tap_cycles)
            rows = taps if last in along else taps + _ROWS
            if last not in along and rows * lengths[-1] * item > tuning.TUNING.first_level_bytes:
                work += vectors * tuning.TUNING.second_level_cycles
        tiles = prod(-(-axis.outputs // n) for axis, n in zip(problem.axes, shape, strict=True))
        held = item * max(between, windows[0] / (tuning.TUNING.rolling if in_place else 1)) / tuning.TUNING.window_bytes
        is_dense = all(shape[a] >= problem.axes[a].dilation for a in summed if a >= 0)
        work, fits = work * _BEYOND if held > 1 else work, held <= _MOST_WINDOWS and is_dense
        rounds = -(-tiles // available()) if tiles * work > tuning.TUNING.serial_below else tiles
        return not fits, work * rounds if fits else sum(windows)

    return min(product(*choices), key=cost)


def unsupported_reason(request: Request, problem: Problem, kernel: np.ndarray, factors: Sequence[Factor]) -> str:
    """Return why the method cannot run a problem with a kernel of such factors, or nothing where it can.

    Raises
    ------
    ValueError
        Where the user asks for the method, and the kernel is not separable.
    """
    if factors:
        return ""
    if request.method == "separable":
        check_separable(request, problem.working)
    why = "its factors are not whole numbers" if problem.exact else "its factors are complex or lose precision"
    if problem.is_upsampled:
        why = "the branches of an upsampled axis are short"
    return f"{why}: summed as it is"


def estimate(problem: Problem, factors: Structure) -> float:
    """Estimate the milliseconds of a call."""
    own = plan(merged(problem), factors)
    return tuning.milliseconds(problem, own.cycles / team_size(None, own.workers), 0.15, 1.15, 0.6)


def least_estimate(problem: Problem) -> float:
    """Return milliseconds that an estimate is not below, at little cost."""
    return 0.0


def prepare(
    problem: Problem, kernel: np.ndarray, factors: Sequence[Factor], workers: int | None
) -> tuple[SeparablePlan, Factors]:
    """Return the plan of a problem, and its kernel ready for it."""
    own = plan(merged(problem), structure(factors))
    return own, own.prepare(kernel, factors)
