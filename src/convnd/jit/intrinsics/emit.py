"""Words for LLVM's types and operations that the intrinsics share."""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

POINTER = ir.PointerType()
I32, I64 = ir.IntType(32), ir.IntType(64)
SCALARS = {"float32": ir.FloatType(), "float64": ir.DoubleType(), "int64": I64, "uint64": I64}


def constant(typ, value):
    """Return a constant, the same in every lane of a vector."""
    return ir.Constant(typ, [value] * typ.count if isinstance(typ, ir.VectorType) else value)


def splat(b, vector, value):
    """Return a vector that holds a value in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    lane0 = ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
    return b.shuffle_vector(b.insert_element(undefined, value, ir.Constant(I32, 0)), undefined, lane0)


def load(b, address, typ, align=1):
    """Return what lies at an address."""
    return b.load(b.inttoptr(address, POINTER), typ=typ, align=align)


def store(b, value, address, align=1):
    """Store a value at an address."""
    b.store(value, b.inttoptr(address, POINTER), align=align)


def suffix(typ):
    """Return a floating type's name as LLVM's intrinsics spell it: "v16f32"."""
    scalar = typ.element if isinstance(typ, ir.VectorType) else typ
    lanes = f"v{typ.count}" if isinstance(typ, ir.VectorType) else ""
    return f"{lanes}f{32 if isinstance(scalar, ir.FloatType) else 64}"


def declare(b, name, result, arguments):
    """Return the function of that name, declared where it is not yet."""
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(result, arguments), name)


def call(b, name, result, *args):
    """Call an LLVM intrinsic by its full name."""
    return b.call(declare(b, name, result, [arg.type for arg in args]), args)


def multiply_add(b, x, y, z):
    """Return ``x * y + z``: fused where the processor can, modulo 2^64 for whole numbers."""
    scalar = x.type.element if isinstance(x.type, ir.VectorType) else x.type
    if isinstance(scalar, ir.IntType):
        return b.add(b.mul(x, y), z)
    return call(b, f"llvm.fmuladd.{suffix(x.type)}", x.type, x, y, z)


def prefetch(b, address):
    """Ask for a cache line, to be read from the second level; any address is allowed."""
    function = declare(b, "llvm.prefetch.p0", ir.VoidType(), [POINTER, I32, I32, I32])
    read, second_level, data = (ir.Constant(I32, flag) for flag in (0, 2, 1))
    b.call(function, [b.inttoptr(address, POINTER), read, second_level, data])
