"""Convolution commutes: a kernel that is much longer than ``x`` takes its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import dtypes
from .axis import Axis
from .boundary import CONSTANT
from .request import Request

_LONGER = 2  # times x, that a kernel must be worth the exchange


def exchanged(request: Request, out: np.ndarray) -> Request | None:
    """Return the request whose ``x`` is the kernel and whose kernel is ``x``, or None where they do not commute.

    Zeros stand outside both, no position is left out, and all axes take part. The full convolution is the same then,
    of which the result is a section. Floating sums may round differently, so that only "auto" exchanges them. The two
    differ where an infinity or NaN meets the zeros outside, which the caller looks for.
    """
    x, kernel = request.x, request.kernel
    is_exact = dtypes.is_integer(x.dtype) and dtypes.is_integer(kernel.dtype)
    if (
        request.channel_axis is not None
        or len(request.spatial) < x.ndim
        or (request.mode, request.fill, request.nan_policy) != (CONSTANT, 0, "propagate")
        or any((axis.stride, axis.dilation, axis.upsample) != (1, 1, 1) for axis in request.axes)
        or (request.method != "auto" and not (is_exact and request.method == "direct"))
        or not 0 < _LONGER * x.size < kernel.size
    ):
        return None
    axes = []
    for axis in request.axes:
        more = axis.length - axis.taps
        axes.append(Axis(axis.taps, axis.length, before=more + axis.before, after=more + axis.after))
    order = np.argsort(request.spatial)
    return replace(
        request, x=as_x(request, kernel), x_dtype=kernel.dtype, kernel=x, spatial=tuple(range(x.ndim)),
        axes=tuple(axes[a] for a in order), is_flipped=True, out=out,
    )  # fmt: skip


def as_x(request: Request, kernel: np.ndarray) -> np.ndarray:
    """Return a kernel as the ``x`` of the exchanged request."""
    kernel = kernel.transpose(np.argsort(request.spatial))
    return kernel if request.is_flipped else np.flip(kernel)
