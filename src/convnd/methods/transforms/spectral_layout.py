"""How the FFT method lays out the transforms of a window in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import Any, TypeAlias

import numpy as np

from ..tiling.layout import round_up

Numbers: TypeAlias = Any  # a number, or an array with one for each of many layouts, which cost little together


@dataclass(frozen=True)
class SpectralLayout:
    """How a problem is cut into windows and how these are transformed, or many such ways, by arrays of numbers.

    Along the first axis that is transformed, which is folded, a complex sample is two of the window's.
    """

    shape: tuple[Numbers, ...]  # outputs of a window along each axis
    lengths: tuple[Numbers, ...]  # complex samples of a transform along each axis; of the window along one without taps
    transformed: tuple[int, ...]  # the axes that have taps, the last one of all among them
    halves: tuple[Numbers, ...]  # the two dimensions of the last axis where it is transformed alone, else none
    lanes: Numbers  # lines that are transformed at once

    def nth(self, n: int) -> SpectralLayout:
        """Return one of many layouts."""
        numbers = (self.shape, self.lengths, self.halves)
        shape, lengths, halves = (tuple([int(along[n]) for along in own]) for own in numbers)
        return SpectralLayout(shape, lengths, self.transformed, halves, int(self.lanes[n]))

    @property
    def samples(self) -> Numbers:
        """Complex samples of one transform."""
        return prod(self.lengths[a] for a in self.transformed)

    @property
    def samples_along(self) -> tuple[Numbers, ...]:
        """Real samples along each axis of a transform."""
        return tuple(2 * n if a == self.transformed[0] else n for a, n in enumerate(self.lengths))

    @property
    def rows(self) -> Numbers:
        """Rows of a plane, of which the transforms of the last axis take as many as there are lanes."""
        return self.halves[0] if self.halves else prod(self.lengths[:-1])

    @property
    def row(self) -> Numbers:
        """Samples from a row to the next. One vector too many keeps rows out of each other's way in the caches."""
        if self.halves:
            return self.halves[1]
        return round_up(self.lengths[-1], self.lanes) + self.lanes

    @property
    def slabs(self) -> Numbers:
        """Slabs of the last transform."""
        return self.rows // self.lanes

    @property
    def dimensions(self) -> list[tuple[Numbers, Numbers, Numbers]]:
        """Length, samples from one to the next, and repetitions around it, in the order of the transforms."""
        if self.halves:
            return [(self.rows, self.row, 1), (self.row, 1, 1)]
        pitches = self.pitches
        return [(self.lengths[a], pitches[a], prod(self.lengths[:a])) for a in self.transformed]

    @property
    def pitches(self) -> list[Numbers]:
        """Samples from one to the next along each axis."""
        return [self.row * prod(self.lengths[a + 1 : -1]) for a in range(len(self.lengths) - 1)] + [1]

    @property
    def slab(self) -> Numbers:
        """Complex samples of the longest slab, whole blocks of a transposition."""
        return reduce(np.maximum, [round_up(length, self.lanes) for length, _, _ in self.dimensions]) * self.lanes
