"""Gradients by the kernel: for every weight, the sum of the products ``y[o] * x[i]`` of what it joins.

The window of a tile is gathered as if its outputs were to be computed, and y at these outputs beside it. Where there
are many filters, y is turned, and each output adds vectors of filters to the sums of all taps, as in a matrix product.
Other small kernels take dot products of lines of both. The lines of a plane may run as one: y is gathered to the places
of the window where its outputs begin to read, amid zeros. Large kernels take the FFT method's tiles: the spectrum of
the window times the conjugate of that of y is the spectrum of their correlation, and the tiles of a task share one
transform back.
"""

from numba import njit

from . import tables as t
from .compile import HELPER
from .gather import arrays, find_tile, is_in_range
from .index import advance, start, total
from .intrinsics.memory import call, clear, indices_at, run, take_next
from .kernels import is_smaller
from .transforms.fourier import load_slab, slab_address, transform_dimensions, unload_slab

Y = t.GRADIENT_COLUMNS  # the job of y
PIECE = 1024  # samples of a line that are summed lane by lane: rounding errors grow with how many a lane sums
OUTPUTS_PIECE = 128  # outputs that a lane sums, where filters are lanes: so are these, and vectors of y stay in L1


@njit(**HELPER)
def _count_lines(phase, table, memory):
    """Write the outputs of a phase in a tile and the lines that they make; return the length of a line."""
    rank, length = table[t.RANK], 1 + table[t.BEYOND]
    for a in range(rank):
        axis, at = table[t.AXES] + a * t.AXIS_COLUMNS, t.OUTPUTS * rank + a
        if memory[t.TILE * rank + a] + 1 == table[axis + t.TILES]:
            memory[at] -= table[phase + t.PHASE_COLUMNS + a]
        memory[t.LINES * rank + a] = memory[at]
        if a >= rank - 1 - table[t.FLAT]:
            length += (memory[at] - 1) * (table[axis + t.PITCH] // table[t.ITEM])
            memory[t.LINES * rank + a] = min(1, memory[at])
    return length


def sum_tile(table_address, memory_address, task, is_first, is_last, scratch):
    """Add the products of a tile to the sums of a task."""
    table, memory = arrays(table_address, memory_address)
    rank, window, y = table[t.RANK], scratch + table[t.WINDOW_AT], scratch + table[t.Y_AT]
    number, item = task % table[Y + t.GROUPS], table[t.ITEM]
    rows_bytes = table[t.ROWS] * table[t.SUMS_PITCH] * item
    first_sums = table[t.OUT] + task * table[t.ROW_BLOCKS] * rows_bytes
    group = number // (table[t.FILTER_TASKS] * table[t.PHASE_COUNT])
    phase = table[t.PHASES] + number // table[t.FILTER_TASKS] % table[t.PHASE_COUNT] * (t.PHASE_COLUMNS + rank)
    length = _count_lines(phase, table, memory)
    if is_first != 0 or is_smaller(table, memory):  # zeros of y meet what is left of other tiles
        clear(window, table[t.SCRATCH_BYTES] - table[t.WINDOW_AT])
    call(table[t.GATHER], (table_address, memory_address, 0, group, window))
    call(table[Y + t.GATHER], (table_address, memory_address, Y, number, y))
    start(memory, t.PLACE, rank)
    for _ in range(total(memory, t.LINES, rank)):
        x_line, y_line = window, y
        for a in range(rank):
            at = a * t.AXIS_COLUMNS + t.PITCH
            x_line += memory[t.PLACE * rank + a] * table[table[t.AXES] + at]
            y_line += memory[t.PLACE * rank + a] * table[table[Y + t.AXES] + at]
        for first in range(0, length, PIECE):
            x_piece, y_piece, count = x_line + first * item, y_line + first * item, min(PIECE, length - first)
            for block in range(table[t.TAP_BLOCKS]):  # whose lines of x stay near, while those of all filters pass
                tap = block * table[t.BLOCK_TAPS]
                offsets, sums = table_address + 8 * (table[phase] + tap), first_sums + tap * item
                for row in range(table[t.ROW_BLOCKS]):
                    lines = x_piece, offsets, y_piece + row * table[t.BLOCK_PITCH], table[t.ROW_PITCH]
                    run(table[t.SUM_PRODUCTS], (*lines, sums + row * rows_bytes, table[t.SUMS_PITCH] * item, count))
        advance(memory, t.LINES, t.PLACE, rank)


@njit(**HELPER)
def _turn_outputs(table, memory, scratch):
    """Turn the lines of y to vectors of filters, block by block, and list where outputs read; return their number."""
    rank, item, rows, done = table[t.RANK], table[t.ITEM], table[t.ROWS], 0
    y_pitch, places = table[Y + t.CHANNEL_PITCH], indices_at(scratch + table[t.PLACES_AT])
    length, step = memory[t.OUTPUTS * rank + rank - 1], table[table[t.AXES] + (rank - 1) * t.AXIS_COLUMNS + t.PITCH]
    start(memory, t.PLACE, rank)
    for _ in range(total(memory, t.LINES, rank)):
        x_line, y_line = 0, scratch + table[t.Y_AT]
        for a in range(rank - 1):
            at = a * t.AXIS_COLUMNS + t.PITCH
            x_line += memory[t.PLACE * rank + a] * table[table[t.AXES] + at]
            y_line += memory[t.PLACE * rank + a] * table[table[Y + t.AXES] + at]
        for block in range(table[t.ROW_BLOCKS]):
            there = min(rows, table[Y + t.IN_CHANNELS] - block * rows)
            to = scratch + table[t.TURNED_AT] + block * table[t.BLOCK_PITCH] + done * rows * item
            run(table[t.WRITE_LANES], (y_line + block * rows * y_pitch, y_pitch, to, rows * item, there, length))
        for k in range(length):
            places[done + k] = x_line + k * step
        done += length
        advance(memory, t.LINES, t.PLACE, rank)
    return done


def sum_outputs(table_address, memory_address, task, is_first, is_last, scratch):
    """Add the products of a tile to the sums of a task, output by output, in vectors of filters."""
    table, memory = arrays(table_address, memory_address)
    window, y, turned = scratch + table[t.WINDOW_AT], scratch + table[t.Y_AT], scratch + table[t.TURNED_AT]
    totals, places = scratch + table[t.TOTALS_AT], scratch + table[t.PLACES_AT]
    number, rank, rows, taps = task % table[Y + t.GROUPS], table[t.RANK], table[t.ROWS], table[t.SUMS_PITCH]
    frame, filters = rows * table[t.ITEM], table[Y + t.IN_CHANNELS]
    block_bytes = table[t.BLOCK_TAPS] * frame
    group = number // (table[t.FILTER_TASKS] * table[t.PHASE_COUNT])
    phase = table[t.PHASES] + number // table[t.FILTER_TASKS] % table[t.PHASE_COUNT] * (t.PHASE_COLUMNS + rank)
    if is_first != 0:  # lanes that are no filters hold numbers too
        clear(turned, table[t.SCRATCH_BYTES] - table[t.TURNED_AT])
    _count_lines(phase, table, memory)
    call(table[t.GATHER], (table_address, memory_address, 0, group, window))
    call(table[Y + t.GATHER], (table_address, memory_address, Y, number, y))
    outputs = _turn_outputs(table, memory, scratch)
    for first in range(0, outputs, OUTPUTS_PIECE):
        count = min(OUTPUTS_PIECE, outputs - first)
        for block in range(table[t.ROW_BLOCKS]):  # whose y stays near, while the samples of all taps pass
            some = places + 8 * first, turned + block * table[t.BLOCK_PITCH] + first * frame
            for number in range(table[t.TAP_BLOCKS]):
                offsets = table_address + 8 * (table[phase] + number * table[t.BLOCK_TAPS])
                sums = totals + (block * table[t.TAP_BLOCKS] + number) * block_bytes
                run(table[t.SUM_PRODUCTS], (window, offsets, *some, sums, count))
    for block in range(table[t.ROW_BLOCKS] if is_last != 0 else 0):
        sums, first, item = totals + block * table[t.TAP_BLOCKS] * block_bytes, block * rows, table[t.ITEM]
        to = table[t.OUT] + (task * filters + first) * taps * item
        run(table[t.WRITE_LANES], (sums, frame, to, taps * item, taps, min(rows, filters - first)))


@njit(**HELPER)
def _gather_both(group, table, addresses, window, y):
    """Gather the window of a tile and y at its outputs; return whether transforms can represent them."""
    clear(window, table[t.IN_CHANNELS] * table[t.CHANNEL_PITCH])
    clear(y, table[Y + t.IN_CHANNELS] * table[t.CHANNEL_PITCH])
    call(table[t.GATHER], (*addresses, 0, group, window))
    call(table[Y + t.GATHER], (*addresses, Y, group, y))
    return is_in_range(window, 0, table, addresses[1]) and is_in_range(y, Y, table, addresses[1])


def sum_spectra(table_address, memory_address, task, is_first, is_last, scratch):
    """Add the products of a tile's spectra to those of a task; behind its last tile, write the sums at all taps."""
    table, _ = arrays(table_address, memory_address)
    channels, filters, slab_bytes = table[t.IN_CHANNELS], table[t.GROUP_FILTERS], table[t.SLAB_BYTES]
    window, slabs, spectra = scratch + table[t.WINDOW_AT], scratch + table[t.SLABS_AT], scratch + table[t.SPECTRA_AT]
    y = window + channels * table[t.CHANNEL_PITCH]  # channels of y stand behind those of x
    if is_first != 0:
        clear(slabs, table[t.SCRATCH_BYTES] - table[t.SLABS_AT])
    if _gather_both(task % table[t.GROUPS], table, (table_address, memory_address), window, y):
        for channel in range(channels + filters):
            transform_dimensions(False, window + channel * table[t.CHANNEL_PITCH], table, slabs)
        spectrum = spectra
        for n in range(table[t.SLABS]):
            for channel in range(channels + filters):
                tile = window + channel * table[t.CHANNEL_PITCH]
                load_slab(slab_address(n, tile, table), n, table, slabs + channel * slab_bytes)
            for pair in range(channels * filters):
                x_slab, y_slab = pair % channels, channels + pair // channels
                arguments = slabs + x_slab * slab_bytes, slabs + y_slab * slab_bytes, spectrum
                run(table[t.MULTIPLY_ADD], (*arguments, table[table[t.LAST_DIMENSION] + t.DIMENSION_LENGTH]))
                spectrum += slab_bytes
    else:
        indices_at(table[t.FLAGS])[task] = 1
    for pair in range(channels * filters if is_last != 0 else 0):
        for n in range(table[t.SLABS]):
            spectrum = spectra + (n * channels * filters + pair) * slab_bytes
            unload_slab(spectrum, n, table, slab_address(n, window, table))
        transform_dimensions(True, window, table, slabs)
        sums = table[t.OUT] + (task * channels * filters + pair) * table[t.SUMS_PITCH] * table[t.ITEM]
        call(table[t.COPY], (window, sums, table[t.SUMS_PITCH], 0, table_address + 8 * table[t.PHASES]))


def sum_gradient(table_address, memory_address, scratch):
    """Run tasks, each the next that no worker has taken: a share of the tiles, and some filters of a group."""
    table, memory = arrays(table_address, memory_address)
    tiles, task = table[t.END_TILE] - table[t.FIRST_TILE], take_next(table[t.NEXT_TASK])
    while task < table[t.TASKS]:
        share = task // table[Y + t.GROUPS]
        first = table[t.FIRST_TILE] + share * tiles // table[t.SHARES]
        end = table[t.FIRST_TILE] + (share + 1) * tiles // table[t.SHARES]
        for tile in range(first, end):
            find_tile(tile, table, memory)
            ends = tile == first, tile + 1 == end
            call(table[t.SUM_TILE], (table_address, memory_address, task, *ends, scratch))
        task = take_next(table[t.NEXT_TASK])
