"""The table of a call's one job: it continues the call's columns, with windows, taps and packed weights."""

import numpy as np
from numba import njit

from .. import tables as t
from ..compile import HELPER
from ..intrinsics.memory import call, indices_at, moved, words_at
from ..machine import CACHE_LINE
from . import columns as c
from .canonical import axis_row, cut_axis
from .symbols import GATHER, RUN_LINE, RUN_TASKS, RUN_TILE, SCALE_DOUBLE, SCALE_SINGLE
from .taps import fed_rows, phase_length, run_number, write_begins, write_order, write_parts, write_window


@njit(**HELPER)
def _write_axes(m):
    """Write the axes' tiles and windows, and the steps of the windows; return the number of tiles."""
    count, begins, positions, tiles = m[t.RANK], m[c.BEGINS_AT], m[c.POSITIONS_AT], m[t.GROUPS]
    runs, places, order = moved(m, m[t.RUNS]), m[c.PLACES_AT], moved(m, m[c.ORDER_AT])
    map_at, number, pitch = t.MEMORY_ROWS * count, 0, m[t.ITEM]
    for a in range(count):
        axis = axis_row(m, a)
        n, stride, dilation, phases = axis[t.OF_TAPS], axis[t.STRIDE], axis[t.OF_DILATION], axis[t.OF_PHASES]
        firsts = moved(order, n)
        write_order(n, stride, dilation, phases, firsts, order)
        number = write_window(n, stride, dilation, phases, axis[t.OF_SHAPE], firsts, moved(m, places), runs)
        axis[t.OF_PLACES] = places
        places += n
        last = moved(runs, 4 * number - 4)
        axis[t.WINDOW] = window = last[0] + last[1]
        axis[t.POSITIONS], axis[t.MAP], axis[t.BEGINS] = positions, map_at, begins
        map_at += window
        for k in range(number if a < count - 1 else 0):
            run = moved(runs, 4 * k)
            for position in range(run[1]):
                m[positions] = run[2] + position * run[3]
                positions += 1
        border = 0
        if m[t.READS_X] != 0:
            border = m[t.BLOCK] if a == count - 1 else m[t.ROWS] * m[t.ROW_SPACING] if a == m[t.ROW_AXIS] else 1
        outside = axis[t.LENGTH], axis[t.BEFORE], axis[t.REACH] + 1
        axis[t.TILES] = write_begins(*outside, stride, axis[t.OF_OUTPUTS], axis[t.OF_SHAPE], border, moved(m, begins))
        begins += axis[t.TILES] + 1
        tiles *= axis[t.TILES]
    for back in range(1, count + 1):
        axis = axis_row(m, count - back)
        axis[t.PITCH] = pitch
        pitch *= axis[t.WINDOW]
    m[t.CHANNEL_PITCH], m[t.RUN_COUNT], m[t.NUMBERS] = pitch, number, map_at + t.SEGMENT * 4 * number
    return tiles


@njit(**HELPER)
def _write_channels(m):
    """Write the channels' offsets and fill values."""
    channels, fills = moved(m, m[t.X_CHANNELS]), indices_at(m[t.FILLS])
    summed, filters, planes = m[c.SUMMED_PLANES], m[t.GROUP_FILTERS], m[c.KERNEL_PLANES]
    count = m[t.GROUPS] * m[t.IN_CHANNELS]
    of_plane = count // m[c.GROUP_PLANES]
    for k in range(count):
        plane = k // of_plane + k % summed  # of which one is 0
        offset = k % of_plane // summed * m[c.X_CHANNEL_STEP] + plane * m[t.STORED]
        channels[k] = offset
        m[t.CHANNELS_LOW], m[t.CHANNELS_HIGH] = min(m[t.CHANNELS_LOW], offset), max(m[t.CHANNELS_HIGH], offset)
        value = m[c.FILL + plane]
        if m[c.IS_WHOLE] != 0 and m[m[c.WAY] + c.CODE] != c.INT64:
            value = np.float64(value).view(np.int64)
        if m[t.ITEM] == 4:
            words_at(m[t.FILLS])[k] = np.float32(np.int64(value).view(np.float64)).view(np.uint32)
        else:
            fills[k] = value
    outs = moved(m, m[t.OUT_CHANNELS])
    of_plane = m[t.GROUPS] // m[c.GROUP_PLANES] * filters
    for k in range(m[t.GROUPS] * filters):
        plane = k // of_plane + k % planes
        outs[k] = k % of_plane // planes * m[c.OUT_CHANNEL_STEP] + plane * m[c.RESULT]


@njit(**HELPER)
def _write_sums(m, sums):
    """Write the sums of taps along the axes before the shared one, and along those behind it; return how many.

    The channels are with the first, or with the others where no axis is shared. A sum is three numbers: an offset in
    the window, one in x, and one in the kernel.
    """
    shared, planes, order, outers, count = m[c.SHARED], m[c.SUMMED_PLANES], moved(m, m[c.ORDER_AT]), 0, 0
    for side in range(2):
        sums, outers, count = moved(sums, 3 * count), count, 1
        sums[0] = sums[1] = sums[2] = 0
        if (shared < 0) == (side == 1):
            count = m[t.IN_CHANNELS]
            for k in range(count):
                to = moved(sums, 3 * k)
                to[0], to[1] = k * m[t.CHANNEL_PITCH], m[m[t.X_CHANNELS] + k]
                to[2] = k // planes * m[c.KERNEL_CHANNEL_STEP]
        for a in range(m[t.RANK]):
            if a == shared or (a < shared) == (side == 1):
                continue
            axis = axis_row(m, a)
            n, dilation, places = axis[t.OF_TAPS], axis[t.OF_DILATION], moved(m, axis[t.OF_PLACES])
            write_order(n, axis[t.STRIDE], dilation, axis[t.OF_PHASES], moved(order, n), order)
            count *= n
            for back in range(1, count + 1):  # from the last: what is read is not written yet
                to, source = moved(sums, 3 * (count - back)), moved(sums, (count - back) // n * 3)
                tap = order[(count - back) % n]
                to[2] = source[2] + tap * axis[t.OF_KERNEL_STEP]
                to[1] = source[1] + tap * dilation * axis[t.X_STEP]
                to[0] = source[0] + places[tap] * axis[t.PITCH]
    return outers, count


@njit(**HELPER)
def _write_part_ends(m):
    """Write into how many parts sums are divided, a 0, and the taps up to the end of each; return the place."""
    (taps, first), parts, order = cut_axis(m), moved(m, m[c.PARTS_AT]), moved(m, m[c.ORDER_AT])
    axis = axis_row(m, first)
    own, phases, firsts = axis[t.OF_TAPS], axis[t.OF_PHASES], moved(order, axis[t.OF_TAPS])
    write_order(own, axis[t.STRIDE], axis[t.OF_DILATION], phases, firsts, order)
    parts[0], parts[1] = write_parts(m[t.IN_CHANNELS], taps, own, phases, firsts, moved(parts, 2)), 0
    return parts


@njit(**HELPER)
def _write_taps(m):
    """Write the taps in the order in which every output sums them: offsets, bounds of groups, places of weights.

    Where the rows of the register tile share taps, row ``r`` reads what row ``r+1`` reads ``lag`` taps earlier, and
    each position feeds a run of rows. Rows that a tap does not feed have a weight that is not read. Of the parts, the
    taps up to their ends become outer steps.
    """
    shared, rows, lag, outer, parts = m[c.SHARED], 1, m[c.LAG], moved(m, m[c.SUMS_AT]), _write_part_ends(m)
    outers, inners = _write_sums(m, outer)
    inner, order, axis = moved(outer, 3 * outers), moved(m, m[c.ORDER_AT]), axis_row(m, max(0, shared))
    n, phases, pitch, x_step, kernel_step = 1, 1, 0, 0, 0
    groups, places, at, step, part, summed = 1, moved(m, axis[t.OF_PLACES]), 0, 0, 2, 0
    if shared >= 0:
        n, phases, rows, groups = axis[t.OF_TAPS], axis[t.OF_PHASES], c.SHARED_ROWS, c.RUN_COUNT
        pitch, x_step, kernel_step = axis[t.PITCH], axis[t.X_STEP], axis[t.OF_KERNEL_STEP]
    apart, dilation = m[t.ROW_SPACING] * lag, axis[t.OF_DILATION]  # outputs from a row to the next
    firsts = moved(order, n)
    write_order(n, axis[t.STRIDE], dilation, phases, firsts, order)
    bounds, windows, source = moved(m, m[c.BOUNDS_AT]), moved(m, m[c.OFFSETS_AT]), moved(m, m[c.SOURCE_AT])
    xs, full = moved(windows, m[c.TAPS]), run_number(0, rows, rows)
    for o in range(outers):
        own = moved(outer, 3 * o)
        for k in range(phases):
            first, number, ended, due = firsts[k], 0, 0, -1
            length = phase_length(n, phases, first)
            bounds[0] = at
            for position in range(length + lag * (rows - 1)):
                row, end = fed_rows(position, length, rows, lag)
                if row >= end:
                    continue
                while number < run_number(row, end, rows):
                    number += 1
                    bounds[number] = at
                if position == due:  # one more row ends its part
                    bounds[groups + ended] = at
                    ended, due = ended + 1, due + lag
                    if ended == rows:
                        step, part, due = step + 1, part + 1, -1
                        bounds, parts[part - 1] = moved(bounds, groups + rows), step
                        for group in range(full + 1):
                            bounds[group] = at
                if 0 < position < length and summed + position * inners == parts[part]:
                    ended, due = 1, position + lag
                    for group in range(full + 1, groups + 1):
                        bounds[group] = at
                tap = first + (position - lag * row) * phases
                window = own[0] + (places[tap] + row * apart) * pitch
                x = own[1] + (tap * dilation + row * apart * axis[t.STRIDE]) * x_step
                for i in range(inners):
                    if shared < 0 < at == parts[part]:
                        step, part, bounds[1] = step + 1, part + 1, at
                        bounds, parts[part - 1] = moved(bounds, groups + rows), step
                        bounds[0] = at
                    one = moved(inner, 3 * i)
                    windows[at], xs[at] = window + one[0], x + one[1]
                    for r in range(rows):
                        weight = tap + (row - r) * lag * phases if row <= r < end else tap
                        source[at * rows + r] = own[2] + weight * kernel_step + one[2]
                    at += 1
            for group in range(number + 1, groups + rows):
                bounds[group] = at
            bounds, step, summed = moved(bounds, groups + rows), step + 1, summed + length * inners
            if summed == parts[part]:
                parts[part], part = step, part + 1
    if m[c.IS_EMPTY] != 0:  # one part of nothing
        parts[0] = parts[2] = 1
        for group in range(groups + rows):
            moved(m, m[c.BOUNDS_AT])[group] = 0


@njit(**HELPER)
def _negate(target, count, item):
    """Change the sign of neighbouring floating numbers."""
    for k in range(count):
        if item == 4:
            words_at(target)[k] ^= np.uint32(2**31)
        else:
            indices_at(target)[k] ^= np.int64(-(2**63))


@njit(**HELPER)
def _pack(m, base):
    """Read the weights of every filter as the register tile does."""
    way, planes, summed, item = moved(m, m[c.WAY]), m[c.KERNEL_PLANES], m[c.SUMMED_PLANES], m[t.ITEM]
    filters = m[t.GROUPS] // m[c.GROUP_PLANES] * m[t.GROUP_FILTERS]
    parts = m[t.IN_CHANNELS] if planes == 2 else 1  # each of one plane of the kernel
    count = (m[c.SUMS_AT] - m[c.SOURCE_AT]) // parts
    for k in range(filters * m[c.GROUP_PLANES]):
        first = m[c.KERNEL] + m[c.KERNEL_FIRST] + k % filters // planes * m[c.FILTER_STEP]
        for part in range(parts):  # (a + ib)(x + iy) = (ax - by) + i(bx + ay)
            plane, of_x = k % planes, part % summed
            target = m[t.WEIGHTS] + k * m[t.WEIGHTS_BLOCK] + part * count * item
            source = base + 8 * (m[c.SOURCE_AT] + part * count)
            call(way[c.READ_KERNEL], (first + (plane ^ of_x) * m[c.KERNEL_STORED], target, count, 0, source))
            if plane < of_x:
                _negate(target, count, item)


def run_part(address, functions):
    """Write the table of a call, or of a part of one, into the memory that it was given, and run it: a C function."""
    d, own = indices_at(address), indices_at(functions)
    d[t.GATHER], d[t.RUN_TILE], d[t.RUN_LINE] = own[GATHER], own[RUN_TILE], own[RUN_LINE]
    base = -(-d[c.MEMORY] // CACHE_LINE) * CACHE_LINE
    m = indices_at(base)
    for k in range(d[c.CALL_SIZE]):
        m[k] = d[k]
    rank, phase, way = m[t.RANK], moved(m, m[t.PHASES]), moved(m, m[c.WAY])
    m[t.SCALE] = 0 if way[c.CODE] == c.INT64 else own[SCALE_SINGLE if way[c.ITEM] == 4 else SCALE_DOUBLE]
    line = axis_row(m, rank - 1)
    m[t.SIZE], m[t.ADDRESS], m[t.NEXT_TASK] = m[c.WORKER_AT], base, base + 8 * (m[t.FILLS] - 1)
    m[m[t.FILLS] - 1] = m[t.CHANNELS_LOW] = m[t.CHANNELS_HIGH] = 0
    m[t.WEIGHTS], m[t.FILLS] = base + 8 * m[t.WEIGHTS], base + 8 * m[t.FILLS]
    m[t.TASKS] = _write_axes(m)
    _write_channels(m)
    _write_taps(m)
    _pack(m, base)
    is_native = way[c.READS_NATIVE] != 0
    m[t.READ_LINES] = way[c.READ_AT_ONCE] if is_native and rank > 1 and line[t.X_STEP] == way[c.ITEM] else 0
    is_near = line[t.OUT_STEP] == m[c.RESULT]
    m[t.WRITE], m[t.WRITES_OUT] = way[c.WRITE_NEAR if is_near else c.WRITE], is_near and way[c.STORES_NATIVE] != 0
    phase[0], phase[2] = base + 8 * m[c.OFFSETS_AT], base + 8 * m[c.BOUNDS_AT]
    phase[3] = base + 8 * m[c.PARTS_AT]
    phase[1] = phase[0] + 8 * m[c.TAPS]
    for a in range(rank):
        phase[t.PHASE_COLUMNS + a] = 0
    m[t.PHASE_BLOCKS] = m[t.PHASE_FILTERS] = m[t.BLOCKS] = m[t.TASK_BLOCKS] = m[t.GROUP_FILTERS]
    if m[t.READS_X] != 0 and rank > 1:
        first = axis_row(m, 0)
        rows = c.SHARED_ROWS * first[t.STRIDE] if m[t.ROW_AXIS] == 0 else 0
        m[t.AHEAD] = first[t.X_STEP] * (first[t.REACH] + 1 + rows)
    if m[t.ROW_AXIS] >= 0 and is_native:
        shared = axis_row(m, m[t.ROW_AXIS])
        m[t.X_ROW] = shared[t.X_STEP] * shared[t.STRIDE]
    call(own[RUN_TASKS], (base, base + 8 * d[c.WORKER_AT], base + 8 * d[c.SCRATCH_AT]))
