"""Convolution of samples that arrive block by block along one axis, in any number."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..problem.arguments import parse
from ..problem.axis import Axis
from ..problem.boundary import REFLECT, SYMMETRIC, WRAP
from ..problem.calls import explained
from ..problem.options import options_of
from ..problem.request import Request
from ..problem.spatial import axis_index, spatial_axes
from .blocks import Plans, block, stand_in

_LONG = 2**31  # samples of a stream whose end is not known


class Stream:
    """A convolution of an array that arrives in blocks: the next samples along one axis, as many as come.

    What `feed` and `flush` return, joined along the axis, is ``convnd(x, kernel, ...)`` of all blocks joined: with
    ``method="direct"`` bit for bit, with other methods as they round. An output is returned as soon as no sample to
    come has a part in it. Memory does not grow with the stream: beside a block, a kernel's extent of samples is kept.
    A stream can be copied and pickled at any time, and each copy continues by itself.

    Parameters
    ----------
    kernel : array_like
        The weights.
    axis : int, optional
        The axis along which the blocks follow each other: a spatial axis, the first by default, or a batch axis.
    **options
        Those of `convnd`. Where the axis begins under "wrap", the padding before it must be 0, because what stands
        there is the end of the stream.

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

    @explained
    def __init__(self, kernel: Any, *, axis: int | None = None, **options: Any) -> None:
        self._kernel, self._asked_axis, self._options = np.array(kernel), axis, options_of(options)
        self._plans, self._has_begun, self._has_ended = Plans(), False, False
        self._samples, self._start = np.empty(0), 0  # the latest samples, and the place of the first of them
        self._done = 0  # outputs that were returned

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

        Raises
        ------
        TypeError, ValueError
            As in `convnd` for the first block, and where a later one differs from it or the stream has ended.

        Examples
        --------
        >>> stream = Stream([1, -1])
        >>> stream.feed([1, 2, 4]), stream.feed([8])
        (array([1, 2]), array([4]))
        """
        samples = np.asarray(block)
        self._check_open()
        if not self._has_begun:
            self._begin(samples)
        self._append(samples)
        request, axis = self._request, replace(self._axis, length=self._stand_in.shape[self._along])
        axes = tuple(axis if a == self._along else request.along(a) for a in request.spatial)
        x = stand_in(self._stand_in.shape, request.x.dtype)
        outputs = self._outputs(replace(request, x=x, axes=axes), self._complete(axis))
        behind = self._behind + 1 if axis.boundary[1] in (REFLECT, SYMMETRIC) else 1  # samples that the end reflects
        start = max(self._start, min(axis.read(self._done, self._done + 1)[0], axis.length - behind))
        self._samples, self._start = self._cut(self._samples, start - self._start, None).copy(), start
        return outputs

    def flush(self) -> np.ndarray:
        """End the stream and return the outputs that are left, which read what stands behind its end.

        Returns
        -------
        ndarray
            The last outputs, 0 or more along the axis.

        Raises
        ------
        ValueError
            Where the stream has ended before, had no samples, or too few for an output.

        Examples
        --------
        >>> stream = Stream([1, -1], padding="full")
        >>> stream.feed([1, 2, 4]), stream.flush()
        (array([1, 1, 2]), array([-4]))
        """
        self._check_open()
        if not self._has_begun:
            raise ValueError("the stream has no samples: no block was fed to it")
        request = parse(self._stand_in, self._kernel, None, self._options)
        self._has_ended = True
        return self._outputs(request, request.out_shape[self._out_along])

    def __repr__(self) -> str:
        text = f"{self._kernel.dtype} kernel {self._kernel.shape}"
        if self._has_begun:
            came = self._stand_in.shape[self._along]
            text += f" along axis {self._along}: {came} samples came, {self._done} outputs are done"
        return f"<convnd.Stream {text}{', ended' if self._has_ended else ''}>"

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        """Return samples that are kept, by their places among all."""
        along = box[self._along]
        is_head = along.stop <= self._head.shape[self._along]
        samples, start = (self._head, 0) if is_head else (self._samples, self._start)
        return samples[(*box[: self._along], slice(along.start - start, along.stop - start), *box[self._along + 1 :])]

    def _check_open(self) -> None:
        if self._has_ended:
            raise ValueError("the stream has ended: flush was called")

    def _begin(self, samples: np.ndarray) -> None:
        """Learn from the first block what the stream is like."""
        channel = self._options.channel_axis
        like = stand_in([max(1, n) for n in samples.shape], samples.dtype)
        channel = None if channel is None else axis_index(channel, "channel_axis", like)
        spatial = spatial_axes(self._options.axes, like, self._kernel, channel)
        if self._asked_axis is None and not spatial:
            raise ValueError("axis must name a batch axis where no axis is spatial")
        a = min(spatial) if self._asked_axis is None else axis_index(self._asked_axis, "axis", like)
        if a == channel:
            raise ValueError(f"axis {a} is the channel axis, all of which every output reads")
        x = stand_in((*samples.shape[:a], _LONG, *samples.shape[a + 1 :]), samples.dtype)
        self._request = request = parse(x, self._kernel, None, self._options)
        self._along, self._out_along, self._axis = a, a - (request.dropped < a), request.along(a)
        if self._axis.boundary[0] == WRAP and self._axis.read(0, 1)[0] < 0:
            raise ValueError(
                f"boundary 'wrap' pads the beginning of the stream with its end: padding must be 0 before axis {a}, "
                f"but is {self._axis.before}"
            )
        self._behind = self._axis.after // self._axis.upsample + 1  # samples behind the end that outputs may read
        self._samples = self._head = self._cut(samples, 0, 0).copy()  # the head has the first samples under "wrap"
        self._has_begun = True

    def _append(self, samples: np.ndarray) -> None:
        a, latest = self._along, self._samples
        if samples.dtype != latest.dtype:
            raise ValueError(f"the block has dtype {samples.dtype} but the stream has {latest.dtype}")
        shape = (*latest.shape[:a], samples.shape[a] if samples.ndim == latest.ndim else 0, *latest.shape[a + 1 :])
        if samples.shape != shape:
            raise ValueError(
                f"the block has shape {samples.shape} but along other axes than {a} the stream has {shape}"
            )
        if self._axis.boundary[1] == WRAP:
            first = self._cut(samples, 0, self._behind - self._head.shape[a])
            self._head = np.concatenate([self._head, first], axis=a, dtype=latest.dtype)
        self._samples = np.concatenate([latest, samples], axis=a, dtype=latest.dtype)

    def _complete(self, axis: Axis) -> int:
        """Return how many outputs are complete: no sample to come has a part in them."""
        if axis.length == 0:
            return self._done
        mode, (first, _) = axis.boundary[0], axis.read(self._done, self._done + 1)
        if (mode == REFLECT and -first >= axis.length) or (mode == SYMMETRIC and -first > axis.length):
            return self._done  # the beginning is reflected, and so is its reflection where the stream is short
        inside = (axis.upsample * axis.length - axis.extent + axis.before) // axis.stride + 1
        return max(self._done, min(inside, axis.outputs))

    def _outputs(self, request: Request, end: int) -> np.ndarray:
        """Return the outputs of a request up to the one at ``end``."""
        outputs = [(0, n) for n in request.out_shape]
        outputs[self._out_along], self._done = (self._done, end), end
        shape = [end - first for first, end in outputs]
        if not prod(shape):
            return np.empty(shape, request.result)
        box = block(request, outputs)
        return self._plans.convolve(box, box.read(self), None)

    @property
    def _stand_in(self) -> np.ndarray:
        """What stands for all samples that came."""
        shape, a = self._samples.shape, self._along
        return stand_in((*shape[:a], self._start + shape[a], *shape[a + 1 :]), self._samples.dtype)

    def _cut(self, samples: np.ndarray, start: int, stop: int | None) -> np.ndarray:
        return samples[(slice(None),) * self._along + (slice(start, stop),)]
