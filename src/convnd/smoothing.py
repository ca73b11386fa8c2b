"""Kernels that average: Gaussians with their derivatives, boxes, disks and lines, and the one that changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, hypot, inf, radians, sin

import numpy as np

from .problem.arguments import is_sequence, whole
from .problem.messages import shown
from .profiles import PerAxis, gaussian_line, number, numbers, outer, per_axis


def gaussian(
    sigma: PerAxis, *, truncate: float = 4.0, order: int | Sequence[int] = 0, ndim: int | None = None
) -> np.ndarray:
    r"""Return a Gaussian, or a derivative of it: `scipy.ndimage.gaussian_filter`.

    .. math:: w[t] = \prod_a \frac{d^{n_a}}{dt_a^{n_a}} g_a(t_a), \qquad
              g_a(t) = e^{-t^2 / 2 \sigma_a^2} \Big/ \sum_s e^{-s^2 / 2 \sigma_a^2}

    for whole ``t`` and ``s`` up to the radius ``int(truncate*sigma + 0.5)``, with :math:`n_a` the order along axis
    ``a``.

    Parameters
    ----------
    sigma : float or sequence of float
        Standard deviation, in samples; 0 leaves an axis as it is.
    truncate : float, optional
        The radius in standard deviations.
    order : int or sequence of int, optional
        Which derivative, along every axis or along each: 0 smooths.
    ndim : int, optional
        The rank, where no sequence tells it.

    Returns
    -------
    ndarray
        ``2*int(truncate*sigma + 0.5) + 1`` weights along each axis. They sum to 1; with an odd order to 0, and with an
        even one to what the truncated tails lack of 0.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong kind or out of range, a derivative along an axis with ``sigma`` 0 among them.

    Examples
    --------
    >>> import numpy as np
    >>> from convnd import convnd, kernels
    >>> kernels.gaussian(0.5).round(3)
    array([0.   , 0.106, 0.787, 0.106, 0.   ])
    >>> kernels.gaussian((2, 1, 1)).shape
    (17, 9, 9)
    >>> slope = convnd(np.arange(30.0), kernels.gaussian(1.5, order=1))
    >>> slope[:3].round(3)
    array([1., 1., 1.])
    """
    sigmas, orders = per_axis(ndim, sigma=sigma, order=order)
    cut = number(truncate, "truncate")
    orders = [whole(n, "order", 0) for n in orders]
    return outer([gaussian_line(s, cut, n) for s, n in zip(numbers(sigmas, "sigma"), orders, strict=True)])


def box(size: int | Sequence[int], *, ndim: int | None = None) -> np.ndarray:
    """Return the mean over a box, ``w[t] = 1 / prod(size)``: `scipy.ndimage.uniform_filter` for odd sizes.

    Parameters
    ----------
    size : int or sequence of int
        Samples along every axis or along each.
    ndim : int, optional
        The rank, where `size` is a number.

    Returns
    -------
    ndarray
        Equal weights that sum to 1.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong kind or below 1.

    Examples
    --------
    >>> from convnd import kernels
    >>> kernels.box((2, 4))
    array([[0.125, 0.125, 0.125, 0.125],
           [0.125, 0.125, 0.125, 0.125]])
    """
    (sizes,) = per_axis(ndim, size=size)
    ones = np.ones([whole(s, "size", 1) for s in sizes])
    return ones / ones.size


def identity(ndim: int = 1, *, size: int | Sequence[int] = 1) -> np.ndarray:
    """Return the kernel that changes nothing with ``padding="same"``: 1 at the centre ``(size-1)//2``, 0 elsewhere.

    Parameters
    ----------
    ndim : int, optional
        The rank.
    size : int or sequence of int, optional
        Samples along every axis or along each, for sums with other kernels.

    Returns
    -------
    ndarray
        Weights that sum to 1.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong kind or below 1.

    Examples
    --------
    >>> from convnd import kernels
    >>> 2 * kernels.identity(2, size=3) - kernels.box((3, 3)).round(2)
    array([[-0.11, -0.11, -0.11],
           [-0.11,  1.89, -0.11],
           [-0.11, -0.11, -0.11]])
    """
    (sizes,) = per_axis(ndim, size=size)
    kernel = np.zeros([whole(s, "size", 1) for s in sizes])
    kernel[tuple((s - 1) // 2 for s in kernel.shape)] = 1
    return kernel


def disk(radius: PerAxis, ndim: int | None = None) -> np.ndarray:
    r"""Return the mean over a disk, a ball or an ellipsoid: over :math:`\sum_a (t_a / r_a)^2 \le 1`.

    `skimage.morphology.disk` and `ball` hold 1 where its weights are above 0.

    Parameters
    ----------
    radius : float or sequence of float
        In samples, along every axis or along each.
    ndim : int, optional
        The rank where `radius` is a number: 2 by default.

    Returns
    -------
    ndarray
        ``2*int(radius) + 1`` weights along each axis, which sum to 1: equal ones, and 0 outside.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong kind or out of range.

    Examples
    --------
    >>> from convnd import kernels
    >>> kernels.disk(1)
    array([[0. , 0.2, 0. ],
           [0.2, 0.2, 0.2],
           [0. , 0.2, 0. ]])
    """
    (given,) = per_axis(2 if ndim is None and not is_sequence(radius) else ndim, radius=radius)
    radii = [number(r, "radius") for r in given]
    largest = max(radii)
    lines = [np.arange(-int(r), int(r) + 1) * (largest / (r or 1)) for r in radii]
    inside: np.ndarray = sum(grid**2 for grid in np.ix_(*lines)) <= largest**2  # type: ignore[assignment]
    return inside / inside.sum()


def motion_blur(length: float, direction: PerAxis = 0.0) -> np.ndarray:
    r"""Return the mean along a straight line, as a camera that moves takes it: MATLAB's ``fspecial("motion")``.

    .. math:: w[t] \propto \max(0, 1 - d(t))

    with ``d`` the distance from the line of ``length - 1`` samples' spacings through the centre.

    Parameters
    ----------
    length : float
        Samples that are blurred into one; 1 at least.
    direction : sequence of float, or float, optional
        A vector along the line, with one entry for each axis, of any length. Or an angle for images, in degrees:
        counterclockwise from the last axis, the first pointing down.

    Returns
    -------
    ndarray
        Symmetric weights that sum to 1, without a border of zeros.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong kind or out of range.

    Examples
    --------
    >>> from convnd import kernels
    >>> kernels.motion_blur(5)
    array([[0.2, 0.2, 0.2, 0.2, 0.2]])
    >>> kernels.motion_blur(3, (1, -1)).round(2)
    array([[0.  , 0.09, 0.18],
           [0.09, 0.3 , 0.09],
           [0.18, 0.09, 0.  ]])
    """
    half = (number(length, "length", 1) - 1) / 2
    if is_sequence(direction):
        (given,) = per_axis(None, direction=direction)
        vector = np.array([number(v, "direction", -inf) for v in given])
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
    there = np.nonzero(weights)
    weights = weights[tuple(slice(i.min(), i.max() + 1) for i in there)]
    return weights / weights.sum()
