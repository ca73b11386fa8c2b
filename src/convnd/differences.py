"""Kernels that take differences: first and second ones, and those that sharpen by them."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np

from .problem.arguments import whole
from .profiles import PerAxis, gaussian_line, number, numbers, outer, per_axis
from .smoothing import gaussian, identity


def laplacian(ndim: int) -> np.ndarray:
    r"""Return the sum of second differences, :math:`\sum_a x[i_a-1] - 2 x[i_a] + x[i_a+1]`: `scipy.ndimage.laplace`.

    Parameters
    ----------
    ndim : int
        The rank.

    Returns
    -------
    ndarray
        3 weights along each axis, which sum to 0: 1 beside the centre and ``-2*ndim`` at it, positive in a valley.

    Raises
    ------
    TypeError, ValueError
        Where `ndim` is not a whole number from 1 up.

    Examples
    --------
    >>> from convnd import kernels
    >>> kernels.laplacian(2)
    array([[ 0.,  1.,  0.],
           [ 1., -4.,  1.],
           [ 0.,  1.,  0.]])
    """
    rank = whole(ndim, "ndim", 1)
    return _sum_over_axes([[1.0, -2.0, 1.0]] * rank, [[0.0, 1.0, 0.0]] * rank)


def laplacian_of_gaussian(sigma: PerAxis, *, truncate: float = 4.0, ndim: int | None = None) -> np.ndarray:
    r"""Return the Laplacian of a Gaussian, :math:`\sum_a d^2 g / dt_a^2`: `scipy.ndimage.gaussian_laplace`.

    Parameters
    ----------
    sigma : float or sequence of float
        Standard deviation of the Gaussian ``g`` (see `gaussian`), in samples; above 0.
    truncate : float, optional
        The radius in standard deviations.
    ndim : int, optional
        The rank, where `sigma` is a number.

    Returns
    -------
    ndarray
        ``2*int(truncate*sigma + 0.5) + 1`` weights along each axis, negative at the centre. Their sum is what the
        truncated tails lack of 0.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong kind or out of range.

    Examples
    --------
    >>> from convnd import kernels
    >>> kernels.laplacian_of_gaussian((1, 1))[3:6, 3:6].round(3)
    array([[ 0.   , -0.097,  0.   ],
           [-0.097, -0.318, -0.097],
           [ 0.   , -0.097,  0.   ]])
    """
    (sigmas,) = per_axis(ndim, sigma=sigma)
    cut, deviations = number(truncate, "truncate"), numbers(sigmas, "sigma")
    second, smooth = ([gaussian_line(s, cut, order) for s in deviations] for order in (2, 0))
    return _sum_over_axes(second, smooth)


def sobel(axis: int = -1, ndim: int = 2) -> np.ndarray:
    """Return a difference along one axis that is smoothed along the others: `scipy.ndimage.sobel`.

    The outer product of ``(1, 0, -1)`` along `axis` and ``(1, 2, 1)`` along every other one.

    Parameters
    ----------
    axis : int, optional
        The axis of the difference.
    ndim : int, optional
        The rank.

    Returns
    -------
    ndarray
        3 weights along each axis, which sum to 0. A slope of 1 along `axis` gives ``2 * 4**(ndim-1)``.

    Raises
    ------
    TypeError, ValueError
        For an `ndim` that is not a whole number from 1 up, or an `axis` that the kernel does not have.

    Examples
    --------
    >>> from convnd import kernels
    >>> kernels.sobel(axis=1, ndim=2)
    array([[ 1.,  0., -1.],
           [ 2.,  0., -2.],
           [ 1.,  0., -1.]])
    """
    return _difference([1.0, 2.0, 1.0], axis, ndim)


def prewitt(axis: int = -1, ndim: int = 2) -> np.ndarray:
    """Return a difference along one axis that is summed along the others: `scipy.ndimage.prewitt`.

    The outer product of ``(1, 0, -1)`` along `axis` and ``(1, 1, 1)`` along every other one.

    Parameters
    ----------
    axis : int, optional
        The axis of the difference.
    ndim : int, optional
        The rank.

    Returns
    -------
    ndarray
        3 weights along each axis, which sum to 0. A slope of 1 along `axis` gives ``2 * 3**(ndim-1)``.

    Raises
    ------
    TypeError, ValueError
        As in `sobel`.

    Examples
    --------
    >>> from convnd import kernels
    >>> kernels.prewitt(axis=0, ndim=2)
    array([[ 1.,  1.,  1.],
           [ 0.,  0.,  0.],
           [-1., -1., -1.]])
    """
    return _difference([1.0, 1.0, 1.0], axis, ndim)


def scharr(axis: int = -1, ndim: int = 2) -> np.ndarray:
    """Return a difference along one axis that is smoothed along the others: `skimage.filters.scharr` of that axis.

    The outer product of ``(1, 0, -1)`` along `axis` and ``(3, 10, 3) / 16`` along every other one. OpenCV has the
    weights 3 and 10 themselves: `cv2.Scharr` is ``16 * scharr(axis, 2)``.

    Parameters
    ----------
    axis : int, optional
        The axis of the difference.
    ndim : int, optional
        The rank.

    Returns
    -------
    ndarray
        3 weights along each axis, which sum to 0. A slope of 1 along `axis` gives 2.

    Raises
    ------
    TypeError, ValueError
        As in `sobel`.

    Examples
    --------
    >>> from convnd import kernels
    >>> 16 * kernels.scharr(axis=1, ndim=2)
    array([[  3.,   0.,  -3.],
           [ 10.,   0., -10.],
           [  3.,   0.,  -3.]])
    """
    return _difference([3 / 16, 10 / 16, 3 / 16], axis, ndim)


def sharpen(ndim: int, amount: float = 1.0) -> np.ndarray:
    """Return `x` less its Laplacian, ``identity - amount * laplacian``.

    Parameters
    ----------
    ndim : int
        The rank.
    amount : float, optional
        How much of the Laplacian is taken away.

    Returns
    -------
    ndarray
        3 weights along each axis, which sum to 1.

    Raises
    ------
    TypeError, ValueError
        For an `ndim` that is not a whole number from 1 up, or an `amount` that is not a finite number.

    Examples
    --------
    >>> from convnd import kernels
    >>> kernels.sharpen(2, 0.5)
    array([[ 0. , -0.5,  0. ],
           [-0.5,  3. , -0.5],
           [ 0. , -0.5,  0. ]])
    """
    return identity(ndim, size=3) - number(amount, "amount", -inf) * laplacian(ndim)


def unsharp_mask(sigma: PerAxis, amount: float = 1.0, *, truncate: float = 4.0, ndim: int | None = None) -> np.ndarray:
    """Return `x` and what a Gaussian takes away from it, ``identity + amount * (identity - gaussian)``.

    It is `skimage.filters.unsharp_mask` with ``radius=sigma``, of floating samples. That function divides whole numbers
    by the largest of their type, unless told ``preserve_range=True``, and clips floating results to -1 and 1 or to 0
    and 1 without it.

    Parameters
    ----------
    sigma : float or sequence of float
        Standard deviation of the Gaussian, in samples.
    amount : float, optional
        How much is added.
    truncate : float, optional
        The Gaussian's radius in standard deviations.
    ndim : int, optional
        The rank, where `sigma` is a number.

    Returns
    -------
    ndarray
        ``2*int(truncate*sigma + 0.5) + 1`` weights along each axis, which sum to 1.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong kind or out of range.

    Examples
    --------
    >>> from convnd import kernels
    >>> kernels.unsharp_mask(1, amount=2, truncate=1).round(3)
    array([-0.548,  2.096, -0.548])
    """
    blur = gaussian(sigma, truncate=truncate, ndim=ndim)
    share = number(amount, "amount", -inf)
    return (1 + share) * identity(blur.ndim, size=blur.shape) - share * blur


def _sum_over_axes(second: Sequence[Any], smooth: Sequence[Any]) -> np.ndarray:
    """Return the sum of outer products in which one axis after the other has its line of `second`."""
    products = [outer([*smooth[:a], second[a], *smooth[a + 1 :]]) for a in range(len(smooth))]
    return np.sum(products, axis=0)


def _difference(smooth: list[float], axis: int, ndim: int) -> np.ndarray:
    """Return the outer product of a difference along one axis and `smooth` along the others."""
    rank = whole(ndim, "ndim", 1)
    index = whole(axis, "axis", -rank)
    if index >= rank:
        raise ValueError(f"axis={axis} is not an axis of a kernel with ndim={rank}")
    lines = [smooth] * rank
    lines[index] = [1.0, 0.0, -1.0]
    return outer(lines)
