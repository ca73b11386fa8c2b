"""Outer products of samples and vectors, summed over many places: what a matrix product is made of."""

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from .emit import I64, SCALARS, Emitter, add, behind, constant, in_order, load, multiply_add, splat, store


@Emitter
def outer_products(b, dtype, lanes, rows, vectors, /, x, offsets, places, y, sums, count):
    """Add to ``rows`` rows of sums, of so many vectors, what ``count`` places contribute.

    Each adds, row by row, a sample of x times the same vectors of y, which follow those of the place before. Of the
    sample ``places`` has the offset of the place and ``offsets`` that of the row.
    """
    size, vector = np.dtype(dtype).itemsize, ir.VectorType(SCALARS[dtype], lanes)
    row_bytes = vectors * lanes * size
    sources = [behind(b, x, load(b, behind(b, offsets, 8 * r), I64, 8)) for r in range(rows)]
    acc = [[cgutils.alloca_once_value(b, constant(vector, 0)) for _ in range(vectors)] for _ in range(rows)]
    with cgutils.for_range(b, count, intp=I64) as loop:
        place, line = load(b, behind(b, places, (loop.index, 8)), I64, 8), behind(b, y, (loop.index, row_bytes))
        loaded = [load(b, behind(b, line, v * lanes * size), vector) for v in range(vectors)]
        for row, source in zip(acc, sources, strict=True):
            sample = splat(b, vector, load(b, behind(b, source, place), SCALARS[dtype]))
            for own, factors in zip(row, loaded, strict=True):
                total = multiply_add(b, sample, factors, b.load(own, typ=vector))
                b.store(in_order(b, total), own)
    for r, row in enumerate(acc):
        for v, own in enumerate(row):
            place = behind(b, sums, r * row_bytes + v * lanes * size)
            store(b, add(b, load(b, place, vector), b.load(own, typ=vector)), place)
