"""Samples read from where an array is kept, held for the blocks that follow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np

from .stores import chunk_shape, dtype_of

_READ_BYTES = 2**24  # that are read at once, where chunks are smaller: some packages take as much again meanwhile


class _Samples:
    """The samples held of boxes that follow each other, the place of the first, and their memory: the last buffer."""

    def __init__(self) -> None:
        self.start = 0
        self.now: np.ndarray | None = None
        self.buffers: list[np.ndarray] = []


class Held:
    """An array that is read by slices, of which the samples read last are held in memory.

    Boxes that follow each other along an axis, the same along all others, share what they have in common. Along that
    axis whole chunks are read. Fresh memory costs more than a convolution does, so samples go to two buffers in turn:
    those of a box are overwritten when the next but one is asked for.

    Parameters
    ----------
    array : object
        An array with ``shape``, ``dtype`` and ``__getitem__``.
    axis : int
        The axis that boxes follow each other along.
    """

    def __init__(self, array: Any, axis: int) -> None:
        self._array, self._axis = array, axis
        self._dtype, self._chunks = dtype_of(array), chunk_shape(array)
        self._held: dict[tuple[tuple[int, int], ...], _Samples] = {}
        self._spare: list[np.ndarray] = []

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        """Return the samples of a box. They are not to be written to."""
        if not box:
            return self._read(box)
        a, own = self._axis, box[self._axis]
        held = self._held.setdefault(tuple((s.start, s.stop) for s in (*box[:a], *box[a + 1 :])), _Samples())
        end = held.start + (0 if held.now is None else held.now.shape[a])
        if held.now is None or not held.start <= own.start <= end:
            if held.now is not None and own.stop - own.start < end - held.start:  # a few from the other end
                return self._read(box)
            self._fill(held, box, None)
        elif own.stop > end:
            self._fill(held, box, _along(held.now, a, own.start - held.start, None))
        assert held.now is not None
        return _along(held.now, a, own.start - held.start, own.stop - held.start)

    def forget(self) -> None:
        """Let go of the samples, and keep for others what memory is not in use any more."""
        self._spare += [held.buffers[0] for held in self._held.values() if len(held.buffers) == 2]
        self._held.clear()

    def _fill(self, held: _Samples, box: tuple[slice, ...], known: np.ndarray | None) -> None:
        """Hold the samples of a box and those up to the end of a chunk, of which the first may be known."""
        a, own, chunk = self._axis, box[self._axis], self._chunks[self._axis]
        shape = [s.stop - s.start for s in box]
        shape[a] = min(self._array.shape[a], -(-own.stop // chunk) * chunk) - own.start
        samples, done = self._memory(held, prod(shape)).reshape(shape), 0
        if known is not None:
            done = known.shape[a]
            _along(samples, a, 0, done)[...] = known
        starts = [s.start for s in box]
        missing = [(start, start + n) for start, n in zip(starts, shape, strict=True)]
        missing[a] = own.start + done, own.start + shape[a]
        for part in _parts(missing, self._chunks, self._dtype.itemsize):
            place = tuple(slice(s.start - start, s.stop - start) for s, start in zip(part, starts, strict=True))
            samples[place] = self._read(part)
        held.start, held.now = own.start, samples

    def _memory(self, held: _Samples, size: int) -> np.ndarray:
        """Return memory for samples, other than those that were held last are in."""
        if len(held.buffers) == 2:
            self._spare.append(held.buffers.pop(0))
        fitting = [k for k, buffer in enumerate(self._spare) if len(buffer) >= size]
        if fitting:
            held.buffers.append(self._spare.pop(fitting[0]))
        else:
            self._spare.clear()
            held.buffers.append(np.empty(size, self._dtype))
        return held.buffers[-1][:size]

    def _read(self, box: tuple[slice, ...]) -> np.ndarray:
        samples, shape = np.asarray(self._array[box]), tuple(s.stop - s.start for s in box)
        if (samples.shape, samples.dtype) != (shape, self._dtype):
            raise ValueError(
                f"x is {self._dtype}, but gives {samples.dtype} {samples.shape} for {shape} of its samples"
            )
        return samples


def _along(samples: np.ndarray, axis: int, start: int, stop: int | None) -> np.ndarray:
    """Return a part of samples along an axis."""
    return samples[(slice(None),) * axis + (slice(start, stop),)]


def _parts(box: list[tuple[int, int]], chunks: tuple[int, ...], item: int) -> Iterator[tuple[slice, ...]]:
    """Yield parts of a box, of whole chunks and as many as are read at once, the last axes together first."""
    lengths = [min(chunk, stop - start) for chunk, (start, stop) in zip(chunks, box, strict=True)]
    cuts: list[list[int]] = []
    for a in reversed(range(len(box))):
        start, stop = box[a]
        chunk, others = chunks[a], item * prod(lengths[:a] + lengths[a + 1 :])
        step = max(1, _READ_BYTES // max(1, others * chunk)) * chunk
        lengths[a] = min(step, stop - start)
        cuts.insert(0, [start, *range((start // chunk) * chunk + step, stop, step), stop])
    for ends in product(*(pairwise(cut) for cut in cuts)):
        yield tuple(slice(*span) for span in ends)
