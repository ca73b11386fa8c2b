"""Weights in the order in which the register tile reads them."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from ...jit import tables as t
from ...jit.compile import function
from ...jit.intrinsics.scaling import scale_of
from ...jit.intrinsics.transpose import transpose
from ...jit.lines import compile_reader, compile_writer
from ...jit.machine import CACHE_LINE, VECTOR_BYTES
from ...jit.packing import SQUARES, pack_block, pack_blocks
from ...jit.parallel import aligned, run_tasks
from ...problem.dtypes import bits
from .layout import round_up
from .taps import Sharing, Taps, filter_blocks

_PACKED_BY_ONE = 2**17  #: weights, up to which one thread packs them sooner than two


def lift_of(factors: Sequence[np.ndarray]) -> int:
    """Return the exponent of the power of two that makes all subnormal weights normal.

    It is 0 where no factor has one, where a weight would become infinite, or where such numbers are as fast as others.
    """
    dtype = factors[0].dtype
    if not scale_of(dtype.type.__name__):  # `name` takes longer
        return 0
    info = np.finfo(dtype)
    has_small = any(((own != 0) & (np.abs(own) < info.tiny)).any() for own in factors)
    exponent = info.nmant + 1
    return exponent if has_small and all(np.abs(own).max() < info.max / 2**exponent for own in factors) else 0


def copies(weights: np.ndarray, exponent: int) -> np.ndarray:
    """Return weights along a new axis, with a copy behind them that is multiplied by 2 to an exponent, if it is not 0.

    The copy is for tiles whose samples are multiplied by powers of two.
    """
    return weights[None] if exponent == 0 else np.stack([weights, np.ldexp(weights, exponent)])


def lifted_by(packed: np.ndarray, factors: int = 1) -> int:
    """Return the exponent of what copies of so many factors' weights multiply results by, 0 where there are none."""
    return factors * (np.finfo(packed.dtype).nmant + 1) if len(packed) > 1 else 0


def pack(kernel: np.ndarray, tables: Sequence[Taps], sharing: Sharing, workers: int | None) -> np.ndarray:
    """Return the weights as the register tile reads them, ``(groups, branches * blocks, taps, rows)``.

    ``kernel`` is ``(groups, branches * C_out, C_in * taps)``, and there is a table for each branch. A block is one
    filter, or ``rows`` of them where the rows are output channels; those that do not exist are zeros, and so are taps
    that another branch has more of.
    """
    filters, most = kernel.shape[1] // len(tables), max(len(taps.source) for taps in tables)
    own = kernel.reshape(len(kernel), len(tables), filters, -1)
    if sharing.channels:
        return packing(kernel, tables, sharing).run(workers)
    return _picked(own, tables, most).reshape(len(kernel), len(tables) * filters, most, sharing.rows)


def _picked(kernel: np.ndarray, tables: Sequence[Taps], most: int) -> np.ndarray:
    """Return the weights of every tap and row of filters ``(groups, branches, C_out, C_in * taps)``."""
    kernel = np.concatenate([kernel, np.zeros((*kernel.shape[:3], 1), kernel.dtype)], axis=3)
    if len(tables) == 1:
        return kernel.take(tables[0].source.ravel(), axis=3)
    source = np.full((len(tables), most, tables[0].source.shape[1]), kernel.shape[3] - 1)
    for branch, taps in enumerate(tables):
        source[branch, : len(taps.source)] = taps.source
    return np.take_along_axis(kernel, source.reshape(1, len(tables), 1, -1), axis=3)


class Packing(NamedTuple):
    """Filters that are to be packed, with the table by which compiled code does it, block by block."""

    kernel: np.ndarray  # (groups, branches * C_out, C_in * taps)
    table: np.ndarray
    shape: tuple[int, ...]  # of the packed filters
    lacks_taps: bool  # whether a branch has fewer taps than others

    def run(self, workers: int | None) -> np.ndarray:
        """Return the packed filters: columns in the order of their taps."""
        packed = aligned(prod(self.shape) * self.kernel.itemsize).view(self.kernel.dtype).reshape(self.shape)
        if self.lacks_taps:
            packed[...] = 0
        self.table[t.OUT] = packed.ctypes.data
        run_tasks(self.table, (int(self.table[t.TASKS]),), workers, 1 + packed.size // _PACKED_BY_ONE)
        return packed

    @property
    def lift(self) -> int:
        """The exponent that `lift_of` the filters is, once all are packed."""
        is_lifted = self.table[t.LIFTED_BY] and not self.table[t.CHECKED]
        return np.finfo(self.kernel.dtype).nmant + 1 if is_lifted else 0


def packing(kernel: np.ndarray, tables: Sequence[Taps], sharing: Sharing) -> Packing:
    """Return how to pack filters ``(groups, branches * C_out, C_in * taps)`` whose rows are output channels."""
    kernel, branches, item = np.ascontiguousarray(kernel), len(tables), kernel.itemsize
    groups, filters, count = kernel.shape
    filters //= branches
    blocks, most = filter_blocks(filters, sharing), max(len(taps.source) for taps in tables)
    side = min(sharing.rows & -sharing.rows, VECTOR_BYTES // item)
    native = kernel.dtype.newbyteorder("=")
    turn = transpose.compile(native.name, side)
    writer, copy = compile_writer(native.name, native.str, False), compile_reader(native.str, native.name)
    order = _places(tables, count)
    table = np.zeros(t.JOB_COLUMNS, np.int64)
    for column, value in {
        t.X: kernel.ctypes.data, t.PHASE_FILTERS: filters, t.ROWS: sharing.rows,
        t.BLOCK: count, t.BLOCKS: branches * blocks, t.PHASE_BLOCKS: blocks, t.ITEM: item, t.LANES: side,
        t.TASKS: groups * branches * blocks, t.RUN_TASKS: function(pack_blocks), t.RUN_LINE: function(pack_block),
        t.TRANSPOSE: turn, t.WRITE: writer, t.READ: copy, t.WEIGHTS_BLOCK: most * sharing.rows * item,
    }.items():  # fmt: skip
        table[column] = value
    if scale_of(native.name):
        info = np.finfo(native)
        table[t.LEAST], table[t.MOST] = (
            bits(info.tiny, native.name),
            bits(info.max / 2 ** (info.nmant + 1), native.name),
        )
    if order is not None:
        table[t.PHASES] = len(table)
        table = np.concatenate([table, order.ravel()])
        table[t.SCRATCH_BYTES] = round_up(SQUARES * side * sharing.rows * item, CACHE_LINE)
    table[t.SIZE] = len(table)
    shape = groups, branches * blocks, most, sharing.rows
    return Packing(kernel, table, shape, min(len(taps.source) for taps in tables) < most)


def _places(tables: Sequence[Taps], count: int) -> np.ndarray | None:
    """Return for each branch where its packed taps have each weight of a filter, or -1; None where all lie in order."""
    natural = np.arange(count)
    sources = [taps.source[:, 0] for taps in tables]
    if all(np.array_equal(source, natural) for source in sources):
        return None
    places = np.full((len(tables), count), -1)
    for own, source in zip(places, sources, strict=True):
        own[source] = natural[: len(source)]
    return places
