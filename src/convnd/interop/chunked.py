"""Arrays that are cut in chunks: which outputs stay together, which pieces of which chunks they read, and their sums.

Every chunk of outputs is a block. Nothing here knows who holds the chunks, or moves them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise, product
from typing import Any, NamedTuple

import numpy as np

from ..plan import Plan
from ..problem.arguments import parse
from ..problem.boundary import Run
from ..problem.options import Options
from ..problem.recent import Recent
from ..problem.request import Request
from .blocks import Block, Line, block, line, stand_in

_PLANS = 32  # of blocks of different geometry
_SLAB = 0.5  # of a chunk is the most that is cut out of it; where more is read the whole chunk goes there


class Part(NamedTuple):
    """Neighbouring samples of a chunk along one axis."""

    chunk: int
    inside: slice  # counted from the chunk's first sample
    place: slice  # among all samples that are read along the axis
    share: float  # of the chunk's samples


class Move(NamedTuple):
    """Samples of a part that supply neighbouring positions of a window."""

    part: int
    inside: slice  # counted from the part's first sample
    step: int  # of the samples, as in a `Run`
    place: slice  # in the window


class Slab(NamedTuple):
    """A piece of a chunk that blocks read: all of it, or what lies between two bounds along one axis."""

    chunk: tuple[int, ...]
    axis: int | None = None
    start: int = 0
    stop: int = 0

    @property
    def inside(self) -> tuple[slice, ...]:
        """Where it lies in its chunk."""
        return () if self.axis is None else (slice(None),) * self.axis + (slice(self.start, self.stop),)


@dataclass(frozen=True, eq=False)
class Chunked:
    """A convolution of an array that is cut in chunks.

    Along a spatial axis an output belongs to the chunk that its window is centred on, and to the outermost where that
    is outside the array. Channels are cut where a chunk and a group begin together. Chunks without outputs are dropped.

    Parameters
    ----------
    shape, dtype
        Of the array.
    chunks : tuple of tuple of int
        The lengths of its chunks along each axis.
    kernel : ndarray
        The kernel.
    options : Options
        Those of `convnd.convnd`.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[tuple[int, ...], ...]
    kernel: np.ndarray
    options: Options

    def __reduce__(self) -> Any:  # what follows from the arguments is not sent with them
        return Chunked, (self.shape, self.dtype, self.chunks, self.kernel, self.options)

    @cached_property
    def request(self) -> Request:
        """The convolution of the whole array."""
        return parse(stand_in(self.shape, self.dtype), self.kernel, None, self.options)

    @cached_property
    def output_chunks(self) -> tuple[tuple[int, ...], ...]:
        """The lengths of the result's chunks along each of its axes."""
        request = self.request
        lengths = [[end - first for first, end in spans] for spans in self._spans]
        if request.channel_axis is not None:
            inputs = lengths.pop(request.channel_axis)
            if request.is_bank:
                filters = [n * request.out_channels // sum(inputs) for n in inputs]
                lengths.insert(request.channel_axis, filters)
        return tuple(map(tuple, lengths))

    def slabs(self, index: Sequence[int]) -> Iterator[Slab]:
        """Return the pieces of chunks that an output chunk reads, in the order in which `convolve` takes them."""
        return map(_slab, product(*(parts for parts, _ in self._read(self._cell(index)))))

    def convolve(self, index: Sequence[int], pieces: Sequence[Any], workers: int | None) -> np.ndarray:
        """Return an output chunk, computed from the pieces that `slabs` names."""
        cell = self._cell(index)
        own = self._block(cell)
        window = self._window(cell, pieces, own.request.x.shape)
        channels = cell[self.request.channel_axis] if self.request.channel_axis is not None else 0
        key = own.request.axes, channels, window.shape, window.strides, workers
        plan = self._plans.get(key)
        if plan is None:
            plan = Plan(replace(own.of(window), workers=workers))
            self._plans.add(key, plan)
        return plan(window)

    @cached_property
    def _plans(self) -> Recent[Plan]:
        return Recent(_PLANS)

    @cached_property
    def _spans(self) -> list[list[tuple[int, int]]]:
        """Along each axis of ``x`` the outputs of every chunk of them, along the channel axis the input channels."""
        request, spans = self.request, []
        for a, n in enumerate(self.shape):
            bounds = list(accumulate(self.chunks[a], initial=0))
            if a == request.channel_axis:
                firsts = [bound for bound in bounds if bound % (n // request.groups) == 0]
            else:
                axis = request.along(a)
                firsts = [0, *(axis.first_centred(bound, request.is_flipped) for bound in bounds[1:-1]), axis.outputs]
            spans.append([(first, end) for first, end in pairwise(firsts) if first < end] or [(0, 0)])
        return spans

    @cached_property
    def _reading(self) -> list[list[tuple[list[Part], list[Move]]]]:
        """Along each axis of ``x`` what every chunk of outputs reads."""
        request, reading = self.request, []
        for a, own_chunks in enumerate(self.chunks):
            bounds = list(accumulate(own_chunks, initial=0))
            lines = [line(request.along(a), first, end, request.mode) for first, end in self._spans[a]]
            cut = [_cut(own.slices, bounds) for own in lines]
            reading.append([(parts, _moves(own, parts)) for own, parts in zip(lines, cut, strict=True)])
        return reading

    def _cell(self, index: Sequence[int]) -> Sequence[int]:
        """Return the index of an output chunk with one along every axis of ``x``."""
        channel = self.request.channel_axis
        return index if channel is None or self.request.is_bank else (*index[:channel], 0, *index[channel:])

    def _read(self, cell: Sequence[int]) -> list[tuple[list[Part], list[Move]]]:
        return [along[k] for along, k in zip(self._reading, cell, strict=True)]

    def _block(self, cell: Sequence[int]) -> Block:
        request, channel = self.request, self.request.channel_axis
        outputs = [spans[k] for spans, k in zip(self._spans, cell, strict=True)]
        if channel is None:
            return block(request, outputs)
        (first, end), within = outputs[channel], self.shape[channel] // request.groups
        if not request.is_bank:
            del outputs[channel]
        elif end - first < self.shape[channel]:  # some of the groups
            filters = request.out_channels // request.groups
            own = slice(first // within * filters, end // within * filters)
            kernel = request.kernel[own] if request.channels_first else request.kernel[..., own]
            shape = (*self.shape[:channel], end - first, *self.shape[channel + 1 :])
            x = stand_in(shape, request.x.dtype)
            request = replace(request, x=x, kernel=kernel, groups=(end - first) // within)
        return block(request, outputs)

    def _window(self, cell: Sequence[int], pieces: Sequence[Any], shape: tuple[int, ...]) -> np.ndarray:
        """Return the window of a block, every position supplied, in the memory order of the first of its pieces."""
        parts, moves = zip(*self._read(cell), strict=True) if cell else ((), ())
        numbers = product(*(range(len(along)) for along in parts))
        there = zip(numbers, product(*parts), pieces, strict=True)
        samples = {number: np.asarray(piece)[_inside(own)] for number, own, piece in there}
        first = samples[(0,) * len(cell)]
        if len(samples) == 1 and all(len(along) == 1 and along[0].step == 1 for along in moves):
            return first.astype(self.dtype, copy=False)
        window = np.empty_like(first, self.dtype, shape=shape, subok=False)
        for move in product(*moves):
            source = samples[tuple(own.part for own in move)][tuple(own.inside for own in move)]
            window[tuple(own.place for own in move)] = source[tuple(slice(None, None, own.step or 1) for own in move)]
        return window


def _cut(slices: Sequence[slice], bounds: Sequence[int]) -> list[Part]:
    """Return the parts of chunks, which begin and end at bounds, that slices read one after the other."""
    parts, place = [], 0
    for own in slices:
        start, chunk = own.start, bisect_right(bounds, own.start) - 1
        while start < own.stop:
            first, end = bounds[chunk], bounds[chunk + 1]
            stop = min(end, own.stop)
            if start < stop:
                inside, count = slice(start - first, stop - first), stop - start
                parts.append(Part(chunk, inside, slice(place, place + count), count / (end - first)))
                place += count
            start, chunk = stop, chunk + 1
    return parts


def _moves(own: Line, parts: Sequence[Part]) -> list[Move]:
    """Return what supplies each position of a window along one axis, from the parts of chunks that it reads."""
    moves = []
    for run in own.runs or (Run(0, own.axis.length, 0, 1),):
        low, high = run.span
        for number, part in enumerate(parts):
            first, end = max(low, part.place.start), min(high, part.place.stop)
            if first < end:
                inside = slice(first - part.place.start, end - part.place.start)
                start = {1: first - low, -1: high - end, 0: 0}[run.step]
                length = end - first if run.step else run.length
                moves.append(Move(number, inside, run.step, slice(run.place + start, run.place + start + length)))
    return moves


def _slab(parts: Sequence[Part]) -> Slab:
    """Return the piece that the parts of one chunk along each axis are read from."""
    chunk = tuple([part.chunk for part in parts])
    shares = [part.share for part in parts]
    least = min(shares, default=1.0)
    if least > _SLAB:
        return Slab(chunk)
    axis = shares.index(least)
    inside = parts[axis].inside
    return Slab(chunk, axis, inside.start, inside.stop)


def _inside(parts: Sequence[Part]) -> tuple[slice, ...]:
    """Return where the parts of one chunk along each axis lie in the piece that `_slab` names."""
    axis = _slab(parts).axis
    return tuple(slice(None) if a == axis else part.inside for a, part in enumerate(parts))
