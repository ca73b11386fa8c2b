"""What a call of `convnd` becomes in a user's compiled function: numbers written to the stack, and C functions.

What depends on types is compiled there, beside the user's code: lines of samples and register tiles, as C functions
that are private to it. The rest is reached by the name of a symbol.
"""

import json
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..lines import reader, writer
from .emit import I64
from .register_tile import register_tile
from .transpose import gather_lines

_EMITTERS = {"tile": register_tile, "lines": gather_lines}
_LINE_ARGUMENTS = 5


@intrinsic(prefer_literal=True)
def symbol_address(typingctx, name):
    """Return the address of the symbol of a literal name."""

    def codegen(context, b, signature, args):
        found = b.module.globals.get(name.literal_value)
        if found is None:
            found = ir.GlobalVariable(b.module, I64, name.literal_value)
        return b.ptrtoint(found, I64)

    return types.int64(name), codegen


@intrinsic
def address_of(typingctx, pointer):
    """Return the address that a pointer to whole numbers holds."""

    def codegen(context, b, signature, args):
        return b.ptrtoint(args[0], I64)

    return types.int64(types.CPointer(types.int64)), codegen


def _put(b, pointer, place, value):
    b.store(value, b.gep(pointer, [ir.Constant(I64, place)]))


@intrinsic(prefer_literal=True)
def write_array(typingctx, pointer, array, place, row, step):
    """Write an array's address to a place, and each axis' length and step to a row; the rows are ``step`` apart."""
    at, first, apart = (own.literal_value for own in (place, row, step))

    def codegen(context, b, signature, args):
        proxy = cgutils.create_struct_proxy(array)(context, b, value=args[1])
        _put(b, args[0], at, b.ptrtoint(proxy.data, I64))
        for column, field in enumerate((proxy.shape, proxy.strides)):
            for a, value in enumerate(cgutils.unpack_tuple(b, field, array.ndim)):
                _put(b, args[0], first + a * apart + column, value)
        return context.get_dummy_value()

    return types.void(pointer, array, place, row, step), codegen


@intrinsic(prefer_literal=True)
def write_numbers(typingctx, pointer, value, count, width, place, step):
    """Write a whole number, or nested tuples of them, to ``count`` rows of ``width`` columns that are ``step`` apart.

    Nothing is written of None and of words.
    """
    rows, columns, first, apart = (own.literal_value for own in (count, width, place, step))

    def entries(context, b, value, typ, count):
        if isinstance(typ, types.BaseTuple):
            return list(zip(cgutils.unpack_tuple(b, value, len(typ)), typ, strict=True))
        return [(value, typ)] * count

    def codegen(context, b, signature, args):
        is_number = isinstance(value, (types.Integer, types.BaseTuple))
        for r, (entry, typ) in enumerate(entries(context, b, args[1], value, rows) if is_number else ()):
            for column, (number, own) in enumerate(entries(context, b, entry, typ, columns)):
                _put(b, args[0], first + r * apart + column, context.cast(b, number, own, types.int64))
        return context.get_dummy_value()

    return types.void(pointer, value, count, width, place, step), codegen


@intrinsic(prefer_literal=True)
def numbers_of(typingctx, pointer, count, place, step):
    """Return as many numbers as the literal ``count`` says, ``step`` apart, as a tuple."""
    number, first, apart = (own.literal_value for own in (count, place, step))

    def codegen(context, b, signature, args):
        values = [b.load(b.gep(args[0], [ir.Constant(I64, first + k * apart)])) for k in range(number)]
        return context.make_tuple(b, signature.return_type, values)

    return types.UniTuple(types.int64, number)(pointer, count, place, step), codegen


@intrinsic(prefer_literal=True)
def write_constants(typingctx, pointer, columns):
    """Write what a literal JSON text says: pairs of places and of whole numbers, or of descriptions of C functions."""
    pairs = json.loads(columns.literal_value)

    def codegen(context, b, signature, args):
        for place, value in pairs:
            number = ir.Constant(I64, value) if isinstance(value, int) else _function(context, b, *value)
            _put(b, args[0], place, number)
        return context.get_dummy_value()

    return types.void(pointer, columns), codegen


def _function(context: Any, b: Any, kind: str, *about: Any) -> Any:
    """Return the address of a C function of the module that is being compiled, made where it is missing."""
    name = f"convnd_{kind}_{json.dumps(about)}"
    found = b.module.globals.get(name)
    if found is None:
        emitter = _EMITTERS.get(kind)
        count = 1 if emitter else _LINE_ARGUMENTS
        found = ir.Function(b.module, ir.FunctionType(ir.VoidType(), [I64] * count), name)
        found.linkage = "internal"
        inside = ir.IRBuilder(found.append_basic_block())
        if emitter:
            emitter.emit(inside, about, found.args[0])
        else:
            body, *arguments = (reader if kind == "read" else writer)(*about)
            arguments += [types.int64] * (count - len(arguments))
            compiled = context.compile_subroutine(b, body, types.void(*arguments))
            own = context.declare_function(b.module, compiled.fndesc)
            values = [
                inside.inttoptr(v, context.get_value_type(typ)) if isinstance(typ, types.CPointer) else v
                for v, typ in zip(found.args, arguments)
            ]
            context.call_conv.call_function(inside, own, types.void, arguments, values)
        inside.ret_void()
    return b.ptrtoint(found, I64)
