"""C functions whose code Python emits for LLVM, and words for LLVM's types and operations."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compile import function
from ..machine import VECTOR_BYTES

POINTER = ir.PointerType()
I32, I64 = ir.IntType(32), ir.IntType(64)
I16 = ir.IntType(16)
SCALARS = {
    "float32": ir.FloatType(), "float64": ir.DoubleType(), "int64": I64, "uint64": I64, "int16": I16, "uint16": I16,
}  # fmt: skip

_EMITTERS: dict[str, Emitter] = {}  # by the names of their functions


class Emitter:
    """A kind of C function that `memory.run` calls, and whose code a Python function emits.

    That function takes LLVM's builder, what a C function is compiled for, and behind a slash in its signature the
    numbers that the C function takes.
    """

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit, self._name = emit, emit.__name__
        self._count = emit.__code__.co_argcount - emit.__code__.co_posonlyargcount
        _EMITTERS[self._name] = self
        self.compile = lru_cache(maxsize=256)(self._compile)

    def _compile(self, *about: Any) -> int:
        """Compile what numbers, words and tuples of them say, and return its address."""
        text = json.dumps([self._name, *about])

        def run_emitted(arguments):
            _emitted(text, arguments)

        return function(run_emitted)

    def emit(self, b: Any, about: Sequence[Any], address: Any) -> None:
        """Emit the code of a C function whose numbers lie at an address."""
        self._emit(b, *about, *numbers_behind(b, address, self._count))


@intrinsic(prefer_literal=True)
def _emitted(typingctx, text, arguments):
    """Run what the literal ``text`` has emitted, with the arguments at an address."""
    name, *about = json.loads(text.literal_value)

    def codegen(context, b, signature, args):
        _EMITTERS[name].emit(b, about, args[1])
        return context.get_dummy_value()

    return types.void(text, arguments), codegen


def numbers_behind(b, address, count):
    """Return so many neighbouring whole numbers from an address on."""
    return [load(b, behind(b, address, 8 * k), I64, 8) for k in range(count)]


def constant(typ, value):
    """Return a constant, the same in every lane of a vector."""
    return ir.Constant(typ, [value] * typ.count if isinstance(typ, ir.VectorType) else value)


def splat(b, vector, value):
    """Return a vector that holds a value in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    lane0 = ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
    return b.shuffle_vector(b.insert_element(undefined, value, ir.Constant(I32, 0)), undefined, lane0)


def chosen(b, x, y, lanes):
    """Return these lanes of two vectors that are one behind the other."""
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))


def behind(b, address, *terms):
    """Return an address plus terms: values, numbers, and products of pairs of them."""
    for term in terms:
        pair = term if isinstance(term, tuple) else (term,)
        factors = [own if isinstance(own, ir.Value) else ir.Constant(I64, own) for own in pair]
        address = b.add(address, b.mul(*factors) if len(factors) > 1 else factors[0])
    return address


def load(b, address, typ, align=1):
    """Return what lies at an address."""
    return b.load(b.inttoptr(address, POINTER), typ=typ, align=align)


def store(b, value, address, align=1):
    """Store a value at an address."""
    b.store(value, b.inttoptr(address, POINTER), align=align)


def first_of_chunk(b, chunk, lanes, count):
    """Return where a chunk of ``lanes`` samples begins in a line of ``count``: the last one ends where the line ends.

    A line of fewer samples than lanes is one chunk, which begins at 0.
    """
    first, last = b.mul(chunk, ir.Constant(I64, lanes)), b.sub(count, ir.Constant(I64, lanes))
    return b.select(b.icmp_unsigned("<", last, first), last, first)


def lanes_between(b, lanes, first, count):
    """Return the mask of lanes whose number, counted from ``-first`` on, is one of 0 to ``count - 1``."""
    narrow = ir.VectorType(I32, lanes)
    first, count = (splat(b, narrow, b.trunc(own, I32)) for own in (first, count))
    return b.icmp_unsigned("<", b.add(ir.Constant(narrow, list(range(lanes))), first), count)


def load_lanes(b, address, mask, others):
    """Return a vector of what lies at an address, in the lanes of a mask, and of ``others`` in the rest."""
    name, place = f"llvm.masked.load.{suffix(others.type)}.p0", b.inttoptr(address, POINTER)
    return call(b, name, others.type, place, ir.Constant(I32, 1), mask, others)


def store_first(b, value, address, count):
    """Store the first ``count`` lanes of a vector at an address.

    A whole vector is stored without a mask: an AMD Zen 3 takes twelve cycles for a masked store.
    """
    lanes, place = value.type.count, b.inttoptr(address, POINTER)
    with b.if_else(b.icmp_signed(">=", count, ir.Constant(I64, lanes)), likely=True) as (whole, partial):
        with whole:
            b.store(value, place, align=1)
        with partial:
            mask = lanes_between(b, lanes, ir.Constant(I64, 0), count)
            name = f"llvm.masked.store.{suffix(value.type)}.p0"
            call(b, name, ir.VoidType(), value, place, ir.Constant(I32, 1), mask)


def suffix(typ):
    """Return a type's name as LLVM's intrinsics spell it: "v16f32"."""
    scalar = typ.element if isinstance(typ, ir.VectorType) else typ
    lanes = f"v{typ.count}" if isinstance(typ, ir.VectorType) else ""
    return lanes + ("i64" if _is_whole(typ) else "f32" if isinstance(scalar, ir.FloatType) else "f64")


def declare(b, name, result, arguments):
    """Return the function of that name, declared where it is not yet."""
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(result, arguments), name)


def call(b, name, result, *args):
    """Call an LLVM intrinsic by its full name."""
    return b.call(declare(b, name, result, [arg.type for arg in args]), args)


def _is_whole(typ):
    return isinstance(typ.element if isinstance(typ, ir.VectorType) else typ, ir.IntType)


def multiply_add(b, x, y, z):
    """Return ``x * y + z``: fused where the processor can, modulo 2^64 or 2^16 for whole numbers."""
    if _is_whole(x.type):
        return b.add(b.mul(x, y), z)
    return call(b, f"llvm.fmuladd.{suffix(x.type)}", x.type, x, y, z)


def add(b, x, y):
    """Return ``x + y``."""
    return b.add(x, y) if _is_whole(x.type) else b.fadd(x, y)


def subtract(b, x, y):
    """Return ``x - y``."""
    return b.sub(x, y) if _is_whole(x.type) else b.fsub(x, y)


def multiply(b, x, y):
    """Return ``x * y``."""
    return b.mul(x, y) if _is_whole(x.type) else b.fmul(x, y)


def in_order(b, value):
    """Return a vector that is computed before the next load, where vectors have 64 bytes.

    LLVM would load the samples of all sums first, and spill them.
    """
    if VECTOR_BYTES < 64:
        return value
    return b.asm(ir.FunctionType(value.type, [value.type]), "", "=v,0,~{memory}", [value], True)


def prefetch(b, address, writes=False):
    """Ask for a cache line, to be read from the second level, or to be written in the first; any address is allowed."""
    function = declare(b, "llvm.prefetch.p0", ir.VoidType(), [POINTER, I32, I32, I32])
    kind, level, data = (ir.Constant(I32, flag) for flag in ((1, 3, 1) if writes else (0, 2, 1)))
    b.call(function, [b.inttoptr(address, POINTER), kind, level, data])
