"""Winograd's method: everything laid out for compiled code, and run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..jit.butterfly import compile_transpose
from ..jit.filtering import WINOGRAD_JOB, compile_filters_worker, compile_winograd_worker
from ..jit.machine import CACHE_LINE, vector_bytes
from ..jit.minimal import (
    FLOAT,
    OUTPUTS,
    OUTPUTS_GAIN,
    PLANES,
    SAMPLES,
    SAMPLES_GAIN,
    TAPS,
    compile_filter_transform,
    compile_transforms,
)
from ..jit.routine import RegisterTile, compile_register_tile
from ..problem.axis import Window, window
from ..problem.canonical import Constants, Problem
from ..problem.dtypes import bits
from ..problem.request import Request
from . import direct, tuning
from .boxes import (
    WinogradLayout,
    best,
    cycles,
    folds,
    items_of,
    parts_of,
    plane_axes,
    planes_of,
    prepared,
    span_of,
    terms_of,
    tile_height,
    units,
    why_not,
)
from .factors import Factor, Structure
from .jobs import Geometry, geometry, run
from .layout import even_begins, round_up


@dataclass(frozen=True)
class Filters:
    """A kernel, its transformed filters, and the bits of the magnitudes between which samples must lie."""

    kernel: np.ndarray
    transformed: np.ndarray
    least: int
    most: int


@dataclass(frozen=True)
class WinogradPlan:
    """All of a problem that does not depend on the arrays' contents and addresses, laid out for compiled code."""

    problem: Problem
    layout: WinogradLayout
    workers: int
    job: np.ndarray
    geometry: Geometry
    tables: tuple[Any, ...]  # kept alive: the job holds their addresses
    worker: Any

    @property
    def flops(self) -> int:
        """Operations of a call: the products and their sums."""
        tiles = prod(-(-a.outputs // unit) for a, unit in zip(self.problem.axes, units(self.problem), strict=True))
        filters = self.problem.groups * self.problem.out_channels * terms_of(self.problem)
        return 2 * planes_of(self.problem) * tiles * filters

    @property
    def scratch_bytes(self) -> int:
        """Bytes that a thread takes."""
        return int(self.job["scratch_bytes"][0])

    @property
    def weight_bytes(self) -> int:
        """Bytes that the transformed filters take."""
        return int(self.job["groups"][0] * self.job["blocks"][0] * self.job["weights_plane"][0]) * PLANES

    def describe(self) -> list[str]:
        """Say what runs."""
        problem, height = self.problem, tile_height(self.problem)
        products, tiles = planes_of(problem) / (height * OUTPUTS), prod(self.layout.shape) // prod(units(problem))
        return [
            f"taps      {problem.in_channels * problem.taps} for each output, by {products} products in place of 9",
            f"tile      {self.layout.shape} outputs, {tiles} tiles of {height} x {OUTPUTS} at once",
        ]

    def prepare(self, kernel: np.ndarray, workers: int | None) -> Filters:
        """Return the transformed filters of every group, `problem.canonical_kernel`."""
        job = self.job.copy()
        groups, filters, taps = kernel.shape
        planar = kernel
        if folds(self.problem) > 1:  # neighbouring taps are in different lines
            planar = kernel.reshape(-1, TAPS, TAPS).swapaxes(1, 2).reshape(kernel.shape)
        job["tasks"] = job["groups"] * job["filter_blocks"]
        shape = groups, int(job["filter_blocks"][0] * job["lanes"][0]), int(job["filter_bytes"][0]) // FLOAT
        padded = np.ascontiguousarray(planar)
        if kernel.shape != shape:
            padded = np.zeros(shape, kernel.dtype)
            padded[:, :filters, :taps] = planar
        arrays = {
            "filters": padded,
            "weights": np.empty(self.weight_bytes, np.uint8),
            "largest_taps": np.empty(groups * filters, np.int64),
        }
        run(job, self.geometry.axes, compile_filters_worker(), arrays, workers, self.workers)
        largest = arrays["largest_taps"].astype(np.int32).view(np.float32)
        return Filters(kernel, arrays["weights"], *_range(largest, taps))

    def __call__(
        self, x: np.ndarray, weights: Filters, constants: Constants, out: np.ndarray, workers: int | None
    ) -> None:
        """Convolve ``x`` into ``out``; the parameters are those of `DirectPlan`."""
        job = self.job.copy()
        job["least"], job["most"] = weights.least, weights.most
        flags = np.zeros(int(job["tasks"][0] // job["chunks"][0]), np.int64)
        arrays = {"x": x, "out": out, "weights": weights.transformed, "flags": flags, **constants}
        run(job, self.geometry.axes, self.worker, arrays, workers, self.workers)
        direct.repair(self.problem, self.geometry, flags, x, weights.kernel, constants, out, workers)


def _range(largest: np.ndarray, taps: int) -> tuple[int, int]:
    """Return the bits of the least and the most magnitude of samples whose transforms keep what is promised.

    ``largest`` are the largest magnitudes of the filters, of so many taps each.
    """
    info = np.finfo(np.float32)
    used = largest[largest > 0].astype(np.float64)
    least = float(info.tiny) / float(info.eps)
    sums = max(1.0, float(used.max(initial=0)) * taps)
    most = float(info.max) / (8 * (SAMPLES_GAIN * OUTPUTS_GAIN) ** 2 * sums)
    if not np.isfinite(largest).all() or used.min(initial=1) < least or least > most:
        return 1, 0
    return bits(least, "float32"), bits(most, "float32")


@tuning.remembered(64)
def plan(problem: Problem) -> WinogradPlan:
    """Return the plan of a prepared problem."""
    return build(problem, best(problem)[0])


def folded(line: Window, count: int) -> tuple[Window, int]:
    """Return a window whose positions are dealt to so many lines, one behind the other, and the positions of a line."""
    total = len(line.positions)
    lines = [np.arange(first, total, count, dtype=np.int64) for first in range(count)]
    positions = np.concatenate(lines)
    begins = np.cumsum([0, *map(len, lines)])
    runs = [[begin, len(own), own[0], count] for begin, own in zip(begins[:-1], lines, strict=True)]
    places = np.argsort(positions)[line.places]
    return Window(positions, places, np.array(runs, np.int64)), len(lines[0])


def build(problem: Problem, layout: WinogradLayout) -> WinogradPlan:
    """Lay out the tables and the job of a problem."""
    lanes = vector_bytes() // FLOAT
    down, last = plane_axes(problem)
    windows = [window(axis, outputs) for axis, outputs in zip(problem.axes, layout.shape, strict=True)]
    begins = [even_begins(axis, size) for axis, size in zip(problem.axes, layout.shape, strict=True)]
    lengths = [len(own.positions) for own in windows]
    line_samples = lengths[last]
    if folds(problem) > 1:
        windows[last], line_samples = folded(windows[last], folds(problem))
    pitches = [FLOAT] * len(lengths)
    size = FLOAT
    planes = dict.fromkeys((last, down))
    for a in (*planes, *(a for a in reversed(range(last)) if a not in planes)):  # an item's lines beside each other
        pitches[a], size = size, size * lengths[a]
    outline = geometry(problem, problem.working, windows, begins, pitches, ranged=True)

    block, parts = layout.vectors * lanes, parts_of(problem)
    register_tile = RegisterTile(problem.working, layout.rows, layout.vectors, lanes, False, ((0, layout.rows),))
    product_routine = compile_register_tile(register_tile)
    transforms, transpose = (
        compile_transforms(lanes, tile_height(problem), parts),
        compile_transpose(problem.working, lanes),
    )
    filter_transform = compile_filter_transform(lanes, layout.rows)
    terms, items = terms_of(problem), items_of(problem, layout.shape)
    sums_row = FLOAT * round_up(items.summed_lanes, block)
    row = sums_row + FLOAT * (items.lanes - items.summed_lanes)
    across_tiles = layout.shape[last] // units(problem)[last]
    down_tiles = items.tiles // across_tiles
    blocks = -(-problem.out_channels // layout.rows)
    chunk = -(-blocks // layout.chunks)
    span = span_of(layout, parts * sums_row, chunk)
    part_bytes = span * layout.rows * sums_row
    # One cache line too many keeps planes out of each other's way in the caches.
    plane_bytes = {
        "between_plane": round_up(FLOAT * ((down_tiles + 1) * across_tiles + 2 * lanes), CACHE_LINE) + CACHE_LINE,
        "plane": round_up(problem.in_channels * row + FLOAT * lanes, CACHE_LINE) + CACHE_LINE,
        "sums_plane": round_up(parts * part_bytes, CACHE_LINE) + CACHE_LINE,
        "results_plane": round_up(OUTPUTS * sums_row, CACHE_LINE) + CACHE_LINE,
    }
    window_bytes = problem.in_channels * size + 2 * OUTPUTS * block * FLOAT  # with room for the vectors behind it
    at = round_up(outline.values["window_at"] + window_bytes, CACHE_LINE)
    places = {}
    for name, plane, count in (
        ("between_at", "between_plane", SAMPLES * OUTPUTS),
        ("planes_at", "plane", PLANES),
        ("sums_at", "sums_plane", PLANES),
        ("results_at", "results_plane", OUTPUTS),
    ):
        places[name] = at
        at += plane_bytes[plane] * count
    item_row = FLOAT * items.tiles
    taps = row * np.arange(problem.in_channels, dtype=np.int64)
    for a, own in enumerate(windows):  # each tap that is summed as it is, of each channel, is a term
        if a not in (down, last):
            taps = (taps[:, None] + item_row * prod(items.windows[a + 1 :]) * own.places).ravel()
    part_terms = -(-terms // parts)
    bounds = np.array([bound for k in range(parts) for bound in (0, min(part_terms, terms - k * part_terms))], np.int64)
    boxes = prod(len(own) - 1 for own in begins)
    values = {
        "down": down, "lanes": lanes, "folds": folds(problem), "line_pitch": FLOAT * line_samples,
        "height": tile_height(problem), "width": units(problem)[last], "planes": planes_of(problem),
        "parts": parts, "part_terms": part_terms, "part_bytes": part_bytes,
        "channel_pitch": size, "terms": terms, "item_row": item_row, "row": row, "sums_row": sums_row,
        **plane_bytes, **places,
        "transform_line": transforms[0].address, "transform_tiles": transforms[1].address,
        "transform_sums": transforms[2].address, "transform_filters": filter_transform.address,
        "transpose": transpose.address, "filter_blocks": -(-problem.out_channels // lanes),
        "product": product_routine.address, "taps": taps.ctypes.data, "bounds": bounds.ctypes.data,
        "rows": layout.rows, "block": block,
        "blocks": round_up(problem.out_channels, max(lanes, layout.rows)) // layout.rows, "chunk": chunk, "span": span,
        "chunks": -(-blocks // chunk),
        "weights_plane": round_up(terms * layout.rows * FLOAT, CACHE_LINE) + CACHE_LINE,
        "filter_bytes": FLOAT * round_up(terms * TAPS**2, lanes),
        "tasks": boxes * problem.groups * -(-blocks // chunk), "scratch_bytes": round_up(at, CACHE_LINE),
    }  # fmt: skip
    useful = direct.useful_workers(problem, cycles(problem, layout) * boxes)
    return WinogradPlan(
        problem, layout, useful, outline.job(WINOGRAD_JOB, values), outline,
        (taps, bounds, product_routine, transforms, filter_transform, transpose), compile_winograd_worker(len(windows)),
    )  # fmt: skip


@tuning.remembered(256)
def _why_not(problem: Problem) -> str:
    return why_not(prepared(problem))


def unsupported_reason(request: Request, problem: Problem, kernel: np.ndarray, factors: Sequence[Factor]) -> str:
    """Return why the method cannot run a problem with a kernel, or nothing where it can."""
    return _why_not(problem)


def estimate(problem: Problem, factors: Structure) -> float:
    """Estimate the milliseconds of a call."""
    return tuning.milliseconds(problem, best(prepared(problem))[1], 0.18, 1.0, 0.35)


def prepare(
    problem: Problem, kernel: np.ndarray, factors: Sequence[Factor], workers: int | None
) -> tuple[WinogradPlan, Filters]:
    """Return the plan of a problem, and its kernel ready for it."""
    own = plan(prepared(problem))
    return own, own.prepare(kernel, workers)
