"""The transposition of square blocks of samples in registers, between an array's lines and the lanes of vectors."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compile import function
from .emit import I64, POINTER, SCALARS
from .memory import passed


@intrinsic(prefer_literal=True)
def transpose_blocks(
    typingctx, dtype, lanes, source, source_pitch, source_step, target, target_pitch, target_step, count
):
    """Transpose ``count`` square blocks of ``lanes`` x ``lanes`` samples.

    The pitches are bytes between the rows of a block, the steps those from a block to the next.
    """
    scalar = SCALARS[dtype.literal_value]
    signature = types.void(dtype, lanes, *[types.intp] * 7)
    n = lanes.literal_value

    def codegen(context, b, signature, args):
        source, source_pitch, source_step, target, target_pitch, target_step, count = args[2:]
        vector = ir.VectorType(scalar, n)

        def pointer(address, pitch, row):
            return b.inttoptr(b.add(address, b.mul(pitch, ir.Constant(I64, row))), POINTER)

        def shuffled(x, y, lanes):
            return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), n), lanes))

        with cgutils.for_range(b, count, intp=I64) as block:
            first = b.add(source, b.mul(block.index, source_step))
            rows = [b.load(pointer(first, source_pitch, r), typ=vector, align=1) for r in range(n)]
            half = 1
            while half < n:  # exchange the blocks beside the diagonal, of 1, 2, 4, ... rows
                for r in (r for r in range(n) if not r & half):
                    x, y = rows[r], rows[r + half]
                    rows[r] = shuffled(x, y, [c if not c & half else c - half + n for c in range(n)])
                    rows[r + half] = shuffled(x, y, [c + half if not c & half else c + n for c in range(n)])
                half *= 2
            first = b.add(target, b.mul(block.index, target_step))
            for r, row in enumerate(rows):
                b.store(row, pointer(first, target_pitch, r), align=1)
        return context.get_dummy_value()

    return signature, codegen


@lru_cache(maxsize=4)
def compile_transpose(dtype: str, lanes: int) -> Any:
    """Compile the transposition of blocks."""

    def transpose(arguments):
        source, source_pitch, source_step, target, target_pitch, target_step, count = passed(arguments, 7)
        transpose_blocks(dtype, lanes, source, source_pitch, source_step, target, target_pitch, target_step, count)

    return function(transpose)
