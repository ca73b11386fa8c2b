"""What the files that speak LLVM share.

The processor's features, words for LLVM's types, cached compilation, and the few operations on addresses that Numba
has no word for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import cfunc, config, types
from numba.core import cgutils
from numba.extending import intrinsic

POINTER = ir.PointerType()
I64 = ir.IntType(64)
CACHE_LINE = 64
FLOATS = {2: ir.HalfType(), 4: ir.FloatType(), 8: ir.DoubleType()}
SCALARS = {"float32": FLOATS[4], "float64": FLOATS[8], "int64": I64, "uint64": I64}
_FLOAT_BYTES = {str(scalar): size for size, scalar in FLOATS.items()}


@lru_cache(maxsize=1)
def _features() -> dict[str, bool]:
    """Return the features of the processor that Numba compiles for."""
    if config.CPU_FEATURES is not None:
        return {name[1:]: name[0] == "+" for name in config.CPU_FEATURES.split(",") if name}
    if config.CPU_NAME == "generic":
        return {}
    return dict(llvm.get_host_cpu_features())


def vector_bytes() -> int:
    """Return the width of the widest vectors that the processor multiplies."""
    features = _features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") or features.get("avx") else 16


def converts_half() -> bool:
    """Return whether the processor has instructions for float16; without them LLVM calls functions nobody defines."""
    return bool(_features().get("f16c")) or "x86" not in llvm.get_default_triple()


def vector_registers() -> int:
    """Return the number of vector registers."""
    wide = _features().get("avx512f") or "x86" not in llvm.get_default_triple()
    return 32 if wide else 16


def address_of(symbol: str) -> int:
    """Return the address of a function that Numba has made known to compiled code."""
    return llvm.address_of_symbol(symbol)


def like(value, scalar):
    """Return ``scalar``, or the vector of it that has the lanes of ``value``."""
    return ir.VectorType(scalar, value.type.count) if isinstance(value.type, ir.VectorType) else scalar


def constant(typ, value):
    """Return a constant, the same in every lane of a vector."""
    return ir.Constant(typ, [value] * typ.count if isinstance(typ, ir.VectorType) else value)


def splat(b, vector, value):
    """Return a vector that holds a value in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    lane0 = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return b.shuffle_vector(b.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0)), undefined, lane0)


def call(b, name, result, *args):
    """Call an LLVM intrinsic by its full name."""
    return b.call(declare(b, name, result, [arg.type for arg in args]), args)


def bytes_of(scalar):
    """Return the bytes of a scalar type."""
    return scalar.width // 8 if isinstance(scalar, ir.IntType) else _FLOAT_BYTES[str(scalar)]


def suffix(typ):
    """Return a type's name as LLVM's intrinsics spell it: "v16f32"."""
    scalar = typ.element if isinstance(typ, ir.VectorType) else typ
    lanes = f"v{typ.count}" if isinstance(typ, ir.VectorType) else ""
    return f"{lanes}{'i' if isinstance(scalar, ir.IntType) else 'f'}{8 * bytes_of(scalar)}"


def declare(b, name, result, arguments):
    """Return the function of that name, declared where it is not yet."""
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(result, arguments), name)


def prefetch(b, address):
    """Ask for a cache line, to be read from the second level; any address is allowed."""
    i32 = ir.IntType(32)
    prefetch = declare(b, "llvm.prefetch.p0", ir.VoidType(), [POINTER, i32, i32, i32])
    read, second_level, data = (ir.Constant(i32, flag) for flag in (0, 2, 1))
    b.call(prefetch, [b.inttoptr(address, POINTER), read, second_level, data])


@intrinsic
def call_address(typingctx, address, arguments):
    """Call the C function at ``address`` with a tuple of whole numbers or addresses."""
    signature = types.void(types.intp, arguments)

    def codegen(context, b, signature, args):
        values = [b.extract_value(args[1], k) for k in range(len(arguments))]
        function = ir.FunctionType(ir.VoidType(), [I64] * len(values))
        b.call(b.inttoptr(args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def read_index(typingctx, table, index):
    """Return the whole number at ``index`` of the table at an address."""

    def codegen(context, b, signature, args):
        return b.load(_element(b, *args), typ=I64, align=8)

    return types.int64(types.intp, types.intp), codegen


@intrinsic
def write_index(typingctx, table, index, value):
    """Set the whole number at ``index`` of the table at an address."""

    def codegen(context, b, signature, args):
        b.store(args[2], _element(b, *args[:2]), align=8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.int64), codegen


def _element(b, table, index):
    return b.inttoptr(b.add(table, b.mul(index, ir.Constant(I64, 8))), POINTER)


@intrinsic
def as_pointer(typingctx, address):
    """Return an address as a pointer, for `numba.carray`."""

    def codegen(context, b, signature, args):
        return b.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.intp), codegen


@intrinsic
def take_next(typingctx, address):
    """Return the whole number at ``address`` and add one to it, atomically."""

    def codegen(context, b, signature, args):
        pointer = b.inttoptr(args[0], POINTER)
        return b.atomic_rmw("add", pointer, ir.Constant(I64, 1), "monotonic")

    return types.intp(types.intp), codegen


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Return a digest of the package's sources.

    Every compiled closure holds it, because Numba's disk cache notices edits of the file it compiles alone.
    """
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def with_disk_cache(decorate: Callable[..., Any], function: Callable[..., Any]) -> Any:
    """Return ``decorate(cache=True)(function)``, or the same without a cache where no folder can hold one."""
    try:
        return decorate(cache=True)(function)
    except RuntimeError:  # "no locator available": nothing is writable
        return decorate()(function)


def compile_routine(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile ``function`` to machine code that is called by its address."""
    return with_disk_cache(partial(cfunc, signature, error_model="numpy"), function)
