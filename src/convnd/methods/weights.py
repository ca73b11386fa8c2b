"""Weights in the order in which the register tile reads them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..jit.butterfly import compile_transpose
from ..jit.expressions import call_address
from ..jit.lines import write_line
from ..jit.machine import compile_routine, read_index, take_next, vector_bytes
from ..jit.threads import run_workers, team_size
from .taps import Sharing, TapTable, filter_blocks

_PACKED_BY_ONE = 2**16  #: weights, up to which one thread packs them sooner than two


def pack(kernel: np.ndarray, tables: Sequence[TapTable], sharing: Sharing, workers: int | None) -> np.ndarray:
    """Return the weights as the register tile reads them, ``(groups, branches * blocks, taps, rows)``.

    ``kernel`` is ``(groups, branches * C_out, C_in * taps)``, and there is a table for each branch. A block is one
    filter, or ``rows`` of them where the rows are output channels; those that do not exist are zeros, and so are taps
    that another branch has more of.
    """
    filters, most = kernel.shape[1] // len(tables), max(len(taps.source) for taps in tables)
    own = kernel.reshape(len(kernel), len(tables), filters, -1)
    shape = (len(kernel), len(tables) * filter_blocks(filters, sharing), most, sharing.rows)
    if not sharing.channels:
        return _picked(own, tables, most).reshape(shape)
    if len(tables) == 1:
        return _pack_filters(own[:, 0], tables[0], sharing, workers)
    packed = np.zeros((len(kernel), len(tables), shape[1] // len(tables), *shape[2:]), kernel.dtype)
    for branch, taps in enumerate(tables):
        packed[:, branch, :, : len(taps.source)] = _pack_filters(own[:, branch], taps, sharing, workers)
    return packed.reshape(shape)


def _picked(kernel: np.ndarray, tables: Sequence[TapTable], most: int) -> np.ndarray:
    """Return the weights of every tap and row of filters ``(groups, branches, C_out, C_in * taps)``."""
    kernel = np.concatenate([kernel, np.zeros((*kernel.shape[:3], 1), kernel.dtype)], axis=3)
    if len(tables) == 1:
        return kernel.take(tables[0].source.ravel(), axis=3)
    source = np.full((len(tables), most, tables[0].source.shape[1]), kernel.shape[3] - 1)
    for branch, taps in enumerate(tables):
        source[branch, : len(taps.source)] = taps.source
    return np.take_along_axis(kernel, source.reshape(1, len(tables), 1, -1), axis=3)


def _pack_filters(kernel: np.ndarray, taps: TapTable, sharing: Sharing, workers: int | None) -> np.ndarray:
    """Return filters ``(groups, C_out, C_in * taps)`` block by block, as columns."""
    groups, filters, count = len(kernel), kernel.shape[1], len(taps.source)
    order = taps.source[:, 0]
    in_order = np.array_equal(order, np.arange(kernel.shape[2]))
    kernel = np.ascontiguousarray(kernel if in_order else np.take(kernel, order, axis=2))
    blocks, item = filter_blocks(filters, sharing), kernel.itemsize
    packed = np.zeros((groups, blocks, count, sharing.rows), kernel.dtype)  # filters that do not exist
    side = min(sharing.rows & -sharing.rows, vector_bytes() // item)
    transpose = compile_transpose(kernel.dtype.name, side)
    job = np.array([
        kernel.ctypes.data, packed.ctypes.data, groups, filters, count, blocks, sharing.rows, side, transpose.address
    ])  # fmt: skip
    next_block = np.zeros(1, np.int64)
    threads = team_size(workers, 1 + packed.size // _PACKED_BY_ONE)
    run_workers(threads, _compile_pack(kernel.dtype.name), job, next_block)
    return packed


@lru_cache(maxsize=4)
def _compile_pack(dtype: str) -> Any:
    """Compile the worker that packs blocks, each the next that no worker has taken."""
    size, stored = np.dtype(dtype).itemsize, np.dtype(dtype).str

    def pack_blocks(number, job, next_block):
        kernel, packed, groups = read_index(job, 0), read_index(job, 1), read_index(job, 2)
        filters, count, blocks, rows = read_index(job, 3), read_index(job, 4), read_index(job, 5), read_index(job, 6)
        side, transpose = read_index(job, 7), read_index(job, 8)
        block = take_next(next_block)
        while block < groups * blocks:
            first = block % blocks * rows
            there = min(rows, filters - first)
            source = kernel + (block // blocks * filters + first) * count * size
            target = packed + block * count * rows * size
            squares, squared_rows = count // side, there // side * side
            for row in range(0, squared_rows, side):
                call_address(
                    transpose,
                    (
                        source + row * count * size, count * size, side * size,
                        target + row * size, rows * size, side * rows * size, squares,
                    ),
                )  # fmt: skip
            for row in range(there):  # what makes no square
                tap = squares * side if row < squared_rows else 0
                line, column = source + (row * count + tap) * size, target + (tap * rows + row) * size
                write_line(line, count - tap, column, rows * size, dtype, stored, 0)
            block = take_next(next_block)

    return compile_routine(pack_blocks)
