"""What SciPy's names are built of: weights along lines, modes that `convnd.convnd` lacks, and sums of empty arrays."""

import operator
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial, reduce
from math import prod
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from . import kernels
from .api import convnd
from .jit.passes import compile_root
from .methods.blocks import Plans, between, block
from .methods.slabs import over_lines, truncate
from .plan import Plan
from .problem.arguments.parse import parse
from .problem.dtypes import real
from .problem.options import Options

_BOUNDARIES: dict[str, Any] = {
    "reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap",
    "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant",
}  # fmt: skip
_TYPES = "?bhilqBHILQfdFD"  # that SciPy filters
_MOST_WEIGHTS = 2**15  # of outer products; axis by axis is faster beyond
_SLAB_BYTES = 2**24  # of slopes whose squares are summed while they are in a cache
_ROUNDING = 1 + 2.0**-49  # a few units in the last place


class Line(NamedTuple):
    """Weights along one axis of the input, to be divided by a number."""

    axis: int
    weights: np.ndarray
    mode: str = "reflect"
    origin: int = 0
    divisor: int = 1


def correlate_axes(
    x: np.ndarray, weights: np.ndarray, axes: Sequence[int], out: np.ndarray, modes: Sequence[Any],
    cval: complex, origins: Sequence[int], workers: int | None, divisor: int = 1, method: Any = "auto",
) -> None:  # fmt: skip
    """Correlate ``x`` with weights along some of its axes into ``out``, which may be ``x``."""
    for array in (x, out):
        if array.dtype.char not in _TYPES:
            raise RuntimeError(f"array type {array.dtype!r} not supported")
    if "c" in (x.dtype.kind, weights.dtype.kind) and out.dtype.kind != "c":
        raise RuntimeError("output must have complex dtype")
    for origin, size in zip(origins, weights.shape):
        if not -(size // 2) <= origin <= (size - 1) // 2:
            raise ValueError("Invalid origin; origin must satisfy -(size // 2) <= origin <= (size-1) // 2")
    check_cval(cval, x)
    if x.size == 0:
        return
    is_inexact = out.dtype.kind in "fc"
    working = real(np.result_type(x, out)) if is_inexact else np.dtype(float)
    working = np.result_type(working, np.complex64) if weights.dtype.kind == "c" else working
    padding = [(n // 2 + origin, (n - 1) // 2 - origin) for n, origin in zip(weights.shape, origins)]
    result = convnd(
        x, (weights / divisor if is_inexact else weights).astype(working), axes=tuple(axes), padding=padding,
        boundary=[_BOUNDARIES[own] for own in modes], fill_value=cval, convention="correlation", workers=workers,
        dtype=None if is_inexact else float, out=out if is_inexact else None, method=method,
    )  # fmt: skip
    if not is_inexact:
        # Rounding may leave a sum just below a whole number, where SciPy's sum, in another order, is that number.
        is_rounded = divisor == 1 and (weights % 1).any()
        truncate(result, out, _ROUNDING if is_rounded else float(divisor), divisor != 1, workers)


def check_mode(mode: Any) -> None:
    """Raise `RuntimeError` where SciPy has no mode of a name."""
    if not isinstance(mode, str) or mode not in _BOUNDARIES:
        raise RuntimeError(f"boundary mode not supported: {mode!r} is none of {', '.join(_BOUNDARIES)}")


def check_cval(cval: complex, x: np.ndarray) -> None:
    """Raise `ValueError` for a complex value outside real samples."""
    if np.iscomplexobj(cval) and x.dtype.kind != "c":
        raise ValueError("Cannot provide a complex-valued cval when the input is real.")


def filtered(
    x: np.ndarray, terms: Sequence[Sequence[Line]], out: np.ndarray, cval: complex, workers: int | None
) -> np.ndarray:
    """Correlate ``x`` along one line after the other, sum over the terms, and return ``out``, which may be ``x``."""
    if not terms or [*terms] == [[]]:
        out[...] = x
        return out
    lines = [line for term in terms for line in term]
    for line in lines:
        check_mode(line.mode)
    joined = _joined(terms, out, cval) if len(lines) > 1 else None
    if joined is not None and len(terms) in (1, len(lines)):  # a sum of long filters is no faster
        method = "separable" if len(terms) == 1 else "auto"
        total = reduce(np.add, joined.filters)
        correlate_axes(x, total, joined.axes, out, joined.modes, cval, joined.origins, workers, method=method)
        return out
    if len(terms) > 1:
        source = x.copy() if np.may_share_memory(x, out) else x
        filtered(source, terms[:1], out, cval, workers)
        for term in terms[1:]:
            out += filtered(source, [term], np.empty_like(out), cval, workers)
        return out
    for axis, weights, mode, origin, divisor in lines:
        correlate_axes(x, weights, (axis,), out, [mode], cval, [origin], workers, divisor)
        x = out
    return out


class _Joined(NamedTuple):
    """Terms as filters of one shape: the products of their lines along the same axes, which are padded alike."""

    axes: list[int]
    filters: list[np.ndarray]
    modes: list[str]
    origins: list[int]


def _joined(terms: Sequence[Sequence[Line]], out: np.ndarray, cval: complex) -> _Joined | None:
    """Return terms as filters, None where one line after the other is rounded, padded otherwise, or faster."""
    lines = [line for term in terms for line in term]
    sizes = {line.axis: max(other.weights.size for other in lines if other.axis == line.axis) for line in lines}
    along, shape = sorted(sizes), [sizes[axis] for axis in sorted(sizes)]
    padded = {line.axis: (line.mode, line.origin) for line in lines}
    is_plain = cval == 0 or not any(line.mode.endswith("constant") for line in lines)
    is_alike = all(padded[line.axis] == (line.mode, line.origin) for line in lines)
    if not (lines and is_plain and is_alike) or out.dtype.kind not in "fc" or prod(shape) * len(terms) > _MOST_WEIGHTS:
        return None
    filters = []
    for term in terms:
        own = {line.axis: line.weights / line.divisor for line in term}
        factors = [own.get(axis, np.ones(1)) for axis in along]
        margins = [np.zeros((n - w.size) // 2) for w, n in zip(factors, shape)]  # `numpy.pad` takes longer
        factors = [np.concatenate([margin, w, margin]) for margin, w in zip(margins, factors)]
        filters.append(reduce(np.multiply.outer, factors))
    modes, origins = zip(*[padded[axis] for axis in along])
    return _Joined(along, filters, [*modes], [*origins])


def length(
    x: np.ndarray, terms: Sequence[Sequence[Line]], out: np.ndarray, cval: complex, workers: int | None
) -> np.ndarray:
    """Return in ``out``, which may be ``x``, the root of the sum of squares of what the terms make of ``x``."""
    joined, x = _joined(terms, out, cval), x.copy() if np.may_share_memory(x, out) else x
    is_real = x.dtype.char in "fd" and out.dtype.char in "fd" and out.dtype.isnative and not np.iscomplexobj(cval)
    if joined is None or not is_real or x.size == 0 or not _BOUNDARIES.keys() >= {*joined.modes}:
        squares = [np.square(filtered(x, [term], np.empty_like(out), cval, workers)) for term in terms]
        return np.sqrt(reduce(np.add, squares), out=out, casting="unsafe")
    along, bank = int(np.argmax(np.abs(x.strides))), np.stack(joined.filters)[:, None].astype(np.result_type(x, out))
    options: dict[str, Any] = {
        "channel_axis": 0, "axes": [axis + 1 for axis in joined.axes], "convention": "correlation", "dtype": out.dtype,
        "padding": [(n // 2, (n - 1) // 2) for n in bank.shape[2:]], "workers": workers,
        "boundary": [_BOUNDARIES[mode] for mode in joined.modes],
    }  # fmt: skip
    root = partial(compile_root, out.dtype.name)
    rows = max(1, _SLAB_BYTES * x.shape[along] // (len(terms) * out.nbytes))
    slopes: np.ndarray | None = None
    if rows >= x.shape[along]:  # by a plan that is remembered
        slopes = convnd(x[None], bank, **options)
        over_lines(root, [out, slopes[0]], np.array([len(terms), slopes.strides[0]]), workers)
        return out
    request, plans = parse(x[None], bank, None, Options(**options)), Plans(Plan)
    for first in range(0, x.shape[along], rows):
        box = [(0, n) for n in request.out_shape]
        box[along + 1] = first, min(first + rows, x.shape[along])
        slab = block(request, box)
        is_new = slopes is None or slopes.shape[along + 1] != box[along + 1][1] - first
        slopes = plans.convolve(slab, slab.read(x[None]), None if is_new else slopes)
        target = between(out, along, *box[along + 1])
        over_lines(root, [target, slopes[0]], np.array([len(terms), slopes.strides[0]]), workers)
    return out


def output_for(output: Any, x: np.ndarray, is_complex: bool = False) -> np.ndarray:
    """Return the array that results go to: a given one, or a new one of a given type or of the input's."""
    if output is None:
        return np.zeros(x.shape, np.promote_types(x.dtype, np.complex64) if is_complex else x.dtype.newbyteorder("="))
    if not isinstance(output, str | type | np.dtype):
        output = np.asarray(output)
        if output.shape != x.shape:
            raise RuntimeError(f"output shape not correct: it is {output.shape}, but the input's is {x.shape}")
        if is_complex and output.dtype.kind != "c":
            raise RuntimeError("output must have complex dtype")
        return output
    kind = np.dtype(output)
    if isinstance(output, str) and not issubclass(kind.type, np.number):
        raise RuntimeError("output must have numeric dtype")
    if is_complex and kind.kind != "c":
        if isinstance(output, str):
            raise RuntimeError("output must have complex dtype")
        import warnings

        warnings.warn("promoting specified output dtype to complex", stacklevel=4)
        kind = np.promote_types(kind, np.complex64)
    return np.zeros(x.shape, kind)


def axes_of(axes: Any, ndim: int) -> tuple[int, ...]:
    """Return axes as whole numbers from 0 up."""
    if axes is None:
        return tuple(range(ndim))
    given: Any = [axes] if np.isscalar(axes) else axes
    if not isinstance(given, Iterable):
        raise ValueError("axes must be an integer, iterable of integers, or None")
    found = [operator.index(axis) for axis in given]
    for axis in found:
        if not -ndim <= axis < ndim:
            raise ValueError(f"specified axis: {axis} is out of range")
    found = [axis % ndim for axis in found]
    if len({*found}) != len(found):
        raise ValueError("axes must be unique")
    return tuple(found)


def each(value: Any, rank: int) -> list[Any]:
    """Return an entry for each axis."""
    entries = list(value) if np.iterable(value) and not isinstance(value, str) else [value] * rank
    if len(entries) != rank:
        raise RuntimeError("sequence argument must have length equal to input rank")
    return entries


def gaussian_line(sigma: float, order: int, truncate: float, radius: int | None) -> np.ndarray:
    """Return the weights of a Gaussian, or of its derivative, along one axis."""
    radius = int(truncate * float(sigma) + 0.5) if radius is None else radius
    if not isinstance(radius, Integral) or radius < 0:
        raise ValueError("Radius must be a nonnegative integer.")
    if order < 0:
        raise ValueError("order must be non-negative")
    return _gaussian_weights(float(sigma), order, float(radius) / sigma if sigma else 0)


@lru_cache(maxsize=64, typed=True)
def _gaussian_weights(sigma: float, order: int, truncate: float) -> np.ndarray:
    weights = kernels.gaussian(sigma, truncate=truncate, order=order)[::-1]
    weights.flags.writeable = False
    return weights


def gaussian_lines(
    ndim: int, sigma: Any, order: Any, mode: Any, truncate: float, radius: Any, axes: Any = None
) -> list[Line]:
    """Return the lines of a Gaussian filter; an axis with a sigma of 0 has none."""
    found = axes_of(axes, ndim)
    entries = zip(found, *(each(value, len(found)) for value in (sigma, order, mode, radius)))
    return [Line(a, gaussian_line(s, n, truncate, r), m) for a, s, n, m, r in entries if s > 1e-15]


def derivative_lines(
    input: Any, sigma: Any, order: int, mode: Any, axes: Any, only: bool, kwargs: dict[str, Any]
) -> tuple[np.ndarray, list[list[Line]]]:
    """Return the input and, for each axis, the lines of a Gaussian that is differentiated along it."""
    x = np.asarray(input)
    along = axes_of(axes, x.ndim)
    if only:  # the other axes are not smoothed
        given = dict(zip(along, each(sigma, len(along))))
        sigma = [given.get(axis, 0) for axis in range(x.ndim)]
    options = {"truncate": 4.0, "radius": None} | kwargs
    orders = [[order * (a == axis) for a in range(x.ndim)] for axis in along]
    return x, [gaussian_lines(x.ndim, sigma, n, m, **options) for n, m in zip(orders, each(mode, len(along)))]


def extended(x: np.ndarray, axis: int, count: int, mode: str) -> np.ndarray:
    """Return samples with as many before and after them along an axis, in a mode that `convnd.convnd` lacks."""
    x = np.moveaxis(x, axis, -1)
    n, ends = x.shape[-1], [(0, 0)] * (x.ndim - 1) + [(count, count)]
    if mode == "antireflect":
        x = np.pad(x, ends, "reflect", reflect_type="odd")
    elif mode == "antisymmetric":
        x = np.pad(x, ends, "symmetric") * (1 - 2 * (np.arange(-count, n + count) // n % 2)).astype(x.dtype)
    else:
        first, last, steps = x[..., :1], x[..., -1:], np.arange(1, count + 1)
        rise, fall = x[..., 1:2] - first, last - x[..., -2:-1]
        if mode == "line":
            rise = fall = (last - first) / max(n - 1, 1)
        x = np.concatenate([first - rise * steps[::-1], x, last + fall * steps], axis=-1, dtype=x.dtype)
    return np.moveaxis(x, -1, axis)


def empty_sums(x: np.ndarray, kernel: np.ndarray, mode: str, dtype: np.dtype) -> np.ndarray:
    """Return the zeros that sums of no products are; a ValueError where their number would be below 0."""
    shape = x.shape if mode == "same" else np.add(x.shape, kernel.shape) - 1
    if mode == "valid":
        shape = np.subtract(x.shape, kernel.shape) + 1
    return np.zeros(shape, dtype)


def has_empty_sums(x: np.ndarray, kernel: np.ndarray, mode: str, method: str) -> bool:
    """Return whether SciPy's `convolve` returns anything for an empty array, and does not raise a ValueError."""
    if x.ndim == 1 and (mode != "same" or x.size >= kernel.size):  # SciPy calls NumPy
        return False
    if method == "auto" and not {x.dtype.kind, kernel.dtype.kind}.isdisjoint("iu"):  # it looks for the largest one
        return False
    if mode == "full" and x.size < kernel.size:
        x, kernel = kernel, x
    # It copies the n samples of an axis into n + k - 1, where one alone may be dropped.
    return mode == "valid" or all(k > 0 or n == 1 for n, k in zip(x.shape, kernel.shape))
