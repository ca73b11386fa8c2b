"""Packing filters: blocks of them as columns, in the order in which the register tile reads their taps."""

import numpy as np
from numba import njit

from . import tables as t
from .compile import HELPER
from .gather import arrays
from .intrinsics.memory import call, clear, indices_at, run, take_next, words_at

SQUARES = 8  #: of a row of weights, packed before those of the next rows: lines of the cache are written at once


@njit(**HELPER)
def _note_magnitudes(weights, count, table):
    """Note whether some of so many neighbouring weights are subnormal, and whether some become infinite when lifted."""
    if table[t.ITEM] == 4:
        least, most = np.uint32(0xFFFFFFFF), np.uint32(0)  # of the bits, the least less one: zero is large then
        for k in range(count):
            own = np.uint32(words_at(weights)[k] & np.uint32(0x7FFFFFFF))
            least, most = min(least, np.uint32(own - np.uint32(1))), max(most, own)
        is_small, is_large = np.uint64(least) < np.uint64(table[t.LEAST] - 1), np.int64(most) >= table[t.MOST]
    else:
        lowest, highest = np.uint64(0xFFFFFFFFFFFFFFFF), 0
        for k in range(count):
            bits = indices_at(weights)[k] & 0x7FFFFFFFFFFFFFFF
            lowest, highest = min(lowest, np.uint64(bits - 1)), max(highest, bits)
        is_small, is_large = lowest < np.uint64(table[t.LEAST] - 1), highest >= table[t.MOST]
    if is_small:
        table[t.LIFTED_BY] = 1
    if is_large:
        table[t.CHECKED] = 1


@njit(**HELPER)
def _transpose_taps(source, there, first, count, target, table):
    """Copy so many taps of ``there`` filters, from the ``first`` on, to columns: in squares, and what makes none."""
    rows, taps, item, side = table[t.ROWS], table[t.BLOCK], table[t.ITEM], table[t.LANES]
    squares, squared_rows = count // side, there // side * side
    source += first * item
    for row in range(0, squared_rows, side):
        run(
            table[t.TRANSPOSE],
            (
                source + row * taps * item, taps * item, side * item,
                target + row * item, rows * item, side * rows * item, squares,
            ),
        )  # fmt: skip
    for row in range(there):
        tap = squares * side if row < squared_rows else 0
        if tap < count:
            own, column = source + (row * taps + tap) * item, target + (tap * rows + row) * item
            call(table[t.WRITE], (own, column, count - tap, rows * item, 0))


def pack_block(table_address, block, target, scratch):
    """Pack a block of filters, which the table counts in all groups."""
    table, _ = arrays(table_address, table_address)
    filters, rows, taps, item = table[t.PHASE_FILTERS], table[t.ROWS], table[t.BLOCK], table[t.ITEM]
    row_bytes, chunk = rows * item, SQUARES * table[t.LANES]
    number, first = block // table[t.PHASE_BLOCKS], block % table[t.PHASE_BLOCKS] * rows
    source = table[t.X] + (number * filters + first) * taps * item
    order = table[t.PHASES] + block % table[t.BLOCKS] // table[t.PHASE_BLOCKS] * taps
    there = min(rows, filters - first)
    if there < rows:  # columns of filters that do not exist
        clear(scratch, table[t.SCRATCH_BYTES])
        clear(target, table[t.WEIGHTS_BLOCK])
        if item == 4:
            words_at(target)[table[t.WEIGHTS_BLOCK] // 4 - 1] = 0  # the last word of an odd number
    for begin in range(0, taps, chunk):
        count = min(chunk, taps - begin)
        if table[t.PHASES] == 0:
            _transpose_taps(source, there, begin, count, target + begin * row_bytes, table)
            continue
        _transpose_taps(source, there, begin, count, scratch, table)
        for tap in range(count):
            if table[order + begin + tap] >= 0:
                place = target + table[order + begin + tap] * row_bytes
                call(table[t.READ], (scratch + tap * row_bytes, place, rows, item, 0))
    if table[t.MOST] != 0:
        _note_magnitudes(target, table[t.WEIGHTS_BLOCK] // item, table)


def pack_blocks(table_address, _memory_address, scratch):
    """Pack blocks of filters, each the next that no worker has taken."""
    table, _ = arrays(table_address, table_address)
    block = take_next(table[t.NEXT_TASK])
    while block < table[t.TASKS]:
        target = table[t.OUT] + block * table[t.WEIGHTS_BLOCK]
        call(table[t.RUN_LINE], (table_address, block, target, scratch))
        block = take_next(table[t.NEXT_TASK])
