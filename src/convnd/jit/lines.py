"""Lines of samples from and to memory: any type, any byte order, by vectors where elements are neighbours."""

from __future__ import annotations

from functools import partial

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .machine import (
    CACHE_LINE,
    FLOATS,
    I64,
    POINTER,
    SCALARS,
    bytes_of,
    call,
    constant,
    converts_half,
    like,
    prefetch,
    suffix,
)  # fmt: skip
from .missing import read_as


@intrinsic(prefer_literal=True)
def read_line(typingctx, source, step, length, target, ahead, stored, working, nans):
    """Copy a line of the literal dtype text ``stored`` to neighbouring elements of the literal ``working`` type.

    Any byte order, any alignment; float16 too. ``step`` is the bytes from an element to the next in memory, ``ahead``
    those to the line that memory is asked for meanwhile; the literal ``nans`` is how NaN is read (`missing.py`).
    """
    dtype, target_type = np.dtype(stored.literal_value), np.dtype(working.literal_value)
    signature = types.void(*[types.intp] * 5, stored, working, nans)

    def codegen(context, b, signature, args):
        source, step, length, target, ahead = args[:5]

        def convert(raw):
            return read_as(b, _to_working(b, _swapped(b, raw, dtype), dtype, target_type), nans.literal_value)

        _emit_line(b, length, (source, step, _raw(dtype)), (target, None, SCALARS[target_type.name]), convert, ahead)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def write_line(typingctx, source, length, target, step, working, stored, whole):
    """Copy neighbouring elements of the literal ``working`` type to a line of the literal dtype text ``stored``.

    Integer types round half to even and saturate, NaN becomes 0; bool counts as an integer from 0 to 1. Elements that
    the literal ``whole`` says are whole numbers but for rounding are rounded to them first.
    """
    source_type, dtype = np.dtype(working.literal_value), np.dtype(stored.literal_value)
    signature = types.void(*[types.intp] * 4, working, stored, whole)

    def codegen(context, b, signature, args):
        source, length, target, step = args[:4]
        to = _to_float if dtype.kind == "f" else _to_integer

        def convert(value):
            if whole.literal_value:
                value = call(b, f"llvm.rint.{suffix(value.type)}", value.type, value)
            result = to(b, value, source_type, dtype)
            return _swapped(b, b.bitcast(result, like(result, _raw(dtype))), dtype)

        _emit_line(b, length, (source, None, SCALARS[source_type.name]), (target, step, _raw(dtype)), convert)
        return context.get_dummy_value()

    return signature, codegen


def _emit_line(b, length, source, target, convert, ahead=None):
    """Emit the conversion of a line, by vectors where its elements are neighbours on both sides.

    ``source`` and ``target`` are an address, the bytes from an element to the next (None for neighbours) and an LLVM
    type.
    """
    sides = (source, target)
    sizes = [bytes_of(scalar) for _, _, scalar in sides]
    steps = [ir.Constant(I64, size) if step is None else step for (_, step, _), size in zip(sides, sizes)]
    near = ir.Constant(ir.IntType(1), 1)
    for step, size in zip(steps, sizes):
        near = b.and_(near, b.icmp_signed("==", step, ir.Constant(I64, size)))

    def address(side, index):
        return b.add(sides[side][0], b.mul(index, steps[side]))

    def elements(address, count):
        typ = ir.VectorType(source[2], count) if count > 1 else source[2]
        return b.load(b.inttoptr(address, POINTER), typ=typ, align=1)

    def neighbours(index, count):
        return elements(address(0, index), count)

    def every(step, index, count):
        # The last vector ends at the last element that is taken: memory may end there.
        starts = [min(n * count, (step - 1) * (count - 1)) for n in range(step)]
        result = None
        for n, start in enumerate(starts):
            part = elements(b.add(address(0, index), ir.Constant(I64, start * sizes[0])), count)
            lanes = [count + step * k - start if step * k // count == n else k for k in range(count)]
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), count), lanes)
            result = part if result is None else result
            result = b.shuffle_vector(result, part, lanes)
        return result

    done = ir.Constant(I64, 0)

    def copy(read, count, possible):
        """Copy ``count`` elements at a time, where that is possible; the last ones overlap those before them."""
        nonlocal done
        possible = b.and_(possible, b.icmp_signed(">=", length, ir.Constant(I64, count)))
        whole = b.sub(length, b.srem(length, ir.Constant(I64, count)))
        end = b.select(possible, whole, done)
        with cgutils.for_range_slice(b, done, end, ir.Constant(I64, count), intp=I64) as (index, _):
            if ahead is not None and count > 4:
                prefetch(b, b.add(address(0, index), ahead))
            b.store(convert(read(index, count)), b.inttoptr(address(1, index), POINTER), align=1)
        with b.if_then(b.and_(possible, b.icmp_signed("<", whole, length))):
            last = b.sub(length, ir.Constant(I64, count))
            b.store(convert(read(last, count)), b.inttoptr(address(1, last), POINTER), align=1)
        done = b.select(possible, length, done)

    if target[1] is None:
        for step in (2, 3):
            is_step = b.icmp_signed("==", steps[0], ir.Constant(I64, step * sizes[0]))
            copy(partial(every, step), CACHE_LINE // sizes[0], is_step)
    copy(neighbours, CACHE_LINE // min(sizes), near)
    copy(neighbours, 4, near)
    copy(neighbours, 1, ir.Constant(ir.IntType(1), 1))


def _raw(dtype):
    """Return the whole number that holds an element as it lies in memory."""
    return ir.IntType(8 * dtype.itemsize)


def _to_working(b, raw, dtype, target):
    wanted = like(raw, SCALARS[target.name])
    if dtype.kind == "f":
        if dtype.itemsize == 2 and not converts_half():
            value, dtype = _half_to_float(b, raw), np.dtype(np.float32)
        else:
            value = b.bitcast(raw, like(raw, FLOATS[dtype.itemsize]))
        return value if dtype.itemsize == target.itemsize else b.fpext(value, wanted)
    if dtype.kind == "b":
        true = b.icmp_unsigned("!=", raw, constant(raw.type, 0))
        raw = b.zext(true, raw.type)
    if target.kind == "f":
        return b.sitofp(raw, wanted) if dtype.kind == "i" else b.uitofp(raw, wanted)
    if dtype.itemsize == target.itemsize:
        return raw
    return b.sext(raw, wanted) if dtype.kind == "i" else b.zext(raw, wanted)


def _to_float(b, value, working, dtype):
    target = like(value, FLOATS[dtype.itemsize])
    if dtype.itemsize == 2 and working.name != "float32":
        # From double to half by way of float would round twice; a float rounded to odd keeps one rounding.
        double = np.dtype(np.float64)
        value, working = _rounded_to_odd(b, _to_float(b, value, working, double)), np.dtype(np.float32)
    if working.kind in "iu":
        return b.sitofp(value, target) if working.kind == "i" else b.uitofp(value, target)
    if dtype.itemsize == working.itemsize:
        return value
    if dtype.itemsize == 2 and not converts_half():
        return _float_to_half(b, value)
    return b.fptrunc(value, target) if dtype.itemsize < working.itemsize else b.fpext(value, target)


def _rounded_to_odd(b, value):
    """Return the double ``value`` as the float that keeps, in its last bit, whether anything was cut off."""
    bits_type = like(value, ir.IntType(32))
    near = b.fptrunc(value, like(value, ir.FloatType()))
    back = b.fpext(near, value.type)
    name = f"llvm.fabs.{suffix(value.type)}"
    away = b.fcmp_ordered(">", call(b, name, value.type, back), call(b, name, value.type, value))
    bits = b.sub(b.bitcast(near, bits_type), b.zext(away, bits_type))
    bits = b.or_(bits, b.zext(b.fcmp_ordered("!=", back, value), bits_type))
    return b.bitcast(bits, near.type)


def _half_to_float(b, raw):
    """Return the bits of a half as a float, by whole numbers and a multiplication that scales the exponent."""
    i32, f32 = like(raw, ir.IntType(32)), like(raw, ir.FloatType())
    bits = b.zext(raw, i32)
    magnitude = b.shl(b.and_(bits, constant(i32, 0x7FFF)), constant(i32, 13))
    value = b.bitcast(b.fmul(b.bitcast(magnitude, f32), constant(f32, 2.0**112)), i32)
    special = b.icmp_unsigned(">=", magnitude, constant(i32, 0x7C00 << 13))  # infinity and NaN
    value = b.select(special, b.or_(magnitude, constant(i32, 0x7F800000)), value)
    sign = b.shl(b.and_(bits, constant(i32, 0x8000)), constant(i32, 16))
    return b.bitcast(b.or_(value, sign), f32)


def _float_to_half(b, value):
    """Return a float as the bits of a half, rounded half to even; in a subnormal an addition does the rounding."""
    i32 = like(value, ir.IntType(32))
    bits = b.bitcast(value, i32)
    sign = b.and_(bits, constant(i32, 0x80000000))
    bits = b.xor(bits, sign)
    odd = b.and_(b.lshr(bits, constant(i32, 13)), constant(i32, 1))
    rebias = constant(i32, (15 - 127 << 23) + 0xFFF & 0xFFFFFFFF)
    normal = b.lshr(b.add(b.add(bits, rebias), odd), constant(i32, 13))
    half_ulp = constant(i32, (127 - 15) + (23 - 10) + 1 << 23)  # 2^-1: its last bit weighs a half's least
    shifted = b.fadd(b.bitcast(bits, value.type), b.bitcast(half_ulp, value.type))
    small = b.sub(b.bitcast(shifted, i32), half_ulp)
    is_nan = b.icmp_unsigned(">", bits, constant(i32, 0x7F800000))
    large = b.select(is_nan, constant(i32, 0x7E00), constant(i32, 0x7C00))
    result = b.select(b.icmp_unsigned("<", bits, constant(i32, 113 << 23)), small, normal)
    result = b.select(b.icmp_unsigned(">=", bits, constant(i32, 143 << 23)), large, result)
    result = b.or_(result, b.lshr(sign, constant(i32, 16)))
    return b.trunc(result, like(value, ir.IntType(16)))


def _to_integer(b, value, working, dtype):
    width, signed = 8 * dtype.itemsize, dtype.kind == "i"
    target = like(value, ir.IntType(width))
    largest = 1 if dtype.kind == "b" else 2 ** (width - signed) - 1
    if working.kind == "f":
        value = call(b, f"llvm.rint.{suffix(value.type)}", value.type, value)
        if width < np.finfo(working).nmant:
            return _small_integer(b, value, largest, -largest - 1 if signed else 0, target)
        convert = f"llvm.fpto{'s' if signed else 'u'}i.sat.{suffix(target)}.{suffix(value.type)}"
        return call(b, convert, target, value)
    if working.kind == "u":
        value = _clamp(b, value, "umin", largest)
    else:
        value = _clamp(b, value, "smax", -(2 ** (width - 1)) if signed else 0)
        value = _clamp(b, value, "smin", min(largest, 2**63 - 1))
    return value if width == 64 else b.trunc(value, target)


def _small_integer(b, value, largest, lowest, target):
    """Return a whole floating number as an integer whose range the type holds exactly: few instructions do."""
    for comparison, limit in (("<", lowest), (">", largest)):
        bound = constant(value.type, float(limit))
        value = b.select(b.fcmp_ordered(comparison, value, bound), bound, value)
    value = b.select(b.fcmp_ordered("ord", value, value), value, constant(value.type, 0.0))
    wide = like(value, ir.IntType(64 if lowest == 0 and largest >= 2**31 else 32))
    whole = b.fptosi(value, wide)
    return whole if wide == target else b.trunc(whole, target)


def _clamp(b, value, operation, limit):
    return call(b, f"llvm.{operation}.{suffix(value.type)}", value.type, value, constant(value.type, limit))


def _swapped(b, raw, dtype):
    if dtype.isnative or dtype.itemsize == 1:
        return raw
    return call(b, f"llvm.bswap.{suffix(raw.type)}", raw.type, raw)


@intrinsic(prefer_literal=True)
def read_weight(typingctx, kernel, place, target, stored, working):
    """Copy a weight of the literal dtype text ``stored`` to an element of the literal ``working`` type.

    ``place`` is its byte in the kernel, counted from 1; below zero for the weight negated, zero for a weight of zero.
    """
    dtype, target_type = np.dtype(stored.literal_value), np.dtype(working.literal_value)
    signature = types.void(*[types.intp] * 3, stored, working)

    def codegen(context, b, signature, args):
        kernel, place, target = args[:3]
        one, zero = ir.Constant(I64, 1), ir.Constant(I64, 0)
        is_weight, is_negated = b.icmp_signed("!=", place, zero), b.icmp_signed("<", place, zero)
        byte = b.select(is_negated, b.neg(place), b.select(is_weight, place, one))
        raw = b.load(b.inttoptr(b.add(kernel, b.sub(byte, one)), POINTER), typ=_raw(dtype), align=1)
        value = _to_working(b, _swapped(b, raw, dtype), dtype, target_type)
        negated = b.fneg(value) if target_type.kind == "f" else b.neg(value)
        value = b.select(is_weight, b.select(is_negated, negated, value), constant(value.type, 0))
        b.store(value, b.inttoptr(target, POINTER), align=target_type.itemsize)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def extreme_magnitude(typingctx, dtype, source, count, extreme):
    """Return the bits of the largest ("umax") or the smallest ("umin") magnitude of a line.

    They order as the magnitudes do, NaN last.
    """
    operation = extreme.literal_value
    size = np.dtype(dtype.literal_value).itemsize
    lanes = 64 // size
    scalar, vector = ir.IntType(8 * size), ir.VectorType(ir.IntType(8 * size), lanes)
    signature = types.int64(dtype, types.intp, types.intp, extreme)
    neutral = 0 if operation == "umax" else 2 ** (8 * size - 1) - 1

    def codegen(context, b, signature, args):
        source, count = args[1:3]
        whole = b.sub(count, b.srem(count, ir.Constant(I64, lanes)))
        found = []
        for typ, begin, end, step in ((vector, ir.Constant(I64, 0), whole, lanes), (scalar, whole, count, 1)):
            so_far = cgutils.alloca_once_value(b, constant(typ, neutral))
            with cgutils.for_range_slice(b, begin, end, ir.Constant(I64, step), intp=I64) as (index, _):
                address = b.add(source, b.mul(index, ir.Constant(I64, size)))
                bits = b.load(b.inttoptr(address, POINTER), typ=typ, align=1)
                bits = b.and_(bits, constant(typ, 2 ** (8 * size - 1) - 1))
                b.store(call(b, f"llvm.{operation}.{suffix(typ)}", typ, bits, b.load(so_far, typ=typ)), so_far)
            found.append(b.load(so_far, typ=typ))
        reduced = call(b, f"llvm.vector.reduce.{operation}.{suffix(vector)}", scalar, found[0])
        bits = call(b, f"llvm.{operation}.{suffix(scalar)}", scalar, reduced, found[1])
        return bits if size == 8 else b.zext(bits, I64)

    return signature, codegen
