"""Convolution of what arrives block by block, along one axis, without end in sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..plan import Plan
from ..problem.arguments import axis_index, parse, spatial_axes
from ..problem.axis import Axis
from ..problem.boundary import REFLECT, SYMMETRIC, WRAP
from ..problem.options import options_of
from ..problem.recent import Recent
from ..problem.request import Request
from .blocks import block, stand_in

_LONG = 2**31  # samples of a stream whose end is not known
_PLANS = 16  # of blocks of different lengths


class Stream:
    """A convolution of an array that arrives in blocks: the next samples along one axis, as many as come.

    What `feed` and `flush` return, joined along the axis, is ``convnd(x, kernel, ...)`` of all blocks joined: with
    ``method="direct"`` bit for bit, with other methods as they round. An output is returned as soon as no sample to
    come has a part in it. Memory does not grow with the stream: beside a block, a kernel's extent of samples is kept.

    Parameters
    ----------
    kernel : array_like
        The weights.
    axis : int, optional
        The axis of the blocks along which they follow each other: a spatial axis, the first by default, or one of the
        batch.
    **options
        Those of `convnd`. Under the boundary "wrap" the padding before must be 0 along the axis: what stands there is
        the end of the stream.

    Raises
    ------
    TypeError, ValueError
        As in `convnd`: what has to do with the blocks when the first is fed, what has to do with the length at the end.

    Examples
    --------
    >>> import numpy as np
    >>> from convnd import Stream
    >>> stream = Stream([1, 1, 1], padding="same", boundary="edge")
    >>> [stream.feed(block) for block in ([1, 2], [3], [4, 5, 6])]
    [array([4]), array([6]), array([ 9, 12, 15])]
    >>> stream.flush()
    array([17])
    """

    def __init__(self, kernel: Any, *, axis: int | None = None, **options: Any) -> None:
        self._kernel, self._given_axis, self._options = np.array(kernel), axis, options_of(options)
        self._begun = self._ended = False
        self._start = self._done = 0  # the first sample of those held, and the outputs that were returned
        self._plans: Recent[Plan] = Recent(_PLANS)

    def feed(self, block: Any) -> np.ndarray:
        """Take the next samples and return the outputs that they complete.

        Parameters
        ----------
        block : array_like
            Samples, 0 or more along the axis of the stream. Their dtype, and their shape along other axes, are those of
            the first block.

        Returns
        -------
        ndarray
            The next outputs, 0 or more along the axis.
        """
        self._check_open()
        samples = np.asarray(block)
        if not self._begun:
            self._begin(samples)
        self._append(samples)
        request, axis = self._request, replace(self._whole_axis, length=self._length)
        axes = tuple(axis if place == self._place else own for place, own in enumerate(request.axes))
        so_far = replace(request, x=self._stand_in(request.x.dtype), axes=axes)
        values = self._outputs(so_far, self._complete(axis))
        self._forget(axis)
        return values

    def flush(self) -> np.ndarray:
        """End the stream and return the outputs that are left, which read what stands behind its end.

        Raises
        ------
        ValueError
            Where the stream had no samples, or too few for an output.
        """
        self._check_open()
        if not self._begun:
            raise ValueError("the stream has no samples: no block was fed to it")
        request = parse(self._stand_in(self._samples.dtype), self._kernel, None, self._options)
        self._ended = True
        return self._outputs(request, request.out_shape[self._out_axis])

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        """Return samples that are held, by their places in the whole stream."""
        own = box[self._axis]
        samples, start = (self._head, 0) if own.stop <= self._head.shape[self._axis] else (self._samples, self._start)
        return samples[self._along(own.start - start, own.stop - start, box)]

    @property
    def _length(self) -> int:
        """Samples that came."""
        return self._start + int(self._samples.shape[self._axis])

    def _check_open(self) -> None:
        if self._ended:
            raise ValueError("the stream has ended: flush was called")

    def _begin(self, samples: np.ndarray) -> None:
        """Learn from the first block what the stream is like."""
        channel = self._options.channel_axis
        like = stand_in([max(1, n) for n in samples.shape], samples.dtype)
        channel = None if channel is None else axis_index(channel, "channel_axis", like)
        spatial = spatial_axes(self._options.axes, like, self._kernel, channel)
        if self._given_axis is None and not spatial:
            raise ValueError("axis must name an axis of the batch where none is spatial")
        a = min(spatial) if self._given_axis is None else axis_index(self._given_axis, "axis", like)
        if a == channel:
            raise ValueError(f"axis {a} is the channel axis, all of which every output reads")
        shape = (*samples.shape[:a], _LONG, *samples.shape[a + 1 :])
        self._request = request = parse(stand_in(shape, samples.dtype), self._kernel, None, self._options)
        self._place = request.spatial.index(a) if a in request.spatial else None
        self._axis, self._whole_axis = a, Axis(_LONG) if self._place is None else request.axes[self._place]
        self._out_axis = a - (channel is not None and not request.is_bank and channel < a)
        if request.mode == WRAP and self._whole_axis.read(0, 1)[0] < 0:
            raise ValueError(
                f"boundary 'wrap' pads the beginning of the stream with its end: padding must be 0 before axis {a}, "
                f"but is {self._whole_axis.before}"
            )
        self._samples = self._head = samples[self._along(0, 0)]
        self._begun = True

    def _append(self, samples: np.ndarray) -> None:
        a, held = self._axis, self._samples
        if samples.dtype != held.dtype:
            raise ValueError(f"the block has dtype {samples.dtype} but the stream has {held.dtype}")
        shape = (*held.shape[:a], samples.shape[a] if samples.ndim == held.ndim else 0, *held.shape[a + 1 :])
        if samples.shape != shape:
            raise ValueError(
                f"the block has shape {samples.shape} but along other axes than {a} the stream has {shape}"
            )
        if self._request.mode == WRAP:
            missing = self._behind - self._head.shape[a]
            self._head = np.concatenate([self._head, samples[self._along(0, missing)]], axis=a, dtype=held.dtype)
        self._samples = np.concatenate([held, samples], axis=a, dtype=held.dtype)

    @property
    def _behind(self) -> int:
        """Samples behind the end that outputs may read, at most."""
        return self._whole_axis.after // self._whole_axis.upsample + 1

    def _complete(self, axis: Axis) -> int:
        """Return the outputs in which no sample to come has a part."""
        if axis.length == 0:
            return self._done
        mode, (first, _) = self._request.mode, axis.read(self._done, self._done + 1)
        if (mode == REFLECT and -first >= axis.length) or (mode == SYMMETRIC and -first > axis.length):
            return self._done  # the beginning is reflected, and so is its reflection where the stream is short
        inside = (axis.upsample * axis.length - axis.extent + axis.before) // axis.stride + 1
        return max(self._done, min(inside, axis.outputs))

    def _outputs(self, request: Request, end: int) -> np.ndarray:
        """Return the outputs up to the one at ``end``."""
        box = [(0, n) for n in request.out_shape]
        box[self._out_axis] = self._done, end
        shape = [end - first for first, end in box]
        if not prod(shape):
            self._done = end
            return np.empty(shape, request.result)
        own = block(request, box)
        window = own.read(self)
        key = own.request.axes, window.shape, window.strides
        plan = self._plans.get(key)
        if plan is None:
            plan = Plan(own.of(window))
            self._plans.add(key, plan)
        self._done = end
        return plan(window)

    def _forget(self, axis: Axis) -> None:
        """Let go of samples that no output to come reads."""
        needed, _ = axis.read(self._done, self._done + 1)
        at_the_end = self._behind + 1 if self._request.mode in (REFLECT, SYMMETRIC) else 1
        start = max(self._start, min(needed, self._length - at_the_end))
        self._samples = self._samples[self._along(start - self._start, None)].copy()
        self._start = start

    def _stand_in(self, dtype: np.dtype[Any]) -> np.ndarray:
        """Return what stands for all samples that came."""
        shape = list(self._samples.shape)
        shape[self._axis] = self._length
        return stand_in(shape, dtype)

    def _along(self, start: int, stop: int | None, box: Sequence[slice] | None = None) -> tuple[slice, ...]:
        """Return the slices that cut the axis of the stream, and others as a box does."""
        others = [slice(None)] * (self._axis + 1) if box is None else list(box)
        others[self._axis] = slice(start, stop)
        return tuple(others)
