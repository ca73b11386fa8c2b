"""The type of a result, the type that it is computed in, and the fill value in that type."""

from functools import lru_cache
from typing import Any

import numpy as np

from .arguments.messages import shown

SHORT = "int16", "uint16"  #: working types for samples of 8 bits, where they hold every sum
_SHORT_TAPS, _SHORT_EXTENT = 256, 64  # of a kernel, and along an axis, at most: with more, transforms may be faster
_BYTES = {"b": (0, 1), "i": (-128, 127), "u": (0, 255)}  # the limits of types of 8 bits
_FLOATS = {2: "float32", 4: "float32", 8: "float64"}  # float16 computes in float32


def check(dtype: np.dtype[Any], name: str) -> None:
    """Raise `TypeError` for a type that is not supported."""
    if dtype.isbuiltin == 2:  # another package registered it: bfloat16, float8
        raise TypeError(f"{name} has dtype {dtype}, which is none of NumPy's own: convert it first, to float32 say")
    if dtype.kind not in "biufc":
        raise TypeError(f"{name} has dtype {dtype}, which is not numeric")
    if dtype.itemsize > (16 if dtype.kind == "c" else 8):
        raise TypeError(f"{name} has dtype {dtype}, but at most float64 and complex128 are supported")


def is_masked(value: Any) -> bool:
    """Return whether a value has a mask, as NumPy's masked arrays do, or astropy's data."""
    mask = getattr(value, "mask", None)
    return mask is not None and not callable(mask)  # a method is something else: pandas has it


def is_integer(dtype: np.dtype[Any]) -> bool:
    """Return whether the arithmetic of a type is exact, as that of integers and bool."""
    return dtype.kind in "biu"


def sums_exactly(x: np.dtype[Any], kernel: np.dtype[Any]) -> bool:
    """Return whether products of two types are whole numbers, which are summed exactly."""
    return x.kind in "biu" and kernel.kind in "biu"


def real(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of the real component of a complex type, and any other type unchanged."""
    if dtype.kind != "c":
        return dtype
    return np.dtype(f"f{dtype.itemsize // 2}").newbyteorder(dtype.byteorder)


def depends_on_values(x: np.dtype[Any], kernel: np.dtype[Any]) -> bool:
    """Return whether the type that holds the sums may be a matter of the kernel's values."""
    return sums_exactly(x, kernel) or (x.kind in "biu" and x.itemsize == 1 and kernel.kind == "f")


def default_result(x: np.dtype[Any], kernel: np.dtype[Any]) -> np.dtype[Any]:
    """Return the result's type where neither ``dtype`` nor ``out`` determines it."""
    result = np.result_type(x, kernel)
    if sums_exactly(x, kernel):
        return np.dtype(np.uint64 if result.kind == "u" else np.int64)
    return result.newbyteorder("=")


def largest(dtype: np.dtype[Any]) -> int:
    """Return the largest magnitude of an integer type."""
    return 1 if dtype.kind == "b" else 2 ** (8 * dtype.itemsize - (dtype.kind == "i"))


@lru_cache(maxsize=256)
def bits(value: float, dtype: str) -> int:
    """Return the bits of a number from 0 up in a floating type. They have the same order as the numbers."""
    number = np.array(value, dtype)
    return int(number.view(f"i{number.itemsize}"))


def working(x: np.dtype[Any], kernel: np.ndarray, result: np.dtype[Any], fill: complex) -> str:
    """Return the real type that a problem is computed in.

    Sums of whole numbers are exact in a floating type as long as every partial sum fits its mantissa;
    ``sum |kernel| * max |x|`` bounds all partial sums. Beyond that, sums are integers modulo 2^64.
    """
    if sums_exactly(x, kernel.dtype):
        # The bound is itself rounded to float64; the factor is far above that rounding.
        bound = float(np.abs(kernel.astype(np.float64)).sum()) * max(largest(x), abs(fill)) * (1 + 1e-9)
        if bound < 2**24:
            return "float32"
        return "float64" if bound < 2**53 else "int64"
    types = [x, kernel.dtype] if is_integer(result) else [x, kernel.dtype, result]
    return _FLOATS[real(np.result_type(*types)).itemsize]


def short(x: np.dtype[Any], kernel: np.ndarray, fill: float, precision: str) -> tuple[str, float] | None:
    """Return the type of 16 bits that holds all sums, and the number that they are multiplied by; None where none does.

    It is for samples of 8 bits and weights that are whole numbers, or those times one number but for what the type
    ``precision`` rounds: a vector has twice as many lanes, and conversions take less time.
    """
    is_large = kernel.size > _SHORT_TAPS or max(kernel.shape, default=0) > _SHORT_EXTENT
    if x.itemsize > 1 or is_large or not depends_on_values(x, kernel.dtype):
        return None
    found = _whole(kernel.ravel().astype(np.float64), precision)
    if found is None or not (abs(fill) < 2**16 and fill == int(fill)):
        return None
    whole, scale = found
    if np.abs(whole).max(initial=0) >= 2**16:
        return None
    low, high = min(_BYTES[x.kind][0], fill), max(_BYTES[x.kind][1], fill)
    total, magnitude = float(whole.sum()), float(np.abs(whole).sum())
    positive, negative = (magnitude + total) / 2, (total - magnitude) / 2
    least = min(positive * low + negative * high, fill)
    most = max(positive * high + negative * low, fill)
    if least >= -(2**15) and most < 2**15:
        return "int16", scale
    return ("uint16", scale) if least >= 0 and most < 2**16 else None


def _whole(weights: np.ndarray, precision: str) -> tuple[np.ndarray, float] | None:
    """Return whole numbers and the factor that makes weights of them; None where there are none."""
    sizes = np.abs(weights)
    if not np.isfinite(sizes).all():
        return None
    if (weights == np.rint(weights)).all():
        return weights, 1.0
    scale = float(sizes.min(where=sizes > 0, initial=np.inf))
    if sizes.max() >= 2**16 * scale:
        return None
    whole = np.rint(weights / scale)
    is_whole = (np.abs(whole * scale - weights) <= np.finfo(precision).eps / 4 * sizes).all()
    return (whole, scale) if is_whole else None


def scalar(value: Any, name: str, integer: np.dtype[Any] | None, is_complex: bool, precision: str) -> complex:
    """Return an argument that is one sample, such as the fill value, as a number that the working type holds.

    That is ``integer`` where sums are exact, else ``precision``, complex where x or the kernel is.
    """
    number = value
    if not isinstance(value, (int, float, complex)):
        try:
            array = np.asarray(None if is_masked(value) else value)
        except ValueError:  # a ragged list
            array = np.asarray(None)
        if array.ndim or array.dtype.kind not in "biufc":
            raise TypeError(f"{name} must be a number, but is {shown(value)}")
        number = array.item()
    if isinstance(number, complex) and not is_complex:
        raise TypeError(f"{name} must be real where x and kernel are real, but is {shown(value)}")
    if integer is not None:
        info = np.iinfo(integer)
        if number != number or number in (np.inf, -np.inf) or number != int(number):
            raise ValueError(f"{name} must be a whole number for integer x and kernel, but is {shown(value)}")
        if not info.min <= number <= info.max:
            raise ValueError(f"{name} must fit {integer} ({info.min} to {info.max}), but is {shown(value)}")
        return int(number)
    for component in (number.real, number.imag):
        if abs(component) > float(np.finfo(precision).max) and abs(component) != np.inf:
            raise ValueError(f"{name} must fit {precision}, but is {shown(value)}")
    return number
