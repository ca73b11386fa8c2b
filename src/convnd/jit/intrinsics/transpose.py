"""The transposition of square blocks of samples in registers, between an array's lines and the lanes of vectors."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from .emit import I64, SCALARS, Emitter, behind, chosen, load, store


@Emitter
def transpose(b, dtype, lanes, /, source, source_pitch, source_step, target, target_pitch, target_step, count):
    """Transpose ``count`` square blocks of ``lanes`` x ``lanes`` samples.

    The pitches are bytes between the rows of a block, the steps those from a block to the next.
    """
    vector, n = ir.VectorType(SCALARS[dtype], lanes), lanes
    with cgutils.for_range(b, count, intp=I64) as block:
        first = behind(b, source, (block.index, source_step))
        rows = [load(b, behind(b, first, (source_pitch, r)), vector) for r in range(n)]
        half = 1
        while half < n:  # exchange the blocks beside the diagonal, of 1, 2, 4, ... rows
            for r in (r for r in range(n) if not r & half):
                x, y = rows[r], rows[r + half]
                rows[r] = chosen(b, x, y, [c if not c & half else c - half + n for c in range(n)])
                rows[r + half] = chosen(b, x, y, [c + half if not c & half else c + n for c in range(n)])
            half *= 2
        first = behind(b, target, (block.index, target_step))
        for r, row in enumerate(rows):
            store(b, row, behind(b, first, (target_pitch, r)))
