"""The derivative by the kernel: for every weight the sum, over all outputs, of an output times the sample it read.

It runs over the direct method's tiles: the window of a tile is gathered, or read in place, as if its outputs were to be
computed, and the outputs are gathered beside it. Sums of neighbouring tiles are added up in an order that the problem
alone decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..jit.machine import CACHE_LINE, vector_bytes
from ..jit.outer import OuterTile, compile_outer_tile
from ..jit.products import GRADIENT, compile_gradient_worker
from ..jit.tiles import JOB
from ..methods import tuning, windows
from ..methods.direct import useful_workers
from ..methods.jobs import branch_records, dense_pitches, geometry, offsets, run
from ..methods.layout import round_up
from ..methods.taps import combinations
from ..problem import dtypes
from ..problem.axis import Axis, TapLine, tap_lines, window
from ..problem.boundary import CONSTANT
from ..problem.canonical import Problem, branch_weights, canonical, canonical_axes, canonical_filters, fills, merged
from ..problem.request import Request
from . import spectral_gradient
from .parts import Shift, cut, rounds


@dataclass(frozen=True)
class Columns:
    """What the columns of the outer tile read, for one branch: byte offsets in the gathered window and in the array.

    ``source[c, r]`` is the place among canonical weights of what column ``c`` and row ``r`` sum, -1 where there is no
    such tap; where the rows are filters it has one row.
    """

    packed: np.ndarray
    inside: np.ndarray
    source: np.ndarray


@dataclass(frozen=True)
class GradientPlan:
    """All of a problem's gradient that does not depend on the arrays' contents and addresses."""

    problem: Problem
    tile: OuterTile
    shift: Shift | None
    columns: list[Columns]  # of each branch
    parts: tuple[int, ...]  # shape: parts, groups, branches, chunks of filters, blocks of rows, rows, columns
    workers: int  # that the work is large enough for
    job: np.ndarray
    axes: np.ndarray
    gradient: np.ndarray
    kept: tuple[Any, ...]  # alive: the job holds their addresses
    worker: Any

    def __call__(self, x: np.ndarray, y: np.ndarray, fills: np.ndarray, workers: int | None) -> np.ndarray:
        """Return the gradient of every branch's weights, ``(groups, branches, C_out, C_in * taps)``."""
        job, parts = self.job.copy(), np.zeros(self.parts, self.tile.dtype)
        job["x"] = [x.ctypes.data, y.ctypes.data]
        job["x_low"][0], job["x_high"][0] = self.problem.bounds(x)
        for gradient in rounds(self.gradient, self.parts[0]):
            arrays = {"fills": fills, "out": parts, "weights": gradient}
            run(job, self.axes, self.worker, arrays, workers, self.workers)
        return self._in_order(parts.sum(axis=0) if len(parts) > 1 else parts[0])

    def _in_order(self, sums: np.ndarray) -> np.ndarray:
        groups, branches, chunks, _, rows, columns = sums.shape
        filters, weights = self.problem.branch_channels, self.problem.in_channels * self.problem.taps
        rows = rows if self.shift else 1
        sums = sums.reshape(groups, branches, chunks, -1, rows, columns)[:, :, :, : filters // chunks]
        sums = sums.reshape(groups, branches, filters, rows, columns)
        source = self.columns[0].source[:, 0]
        if branches == rows == 1 and len(source) == weights and (np.diff(source) == 1).all():
            return sums[:, :, :, 0, :weights]
        in_order = np.zeros((groups, branches, filters, weights), sums.dtype)
        for branch, own in enumerate(self.columns):
            column, row = np.nonzero(own.source >= 0)
            in_order[:, branch][..., own.source[column, row]] = sums[:, branch][..., row, column]
        return in_order


@tuning.remembered(64)
def plan(problem: Problem, may_shift: bool) -> GradientPlan:
    """Lay out the gradient of a merged problem, whose results are the outputs that are given."""
    item, own = np.dtype(problem.working).itemsize, cut(problem, may_shift)
    tile, shift, widest = own.tile, own.shift, own.widest
    filters = problem.branch_channels // own.chunks
    read = [window(axis, outputs) for axis, outputs in zip(problem.axes, widest, strict=True)]
    outline = geometry(problem, problem.working, read, own.begins)
    pitches, channel_pitch = dense_pitches(read, item), item * prod(len(w.positions) for w in read)
    x_channels = offsets(problem.x_channel_steps)
    origins = np.stack([np.arange(problem.in_channels) * channel_pitch, x_channels[: problem.in_channels]])
    along = [tap_lines(axis, axis_window) for axis, axis_window in zip(problem.axes, read, strict=True)]
    columns = [_columns(problem, lines, shift, tile.rows, pitches, origins) for lines in product(*along)]
    column_blocks = max(1, -(-max(len(c.packed) for c in columns) // tile.columns))
    offsets_of = [[_padded(table, column_blocks * tile.columns) for table in (c.packed, c.inside)] for c in columns]
    branches = branch_records(
        problem, [(packed.ctypes.data, inside.ctypes.data, 0, 0) for packed, inside in offsets_of]
    )

    # The outputs are gathered as another x, amid zeros where rows are shifted.
    given = replace(
        problem, axes=tuple(Axis(axis.outputs) for axis in problem.axes), x_steps=problem.out_steps,
        groups=problem.groups * problem.branches * own.chunks, in_channels=filters, mode=CONSTANT, fill_period=1,
        x_channel_steps=problem.out_channel_steps, stored=problem.result,
    )  # fmt: skip
    margin = (tile.rows - 1) * shift.outputs if shift else 0
    lengths = [n + (2 * margin if shift and a == shift.axis else 0) for a, n in enumerate(widest)]
    given_pitches = [item * prod(lengths[a + 1 :]) for a in range(len(lengths))]
    given_windows = [window(axis, n) for axis, n in zip(given.axes, widest, strict=True)]
    given_outline = geometry(given, problem.working, given_windows, own.begins, given_pitches)

    beyond = margin * pitches[shift.axis] if shift else 0
    outputs_at = round_up(outline.values["window_at"] + problem.in_channels * channel_pitch + beyond, CACHE_LINE)
    given_bytes = given_outline.values["window_at"] + filters * item * prod(lengths)
    lines_at = round_up(outputs_at + given_bytes, CACHE_LINE)
    rows_at = lines_at + 16 * prod(lengths[:-1])
    row_blocks = filters if shift else -(-filters // tile.rows)
    row_bytes, row_step = column_blocks * tile.columns * item, shift.outputs * given_pitches[shift.axis] if shift else 0
    routine, gradient = compile_outer_tile(tile), np.zeros(1, GRADIENT)
    for name, value in {
        "outer": routine.address, "rows": tile.rows, "row_blocks": row_blocks, "column_blocks": column_blocks,
        "columns": tile.columns, "branches": problem.branches, "tiles": own.tiles,
        "tiles_of_part": own.tiles_of_part,
        "chunk_bytes": row_blocks * tile.rows * row_bytes, "row_bytes": row_bytes,
        "block_filters": 1 if shift else tile.rows, "row_filters": 0 if shift else 1, "row_step": row_step,
        "shift_axis": shift.axis if shift else -1, "shift": shift.outputs if shift else 0,
        "margin_bytes": (tile.rows - 1) * row_step, "outputs_at": outputs_at, "lines_at": lines_at, "rows_at": rows_at,
    }.items():  # fmt: skip
        gradient[name] = value
    first = outline.job(JOB, {
        "inside_allowed": own.is_inside, "channels_low": x_channels.min(), "channels_high": x_channels.max(),
        "channel_pitch": channel_pitch, "block": 1, "branches": branches.ctypes.data, "chunks": own.chunks,
        "tasks": own.parts * problem.groups * own.chunks,
        "scratch_bytes": round_up(rows_at + 8 * tile.rows, CACHE_LINE),
    })  # fmt: skip
    second = given_outline.job(JOB, {
        "inside_allowed": given.reads_inside and shift is None, "channel_pitch": item * prod(lengths),
    })  # fmt: skip
    return GradientPlan(
        problem, tile, shift, columns,
        (own.parts, problem.groups, problem.branches, own.chunks, row_blocks, tile.rows, column_blocks * tile.columns),
        useful_workers(problem, 2 * problem.in_channels * problem.taps * problem.outputs / (vector_bytes() // item)),
        np.concatenate([first, second]), np.concatenate([outline.axes, given_outline.axes]),
        gradient, (outline, given_outline, offsets_of, branches, routine), compile_gradient_worker(len(read)),
    )  # fmt: skip


def _columns(
    problem: Problem, lines: Sequence[TapLine], shift: Shift | None, rows: int, pitches: Sequence[int],
    origins: np.ndarray,
) -> Columns:  # fmt: skip
    """Return what the columns read: every tap, or where rows are shifted those that no row shifts another to."""
    taps = [axis.taps for axis in problem.axes]
    weights = [np.arange(problem.in_channels) * prod(taps)]
    reads = [origins]
    for a, along in enumerate(lines):
        pitch = prod(taps[a + 1 :])
        chosen, sources = [np.zeros(0, np.int64)], [np.zeros((0, rows if shift else 1), np.int64)]
        for phase in along.axis.phases():
            nth = np.arange(len(phase))[:, None]
            if shift and a == shift.axis:
                nth = nth[nth[:, 0] // shift.taps % rows == 0] + shift.taps * np.arange(rows)
            elif shift:
                nth = np.repeat(nth, rows, axis=1)
            chosen.append(phase.start + phase.step * nth[:, 0])
            sources.append(np.where(nth < len(phase), (phase.start + phase.step * nth) * pitch, -(2**62)))
        tap = np.concatenate(chosen)
        reads.append(np.stack([along.places[tap] * pitches[a], along.positions[tap] * problem.x_steps[a]]))
        weights.append(np.concatenate(sources))
    weights[0] = np.repeat(weights[0][:, None], rows if shift else 1, axis=1)
    packed, inside = combinations(reads)
    source = combinations([own.T for own in weights]).T
    return Columns(packed, inside, np.where(source < 0, -1, source))


def _padded(table: np.ndarray, length: int) -> np.ndarray:
    """Return a table whose last entry is repeated; what such columns sum is dropped."""
    return np.pad(table, (0, length - len(table)), mode="edge" if len(table) else "constant")


@np.errstate(over="ignore", invalid="ignore")  # as in the sums that are compiled
def kernel_gradient(request: Request, x: np.ndarray, y: np.ndarray, by_transforms: bool) -> np.ndarray:
    """Return the derivative by the kernel of the sum of products of a request's result for ``x`` with ``y``."""
    result = dtypes.default_result(x.dtype, y.dtype)
    weights = np.zeros(request.kernel.shape, result)
    if y.size == 0:
        return weights
    if result.kind == "c":  # planes of x and of the outputs are channels
        y = y.astype(np.result_type(y, np.complex64), copy=False)
    own = replace(request, x=x, kernel=weights, working=dtypes.working(x.dtype, y, result, request.fill))
    problem = canonical(own, y)
    sums = _sums(problem, x, y, fills(own, problem), request.workers, by_transforms)
    if result.kind == "c":
        sums = _conjugate_products(sums, problem.taps, 2 if x.dtype.kind == "c" else 1)
    filters = canonical_filters(own, weights)
    filters = filters.reshape(request.groups, -1, *filters.shape[1:])
    axes = canonical_axes(own)
    shape = (*filters.shape[:3], *(axis.taps for axis in axes))
    for number, (taps, there) in enumerate(branch_weights(axes)):
        filters[taps] = sums[:, number].reshape(shape)[there]
    return weights


def _sums(
    problem: Problem, x: np.ndarray, y: np.ndarray, fills: np.ndarray, workers: int | None, by_transforms: bool
) -> np.ndarray:  # fmt: skip
    """Return the sums of products of a problem, ``(groups, branches, C_out, C_in * taps)``."""
    if by_transforms and not (problem.exact or problem.is_upsampled):
        own = spectral_gradient.plan(windows.prepared(problem))
        by_spectra = None if own is None else own(x, y, fills, workers)
        if by_spectra is not None:
            return by_spectra[:, None]
    problem = merged(problem)
    sums = plan(problem, True)(x, y, fills, workers)
    if not np.isfinite(sums).all():  # zeros around the outputs may have met samples that they are not to touch
        sums = plan(problem, False)(x, y, fills, workers)
    return sums


def _conjugate_products(sums: np.ndarray, taps: int, x_planes: int) -> np.ndarray:
    """Return the sums of ``conj(x) * y`` from those of the products of their planes, which are channels."""
    groups, branches, rows, columns = sums.shape
    planes = sums.reshape(groups, branches, rows // 2, 2, columns // taps // x_planes, x_planes, taps)
    by_real, by_imaginary = planes[:, :, :, 0], planes[:, :, :, 1]  # the plane of y; before the taps that of x
    products = np.empty((groups, branches, rows // 2, by_real.shape[3], taps), np.complex128)
    products.real, products.imag = by_real[..., 0, :], by_imaginary[..., 0, :]
    if x_planes == 2:
        products.real += by_imaginary[..., 1, :]
        products.imag -= by_real[..., 1, :]
    return products
