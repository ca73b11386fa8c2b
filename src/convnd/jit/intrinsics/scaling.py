"""Samples times powers of two, free of what makes subnormal numbers slow, and what says that some were met.

Intel's processors take a hundred times as long for products and fused operations that take a subnormal number or make
one. They note that in the control register. No other processor is asked.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..machine import IS_X86, VECTOR_BYTES
from .emit import I32, I64, POINTER, SCALARS, Emitter, behind, call, constant, load, splat, store

SUBNORMAL, OVERFLOW = 0b010010, 0b001000  #: what was met: subnormal operands or results that lost bits; infinite sums


@intrinsic
def take_exceptions(typingctx):
    """Return what this thread's floating-point instructions have met since the last call; 0 where none can say."""

    def codegen(context, b, signature, args):
        if not IS_X86:
            return ir.Constant(I64, 0)
        place = cgutils.alloca_once(b, I32)
        call(b, "llvm.x86.sse.stmxcsr", ir.VoidType(), b.bitcast(place, POINTER))
        state = b.load(place)
        met = b.and_(state, ir.Constant(I32, SUBNORMAL | OVERFLOW))
        with b.if_then(b.icmp_unsigned("!=", met, ir.Constant(I32, 0)), likely=False):
            b.store(b.xor(state, met), place)
            call(b, "llvm.x86.sse.ldmxcsr", ir.VoidType(), b.bitcast(place, POINTER))
        return b.zext(met, I64)

    return types.int64(), codegen


@Emitter
def scale(b, dtype, lanes, /, samples, size, power, largest):
    """Multiply vectors that cover ``size`` bytes of samples by 2 to a power, in place; the products round half to even.

    NaN and infinity stay. ``largest`` is the address for the bits of the largest magnitude of the other samples. Where
    it has no product, none of them counts.
    """
    info, scalar = np.finfo(dtype), ir.IntType(np.finfo(dtype).bits)
    vector, floats = ir.VectorType(scalar, lanes), ir.VectorType(SCALARS[dtype], lanes)
    sign, least = 1 << info.bits - 1, 1 << info.nmant
    zero, infinity = constant(vector, 0), constant(vector, sign - least)
    most = cgutils.alloca_once_value(b, zero)
    is_lifted = b.icmp_signed(">", power, ir.Constant(I64, 0))
    shift = b.shl(b.select(is_lifted, power, b.neg(power)), ir.Constant(I64, info.nmant))
    shift = splat(b, vector, b.trunc(shift, scalar) if info.bits < 64 else shift)
    unit = b.add(shift, constant(vector, least))  # the last bit of this number weighs as much as the least, lifted
    weight = b.bitcast(unit, floats)

    def lifted(own):
        small = b.bitcast(b.fsub(b.bitcast(b.or_(own, unit), floats), weight), vector)
        return b.select(b.icmp_unsigned("<", own, constant(vector, least)), small, b.add(own, shift))

    def lowered(own):
        small = b.sub(b.bitcast(b.fadd(b.bitcast(own, floats), weight), vector), unit)
        return b.select(b.icmp_unsigned("<", own, unit), small, b.sub(own, shift))

    def scale_all(scaled):
        step = info.bits // 8 * lanes
        with cgutils.for_range(b, b.udiv(behind(b, size, step - 1), ir.Constant(I64, step)), intp=I64) as block:
            place = behind(b, samples, (block.index, step))
            given = load(b, place, vector)
            own = b.and_(given, constant(vector, sign - 1))
            is_finite = b.icmp_unsigned("<", own, infinity)
            so_far, counted = b.load(most), b.select(is_finite, own, zero)
            b.store(b.select(b.icmp_unsigned(">", counted, so_far), counted, so_far), most)
            product = b.or_(scaled(own), b.and_(given, constant(vector, sign)))
            store(b, b.select(is_finite, product, given), place)

    with b.if_else(is_lifted) as (lifts, lowers):
        with lifts:
            scale_all(lifted)
        with lowers:
            scale_all(lowered)
    result = ir.Constant(scalar, 0)
    for lane in range(lanes):
        own = b.extract_element(b.load(most), ir.Constant(I32, lane))
        result = b.select(b.icmp_unsigned(">", own, result), own, result)
    store(b, b.zext(result, I64) if info.bits < 64 else result, largest, 8)


def scale_of(working: str) -> int:
    """Return the C function `scale` for samples of a type, 0 where none is slow."""
    if not IS_X86 or working not in SCALARS or isinstance(SCALARS[working], ir.IntType):
        return 0
    return scale.compile(working, VECTOR_BYTES // np.dtype(working).itemsize)
