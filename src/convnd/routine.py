"""The register tile and the few machine operations that Numba has no word for. The only file that speaks LLVM.

The register tile computes ``rows x vectors`` vectors of outputs in registers. It knows nothing of axes, only of
taps: each a byte offset from the tile's first sample, and the run ``r0..r1`` of rows that it feeds::

    for each block of outputs
        for each outer step z
            for each group g of taps that feed the same run r0..r1       (unrolled)
                for each tap t of the group
                    load the vectors at x + offset[t]
                    for r in r0..r1:  acc[r] += weight[t, r] * vectors   (fused multiply-adds)
        store the vectors
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import cfunc, config, types
from numba.core import cgutils
from numba.extending import intrinsic

_POINTER = ir.PointerType()
_I64 = ir.IntType(64)
_CACHE_LINE = 64
_FLOATS = {2: ir.HalfType(), 4: ir.FloatType(), 8: ir.DoubleType()}
_FLOAT_BYTES = {str(scalar): size for size, scalar in _FLOATS.items()}
_SCALARS = {"float32": _FLOATS[4], "float64": _FLOATS[8], "int64": _I64, "uint64": _I64}


@dataclass(frozen=True)
class RegisterTile:
    """The shape of a register tile: what one compiled routine computes.

    Parameters
    ----------
    dtype : str
        Working type, "float32", "float64" or "int64".
    rows, vectors, lanes : int
        Accumulators: ``rows`` x ``vectors`` vectors of ``lanes`` elements.
    interleaved : bool
        Whether the rows are neighbouring vectors of one line: row ``r``'s vector ``v`` then starts ``r + v*rows``
        vectors from the first.
    runs : tuple of (int, int)
        The runs of rows that a group of taps feeds.
    """

    dtype: str
    rows: int
    vectors: int
    lanes: int
    interleaved: bool
    runs: tuple[tuple[int, int], ...]

    @property
    def block(self) -> int:
        """Neighbouring outputs of one line that the tile computes at once."""
        return self.vectors * self.lanes * (self.rows if self.interleaved else 1)


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


def _converts_half() -> bool:
    """Return whether the processor has instructions for float16; without them LLVM calls functions nobody defines."""
    return bool(_features().get("f16c")) or "x86" not in llvm.get_default_triple()


def vector_registers() -> int:
    """Return the number of vector registers."""
    wide = _features().get("avx512f") or "x86" not in llvm.get_default_triple()
    return 32 if wide else 16


@intrinsic(prefer_literal=True)
def register_tile(typingctx, shape, x, offsets, weights, bounds, steps, out, out_row, blocks, ahead, x_row):
    """Run the register tile of the literal `RegisterTile` text ``shape`` over ``blocks`` neighbouring blocks.

    ``x``, ``out`` and the tables are addresses: ``offsets`` counts in bytes, ``weights`` is (taps, rows), ``bounds``
    (steps, groups + 1). ``steps`` counts outer steps. ``out_row`` and ``x_row`` are bytes between neighbouring rows,
    ``ahead`` those from a block to the rows that memory is asked for; interleaved rows need none of the three.
    """
    tile = RegisterTile(**json.loads(shape.literal_value))
    signature = types.void(shape, *[types.intp] * 10)

    def codegen(context, builder, signature, args):
        _emit_register_tile(builder, tile, *args[1:])
        return context.get_dummy_value()

    return signature, codegen


def _emit_register_tile(b, tile, x, offsets, weights, bounds, steps, out, out_row, blocks, ahead, x_row):
    size = np.dtype(tile.dtype).itemsize
    scalar = _SCALARS[tile.dtype]
    vector = ir.VectorType(scalar, tile.lanes)
    rows, vectors = range(tile.rows), range(tile.vectors)
    spacing = size * tile.lanes * (tile.rows if tile.interleaved else 1)

    def add(address, offset):
        return b.add(address, offset if isinstance(offset, ir.Value) else ir.Constant(_I64, offset))

    def scaled(value, factor):
        return b.mul(value, ir.Constant(_I64, factor))

    def load(address, typ, align):
        return b.load(b.inttoptr(address, _POINTER), typ=typ, align=align)

    def index(table, position):
        return load(add(table, scaled(position, 8)), _I64, 8)

    def splat(value):
        undefined = ir.Constant(vector, ir.Undefined)
        lane0 = ir.Constant(ir.VectorType(ir.IntType(32), tile.lanes), [0] * tile.lanes)
        return b.shuffle_vector(b.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0)), undefined, lane0)

    if tile.dtype == "int64":

        def multiply_add(a, w, total):
            return b.add(b.mul(a, w), total)
    else:
        fma = _declare(b, f"llvm.fmuladd.v{tile.lanes}f{8 * size}", vector, [vector] * 3)

        def multiply_add(a, w, total):
            return b.call(fma, [a, w, total])

    acc = [[cgutils.alloca_once(b, vector) for _ in vectors] for _ in rows]
    zero = ir.Constant(vector, [0 if tile.dtype == "int64" else 0.0] * tile.lanes)
    with cgutils.for_range(b, blocks, intp=_I64) as block:
        start = scaled(block.index, tile.block * size)
        for r in rows:
            for v in vectors:
                b.store(zero, acc[r][v])
        if not tile.interleaved:
            _prefetch_rows(b, add(add(x, start), ahead), x_row, tile)
        with cgutils.for_range(b, steps, intp=_I64) as outer:
            ends = add(bounds, scaled(outer.index, 8 * (len(tile.runs) + 1)))
            for g, (r0, r1) in enumerate(tile.runs):
                first, last = (load(add(ends, 8 * (g + side)), _I64, 8) for side in (0, 1))
                with cgutils.for_range_slice(b, first, last, ir.Constant(_I64, 1), intp=_I64) as (tap, _):
                    base = add(add(x, start), index(offsets, tap))
                    loaded = [load(add(base, v * spacing), vector, 1) for v in vectors]
                    weight = add(weights, scaled(tap, tile.rows * size))
                    for r in range(r0, r1):
                        w = splat(load(add(weight, r * size), scalar, size))
                        for v in vectors:
                            b.store(multiply_add(loaded[v], w, b.load(acc[r][v], typ=vector)), acc[r][v])
        for r in rows:
            row = r * tile.lanes * size if tile.interleaved else b.mul(ir.Constant(_I64, r), out_row)
            row = add(add(out, start), row)
            for v in vectors:
                pointer = b.inttoptr(add(row, v * spacing), _POINTER)
                b.store(b.load(acc[r][v], typ=vector), pointer, align=1)


def _prefetch_rows(b, address, x_row, tile):
    """Ask for the rows that the routine will read next: waiting for memory is what small kernels do most."""
    for r in range(tile.rows):
        row = b.add(address, b.mul(x_row, ir.Constant(_I64, r)))
        for line in range(0, tile.block * np.dtype(tile.dtype).itemsize, _CACHE_LINE):
            _prefetch(b, b.add(row, ir.Constant(_I64, line)))


def _prefetch(b, address):
    """Ask for a cache line, to be read from the second level; any address is allowed."""
    i32 = ir.IntType(32)
    prefetch = _declare(b, "llvm.prefetch.p0", ir.VoidType(), [_POINTER, i32, i32, i32])
    read, second_level, data = (ir.Constant(i32, flag) for flag in (0, 2, 1))
    b.call(prefetch, [b.inttoptr(address, _POINTER), read, second_level, data])


@intrinsic(prefer_literal=True)
def read_line(typingctx, source, step, length, target, ahead, stored, working):
    """Copy a line of the literal dtype text ``stored`` to neighbouring elements of the literal ``working`` type.

    Any byte order, any alignment; float16 too. ``step`` is the bytes from an element to the next in memory, ``ahead``
    those to the line that memory is asked for meanwhile.
    """
    dtype, target_type = np.dtype(stored.literal_value), np.dtype(working.literal_value)
    signature = types.void(*[types.intp] * 5, stored, working)

    def codegen(context, b, signature, args):
        source, step, length, target, ahead = args[:5]

        def convert(raw):
            return _to_working(b, _swapped(b, raw, dtype), dtype, target_type)

        _emit_line(b, length, (source, step, _raw(dtype)), (target, None, _SCALARS[target_type.name]), convert, ahead)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic(prefer_literal=True)
def write_line(typingctx, source, length, target, step, working, stored):
    """Copy neighbouring elements of the literal ``working`` type to a line of the literal dtype text ``stored``.

    Integer types round half to even and saturate, NaN becomes 0; bool counts as an integer from 0 to 1.
    """
    source_type, dtype = np.dtype(working.literal_value), np.dtype(stored.literal_value)
    signature = types.void(*[types.intp] * 4, working, stored)

    def codegen(context, b, signature, args):
        source, length, target, step = args[:4]
        to = _to_float if dtype.kind == "f" else _to_integer

        def convert(value):
            result = to(b, value, source_type, dtype)
            return _swapped(b, b.bitcast(result, _like(result, _raw(dtype))), dtype)

        _emit_line(b, length, (source, None, _SCALARS[source_type.name]), (target, step, _raw(dtype)), convert)
        return context.get_dummy_value()

    return signature, codegen


def _emit_line(b, length, source, target, convert, ahead=None):
    """Emit the conversion of a line, by vectors where its elements are neighbours on both sides.

    ``source`` and ``target`` are an address, the bytes from an element to the next (None for neighbours) and an LLVM
    type.
    """
    sides = (source, target)
    sizes = [_bytes(scalar) for _, _, scalar in sides]
    steps = [ir.Constant(_I64, size) if step is None else step for (_, step, _), size in zip(sides, sizes)]
    near = ir.Constant(ir.IntType(1), 1)
    for step, size in zip(steps, sizes):
        near = b.and_(near, b.icmp_signed("==", step, ir.Constant(_I64, size)))

    def copy(index, count):
        read, write = (
            b.inttoptr(b.add(address, b.mul(index, step)), _POINTER) for (address, _, _), step in zip(sides, steps)
        )
        typ = ir.VectorType(source[2], count) if count > 1 else source[2]
        b.store(convert(b.load(read, typ=typ, align=1)), write, align=1)

    done = ir.Constant(_I64, 0)
    for count in (_CACHE_LINE // min(sizes), 4, 1):
        stride = ir.Constant(_I64, count)
        end = b.sub(length, b.srem(b.sub(length, done), stride))
        end = end if count == 1 else b.select(near, end, done)
        with cgutils.for_range_slice(b, done, end, stride, intp=_I64) as (index, _):
            if ahead is not None and count > 4:
                _prefetch(b, b.add(b.add(source[0], ahead), b.mul(index, steps[0])))
            copy(index, count)
        done = end


def _raw(dtype):
    """Return the whole number that holds an element as it lies in memory."""
    return ir.IntType(8 * dtype.itemsize)


def _like(value, scalar):
    """Return ``scalar``, or the vector of it that has the lanes of ``value``."""
    return ir.VectorType(scalar, value.type.count) if isinstance(value.type, ir.VectorType) else scalar


def _constant(typ, value):
    return ir.Constant(typ, [value] * typ.count if isinstance(typ, ir.VectorType) else value)


def _call(b, name, result, *args):
    """Call an LLVM intrinsic by its full name."""
    return b.call(_declare(b, name, result, [arg.type for arg in args]), args)


def _bytes(scalar):
    return scalar.width // 8 if isinstance(scalar, ir.IntType) else _FLOAT_BYTES[str(scalar)]


def _suffix(typ):
    """Return a type's name as LLVM's intrinsics spell it: "v16f32"."""
    scalar = typ.element if isinstance(typ, ir.VectorType) else typ
    lanes = f"v{typ.count}" if isinstance(typ, ir.VectorType) else ""
    return f"{lanes}{'i' if isinstance(scalar, ir.IntType) else 'f'}{8 * _bytes(scalar)}"


def _to_working(b, raw, dtype, target):
    wanted = _like(raw, _SCALARS[target.name])
    if dtype.kind == "f":
        if dtype.itemsize == 2 and not _converts_half():
            value, dtype = _half_to_float(b, raw), np.dtype(np.float32)
        else:
            value = b.bitcast(raw, _like(raw, _FLOATS[dtype.itemsize]))
        return value if dtype.itemsize == target.itemsize else b.fpext(value, wanted)
    if dtype.kind == "b":
        true = b.icmp_unsigned("!=", raw, _constant(raw.type, 0))
        raw = b.zext(true, raw.type)
    if target.kind == "f":
        return b.sitofp(raw, wanted) if dtype.kind == "i" else b.uitofp(raw, wanted)
    if dtype.itemsize == target.itemsize:
        return raw
    return b.sext(raw, wanted) if dtype.kind == "i" else b.zext(raw, wanted)


def _to_float(b, value, working, dtype):
    target = _like(value, _FLOATS[dtype.itemsize])
    if dtype.itemsize == 2 and working.name != "float32":
        # From double to half by way of float would round twice; a float rounded to odd keeps one rounding.
        double = np.dtype(np.float64)
        value, working = _rounded_to_odd(b, _to_float(b, value, working, double)), np.dtype(np.float32)
    if working.kind in "iu":
        return b.sitofp(value, target) if working.kind == "i" else b.uitofp(value, target)
    if dtype.itemsize == working.itemsize:
        return value
    if dtype.itemsize == 2 and not _converts_half():
        return _float_to_half(b, value)
    return b.fptrunc(value, target) if dtype.itemsize < working.itemsize else b.fpext(value, target)


def _rounded_to_odd(b, value):
    """Return the double ``value`` as the float that keeps, in its last bit, whether anything was cut off."""
    bits_type = _like(value, ir.IntType(32))
    near = b.fptrunc(value, _like(value, ir.FloatType()))
    back = b.fpext(near, value.type)
    name = f"llvm.fabs.{_suffix(value.type)}"
    away = b.fcmp_ordered(">", _call(b, name, value.type, back), _call(b, name, value.type, value))
    bits = b.sub(b.bitcast(near, bits_type), b.zext(away, bits_type))
    bits = b.or_(bits, b.zext(b.fcmp_ordered("!=", back, value), bits_type))
    return b.bitcast(bits, near.type)


def _half_to_float(b, raw):
    """Return the bits of a half as a float, by whole numbers and a multiplication that scales the exponent."""
    i32, f32 = _like(raw, ir.IntType(32)), _like(raw, ir.FloatType())
    bits = b.zext(raw, i32)
    magnitude = b.shl(b.and_(bits, _constant(i32, 0x7FFF)), _constant(i32, 13))
    value = b.bitcast(b.fmul(b.bitcast(magnitude, f32), _constant(f32, 2.0**112)), i32)
    special = b.icmp_unsigned(">=", magnitude, _constant(i32, 0x7C00 << 13))  # infinity and NaN
    value = b.select(special, b.or_(magnitude, _constant(i32, 0x7F800000)), value)
    sign = b.shl(b.and_(bits, _constant(i32, 0x8000)), _constant(i32, 16))
    return b.bitcast(b.or_(value, sign), f32)


def _float_to_half(b, value):
    """Return a float as the bits of a half, rounded half to even; in a subnormal an addition does the rounding."""
    i32 = _like(value, ir.IntType(32))
    bits = b.bitcast(value, i32)
    sign = b.and_(bits, _constant(i32, 0x80000000))
    bits = b.xor(bits, sign)
    odd = b.and_(b.lshr(bits, _constant(i32, 13)), _constant(i32, 1))
    rebias = _constant(i32, (15 - 127 << 23) + 0xFFF & 0xFFFFFFFF)
    normal = b.lshr(b.add(b.add(bits, rebias), odd), _constant(i32, 13))
    half_ulp = _constant(i32, (127 - 15) + (23 - 10) + 1 << 23)  # 2^-1: its last bit weighs a half's least
    shifted = b.fadd(b.bitcast(bits, value.type), b.bitcast(half_ulp, value.type))
    small = b.sub(b.bitcast(shifted, i32), half_ulp)
    is_nan = b.icmp_unsigned(">", bits, _constant(i32, 0x7F800000))
    large = b.select(is_nan, _constant(i32, 0x7E00), _constant(i32, 0x7C00))
    result = b.select(b.icmp_unsigned("<", bits, _constant(i32, 113 << 23)), small, normal)
    result = b.select(b.icmp_unsigned(">=", bits, _constant(i32, 143 << 23)), large, result)
    result = b.or_(result, b.lshr(sign, _constant(i32, 16)))
    return b.trunc(result, _like(value, ir.IntType(16)))


def _to_integer(b, value, working, dtype):
    width, signed = 8 * dtype.itemsize, dtype.kind == "i"
    target = _like(value, ir.IntType(width))
    largest = 1 if dtype.kind == "b" else 2 ** (width - signed) - 1
    if working.kind == "f":
        value = _call(b, f"llvm.rint.{_suffix(value.type)}", value.type, value)
        if width < np.finfo(working).nmant:
            return _small_integer(b, value, largest, -largest - 1 if signed else 0, target)
        convert = f"llvm.fpto{'s' if signed else 'u'}i.sat.{_suffix(target)}.{_suffix(value.type)}"
        return _call(b, convert, target, value)
    if working.kind == "u":
        value = _clamp(b, value, "umin", largest)
    else:
        value = _clamp(b, value, "smax", -(2 ** (width - 1)) if signed else 0)
        value = _clamp(b, value, "smin", min(largest, 2**63 - 1))
    return value if width == 64 else b.trunc(value, target)


def _small_integer(b, value, largest, lowest, target):
    """Return a whole floating number as an integer whose range the type holds exactly: few instructions do."""
    for comparison, limit in (("<", lowest), (">", largest)):
        bound = _constant(value.type, float(limit))
        value = b.select(b.fcmp_ordered(comparison, value, bound), bound, value)
    value = b.select(b.fcmp_ordered("ord", value, value), value, _constant(value.type, 0.0))
    wide = _like(value, ir.IntType(64 if lowest == 0 and largest >= 2**31 else 32))
    whole = b.fptosi(value, wide)
    return whole if wide == target else b.trunc(whole, target)


def _clamp(b, value, operation, limit):
    return _call(b, f"llvm.{operation}.{_suffix(value.type)}", value.type, value, _constant(value.type, limit))


def _swapped(b, raw, dtype):
    if dtype.isnative or dtype.itemsize == 1:
        return raw
    return _call(b, f"llvm.bswap.{_suffix(raw.type)}", raw.type, raw)


def _declare(b, name, result, arguments):
    return cgutils.get_or_insert_function(b.module, ir.FunctionType(result, arguments), name)


@intrinsic
def call_address(typingctx, address, arguments):
    """Call the C function at ``address`` with a tuple of whole numbers or addresses."""
    signature = types.void(types.intp, arguments)

    def codegen(context, b, signature, args):
        values = [b.extract_value(args[1], k) for k in range(len(arguments))]
        function = ir.FunctionType(ir.VoidType(), [_I64] * len(values))
        b.call(b.inttoptr(args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def read_index(typingctx, table, index):
    """Return the whole number at ``index`` of the table at an address."""

    def codegen(context, b, signature, args):
        return b.load(_element(b, *args), typ=_I64, align=8)

    return types.int64(types.intp, types.intp), codegen


@intrinsic
def write_index(typingctx, table, index, value):
    """Set the whole number at ``index`` of the table at an address."""

    def codegen(context, b, signature, args):
        b.store(args[2], _element(b, *args[:2]), align=8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.int64), codegen


def _element(b, table, index):
    return b.inttoptr(b.add(table, b.mul(index, ir.Constant(_I64, 8))), _POINTER)


@intrinsic
def take_next(typingctx, address):
    """Return the whole number at ``address`` and add one to it, atomically."""

    def codegen(context, b, signature, args):
        pointer = b.inttoptr(args[0], _POINTER)
        return b.atomic_rmw("add", pointer, ir.Constant(_I64, 1), "monotonic")

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


@lru_cache(maxsize=256)
def compile_register_tile(tile: RegisterTile) -> Any:
    """Compile the register tile of one shape."""
    shape, digest = json.dumps(asdict(tile)), source_digest()

    def routine(x, offsets, weights, bounds, steps, out, out_row, blocks, ahead, x_row):
        digest  # noqa: B018 (a free variable is part of the cache's key)
        register_tile(shape, x, offsets, weights, bounds, steps, out, out_row, blocks, ahead, x_row)

    return compile_routine(types.void(*[types.intp] * 10), routine)
