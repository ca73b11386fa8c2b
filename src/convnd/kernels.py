"""The usual kernels, at any rank.

They are made for the default ``convention="convolution"``, and with ``padding="same", boundary="symmetric"`` they give
what `scipy.ndimage` gives in its default mode. Derivatives are positive where `x` rises along the axis.

An argument that may differ from axis to axis takes a number for all axes, or a sequence with one entry for each. The
length of the sequence is the rank: ``gaussian((2, 2))`` has two axes. Without a sequence, `ndim` is the rank.
"""

from collections.abc import Sequence
from functools import reduce
from math import cos, hypot, inf, radians, sin
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import DTypeLike

from .problem.arguments.calls import explained
from .problem.arguments.docstrings import complete
from .problem.arguments.messages import shown
from .problem.arguments.names import KERNELS, unknown_name
from .problem.arguments.values import LARGEST, by_axis, is_sequence, number, whole
from .problem.result import in_type

__all__ = [*KERNELS]

Counts = int | Sequence[int]
Numbers = float | Sequence[float]

#: The arguments of the kernels, as docstrings tell them.
_ARGUMENTS = {
    "sigma": "float or sequence of float: Standard deviation in samples; 0 leaves an axis as it is.",
    "fwhm": "float or sequence of float: Full width at half maximum, about 2.355 times `sigma`, in its place.",
    "size": "int or sequence of int: Number of taps.",
    "radius": "float or sequence of float: Radius in samples.",
    "length": "float: Number of samples that are blurred into one, at least 1.",
    "direction": "float or sequence of float: Angle of the line in degrees, or a vector along it, of any length.",
    "axis": "int: Axis of the difference.",
    "amount": "float: Factor in the formula; 0 changes nothing.",
    "truncate": "float: Radius of the Gaussian in standard deviations.",
    "order": "int or sequence of int: Order of the derivative; 0 smooths.",
    "ndim": "int: Rank of the kernel; an argument that is a sequence has one entry for each axis.",
    "dtype": "dtype: Type of the weights. A floating type rounds them; an integer type takes whole numbers alone.",
}
_RAISES = "TypeError, ValueError\n    Where arguments are of the wrong kind, out of range, or do not agree."


def gaussian(
    sigma: Numbers | None = None, *, fwhm: Numbers | None = None, truncate: float = 4.0, order: Counts = 0,
    ndim: int | None = None, dtype: DTypeLike = float,
) -> np.ndarray:  # fmt: skip
    """Return a Gaussian, or a derivative of it: `scipy.ndimage.gaussian_filter`.

    It is the product over the axes of ``exp(-t**2 / (2*sigma**2))`` over the sum of these, or of the derivative of that
    order, for whole numbers ``t`` up to ``int(truncate*sigma + 0.5)``.

    ``2*int(truncate*sigma + 0.5) + 1`` weights along each axis. They sum to 1, or with an order above 0 nearly to 0.

    >>> kernels.gaussian(0.5).round(3)
    array([0.   , 0.106, 0.787, 0.106, 0.   ])
    """
    return in_type(_outer(_gaussians(ndim, sigma, fwhm, truncate, order)), dtype)


def box(size: Counts, *, ndim: int | None = None, dtype: DTypeLike = float) -> np.ndarray:
    """Return the mean over a box, ``w[t] = 1 / prod(size)``: `scipy.ndimage.uniform_filter` for odd sizes.

    Equal weights that sum to 1.

    >>> kernels.box((2, 3)).round(3).tolist()
    [[0.167, 0.167, 0.167], [0.167, 0.167, 0.167]]
    """
    ones = np.ones([whole(s, "size", 1) for s in by_axis(ndim, size=size)[0]])
    return in_type(ones / ones.size, dtype)


def identity(ndim: int = 1, *, size: Counts = 1, dtype: DTypeLike = float) -> np.ndarray:
    """Return the kernel that changes nothing with ``padding="same"``: 1 at its centre ``(size-1)//2``, 0 around it.

    Weights that sum to 1, for sums with other kernels.

    >>> (9 * kernels.identity(2, size=3, dtype=int) - 1).tolist()
    [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
    """
    kernel = np.zeros([whole(s, "size", 1) for s in by_axis(ndim, size=size)[0]])
    kernel[tuple((s - 1) // 2 for s in kernel.shape)] = 1
    return in_type(kernel, dtype)


def disk(radius: Numbers, ndim: int | None = None, *, dtype: DTypeLike = float) -> np.ndarray:
    """Return the mean over a disk, a ball or an ellipsoid: where the sum over the axes of ``(t / radius)**2 <= 1``.

    A number makes a disk, of two axes, unless `ndim` differs. `skimage.morphology.disk` and `ball` are its support.

    ``2*int(radius) + 1`` weights along each axis, equal inside and 0 outside, which sum to 1.

    >>> kernels.disk(1).tolist()
    [[0.0, 0.2, 0.0], [0.2, 0.2, 0.2], [0.0, 0.2, 0.0]]
    """
    (entries,) = by_axis(2 if ndim is None and not is_sequence(radius) else ndim, radius=radius)
    radii = [number(r, "radius") for r in entries]
    largest = max(radii)
    lines = [np.arange(-int(r), int(r) + 1) * (largest / (r or 1)) for r in radii]
    inside: np.ndarray = sum(grid**2 for grid in np.ix_(*lines)) <= largest**2  # type: ignore[assignment]
    return in_type(inside / inside.sum(), dtype)


def motion_blur(length: float, direction: Numbers = 0.0, *, dtype: DTypeLike = float) -> np.ndarray:
    """Return the mean along a straight line, as a moving camera takes it: MATLAB's ``fspecial("motion")``.

    Weights are as ``max(0, 1 - d)``, where ``d`` is the distance from the line of ``length - 1`` samples' spacings
    through the centre. An angle is for images: counterclockwise from the last axis, where the first axis points down.

    Symmetric weights that sum to 1, without a border of zeros.

    >>> kernels.motion_blur(3, (1, -1)).round(2).tolist()
    [[0.0, 0.09, 0.18], [0.09, 0.3, 0.09], [0.18, 0.09, 0.0]]
    """
    half = (number(length, "length", 1) - 1) / 2
    if is_sequence(direction):
        vector = np.array([number(v, "direction", -inf) for v in by_axis(None, direction=direction)[0]])
    else:
        angle = radians(number(direction, "direction", -inf))
        vector = np.array([-sin(angle), cos(angle)])
    if not vector.any():
        raise ValueError(f"direction must have an entry that is not 0, but is {shown(direction)}")
    unit = vector / hypot(*vector)
    reach = [int(half * abs(u)) + 1 for u in unit]
    grid = np.stack(np.meshgrid(*(np.arange(-r, r + 1.0) for r in reach), indexing="ij"), axis=-1)
    nearest = np.clip(grid @ unit, -half, half)[..., None] * unit
    weights = np.maximum(0, 1 - np.sqrt(((grid - nearest) ** 2).sum(axis=-1)))
    weights[weights < 1e-12] = 0  # rounding
    weights = weights[tuple(slice(i.min(), i.max() + 1) for i in np.nonzero(weights))]
    return in_type(weights / weights.sum(), dtype)


def laplacian(ndim: int, *, dtype: DTypeLike = float) -> np.ndarray:
    """Return the sum over the axes of second differences, ``x[i-1] - 2*x[i] + x[i+1]``: `scipy.ndimage.laplace`.

    3 weights along each axis, which sum to 0: 1 beside the centre and ``-2*ndim`` at it.

    >>> kernels.laplacian(2, dtype=int).tolist()
    [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    """
    rank = whole(ndim, "ndim", 1)
    return in_type(_sum_over_axes([[1.0, -2.0, 1.0]] * rank, [[0.0, 1.0, 0.0]] * rank), dtype)


def laplacian_of_gaussian(
    sigma: Numbers | None = None, *, fwhm: Numbers | None = None, truncate: float = 4.0, ndim: int | None = None,
    dtype: DTypeLike = float,
) -> np.ndarray:  # fmt: skip
    """Return the Laplacian of a Gaussian, its sum of second derivatives: `scipy.ndimage.gaussian_laplace`.

    ``g`` is a `gaussian` with `sigma` above 0.

    ``2*int(truncate*sigma + 0.5) + 1`` weights along each axis, negative at the centre. They sum nearly to 0.

    >>> kernels.laplacian_of_gaussian(0.5).round(2)
    array([ 0.02,  1.28, -3.15,  1.28,  0.02])
    """
    second, smooth = (_gaussians(ndim, sigma, fwhm, truncate, order) for order in (2, 0))
    return in_type(_sum_over_axes(second, smooth), dtype)


def sobel(axis: int = -1, ndim: int = 2, *, dtype: DTypeLike = float) -> np.ndarray:
    """Return the outer product of (1, 0, -1) along `axis` and (1, 2, 1) along all others: `scipy.ndimage.sobel`.

    3 weights along each axis, which sum to 0. A slope of 1 along `axis` gives ``2 * 4**(ndim-1)``.

    >>> kernels.sobel(axis=1, dtype=int).tolist()
    [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    """
    return _difference([1.0, 2.0, 1.0], axis, ndim, dtype)


def prewitt(axis: int = -1, ndim: int = 2, *, dtype: DTypeLike = float) -> np.ndarray:
    """Return the outer product of (1, 0, -1) along `axis` and (1, 1, 1) along all others: `scipy.ndimage.prewitt`.

    3 weights along each axis, which sum to 0. A slope of 1 along `axis` gives ``2 * 3**(ndim-1)``.

    >>> kernels.prewitt(axis=0, dtype=int).tolist()
    [[1, 1, 1], [0, 0, 0], [-1, -1, -1]]
    """
    return _difference([1.0, 1.0, 1.0], axis, ndim, dtype)


def scharr(axis: int = -1, ndim: int = 2, *, dtype: DTypeLike = float) -> np.ndarray:
    """Return the outer product of (1, 0, -1) along `axis` and (3, 10, 3) / 16 along all others.

    It is `skimage.filters.scharr` along one axis, and ``16 * scharr(axis, 2)`` is `cv2.Scharr`.

    3 weights along each axis, which sum to 0. A slope of 1 along `axis` gives 2.

    >>> (16 * kernels.scharr(axis=1)).tolist()
    [[3.0, 0.0, -3.0], [10.0, 0.0, -10.0], [3.0, 0.0, -3.0]]
    """
    return _difference([3 / 16, 10 / 16, 3 / 16], axis, ndim, dtype)


def sharpen(ndim: int, amount: float = 1.0, *, dtype: DTypeLike = float) -> np.ndarray:
    """Return `x` less its Laplacian, ``identity - amount * laplacian``.

    3 weights along each axis, which sum to 1.

    >>> kernels.sharpen(2, 0.5).tolist()
    [[0.0, -0.5, 0.0], [-0.5, 3.0, -0.5], [0.0, -0.5, 0.0]]
    """
    return in_type(identity(ndim, size=3) - number(amount, "amount", -inf) * laplacian(ndim), dtype)


def unsharp_mask(
    sigma: Numbers | None = None,
    amount: float = 1.0,
    *,
    fwhm: Numbers | None = None,
    truncate: float = 4.0,
    ndim: int | None = None,
    dtype: DTypeLike = float,
) -> np.ndarray:
    """Return `x` and what a Gaussian takes away from it, ``identity + amount * (identity - gaussian)``.

    It is `skimage.filters.unsharp_mask` with ``radius=sigma`` and ``preserve_range=True``.

    ``2*int(truncate*sigma + 0.5) + 1`` weights along each axis, which sum to 1.

    >>> kernels.unsharp_mask(1, amount=2, truncate=1).round(3)
    array([-0.548,  2.096, -0.548])
    """
    blur = gaussian(sigma, fwhm=fwhm, truncate=truncate, ndim=ndim)
    factor = number(amount, "amount", -inf)
    return in_type((1 + factor) * identity(blur.ndim, size=blur.shape) - factor * blur, dtype)


def _gaussians(
    ndim: int | None, sigma: Numbers | None, fwhm: Numbers | None, truncate: float, order: Counts
) -> list[np.ndarray]:
    """Return a line of weights for each axis: the derivative of that order of a sampled Gaussian."""
    if (sigma is None) == (fwhm is None):
        raise TypeError(
            f"sigma or fwhm must be given, and not both, but sigma is {shown(sigma)} and fwhm {shown(fwhm)}"
        )
    name, given, per_sigma = ("sigma", sigma, 1.0) if fwhm is None else ("fwhm", fwhm, float(np.sqrt(8 * np.log(2))))
    widths, orders = by_axis(ndim, **{name: given, "order": order})
    cut = number(truncate, "truncate")
    orders = [whole(n, "order", 0) for n in orders]
    return [_line(w / per_sigma, cut, n) for w, n in zip([number(w, name) for w in widths], orders, strict=True)]


def _line(sigma: float, truncate: float, order: int) -> np.ndarray:
    """Return ``(-1/sigma)^n He_n(t/sigma) g(t)``, the n-th derivative of a Gaussian ``g`` by Hermite's polynomials."""
    if sigma == 0:
        if order:
            raise ValueError(f"sigma must be above 0 for a derivative, but is 0 with order {order}")
        return np.ones(1)
    radius = int(truncate * sigma + 0.5)
    steps = np.arange(-radius, radius + 1) / sigma
    bell = np.exp(-0.5 * steps**2)
    polynomial = np.polynomial.hermite_e.hermeval(steps, [0] * order + [1])
    return (-1 / sigma) ** order * polynomial * (bell / bell.sum())


def _outer(lines: Sequence[Any]) -> np.ndarray:
    """Return the outer product of lines of weights, one for each axis."""
    return reduce(np.multiply.outer, map(np.asarray, lines))


def _sum_over_axes(second: Sequence[Any], smooth: Sequence[Any]) -> np.ndarray:
    """Return the sum of outer products in which one axis after the other has its line of ``second``."""
    return np.sum([_outer([*smooth[:a], second[a], *smooth[a + 1 :]]) for a in range(len(smooth))], axis=0)


def _difference(smooth: list[float], axis: int, ndim: int, dtype: DTypeLike) -> np.ndarray:
    """Return the outer product of a difference along one axis and ``smooth`` along the others."""
    rank = whole(ndim, "ndim", 1)
    index = whole(axis, "axis", -LARGEST)
    if not -rank <= index < rank:
        raise ValueError(
            f"axis={axis} needs ndim={max(index + 1, -index)} at least, the number of axes of x, but ndim is {rank}"
        )
    return in_type(_outer([[1.0, 0.0, -1.0] if a == index % rank else smooth for a in range(rank)]), dtype)


for _name in __all__:
    complete(globals()[_name], _ARGUMENTS, _RAISES, ">>> from convnd import kernels")
    globals()[_name] = np.errstate(all="ignore")(explained(globals()[_name]))  # small weights may underflow


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers would take any name for one of the module's

    def __getattr__(name: str) -> NoReturn:
        raise unknown_name(__name__, name, KERNELS)
