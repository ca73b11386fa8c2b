"""Winograd's minimal filtering on gathered windows: transforms, products, transforms back, store.

A task is a *box* of outputs, a group, and a part of its output channels. The box is cut into Winograd's tiles of four
by four outputs, whose windows of six by six samples are lanes: one tile beside the other, one row of tiles below the
other, item by item: of a batch, and along axes whose taps are summed as they are. Each of the 36 *planes* of the
transformed windows is a matrix (input channels, lanes); the products are the register tile's, with output channels for
rows, and for taps the *terms*: every input channel, and of it the lanes so many items on that each such tap reads.
"""

import numpy as np
from numba import njit

from .. import tables as t
from ..compile import HELPER
from ..gather import arrays, find_tile, is_in_range
from ..index import advance, start, total
from ..intrinsics.memory import call, clear, indices_at, run, take_next, words_at
from ..intrinsics.minimal import FLOAT, OUTPUTS, PLANES, TAPS

_INFINITY = 0x7F800000  # bits


@njit(**HELPER)
def _pieces(count, size):
    """Return how many times ``size`` covers ``count``."""
    return -(-count // size)


@njit(**HELPER)
def _tiles_along(table, memory):
    """Return the rows of Winograd's tiles of a box, and the tiles of a row."""
    rank = table[t.RANK]
    across = _pieces(memory[t.OUTPUTS * rank + rank - 1], table[t.WIDTH])
    if table[t.FOLDS] > 1:
        return 1, across
    return _pieces(memory[t.OUTPUTS * rank + table[t.DOWN]], table[t.HEIGHT]), across


@njit(**HELPER)
def _count_items(more, row, table, memory):
    """Write how many items a box has along each axis: of outputs, or of windows where their ``more`` lines count."""
    rank = table[t.RANK]
    for a in range(rank):
        axis, count = table[t.AXES] + a * t.AXIS_COLUMNS, 1
        if a != table[t.DOWN] and a != rank - 1:
            count = memory[t.OUTPUTS * rank + a]
            if more:
                count = min(table[axis + t.WINDOW], count + table[axis + t.REACH])
        memory[row * rank + a] = count


@njit(**HELPER)
def _lanes_before(row, table, memory, less):
    """Return the bytes of lanes before an item of a window, by its multi-index less a number."""
    rank, index = table[t.RANK], 0
    for a in range(rank - 1):
        if a != table[t.DOWN]:
            axis = table[t.AXES] + a * t.AXIS_COLUMNS
            index = index * table[axis + t.WINDOW] + memory[row * rank + a] - less
    return index * table[t.ITEM_ROW]


@njit(**HELPER)
def _transform_windows(table, memory, scratch):
    """Transform the gathered windows of all channels into planes."""
    rank, folds = table[t.RANK], table[t.FOLDS]
    down, across = _tiles_along(table, memory)
    _count_items(True, t.STARTS, table, memory)
    between, plane = scratch + table[t.BETWEEN_AT], table[t.BETWEEN_PLANE]
    for channel in range(table[t.IN_CHANNELS]):
        window = scratch + table[t.WINDOW_AT] + channel * table[t.CHANNEL_PITCH]
        start(memory, t.PLACE, rank)
        for _ in range(total(memory, t.STARTS, rank)):
            target = scratch + table[t.PLANES_AT] + channel * table[t.CHANNEL_ROW]
            target += _lanes_before(t.PLACE, table, memory, 0)
            first = window
            for a in range(rank):
                first += memory[t.PLACE * rank + a] * table[table[t.AXES] + a * t.AXIS_COLUMNS + t.PITCH]
            for line in range(table[t.HEIGHT] * down + TAPS - 1):
                to = between + line % OUTPUTS * plane + line // OUTPUTS * across * FLOAT
                source = first + line * table[t.LINE_PITCH]
                if folds > 1 and line >= folds:
                    source += FLOAT - folds * table[t.LINE_PITCH]
                run(table[t.TRANSFORM_LINE], (source, to, OUTPUTS * plane, _pieces(across, table[t.LANES])))
            count = _pieces(down * across, table[t.LANES])
            run(table[t.TRANSFORM_TILES], (between, plane, across * FLOAT, target, table[t.WINDOWS_PLANE], count))
            advance(memory, t.STARTS, t.PLACE, rank)


@njit(**HELPER)
def _sum_products(first_weights, blocks, lanes, table, scratch):
    """Sum the products of all planes over the terms, for some blocks of output channels."""
    rows = table[t.ROWS]
    for plane in range(table[t.PLANES_OF_TILE]):
        source = scratch + table[t.PLANES_AT] + plane * table[t.WINDOWS_PLANE]
        for block in range(blocks):
            weights = first_weights + (block * PLANES + plane) * table[t.WEIGHTS_PLANE]
            target = scratch + table[t.SUMS_AT] + plane * table[t.SUMS_PLANE] + block * rows * table[t.SUMS_ROW]
            run(
                table[t.TILE_FUNCTION],
                (
                    source, table[t.TERM_OFFSETS], weights, table[t.BOUNDS], table[t.PARTS], target,
                    table[t.SUMS_ROW], _pieces(lanes, table[t.BLOCK]), 0, 0, 0,
                ),
            )  # fmt: skip


@njit(**HELPER)
def _store_outputs(channel, count, target, table, memory, results):
    """Write the lines of outputs that exist, of one channel or of so many neighbours."""
    rank = table[t.RANK]
    _, across = _tiles_along(table, memory)
    down_axis = table[t.AXES] + table[t.DOWN] * t.AXIS_COLUMNS
    length = memory[t.OUTPUTS * rank + rank - 1]
    start(memory, t.PLACE, rank)
    for _ in range(total(memory, t.LINES, rank)):
        first = target + table[table[t.OUT_CHANNELS] + channel]
        for a in range(rank):
            first += memory[t.PLACE * rank + a] * table[table[t.AXES] + a * t.AXIS_COLUMNS + t.OUT_STEP]
        lanes = _lanes_before(t.PLACE, table, memory, 0)
        for line in range(memory[t.OUTPUTS * rank + table[t.DOWN]] if table[t.FOLDS] == 1 else 1):
            read = results + line % OUTPUTS * table[t.RESULTS_PLANE]
            read += table[t.WIDTH] * (lanes + line // OUTPUTS * across * FLOAT)
            step = table[table[t.AXES] + (rank - 1) * t.AXIS_COLUMNS + t.OUT_STEP]
            write = first + line * table[down_axis + t.OUT_STEP]
            if table[t.STORED_TOGETHER] > 1:
                run(table[t.WRITE_LANES], (read, OUTPUTS * table[t.RESULTS_PLANE], write, step, count, length))
            else:
                call(table[t.WRITE], (read, write, length, step, 0))
        advance(memory, t.LINES, t.PLACE, rank)


@njit(**HELPER)
def _weights_before(block, table):
    """Return the bytes of transformed filters before a block."""
    return block * PLANES * table[t.WEIGHTS_PLANE]


@njit(**HELPER)
def _transform_block(group, first, row, taps, weights, table, scratch):
    """Transform as many filters as there are lanes, the ``first`` one to a row of transformed filters."""
    lanes, rows = table[t.LANES], table[t.ROWS]
    transposed, line, size = scratch + table[t.BETWEEN_AT], lanes * FLOAT, table[t.TAPS_BYTES]
    source = taps + (group * table[t.FILTER_BLOCKS] * lanes + first) * size
    target = weights + _weights_before(row // rows, table) + row % rows * FLOAT
    for term in range(0, table[t.TERMS], lanes):
        terms = min(lanes, table[t.TERMS] - term)
        blocks = _pieces(terms * TAPS * TAPS, lanes)
        arguments = (source + term * TAPS * TAPS * FLOAT, size, line, transposed, line, lanes * line, blocks)
        run(table[t.TRANSPOSE], arguments)
        to, plane = target + term * rows * FLOAT, table[t.WEIGHTS_PLANE]
        run(table[t.TRANSFORM_FILTERS], (transposed, to, plane, PLANES * plane, terms))


@njit(**HELPER)
def _convolve_box(group, part, table, memory, scratch):
    """Turn the gathered windows of a box into the outputs of a part of a group's channels."""
    rank, rows, filters = table[t.RANK], table[t.ROWS], table[t.GROUP_FILTERS]
    _transform_windows(table, memory, scratch)
    _count_items(False, t.LINES, table, memory)
    down, across = _tiles_along(table, memory)
    lanes = _lanes_before(t.LINES, table, memory, 1) // FLOAT + down * across
    target, results = table[t.OUT], scratch + table[t.RESULTS_AT]
    for a in range(rank):
        target += memory[t.ORIGIN * rank + a] * table[table[t.AXES] + a * t.AXIS_COLUMNS + t.OUT_STEP]
    begin, end = part * table[t.TASK_BLOCKS], min(_pieces(filters, rows), (part + 1) * table[t.TASK_BLOCKS])
    for first in range(begin, end, table[t.BLOCKS_AT_ONCE]):
        blocks = min(table[t.BLOCKS_AT_ONCE], end - first)
        weights = table[t.WEIGHTS] + _weights_before(group * table[t.BLOCKS] + first, table)
        if table[t.FILTERS_AT] != 0:
            weights = scratch + table[t.FILTERS_AT]
            for begin in range(0, blocks * rows, table[t.LANES]):
                _transform_block(group, first * rows + begin, begin, table[t.WEIGHTS], weights, table, scratch)
        _sum_products(weights, blocks, lanes, table, scratch)
        there, together = min(blocks * rows, filters - first * rows), table[t.STORED_TOGETHER]
        for row in range(0, there, together):
            count, plane = min(together, there - row), table[t.RESULTS_PLANE]
            for own in range(count):
                sums, to = scratch + table[t.SUMS_AT] + (row + own) * table[t.SUMS_ROW], results + own * OUTPUTS * plane
                run(table[t.TRANSFORM_SUMS], (sums, table[t.SUMS_PLANE], to, plane, _pieces(lanes, table[t.LANES])))
            _store_outputs(group * filters + first * rows + row, count, target, table, memory, results)


@njit(**HELPER)
def _is_whole(table, memory):
    """Return whether a box has all the outputs that its window has room for."""
    rank, whole = table[t.RANK], True
    for a in range(rank):
        axis = table[t.AXES] + a * t.AXIS_COLUMNS
        whole &= memory[t.OUTPUTS * rank + a] == table[axis + t.WINDOW] - table[axis + t.REACH]
    return whole


def convolve_by_winograd(table_address, memory_address, scratch):
    """Run tasks until none is left. A box out of range is left alone and flagged."""
    table, memory = arrays(table_address, memory_address)
    window = scratch + table[t.WINDOW_AT]
    clear(scratch + table[t.CLEARED_AT], table[t.CLEARED_BYTES])
    task = take_next(table[t.NEXT_TASK])
    while task < table[t.TASKS]:
        rest = task // table[t.GROUP_TASKS]
        group = rest % table[t.GROUPS]
        find_tile(rest // table[t.GROUPS], table, memory)
        if not _is_whole(table, memory):  # a tile's sums cancel what lies beyond the outputs that exist
            clear(window, table[t.IN_CHANNELS] * table[t.CHANNEL_PITCH])
        call(table[t.GATHER], (table_address, memory_address, 0, group, window))
        if is_in_range(window, 0, table, memory_address):
            _convolve_box(group, task % table[t.GROUP_TASKS], table, memory, scratch)
        else:
            indices_at(table[t.FLAGS])[rest] = 1
        task = take_next(table[t.NEXT_TASK])


@njit(**HELPER)
def _has_subnormal(weights, count):
    """Return whether one of neighbouring weights is a subnormal number."""
    found = False
    for k in range(count):
        found |= 0 < words_at(weights)[k] & np.uint32(0x7FFFFFFF) < 1 << 23
    return found


def transform_filters(table_address, memory_address, scratch):
    """Find what is largest in blocks of filters, each the next that no worker has taken.

    They are transformed where tasks do not. A filter of subnormal weights counts as infinite: products of them take a
    hundred times as long, and direct sums lift them.
    """
    table, _ = arrays(table_address, memory_address)
    lanes, filters, size = table[t.LANES], table[t.GROUP_FILTERS], table[t.TAPS_BYTES]
    task = take_next(table[t.NEXT_TASK])
    while task < table[t.TASKS]:
        group, first = task // table[t.FILTER_BLOCKS], task % table[t.FILTER_BLOCKS] * lanes
        for row in range(first, min(first + lanes, filters)):
            source = table[t.TAPS] + (group * table[t.FILTER_BLOCKS] * lanes + row) * size
            place = table[t.LARGEST_TAPS] + 8 * (group * filters + row)
            call(table[t.LARGEST], (source, place, size // FLOAT))
            if _has_subnormal(source, size // FLOAT):
                indices_at(place)[0] = _INFINITY
        if table[t.FILTERS_AT] == 0:
            row = group * table[t.BLOCKS] * table[t.ROWS] + first
            _transform_block(group, first, row, table[t.TAPS], table[t.WEIGHTS], table, scratch)
        task = take_next(table[t.NEXT_TASK])
