"""What the files that speak LLVM share.

The processor's features, words for LLVM's types, cached compilation, and the few operations on addresses that Numba
has no word for.
"""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.codegen import JITCPUCodegen
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import intrinsic

from . import aside, compiler, disk, expressions

POINTER = ir.PointerType()
I64 = ir.IntType(64)
CACHE_LINE = 64
_COMPILATION_BYTES = 64 * 2**20
_VERSIONS = (numba.__version__, llvmlite.__version__)
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
def take_next(typingctx, address):
    """Return the whole number at ``address`` and add one to it, atomically."""

    def codegen(context, b, signature, args):
        return b.atomic_rmw("add", b.inttoptr(args[0], POINTER), ir.Constant(I64, 1), "seq_cst")

    return types.intp(types.intp), codegen


@intrinsic
def swap(typingctx, address, value):
    """Return the whole number at ``address`` and put another there, atomically."""

    def codegen(context, b, signature, args):
        return b.atomic_rmw("xchg", b.inttoptr(args[0], POINTER), args[1], "seq_cst")

    return types.intp(types.intp, types.intp), codegen


@intrinsic
def swap_if(typingctx, address, expected, value):
    """Return the whole number at ``address`` and put another there where it is the one expected, atomically."""

    def codegen(context, b, signature, args):
        pair = b.cmpxchg(b.inttoptr(args[0], POINTER), args[1], args[2], "seq_cst", "seq_cst")
        return b.extract_value(pair, 0)

    return types.intp(types.intp, types.intp, types.intp), codegen


@intrinsic
def read_shared(typingctx, address):
    """Return the whole number at ``address``, which other threads write."""

    def codegen(context, b, signature, args):
        return b.load_atomic(b.inttoptr(args[0], POINTER), "acquire", 8, typ=I64)

    return types.intp(types.intp), codegen


@intrinsic
def pause(typingctx):
    """Give way for some cycles to what else the core runs, while waiting for another thread."""

    def codegen(context, b, signature, args):
        triple = llvm.get_default_triple()
        if "x86" in triple:
            b.call(declare(b, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
        elif "aarch64" in triple or "arm64" in triple:
            hint = declare(b, "llvm.aarch64.hint", ir.VoidType(), [ir.IntType(32)])
            b.call(hint, [ir.Constant(ir.IntType(32), 1)])
        return context.get_dummy_value()

    return types.void(), codegen


@dataclass(frozen=True)
class Routine:
    """Machine code: a C function of whole numbers at an address."""

    address: int
    library: Any  # keeps it


def compile_routine(function: Callable[..., None], **records: np.dtype[Any]) -> Routine:
    """Compile a function of the `compiler`'s subset to machine code that is called by its address.

    Its arguments are whole numbers; those named in ``records`` are addresses of records of that type.
    """
    # Or a MemoryError: without memory LLVM ends the process, and a thread cannot say that it has ended.
    np.empty(_COMPILATION_BYTES, np.uint8)
    if global_compiler_lock.is_locked():  # by this thread: another would wait for it
        return _compile(function, records)
    return aside.run(lambda: _compile(function, records))


def _compile(function: Callable[..., None], records: dict[str, np.dtype[Any]]) -> Routine:
    name, codegen = function.__name__, JITCPUCodegen("convnd")  # one each: their names need not differ
    constants = [cell.cell_contents for cell in function.__closure__ or ()]
    key = repr((function.__module__, function.__qualname__, constants, records, codegen.magic_tuple(), _VERSIONS))
    with global_compiler_lock:
        library = _unpickled(codegen, disk.load(key))
        if library is None:
            if disk.source_digest() != disk.SOURCES:
                raise RuntimeError("convnd's sources have changed since they were imported: restart the process")
            library = codegen.create_library(name)
            library.enable_object_caching()
            module = library.create_ir_module(name)
            parameters = inspect.signature(function).parameters
            routine = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * len(parameters)), name=name)
            builder = ir.IRBuilder(routine.append_basic_block())
            arguments = [
                expressions.Records(value, records[own]) if own in records else value
                for own, value in zip(parameters, routine.args, strict=True)
            ]
            compiler.emit(builder, function, arguments)
            builder.ret_void()
            library.add_ir_module(module)
            library.finalize()
            disk.save(key, pickle.dumps(library.serialize_using_object_code()))
        return Routine(library.get_pointer_to_function(name), library)


def _unpickled(codegen: JITCPUCodegen, data: bytes | None) -> Any:
    """Return the library that was pickled, or None where there is none."""
    with suppress(pickle.PickleError, EOFError, ImportError, AttributeError, LookupError, TypeError, ValueError):
        return None if data is None else codegen.unserialize_library(pickle.loads(data))
