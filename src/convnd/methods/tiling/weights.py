"""Weights in the order in which the register tile reads them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...jit import tables as t
from ...jit.compile import function
from ...jit.intrinsics.transpose import transpose
from ...jit.kernels import pack_blocks
from ...jit.lines import compile_writer
from ...jit.machine import VECTOR_BYTES
from ...jit.parallel import run_tasks
from .taps import Sharing, Taps, filter_blocks

_PACKED_BY_ONE = 2**18  #: weights, up to which one thread packs them sooner than two


def pack(kernel: np.ndarray, tables: Sequence[Taps], sharing: Sharing, workers: int | None) -> np.ndarray:
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


def _picked(kernel: np.ndarray, tables: Sequence[Taps], most: int) -> np.ndarray:
    """Return the weights of every tap and row of filters ``(groups, branches, C_out, C_in * taps)``."""
    kernel = np.concatenate([kernel, np.zeros((*kernel.shape[:3], 1), kernel.dtype)], axis=3)
    if len(tables) == 1:
        return kernel.take(tables[0].source.ravel(), axis=3)
    source = np.full((len(tables), most, tables[0].source.shape[1]), kernel.shape[3] - 1)
    for branch, taps in enumerate(tables):
        source[branch, : len(taps.source)] = taps.source
    return np.take_along_axis(kernel, source.reshape(1, len(tables), 1, -1), axis=3)


def _pack_filters(kernel: np.ndarray, taps: Taps, sharing: Sharing, workers: int | None) -> np.ndarray:
    """Return filters ``(groups, C_out, C_in * taps)`` block by block, as columns."""
    groups, filters, count = kernel.shape
    kernel = np.ascontiguousarray(kernel)
    blocks, item = filter_blocks(filters, sharing), kernel.itemsize
    packed = np.empty((groups, blocks, count, sharing.rows), kernel.dtype)
    if filters % sharing.rows:
        packed[:, -1] = 0  # filters that do not exist
    side = min(sharing.rows & -sharing.rows, VECTOR_BYTES // item)
    native = kernel.dtype.newbyteorder("=")
    turn, writer = transpose.compile(native.name, side), compile_writer(native.name, native.str, False)
    table = np.zeros(t.JOB_COLUMNS, np.int64)
    for column, value in {
        t.X: kernel.ctypes.data, t.OUT: packed.ctypes.data, t.GROUP_FILTERS: filters, t.ROWS: sharing.rows,
        t.BLOCK: count, t.BLOCKS: blocks, t.ITEM: item, t.LANES: side, t.TASKS: groups * blocks,
        t.RUN_TASKS: function(pack_blocks),
        t.TRANSPOSE: turn, t.WRITE: writer, t.SIZE: t.JOB_COLUMNS,
    }.items():  # fmt: skip
        table[column] = value
    run_tasks(table, (groups * blocks,), workers, 1 + packed.size // _PACKED_BY_ONE)
    order = taps.source[:, 0]
    return packed if np.array_equal(order, np.arange(count)) else packed.take(order, axis=2)
