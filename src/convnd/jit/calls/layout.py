"""How a call is cut: its type, its register tile and the outputs of a tile, by rules. Nothing here changes bits."""

import numpy as np
from numba import njit

from .. import tables as t
from ..compile import HELPER
from ..intrinsics.memory import call, indices_at, moved
from ..machine import CACHE_LINE
from . import columns as c
from .canonical import axis_row, canonicalize, cut_axis
from .check import row
from .taps import most_parts, phase_length, tap_spacing

_WINDOW_BYTES, _ROLLING, _RESULTS_BYTES = 512 * 1024, 4, 8 * 1024
_LINE_PRICE, _SMALL_HALO = 200.0, 1 / 128  # samples that take as long to gather as a line takes to begin
_INSIDE_BLOCKS, _TAP_BLOCKS = 5, 2.5  # of a line, from which on it is read in place: the more, the more taps there are
_PAGE = 4096  # bytes: where no gap is longer, all of an array's memory can be read


@njit(**HELPER)
def _magnitudes(d, base, read):
    """Return the sum of the kernel's magnitudes, read as float64 by a C function."""
    total, count = 0.0, 1
    for i in range(d[c.KERNEL_RANK]):
        count *= row(d, i)[c.KERNEL_LENGTH]
    for k in range(count):
        rest, place = k, d[c.KERNEL]
        for back in range(1, d[c.KERNEL_RANK] + 1):
            own = row(d, d[c.KERNEL_RANK] - back)
            place += rest % own[c.KERNEL_LENGTH] * own[c.KERNEL_STEP]
            rest //= own[c.KERNEL_LENGTH]
        call(read, (place, base + 8 * c.BYTES, 1, 0, 0))
        total += abs(np.int64(d[c.BYTES]).view(np.float64))
    return total


@njit(**HELPER)
def _choose_way(d, base):
    """Write the place of the type that the sums are computed in: whole numbers are exact in it."""
    d[c.WAY], code = c.HEAD, c.INT64
    if d[c.WAYS] > 1:
        double = d[c.HEAD + (d[c.WAYS] - 2) * c.WAY_COLUMNS + c.READ_KERNEL]
        bound = _magnitudes(d, base, double) * np.int64(d[c.LARGEST]).view(np.float64) * (1 + 1e-9)
        if bound < 2.0**53:
            code = c.FLOAT32 if bound < 2.0**24 else c.FLOAT64
        while d[d[c.WAY] + c.CODE] < code:  # from the narrowest: where that has no float32, float64 holds as much
            d[c.WAY] += c.WAY_COLUMNS
    return moved(d, d[c.WAY])


@njit(**HELPER)
def _extent(d, address, rank, column):
    """Return the addresses of an array's lowest and highest sample, by its columns of lengths and, behind, steps."""
    low = high = address
    for a in range(rank):
        own = moved(row(d, a), column)
        span = own[1] * (own[0] - 1)
        if span < 0:
            low += span
        else:
            high += span
    return low, high


@njit(**HELPER)
def _find_memory(d):
    """Write the addresses of the first and the last real part that may be read around x, and whether out overlaps.

    Where gaps are long, memory between the samples may be there for nobody to read: both addresses are 0 then.
    """
    rank, sample = d[c.X_RANK], d[t.STORED] * d[c.X_PLANES]
    low, high = _extent(d, d[t.X], rank, c.X_LENGTH)
    d[t.X_LOW], d[t.X_HIGH], reach = low, high + sample - d[t.STORED], sample
    for back in range(1, rank + 1):
        own = row(d, row(d, rank - back)[c.ORDER])
        length, step = own[c.X_LENGTH], abs(own[c.X_STEP])
        if length > 1 and step != 0:
            if step - reach > _PAGE:
                d[t.X_LOW] = d[t.X_HIGH] = 0
            reach += step * (length - 1)
    first, last = _extent(d, d[t.OUT], rank - (d[c.DROPPED] < rank), c.OUT_LENGTH)
    least, most = _extent(d, d[c.KERNEL], d[c.KERNEL_RANK], c.KERNEL_LENGTH)
    end, kernel_end = last + d[c.RESULT_BYTES], most + d[c.KERNEL_STORED] * d[c.KERNEL_PLANES]
    d[c.OVERLAPS] = (first < high + sample and low < end) or (first < kernel_end and least < end)


@njit(**HELPER)
def _choose_tile(d, way):
    """Write the register tile: rows along the axis of most taps, or vectors of a line, far apart or neighbours.

    Write also whether it reads the array in place. It computes whole blocks at the ends of lines then, from windows of
    their own, which takes longer than gathering short lines.
    """
    last, lanes, most, product = d[t.RANK] - 1, way[c.LANES], 1, d[t.GROUP_FILTERS]
    d[t.TILE_FUNCTION], d[t.BLOCK], d[t.ROWS] = way[c.LINE_TILE], c.LINE_VECTORS * lanes, 1
    d[t.ROW_AXIS] = d[c.SHARED] = -1
    d[t.ROW_SPACING] = d[c.LAG] = 1
    for a in range(last + 1):
        axis = axis_row(d, a)
        taps, outputs = axis[t.OF_TAPS], axis[t.OF_OUTPUTS]
        spacing = tap_spacing(axis[t.STRIDE], axis[t.OF_DILATION])
        if a < last and taps >= most and taps > 1 and outputs >= c.SHARED_ROWS * spacing:
            most, d[t.ROW_AXIS], d[c.SHARED], d[t.ROW_SPACING], d[t.ROWS] = taps, a, a, spacing, c.SHARED_ROWS
            d[t.TILE_FUNCTION], d[t.BLOCK] = way[c.ROWS_TILE], c.ROW_VECTORS * lanes
        block = c.SHARED_ROWS * c.LONG_VECTORS * lanes
        is_long = taps // axis[t.OF_PHASES] * spacing >= lanes and lanes % spacing == 0 and outputs >= 2 * block
        if a == last and is_long and d[c.SHARED] < 0:
            d[t.TILE_FUNCTION], d[t.BLOCK] = way[c.LONG_TILE], block
            d[c.SHARED], d[c.LAG], d[t.ROW_SPACING] = a, lanes // spacing, spacing
        product *= taps
    line = axis_row(d, last)
    is_near = line[t.X_STEP] == way[c.ITEM] and line[t.STRIDE] == 1 and way[c.READS_NATIVE] != 0 and d[t.X_LOW] != 0
    d[t.READS_X] = is_near and line[t.OF_OUTPUTS] >= d[t.BLOCK] * (_INSIDE_BLOCKS + _TAP_BLOCKS * product / lanes)


@njit(**HELPER)
def _least(d, a, lanes):
    """Return the least outputs of a tile along an axis, and what a tile reads twice along it, in outputs."""
    axis, unit, read = axis_row(d, a), 1, 0.0
    if a == d[t.RANK] - 1:  # a line costs something to begin with, too
        unit, read = min(d[t.BLOCK], -(-axis[t.OF_OUTPUTS] // lanes) * lanes), _LINE_PRICE
    elif a == d[t.ROW_AXIS]:
        unit = d[t.ROWS] * d[t.ROW_SPACING]
    return unit, (axis[t.REACH] + read) / axis[t.STRIDE]


@njit(**HELPER)
def _shape_tiles(d, room, lanes):
    """Write the outputs of a tile along each axis, and their windows: the least halo that so many positions allow.

    Axes are cut in two, each time that of least halo, until a tile is small enough.
    """
    count, is_long = d[t.RANK], False
    for a in range(count):
        axis, (unit, halo) = axis_row(d, a), _least(d, a, lanes)
        n = axis[t.OF_OUTPUTS]
        if 0 < halo < _SMALL_HALO * n:  # longer tiles bring nothing
            n, is_long = max(unit, int(halo / _SMALL_HALO)), True
        axis[t.OF_SHAPE] = -(-n // unit) * unit
    while True:
        read, cut, least = 1.0, count, 0.0
        for a in range(count):
            axis, (unit, halo) = axis_row(d, a), _least(d, a, lanes)
            if is_long and halo == 0:
                axis[t.OF_SHAPE] = unit
            n = axis[t.OF_SHAPE]
            axis[t.WINDOW] = min(axis[t.OF_PHASES] * n + axis[t.REACH], axis[t.OF_TAPS] * n)  # or a little less
            read *= axis[t.WINDOW]
            if n > unit and (cut == count or halo / n < least):
                cut, least = a, halo / n
        if read <= room or cut == count:
            break
        axis, (unit, _) = axis_row(d, cut), _least(d, cut, lanes)
        n, excess = axis[t.OF_SHAPE], read / room
        smaller = int(n / (2.0 if least > 0 and excess > 2 else excess)) // unit * unit
        axis[t.OF_SHAPE] = max(unit, min(n - unit, smaller))
    for a in range(count):  # tiles of equal size in place of a last one that is nearly empty
        axis, (unit, _) = axis_row(d, a), _least(d, a, lanes)
        outputs = axis[t.OF_OUTPUTS]
        axis[t.OF_SHAPE] = -(-outputs // (-(-outputs // axis[t.OF_SHAPE]) * unit)) * unit


@njit(**HELPER)
def _count_taps(d):
    """Write the taps of the register tile's rows, and the most parts; return the most taps around its axis."""
    (all_taps, cut), shared, own, d[c.STEPS] = cut_axis(d), d[c.SHARED], 1, 1
    product = outer = d[t.IN_CHANNELS]
    for a in range(d[t.RANK]):
        product *= axis_row(d, a)[t.OF_TAPS]
        if a < shared:
            outer *= axis_row(d, a)[t.OF_TAPS]
    if shared >= 0:
        axis = axis_row(d, shared)
        own, phases, d[c.STEPS] = axis[t.OF_TAPS], axis[t.OF_PHASES], axis[t.OF_PHASES] * outer
        product //= own
        for first in range(phases):
            own += (c.SHARED_ROWS - 1) * min(d[c.LAG], phase_length(axis[t.OF_TAPS], phases, first))
    d[c.PARTS] = most_parts(d[t.IN_CHANNELS], all_taps, axis_row(d, cut)[t.OF_PHASES])
    d[c.STEPS] += d[c.PARTS]
    d[c.TAPS] = product * own
    return product + 1


@njit(**HELPER)
def _place_all(d, way):
    """Write where everything lies in memory, and how much that takes."""
    count, groups, item, samples = d[t.RANK], d[t.GROUPS], way[c.ITEM], d[t.IN_CHANNELS]
    sums, shared_rows, most, window = _count_taps(d), c.SHARED_ROWS if d[c.SHARED] >= 0 else 1, 1, 0
    d[c.BEGINS_AT] = at = d[c.CALL_SIZE]
    for a in range(count):
        axis = axis_row(d, a)
        axis[t.WINDOW] = min(axis[t.OF_PHASES] * axis[t.OF_SHAPE] + axis[t.REACH], axis[t.OF_TAPS] * axis[t.OF_SHAPE])
        at += axis[t.OF_OUTPUTS] // axis[t.OF_SHAPE] + 5  # tiles, or a few less
        window += axis[t.WINDOW]
        samples *= axis[t.WINDOW]
        most = max(most, axis[t.OF_TAPS])
    d[t.RUNS], d[c.POSITIONS_AT] = at, at + 4 * most  # each axis' runs are written there, the last one's remain
    at += 4 * most + window
    d[c.PLACES_AT], d[c.ORDER_AT] = at, at + count * most
    at += count * most + 2 * most
    d[c.BOUNDS_AT] = at
    d[c.PARTS_AT] = at = at + d[c.STEPS] * (c.RUN_COUNT + c.SHARED_ROWS)
    d[t.X_CHANNELS] = at = at + d[c.PARTS] + 2
    at += groups * d[t.IN_CHANNELS]
    d[t.OUT_CHANNELS], d[t.PHASES] = at, at + groups * d[t.GROUP_FILTERS]
    d[c.OFFSETS_AT] = at = d[t.PHASES] + t.PHASE_COLUMNS + count
    d[c.SOURCE_AT] = at = at + 2 * d[c.TAPS]
    d[c.SUMS_AT] = at = at + d[c.TAPS] * shared_rows
    d[c.WORKER_AT] = at = at + 3 * sums
    d[t.FILLS] = at = at + t.MEMORY_ROWS * count + window + t.SEGMENT * 4 * most + 1
    d[t.WEIGHTS] = at = at + groups * d[t.IN_CHANNELS]
    d[t.WEIGHTS_BLOCK] = -(-d[c.TAPS] * shared_rows * item // 8) * 8
    d[c.SCRATCH_AT] = at = (at + groups * d[t.GROUP_FILTERS] * d[t.WEIGHTS_BLOCK] // 8 + 7) // 8 * 8
    line, rows = axis_row(d, count - 1), d[t.ROWS]
    pieces = -(-min(line[t.OF_SHAPE], line[t.OF_OUTPUTS]) // d[t.BLOCK])
    d[t.PIECES] = min(pieces, max(1, _RESULTS_BYTES // (rows * d[t.BLOCK] * item)))
    d[t.RESULTS_AT] = -(-(samples + 2 * shared_rows * d[t.BLOCK]) * item // CACHE_LINE) * CACHE_LINE
    d[c.BYTES] = 8 * at + d[t.RESULTS_AT] + d[t.PIECES] * rows * d[t.BLOCK] * item + 2 * CACHE_LINE


def lay_out_part(address, functions):
    """Lay out a call that has been checked, or a part of one, and write how many bytes it takes: a C function."""
    d = indices_at(address)
    canonicalize(d)
    way = _choose_way(d, address)
    d[t.READ], d[t.ITEM] = way[c.READ_X], way[c.ITEM]
    _find_memory(d)
    _choose_tile(d, way)
    room = _WINDOW_BYTES / (d[t.IN_CHANNELS] * way[c.ITEM])
    _shape_tiles(d, room * _ROLLING if d[t.READS_X] != 0 else room, way[c.LANES])
    _place_all(d, way)
