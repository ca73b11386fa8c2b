"""`scipy.signal`'s convolutions over `convnd.convnd`: change the import and nothing else.

Names, signatures, types of results and errors are SciPy's, and every function takes `workers` beside. NumPy's arrays
come out. What differs:

- `fftconvolve` and `oaconvolve` are computed by whichever method is fastest, and NaN and infinity reach the outputs
  whose window touches them, no others. `convolve` and `correlate` take the method that is asked for.
- Sums of whole numbers are exact and wrap around in the result's type, also by transforms.
- Arrays of objects (`decimal.Decimal`) and of long doubles are a TypeError: they have no compiled arithmetic.
"""

import operator
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .api import convnd
from .filters import empty_sums, extended, has_empty_sums
from .problem.arguments.docstrings import complete

__all__ = ["convolve", "convolve2d", "correlate", "correlate2d", "fftconvolve", "oaconvolve", "upfirdn"]

_BOUNDARIES = {
    "fill": "constant", "pad": "constant", "wrap": "wrap", "circular": "wrap",
    "symm": "symmetric", "symmetric": "symmetric",
}  # fmt: skip
_EXTENDED = ("smooth", "line", "antisymmetric", "antireflect")  # modes of `upfirdn` that convnd lacks
_MODES = ("constant", "edge", "reflect", "symmetric", "wrap", *_EXTENDED)


def _convolve(
    x: np.ndarray, kernel: np.ndarray, mode: str, dtype: np.dtype, method: Any, workers: int | None, **options: Any
) -> np.ndarray:
    """Convolve two arrays, in the type that is asked for; whole numbers wrap around there."""
    working = dtype if dtype.kind in "fc" else None
    result = convnd(x, kernel, dtype=working, method=method, workers=workers, **({"padding": mode} | options))
    return result.astype(dtype, copy=False)


def _pair(in1: Any, in2: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both arrays, of one rank."""
    x, kernel = np.asarray(in1), np.asarray(in2)
    if x.ndim != kernel.ndim:
        raise ValueError("in1 and in2 should have the same dimensionality")
    return x, kernel


def _in_order(
    x: np.ndarray, kernel: np.ndarray, mode: str, axes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, bool]:  # fmt: skip
    """Return the array that the window moves over, the other one, and whether they have changed places."""
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"acceptable mode flags are 'valid', 'same', or 'full', but mode is {mode!r}")
    if mode != "valid" or all(x.shape[a] >= kernel.shape[a] for a in axes):
        return x, kernel, False
    if not all(kernel.shape[a] >= x.shape[a] for a in axes):
        raise ValueError("For 'valid' mode, one must be at least as large as the other in every dimension")
    return kernel, x, True


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto", *, workers: int | None = None) -> np.ndarray:
    """Convolve two arrays, `scipy.signal.convolve`.

    >>> signal.convolve([1, 2, 3], [0, 1, 0.5])
    array([0. , 1. , 2.5, 4. , 1.5])
    """
    x, kernel = _pair(in1, in2)
    if x.ndim == 0:
        return x * kernel
    x, kernel, _ = _in_order(x, kernel, mode, range(x.ndim))
    if method not in ("auto", "direct", "fft"):
        raise ValueError("Acceptable method flags are 'auto', 'direct', or 'fft'.")
    dtype = np.result_type(x, kernel)
    if x.size == 0 or kernel.size == 0:
        if method == "fft":
            raise IndexError(f"method 'fft' needs samples, but the arrays have shapes {x.shape} and {kernel.shape}")
        if has_empty_sums(x, kernel, mode, method):
            return empty_sums(x, kernel, mode, dtype)
    return _convolve(x, kernel, mode, dtype, method, workers)


def correlate(
    in1: Any, in2: Any, mode: str = "full", method: str = "auto", *, workers: int | None = None
) -> np.ndarray:
    """Correlate two arrays, of which the second is conjugated, `scipy.signal.correlate`.

    >>> signal.correlate([1, 2, 3], [0, 1, 0.5])
    array([0.5, 2. , 3.5, 3. , 0. ])
    """
    x, kernel = _pair(in1, in2)
    return convolve(x, np.flip(kernel).conj(), mode, method, workers=workers)


def fftconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None, *, workers: int | None = None) -> np.ndarray:
    """Convolve two arrays along some axes, and broadcast the others, `scipy.signal.fftconvolve`.

    >>> signal.fftconvolve([[1, 2, 3], [4, 5, 6]], [[1, 1]], axes=1)
    array([[ 1.,  3.,  5.,  3.],
           [ 4.,  9., 11.,  6.]])
    """
    x, kernel = _pair(in1, in2)
    if x.ndim == 0:
        return x * kernel
    if x.size == 0 or kernel.size == 0:
        return np.array([])
    along = [a for a in sorted(_axes(axes, x.ndim)) if x.shape[a] != 1 and kernel.shape[a] != 1]
    others = [a for a in range(x.ndim) if a not in along]
    if not all(x.shape[a] == kernel.shape[a] or 1 in (x.shape[a], kernel.shape[a]) for a in others):
        raise ValueError(f"incompatible shapes for in1 and in2: {x.shape} and {kernel.shape}")
    x, kernel, _ = _in_order(x, kernel, mode, along)
    shape = np.broadcast_shapes(*([array.shape[a] for a in others] for array in (x, kernel)))
    dtype = np.result_type(*(np.float64 if array.dtype.kind in "biu" else array.dtype for array in (x, kernel)))
    dtype = np.result_type(dtype, np.float32)
    if not along:
        result = x * kernel
    elif prod(kernel.shape[a] for a in others) == 1:  # one kernel for all
        result = _convolve(x, kernel.squeeze(tuple(others)), mode, dtype, "auto", workers, axes=along)
    else:  # each has its own: groups of one channel
        ends = range(len(others))
        x, kernel = (
            np.broadcast_to(np.moveaxis(a, others, ends), (*shape, *(a.shape[axis] for axis in along)))
            for a in (x, kernel)
        )
        count = prod(shape)
        x, kernel = x.reshape(count, *x.shape[len(others) :]), kernel.reshape(count, 1, *kernel.shape[len(others) :])
        result = _convolve(x, kernel, mode, dtype, "auto", workers, channel_axis=0, groups=count)
        result = np.moveaxis(result.reshape(*shape, *result.shape[1:]), ends, others)
    if mode == "same":  # axes along which the kernel is the longer of the two are cut as well
        result = result[tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(result.shape, np.shape(in1)))]
    return result


def oaconvolve(in1: Any, in2: Any, mode: str = "full", axes: Any = None, *, workers: int | None = None) -> np.ndarray:
    """Convolve two arrays along some axes, and broadcast the others, `scipy.signal.oaconvolve`: as `fftconvolve`.

    >>> signal.oaconvolve([1, 2, 3], [1, 1], mode="valid")
    array([3., 5.])
    """
    return fftconvolve(in1, in2, mode, axes, workers=workers)


def _axes(axes: Any, ndim: int) -> list[int]:
    """Return axes as different whole numbers from 0 up."""
    if axes is None:
        return [*range(ndim)]
    try:
        found = [operator.index(axis) for axis in (axes if np.iterable(axes) else [axes])]
    except TypeError:
        raise ValueError("axes must be a scalar or iterable of integers") from None
    if not found:
        raise ValueError("when provided, axes cannot be empty")
    if any(not -ndim <= axis < ndim for axis in found):
        raise ValueError("axes exceeds dimensionality of input")
    found = [axis % ndim for axis in found]
    if len({*found}) != len(found):
        raise ValueError("all axes must be unique")
    return found


def _plane(
    in1: Any, in2: Any, mode: str, boundary: str, fillvalue: Any, workers: int | None, is_convolution: bool
) -> np.ndarray:
    """Convolve or correlate two arrays with two axes; in mode "same" both centre an even kernel at ``(K-1)//2``."""
    x, kernel = np.asarray(in1), np.asarray(in2)
    if not x.ndim == kernel.ndim == 2:
        raise ValueError(f"{'convolve' if is_convolution else 'correlate'}2d inputs must both be 2-D arrays")
    x, kernel, is_swapped = _in_order(x, kernel, mode, (0, 1))
    if boundary not in _BOUNDARIES:
        raise ValueError("Acceptable boundary flags are 'fill', 'circular' (or 'wrap'), and 'symmetric' (or 'symm').")
    dtype, is_filled = np.result_type(x, kernel), _BOUNDARIES[boundary] == "constant"
    fill = _fill(fillvalue, dtype) if is_filled else np.zeros((), dtype)  # else SciPy does not read it
    kernel = kernel if is_convolution else kernel.conj()
    if x.size == 0 or kernel.size == 0:  # what SciPy returns for it
        sums = empty_sums(x, kernel, mode, dtype)
        if is_filled or kernel.size == 0 or sums.size == 0:
            return np.full_like(sums, (kernel * fill).sum(dtype=dtype))
    if dtype.kind == "f" and fill != fill.astype(np.int64):
        kernel = kernel.astype(dtype)  # among whole numbers there would be no fraction
    options: dict[str, Any] = {"boundary": _BOUNDARIES[boundary], "fill_value": fill.item()}
    if is_convolution:
        return _convolve(x, kernel, mode, dtype, "auto", workers, **options)
    if mode == "same":
        options["padding"] = [((k - 1) // 2, k // 2) for k in kernel.shape]
    result = _convolve(x, kernel, mode, dtype, "auto", workers, convention="correlation", **options)
    return result[::-1, ::-1] if is_swapped else result


def _fill(value: Any, dtype: np.dtype) -> np.ndarray:
    """Return a number in a type: an array is cast where that is safe, anything else as NumPy makes an array of it."""
    if np.size(value) != 1:
        raise ValueError("`fillvalue` must be scalar or an array with one element.")
    with suppress(OverflowError, TypeError, ValueError):
        if not isinstance(value, np.ndarray) or np.can_cast(value.dtype, dtype):
            return np.array(value, dtype).reshape(())
    np.array(value, complex)  # raises SciPy's error where it is no number at all
    raise ValueError("could not cast `fillvalue` directly to the output type (it was first converted to complex).")


def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: complex = 0, *,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Convolve two arrays with two axes, `scipy.signal.convolve2d`.

    >>> signal.convolve2d([[1, 2], [3, 4]], [[1, 1]], mode="same", boundary="symm")
    array([[2, 3],
           [6, 7]])
    """
    return _plane(in1, in2, mode, boundary, fillvalue, workers, True)


def correlate2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: complex = 0, *,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Correlate two arrays with two axes, of which the second is conjugated, `scipy.signal.correlate2d`.

    >>> signal.correlate2d([[1, 2], [3, 4]], [[1, 0], [0, 1]], mode="valid")
    array([[5]])
    """
    return _plane(in1, in2, mode, boundary, fillvalue, workers, False)


def upfirdn(
    h: Any, x: Any, up: int = 1, down: int = 1, axis: int = -1, mode: str = "constant", cval: float = 0, *,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Insert zeros, convolve, and take every `down`-th sample along an axis, `scipy.signal.upfirdn`.

    >>> signal.upfirdn([1, 1, 1], [1, 2, 3], up=2)
    array([1., 1., 3., 2., 5., 3., 3.])
    """
    kernel, signal = np.asarray(h), np.asarray(x)
    if kernel.ndim != 1 or kernel.size == 0:
        raise ValueError("h must be 1-D with non-zero length")
    up, down, mode = int(up), int(down), mode.lower()
    if up < 1 or down < 1:
        raise ValueError("Both up and down must be >= 1")
    if mode not in _MODES:
        raise ValueError(f"Unknown mode: {mode}: there are {', '.join(_MODES)}")
    dtype = np.result_type(kernel.dtype, signal.dtype, np.float32)
    kernel, signal = kernel.astype(dtype), signal.astype(dtype, copy=False)
    shape = list(signal.shape)
    shape[axis] = outputs = ((shape[axis] - 1) * up + kernel.size - 1) // down + 1
    if signal.shape[axis] == 0:
        if min(shape) <= 0:
            return np.zeros(shape, dtype)
        if mode != "constant":
            raise ValueError(f"mode {mode!r} extends x by its samples, but axis {axis} of x has none")
        # The fill value stands everywhere: what one sample more leads to beyond the outputs is dropped.
        signal = np.pad(signal, [(0, int(n == 0)) for n in signal.shape], constant_values=cval)
    options: dict[str, Any] = {"axes": axis, "upsample": up, "stride": down, "boundary": mode, "fill_value": cval}
    if mode in _EXTENDED:
        count = -(-(kernel.size - 1) // up)  # samples that reach the outputs, to which the kernel is brought
        if mode == "smooth" and count > 0 and signal.shape[axis] == 1:
            raise ValueError(f"mode 'smooth' extends x by the slope at its ends, but axis {axis} of x has 1 sample")
        signal = extended(signal, axis, count, mode)
        kernel = np.pad(kernel, (0, count * up + 1 - kernel.size))
        options |= {"padding": "valid", "boundary": "constant", "fill_value": 0}
    result = _convolve(signal, kernel, "full", dtype, "auto", workers, **options)
    return result if result.shape[axis] == outputs else np.take(result, range(outputs), axis)


_MEANINGS = {
    "in1": "array_like: Samples.",
    "in2": "array_like: The weights, of as many axes.",
    "h": "array_like: The weights, along one axis.",
    "x": "array_like: Samples.",
    "mode": 'str: Which outputs: "full", "same" or "valid".',
    "method": 'str: How it is computed: "auto", "direct" or "fft".',
    "axes": "int or sequence of int: The axes that are convolved; by default all.",
    "boundary": 'str: What stands outside `in1`: "fill", "wrap" or "symm".',
    "fillvalue": 'scalar: What stands there under "fill".',
    "up": "int: Samples that each becomes, the others being 0.",
    "down": "int: Steps from one output to the next.",
    "axis": "int: The axis that is filtered.",
    "cval": 'scalar: What stands outside `x` in mode "constant".',
    "workers": "int: Threads to use; by default all that the process may run on.",
}
_UPFIRDN = {"mode": "str: What stands outside `x`: " + ", ".join(f'"{mode}"' for mode in _MODES) + "."}
_SETUP = ">>> from convnd import signal"
for _name in __all__:
    _meanings = _MEANINGS | (_UPFIRDN if _name == "upfirdn" else {})
    complete(globals()[_name], _meanings, "TypeError, ValueError\n    Where SciPy raises them.", _SETUP, "The result.")
    globals()[_name] = np.errstate(all="ignore")(globals()[_name])  # small weights may underflow


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers would take any name for one of the module's

    def __getattr__(name: str) -> NoReturn:
        raise AttributeError(f"{__name__} has no {name!r}: of scipy.signal there are {', '.join(__all__)}")
