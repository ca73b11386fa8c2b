"""Index arithmetic along one axis: ``i = stride*o + dilation*t - before``, and its inverses.

Output ``o`` and tap ``t`` of a kernel read the input at position ``i``. N axes are the product of this formula. Where
the input is upsampled, the zeros between samples are positions too, and `polyphase` divides the outputs so that no zero
is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd
from typing import Any, NamedTuple

from .boundary import FILLED, Ends

_MOST_BRANCHES = 2**18  #: of an upsampled axis; also the most samples that neighbouring outputs of all branches span


def extent(taps: int, dilation: int) -> int:
    """Return the number of input positions from the first tap to the last, both included."""
    return dilation * (taps - 1) + 1


def same_padding(taps: int, dilation: int, flipped: bool) -> tuple[int, int]:
    """Return the padding that keeps the length of an axis at stride 1. The centre of a kernel is ``(K-1)//2``."""
    total = extent(taps, dilation) - 1
    short, long = total // 2, total - total // 2
    return (long, short) if flipped else (short, long)


class Branch(NamedTuple):
    """The outputs of an upsampled axis that sum the same taps: of ``n`` branches, each has every ``n``-th output."""

    taps: range  # of the kernel
    shift: int  # from the first position that any branch reads to the position of this branch's first tap
    outputs: int

    @property
    def weights(self) -> tuple[slice, slice]:
        """The slice of the kernel's axis with the weights of this branch, and their slice of an axis for any branch."""
        kernel = slice(self.taps.start, self.taps.stop, self.taps.step) if self.taps else slice(0)
        return kernel, slice(len(self.taps))


@dataclass(unsafe_hash=True)  # nobody writes to one; frozen, it takes four times as long to make
class Axis:
    """One axis of a convolution.

    ``boundary`` says what stands before and after the samples. ``unit`` neighbouring positions move together there:
    ``n`` groups of ``unit`` interleaved samples are one axis of ``n*unit`` positions, whose dilation and padding count
    single samples.

    Between neighbouring samples stand ``upsample - 1`` zeros, which stride, dilation and padding count too. The form
    that `polyphase` makes of such an axis has no zeros: stride, dilation and padding count samples, ``taps`` and
    ``outputs`` are the largest numbers of any of its ``branches``, and the positions that all branches read together
    span ``spread`` more than those of ``taps`` taps.
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
    boundary: Ends = FILLED

    def __post_init__(self) -> None:
        """Compute what every call asks for: cached properties would take five times as long."""
        #: Input positions from the first tap to the last; samples, with the zeros between them; outputs.
        self.extent = extent(self.taps, self.dilation) + self.spread
        self.positions = self.upsample * (self.length - 1) + 1
        self.outputs = (self.positions + self.before + self.after - self.extent) // self.stride + 1
        #: Whether every output reads the input at its index alone.
        self.is_batch = self.taps == self.stride == 1 and self.before == self.after == 0 and not self.branches

    def of_length(self, length: int) -> Axis:
        """Return the same axis of another number of samples, where it has no branches."""
        return Axis(
            length, self.taps, self.stride, self.dilation, self.before, self.after, self.unit, self.upsample,
            boundary=self.boundary,
        )  # fmt: skip

    @property
    def plain(self) -> Axis:
        """The same axis without what means nothing: the dilation of one tap, and the stride of one output.

        A stride below the extent still says in which order the taps are summed.
        """
        plain = self if self.taps > 1 else replace(self, dilation=1)
        if self.outputs != 1 or self.stride < self.extent:
            return plain
        return replace(plain, stride=1, after=plain.extent - plain.positions - plain.before)

    @property
    def exchanged(self) -> Axis:
        """The axis whose samples are the taps and whose taps are the samples: its outputs are the same."""
        more = self.length - self.taps
        return Axis(self.taps, self.length, before=self.before + more, after=self.after + more)

    @property
    def reading(self) -> Axis:
        """An axis without branches that reads the same input; for branches it reads every position they span."""
        return Axis(self.length, self.extent, self.stride) if self.branches else self

    def read(self, first: int, end: int) -> tuple[int, int]:
        """Return the first sample that the outputs ``first`` to ``end`` read, and the one after the last.

        Samples below 0, or from `length` on, stand for the boundary.
        """
        low = self.stride * first - self.before
        high = self.stride * (end - 1) - self.before + self.extent - 1
        return -(-low // self.upsample), high // self.upsample + 1

    def reads(self, tap: Any, outputs: Any) -> tuple[Any, Any]:
        """Return the samples at or before the positions that outputs read by taps, and how far behind these lie.

        Where the distance is not 0, an output reads one of the zeros between samples.
        """
        return divmod(self.stride * outputs + self.dilation * tap - self.before, self.upsample)

    def completed(self, length: int) -> int:
        """Return the number of outputs that the first ``length`` samples complete, with the zeros that follow each."""
        positions = self.upsample * length - max(0, self.upsample - 1 - self.after)
        return (positions + self.before - self.extent) // self.stride + 1

    @property
    def inside(self) -> tuple[int, int]:
        """The first output whose window lies within the samples, and the one after the last of them."""
        last = (self.positions + self.before - self.extent) // self.stride
        return max(0, -(-self.before // self.stride)), min(self.outputs, last + 1)

    def part(self, first: int, end: int, low: int = 0, high: int | None = None) -> Axis:
        """Return the axis that has only the outputs ``first`` to ``end`` and only the samples ``low`` to ``high``.

        Its padding is the number of positions that these outputs read outside these samples. It is below 0 where the
        outputs leave samples unread.
        """
        length = (self.length if high is None else high) - low
        before = self.before - self.stride * first + self.upsample * low
        axis = replace(self, length=length, before=before)
        return replace(axis, after=self.stride * (end - first - 1) + self.extent - before - axis.positions)

    def centre(self, flipped: bool) -> int:
        """Return the centre of the window of output 0, which "same" padding puts at position 0."""
        return same_padding(self.taps, self.dilation, flipped)[0] - self.before

    def first_centred(self, sample: int, flipped: bool) -> int:
        """Return the first output whose window is centred on a sample or after it, at most `outputs`."""
        distance = self.upsample * sample - self.centre(flipped)
        return min(max(0, -(-distance // self.stride)), self.outputs)

    @property
    def tap_spacing(self) -> int:
        """The outputs from one tap of a phase to the next: so much later a tap reads what the next one reads now."""
        return self.dilation // gcd(self.dilation, self.stride)

    @property
    def phase_count(self) -> int:
        """The number of phases of the stride, between which the taps are divided."""
        return min(self.taps, self.stride // gcd(self.dilation, self.stride))

    def phases(self) -> list[range]:
        """Return the taps of each phase of the stride, as an arithmetic progression.

        Every output sums its taps in this order, however its tile is computed.
        """
        count = self.phase_count
        taps = [range(first, self.taps, count) for first in range(count)]
        return sorted(taps, key=lambda phase: self.dilation * phase[0] % self.stride)

    def merged_with(self, batch: Axis) -> Axis:
        """Return this axis and the batch axis inside it as one axis. They are contiguous and this one has stride 1."""
        unit = batch.length
        padded = self.before > 0 or self.after > 0
        return Axis(
            self.length * unit, self.taps, 1, self.dilation * unit, self.before * unit, self.after * unit,
            unit if padded else 1, boundary=self.boundary,
        )  # fmt: skip


def polyphase(axis: Axis) -> Axis:
    """Return an axis in a form without zeros: the outputs of an upsampled one are divided into branches.

    Output ``o`` and tap ``t`` read a sample where ``u`` divides ``stride*o + dilation*t - before``. Outputs that are
    ``n = u / gcd(stride, u)`` apart read samples by the same taps, which are ``u / gcd(dilation, u)`` apart: they are
    a branch, an axis without zeros. (Crochiere and Rabiner, "Multirate Digital Signal Processing", 1983, section 3.3.)
    It is a `ValueError` where tables of the branches would be too long: they are too many, or read too far apart.
    """
    return axis if axis.upsample == 1 else _divided(axis)


@lru_cache(maxsize=256)
def _divided(axis: Axis) -> Axis:
    up = axis.upsample
    shared = gcd(axis.dilation, up)
    tap_step, count = up // shared, up // gcd(axis.stride, up)
    dilation = axis.dilation // shared
    found = []  # of each branch: its taps, the sample that the first tap reads, and its number of outputs
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
        spread=spread, boundary=axis.boundary,
    )  # fmt: skip


def _check_upsampled(axis: Axis, what: str, number: int, most: int) -> None:
    if number > most:
        raise ValueError(
            f"upsample {axis.upsample} with stride {axis.stride} and dilation {axis.dilation} takes {number} {what}, "
            f"but at most {most} are supported"
        )


def branch_axis(axis: Axis, branch: Branch) -> Axis:
    """Return an axis that has only the taps of one branch. Its padding and its outputs have no meaning."""
    return Axis(axis.length, len(branch.taps), axis.stride, axis.dilation)
