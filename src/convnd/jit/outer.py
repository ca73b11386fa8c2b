"""The outer tile, the routine of kernel gradients.

Where the register tile multiplies vectors of samples by weights, the outer tile multiplies vectors by vectors: it sums
``rows x columns`` products of two arrays along lines of neighbouring outputs::

    for each line
        for each vector of outputs, the last cut to what exists
            load y at offset[r] for every row r
            for each column c
                load x at offset[c]
                for every row r:  sum[r, c] += x * y[r]
    total[r, c] += the lanes of sum[r, c]
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .machine import (
    I64,
    POINTER,
    SCALARS,
    call,
    compile_routine,
    declare,
    splat,
    suffix,
)


@dataclass(frozen=True)
class OuterTile:
    """The shape of an outer tile: what one compiled routine computes.

    Parameters
    ----------
    dtype : str
        Working type, "float32", "float64" or "int64".
    rows, columns, lanes : int
        Accumulators: ``rows`` x ``columns`` vectors of ``lanes`` elements.
    """

    dtype: str
    rows: int
    columns: int
    lanes: int


@intrinsic(prefer_literal=True)
def run_outer_tile(typingctx, shape, x_offsets, y_offsets, lines, line_count, length, totals, row_bytes):
    """Run the outer tile of the literal `OuterTile` text ``shape`` over lines of ``length`` outputs.

    The others are addresses: ``x_offsets`` and ``y_offsets`` of bytes from a line's first samples to those of each
    column and row, ``lines`` of the addresses of these samples in x and y, ``totals`` of (rows, columns) sums, rows
    ``row_bytes`` apart.
    """
    tile = OuterTile(**json.loads(shape.literal_value))
    signature = types.void(shape, *[types.intp] * 7)

    def codegen(context, builder, signature, args):
        _emit_outer_tile(builder, tile, *args[1:])
        return context.get_dummy_value()

    return signature, codegen


def _emit_outer_tile(b, tile, x_offsets, y_offsets, lines, line_count, length, totals, row_bytes):
    size, scalar = np.dtype(tile.dtype).itemsize, SCALARS[tile.dtype]
    vector, mask = ir.VectorType(scalar, tile.lanes), ir.VectorType(ir.IntType(1), tile.lanes)
    zero = ir.Constant(vector, [0 if tile.dtype == "int64" else 0.0] * tile.lanes)
    is_whole = tile.dtype == "int64"

    def index(table, position):
        return b.load(b.inttoptr(b.add(table, b.mul(position, I64(8))), POINTER), typ=I64, align=8)

    def multiply_add(a, w, total):
        return b.add(b.mul(a, w), total) if is_whole else call(b, f"llvm.fmuladd.{suffix(vector)}", vector, a, w, total)

    def load(address, exists):
        pointer = b.inttoptr(address, POINTER)
        if exists is None:
            return b.load(pointer, typ=vector, align=1)
        arguments = [pointer, ir.Constant(ir.IntType(32), 1), exists, zero]
        name = f"llvm.masked.load.{suffix(vector)}.p0"
        return b.call(declare(b, name, vector, [argument.type for argument in arguments]), arguments)

    sums = [[cgutils.alloca_once(b, vector) for _ in range(tile.columns)] for _ in range(tile.rows)]
    for accumulator in (s for row in sums for s in row):
        b.store(zero, accumulator)
    columns = [index(x_offsets, I64(c)) for c in range(tile.columns)]
    rows = [index(y_offsets, I64(r)) for r in range(tile.rows)]

    def multiply(x, y, exists):
        loaded = [load(b.add(y, offset), exists) for offset in rows]
        for c, offset in enumerate(columns):
            sample = load(b.add(x, offset), exists)
            for r, value in enumerate(loaded):
                b.store(multiply_add(sample, value, b.load(sums[r][c], typ=vector)), sums[r][c])

    vectors, rest = b.udiv(length, I64(tile.lanes)), b.urem(length, I64(tile.lanes))
    lane = ir.Constant(ir.VectorType(I64, tile.lanes), list(range(tile.lanes)))
    exists = b.icmp_unsigned("<", lane, splat(b, lane.type, rest))
    assert exists.type == mask
    with cgutils.for_range(b, line_count, intp=I64) as line:
        x, y = (index(lines, b.add(b.mul(line.index, I64(2)), I64(side))) for side in (0, 1))
        with cgutils.for_range(b, vectors, intp=I64) as block:
            start = b.mul(block.index, I64(tile.lanes * size))
            multiply(b.add(x, start), b.add(y, start), None)
        with b.if_then(b.icmp_unsigned(">", rest, I64(0))):
            start = b.mul(vectors, I64(tile.lanes * size))
            multiply(b.add(x, start), b.add(y, start), exists)
    add = b.add if is_whole else b.fadd
    for r in range(tile.rows):
        for c in range(tile.columns):
            place = b.add(b.mul(row_bytes, I64(r)), I64(c * size))
            pointer = b.inttoptr(b.add(totals, place), POINTER)
            total = _sum_of_lanes(b, b.load(sums[r][c], typ=vector), add)
            b.store(add(b.load(pointer, typ=scalar, align=size), total), pointer, align=size)


def _sum_of_lanes(b, value, add):
    """Return the sum of a vector's lanes, half by half."""
    while value.type.count > 1:
        half = value.type.count // 2
        halves = [
            b.shuffle_vector(value, value, ir.Constant(ir.VectorType(ir.IntType(32), half), list(places)))
            for places in (range(half), range(half, 2 * half))
        ]
        value = add(*halves)
    return b.extract_element(value, ir.Constant(ir.IntType(32), 0))


@lru_cache(maxsize=256)
def compile_outer_tile(tile: OuterTile) -> Any:
    """Compile the outer tile of one shape."""
    shape = json.dumps(asdict(tile))

    def routine(x_offsets, y_offsets, lines, line_count, length, totals, row_bytes):
        run_outer_tile(shape, x_offsets, y_offsets, lines, line_count, length, totals, row_bytes)

    return compile_routine(routine)
