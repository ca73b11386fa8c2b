"""Gradients by the kernel: for every weight, the sum of the products ``y[o] * x[i]`` of what it joins.

The window of a tile is gathered as if its outputs were to be computed, and y at these outputs beside it. Small kernels
take dot products of lines of both. The lines of a plane may run as one: y is gathered to the places of the window where
its outputs begin to read, amid zeros. Large kernels take the FFT method's tiles: the spectrum of the window times the
conjugate of that of y is the spectrum of their correlation, and the tiles of a task share one transform back.
"""

from functools import lru_cache

import numpy as np
from numba import njit

from . import tables as t
from .compile import HELPER, function
from .gather import arrays, clear, find_tile, is_in_range
from .index import advance, start, total
from .intrinsics.memory import call, indices_at, numbers_on_stack, read_sample, run, take_next
from .kernels import is_smaller
from .lines import pointer_to
from .transforms.fourier import load_slab, slab_address, transform_dimensions, unload_slab

Y = t.GRADIENT_COLUMNS  # the job of y


@lru_cache(maxsize=64)
def compile_products(working: str, rows: int, columns: int) -> int:
    """Compile dot products along a line: of ``rows`` lines of y with ``columns`` taps of x.

    The function takes the addresses of the line in x, in y and of the sums that it adds to, of the taps' offsets, of
    `tables.ROW_PITCH` and what follows, and the length. LLVM unrolls the loops over rows and columns.
    """
    kind = np.dtype(working).type
    size, count, zero = np.dtype(working).itemsize, rows * columns, kind(0)
    pointer = pointer_to(np.dtype(working))

    def sum_products(x, y, sums, offsets, pitches, length):
        row_pitch = indices_at(pitches)[0]
        line = numbers_on_stack(sums, count)
        for n in range(count):
            line[n] = zero
        for k in range(length):
            for r in range(rows):
                factor = read_sample(y, r * row_pitch + size * k, 0)
                for c in range(columns):
                    line[r * columns + c] += read_sample(x, indices_at(offsets)[c] + size * k, 0) * factor
        for r in range(rows):
            for c in range(columns):
                sums[r * indices_at(pitches)[1] + c] += line[r * columns + c]

    return function(sum_products, pointer, pointer, pointer, fastmath=frozenset({"reassoc", "contract"}))


@lru_cache(maxsize=2)
def compile_addition(working: str) -> int:
    """Compile the addition of samples, each so many bytes behind an address, to neighbouring sums."""
    pointer = pointer_to(np.dtype(working))

    def add(source, sums, count, offsets):
        for k in range(count):
            sums[k] += read_sample(source, indices_at(offsets)[k], 0)

    return function(add, pointer, pointer)


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
    number, sums_row = task % table[Y + t.GROUPS], table[t.ROWS] * table[t.SUMS_PITCH] * table[t.ITEM]
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
        for row in range(table[t.ROW_BLOCKS]):
            sums = table[t.OUT] + (task * table[t.ROW_BLOCKS] + row) * sums_row
            for block in range(table[t.TAP_BLOCKS]):
                tap = block * table[t.BLOCK_TAPS]
                offsets, pitches = table_address + 8 * (table[phase] + tap), table_address + 8 * t.ROW_PITCH
                rows = y_line + row * table[t.BLOCK_PITCH]
                call(table[t.SUM_PRODUCTS], (x_line, rows, sums + tap * table[t.ITEM], offsets, pitches, length))
        advance(memory, t.LINES, t.PLACE, rank)


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
        call(table[t.ADD_TAPS], (window, sums, table[t.SUMS_PITCH], table_address + 8 * table[t.PHASES]))


def sum_gradient(table_address, memory_address, scratch):
    """Run tasks, each the next that no worker has taken: neighbouring tiles, and some filters of a group."""
    table, memory = arrays(table_address, memory_address)
    task = take_next(table[t.NEXT_TASK])
    while task < table[t.TASKS]:
        first = table[t.FIRST_TILE] + task // table[Y + t.GROUPS] * table[t.TASK_TILES]
        end = min(table[t.END_TILE], first + table[t.TASK_TILES])
        for tile in range(first, end):
            find_tile(tile, table, memory)
            ends = tile == first, tile + 1 == end
            call(table[t.SUM_TILE], (table_address, memory_address, task, *ends, scratch))
        task = take_next(table[t.NEXT_TASK])
