"""Samples read from where an array is kept, held for the blocks that follow."""

from __future__ import annotations

from typing import Any

import numpy as np

from .stores import chunk_shape, dtype_of

_READ_BYTES = 2**25  # that are read at once, where chunks are smaller: some packages take as much again meanwhile


class Held:
    """An array that is read by slices, of which the samples read last are held in memory.

    Boxes that follow each other along an axis, the same along all others, share what they have in common. Along that
    axis whole chunks are read.

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
        self._held: dict[tuple[tuple[int, int], ...], tuple[int, np.ndarray]] = {}

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        """Return the samples of a box. They are not to be written to."""
        if not box:
            return self._read(box)
        a, own = self._axis, box[self._axis]
        across = tuple((s.start, s.stop) for s in (*box[:a], *box[a + 1 :]))
        start, samples = self._held.get(across, (own.start, None))
        end = start if samples is None else start + samples.shape[a]
        if samples is None or not start <= own.start <= end:
            new = self._extended(box, None)
            if samples is None or new.shape[a] >= samples.shape[a]:  # a few from the other end are not held
                self._held[across] = own.start, new
            start, samples = own.start, new
        elif own.stop > end:
            start, samples = own.start, self._extended(box, _along(samples, a, own.start - start, None))
            self._held[across] = start, samples
        return _along(samples, a, own.start - start, own.stop - start)

    def _extended(self, box: tuple[slice, ...], known: np.ndarray | None) -> np.ndarray:
        """Return the samples of a box and those up to the end of a chunk, of which the first are known."""
        a, own, chunk = self._axis, box[self._axis], self._chunks[self._axis]
        shape = [s.stop - s.start for s in box]
        shape[a] = min(self._array.shape[a], -(-own.stop // chunk) * chunk) - own.start
        samples = np.empty(shape, self._dtype)
        done = 0
        if known is not None:
            done = known.shape[a]
            _along(samples, a, 0, done)[...] = known
        rows = max(1, _READ_BYTES * shape[a] // max(1, samples.nbytes) // chunk) * chunk
        while done < shape[a]:
            end = min(shape[a], (own.start + done) // chunk * chunk + rows - own.start)
            part = slice(own.start + done, own.start + end)
            _along(samples, a, done, end)[...] = self._read((*box[:a], part, *box[a + 1 :]))
            done = end
        return samples

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
