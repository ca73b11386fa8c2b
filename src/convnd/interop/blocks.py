"""Blocks: boxes of neighbouring outputs, each convolved by itself from the samples that it reads.

Chunks of arrays on disk, tasks of a cluster and the blocks of a stream are all cut here. A block's outputs are those
of the whole array: its window holds all samples that they read, wherever the boundary takes them from, and is padded
only where the boundary makes the same of the window as it does of the array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from ..problem.axis import Axis
from ..problem.boundary import CONSTANT, Run, supplied
from ..problem.request import Request


@dataclass(frozen=True)
class Line:
    """What neighbouring outputs read along one axis.

    ``slices`` of the array are read, in order, each sample once; there are two at most. Without ``runs`` they are the
    window, and the same boundary supplies what ``axis``, which leads from the window to the outputs, pads it with.
    Otherwise runs say which of the samples read, counted through all slices, supplies each position of the window, and
    nothing is left to pad.
    """

    slices: tuple[slice, ...]
    axis: Axis
    runs: tuple[Run, ...] = ()


def line(axis: Axis, first: int, end: int, mode: int) -> Line:
    """Return what the outputs ``first`` to ``end`` of an axis, one at least, read under a boundary mode."""
    low, high = axis.read(first, end)
    high = max(high, low + 1)  # between two samples stand zeros alone: a sample that no tap reads
    n = axis.length
    if mode == CONSTANT:
        low, high = min(max(low, 0), n - 1), max(min(high, n), 1)  # a sample of the array, if only padding is read
    if low >= 0 and high <= n:
        return Line((slice(low, high),), axis.part(first, end, low, high))
    runs = supplied(low, high, n, mode)
    slices = _joined(sorted(run.span for run in runs))
    runs = tuple(_renumbered(run, slices) for run in runs)
    begin, stop = slices[0].start, slices[0].stop
    if len(slices) == 1 and runs == supplied(low - begin, high - begin, stop - begin, mode):
        return Line(slices, axis.part(first, end, begin, stop))
    return Line(slices, axis.part(first, end, low, high), runs)


def _joined(spans: list[tuple[int, int]]) -> tuple[slice, ...]:
    """Return the slices that cover spans, given in order, and nothing else."""
    slices = [slice(*spans[0])]
    for low, high in spans[1:]:
        if low <= slices[-1].stop:
            slices[-1] = slice(slices[-1].start, max(slices[-1].stop, high))
        else:
            slices.append(slice(low, high))
    return tuple(slices)


def _renumbered(run: Run, slices: tuple[slice, ...]) -> Run:
    """Return a run whose source counts the samples of slices."""
    before = 0
    for own in slices:
        if own.start <= run.source < own.stop:
            return run._replace(source=before + run.source - own.start)
        before += own.stop - own.start
    raise AssertionError("a run lies in one of its slices")


@dataclass(frozen=True)
class Block:
    """A box of outputs and the samples that it reads: a `Line` for each axis of ``x``.

    ``request`` is the convolution from the window of samples to the outputs. Its ``x`` is not to be read.
    """

    lines: tuple[Line, ...]
    request: Request

    def read(self, x: Any) -> np.ndarray:
        """Return the window of an array, which need not be in memory: whatever slices of it ``x[...]`` are."""
        boxes = list(product(*(own.slices for own in self.lines)))
        if len(boxes) == 1:
            window = np.asarray(x[boxes[0]])
        else:
            window = np.empty([sum(s.stop - s.start for s in own.slices) for own in self.lines], self.request.x_dtype)
            for box, place in zip(boxes, product(*(_places(own.slices) for own in self.lines)), strict=True):
                window[place] = np.asarray(x[box])
        for a, own in enumerate(self.lines):
            window = _spread(window, a, own)
        return window

    def of(self, window: np.ndarray) -> Request:
        """Return the convolution of a window that `read` returned."""
        return replace(self.request, x=window.astype(self.request.x.dtype, copy=False))


def block(request: Request, outputs: Sequence[tuple[int, int]]) -> Block:
    """Return a block of a request's result.

    Parameters
    ----------
    request : Request
        The convolution of the whole array; of its ``x`` the shape and the type count.
    outputs : sequence of (int, int)
        Along each axis of the result the first output of the block and the one behind the last. A channel axis must be
        whole.
    """
    channel, kept = request.channel_axis, list(outputs)
    if request.dropped == channel:
        kept.insert(channel, (0, 0))
    lines = []
    for a, (first, end) in enumerate(kept):
        if a == channel:
            first, end = 0, request.x.shape[a]
        lines.append(line(request.along(a), first, end, request.mode))
    shape = [own.axis.length for own in lines]
    axes = tuple(lines[a].axis for a in request.spatial)
    own = replace(request, x=stand_in(shape, request.x.dtype), axes=axes, out=None)
    return Block(tuple(lines), own)


def stand_in(shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    """Return an array that holds no memory, for one of which only shape and type are known."""
    return np.lib.stride_tricks.as_strided(np.zeros((), dtype), shape, (0,) * len(shape))


def _places(slices: Sequence[slice]) -> list[slice]:
    """Return where the samples of slices are, one slice behind the other."""
    places, start = [], 0
    for own in slices:
        places.append(slice(start, start + own.stop - own.start))
        start = places[-1].stop
    return places


def _spread(samples: np.ndarray, a: int, own: Line) -> np.ndarray:
    """Return what was read with every position along an axis supplied, in the same memory order."""
    if not own.runs:
        return samples
    shape = list(samples.shape)
    shape[a] = own.axis.length
    window = np.empty_like(samples, shape=shape)
    target, source = np.moveaxis(window, a, 0), np.moveaxis(samples, a, 0)
    for run in own.runs:
        low, high = run.span
        place = target[run.place : run.place + run.length]
        place[...] = source[low:high][:: run.step or 1]
    return window
