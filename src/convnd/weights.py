"""Weights in the order in which the register tile reads them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numba import carray, types

from .butterfly import compile_transpose
from .machine import as_pointer, call_address, compile_routine, read_index, source_digest, vector_bytes
from .taps import Sharing, TapTable
from .threads import team
from .tiles import run_workers

_PACKED_BY_ONE = 2**16  #: weights, up to which one thread packs them sooner than two


def pack(kernel: np.ndarray, taps: TapTable, sharing: Sharing, workers: int | None) -> np.ndarray:
    """Return the weights as the register tile reads them, ``(groups, blocks, taps, rows)``.

    ``kernel`` is ``(groups, C_out, C_in * taps)``. A block is one filter, or ``rows`` of them where the rows are output
    channels; those that do not exist are zeros.
    """
    groups, filters, count = kernel.shape
    if not sharing.channels:
        with_zero = np.concatenate([kernel, np.zeros((groups, filters, 1), kernel.dtype)], axis=2)
        return np.take(with_zero, taps.source, axis=2)
    order = taps.source[:, 0]
    in_order = np.array_equal(order, np.arange(count))
    kernel = np.ascontiguousarray(kernel if in_order else np.take(kernel, order, axis=2))
    blocks, item = -(-filters // sharing.rows), kernel.itemsize
    packed = np.empty((groups, blocks, count, sharing.rows), kernel.dtype)
    side = min(sharing.rows & -sharing.rows, vector_bytes() // item)
    transpose = compile_transpose(kernel.dtype.name, side)
    job = np.array([
        kernel.ctypes.data, packed.ctypes.data, groups, filters, count, blocks, sharing.rows, side, transpose.address
    ])  # fmt: skip
    with team(workers, 1 + packed.size // _PACKED_BY_ONE) as threads:
        run_workers(threads, _compile_pack(item), job, np.array([threads]))
    return packed


@lru_cache(maxsize=2)
def _compile_pack(size: int) -> Any:
    """Compile the worker that packs its share of the blocks, of elements of so many bytes."""
    digest, bits = source_digest(), np.dtype(f"i{size}")  # unsigned ones and a 0 would make a float

    def pack_blocks(number, job, threads):
        digest  # noqa: B018
        kernel, packed, groups = read_index(job, 0), read_index(job, 1), read_index(job, 2)
        filters, count, blocks, rows = read_index(job, 3), read_index(job, 4), read_index(job, 5), read_index(job, 6)
        side, transpose = read_index(job, 7), read_index(job, 8)
        for block in range(number, groups * blocks, read_index(threads, 0)):
            first = block % blocks * rows
            there = min(rows, filters - first)
            source = kernel + (block // blocks * filters + first) * count * size
            target = packed + block * count * rows * size
            squares = count // side
            for row in range(0, there - side + 1, side):
                call_address(
                    transpose,
                    (
                        source + row * count * size, count * size, side * size,
                        target + row * size, rows * size, side * rows * size, squares,
                    ),
                )  # fmt: skip
            weights = carray(as_pointer(source), there * count, bits)
            ours = carray(as_pointer(target), count * rows, bits)
            for tap in range(count):  # what makes no square
                for row in range(there // side * side if tap < squares * side else 0, rows):
                    ours[tap * rows + row] = weights[row * count + tap] if row < there else 0

    return compile_routine(types.void(types.intp, types.intp, types.intp), pack_blocks)
