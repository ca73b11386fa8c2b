"""How a call is cut: its type, its register tile and the outputs of a tile, by rules. Nothing here changes bits."""

from __future__ import annotations

from numba import njit

from .. import tables as t
from ..compile import HELPER
from ..intrinsics.memory import indices_at
from ..machine import CACHE_LINE
from ..taps import tap_spacing
from . import columns as c
from .canonical import of
from .check import row
from .shapes import LINE, LINE_VECTORS, LONG, LONG_VECTORS, ROW_VECTORS, ROWS, RUNS, SHARED_ROWS
from .ways import choose_way

_WINDOW_BYTES, _ROLLING, _RESULTS_BYTES = 512 * 1024, 4, 8 * 1024
_LINE_PRICE, _SMALL_HALO = 16.0, 1 / 128
_INSIDE_BLOCKS = 4  # of a line, from which on it is read in place
_PAGE = 4096  # bytes: where no gap is longer, all of an array's memory can be read


@njit(**HELPER)
def _extent(d, address, rank, lengths, steps):
    """Return the addresses of an array's lowest and highest sample, by the columns of its axes."""
    low = high = address
    for a in range(rank):
        span = d[row(a) + steps] * (d[row(a) + lengths] - 1)
        low += min(0, span)
        high += max(0, span)
    return low, high


@njit(**HELPER)
def _find_memory(d):
    """Write the addresses of the first and the last real part that may be read around x, and whether out overlaps.

    Where gaps are long, memory between the samples may be there for nobody to read: both addresses are 0 then.
    """
    rank, sample = d[c.RANK], d[c.STORED] * d[c.X_PLANES]
    reach, has_gaps = sample, False
    for back in range(1, rank + 1):
        at = row(d[row(rank - back) + c.ORDER])
        length, step = d[at + c.X_LENGTH], abs(d[at + c.X_STEP])
        if length > 1 and step != 0:
            has_gaps |= step - reach > _PAGE
            reach += step * (length - 1)
    low, high = _extent(d, d[c.X], rank, c.X_LENGTH, c.X_STEP)
    d[c.X_LOW], d[c.X_HIGH] = low, high + sample - d[c.STORED]
    if has_gaps:
        d[c.X_LOW] = d[c.X_HIGH] = 0
    first, last = _extent(d, d[c.OUT], rank - (1 if d[c.DROPPED] < rank else 0), c.OUT_LENGTH, c.OUT_STEP)
    least, most = _extent(d, d[c.KERNEL], d[c.KERNEL_RANK], c.KERNEL_LENGTH, c.KERNEL_STEP)
    end = last + d[c.RESULT_BYTES]
    overlaps = (first < high + sample and low < end) or (
        first < most + d[c.KERNEL_STORED] * d[c.KERNEL_PLANES] and least < end
    )
    d[c.OVERLAPS] = 1 if overlaps else 0


@njit(**HELPER)
def _choose_tile(d):
    """Write the register tile: rows along the axis of most taps, or vectors of a line, far apart or neighbours."""
    last, lanes = d[c.AXES] - 1, d[d[c.WAY] + c.LANES]
    d[c.TILE], d[c.ROW_AXIS], d[c.SPACING], d[c.LAG], d[c.ROWS] = LINE, -1, 1, 1, 1
    d[c.BLOCK] = LINE_VECTORS * lanes
    most = 1
    for a in range(last):
        at = of(d, a)
        spacing = tap_spacing(d[at + c.OF_STRIDE], d[at + c.OF_DILATION])
        if d[at + c.OF_TAPS] >= most and d[at + c.OF_TAPS] > 1 and d[at + c.OF_OUTPUTS] >= SHARED_ROWS * spacing:
            most = d[at + c.OF_TAPS]
            d[c.TILE], d[c.ROW_AXIS], d[c.SPACING], d[c.ROWS] = ROWS, a, spacing, SHARED_ROWS
            d[c.BLOCK] = ROW_VECTORS * lanes
    at = of(d, last)
    spacing, block = tap_spacing(d[at + c.OF_STRIDE], d[at + c.OF_DILATION]), SHARED_ROWS * LONG_VECTORS * lanes
    taps = d[at + c.OF_TAPS] // d[at + c.OF_PHASES] * spacing
    if d[c.TILE] == LINE and lanes % spacing == 0 and taps >= lanes and d[at + c.OF_OUTPUTS] >= block:
        d[c.TILE], d[c.LAG], d[c.BLOCK], d[c.SPACING] = LONG, lanes // spacing, block, spacing


@njit(**HELPER)
def _unit(d, a):
    """Return the outputs along an axis that the register tile computes at once."""
    if a == d[c.AXES] - 1:
        return d[c.BLOCK]
    return d[c.ROWS] * d[c.SPACING] if a == d[c.ROW_AXIS] else 1


@njit(**HELPER)
def _window_length(d, at, outputs):
    """Return the number of positions that neighbouring outputs read along an axis, or a little more."""
    return min(d[at + c.OF_PHASES] * outputs + d[at + c.OF_EXTENT] - 1, d[at + c.OF_TAPS] * outputs)


@njit(**HELPER)
def _halo(d, a):
    """Return what a tile reads twice along an axis, in outputs; a line costs something to begin with, too."""
    at = of(d, a)
    price = _LINE_PRICE if a == d[c.AXES] - 1 else 0.0
    return (d[at + c.OF_EXTENT] - 1 + price) / d[at + c.OF_STRIDE]


@njit(**HELPER)
def _least(d, a):
    """Return the least outputs of a tile along an axis."""
    lanes = d[d[c.WAY] + c.LANES]
    if a == d[c.AXES] - 1:
        return min(d[c.BLOCK], -(-d[of(d, a) + c.OF_OUTPUTS] // lanes) * lanes)
    return _unit(d, a)


@njit(**HELPER)
def _shape_tiles(d):
    """Write the outputs of a tile along each axis: the least halo that a window of so many positions allows.

    Axes are cut in two, each time that of least halo, until a tile is small enough.
    """
    count, is_long = d[c.AXES], False
    room = _WINDOW_BYTES / (d[c.IN_CHANNELS] * d[d[c.WAY] + c.ITEM]) * (_ROLLING if d[c.INSIDE] != 0 else 1)
    for a in range(count):
        at, halo, unit = of(d, a), _halo(d, a), _least(d, a)
        n = d[at + c.OF_OUTPUTS]
        if 0 < halo < _SMALL_HALO * n:  # longer tiles bring nothing
            n, is_long = max(unit, int(halo / _SMALL_HALO)), True
        d[at + c.OF_SHAPE] = -(-n // unit) * unit
    for a in range(count if is_long else 0):
        if _halo(d, a) == 0:
            d[of(d, a) + c.OF_SHAPE] = _least(d, a)
    while True:
        read, cut, least = 1.0, -1, 0.0
        for a in range(count):
            at = of(d, a)
            read *= _window_length(d, at, d[at + c.OF_SHAPE])
            halo = _halo(d, a) / d[at + c.OF_SHAPE]
            if d[at + c.OF_SHAPE] > _least(d, a) and (cut < 0 or halo < least):
                cut, least = a, halo
        if read <= room or cut < 0:
            break
        at, unit, excess = of(d, cut), _least(d, cut), read / room
        n = d[at + c.OF_SHAPE]
        smaller = int(n / (min(excess, 2.0) if least > 0 else excess)) // unit * unit
        d[at + c.OF_SHAPE] = max(unit, min(n - unit, smaller))
    for a in range(count):  # tiles of equal size in place of a last one that is nearly empty
        at, unit = of(d, a), _least(d, a)
        outputs = d[at + c.OF_OUTPUTS]
        d[at + c.OF_SHAPE] = -(-outputs // (-(-outputs // d[at + c.OF_SHAPE]) * unit)) * unit


@njit(**HELPER)
def write_begins(length, stride, before, extent, outputs, size, border, begins):
    """Write the first output of every tile along an axis, and the number of outputs behind them; return the tiles.

    Where the register tile can read the array itself (``border`` > 0), the outputs whose windows leave the array get
    tiles of their own, as thin as multiples of ``border`` can be.
    """
    head, tail, unit = outputs, outputs, max(1, border)
    if border > 0:
        inside = (length + before - extent) // stride + 1  # outputs up to the last inside
        head = min(outputs, -(-max(0, -(-before // stride)) // border) * border)
        tail = head + max(0, min(inside, outputs) - head) // border * border
    count, first = 0, 0
    begins[0] = 0
    for mark in (head, tail, outputs):
        if mark > first:
            tiles = max(1, -(-(mark - first) // size))
            step = (mark - first + tiles - 1) // tiles
            step = -(-step // unit) * unit
            while first < mark:
                first = min(first + step, mark)
                count += 1
                begins[count] = first
    return count


@njit(**HELPER)
def _most_begins(d, at):
    """Return how many numbers `write_begins` writes, or a few more."""
    return d[at + c.OF_OUTPUTS] // d[at + c.OF_SHAPE] + 5


@njit(**HELPER)
def _count_taps(d):
    """Write how many taps there are: around the axis that rows share, along it, and inside it."""
    shared = d[c.AXES] - 1 if d[c.TILE] == LONG else d[c.ROW_AXIS]
    outer, inner, along, phases = 1, 1, 1, 1
    for a in range(d[c.AXES]):
        taps = d[of(d, a) + c.OF_TAPS]
        if a < shared:
            outer *= taps
        elif a == shared:
            along, phases = taps, d[of(d, a) + c.OF_PHASES]
        else:
            inner *= taps
    if shared < 0:
        inner *= d[c.IN_CHANNELS]
        row_taps = inner
    else:
        outer *= d[c.IN_CHANNELS]
        row_taps = outer * (along + phases * (SHARED_ROWS - 1) * d[c.LAG]) * inner
    d[c.OUTER_TAPS], d[c.SHARED_TAPS], d[c.INNER_TAPS], d[c.ROW_TAPS], d[c.STEPS] = (
        outer, along, inner, row_taps, outer * phases,
    )  # fmt: skip


@njit(**HELPER)
def _place_all(d):
    """Write where everything lies in memory, and how much that takes."""
    axes, way = d[c.AXES], d[c.WAY]
    groups, item = d[c.GROUPS] * d[c.GROUP_PLANES], d[way + c.ITEM]
    begins = positions = taps = window = runs = 0
    samples = d[c.IN_CHANNELS]
    for a in range(axes):
        at = of(d, a)
        length = _window_length(d, at, d[at + c.OF_SHAPE])
        samples *= length
        begins += _most_begins(d, at)
        window += length
        positions += length if a < axes - 1 else 0
        d[at + c.OF_PLACES_AT] = taps
        taps += d[at + c.OF_TAPS]
        runs = max(runs, d[at + c.OF_TAPS])  # each axis' are written there, the last one's remain
    weights = d[c.OUTER_TAPS] * d[c.SHARED_TAPS] * d[c.INNER_TAPS]
    rows = SHARED_ROWS if d[c.TILE] != LINE else 1
    d[c.FILTER_BYTES] = -(-d[c.ROW_TAPS] * rows * item // 8) * 8
    d[c.WINDOW_BYTES] = -(-(samples + 2 * rows * d[c.BLOCK]) * item // CACHE_LINE) * CACHE_LINE
    pieces = most_pieces(d)
    at = 0
    d[c.AXES_AT] = at = t.JOB_COLUMNS
    d[c.BEGINS_AT] = at = at + axes * t.AXIS_COLUMNS
    d[c.RUNS_AT] = at = at + begins
    d[c.POSITIONS_AT] = at = at + 4 * runs
    d[c.CHANNELS_AT] = at = at + positions
    d[c.PHASE_AT] = at = at + groups * (d[c.IN_CHANNELS] + d[c.FILTERS])
    d[c.PLACES_AT] = at = at + t.PHASE_COLUMNS + axes
    d[c.ORDER_AT] = at = at + taps
    d[c.BOUNDS_AT] = at = at + 2 * taps
    d[c.OFFSETS_AT] = at = at + d[c.STEPS] * (RUNS + 1)
    d[c.SUMS_AT] = at = at + 2 * d[c.ROW_TAPS]
    d[c.KERNEL_OFFSETS_AT] = at = at + 3 * (d[c.OUTER_TAPS] + d[c.INNER_TAPS])
    d[c.WORKER_AT] = at = at + 2 * weights
    d[c.NEXT_AT] = at = at + t.MEMORY_ROWS * axes + window + t.SEGMENT * 4 * runs
    d[c.FILLS_AT] = at = at + 1
    d[c.WEIGHTS_AT] = at = at + groups * d[c.IN_CHANNELS]
    at = (at + groups * d[c.FILTERS] * d[c.FILTER_BYTES] // 8 + 7) // 8 * 8
    d[c.SCRATCH_AT] = at
    d[c.BYTES] = 8 * at + d[c.WINDOW_BYTES] + pieces * d[c.ROWS] * d[c.BLOCK] * item + 2 * CACHE_LINE


@njit(**HELPER)
def most_pieces(d):
    """Return the blocks of a line whose results wait to be stored."""
    last = of(d, d[c.AXES] - 1)
    line = -(-min(d[last + c.OF_SHAPE], d[last + c.OF_OUTPUTS]) // d[c.BLOCK])
    return min(line, max(1, _RESULTS_BYTES // (d[c.ROWS] * d[c.BLOCK] * d[d[c.WAY] + c.ITEM])))


@njit(**HELPER)
def border_of(d, a):
    """Return what `write_begins` takes as the border."""
    return _unit(d, a) if d[c.INSIDE] != 0 else 0


@njit(**HELPER)
def lay_out(base):
    """Lay out a call in canonical form, and write how many bytes it takes."""
    d = indices_at(base)
    choose_way(d, base)
    _find_memory(d)
    _choose_tile(d)
    way, last = d[c.WAY], of(d, d[c.AXES] - 1)
    may_read = d[way + c.READS_NATIVE] != 0 and d[last + c.OF_STRIDE] == 1 and d[c.X_LOW] != 0
    near = d[last + c.OF_X_STEP] == d[way + c.ITEM] and d[last + c.OF_OUTPUTS] >= _INSIDE_BLOCKS * d[c.BLOCK]
    d[c.INSIDE] = 1 if may_read and near else 0
    _shape_tiles(d)
    _count_taps(d)
    _place_all(d)
