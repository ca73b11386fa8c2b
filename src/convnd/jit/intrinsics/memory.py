"""Numbers at addresses, and calls of C functions at addresses."""

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compile import HELPER
from ..machine import CACHE_LINE, VECTOR_BYTES
from .emit import I64, POINTER, behind, numbers_behind, prefetch


def _call(context, b, address, values):
    function = ir.FunctionType(ir.VoidType(), [I64] * len(values))
    b.call(b.inttoptr(address, function.as_pointer()), values)
    return context.get_dummy_value()


def _unpacked(context, b, numbers, typ):
    values = cgutils.unpack_tuple(b, numbers, len(typ))
    return [context.cast(b, value, own, types.int64) for value, own in zip(values, typ, strict=True)]


@intrinsic
def call(typingctx, address, arguments):
    """Call the C function at an address with a tuple of whole numbers: six at most, which stay in registers."""

    def codegen(context, b, signature, args):
        return _call(context, b, args[0], _unpacked(context, b, args[1], arguments))

    return types.void(types.int64, arguments), codegen


@intrinsic
def run(typingctx, address, arguments):
    """Call the C function at an address with that of its arguments, which are as many whole numbers as one likes.

    Arguments on the stack would be read by vectors, which wait until all that was stored before has left the processor.
    """

    def codegen(context, b, signature, args):
        place = cgutils.alloca_once(b, ir.ArrayType(I64, len(arguments)))
        for k, value in enumerate(_unpacked(context, b, args[1], arguments)):
            b.store(value, cgutils.gep_inbounds(b, place, 0, k))
        return _call(context, b, args[0], [b.ptrtoint(place, I64)])

    return types.void(types.int64, arguments), codegen


@intrinsic(prefer_literal=True)
def passed(typingctx, address, count):
    """Return the arguments that `run` has passed, as many as the literal ``count`` says."""

    def codegen(context, b, signature, args):
        return context.make_tuple(b, signature.return_type, numbers_behind(b, args[0], count.literal_value))

    return types.UniTuple(types.int64, count.literal_value)(types.int64, count), codegen


def _as_pointer(context, b, signature, args):
    return b.inttoptr(args[0], context.get_value_type(signature.return_type))


@intrinsic
def indices_at(typingctx, address):
    """Return the pointer to whole numbers at an address."""
    return types.CPointer(types.int64)(types.int64), _as_pointer


@intrinsic
def shorts_at(typingctx, address):
    """Return the pointer to whole numbers of two bytes at an address."""
    return types.CPointer(types.uint16)(types.int64), _as_pointer


@intrinsic
def words_at(typingctx, address):
    """Return the pointer to words of four bytes at an address."""
    return types.CPointer(types.uint32)(types.int64), _as_pointer


@intrinsic
def doubles_at(typingctx, address):
    """Return the pointer to floating numbers of eight bytes at an address."""
    return types.CPointer(types.float64)(types.int64), _as_pointer


@intrinsic
def moved(typingctx, pointer, count):
    """Return the pointer to the whole number ``count`` behind the one that a pointer points to."""

    def codegen(context, b, signature, args):
        return b.gep(args[0], [args[1]])

    return pointer(pointer, types.int64), codegen


@intrinsic(prefer_literal=True)
def numbers_on_stack(typingctx, pointer, count):
    """Return the address of as many numbers as the literal ``count`` says, of a pointer's type, on the stack.

    Where loops over them can be unrolled, LLVM keeps them in registers.
    """
    number = count.literal_value

    def codegen(context, b, signature, args):
        array = ir.ArrayType(context.get_value_type(pointer.dtype), number)
        return cgutils.gep_inbounds(b, cgutils.alloca_once(b, array), 0, 0)

    return pointer(pointer, count), codegen


@intrinsic
def ask_for(typingctx, address, size):
    """Ask for the lines of the cache that so many bytes from an address on lie in; any address is allowed."""

    def codegen(context, b, signature, args):
        lines = b.sdiv(b.add(args[1], ir.Constant(I64, CACHE_LINE - 1)), ir.Constant(I64, CACHE_LINE))
        with cgutils.for_range(b, lines, intp=I64) as line:
            prefetch(b, behind(b, args[0], (line.index, CACHE_LINE)))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def take_next(typingctx, address):
    """Return the whole number at an address and add one to it, atomically."""

    def codegen(context, b, signature, args):
        return b.atomic_rmw("add", b.inttoptr(args[0], POINTER), ir.Constant(I64, 1), "seq_cst")

    return types.int64(types.int64), codegen


def _place(context, b, typ, args):
    """Return the pointer to a whole number of the size of a type, some bytes behind another pointer."""
    bits = 8 * context.get_abi_sizeof(context.get_value_type(typ))
    place = b.gep(b.bitcast(args[0], ir.IntType(8).as_pointer()), [args[1]])
    return b.bitcast(place, ir.IntType(bits).as_pointer())


@intrinsic(prefer_literal=True)
def read_sample(typingctx, pointer, offset, swapped):
    """Return the sample ``offset`` bytes behind a pointer; the literal says whether its bytes are swapped."""
    typ, swaps = pointer.dtype, bool(swapped.literal_value)

    def codegen(context, b, signature, args):
        value = b.load(_place(context, b, typ, args), align=1)
        return b.bitcast(b.bswap(value) if swaps else value, context.get_value_type(typ))

    return typ(pointer, types.int64, swapped), codegen


@intrinsic(prefer_literal=True)
def write_sample(typingctx, pointer, offset, value, swapped):
    """Store a sample ``offset`` bytes behind a pointer; the literal says whether its bytes are swapped."""
    typ, swaps = pointer.dtype, bool(swapped.literal_value)

    def codegen(context, b, signature, args):
        place = _place(context, b, typ, args)
        bits = b.bitcast(args[2], place.type.pointee)
        b.store(b.bswap(bits) if swaps else bits, place, align=1)
        return context.get_dummy_value()

    return types.void(pointer, types.int64, typ, swapped), codegen


@intrinsic
def swap(typingctx, address, value):
    """Return the whole number at an address and put another there, atomically."""

    def codegen(context, b, signature, args):
        return b.atomic_rmw("xchg", b.inttoptr(args[0], POINTER), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def use_widest_vectors(typingctx):
    """Have LLVM take the processor's widest vectors for the loops of the function that calls this.

    It takes half of 512 bits by itself. The function is not inlined: its loops would follow another's attributes.
    """

    def codegen(context, b, signature, args):
        if VECTOR_BYTES == 64:
            b.function.attributes.add("noinline")
            set.add(b.function.attributes, '"prefer-vector-width"="512"')  # llvmlite's own list has no such words
        return context.get_dummy_value()

    return types.void(), codegen


@njit(**HELPER)
def clear(address, size):
    """Set so many bytes, a multiple of 8, to zero."""
    for word in range(size // 8):
        indices_at(address)[word] = 0
