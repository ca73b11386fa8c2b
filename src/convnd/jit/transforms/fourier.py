"""Convolution of tiles by their Fourier transforms (overlap-save), on the same gather and store as the direct method.

A window of ``2 M`` real samples along its first transformed axis is *folded* into ``M`` complex ones: the first half is
the tile's real plane, the second half, which follows it in memory, the imaginary plane. With frequencies shifted by a
quarter, ``t = exp(-2 pi i (k - 1/4) / M)``, ``t^M`` is ``i``: the sum of ``(x[n] + i x[n + M]) t^n`` over ``M`` is that
of ``x[n] t^n`` over ``2 M``. Its product with the conjugate of a real kernel's is the transform of the correlation,
negacyclic over ``2 M``, and the way back unfolds it (Crandall and Fagin's right-angle convolution, 1994).

A tile is a dense array of *dimensions*. Each is transformed by passes over lanes (`intrinsics.butterfly`). A *slab* is
the vectors that the lanes of one transform run through: a vector of real parts and one of imaginary parts for each
sample. The lanes are neighbours along the tile's last axis, or rows of it where that axis itself is transformed, last:
its slabs are transposed.

The last transform, the product with the kernel's spectrum and its way back are one visit to each slab. A single long
line is two dimensions of which the second is *twisted*, turned by the twiddles of the whole line in between
(Bailey's four steps); the order of the frequencies does not matter.
"""

from __future__ import annotations

from numba import njit

from .. import tables as t
from ..compile import HELPER
from ..gather import arrays, find_tile, largest_in
from ..intrinsics.memory import call, clear, indices_at, run, take_next
from ..tiles import store


@njit(**HELPER)
def run_steps(dimension, inverse, table, source, target, slab):
    """Transform one slab: from an (address, pitch, plane) to another, in ``slab`` in between."""
    count, read = table[dimension + t.STEP_COUNT], source
    for k in range(count):
        write = target if k == count - 1 else slab
        number = table[dimension + t.FIRST_STEP] + (count - 1 - k if inverse else k)
        step = table[t.STEPS] + number * t.STEP_COLUMNS
        arguments = (*read, *write, table[step + t.STEP_BLOCKS], table[step + t.SPAN], table[step + t.TWIDDLES])
        run(table[step + (t.INVERSE if inverse else t.FORWARD)], arguments)
        read = slab


@njit(**HELPER)
def _is_zero(address, dimension, table):
    """Return whether a slab of a tile holds zeros only: transforms of windows, and more so of kernels, start so."""
    for sample in range(table[dimension + t.DIMENSION_LENGTH]):
        row = address + sample * table[dimension + t.DIMENSION_PITCH]
        bits = 0
        for word in range(table[t.VECTOR] // 8):
            bits |= indices_at(row)[word] | indices_at(row + table[t.PLANE])[word]
        if bits != 0:
            return False
    return True


@njit(**HELPER)
def transform_columns(dimension, inverse, tile, table, slab):
    """Transform every column of a tile along a dimension, in place."""
    vector, pitch = table[t.VECTOR], table[dimension + t.DIMENSION_PITCH]
    between = (slab, 2 * vector, vector)
    for outer in range(table[dimension + t.OUTER]):
        for column in range(table[dimension + t.INNER]):
            address = tile + outer * table[dimension + t.DIMENSION_LENGTH] * pitch + column * vector
            if inverse or not _is_zero(address, dimension, table):
                line = (address, pitch, table[t.PLANE])
                run_steps(dimension, inverse, table, line, line, between)


@njit(**HELPER)
def transform_dimensions(inverse, tile, table, slab):
    """Transform a tile along all dimensions but the last, in place."""
    count = (table[t.LAST_DIMENSION] - table[t.DIMENSIONS]) // t.DIMENSION_COLUMNS
    for d in range(count):
        number = count - 1 - d if inverse else d
        transform_columns(table[t.DIMENSIONS] + number * t.DIMENSION_COLUMNS, inverse, tile, table, slab)


@njit(**HELPER)
def slab_address(number, tile, table):
    """Return where the rows of a slab of the last transform begin in a tile."""
    return tile + number * (table[t.VECTOR] // table[t.ITEM]) * table[t.ROW]


@njit(**HELPER)
def _transpose(source, target, table):
    """Transpose rows of a tile into a slab, or back: between (address, pitch, step, plane)."""
    length = table[table[t.LAST_DIMENSION] + t.DIMENSION_LENGTH]
    blocks = -(-length * table[t.ITEM] // table[t.VECTOR])
    for plane in range(2):
        read, write = source[0] + plane * source[3], target[0] + plane * target[3]
        run(table[t.TRANSPOSE], (read, source[1], source[2], write, target[1], target[2], blocks))


@njit(**HELPER)
def _slab_steps(slab, table):
    """Return a slab's address, and the bytes to its next sample, its next block and its imaginary parts."""
    vector = table[t.VECTOR]
    return slab, 2 * vector, 2 * vector * (vector // table[t.ITEM]), vector


@njit(**HELPER)
def load_slab(address, number, table, slab):
    """Transform a slab of a tile along the last dimension, into ``slab``."""
    vector, last = table[t.VECTOR], table[t.LAST_DIMENSION]
    inside = (slab, 2 * vector, vector)
    _transpose((address, table[t.ROW], vector, table[t.PLANE]), _slab_steps(slab, table), table)
    if table[t.TWIST] != 0:
        twist = table[t.TWIST] + number * table[t.SLAB_BYTES]
        run(table[t.TWIST_BY], (slab, twist, slab, table[last + t.DIMENSION_LENGTH]))
    run_steps(last, False, table, inside, inside, inside)


@njit(**HELPER)
def unload_slab(slab, number, table, address):
    """Undo `load_slab`, times the dimension's length."""
    vector, last = table[t.VECTOR], table[t.LAST_DIMENSION]
    inside = (slab, 2 * vector, vector)
    run_steps(last, True, table, inside, inside, inside)
    if table[t.TWIST] != 0:
        twist = table[t.TWIST] + number * table[t.SLAB_BYTES]
        run(table[t.UNTWIST_BY], (slab, twist, slab, table[last + t.DIMENSION_LENGTH]))
    _transpose(_slab_steps(slab, table), (address, table[t.ROW], vector, table[t.PLANE]), table)


@njit(**HELPER)
def _transform_filter(number, tile, slab, table):
    """Write the spectrum of one filter."""
    clear(tile, 2 * table[t.PLANE])
    weights, runs = table[t.FILTERS] + number * table[t.FILTER_BYTES], table[t.PLACE_RUNS]
    for k in range(table[t.PLACE_COUNT]):
        at, item = runs + 3 * k, table[t.ITEM]
        place, count, first = table[at], table[at + 1], table[at + 2]
        call(table[t.COPY], (weights + first * item, tile + place * item, count, item, 0))
    transform_dimensions(False, tile, table, slab)
    for n in range(table[t.SLABS]):
        target = table[t.WEIGHTS] + number * table[t.SPECTRUM_BYTES] + n * table[t.SLAB_BYTES]
        load_slab(slab_address(n, tile, table), n, table, target)


@njit(**HELPER)
def _convolve_tile(group, tile, slabs, table):
    """Turn the windows of a group's channels, in place, into its output channels."""
    pitch, length = table[t.CHANNEL_PITCH], table[table[t.LAST_DIMENSION] + t.DIMENSION_LENGTH]
    for channel in range(table[t.IN_CHANNELS]):
        transform_dimensions(False, tile + channel * pitch, table, slabs)
    result = slabs + table[t.IN_CHANNELS] * table[t.SLAB_BYTES]
    for n in range(table[t.SLABS]):
        address = slab_address(n, tile, table)
        for channel in range(table[t.IN_CHANNELS]):
            load_slab(address + channel * pitch, n, table, slabs + channel * table[t.SLAB_BYTES])
        for filter_ in range(table[t.GROUP_FILTERS]):
            number = (group * table[t.GROUP_FILTERS] + filter_) * table[t.IN_CHANNELS]
            spectrum = table[t.WEIGHTS] + number * table[t.SPECTRUM_BYTES] + n * table[t.SLAB_BYTES]
            for channel in range(table[t.IN_CHANNELS]):
                multiply = table[t.MULTIPLY if channel == 0 else t.MULTIPLY_ADD]
                own = spectrum + channel * table[t.SPECTRUM_BYTES]
                run(multiply, (slabs + channel * table[t.SLAB_BYTES], own, result, length))
            unload_slab(result, n, table, address + filter_ * pitch)
    for filter_ in range(table[t.GROUP_FILTERS]):
        transform_dimensions(True, tile + filter_ * pitch, table, slabs)


@njit(**HELPER)
def _store_window(group, table, memory, window):
    """Write the outputs of a window, for every output channel of a group."""
    rank = table[t.RANK]
    out = table[t.OUT]
    for a in range(rank):
        memory[t.LINES * rank + a] = memory[t.OUTPUTS * rank + a] if a < rank - 1 else 1
        out += memory[t.ORIGIN * rank + a] * table[table[t.AXES] + a * t.AXIS_COLUMNS + t.OUT_STEP]
    for filter_ in range(table[t.GROUP_FILTERS]):
        channel = group * table[t.GROUP_FILTERS] + filter_
        target = out + table[table[t.OUT_CHANNELS] + channel]
        source = window + filter_ * table[t.CHANNEL_PITCH]
        store(source, 0, target, 0, 1, channel, memory[t.OUTPUTS * rank + rank - 1], 0, table, memory)


def convolve_by_fft(table_address, memory_address, scratch):
    """Run tasks, each a tile and a group, until none is left. A tile out of range is left alone and flagged.

    Samples that are all too small, such as subnormal numbers, are transformed times a power of two, as filters were.
    """
    table, memory = arrays(table_address, memory_address)
    tile, slabs = scratch + table[t.WINDOW_AT], scratch + table[t.SLABS_AT]
    inputs = table[t.WINDOW_AT] + table[t.IN_CHANNELS] * table[t.CHANNEL_PITCH]
    clear(scratch + inputs, table[t.SCRATCH_BYTES] - inputs)
    task = take_next(table[t.NEXT_TASK])
    while task < table[t.TASKS]:
        group = task % table[t.GROUPS]
        find_tile(task // table[t.GROUPS], table, memory)
        clear(tile, table[t.IN_CHANNELS] * table[t.CHANNEL_PITCH])
        call(table[t.GATHER], (table_address, memory_address, 0, group, tile))
        largest = largest_in(tile, 0, table, memory_address)
        power = table[t.FILTER_POWER]
        if 0 < largest < min(table[t.LEAST], table[t.SMALL]):
            size = table[t.IN_CHANNELS] * table[t.CHANNEL_PITCH]
            run(table[t.SCALE], (tile, size, table[t.POWER], memory_address))
            largest = largest_in(tile, 0, table, memory_address)
            power += table[t.POWER]
        if largest == 0 or table[t.LEAST] <= largest <= table[t.MOST]:
            _convolve_tile(group, tile, slabs, table)
            if power > 0:
                size = table[t.GROUP_FILTERS] * table[t.CHANNEL_PITCH]
                run(table[t.SCALE], (tile, size, -power, memory_address))
            _store_window(group, table, memory, tile)
        else:
            indices_at(table[t.FLAGS])[task] = 1
        task = take_next(table[t.NEXT_TASK])


def transform_filters(table_address, memory_address, scratch):
    """Transform filters, each the next that no worker has taken."""
    table, _ = arrays(table_address, memory_address)
    tile, slabs = scratch + table[t.WINDOW_AT], scratch + table[t.SLABS_AT]
    clear(slabs, table[t.SCRATCH_BYTES] - table[t.SLABS_AT])
    number = take_next(table[t.NEXT_TASK])
    while number < table[t.TASKS]:
        _transform_filter(number, tile, slabs, table)
        number = take_next(table[t.NEXT_TASK])
