"""The result: its type, the array ``out`` that receives it, its size in memory, and the errors about all three."""

import math
import sys
from typing import Any

import numpy as np

from . import dtypes, memory
from .arguments.messages import shown
from .request import Request, Traits, dense, memory_order

_TELLING = 1.5  # times the size of x, from which an argument has made the result too large
_MOST_SEARCH = 100_000  #: steps in the search for elements of ``out`` that share memory


def plain_out(out: Any) -> np.ndarray | None:
    """Return ``out`` as a plain `numpy.ndarray`: a subclass may change what shape and strides mean."""
    if out is None:
        return None
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array, but is a {type(out).__name__}")
    if dtypes.is_masked(out):
        raise TypeError("out is a masked array, whose mask would not follow the result: give its data, out.data")
    out = np.asarray(out)
    dtypes.check(out.dtype, "out")
    return out


def result_type(x: np.dtype[Any], kernel: np.dtype[Any], dtype: Any, out: np.ndarray | None) -> np.dtype[Any]:
    """Return the result's type: that of ``dtype``, that of ``out``, or the default for ``x`` and the kernel."""
    result = None if dtype is None else named_type(dtype, "dtype")
    if out is not None:
        if result is not None and result != out.dtype:
            raise ValueError(f"dtype is {result} but out has dtype {out.dtype}")
        result = out.dtype
    if result is None:
        result = dtypes.default_result(x, kernel)
    if "c" in (x.kind, kernel.kind) and result.kind != "c":
        name = "dtype" if out is None else "out"
        raise TypeError(f"{name} is {result}, but the result of {x} x and {kernel} kernel is complex")
    return result


def result_traits(request: Request) -> Traits:
    """Return what a request's result is like where no ``out`` says it: in the memory order of ``x``."""
    order, dropped = memory_order(request.x), request.dropped
    return dense(request.out_shape, request.result, [a - (a > dropped) for a in order if a != dropped])


def check_out(out: np.ndarray | None, shape: tuple[int, ...], result: np.dtype[Any]) -> None:
    """Raise `ValueError` where ``out`` cannot hold a result."""
    if out is None:
        return
    if out.dtype != result:
        raise ValueError(f"out has dtype {out.dtype} but the result has {result}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape} but the result has shape {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    if _overlaps_itself(out):
        raise ValueError(f"out overlaps itself: elements of shape {shape} share memory by its strides {out.strides}")


def check_fits(request: Request, shape: tuple[int, ...]) -> None:
    """Raise `ValueError` where a result of a shape is to be allocated that does not fit in memory."""
    size = 0 if request.out is not None else math.prod(shape) * request.result.itemsize
    if size > memory.total() or max(shape, default=0) > sys.maxsize:
        raise too_large(request)


def too_large(request: Request) -> ValueError:
    """Return the error about a result that does not fit in memory: its size, and the argument that it comes from."""
    shape, dtype, axes = request.out_shape, request.result, request.axes
    growth = {
        "padding": math.prod(1 + (axis.before + axis.after) / axis.positions for axis in axes),
        "upsample": math.prod(axis.positions / axis.length for axis in axes),
        "dtype": dtype.itemsize / request.x_dtype.itemsize,
        "kernel": 1.0 if request.channel_axis is None else request.out_channels / request.x.shape[request.channel_axis],
    }
    name = max(growth, key=lambda own: growth[own])
    cause = f"; {name} makes it {growth[name]:.3g} times as large as x" if growth[name] >= _TELLING else ""
    size = math.prod(shape) * dtype.itemsize / 2**30
    return ValueError(f"the result does not fit in memory: shape {shape} of {dtype} takes {size:.4g} GiB{cause}")


def named_type(dtype: Any, name: str) -> np.dtype[Any]:
    """Return the numeric type that an argument names."""
    try:
        # NumPy also takes None, an array or a number (for its dtype), and abstract types.
        if dtype is None or isinstance(dtype, (np.generic, np.ndarray)) or _is_abstract(dtype):
            raise TypeError
        result = np.dtype(dtype)
        if result.isbuiltin != 2 and result.kind not in "biufc":
            raise TypeError
    except (TypeError, ValueError, DeprecationWarning):
        raise TypeError(f"{name} must name a numeric type, but is {shown(dtype)}") from None
    dtypes.check(result, name)
    return result


def in_type(weights: np.ndarray, dtype: Any) -> np.ndarray:
    """Return weights in the type that the argument ``dtype`` names; None names float64.

    A floating type rounds the weights. Where an integer type would change one, or a floating type overflows, it raises
    `ValueError`.
    """
    result = np.dtype(np.float64) if dtype is None else named_type(dtype, "dtype")
    with np.errstate(all="ignore"):
        typed = weights.astype(result, copy=False)
    lost = typed != weights if dtypes.is_integer(result) else np.isinf(typed) & np.isfinite(weights)
    if lost.any():
        raise ValueError(f"dtype is {result}, which does not hold the weight {weights[lost][0]:.6g}")
    return typed


def _is_abstract(dtype: Any) -> bool:
    return isinstance(dtype, type) and issubclass(dtype, np.generic) and np.dtype(dtype).type is not dtype


def _overlaps_itself(out: np.ndarray) -> bool:
    """Return whether two elements of an array share memory."""
    reach = out.itemsize
    for step, length in sorted((abs(s), n) for s, n in zip(out.strides, out.shape, strict=True) if n > 1):
        if step < reach:
            break
        reach += step * (length - 1)
    else:
        return False
    if out.size == 0:
        return False
    # The axes interleave. Along each axis: does the first element share memory with a later one?
    try:
        for line in (out[(0,) * a] for a in range(out.ndim)):
            if np.shares_memory(line[:1], line[1:], _MOST_SEARCH):  # type: ignore[arg-type]  # any int is a limit
                return True
        return False
    except np.exceptions.TooHardError:
        return True
