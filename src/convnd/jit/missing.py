"""NaN as missing samples: how lines are read where NaN does not count, and normalised by the weights that do.

Normalised convolution (Knutsson and Westin, 1993, "Normalized and differential convolution") is two convolutions: of
the samples with zeros in place of NaN, and of ones in place of valid samples with the weights' magnitudes. The second
is the weight that an output has found, and divides the first.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..problem.request import KEPT, ZEROED
from .machine import CACHE_LINE, FLOATS, I64, POINTER, bytes_of, constant, splat


def read_as(b, value, nans):
    """Return a sample of the working type as it counts."""
    if nans == KEPT:
        return value
    one, zero = constant(value.type, 1), constant(value.type, 0)
    if not isinstance(getattr(value.type, "element", value.type), (ir.FloatType, ir.DoubleType)):
        return value if nans == ZEROED else one
    return b.select(b.fcmp_ordered("ord", value, value), value if nans == ZEROED else one, zero)


@intrinsic(prefer_literal=True)
def normalise_line(typingctx, found, length, target, step, whole, whole_step, working, stored):
    """Multiply a line of the result by the whole weight of a window over the weight found, NaN where that is none.

    ``found`` are neighbouring elements of the literal ``working`` type. At ``whole`` lie the whole weight, and how much
    must be found to count, ``whole_step`` bytes from those of an element to those of the next. The result has the
    literal type ``stored``, floating and in the machine's byte order. Where all weight is found it stays as it is.
    """
    size = np.dtype(working.literal_value).itemsize
    scalar, kept = FLOATS[size], FLOATS[np.dtype(stored.literal_value).itemsize]
    signature = types.void(*[types.intp] * 6, working, stored)

    def codegen(context, b, signature, args):
        found, length, target, step, whole, whole_step = args[:6]

        def normalise(index, lanes):
            vector, vector_kept = (ir.VectorType(t, lanes) if lanes > 1 else t for t in (scalar, kept))

            def load(address, typ):
                return b.load(b.inttoptr(address, POINTER), typ=typ, align=1)

            place = b.add(target, b.mul(index, step))
            weight = load(b.add(found, b.mul(index, ir.Constant(I64, size))), vector)
            first = b.add(whole, b.mul(index, whole_step))
            total, least = load(first, scalar), load(b.add(first, ir.Constant(I64, size)), scalar)
            if lanes > 1:
                total, least = splat(b, vector, total), splat(b, vector, least)
            given = load(place, vector_kept)
            value = given if kept == scalar else b.fpext(given, vector)
            value = b.fmul(value, b.fdiv(total, weight))
            value = value if kept == scalar else b.fptrunc(value, vector_kept)
            value = b.select(b.fcmp_ordered("==", weight, total), given, value)
            value = b.select(b.fcmp_ordered(">", weight, least), value, constant(vector_kept, float("nan")))
            b.store(value, b.inttoptr(place, POINTER), align=1)

        lanes = CACHE_LINE // size
        are_neighbours = b.icmp_signed("==", step, ir.Constant(I64, bytes_of(kept)))
        is_one = b.icmp_signed("==", whole_step, ir.Constant(I64, 0))
        by_vectors = b.sub(length, b.srem(length, ir.Constant(I64, lanes)))
        begin = b.select(b.and_(are_neighbours, is_one), by_vectors, ir.Constant(I64, 0))
        zero, one, many = (ir.Constant(I64, n) for n in (0, 1, lanes))
        with cgutils.for_range_slice(b, zero, begin, many, intp=I64) as (index, _):
            normalise(index, lanes)
        with cgutils.for_range_slice(b, begin, length, one, intp=I64) as (index, _):
            normalise(index, 1)
        return context.get_dummy_value()

    return signature, codegen
