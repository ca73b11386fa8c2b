"""Dot products of several lines with several others, by vectors whose lanes sum by themselves."""

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from .emit import (
    I64,
    SCALARS,
    Emitter,
    add,
    behind,
    chosen,
    constant,
    lanes_between,
    load,
    load_lanes,
    multiply_add,
    store_first,
)


@Emitter
def dot_products(b, dtype, lanes, rows, columns, /, x, offsets, y, y_pitch, sums, sums_pitch, length):
    """Add the dot products of ``rows`` lines of y and ``columns`` lines of x, so long, to rows of sums.

    ``offsets`` is the address of the offsets of the lines in x, the pitches are bytes between rows. Nothing is read
    behind the lines' end.
    """
    size, vector = np.dtype(dtype).itemsize, ir.VectorType(SCALARS[dtype], lanes)
    zero, count = constant(vector, 0), ir.Constant(I64, lanes)
    sources = [behind(b, x, load(b, behind(b, offsets, 8 * c), I64, 8)) for c in range(columns)]
    factors = [behind(b, y, (y_pitch, r)) for r in range(rows)]
    acc = [[cgutils.alloca_once_value(b, zero) for _ in range(columns)] for _ in range(rows)]

    def add_products(first, read):
        samples = [read(behind(b, source, (first, size))) for source in sources]
        for row, factor in zip(acc, factors, strict=True):
            other = read(behind(b, factor, (first, size)))
            for own, sample in zip(row, samples, strict=True):
                b.store(multiply_add(b, sample, other, b.load(own, typ=vector)), own)

    blocks = b.sdiv(length, count)
    with cgutils.for_range(b, blocks, intp=I64) as block:
        add_products(b.mul(block.index, count), lambda place: load(b, place, vector))
    first = b.mul(blocks, count)
    with b.if_then(b.icmp_signed("<", first, length)):
        there = lanes_between(b, lanes, ir.Constant(I64, 0), b.sub(length, first))
        add_products(first, lambda place: load_lanes(b, place, there, zero))
    for r, row in enumerate(acc):
        for c in range(0, columns, lanes):
            some = [b.load(own, typ=vector) for own in row[c : c + lanes]]
            there = lanes_between(b, lanes, ir.Constant(I64, 0), ir.Constant(I64, len(some)))
            place = behind(b, sums, (sums_pitch, r), c * size)
            total = add(b, load_lanes(b, place, there, zero), _sums_of_lanes(b, some))
            store_first(b, total, place, ir.Constant(I64, len(some)))


def _sums_of_lanes(b, vectors):
    """Return the sum of each vector's lanes, beside each other: of at most as many vectors as one has lanes."""
    lanes = vectors[0].type.count
    halves = [range(side, 2 * lanes, 2) for side in (0, 1)]
    for _ in range(lanes.bit_length() - 1):
        pairs = [(vectors[n], vectors[min(n + 1, len(vectors) - 1)]) for n in range(0, len(vectors), 2)]
        vectors = [add(b, *(chosen(b, *pair, half) for half in halves)) for pair in pairs]
    return vectors[0]
