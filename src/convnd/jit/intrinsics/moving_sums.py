"""Moving sums: of so many neighbours along an axis, in three additions, however many they are.

The positions of an axis are cut into blocks of as many as are summed. A window of neighbours ends one block and begins
the next, so that its sum is one of the block's ends and one of the next block's beginnings (van Herk, 1992, and Gil and
Werman, 1993, do so for the largest sample). Nothing is subtracted: errors are as small as those of plain sums, and NaN
and infinity stay in their windows.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from .emit import I64, SCALARS, Emitter, add, behind, constant, load, multiply, splat, store


@Emitter
def moving_sums(
    b, dtype, lanes, vectors, /, source, source_step, target, target_step, count, left, taps, blocks, weight, ends
):
    """Sum ``taps`` neighbours for each of ``count`` lines of outputs whose windows begin in one block.

    ``left`` lines of the source are left in that block. Lines are ``blocks`` times so many vectors long, the steps
    the bytes between neighbouring ones. ``weight`` is the address of the sums' factor, ``ends`` that of a line of
    vectors for each tap. The sums may take the place of the source.
    """
    size = np.dtype(dtype).itemsize * lanes
    vector = ir.VectorType(SCALARS[dtype], lanes)
    total = [cgutils.alloca_once(b, vector) for _ in range(vectors)]
    factor = splat(b, vector, load(b, weight, SCALARS[dtype]))
    one, last = ir.Constant(I64, 1), b.sub(taps, ir.Constant(I64, 1))

    def clear():
        for own in total:
            b.store(constant(vector, 0), own)

    def add_line(first, line):
        for v, own in enumerate(total):
            sample = load(b, behind(b, first, (source_step, line), v * size), vector)
            b.store(add(b, b.load(own, typ=vector), sample), own)

    def finish(write, line):
        for v, own in enumerate(total):
            end = load(b, behind(b, ends, (line, vectors * size), v * size), vector)
            both = multiply(b, add(b, end, b.load(own, typ=vector)), factor)
            store(b, both, behind(b, write, (target_step, line), v * size))

    with cgutils.for_range(b, blocks, intp=I64) as block:
        first, write = (behind(b, own, (block.index, vectors * size)) for own in (source, target))
        clear()
        with cgutils.for_range(b, left, intp=I64) as back:
            line = b.sub(b.sub(left, back.index), one)
            add_line(first, line)
            for v, own in enumerate(total):
                store(b, b.load(own, typ=vector), behind(b, ends, (line, vectors * size), v * size))
        clear()
        with cgutils.for_range_slice(b, left, taps, one, intp=I64) as (line, _):
            add_line(first, line)
        finish(write, ir.Constant(I64, 0))
        with cgutils.for_range_slice(b, one, count, one, intp=I64) as (line, _):
            add_line(first, b.add(line, last))
            finish(write, line)
