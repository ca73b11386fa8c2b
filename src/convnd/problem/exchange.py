"""Requests of the same result that take less time.

Convolution commutes: a kernel that is much longer than ``x`` takes its place. Along an axis of one sample every output
has a tap of its own, which is a filter then. And whole numbers of a wide type may be as small as those of a narrow one.
"""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from . import dtypes
from .axis import Axis
from .boundary import FILLED
from .request import Request, Traits, imagined, strided, traits

_LONGER = 2  # times the samples of x that a kernel must have to take its place
_FEW = 8  # taps of a filter, at most: where there are more, factors or transforms are faster
_SMALL = np.dtype(np.uint16)  # has the range of whole numbers that are looked at
_LOOKED_AT = 32  # taps from which narrow sums, or transforms, save more than a look at all samples costs
_NEAR = 64  # filters with results far apart that cost as much as one whose results alternate with others'

Arrays = tuple[np.ndarray, np.ndarray]


class Exchange(NamedTuple):
    """A request of the same result, and what makes its arrays of x and the kernel, or None where values forbid it."""

    request: Request
    arrays: Callable[[np.ndarray, np.ndarray], Arrays | None]


def find_exchange(request: Request, out: np.ndarray | Traits) -> Exchange | None:
    """Return the exchange that takes less time than the request itself, or None."""
    if request.working in dtypes.SHORT:  # neither swapped arrays nor filters are summed in 16 bits
        working = dtypes.working(request.x.dtype, request.kernel, request.result, request.fill)
        request = request._replace(working=working, scale=1.0)
    x, kernel = request.x, request.kernel
    is_longer = _LONGER * x.size < kernel.size
    is_plain = request.channel_axis is None and (request.fill, request.nan_policy) == (0, "propagate")
    if not is_plain or not (is_longer or 1 in x.shape + kernel.shape):
        return narrowed(request)
    own, other = spread(request, out), exchanged(request, out)
    again = other and spread(other.request, out)
    if again and (not own or _filters(again, out) < _filters(own, out)):
        return other
    return own or (other if is_longer else narrowed(request))


def narrowed(request: Request) -> Exchange | None:
    """Return the request for samples of a wide type of whole numbers that are small, or None.

    Their sums fit a narrower type, in which transforms may be exact as well.
    """
    x, kernel = request.x, request.kernel
    is_whole = dtypes.sums_exactly(x.dtype, kernel.dtype)
    if not is_whole or request.held or x.dtype.itemsize <= _SMALL.itemsize or kernel.size < _LOOKED_AT:
        return None
    working, most = dtypes.working(_SMALL, kernel, request.result, request.fill), dtypes.largest(_SMALL)

    def arrays(x: np.ndarray, kernel: np.ndarray) -> Arrays | None:
        return (x, kernel) if x.size and -most <= x.min() and x.max() <= most else None

    return Exchange(request._replace(held=_SMALL, working=working), arrays)


def _filters(own: Exchange, out: np.ndarray | Traits) -> int:
    """Return what filters cost, by their number: each takes planning, and results that alternate take no vectors."""
    channel = own.request.channel_axis
    is_near = channel is not None and abs(out.strides[channel]) == out.itemsize
    return own.request.kernel.shape[0] * (_NEAR if is_near else 1)


def spread(request: Request, out: np.ndarray | Traits) -> Exchange | None:
    """Return the request whose filters are the taps along an axis where ``x`` has one sample, or None.

    All other taps read zeros outside. They must be finite, since infinity times zero is NaN. The sums of what is left
    are the same to the last bit.
    """
    x, axes, taps = request.x, request.axes, prod(axis.taps for axis in request.axes)
    if x.ndim == 1 or request.method not in ("auto", "direct"):
        return None
    for n, (a, axis) in enumerate(zip(request.spatial, axes, strict=True)):
        if x.shape[a] == 1 < min(axis.taps, axis.outputs) and axis.boundary == FILLED and taps <= _FEW * axis.taps:
            shape = axis.outputs, 1, *request.kernel.shape[:n], *request.kernel.shape[n + 1 :]
            bank = request._replace(
                channel_axis=a, channels_first=True, is_bank=True,
                kernel=imagined(shape, request.kernel.dtype),
                spatial=request.spatial[:n] + request.spatial[n + 1 :], axes=axes[:n] + axes[n + 1 :],
                is_flipped=False, out=out,
            )  # fmt: skip
            return Exchange(bank, _with_filters(request, n))
    return None


@lru_cache(maxsize=32)
def _reading(axis: Axis) -> Arrays:
    """Return for each output along an axis of one sample the tap that reads it, and the outputs that have none."""
    taps, rest = np.divmod(axis.before - axis.stride * np.arange(axis.outputs), axis.dilation)
    reads = (rest == 0) & (taps >= 0) & (taps < axis.taps)
    return np.where(reads, taps, 0), np.flatnonzero(~reads)


def _with_filters(request: Request, n: int) -> Callable[[np.ndarray, np.ndarray], Arrays | None]:
    """Return what makes filters of a kernel: its taps along the ``n``-th axis, each for the output that it reaches."""
    axis, is_flipped = request.axes[n], request.is_flipped

    def arrays(x: np.ndarray, kernel: np.ndarray) -> Arrays | None:
        if not np.isfinite(kernel).all():
            return None
        taps, unread = _reading(axis)
        if len(unread) and not np.isfinite(x).all():  # outputs that read no sample have a weight of zero
            return None
        filters = np.moveaxis(np.flip(kernel) if is_flipped else kernel, n, 0)[taps]
        filters[unread] = 0
        return x, filters[:, None]

    return arrays


def exchanged(request: Request, out: np.ndarray | Traits) -> Exchange | None:
    """Return the request whose ``x`` is the kernel and whose kernel is ``x``, or None where they do not commute.

    They commute where zeros stand outside both, no position is left out, and all axes take part. The result is a part
    of the full convolution, which is the same either way. Floating sums may round differently, so that only "auto"
    exchanges them. Both arrays must be finite: NaN and infinity meet other zeros outside.
    """
    x, kernel = request.x, request.kernel
    is_exact = dtypes.sums_exactly(x.dtype, kernel.dtype)
    if (
        len(request.spatial) < x.ndim
        or any((axis.stride, axis.dilation, axis.upsample, axis.boundary) != (1, 1, 1, FILLED) for axis in request.axes)
        or (request.method != "auto" and not (is_exact and request.method == "direct"))
        or 0 in x.shape + kernel.shape
    ):
        return None
    order = np.argsort(request.spatial)
    other = request._replace(
        x=_as_x(request, kernel), x_dtype=kernel.dtype, kernel=strided(*traits(x)), spatial=tuple(range(x.ndim)),
        axes=tuple(request.axes[a].exchanged for a in order), is_flipped=True, out=out,
    )  # fmt: skip

    def arrays(x: np.ndarray, kernel: np.ndarray) -> Arrays | None:
        return (_as_x(request, kernel), x) if np.isfinite(x).all() and np.isfinite(kernel).all() else None

    return Exchange(other, arrays)


def _as_x(request: Request, kernel: np.ndarray) -> np.ndarray:
    """Return a kernel as the ``x`` of the exchanged request."""
    kernel = kernel.transpose(np.argsort(request.spatial))
    return kernel if request.is_flipped else np.flip(kernel)
