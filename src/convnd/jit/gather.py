"""Gather: from an array to the window of a tile.

A tile is a box of neighbouring outputs. Gather copies the input window that it reads into a small buffer. It is the
only code that knows the boundary, the memory layout of x and its dtype.
"""

from numba import carray, config, njit

from ..problem.boundary import OUTSIDE
from . import tables as t
from .compile import HELPER
from .index import input_index, input_position
from .intrinsics.memory import ask_for, call, indices_at, run, shorts_at, words_at
from .machine import CACHE_LINE

ROWS_AHEAD = 2  # rows that memory is asked for: it fetches ahead by itself inside a page, and rows lie pages apart
SHORT = 512  # positions of a line, up to which the lines of a plane are read at once
X, FILL, LISTED = range(3)  # which samples a segment has


@njit(**HELPER)
def _checked(table, memory):
    """Return the table and a worker's memory at two addresses, as arrays."""
    size, numbers = indices_at(table)[t.SIZE], indices_at(table)[t.NUMBERS]
    return carray(indices_at(table), (size,)), carray(indices_at(memory), (numbers,))


@njit(**HELPER)
def _unchecked(table, memory):
    """Return the table and a worker's memory at two addresses, as pointers: they cost no reference counts."""
    return indices_at(table), indices_at(memory)


#: With ``NUMBA_BOUNDSCHECK=1`` every index into the tables is checked.
arrays = _checked if config.BOUNDSCHECK else _unchecked


@njit(**HELPER)
def find_tile(number, table, memory):
    """Write where a tile of the grid lies, its first output and its numbers of outputs along each axis."""
    rank = table[t.RANK]
    for a in range(rank - 1, -1, -1):
        axis = table[t.AXES] + a * t.AXIS_COLUMNS
        tile = number % table[axis + t.TILES]
        number //= table[axis + t.TILES]
        begin = table[axis + t.BEGINS] + tile
        memory[t.TILE * rank + a] = tile
        memory[t.ORIGIN * rank + a] = table[begin]
        memory[t.OUTPUTS * rank + a] = table[begin + 1] - table[begin]


@njit(**HELPER)
def _index_of(position, axis, table):
    """Return the index in x that supplies a position along an axis, `OUTSIDE` for the fill value."""
    length, unit = table[axis + t.LENGTH], table[axis + t.UNIT]
    return input_index(position, length, unit, table[axis + t.MODE_BEFORE], table[axis + t.MODE_AFTER])


@njit(**HELPER)
def _map_axes(job, table, memory):
    """Write for every place of the window, along all axes but the last, the offset in x of what supplies it."""
    rank = table[job + t.RANK]
    for a in range(rank - 1):
        axis = table[job + t.AXES] + a * t.AXIS_COLUMNS
        origin, stride, before = memory[t.ORIGIN * rank + a], table[axis + t.STRIDE], table[axis + t.BEFORE]
        reach = stride * (memory[t.OUTPUTS * rank + a] - 1) + table[axis + t.REACH]
        for k in range(table[axis + t.WINDOW]):
            relative, offset = table[table[axis + t.POSITIONS] + k], t.UNREAD
            if relative <= reach:
                index = _index_of(input_position(origin, relative, stride, before), axis, table)
                offset = t.FILL_VALUE if index == OUTSIDE else index * table[axis + t.X_STEP]
            memory[table[axis + t.MAP] + k] = offset


@njit(**HELPER)
def _add_segment(memory, at, place, count, offset, step, which):
    memory[at] = place
    memory[at + 1] = count
    memory[at + 2] = offset
    memory[at + 3] = step
    memory[at + 4] = which
    return at + t.SEGMENT


@njit(**HELPER)
def _add_outside(axis, table, memory, end, place, offsets, first, step, count):
    """Write the segment of ``count`` positions outside x along the last axis, which begin at ``first``.

    ``offsets`` is the place in ``memory`` for where they are.
    """
    if count <= 0:
        return end
    if _index_of(first, axis, table) == OUTSIDE:  # so are all of them, beyond the same end
        return _add_segment(memory, end, place, count, 0, 0, FILL)
    for k in range(count):
        memory[offsets + k] = _index_of(first + step * k, axis, table) * table[axis + t.X_STEP]
    return _add_segment(memory, end, place, count, offsets, 0, LISTED)


@njit(**HELPER)
def _cut_line(job, table, memory, segments):
    """Write the segments of a line of the window: of each run of positions what is left of x, inside, and right of x.

    Return the end of the segments.
    """
    rank, end = table[job + t.RANK], segments
    axis = table[job + t.AXES] + (rank - 1) * t.AXIS_COLUMNS
    length, stride, x_step = table[axis + t.LENGTH], table[axis + t.STRIDE], table[axis + t.X_STEP]
    reach = stride * (memory[t.OUTPUTS * rank + rank - 1] - 1) + table[axis + t.REACH]
    offsets = table[axis + t.MAP]
    for number in range(table[job + t.RUN_COUNT]):
        at = table[job + t.RUNS] + 4 * number
        place, count, first, step = table[at], table[at + 1], table[at + 2], table[at + 3]
        own, offsets = offsets, offsets + count
        if first > reach:
            continue
        count = min(count, (reach - first) // step + 1)
        first = input_position(memory[t.ORIGIN * rank + rank - 1], first, stride, table[axis + t.BEFORE])
        low = min(count, max(0, -(first // step)))
        high = max(low, min(count, -((first - length) // step)))
        end = _add_outside(axis, table, memory, end, place, own, first, step, low)
        if low < high:
            offset = (first + step * low) * x_step
            end = _add_segment(memory, end, place + low, high - low, offset, step * x_step, X)
        end = _add_outside(axis, table, memory, end, place + high, own + high, first + step * high, step, count - high)
    return end


@njit(**HELPER)
def _fill(source, target, count, item, step):
    """Write fill values, ``step`` bytes apart in the source: the same one where that is 0."""
    for k in range(count):
        if item == 4:
            words_at(target)[k] = words_at(source + k * step)[0]
        elif item == 2:
            shorts_at(target)[k] = shorts_at(source + k * step)[0]
        else:
            indices_at(target)[k] = indices_at(source + k * step)[0]


@njit(**HELPER)
def _copy_frames(job, table, memory, at, line, target, fills):
    """Copy a segment of a line of frames: of samples that each have so many neighbouring channels."""
    count, offset, step, which = memory[at + 1], memory[at + 2], memory[at + 3], memory[at + 4]
    frame, stored, item = table[job + t.FRAME], table[job + t.STORED], table[job + t.ITEM]
    if which == X and step == frame * stored:
        call(table[job + t.READ], (line + offset, target, count * frame, stored, 0))
        return
    for k in range(count):
        if which == FILL:
            _fill(fills, target, frame, item, item)
        else:
            own = memory[offset + k] if which == LISTED else offset + k * step
            call(table[job + t.READ], (line + own, target, frame, stored, 0))
        target += frame * item


@njit(**HELPER)
def _deal_frames(job, table, memory, at, line, target, fills):
    """Copy a segment of a line of frames to the lines of their channels."""
    count, offset, step, which = memory[at + 1], memory[at + 2], memory[at + 3], memory[at + 4]
    pitch, frame = table[job + t.CHANNEL_PITCH], table[job + t.FRAME]
    if which == FILL:
        line, offset, step = fills, 0, 0
    if which != LISTED:
        run(table[job + t.READ_FRAMES], (line + offset, step, target, pitch, count, frame))
        return
    for k in range(count):
        to = target + k * table[job + t.ITEM]
        run(table[job + t.READ_FRAMES], (line + memory[offset + k], 0, to, pitch, 1, frame))


@njit(**HELPER)
def _copy_line(job, table, memory, memory_address, segments, end, line, target, fills, ahead):
    """Copy a line of the window, segment by segment, and ask for those of the line ``ahead``."""
    frame, item = table[job + t.FRAME], table[job + t.ITEM]
    for at in range(segments, end, t.SEGMENT):
        count, offset, which = memory[at + 1], memory[at + 2], memory[at + 4]
        to = target + memory[at] * frame * item
        if table[job + t.READ_FRAMES] != 0:
            _deal_frames(job, table, memory, at, line, target + memory[at] * item, fills)
        elif frame > 1:
            _copy_frames(job, table, memory, at, line, to, fills)
        elif which == X:
            if ahead != 0 and abs(memory[at + 3]) < CACHE_LINE:
                ask_for(line + offset + ahead, count * abs(memory[at + 3]))
            call(table[job + t.READ], (line + offset, to, count, memory[at + 3], 0))
        elif which == FILL:
            _fill(fills, to, count, item, 0)
        else:
            call(table[job + t.READ], (line, to, count, 0, memory_address + 8 * offset))


@njit(**HELPER)
def _copy_listed(job, table, memory, segments, end, source, target):
    """Copy what is listed of all lines along the axis before the last, which have been read at once."""
    row_axis, item = table[job + t.AXES] + (table[job + t.RANK] - 2) * t.AXIS_COLUMNS, table[job + t.ITEM]
    for at in range(segments, end, t.SEGMENT):
        for row in range(table[row_axis + t.WINDOW] if memory[at + 4] == LISTED else 0):
            offset = memory[table[row_axis + t.MAP] + row]
            to = target + row * table[row_axis + t.PITCH] + memory[at] * item
            for k in range(memory[at + 1] if offset > t.FILL_VALUE else 0):
                _fill(source + offset + memory[memory[at + 2] + k], to + k * item, 1, item, 0)


@njit(**HELPER)
def _samples_of_line(job, table, memory, segments, end):
    """Return the places of a line between which x has samples, and the offset that place 0 would have in x."""
    for at in range(segments, end, t.SEGMENT):
        if memory[at + 4] == X:
            return memory[at], memory[at] + memory[at + 1], memory[at + 2] - memory[at] * table[job + t.ITEM]
    return 0, 0, 0


def gather(table_address, memory_address, job, group, window):
    """Copy the window of the tile that ``memory`` names to the address ``window``: a C function."""
    table, memory = arrays(table_address, memory_address)
    rank, axes = table[job + t.RANK], table[job + t.AXES]
    last = axes + (rank - 1) * t.AXIS_COLUMNS
    row_axis = last - t.AXIS_COLUMNS if rank > 1 else last
    segments = table[last + t.MAP] + table[last + t.WINDOW]
    _map_axes(job, table, memory)
    end = _cut_line(job, table, memory, segments)
    whole = end  # the end of the segments of a line outside x along another axis
    for number in range(table[job + t.RUN_COUNT]):
        at = table[job + t.RUNS] + 4 * number
        whole = _add_segment(memory, whole, table[at], table[at + 1], 0, 0, FILL)
    lines = 1
    for a in range(rank - 2):
        lines *= table[axes + a * t.AXIS_COLUMNS + t.WINDOW]
    rows = table[row_axis + t.WINDOW] if rank > 1 else 1
    low, high, begin = _samples_of_line(job, table, memory, segments, end)
    is_dense = table[job + t.RUN_COUNT] == 1 and table[table[job + t.RUNS] + 3] == 1
    reads_lines = table[job + t.READ_LINES] != 0 and is_dense and table[last + t.WINDOW] <= SHORT
    reach = table[last + t.STRIDE] * (memory[t.OUTPUTS * rank + rank - 1] - 1) + table[last + t.REACH]
    width = min(table[last + t.WINDOW], reach + 1)
    for channel in range(table[job + t.IN_CHANNELS] // table[job + t.FRAME]):
        number = group * table[job + t.IN_CHANNELS] + channel
        plane = table[job + t.X] + table[table[job + t.X_CHANNELS] + number]
        fills = table[job + t.FILLS] + number * table[job + t.ITEM]
        for line in range(lines):
            rest, source, target = line, plane, window + channel * table[job + t.CHANNEL_PITCH]
            is_inside, is_read = True, True
            for back in range(3, rank + 1):
                axis = axes + (rank - back) * t.AXIS_COLUMNS
                place = rest % table[axis + t.WINDOW]
                rest //= table[axis + t.WINDOW]
                offset = memory[table[axis + t.MAP] + place]
                is_read &= offset != t.UNREAD
                is_inside &= offset != t.FILL_VALUE
                source += offset
                target += place * table[axis + t.PITCH]
            if reads_lines and is_read:
                run(
                    table[job + t.READ_LINES],
                    (
                        source + begin, memory_address + 8 * table[row_axis + t.MAP], rows, target,
                        table[row_axis + t.PITCH], width, low, high if is_inside else low, fills,
                        table_address + 8 * (table[job + t.X_CHANNELS] + number),
                    ),
                )  # fmt: skip
                if is_inside:
                    _copy_listed(job, table, memory, segments, end, source, target)
                continue
            for row in range(rows if is_read else 0):
                first, behind, next_row = segments, end, row + ROWS_AHEAD
                offset = memory[table[row_axis + t.MAP] + row] if rank > 1 else 0
                if offset == t.UNREAD and is_inside:
                    continue
                ahead = memory[table[row_axis + t.MAP] + next_row] - offset if next_row < rows else 0
                if offset == t.FILL_VALUE or not is_inside:
                    first, behind, offset, ahead = end, whole, 0, 0
                to = target + row * table[row_axis + t.PITCH]
                _copy_line(job, table, memory, memory_address, first, behind, source + offset, to, fills, ahead)


@njit(**HELPER)
def largest_of(samples, count, search, memory_address):
    """Return the bits of the largest magnitude of neighbouring samples, as the C function ``search`` finds it."""
    call(search, (samples, memory_address, count))
    return indices_at(memory_address)[t.FREE]


@njit(**HELPER)
def largest_in(window, job, table, memory_address):
    """Return the bits of the largest magnitude in a gathered window."""
    count = table[job + t.IN_CHANNELS] * table[job + t.CHANNEL_PITCH] // table[job + t.ITEM]
    return largest_of(window, count, table[job + t.LARGEST], memory_address)


@njit(**HELPER)
def is_in_range(window, job, table, memory_address):
    """Return whether a gathered window holds zeros alone, or a largest magnitude that the method takes."""
    bits = largest_in(window, job, table, memory_address)
    return bits == 0 or table[job + t.LEAST] <= bits <= table[job + t.MOST]
