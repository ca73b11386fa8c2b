"""Index arithmetic along one axis: ``i = stride*o + dilation*t - before``, its inverses, and nothing else.

Output ``o`` and tap ``t`` of a kernel read the input at ``i``. N axes are the product of this line.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np


def extent(taps: int, dilation: int) -> int:
    """Return the number of input positions from the first tap to the last, both counted."""
    return dilation * (taps - 1) + 1


def same_padding(taps: int, dilation: int, flipped: bool) -> tuple[int, int]:
    """Return the padding that keeps an axis' length at stride 1, the even kernel's centre at ``(K-1)//2``."""
    total = extent(taps, dilation) - 1
    short, long = total // 2, total - total // 2
    return (long, short) if flipped else (short, long)


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution.

    ``unit`` neighbouring positions move together at the boundary: an axis of ``n`` frames of ``unit``
    interleaved samples is one axis of ``n*unit`` positions whose dilation and padding count in samples.
    """

    length: int
    taps: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    unit: int = 1

    @property
    def extent(self) -> int:
        """Input positions from the first tap to the last."""
        return extent(self.taps, self.dilation)

    @property
    def outputs(self) -> int:
        """``floor((n + before + after - extent) / stride) + 1``."""
        return (self.length + self.before + self.after - self.extent) // self.stride + 1

    @property
    def is_batch(self) -> bool:
        """Whether every output reads just the input at its own index."""
        return self.taps == self.stride == 1 and self.before == self.after == 0

    @property
    def tap_spacing(self) -> int:
        """Outputs between two neighbouring taps of one phase: shifting an output by it shifts a tap by one."""
        return self.dilation // gcd(self.dilation, self.stride)

    def phases(self) -> list[range]:
        """Return the taps by the phase of the stride that they read, each an arithmetic progression.

        This is the order in which every output sums its taps, whichever way its tile is computed.
        """
        count = min(self.taps, self.stride // gcd(self.dilation, self.stride))
        taps = [range(first, self.taps, count) for first in range(count)]
        return sorted(taps, key=lambda phase: self.dilation * phase[0] % self.stride)

    def merged_with(self, batch: Axis) -> Axis:
        """Return this axis and the batch axis inside it as one (contiguous, this one at stride 1)."""
        unit = batch.length
        padded = self.before > 0 or self.after > 0
        return Axis(
            self.length * unit, self.taps, 1, self.dilation * unit, self.before * unit, self.after * unit,
            unit if padded else 1,
        )  # fmt: skip


@dataclass(frozen=True)
class Window:
    """The input positions that ``outputs`` neighbouring outputs read, packed so that a step of one is a stride.

    ``positions`` are relative to the first output's first tap. Tap ``t`` of output ``o`` is the packed
    position ``places[t] + o``: positions that differ by the stride are neighbours, phase after phase, and
    positions that no tap reads are left out. ``runs`` are the positions as runs of a constant step: first place,
    length, first position and step of each.
    """

    positions: np.ndarray
    places: np.ndarray
    runs: np.ndarray


def window(axis: Axis, outputs: int) -> Window:
    """Return the window of ``outputs`` neighbouring outputs along ``axis``."""
    runs: list[list[int]] = []
    places = np.zeros(axis.taps, np.int64)
    packed = 0
    for phase in axis.phases():
        end = None  # one past the last packed step of the stretch that is being written
        for tap in phase:
            steps, remainder = divmod(axis.dilation * tap, axis.stride)
            first = steps if end is None or steps > end else end
            if first == steps:
                origin = packed - steps
            count = steps + outputs - first
            if end == first:
                runs[-1][1] += count
            else:
                runs.append([packed, count, first * axis.stride + remainder, axis.stride])
            packed += count
            places[tap] = origin + steps
            end = steps + outputs
    positions = [first + step * np.arange(count, dtype=np.int64) for _, count, first, step in runs]
    return Window(np.concatenate(positions), places, np.array(runs, np.int64))
