"""How the FFT method lays out the transforms of a window in memory."""

from dataclasses import dataclass
from math import prod

from ..tiling.layout import round_up


@dataclass(frozen=True)
class SpectralLayout:
    """How a problem is cut into windows and how these are transformed.

    Along the first axis that is transformed, which is folded, a complex sample is two of the window's.
    """

    shape: tuple[int, ...]  # outputs of a window along each axis
    lengths: tuple[int, ...]  # complex samples of a transform along each axis; of the window along one without taps
    transformed: tuple[int, ...]  # the axes that have taps, the last one of all among them
    split: bool  # whether the last axis is transformed alone, as two dimensions
    lanes: int  # lines that are transformed at once

    @property
    def samples(self) -> int:
        """Complex samples of one transform."""
        return prod(self.lengths[a] for a in self.transformed)

    @property
    def samples_along(self) -> tuple[int, ...]:
        """Real samples along each axis of a transform."""
        return tuple(2 * n if a == self.transformed[0] else n for a, n in enumerate(self.lengths))

    @property
    def rows(self) -> int:
        """Rows of a plane, of which the transforms of the last axis take as many as there are lanes."""
        return _halves(self.lengths[-1])[0] if self.split else prod(self.lengths[:-1])

    @property
    def row(self) -> int:
        """Samples from a row to the next. One vector too many keeps rows out of each other's way in the caches."""
        if self.split:
            return _halves(self.lengths[-1])[1]
        return round_up(self.lengths[-1], self.lanes) + self.lanes

    @property
    def slabs(self) -> int:
        """Slabs of the last transform."""
        return self.rows // self.lanes

    @property
    def dimensions(self) -> list[tuple[int, int, int]]:
        """Length, samples from one to the next, and repetitions around it, in the order of the transforms."""
        if self.split:
            return [(self.rows, self.row, 1), (self.row, 1, 1)]
        return [(self.lengths[a], self.pitches[a], prod(self.lengths[:a])) for a in self.transformed]

    @property
    def pitches(self) -> list[int]:
        """Samples from one to the next along each axis."""
        return [self.row * prod(self.lengths[a + 1 : -1]) for a in range(len(self.lengths) - 1)] + [1]

    @property
    def slab(self) -> int:
        """Complex samples of the longest slab, whole blocks of a transposition."""
        return max(round_up(length, self.lanes) for length, _, _ in self.dimensions) * self.lanes


def _halves(length: int) -> tuple[int, int]:
    """Return two factors of a multiple of 256, multiples of 16 and of like size."""
    short = max(d for d in range(1, int((length // 256) ** 0.5) + 1) if (length // 256) % d == 0)
    return 16 * short, length // (16 * short)
