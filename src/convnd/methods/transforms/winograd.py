"""Winograd's method: everything laid out for compiled code, and run."""

from collections.abc import Sequence
from math import inf, prod

import numpy as np

from ...jit import tables as t
from ...jit.intrinsics.minimal import (
    FLOAT,
    OUTPUTS,
    OUTPUTS_GAIN,
    PLANES,
    SAMPLES,
    SAMPLES_GAIN,
    TAPS,
    transform_line,
    transform_sums,
    transform_taps,
    transform_tiles,
)
from ...jit.intrinsics.register_tile import RegisterTile, register_tile
from ...jit.intrinsics.transpose import transpose, turn_lines
from ...jit.machine import CACHE_LINE, VECTOR_BYTES
from ...jit.transforms.winograd import convolve_by_winograd, transform_filters
from ...problem.canonical import Kernel, Problem
from ...problem.request import Request
from .. import direct, tuning
from ..separable.factors import Factor, Structure
from ..tiling.layout import round_up
from ..tiling.tables import Builder, add_axes, axis_rows, even_begins, frames, functions, spacing_of
from ..tiling.taps import Window, window
from .boxes import (
    best,
    boxes_of,
    cycles,
    items_of,
    layout_of,
    least_cycles,
    prepared,
    span_of,
    tile_of,
    transforms_inside,
    why_not,
)
from .transform import Transformed, TransformPlan, bits_between, tasks_of


def _range(largest: np.ndarray, taps: int) -> tuple[int, int]:
    """Return the bits of the least and the most magnitude of samples whose transforms keep what is promised.

    ``largest`` are the largest magnitudes of the filters, of so many taps each.
    """
    info = np.finfo(np.float32)
    used = largest[largest > 0].astype(np.float64)
    least = float(info.tiny) / float(info.eps)
    sums = max(1.0, float(used.max(initial=0)) * taps)
    most = float(info.max) / (8 * (SAMPLES_GAIN * OUTPUTS_GAIN) ** 2 * sums)
    if not np.isfinite(largest).all() or used.min(initial=1) < least:
        most = 0.0
    return bits_between(least, most, "float32")


def folded(line: Window, count: int) -> tuple[Window, int]:
    """Return a window whose positions are dealt to so many lines, one behind the other, and the positions of a line."""
    lengths = [len(range(first, line.length, count)) for first in range(count)]
    begins = [sum(lengths[:first]) for first in range(count)]
    runs = [[begins[first], lengths[first], first, count] for first in range(count)]
    return Window(runs, [begins[place % count] + place // count for place in line.places.tolist()]), lengths[0]


@tuning.remembered(64)
def plan(problem: Problem) -> TransformPlan:
    """Lay out the tables of a prepared problem."""
    layout, lanes = layout_of(problem), VECTOR_BYTES // FLOAT
    folds, down, last, height, products, units, terms, parts = tile_of(problem)
    windows = [window(axis, outputs) for axis, outputs in zip(problem.axes, layout.shape, strict=True)]
    begins = [even_begins(axis, size) for axis, size in zip(problem.axes, layout.shape, strict=True)]
    lengths = [own.length for own in windows]
    line_samples = lengths[last]
    if folds > 1:
        windows[last], line_samples = folded(windows[last], folds)
    pitches = [FLOAT] * len(lengths)
    size = FLOAT
    planes = dict.fromkeys((last, down))
    for a in (*planes, *(a for a in reversed(range(last)) if a not in planes)):  # an item's lines beside each other
        pitches[a], size = size, size * lengths[a]
    builder = Builder(columns=t.WINOGRAD_COLUMNS)
    axes, columns = add_axes(builder, problem, windows, begins)
    spacing, working = spacing_of(problem, windows), problem.working
    compiled = {**functions(problem, working, spacing, ranged=True), **frames(problem, working)}

    block, rows = layout.vectors * lanes, layout.rows
    tile = RegisterTile(
        "float32", rows, layout.vectors, lanes, False, ((0, rows),), parts="many" if parts > 1 else "one"
    )
    emitted = {
        t.TILE_FUNCTION: register_tile.compile(tile), t.TRANSPOSE: transpose.compile("float32", lanes),
        t.TRANSFORM_LINE: transform_line.compile(lanes), t.TRANSFORM_TILES: transform_tiles.compile(lanes, height),
        t.TRANSFORM_SUMS: transform_sums.compile(lanes, height),
        t.TRANSFORM_FILTERS: transform_taps.compile(lanes, layout.rows),
    }  # fmt: skip
    items = items_of(problem, layout.shape)
    sums_row = FLOAT * round_up(items.summed_lanes, block)
    row = sums_row + FLOAT * (items.lanes - items.summed_lanes)
    blocks = -(-problem.out_channels // layout.rows)
    chunk = -(-blocks // layout.chunks)
    inside = transforms_inside(problem, layout.shape)
    if inside:  # as many filters at once as there are lanes
        chunk = round_up(chunk, -(-lanes // rows))
    span = span_of(problem, layout, sums_row, chunk)
    between = (items.down + 1) * items.across + 2 * lanes
    taps_between = -(-((TAPS * lanes) ** 2) // (SAMPLES * OUTPUTS))  # these planes hold filters' taps, too
    # One cache line too many keeps planes out of each other's way in the caches.
    plane_bytes = {
        t.BETWEEN_PLANE: round_up(FLOAT * max(between, taps_between), CACHE_LINE) + CACHE_LINE,
        t.WINDOWS_PLANE: round_up(problem.in_channels * row + FLOAT * lanes, CACHE_LINE) + CACHE_LINE,
        t.SUMS_PLANE: round_up(span * rows * sums_row, CACHE_LINE) + CACHE_LINE,
        t.RESULTS_PLANE: round_up(OUTPUTS * sums_row, CACHE_LINE) + CACHE_LINE,
    }
    window_bytes = problem.in_channels * size + 2 * OUTPUTS * block * FLOAT  # with room for the vectors behind it
    is_near = problem.stores_native and problem.out_channel_steps[-1][1] == FLOAT != problem.out_steps[-1]
    together = lanes if is_near else 1
    at = round_up(window_bytes, CACHE_LINE)
    places = {}
    for column, plane, count in (
        (t.BETWEEN_AT, t.BETWEEN_PLANE, SAMPLES * OUTPUTS),
        (t.PLANES_AT, t.WINDOWS_PLANE, PLANES),
        (t.SUMS_AT, t.SUMS_PLANE, PLANES),
        (t.RESULTS_AT, t.RESULTS_PLANE, OUTPUTS * together),
    ):
        places[column] = at
        at += plane_bytes[plane] * count
    # Lanes that no window has are computed with, and dropped.
    first = problem.in_channels * size // 8 * 8
    is_full = row == FLOAT * items.lanes and all(
        axis.outputs % n == 0 for axis, n in zip(problem.axes, layout.shape, strict=True)
    )
    places |= {t.CLEARED_AT: first, t.CLEARED_BYTES: places[t.PLANES_AT if is_full else t.SUMS_AT] - first}
    weights_plane = round_up(terms * rows * FLOAT, CACHE_LINE) + CACHE_LINE
    if inside:
        places[t.FILTERS_AT] = at
        at += round_up(span * rows, lanes) // rows * PLANES * weights_plane
    item_row = FLOAT * items.tiles
    taps = row * np.arange(problem.in_channels, dtype=np.int64)
    for a, own in enumerate(windows):  # each tap that is summed as it is, of each channel, is a term
        if a not in (down, last):
            taps = (taps[:, None] + item_row * prod(items.windows[a + 1 :]) * own.places).ravel()
    ends = np.arange(parts + 1) * terms // parts
    bounds = np.stack([ends[:-1], ends[1:]], axis=1)
    boxes = boxes_of(problem, layout.shape)
    boxes_and_parts = boxes * problem.groups * -(-blocks // chunk)
    filter_blocks = round_up(problem.out_channels, max(lanes, rows)) // lanes
    builder.set({
        **columns, **compiled, t.AXES: builder.add(axis_rows(axes, pitches)), t.CHANNEL_PITCH: size,
        t.DOWN: down, t.LANES: lanes, t.FOLDS: folds, t.LINE_PITCH: FLOAT * line_samples,
        t.HEIGHT: height, t.WIDTH: units[last], t.PLANES_OF_TILE: products,
        t.PARTS: builder.address(np.array([parts, *range(parts + 1)])), t.TERMS: terms,
        t.ITEM_ROW: item_row, t.CHANNEL_ROW: row, t.SUMS_ROW: sums_row, **plane_bytes, **places,
        **emitted,
        t.TERM_OFFSETS: builder.address(taps), t.BOUNDS: builder.address(bounds),
        t.FILTER_BLOCKS: filter_blocks, t.ROWS: layout.rows, t.BLOCK: block,
        t.BLOCKS: filter_blocks * lanes // rows, t.TASK_BLOCKS: chunk,
        t.STORED_TOGETHER: together, t.WRITE_LANES: turn_lines.compile("float32", lanes) if is_near else 0,
        t.BLOCKS_AT_ONCE: span, t.GROUP_TASKS: -(-blocks // chunk),
        t.WEIGHTS_PLANE: weights_plane,
        t.TAPS_BYTES: FLOAT * round_up(terms * TAPS**2, lanes),
        t.TASKS: boxes_and_parts, t.SCRATCH_BYTES: round_up(at, CACHE_LINE),
    })  # fmt: skip
    outputs = height * OUTPUTS
    tiles = boxes_of(problem, units)
    return TransformPlan(
        problem, layout, "float32", direct.useful_workers(problem, cycles(problem, layout) * boxes),
        *tasks_of(builder.tasks(begins), convolve_by_winograd, transform_filters, problem.groups * filter_blocks),
        2 * products * tiles * problem.groups * problem.out_channels * terms,
        0 if inside else problem.groups * filter_blocks * lanes // rows * weights_plane * PLANES,
        [
            f"taps      {problem.in_channels * problem.taps} for each output, "
            f"by {products / outputs} products in place of 9",
            f"tile      {layout.shape} outputs, {prod(layout.shape) // prod(units)} tiles of "
            f"{height} x {OUTPUTS} at once",
        ],
    )  # fmt: skip


def unsupported_reason(request: Request, problem: Problem, kernel: np.ndarray, factors: Sequence[Factor]) -> str:
    """Return why the method cannot run a problem with a kernel, or nothing where it can."""
    return why_not(prepared(problem))


@tuning.remembered(256)
def estimate(problem: Problem, factors: Structure) -> float:
    """Estimate the milliseconds of a call."""
    return tuning.milliseconds(problem, best(prepared(problem))[1], 1, 0.18, 1.0, 0.35)


@tuning.remembered(256)
def least_estimate(problem: Problem) -> float:
    """Return milliseconds that an estimate is not below, at little cost."""
    own = prepared(problem)
    return inf if why_not(own) else tuning.milliseconds(problem, least_cycles(own), 1, 0.18, 1.0, 0.35)


def prepare(
    problem: Problem, kernel: Kernel, factors: Sequence[Factor], workers: int | None
) -> tuple[TransformPlan, Transformed]:
    """Return the plan of a problem, and the transformed filters of a kernel."""
    own, weights = plan(prepared(problem)), kernel.weights
    table, (groups, filters, taps) = own.filter_tasks.table, weights.shape
    planar = weights
    if tile_of(own.problem).folds > 1:  # neighbouring taps are in different lines
        planar = weights.reshape(-1, TAPS, TAPS).swapaxes(1, 2).reshape(weights.shape)
    shape = groups, int(table[t.FILTER_BLOCKS] * table[t.LANES]), int(table[t.TAPS_BYTES]) // FLOAT
    padded = np.ascontiguousarray(planar)
    if weights.shape != shape:
        padded = np.zeros(shape, weights.dtype)
        padded[:, :filters, :taps] = planar
    transformed = np.empty(own.weight_bytes, np.uint8) if own.weight_bytes else padded
    bits = np.empty(groups * filters, np.int64)
    own.filter_tasks.run({t.TAPS: padded, t.WEIGHTS: transformed, t.LARGEST_TAPS: bits}, workers, own.workers)
    return own, Transformed(weights, transformed, *_range(bits.astype(np.int32).view(np.float32), taps))
