"""Convolution of samples that arrive block by block along one axis, in any number."""

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..methods.blocks import Block, between, block, stand_in
from ..plan import Plan
from ..problem.arguments.calls import explained
from ..problem.arguments.parse import as_array, parse
from ..problem.arguments.spatial import axis_index, spatial_axes
from ..problem.boundary import REFLECT, SYMMETRIC, WRAP
from ..problem.options import Options, without_mask
from ..problem.recent import Recent
from ..problem.request import Request

_PLANS = 64  # for windows of different lengths
_LONG = 2**31  # samples of a stream whose end is not known


class Stream:
    """A convolution of an array that arrives in blocks: the next samples along one axis, as many as come.

    What `feed` and `flush` return, joined along the axis, is ``convnd(x, kernel, ...)`` of all blocks joined: with
    ``method="direct"`` bit for bit, with other methods as they round. An output is returned as soon as no sample to
    come has a part in it. Memory does not grow with the stream: it holds a block and two kernels' extents of samples.
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
        self._options = without_mask(Options(**options), "Stream")
        self._kernel, self._asked_axis = as_array(kernel, "kernel").copy(), axis
        self._has_begun, self._has_ended = False, False
        self._start = self._came = 0  # of all samples, the first that is kept, and how many came
        self._done = 0  # outputs that were returned
        self._plans: Recent[tuple[Plan, Block | None]] = Recent(_PLANS)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has: samples of its own, and plans that it makes anew."""
        own = {"_buffer": self._kept(self._start, self._came).copy(), "_first": self._start} if self._has_begun else {}
        return {**vars(self), **own, "_plans": Recent(_PLANS)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        for name in ("_buffer", "_head") if self._has_begun else ():  # pickled arrays lose a foreign byte order
            setattr(self, name, state[name].astype(self._request.x_dtype, copy=False))

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
        samples = block if type(block) is np.ndarray else as_array(block, "block")
        self._check_open()
        if not self._has_begun:
            self._begin(samples)
        self._append(samples)
        outputs = self._outputs(self._complete())
        behind = self._behind + 1 if self._axis.boundary[1] in (REFLECT, SYMMETRIC) else 1  # that the end reads
        self._start = max(self._start, min(self._axis.read(self._done, self._done + 1)[0], self._came - behind))
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
        request = parse(stand_in(self._shape(self._came), self._buffer.dtype), self._kernel, None, self._options)
        self._has_ended = True
        return self._outputs(request.out_shape[self._out_along], request)

    def __repr__(self) -> str:
        text = f"{self._kernel.dtype} kernel {self._kernel.shape}"
        if self._has_begun:
            text += f" along axis {self._along}: {self._came} samples came, {self._done} outputs are done"
        return f"<convnd.Stream {text}{', ended' if self._has_ended else ''}>"

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        """Return samples that are kept, by their places among all."""
        a, start, stop = self._along, box[self._along].start, box[self._along].stop
        is_head = stop <= self._head.shape[a]
        samples = between(self._head, a, start, stop) if is_head else self._kept(start, stop)
        return samples[(*box[:a], slice(None), *box[a + 1 :])]

    def _check_open(self) -> None:
        if self._has_ended:
            raise ValueError("the stream has ended: flush was called")

    def _begin(self, samples: np.ndarray) -> None:
        """Learn from the first block what the stream is like."""
        like = stand_in([max(1, n) for n in samples.shape], samples.dtype)
        spatial, channel = spatial_axes(self._options, like, self._kernel)
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
        # The latest samples, with room behind them; and the first ones, to which an end is wrapped.
        self._buffer = self._head = between(samples, self._along, 0, 0).copy()
        self._first = 0  # of all samples, the one that the buffer begins with
        self._has_begun = True

    def _append(self, samples: np.ndarray) -> None:
        a, buffer = self._along, self._buffer
        if samples.dtype != buffer.dtype:
            raise ValueError(f"the block has dtype {samples.dtype} but the stream has {buffer.dtype}")
        count = samples.shape[a] if samples.ndim == buffer.ndim else 0
        if samples.shape != (shape := self._shape(count)):
            raise ValueError(
                f"the block has shape {samples.shape} but along other axes than {a} the stream has {shape}"
            )
        if self._axis.boundary[1] == WRAP and (more := self._behind - self._head.shape[a]) > 0:
            self._head = np.concatenate([self._head, between(samples, a, 0, more)], axis=a, dtype=buffer.dtype)
        if self._came - self._first + count > buffer.shape[a]:
            kept = self._kept(self._start, self._came)
            room = 2 * kept.shape[a] + count  # so that what is kept moves seldom, and never onto itself
            if not room <= buffer.shape[a] <= 2 * room:
                self._buffer = np.empty_like(samples, shape=self._shape(room))
            self._first = self._start
            self._kept(self._start, self._came)[...] = kept
        self._came += count
        self._kept(self._came - count, self._came)[...] = samples

    def _complete(self) -> int:
        """Return how many outputs are complete: no sample to come has a part in them."""
        axis, came = self._axis, self._came
        if came == 0:
            return self._done
        if (mode := axis.boundary[0]) in (REFLECT, SYMMETRIC):
            first = axis.read(self._done, self._done + 1)[0]
            if -first >= came + (mode == SYMMETRIC):
                return self._done  # the beginning is reflected, and so is its reflection where the stream is short
        return max(self._done, axis.completed(came))

    def _outputs(self, end: int, request: Request | None = None) -> np.ndarray:
        """Return the outputs up to the one at ``end``, of a request or of the samples that came so far."""
        axis, first, self._done = self._axis, self._done, end
        low, high = axis.read(first, end)
        is_inside = first < end and 0 <= low < high <= self._came  # no boundary has a part
        key = high - low, end - first, axis.upsample * low - axis.stride * first
        if is_inside and (known := self._plans.get(key)) is not None:
            plan, box = known
            return plan(self._kept(low, high) if box is None else box.moved(self._along, low, high).read(self))
        request = request or self._so_far()
        outputs = [(0, n) for n in request.out_shape]
        outputs[self._out_along] = first, end
        shape = [end - first for first, end in outputs]
        if not prod(shape):
            return np.empty(shape, request.result)
        box = block(request, outputs)
        window = box.read(self)
        plan = Plan(box.of(window))
        if is_inside:
            whole = [(slice(0, n),) for n in self._shape(0)]  # along other axes, of which a block may read a part
            reads_all = all(a == self._along or box.lines[a].slices == own for a, own in enumerate(whole))
            self._plans.add(key, (plan, None if reads_all else box))
        return plan(window)

    def _so_far(self) -> Request:
        """Return the request of all samples that came, as if no more came."""
        request, axis = self._request, replace(self._axis, length=self._came)
        axes = tuple(axis if a == self._along else request.along(a) for a in request.spatial)
        return request._replace(x=stand_in(self._shape(self._came), request.x.dtype), axes=axes)

    def _shape(self, length: int) -> tuple[int, ...]:
        """Return the shape of so many samples along the axis."""
        shape, a = self._buffer.shape, self._along
        return (*shape[:a], length, *shape[a + 1 :])

    def _kept(self, start: int, stop: int) -> np.ndarray:
        """Return the latest samples, by their places among all."""
        return between(self._buffer, self._along, start - self._first, stop - self._first)
