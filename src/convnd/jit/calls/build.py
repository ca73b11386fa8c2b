"""The table of a call's one job, in the columns of `tables`, and its weights: packed for the register tile."""

from __future__ import annotations

import numpy as np
from numba import njit

from .. import tables as t
from ..compile import HELPER
from ..gather import clear
from ..intrinsics.memory import indices_at, moved, words_at
from ..machine import CACHE_LINE
from ..taps import fed_rows, phase_length, run_number, union_length, write_order, write_window
from . import columns as c
from .canonical import of, summed_planes
from .layout import border_of, most_pieces, write_begins
from .pack import pack
from .shapes import LONG, RUNS, SHARED_ROWS


@njit(**HELPER)
def _write_axes(d, m):
    """Write the axes' columns with their tiles and windows; return the runs of the last axis' window."""
    count, begins, positions = d[c.AXES], d[c.BEGINS_AT], d[c.POSITIONS_AT]
    taps = 0
    for a in range(count):
        taps += d[of(d, a) + c.OF_TAPS]
    runs_at = moved(m, d[c.RUNS_AT])
    runs, map_at = 0, t.MEMORY_ROWS * count
    for a in range(count):
        own, axis = of(d, a), d[c.AXES_AT] + a * t.AXIS_COLUMNS
        n, stride = d[own + c.OF_TAPS], d[own + c.OF_STRIDE]
        dilation, phases = d[own + c.OF_DILATION], d[own + c.OF_PHASES]
        places = moved(m, d[c.PLACES_AT] + d[own + c.OF_PLACES_AT])
        order = moved(m, d[c.ORDER_AT] + d[own + c.OF_PLACES_AT])
        firsts = moved(m, d[c.ORDER_AT] + taps + d[own + c.OF_PLACES_AT])
        write_order(n, stride, dilation, phases, firsts, order)
        runs = write_window(n, stride, dilation, phases, d[own + c.OF_SHAPE], firsts, places, runs_at)
        window = runs_at[4 * runs - 4] + runs_at[4 * runs - 3]
        d[own + c.OF_WINDOW] = window
        m[axis + t.POSITIONS] = positions
        if a < count - 1:
            for k in range(runs):
                for position in range(runs_at[4 * k + 1]):
                    m[positions] = runs_at[4 * k + 2] + position * runs_at[4 * k + 3]
                    positions += 1
        tiles = write_begins(
            d[own + c.OF_LENGTH], stride, d[own + c.OF_BEFORE], d[own + c.OF_EXTENT], d[own + c.OF_OUTPUTS],
            d[own + c.OF_SHAPE], border_of(d, a), moved(m, begins),
        )  # fmt: skip
        m[axis + t.LENGTH], m[axis + t.STRIDE], m[axis + t.BEFORE] = d[own + c.OF_LENGTH], stride, d[own + c.OF_BEFORE]
        m[axis + t.REACH], m[axis + t.UNIT] = d[own + c.OF_EXTENT] - 1, d[own + c.OF_UNIT]
        m[axis + t.MODE_BEFORE], m[axis + t.MODE_AFTER] = d[own + c.OF_MODE_BEFORE], d[own + c.OF_MODE_AFTER]
        m[axis + t.X_STEP] = d[own + c.OF_X_STEP]
        m[axis + t.OUT_STEP], m[axis + t.TILES], m[axis + t.BEGINS] = d[own + c.OF_OUT_STEP], tiles, begins
        m[axis + t.WINDOW], m[axis + t.MAP], m[axis + t.KEPT], m[axis + t.HALO] = window, map_at, 0, 0
        begins += tiles + 1
        map_at += window
    pitch = d[d[c.WAY] + c.ITEM]
    for back in range(1, count + 1):
        axis = d[c.AXES_AT] + (count - back) * t.AXIS_COLUMNS
        m[axis + t.PITCH] = pitch
        pitch *= m[axis + t.WINDOW]
    m[t.CHANNEL_PITCH] = pitch
    m[t.NUMBERS] = map_at + t.SEGMENT * 4 * runs
    return runs


@njit(**HELPER)
def _write_channels(d, m):
    """Write the channels' offsets and fill values."""
    at, groups, way = d[c.CHANNELS_AT], d[c.GROUPS], d[c.WAY]
    channels, filters = d[c.IN_CHANNELS] // summed_planes(d), d[c.FILTERS] // d[c.KERNEL_PLANES]
    m[t.X_CHANNELS] = at
    low = high = 0
    fill = m[t.FILLS]
    for plane in range(d[c.GROUP_PLANES]):
        for channel in range(groups * channels):
            for part in range(summed_planes(d)):
                offset = channel * d[c.X_CHANNEL_STEP] + (plane + part) * d[c.STORED]
                low, high = min(low, offset), max(high, offset)
                m[at] = offset
                at += 1
                value = d[c.FILL_IMAG] if plane + part > 0 else d[c.FILL]
                if d[way + c.ITEM] == 4:
                    number = np.float64(value) if d[c.IS_WHOLE] != 0 else np.int64(value).view(np.float64)
                    words_at(fill)[0] = np.float32(number).view(np.uint32)
                elif d[way + c.CODE] == c.FLOAT64 and d[c.IS_WHOLE] != 0:
                    indices_at(fill)[0] = np.float64(value).view(np.int64)
                else:
                    indices_at(fill)[0] = value
                fill += d[way + c.ITEM]
    m[t.CHANNELS_LOW], m[t.CHANNELS_HIGH] = low, high
    m[t.OUT_CHANNELS] = at
    for plane in range(d[c.GROUP_PLANES]):
        for channel in range(groups * filters):
            for part in range(d[c.KERNEL_PLANES]):
                m[at] = channel * d[c.OUT_CHANNEL_STEP] + (plane + part) * d[c.RESULT]
                at += 1


@njit(**HELPER)
def _expand(sums, count, size, m, order, n, places, pitch, positions_step, step):
    """Write the sums of each of ``count`` triples with those of an axis' taps; return how many these are.

    A triple is an offset in the window, one in x and one in the kernel; they lie ``size`` numbers apart.
    """
    for back in range(count):
        at = count - 1 - back
        window, x, kernel = sums[at], sums[size + at], sums[2 * size + at]
        for last in range(n):
            k = n - 1 - last
            tap, to = m[order + k], at * n + k
            sums[to] = window + m[places + tap] * pitch
            sums[size + to] = x + tap * positions_step
            sums[2 * size + to] = kernel + tap * step
    return count * n


@njit(**HELPER)
def _write_sums(d, m, first, end, sums, size, with_channels):
    """Write the triples of the taps along the axes from ``first`` to ``end``, behind the channels where these count."""
    count = 1
    sums[0] = sums[size] = sums[2 * size] = 0
    if with_channels:
        planes, count = summed_planes(d), d[c.IN_CHANNELS]
        for channel in range(count):
            sums[channel] = channel * m[t.CHANNEL_PITCH]
            sums[size + channel] = m[m[t.X_CHANNELS] + channel]
            sums[2 * size + channel] = channel // planes * d[c.KERNEL_CHANNEL_STEP]
    for a in range(first, end):
        own, axis = of(d, a), d[c.AXES_AT] + a * t.AXIS_COLUMNS
        count = _expand(
            sums, count, size, m, d[c.ORDER_AT] + d[own + c.OF_PLACES_AT], d[own + c.OF_TAPS],
            d[c.PLACES_AT] + d[own + c.OF_PLACES_AT], m[axis + t.PITCH], d[own + c.OF_DILATION] * d[own + c.OF_X_STEP],
            d[own + c.OF_KERNEL_STEP],
        )  # fmt: skip


@njit(**HELPER)
def _write_line_taps(d, m, inner):
    """Write the taps of a register tile of one row: their offsets, and those of their weights in the kernel."""
    count, offsets, kernel = d[c.INNER_TAPS], d[c.OFFSETS_AT], d[c.KERNEL_OFFSETS_AT]
    for k in range(count):
        m[offsets + k], m[offsets + d[c.ROW_TAPS] + k] = inner[k], inner[count + k]
        m[kernel + k] = inner[2 * count + k]
    m[d[c.BOUNDS_AT]], m[d[c.BOUNDS_AT] + 1] = 0, count


@njit(**HELPER)
def _write_row_taps(d, m, shared, outer, inner):
    """Write the taps of a register tile whose rows share them: offsets, and the bounds of their groups."""
    own, axis = of(d, shared), d[c.AXES_AT] + shared * t.AXIS_COLUMNS
    n, phases, lag = d[own + c.OF_TAPS], d[own + c.OF_PHASES], d[c.LAG]
    order, places = d[c.ORDER_AT] + d[own + c.OF_PLACES_AT], d[c.PLACES_AT] + d[own + c.OF_PLACES_AT]
    apart = d[c.SPACING] * lag  # outputs from a row to the next
    pitch, x_step = m[axis + t.PITCH], d[own + c.OF_X_STEP]
    within, offsets, at, bound = d[c.INNER_TAPS], d[c.OFFSETS_AT], 0, d[c.BOUNDS_AT]
    for o in range(d[c.OUTER_TAPS]):
        begin = 0
        for _ in range(phases):
            first = m[order + begin]
            length, number = phase_length(n, phases, first), 0
            begin = 0 if begin + length == n else begin + length
            m[bound] = at
            for position in range(union_length(length, SHARED_ROWS, lag)):
                row, end = fed_rows(position, length, SHARED_ROWS, lag)
                if row >= end:
                    continue
                own_number = run_number(row, end, SHARED_ROWS)
                while number < own_number:
                    number += 1
                    m[bound + number] = at
                tap = first + (position - lag * row) * phases
                window = (m[places + tap] + row * apart) * pitch
                x = (tap * d[own + c.OF_DILATION] + row * apart * d[own + c.OF_STRIDE]) * x_step
                for i in range(within):
                    m[offsets + at] = outer[o] + window + inner[i]
                    m[offsets + d[c.ROW_TAPS] + at] = outer[d[c.OUTER_TAPS] + o] + x + inner[within + i]
                    at += 1
            while number < RUNS:
                number += 1
                m[bound + number] = at
            bound += RUNS + 1
        for tap in range(n):
            kernel = d[c.KERNEL_OFFSETS_AT] + (o * n + tap) * within
            for i in range(within):
                m[kernel + i] = outer[2 * d[c.OUTER_TAPS] + o] + tap * d[own + c.OF_KERNEL_STEP] + inner[2 * within + i]


@njit(**HELPER)
def build(d, functions):
    """Write the table of a call, in the memory that the caller gave, and return its address."""
    base = -(-d[c.MEMORY] // CACHE_LINE) * CACHE_LINE
    m, way, axes = indices_at(base), d[c.WAY], d[c.AXES]
    clear(base, 8 * t.JOB_COLUMNS)
    item, groups = d[way + c.ITEM], d[c.GROUPS] * d[c.GROUP_PLANES]
    m[t.RANK], m[t.AXES], m[t.X], m[t.OUT] = axes, d[c.AXES_AT], d[c.X], d[c.OUT]
    m[t.WEIGHTS], m[t.FILLS] = base + 8 * d[c.WEIGHTS_AT], base + 8 * d[c.FILLS_AT]
    m[t.RUNS], m[t.FRAME], m[t.STORED], m[t.ITEM], m[t.PASSES] = d[c.RUNS_AT], 1, d[c.STORED], item, 1
    m[t.IN_CHANNELS], m[t.GROUPS], m[t.GROUP_FILTERS] = d[c.IN_CHANNELS], groups, d[c.FILTERS]
    m[t.RUN_COUNT] = _write_axes(d, m)
    _write_channels(d, m)
    shared = axes - 1 if d[c.TILE] == LONG else d[c.ROW_AXIS]
    outer, inner = moved(m, d[c.SUMS_AT]), moved(m, d[c.SUMS_AT] + 3 * d[c.OUTER_TAPS])
    _write_sums(d, m, 0, max(0, shared), outer, d[c.OUTER_TAPS], shared >= 0)
    _write_sums(d, m, shared + 1, axes, inner, d[c.INNER_TAPS], shared < 0)
    if shared < 0:
        _write_line_taps(d, m, inner)
    else:
        _write_row_taps(d, m, shared, outer, inner)
    pack(d, m, base, shared)
    tiles = groups
    for a in range(axes):
        tiles *= m[d[c.AXES_AT] + a * t.AXIS_COLUMNS + t.TILES]
    m[t.TASKS], m[t.SIZE], m[t.ADDRESS] = tiles, d[c.PHASE_AT] + t.PHASE_COLUMNS + axes, base
    m[t.NEXT_TASK] = base + 8 * d[c.NEXT_AT]
    m[d[c.NEXT_AT]] = 0
    m[t.X_LOW], m[t.X_HIGH], m[t.READS_X] = d[c.X_LOW], d[c.X_HIGH], d[c.INSIDE]
    m[t.GATHER], m[t.RUN_TILE], m[t.RUN_LINE] = functions[1], functions[2], functions[3]
    m[t.READ] = d[way + c.READ_X]
    last = of(d, axes - 1)
    near = d[last + c.OF_OUT_STEP] == d[c.RESULT]
    m[t.WRITE] = d[way + (c.WRITE_NEAR if near else c.WRITE)]
    m[t.WRITES_OUT] = 1 if near and d[way + c.STORES_NATIVE] != 0 else 0
    m[t.TILE_FUNCTION] = d[way + c.LINE_TILE + d[c.TILE]]
    m[t.ROW_AXIS], m[t.ROWS], m[t.ROW_SPACING], m[t.BLOCK] = d[c.ROW_AXIS], d[c.ROWS], d[c.SPACING], d[c.BLOCK]
    m[t.PIECES] = most_pieces(d)
    phase = m[t.PHASES] = d[c.PHASE_AT]
    m[phase], m[phase + 1] = base + 8 * d[c.OFFSETS_AT], base + 8 * (d[c.OFFSETS_AT] + d[c.ROW_TAPS])
    m[phase + 2], m[phase + 3] = base + 8 * d[c.BOUNDS_AT], d[c.STEPS]
    for a in range(axes):
        m[phase + t.PHASE_COLUMNS + a] = 0
    m[t.PHASE_BLOCKS] = m[t.PHASE_FILTERS] = m[t.BLOCKS] = m[t.TASK_BLOCKS] = d[c.FILTERS]
    m[t.BLOCK_FILTERS] = m[t.GROUP_TASKS] = 1
    m[t.WEIGHTS_BLOCK] = d[c.FILTER_BYTES]
    if d[c.ROW_AXIS] >= 0 and d[way + c.READS_NATIVE] != 0:
        own = of(d, d[c.ROW_AXIS])
        m[t.X_ROW] = d[own + c.OF_X_STEP] * d[own + c.OF_STRIDE]
    if d[c.INSIDE] != 0 and axes > 1:
        own = of(d, 0)
        rows = SHARED_ROWS * d[own + c.OF_STRIDE] if d[c.ROW_AXIS] == 0 else 0
        m[t.AHEAD] = d[own + c.OF_X_STEP] * (d[own + c.OF_EXTENT] + rows)
    m[t.WINDOW_AT], m[t.RESULTS_AT] = 0, d[c.WINDOW_BYTES]
    return base
