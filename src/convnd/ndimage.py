"""`scipy.ndimage`'s linear filters over `convnd.convnd`: change the import and nothing else.

Names, signatures, types of results and errors are SciPy's, and every function takes `workers` beside. NumPy's arrays
come out. What differs:

- Floating results are rounded once. SciPy computes in double precision and rounds after each axis; here float32 samples
  are summed in float32 where the result is float32, so that results differ by some units in the last place.
- Whole numbers are truncated after each axis as in SciPy: 99.99 becomes 99. A sum that is a whole number but for
  rounding is taken for that number. Uniform filters, and weights that are whole numbers, give SciPy's results exactly.
- `output` may be the input everywhere, and a bool of it says whether the truncated result is not 0.
- A weight of 0 is a weight: NaN and infinity under it reach the output. SciPy's `correlate` and `convolve` skip
  weights up to 2.2e-16. In uniform filters NaN stays in its windows, where SciPy's running sum carries it on.
- Origins and sigmas belong to `axes` as these are given. Where they are all axes in another order, SciPy takes origins,
  and the sigmas of Laplacians, in the order of the array's axes.
"""

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .filters import (
    Line,
    axes_of,
    check_cval,
    check_mode,
    correlate_axes,
    derivative_lines,
    each,
    filtered,
    gaussian_line,
    gaussian_lines,
    length,
    output_for,
)  # fmt: skip
from .problem.arguments.docstrings import complete

__all__ = [
    "convolve", "convolve1d", "correlate", "correlate1d", "gaussian_filter", "gaussian_filter1d",
    "gaussian_gradient_magnitude", "gaussian_laplace", "laplace", "prewitt", "sobel", "uniform_filter",
    "uniform_filter1d",
]  # fmt: skip


def _difference(
    input: Any, smooth: list[int], axis: int, output: Any, mode: Any, cval: complex, workers: int | None
) -> np.ndarray:
    """Return a difference along one axis that is smoothed along the others."""
    x = np.asarray(input)
    axis = normalize_axis_index(axis, x.ndim)
    out, modes = output_for(output, x), each(mode, x.ndim)
    others = [Line(a, np.array(smooth, float), modes[a]) for a in range(x.ndim) if a != axis]
    return filtered(x, [[Line(axis, np.array([-1.0, 0, 1]), modes[axis]), *others]], out, cval, workers)


def _dense(
    input: Any, weights: Any, output: Any, mode: Any, cval: complex, origin: Any, axes: Any, workers: int | None,
    is_convolution: bool,
) -> np.ndarray:  # fmt: skip
    """Correlate or convolve with weights along several axes; as in NumPy, correlation conjugates them."""
    x, w = np.asarray(input), np.asarray(weights)
    out = output_for(output, x, "c" in (x.dtype.kind, w.dtype.kind))
    along = axes_of(axes, x.ndim)
    w = w.astype(np.complex128 if w.dtype.kind == "c" else np.float64)
    if w.ndim != len(along) or 0 in w.shape:
        rank = sum(size > 0 for size in w.shape)
        raise RuntimeError(f"weights.ndim ({rank}) must match len(axes) ({len(along)})")
    origins = [o for _, o in sorted(zip(along, each(origin, len(along))))]
    if is_convolution:
        w = w[(slice(None, None, -1),) * w.ndim]
        origins = [-o - (size % 2 == 0) for o, size in zip(origins, w.shape)]
    else:
        w = w.conj()
    check_mode(mode)
    correlate_axes(x, w, sorted(along), out, [mode] * w.ndim, cval, origins, workers)
    return out


def _along_axis(
    input: Any, weights: Any, axis: int, output: Any, mode: Any, cval: complex, origin: Any, workers: int | None,
    is_convolution: bool,
) -> np.ndarray:  # fmt: skip
    """Correlate or convolve with weights along one axis."""
    x, w = np.asarray(input), np.asarray(weights)
    check_cval(cval, x)
    axis = normalize_axis_index(axis, x.ndim)
    if w.ndim != 1 or w.size == 0:
        raise RuntimeError("no filter weights given")
    return _dense(x, w, output, mode, cval, origin, axis, workers, is_convolution)


def correlate(
    input: Any, weights: Any, output: Any = None, mode: str = "reflect", cval: complex = 0.0, origin: Any = 0, *,
    axes: Any = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Correlate an array with weights, `scipy.ndimage.correlate`.

    >>> ndimage.correlate([0, 0, 1, 0, 0], [1, 2, 3])
    array([0, 3, 2, 1, 0])
    """
    return _dense(input, weights, output, mode, cval, origin, axes, workers, False)


def convolve(
    input: Any, weights: Any, output: Any = None, mode: str = "reflect", cval: complex = 0.0, origin: Any = 0, *,
    axes: Any = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Convolve an array with weights, `scipy.ndimage.convolve`.

    >>> ndimage.convolve([0, 0, 1, 0, 0], [1, 2, 3])
    array([0, 1, 2, 3, 0])
    """
    return _dense(input, weights, output, mode, cval, origin, axes, workers, True)


def correlate1d(
    input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: complex = 0.0,
    origin: int = 0, *, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Correlate an array along an axis, `scipy.ndimage.correlate1d`.

    >>> ndimage.correlate1d([0, 0, 1, 0, 0], [1, 2, 3])
    array([0, 3, 2, 1, 0])
    """
    return _along_axis(input, weights, axis, output, mode, cval, origin, workers, False)


def convolve1d(
    input: Any, weights: Any, axis: int = -1, output: Any = None, mode: str = "reflect", cval: complex = 0.0,
    origin: int = 0, *, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Convolve an array along an axis, `scipy.ndimage.convolve1d`.

    >>> ndimage.convolve1d([0, 0, 1, 0, 0], [1, 2, 3])
    array([0, 1, 2, 3, 0])
    """
    return _along_axis(input, weights, axis, output, mode, cval, origin, workers, True)


def gaussian_filter1d(
    input: Any, sigma: float, axis: int = -1, order: int = 0, output: Any = None, mode: str = "reflect",
    cval: complex = 0.0, truncate: float = 4.0, *, radius: int | None = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Smooth an array along an axis by a Gaussian or its derivative, `scipy.ndimage.gaussian_filter1d`.

    >>> ndimage.gaussian_filter1d([0.0, 0, 100, 0, 0], 1).round(1)
    array([ 5.8, 24.2, 39.9, 24.2,  5.8])
    """
    return _along_axis(
        input, gaussian_line(sigma, order, truncate, radius), axis, output, mode, cval, 0, workers, False
    )


def gaussian_filter(
    input: Any, sigma: Any, order: Any = 0, output: Any = None, mode: Any = "reflect", cval: complex = 0.0,
    truncate: float = 4.0, *, radius: Any = None, axes: Any = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Smooth an array by a Gaussian or its derivatives, `scipy.ndimage.gaussian_filter`.

    >>> ndimage.gaussian_filter(np.eye(3), 1).round(2)[0]
    array([0.5 , 0.33, 0.17])
    """
    x = np.asarray(input)
    lines = gaussian_lines(x.ndim, sigma, order, mode, truncate, radius, axes)
    return filtered(x, [lines], output_for(output, x), cval, workers)


def gaussian_laplace(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: complex = 0.0, *,
    axes: Any = None, workers: int | None = None, **kwargs: Any,
) -> np.ndarray:  # fmt: skip
    """Return the Laplacian of an array that a Gaussian smooths, `scipy.ndimage.gaussian_laplace`.

    >>> ndimage.gaussian_laplace([0.0, 0, 100, 0, 0], 1).round(1)
    array([ 19.7,   0.2, -39.9,   0.2,  19.7])
    """
    x, terms = derivative_lines(input, sigma, 2, mode, axes, True, kwargs)
    return filtered(x, terms, output_for(output, x), cval, workers)


def gaussian_gradient_magnitude(
    input: Any, sigma: Any, output: Any = None, mode: Any = "reflect", cval: complex = 0.0, *,
    axes: Any = None, workers: int | None = None, **kwargs: Any,
) -> np.ndarray:  # fmt: skip
    """Return the length of the gradient of an array that a Gaussian smooths, as SciPy's function of that name.

    >>> ndimage.gaussian_gradient_magnitude([0.0, 0, 0, 100, 100, 100], 1).round(1)
    array([ 1.3, 12.2, 36.4, 36.4, 12.2,  1.3])
    """
    x, terms = derivative_lines(input, sigma, 1, mode, axes, False, kwargs)
    out = output_for(output, x)
    return (length if terms else filtered)(x, terms, out, cval, workers)


def laplace(
    input: Any, output: Any = None, mode: Any = "reflect", cval: complex = 0.0, *, axes: Any = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Return the sum of second differences along the axes, `scipy.ndimage.laplace`.

    >>> ndimage.laplace([0, 0, 1, 0, 0])
    array([ 0,  1, -2,  1,  0])
    """
    x = np.asarray(input)
    along = axes_of(axes, x.ndim)
    terms = [[Line(axis, np.array([1.0, -2, 1]), m)] for axis, m in zip(along, each(mode, len(along)))]
    return filtered(x, terms, output_for(output, x), cval, workers)


def sobel(
    input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: complex = 0.0, *,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Return a difference along an axis, smoothed by (1, 2, 1) along the others, `scipy.ndimage.sobel`.

    >>> ndimage.sobel([[0, 0, 1, 1]] * 3)[0]
    array([0, 4, 4, 0])
    """
    return _difference(input, [1, 2, 1], axis, output, mode, cval, workers)


def prewitt(
    input: Any, axis: int = -1, output: Any = None, mode: Any = "reflect", cval: complex = 0.0, *,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Return a difference along an axis, smoothed by (1, 1, 1) along the others, `scipy.ndimage.prewitt`.

    >>> ndimage.prewitt([[0, 0, 1, 1]] * 3)[0]
    array([0, 3, 3, 0])
    """
    return _difference(input, [1, 1, 1], axis, output, mode, cval, workers)


def uniform_filter1d(
    input: Any, size: int, axis: int = -1, output: Any = None, mode: str = "reflect", cval: complex = 0.0,
    origin: int = 0, *, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Return means along an axis, `scipy.ndimage.uniform_filter1d`.

    >>> ndimage.uniform_filter1d([0.0, 0, 3, 0, 0], 3)
    array([0., 1., 1., 1., 0.])
    """
    x = np.asarray(input)
    if size < 1:
        raise RuntimeError("incorrect filter size")
    line = Line(normalize_axis_index(axis, x.ndim), np.ones(size), mode, origin, size)
    return filtered(x, [[line]], output_for(output, x, x.dtype.kind == "c"), cval, workers)


def uniform_filter(
    input: Any, size: Any = 3, output: Any = None, mode: Any = "reflect", cval: complex = 0.0, origin: Any = 0, *,
    axes: Any = None, workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Return means over boxes, `scipy.ndimage.uniform_filter`.

    >>> ndimage.uniform_filter([0.0, 0, 9, 0, 0])
    array([0., 3., 3., 3., 0.])
    """
    x = np.asarray(input)
    along = axes_of(axes, x.ndim)
    entries = zip(along, *(each(value, len(along)) for value in (size, origin, mode)))
    lines = [Line(a, np.ones(int(n)), m, o, int(n)) for a, n, o, m in entries if n > 1]
    return filtered(x, [lines], output_for(output, x, x.dtype.kind == "c"), cval, workers)


_MEANINGS = {
    "input": "array_like: Samples, of any type that SciPy takes.",
    "weights": "array_like: The weights: along one axis, or with one axis for each that is filtered.",
    "sigma": "float or sequence of float: Standard deviation in samples; 0 leaves an axis as it is.",
    "order": "int or sequence of int: Order of the derivative; 0 smooths.",
    "size": "int or sequence of int: Samples that a mean is taken of.",
    "axis": "int: The axis that is filtered, or along which the difference is taken.",
    "output": "ndarray or dtype: Where the result goes, or its type; by default that of `input`.",
    "mode": "str: What stands outside `input`; one for each axis where SciPy takes a sequence.",
    "cval": 'scalar: What stands there in mode "constant".',
    "origin": "int or sequence of int: Samples by which the window is moved.",
    "truncate": "float: Radius of the Gaussian in standard deviations.",
    "radius": "int or sequence of int: Radius of the Gaussian in samples, in place of `truncate`.",
    "axes": "int or sequence of int: The axes that are filtered; by default all.",
    "workers": "int: Threads to use; by default all that the process may run on.",
    "kwargs": "dict: The arguments `truncate` and `radius` of `gaussian_filter`.",
}
_RETURNS = "The result, of the shape of `input`; `output` where that is an array."
_RAISES = "RuntimeError, TypeError, ValueError\n    Where SciPy raises them."
for _name in __all__:
    complete(globals()[_name], _MEANINGS, _RAISES, ">>> import numpy as np\n>>> from convnd import ndimage", _RETURNS)
    globals()[_name] = np.errstate(all="ignore")(globals()[_name])  # small weights may underflow


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers would take any name for one of the module's

    def __getattr__(name: str) -> NoReturn:
        raise AttributeError(f"{__name__} has no {name!r}: of scipy.ndimage there are {', '.join(__all__)}")
