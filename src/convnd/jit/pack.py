"""The kernel function that packs the weights of filters: blocks of so many filters, tap by tap, as the columns of a matrix."""

from __future__ import annotations

from numba import njit, prange

from . import tables as t
from .compile import HELPER
from .gather import arrays
from .intrinsics.memory import call, swap, take_next
from .parallel import Kernel


@njit(**HELPER)
def _pack_blocks(table_address):
    """Pack blocks, each the next that no worker has taken."""
    table, _ = arrays(table_address, table_address)
    filters, rows, taps, item = table[t.GROUP_FILTERS], table[t.ROWS], table[t.BLOCK], table[t.ITEM]
    side = table[t.LANES]
    block = take_next(table[t.NEXT_TASK])
    while block < table[t.TASKS]:
        first = block % table[t.BLOCKS] * rows
        there = min(rows, filters - first)
        source = table[t.X] + (block // table[t.BLOCKS] * filters + first) * taps * item
        target = table[t.OUT] + block * taps * rows * item
        squares, squared_rows = taps // side, there // side * side
        for row in range(0, squared_rows, side):
            call(
                table[t.TRANSPOSE],
                (
                    source + row * taps * item, taps * item, side * item,
                    target + row * item, rows * item, side * rows * item, squares,
                ),
            )  # fmt: skip
        for row in range(there):  # what makes no square
            tap = squares * side if row < squared_rows else 0
            own, column = source + (row * taps + tap) * item, target + (tap * rows + row) * item
            call(table[t.WRITE], (own, column, taps - tap, rows * item))
        block = take_next(table[t.NEXT_TASK])


@Kernel
def pack(parallel):
    """Pack: each worker takes the next block of filters."""

    def pack_filters(grid, table):
        if parallel and swap(table[t.BUSY], 1) != 0:
            return False
        for _worker in prange(table[t.WORKERS]):
            _pack_blocks(table[t.ADDRESS])
        if parallel:
            swap(table[t.BUSY], 0)
        return True

    return pack_filters
