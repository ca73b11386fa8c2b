"""Blocks: boxes of neighbouring outputs, each convolved from the samples that it reads.

Arrays in files, dask's arrays and streams are cut here, and so is work whose memory beside the arrays must stay small.
The outputs of a block are those of the complete array: its window has all samples that they read, wherever the boundary
takes them from, and is padded only where the boundary makes the same of the window as it makes of the array.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import accumulate, product
from typing import Any, NamedTuple

import numpy as np

from ..problem.axis import Axis
from ..problem.boundary import REFLECT, SYMMETRIC, WRAP
from ..problem.recent import Recent
from ..problem.request import Request, strided

_PLANS = 64  # for blocks of different shapes, or with different padding


class Line(NamedTuple):
    """What neighbouring outputs read along one axis: one slice of the array or two, whose samples are the window.

    ``axis`` leads from the window to the outputs. Its padding, in the array's boundary mode, is that of the window.
    """

    slices: tuple[slice, ...]
    axis: Axis


def line(axis: Axis, first: int, end: int) -> Line:
    """Return what the outputs ``first`` to ``end`` of an axis, at least one, read."""
    (low, high), n = axis.read(first, end), axis.length
    mode = axis.boundary[low >= 0]  # of the end that the window passes; where it passes both, every sample is read
    high = max(high, low + 1)  # outputs between two samples may read zeros alone: the window has a sample all the same
    start, stop = low, high
    if mode == WRAP and not 0 <= low < high <= n:
        start = low % n
        stop = start + high - low
        if stop <= 2 * n and not low <= 0 < n <= high:
            slices = (slice(start, n), slice(0, stop - n)) if stop > n else (slice(start, stop),)
            return Line(slices, axis.part(first, end, low, high))
        start, stop = 0, n
    elif mode in (REFLECT, SYMMETRIC):  # with the samples that the window's ends reflect
        start = min(low, 2 * n - 1 - high) if high > n else low
        stop = max(high, 1 - low) if low < 0 else high
    start, stop = min(max(start, 0), n - 1), max(min(stop, n), 1)
    return Line((slice(start, stop),), axis.part(first, end, start, stop))


class Block(NamedTuple):
    """A box of outputs and the samples that it reads, along each axis of ``x``.

    ``request`` is the convolution from the window to the outputs. Nobody may read the samples of its ``x``.
    """

    lines: tuple[Line, ...]
    request: Request

    def read(self, x: Any, dtype: np.dtype[Any] | None = None) -> np.ndarray:
        """Return the window, from slices ``x[...]`` of an array that need not be in memory."""
        slices = [line.slices for line in self.lines]
        lengths = [[s.stop - s.start for s in along] for along in slices]
        return join((x[box] for box in product(*slices)), lengths, dtype or self.request.x_dtype)

    def moved(self, axis: int, low: int, high: int) -> Block:
        """Return the block that reads the samples ``low`` to ``high`` along an axis, as many as this one."""
        line = self.lines[axis]._replace(slices=(slice(low, high),))
        return self._replace(lines=(*self.lines[:axis], line, *self.lines[axis + 1 :]))

    def of(self, window: np.ndarray) -> Request:
        """Return the convolution of a window."""
        return self.request._replace(x=window.astype(self.request.x.dtype, copy=False))


def block(request: Request, outputs: Sequence[tuple[int, int]]) -> Block:
    """Return a block of a request's result, of whose ``x`` the shape and the dtype count.

    ``outputs`` are along each axis of the result the block's first and the one behind its last; it has all channels.
    """
    spans, channel = list(outputs), request.channel_axis
    if channel is not None:
        spans[channel : channel + request.is_bank] = [(0, request.x.shape[channel])]
    lines = tuple(line(request.along(a), *span) for a, span in enumerate(spans))
    x = stand_in([line.axis.length for line in lines], request.x.dtype)
    return Block(lines, request._replace(x=x, axes=tuple(lines[a].axis for a in request.spatial), out=None))


class Plans:
    """The plans of blocks. Blocks that are alike, with windows that lie alike in memory, have the same plan."""

    def __init__(self, make: Callable[[Request], Any]) -> None:
        self._make, self._known = make, Recent[Any](_PLANS)

    def convolve(self, block: Block, window: np.ndarray, out: np.ndarray | None, *others: Hashable) -> np.ndarray:
        """Return the outputs of a block; ``others`` are what blocks may differ in beside their padding."""
        key = block.request.axes, window.shape, window.strides, others
        plan = self._known.of(key, lambda: self._make(block.of(window)))
        return plan(window, out)


def join(boxes: Iterable[Any], lengths: Sequence[Sequence[int]], dtype: np.dtype[Any]) -> np.ndarray:
    """Return neighbouring boxes of samples as one array, in the memory order of the first box.

    ``lengths`` are those of the boxes along each axis. The boxes come in the order of the product of these.
    """
    shape, joined = tuple(map(sum, lengths)), None
    places = ([slice(end - n, end) for n, end in zip(along, accumulate(along), strict=True)] for along in lengths)
    for place, box in zip(product(*places), boxes, strict=True):
        samples = np.asarray(box, dtype)
        if samples.shape == shape:
            return samples
        if joined is None:
            joined = np.empty_like(samples, shape=shape)
        joined[place] = samples
    assert joined is not None
    return joined


def between(samples: Any, axis: int, start: int, stop: int | None) -> Any:
    """Return the samples between two bounds along an axis."""
    return samples[(slice(None),) * axis + (slice(start, stop),)]


def stand_in(shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    """Return an array that holds no memory, in place of one whose shape and dtype alone count."""
    return strided(shape, (0,) * len(shape), dtype)
