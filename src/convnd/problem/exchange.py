"""Convolution commutes: a kernel that is much longer than ``x`` takes its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import dtypes
from .boundary import FILLED
from .request import Request

_LONGER = 2  # times x, that a kernel must be worth the exchange


def exchanged(request: Request, out: np.ndarray) -> Request | None:
    """Return the request whose ``x`` is the kernel and whose kernel is ``x``, or None where they do not commute.

    They commute where zeros stand outside both, no position is left out, and all axes take part. The result is a part
    of the full convolution, which is the same either way. Floating sums may round differently, so that only "auto"
    exchanges them. Both arrays must be finite: NaN and infinity meet other zeros outside.
    """
    x, kernel = request.x, request.kernel
    is_exact = dtypes.is_integer(x.dtype) and dtypes.is_integer(kernel.dtype)
    if (
        request.channel_axis is not None
        or len(request.spatial) < x.ndim
        or (request.fill, request.nan_policy) != (0, "propagate")
        or any((axis.stride, axis.dilation, axis.upsample, axis.boundary) != (1, 1, 1, FILLED) for axis in request.axes)
        or (request.method != "auto" and not (is_exact and request.method == "direct"))
        or not 0 < _LONGER * x.size < kernel.size
    ):
        return None
    order = np.argsort(request.spatial)
    return replace(
        request, x=as_x(request, kernel), x_dtype=kernel.dtype, kernel=x, spatial=tuple(range(x.ndim)),
        axes=tuple(request.axes[a].exchanged for a in order), is_flipped=True, out=out,
    )  # fmt: skip


def as_x(request: Request, kernel: np.ndarray) -> np.ndarray:
    """Return a kernel as the ``x`` of the exchanged request."""
    kernel = kernel.transpose(np.argsort(request.spatial))
    return kernel if request.is_flipped else np.flip(kernel)
