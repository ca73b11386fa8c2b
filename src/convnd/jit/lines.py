"""Lines of samples from and to memory: every dtype and byte order, any step, aligned or not.

One C function is compiled for each pair of dtypes. Its loops are plain, so that LLVM makes vectors of them.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numba import from_dtype, njit, types

from .compile import HELPER, function
from .intrinsics.memory import indices_at, numbers_on_stack, read_sample, use_widest_vectors, write_sample

_BLOCK = 64  # results that are converted by vectors before they are stored one by one


@njit(**HELPER)
def half_to_float(half):
    """Return the float16 of some bits as a float32: of a subnormal one, by the whole number that it is."""
    magnitude = np.uint32(half & 0x7FFF)
    small = np.float32(np.float32(np.int32(magnitude)) * np.float32(2.0**-24)).view(np.uint32)
    normal = np.uint32((magnitude << 13) + ((127 - 15) << 23))
    value = small if magnitude < 0x400 else normal
    value = np.uint32((magnitude << 13) | 0x7F800000) if magnitude >= 0x7C00 else value  # infinity and NaN
    return np.uint32(value | ((half & 0x8000) << 16)).view(np.float32)


@njit(**HELPER)
def float_to_half(value):
    """Return the bits of a float32 as a float16, rounded half to even; an addition rounds what is subnormal."""
    bits = np.float32(value).view(np.uint32)
    magnitude = np.uint32(bits & 0x7FFFFFFF)
    least = np.uint32((127 - 15) + (23 - 10) + 1 << 23)  # a float32 whose last bit weighs a float16's least
    small = np.uint32(np.float32(magnitude.view(np.float32) + least.view(np.float32)).view(np.uint32) - least)
    normal = np.uint32(np.uint32(magnitude + 0xFFF + ((magnitude >> 13) & 1) - (127 - 15 << 23)) >> 13)
    large = np.uint32(0x7E00) if magnitude > 0x7F800000 else np.uint32(0x7C00)
    result = small if magnitude < 113 << 23 else large if magnitude >= 143 << 23 else normal
    return np.uint16(result | ((bits >> 16) & 0x8000))


@njit(**HELPER)
def rounded_to_odd(value):
    """Return a float64 as the float32 whose last bit says whether anything was cut off: it can be rounded once more."""
    near = np.float32(value)
    back = np.float64(near)
    bits = np.uint32(near.view(np.uint32) - np.uint32(abs(back) > abs(value)))
    return np.uint32(bits | np.uint32(back != value)).view(np.float32)


def _is_half(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" and dtype.itemsize == 2


def pointer_to(dtype: np.dtype[Any]) -> Any:
    """Return the type of a pointer to samples; those of float16 and bool are whole numbers in memory."""
    if dtype.kind == "b" or _is_half(dtype):
        dtype = np.dtype(f"u{dtype.itemsize}")
    return types.CPointer(from_dtype(dtype.newbyteorder("=")))


Body = tuple[Any, ...]  # the body of a C function, and the types of its first arguments: the others are int64


@lru_cache(maxsize=256)
def compile_reader(stored: str, working: str, nan: str = "kept", spacing: int = 1) -> int:
    """Compile what `reader` returns."""
    return function(*reader(stored, working, nan, spacing))


def reader(stored: str, working: str, nan: str = "kept", spacing: int = 1) -> Body:
    """Return the copy of a line of samples to neighbouring samples of the working type.

    The function takes the addresses of the source and of the target, the number of samples, and the bytes from a sample
    to the next; or the address of a table of each sample's offset in bytes, or 0. NaN is "kept", or
    becomes 0 ("zero"), or 0 where all other samples become 1 ("marked"), or 1 where they become 0 ("alone").
    Only samples that lie ``spacing`` samples apart are read by vectors.
    """
    dtype, result = np.dtype(stored), np.dtype(working)
    size, swapped, is_bool, is_half = dtype.itemsize, int(not dtype.isnative), dtype.kind == "b", _is_half(dtype)
    replaces, marks = nan != "kept", nan in ("marked", "alone")
    missing, other = result.type(nan == "alone"), result.type(nan == "marked")
    constant_step = spacing * size

    def read(source, target, count, step, offsets):
        use_widest_vectors()
        is_constant = offsets == 0 and step == constant_step
        for k in range(count):
            offset = k * constant_step if is_constant else indices_at(offsets)[k] if offsets != 0 else k * step
            bits = read_sample(source, offset, swapped)
            sample = bits != 0 if is_bool else half_to_float(bits) if is_half else bits
            if replaces:
                sample = missing if sample != sample else other if marks else sample
            target[k] = sample

    return read, pointer_to(dtype), pointer_to(result)


@lru_cache(maxsize=256)
def compile_writer(working: str, stored: str, near: bool, whole: bool = False, scaled_in: str = "") -> int:
    """Compile what `writer` returns."""
    return function(*writer(working, stored, near, whole, scaled_in))


def writer(working: str, stored: str, near: bool, whole: bool = False, scaled_in: str = "") -> Body:
    """Return the copy of neighbouring results of the working type to a line of a dtype.

    Integer dtypes round half to even and saturate, NaN becomes 0; bool is an integer from 0 to 1. The function takes
    the addresses of the source and of the target, the number of results, the bytes from a result to the next, and an
    pointer to the number that results are multiplied by in the type ``scaled_in``, if that is given. Results that are
    ``near`` each other in the target are written by vectors; those that are ``whole`` numbers but for rounding are
    rounded to them first.
    """
    source_type, value_type, dtype = np.dtype(working), np.dtype(scaled_in or working), np.dtype(stored)
    kind, size, swapped, scales = value_type.type, dtype.itemsize, int(not dtype.isnative), bool(scaled_in)
    near, whole = bool(near), bool(whole)  # not NumPy's, of which compiled code would have a twin
    convert = np.uint8 if dtype.kind == "b" else dtype.type
    is_half, is_signed, is_small, is_large = _is_half(dtype), dtype.kind == "i", False, False
    zero, rounding, bits, least, most, last = kind(0), kind(0), kind, kind(0), kind(0), convert(0)
    if dtype.kind != "f":
        low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
        last = convert(high)
        if value_type.kind != "f":
            least, most = kind(max(low, int(np.iinfo(kind).min))), kind(min(high, int(np.iinfo(kind).max)))
        elif high < 2 ** ((mantissa := int(np.finfo(kind).nmant)) - 2):
            # A sum with it has no bits behind the point: it is rounded half to even, and its last bits are the
            # integer's. The bits of sums have their order, and all negative ones stand before them.
            is_small, rounding, bits = True, kind(1.5 * 2.0**mantissa), np.dtype(f"i{value_type.itemsize}").type
            least, most = (bits((rounding + kind(limit)).view(bits)) for limit in (low, high))
        else:  # the type of the results has not all whole numbers up to the limit
            is_large, least, most = True, kind(low), kind(high + 1)

    def write_float(source, target, count, step, scale):
        use_widest_vectors()
        factor = scale[0]
        for k in range(count):
            value = kind(kind(source[k]) * factor) if scales else kind(source[k])
            value = np.rint(value) if whole else value
            write_sample(target, k * size if near else k * step, convert(value), swapped)

    def write_whole(source, target, count, step, _beside):
        use_widest_vectors()
        for k in range(count):
            value = least if source[k] < least else source[k]
            write_sample(target, k * size if near else k * step, convert(most if value > most else value), swapped)

    def write(source, target, count, step, scale):
        use_widest_vectors()
        factor = scale[0]
        place = target if near else numbers_on_stack(target, _BLOCK)
        for first in range(0, 1 if near else count, _BLOCK):
            length = count if near else min(_BLOCK, count - first)
            for k in range(length):
                value = kind(kind(source[first + k]) * factor) if scales else kind(source[first + k])
                if is_half:
                    value = np.rint(value) if whole else value
                    sample = float_to_half(rounded_to_odd(np.float64(value)))
                else:
                    value = value if (value == value if is_signed else value > zero) else zero  # NaN is neither
                    value = kind(value + rounding).view(bits) if is_small else np.rint(value) if is_large else value
                    value = least if is_signed and value < least else value
                    if is_large:
                        sample = last if value >= most else convert(value)
                    else:
                        sample = convert(most if value > most else value)
                write_sample(place, k * size, sample, swapped)
            if not near:
                for k in range(length):
                    write_sample(target, (first + k) * step, place[k], 0)

    own = write
    if not is_half and dtype.kind == "f":
        own = write_float
    elif not is_half and value_type.kind != "f":
        own = write_whole
    return own, pointer_to(source_type), pointer_to(dtype), types.int64, types.int64, pointer_to(value_type)


@lru_cache(maxsize=8)
def compile_marking_writer(working: str, stored: str) -> Any:
    """Compile a writer of what NaN becomes in a dtype, for each result that is not 0 but for rounding."""
    dtype = np.dtype(stored)
    swapped, convert = int(not dtype.isnative), np.uint8 if dtype.kind == "b" else dtype.type
    is_half = dtype.kind == "f" and dtype.itemsize == 2
    mark = np.uint16(0x7E00) if is_half else convert(np.nan if dtype.kind == "f" else 0)

    def write(source, target, count, step, _beside):
        for k in range(count):
            if source[k] > 0.5:
                write_sample(target, k * step, mark, swapped)

    return function(write, pointer_to(np.dtype(working)), pointer_to(dtype))


@lru_cache(maxsize=4)
def compile_updating_writer(working: str) -> int:
    """Compile a writer that adds: ``target = source + bias + beta * target``, of one type.

    It reads beta and the bias where its last argument says, and the target only where beta is not 0.
    """
    dtype = np.dtype(working)
    size = dtype.itemsize

    def write(source, target, count, step, beside):
        use_widest_vectors()
        beta, bias = read_sample(beside, 0, 0), read_sample(beside, size, 0)
        for k in range(count):
            place = k * size if step == size else k * step
            total = source[k] + bias
            write_sample(target, place, total if beta == 0 else total + beta * read_sample(target, place, 0), 0)

    return function(write, pointer_to(dtype), pointer_to(dtype), types.int64, types.int64, pointer_to(dtype))


@lru_cache(maxsize=8)
def compile_largest(working: str, counts_nan: bool = True) -> int:
    """Compile the search for the largest magnitude of a line: its bits, which order as magnitudes do, NaN last.

    The function takes the addresses of the line and of the bits, and the number of samples.
    """
    size = np.dtype(working).itemsize
    kind = np.int32 if size == 4 else np.int64
    mask = kind(2 ** (8 * size - 1) - 1)
    most_counted = mask if counts_nan else kind(0x7F800000 if size == 4 else 0x7FF0 << 48)  # the bits of infinity
    zero = kind(0)

    def largest(source, target, count):
        use_widest_vectors()
        most = zero
        for k in range(count):
            own = kind(source[k] & mask)
            most = max(most, own if own <= most_counted else zero)
        target[0] = most

    return function(largest, pointer_to(np.dtype(kind)), pointer_to(np.dtype(np.int64)))
