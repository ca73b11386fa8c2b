"""The separable method: the factors of a kernel one after the other, inside the tile.

Each pass is the direct method's routine along the axes of one factor, from a window that holds outputs along the
axes done and positions along those to come, in the caches throughout: the array crosses memory once. The terms of a
sum are channels of the windows in between. The filters of a bank read a window in common, and share the passes of the
factors that they share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np

from ...jit import tables as t
from ...jit.compile import function
from ...jit.intrinsics.scaling import scale_of
from ...jit.kernels import convolve_tiles
from ...jit.lines import compile_largest
from ...jit.machine import CACHE_LINE
from ...problem.canonical import Problem
from ...problem.dtypes import bits
from .. import tuning
from ..direct import rows_ahead, useful_workers
from ..tiling.costs import gather_cycles
from ..tiling.layout import best_of_tile, round_up, tiles_there
from ..tiling.likeness import representative
from ..tiling.tables import (
    Builder,
    Columns,
    Tasks,
    add_axes,
    axis_rows,
    dense_pitches,
    even_begins,
    functions,
    offsets,
    spacing_of,
    writer,
)
from ..tiling.taps import Window, window
from ..tiling.tile_pass import TilePass, lay_out_pass, sums_of
from ..tiling.ways import lanes_of
from ..tiling.weights import lift_of, lifted_by
from .axis_sums import SumPass, lay_out_sums, sum_cycles, sums_of_factors
from .factors import Factor, Structure, most_magnitude
from .passes import passes_of
from .tile import share_inside, size_of, tile_shape


@dataclass(frozen=True)
class Factors:
    """A kernel, and its factors as the routines read them."""

    kernel: np.ndarray
    packed: tuple[np.ndarray, ...]
    columns: tuple[Columns, ...]  # of each job
    most: float  # the largest magnitude that samples may have
    growth: float  # times the magnitude of x, that of what first passes write at most


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
        return sum(own.weight_bytes for own in self.passes)

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
        weights = [factor.weights.astype(self.problem.working) for factor in factors]
        packed, columns, exponent = list[np.ndarray](), list[Columns](), lift_of(weights)
        before = {-1: 0}  # factors from x to what each pass writes
        for p, (own, filters, (*_, (source, _), _)) in enumerate(zip(self.passes, weights, self.factors, strict=True)):
            before[p] = before[source] + 1
            groups = np.repeat(filters.reshape(1, len(filters), -1), self.problem.groups, axis=0)
            packed.append(own.pack(groups, None, exponent))
            columns.append({t.WEIGHTS: packed[p].ctypes.data, t.LIFTED_BY: lifted_by(packed[p], before[p])})
        first = [own for own, (*_, (source, _), _) in zip(weights, self.factors, strict=True) if source < 0]
        growth = max(float(np.abs(own).sum(dtype=np.float64)) for own in first)
        return Factors(kernel, tuple(packed), tuple(columns), most_magnitude(self.problem, kernel), growth)

    def _most_written(self, weights: Factors, fills: np.ndarray) -> int:
        """Return the bits of the largest magnitude that first passes may write, 0 where they write none above it."""
        stored = np.dtype(self.problem.stored)
        largest = np.inf if stored.kind == "f" else max(2.0 ** (8 * stored.itemsize), np.abs(fills).max(initial=0))
        if weights.most == np.inf or largest * weights.growth <= weights.most:
            return 0
        return max(1, bits(weights.most, self.problem.working))

    def kernel_columns(self, weights: Factors, fills: np.ndarray) -> list[Columns]:
        """Return the columns of each job that depend on the kernel's values or on the fill values."""
        most = self._most_written(weights, fills)
        return [{**own, t.MOST_WRITTEN: most} for own in weights.columns]

    def __call__(
        self, x: np.ndarray, weights: Factors, fills: np.ndarray, out: np.ndarray, workers: int | None,
        columns: Columns | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Convolve ``x`` into ``out`` by the parameters of `DirectPlan`; return which tiles are left."""
        flags = np.zeros(int(self.tasks.table[t.TASKS]), np.int64)
        low, high = self.problem.bounds(x)
        common = {t.OUT: out.ctypes.data, t.FILLS: fills.ctypes.data}
        own: list[Columns] = [
            {**step, **common, **(columns if columns and channel >= 0 else {})}
            for step, (*_, channel) in zip(self.kernel_columns(weights, fills), self.factors, strict=True)
        ]
        first = {**own[0], t.X: x, t.X_LOW: low, t.X_HIGH: high, t.FLAGS: flags}
        self.tasks.run(first, workers, self.workers, own[1:])
        return flags


class Cut(NamedTuple):
    """How problems that are alike are cut: the tiles along each axis, what each pass is, and cycles of one core."""

    tiles: list[int]
    steps: list[Problem]
    inside: bool  # whether the first pass may read x itself
    cycles: float


@tuning.remembered(256)
def cut_of(problem: Problem, factors: Structure) -> Cut:
    """Return the cut of least cost, of a merged problem that stands for its like."""
    shape = tile_shape(problem, factors)
    windows = _windows(problem, shape)
    tiles = [-(-axis.outputs // n) for axis, n in zip(problem.axes, shape, strict=True)]
    steps, inside = passes_of(problem, shape, windows, factors), _reads_inside(problem, factors, shape, windows)
    *outer, line = [own.length for own in windows]
    gathered = 1 - share_inside(problem, shape) if inside else 1
    cycles: float = gathered * prod(outer) * gather_cycles(line)
    for p, (step, sums) in enumerate(zip(steps, sums_of_factors(problem, factors), strict=True)):
        if sums is None:
            cycles += best_of_tile(step, inside and p == 0)[1]
        else:
            lengths = [axis.outputs for axis in step.axes]
            cycles += sum_cycles(sums, lengths, step.axes[sums.axis], lanes_of(problem.working))
    return Cut(tiles, steps, inside, prod(tiles) * cycles)


def _windows(problem: Problem, shape: Sequence[int]) -> list[Window]:
    return [window(axis, outputs) for axis, outputs in zip(problem.axes, shape, strict=True)]


def _dense(length: int) -> Window:
    return Window([[0, length, 0, 1]], [0])


def _reads_inside(problem: Problem, factors: Structure, shape: Sequence[int], windows: Sequence[Window]) -> bool:
    """Return whether a register tile may read x itself, whose positions are those of windows."""
    is_dense = all(
        axis.stride == 1 and own.length == n + axis.extent - 1
        for axis, n, own in zip(problem.axes, shape, windows, strict=True)
    )
    return problem.reads_inside and is_dense and sums_of_factors(problem, factors)[0] is None


@tuning.remembered(64)
def plan(problem: Problem, factors: Structure) -> SeparablePlan:
    """Return the plan of a merged problem whose kernel has such factors, by the tile of least cost."""
    like, item = representative(problem), np.dtype(problem.working).itemsize
    cut = cut_of(like, factors)
    summed = sums_of_factors(problem, factors)
    axes_of_sums = [sums.axis for sums in summed if sums]
    least = [axis.dilation if a in axes_of_sums else 1 for a, axis in enumerate(problem.axes)]  # windows are dense
    shape = tuple([max(least[a], size_of(problem, a, tiles)) for a, tiles in enumerate(cut.tiles)])
    windows = _windows(problem, shape)
    begins = [even_begins(axis, n) for axis, n in zip(problem.axes, shape, strict=True)]
    tiles = prod([len(own) - 1 for own in begins])
    inside = _reads_inside(problem, factors, shape, windows)
    x_channels = offsets(problem.x_channel_steps)
    builder = Builder(len(factors))
    axes, columns = add_axes(builder, problem, windows, begins)
    common = {
        **columns, **functions(like, problem.working, spacing_of(problem, windows), ranged=not problem.exact),
        t.PASSES: len(factors),
        t.TASKS: tiles * problem.groups, t.GROUP_TASKS: 1, t.RUN_TASKS: function(convolve_tiles),
        t.LARGEST_NUMBER: 0 if problem.exact else compile_largest(problem.working, counts_nan=False),
        t.SCALE: scale_of(problem.working), t.READS_X: inside,
        t.CHANNELS_LOW: min(x_channels), t.CHANNELS_HIGH: max(x_channels),
    }  # fmt: skip
    passes = list[TilePass | SumPass]()
    room = dict[int, int]()  # bytes of what passes write, and of the gathered window
    channel_bytes = {-1: 0}
    windows_of = {-1: windows}  # that passes write; they are outputs along the axes that are done
    for p, (along, terms, before, _, (source, first), channel) in enumerate(factors):
        alike, last = cut.steps[p], channel >= 0
        own_windows = windows_of[source]
        written = [_dense(shape[a]) if a in along else own for a, own in enumerate(own_windows)]
        outputs, windows_of[p] = [own.length for own in written], written
        read = [windows[a] if a in along else _dense(n) for a, n in enumerate(outputs)]
        steps = dense_pitches(written, item)
        channel_bytes[p] = steps[0] * outputs[0]
        targets = [k * channel_bytes[p] for k in range(terms)] * problem.groups
        if last:
            targets = offsets(problem.out_channel_steps)[channel :: problem.out_channels]
        own: TilePass | SumPass
        ahead = 0
        if (sums := summed[p]) is not None:
            own = lay_out_sums(alike, sums, outputs[sums.axis], read)
        else:
            way, _ = best_of_tile(alike, cut.inside and p == 0, tiles_there())
            own = lay_out_pass(
                builder, sums_of(alike, way), alike, outputs, read, problem.x_steps if p == 0 else [0] * len(axes),
                [0] * before, problem.out_steps[-1] if last else steps[-1], targets,
            )  # fmt: skip
            ahead = rows_ahead(problem, way.sharing, own.columns[t.ROWS]) if inside and p == 0 else 0
        passes.append(own)
        room[source] = max(room.get(source, 0), first * channel_bytes[source] + own.window_bytes)
        own_axes = [row.copy() for row in axes]
        for a, row in enumerate(own_axes):
            if not last:
                row[t.OUT_STEP] = steps[a]
            if written[a] is windows[a] and problem.axes[a].taps > 1:
                length, reach = outputs[a], int(windows[a].positions.max())
                row[t.KEPT], row[t.HALO] = length, length - shape[a] if reach + 1 == length else length
        builder.set({
            **common, **own.columns, t.AXES: builder.add(axis_rows(own_axes, own.pitches)),
            t.WRITE: writer(alike, alike.accumulated, alike.results_near),
            t.OUT_CHANNELS: builder.add(targets), t.IN_CHANNELS: before, t.GROUP_FILTERS: terms, t.AHEAD: ahead,
            t.BESIDE_FILLS: item * problem.groups,
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
    cycles = cut.cycles * problem.outputs / like.outputs
    workers = useful_workers(problem, cycles)
    return SeparablePlan(problem, factors, shape, cycles, tuple(passes), workers, builder.tasks(begins))
