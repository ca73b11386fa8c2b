"""Index arithmetic along one axis: ``i = stride*o + dilation*t - before``, its inverses, and nothing else.

Output ``o`` and tap ``t`` of a kernel read the input at ``i``. N axes are the product of this line. Where the input is
upsampled, ``i`` counts positions between its samples too, and `polyphase` divides the outputs so that none is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd
from typing import NamedTuple

import numpy as np

_MOST_BRANCHES = 2**18  #: of an upsampled axis, and of the samples that neighbouring outputs of all branches span


def extent(taps: int, dilation: int) -> int:
    """Return the number of input positions from the first tap to the last, both counted."""
    return dilation * (taps - 1) + 1


def same_padding(taps: int, dilation: int, flipped: bool) -> tuple[int, int]:
    """Return the padding that keeps an axis' length at stride 1, the even kernel's centre at ``(K-1)//2``."""
    total = extent(taps, dilation) - 1
    short, long = total // 2, total - total // 2
    return (long, short) if flipped else (short, long)


class Branch(NamedTuple):
    """The outputs of an upsampled axis that sum the same taps: every ``n``-th, of ``n`` branches."""

    taps: range  # of the kernel
    shift: int  # positions from the first that any branch reads to that of its own first tap
    outputs: int

    @property
    def weights(self) -> tuple[slice, slice]:
        """Where its weights are along an axis of the kernel, and among as many as any branch has."""
        kernel = slice(self.taps.start, self.taps.stop, self.taps.step) if self.taps else slice(0)
        return kernel, slice(len(self.taps))


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution.

    ``unit`` neighbouring positions move together at the boundary: an axis of ``n`` frames of ``unit``
    interleaved samples is one axis of ``n*unit`` positions whose dilation and padding count in samples.

    Between neighbouring samples stand ``upsample - 1`` zeros, which stride, dilation and padding count too. In the form
    that `polyphase` gives such an axis they count samples alone, ``taps`` and ``outputs`` are the most of any of its
    ``branches``, and these read up to ``spread`` positions apart.
    """

    length: int
    taps: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    unit: int = 1
    upsample: int = 1
    branches: tuple[Branch, ...] = ()
    spread: int = 0

    @property
    def extent(self) -> int:
        """Input positions from the first tap to the last."""
        return extent(self.taps, self.dilation) + self.spread

    @property
    def positions(self) -> int:
        """Input positions without padding: samples, and the zeros between them."""
        return self.upsample * (self.length - 1) + 1

    @property
    def outputs(self) -> int:
        """``floor((n + before + after - extent) / stride) + 1``."""
        return (self.positions + self.before + self.after - self.extent) // self.stride + 1

    @property
    def is_batch(self) -> bool:
        """Whether every output reads just the input at its own index."""
        return self.taps == self.stride == 1 and self.before == self.after == 0 and not self.branches

    @property
    def reading(self) -> Axis:
        """An axis without branches that reads what this one reads: every position, where there are any."""
        return Axis(self.length, self.extent, self.stride) if self.branches else self

    def read(self, first: int, end: int) -> tuple[int, int]:
        """Return the first sample that the outputs ``first`` to ``end`` read, and the one behind the last.

        Samples below 0, or from `length` on, are the boundary's.
        """
        low = self.stride * first - self.before
        high = self.stride * (end - 1) - self.before + self.extent - 1
        return -(-low // self.upsample), high // self.upsample + 1

    def part(self, first: int, end: int, low: int = 0, high: int | None = None) -> Axis:
        """Return the axis of the outputs ``first`` to ``end`` alone, over the samples ``low`` to ``high`` alone.

        Its padding is what those outputs read outside those samples, below 0 where they leave samples unread.
        """
        length = (self.length if high is None else high) - low
        before = self.before - self.stride * first + self.upsample * low
        own = Axis(length, self.taps, self.stride, self.dilation, before, upsample=self.upsample)
        return replace(own, after=self.stride * (end - first - 1) + self.extent - before - own.positions)

    def centre(self, flipped: bool) -> int:
        """Return the position that the window of output 0 is centred on, as "same" padding centres it."""
        return same_padding(self.taps, self.dilation, flipped)[0] - self.before

    def first_centred(self, sample: int, flipped: bool) -> int:
        """Return the first output whose window is centred on a sample or behind it, at most `outputs`."""
        distance = self.upsample * sample - self.centre(flipped)
        return min(max(0, -(-distance // self.stride)), self.outputs)

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


@lru_cache(maxsize=256)
def polyphase(axis: Axis) -> Axis:
    """Return an upsampled axis as one of samples alone, its outputs divided into branches.

    Output ``o`` and tap ``t`` read a sample where ``u`` divides ``stride*o + dilation*t - before``. Outputs ``n``
    apart, with ``n = u / gcd(stride, u)``, do so with the same taps, which are ``u / gcd(dilation, u)`` apart: each
    branch is an axis without zeros. (Crochiere and Rabiner, "Multirate Digital Signal Processing", 1983, section 3.3.)

    Raises
    ------
    ValueError
        Where there are more branches, or further between what they read, than tables should be made of.
    """
    up = axis.upsample
    if up == 1:
        return axis
    shared = gcd(axis.dilation, up)
    tap_step, count = up // shared, up // gcd(axis.stride, up)
    dilation = axis.dilation // shared
    found = []  # taps of each branch, the sample that its first tap reads, and its outputs
    _check_upsampled(axis, "sums of different taps", min(count, axis.outputs), _MOST_BRANCHES)
    for first in range(min(count, axis.outputs)):
        position = axis.stride * first - axis.before
        tap = -(position // shared) * pow(dilation, -1, tap_step) % tap_step
        taps = range(tap, axis.taps, tap_step) if position % shared == 0 else range(0)
        found.append((taps, (position + axis.dilation * tap) // up, -(-(axis.outputs - first) // count)))
    low = min((sample for taps, sample, _ in found if taps), default=0)
    high = max((sample + dilation * (len(taps) - 1) for taps, sample, _ in found if taps), default=0)
    most = max(1, *(len(taps) for taps, _, _ in found))
    _check_upsampled(axis, "samples between what neighbouring outputs read", high - low, max(_MOST_BRANCHES, 4 * most))
    stride, spread = axis.stride * count // up, high - low - dilation * (most - 1)
    last = stride * (found[0][2] - 1) + high
    return Axis(
        axis.length, most, stride, dilation, -low, last + 1 - axis.length,
        branches=tuple(Branch(taps, sample - low if taps else 0, outputs) for taps, sample, outputs in found),
        spread=spread,
    )  # fmt: skip


def _check_upsampled(axis: Axis, what: str, number: int, most: int) -> None:
    if number > most:
        raise ValueError(
            f"upsample {axis.upsample} with stride {axis.stride} and dilation {axis.dilation} takes {number} {what}, "
            f"but at most {most} are supported"
        )


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
    axis = axis.reading
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


@dataclass(frozen=True)
class TapLine:
    """The taps along an axis, of one branch where it has branches.

    ``places`` are theirs in the window, ``positions`` those that they read, relative to the window's first.
    """

    axis: Axis
    places: np.ndarray
    positions: np.ndarray


def tap_lines(axis: Axis, window: Window) -> list[TapLine]:
    """Return the taps of every branch of an axis; of the axis itself where it has none."""
    if not axis.branches:
        return [TapLine(axis, window.places, axis.dilation * np.arange(axis.taps))]
    lines = []
    for branch in axis.branches:
        positions = branch.shift + axis.dilation * np.arange(len(branch.taps))
        lines.append(TapLine(branch_axis(axis, branch), window.places[positions], positions))
    return lines


def branch_axis(axis: Axis, branch: Branch) -> Axis:
    """Return an axis with the taps of one branch alone; what it says of padding and outputs is not to be used."""
    return Axis(axis.length, len(branch.taps), axis.stride, axis.dilation)
