"""Tap tables: a kernel of any rank as one list of linear offsets, each feeding a run of output rows.

The register tile computes ``rows`` outputs at once. Where the rows are neighbours along an axis of the kernel,
row ``r`` reads at tap ``t`` what row ``r+1`` reads ``lag`` taps earlier, so all rows together read the
*union* ``u = t + lag*r``, and input ``u`` feeds the run ``r0..r1`` of rows for which ``0 <= u - lag*r < taps``.
Where the rows are output channels every tap feeds them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np

from ..problem.axis import Axis, TapLine, branch_axis

Run = tuple[int, int]


@dataclass(frozen=True)
class Sharing:
    """Which outputs the rows of a register tile are.

    ``axis`` is the axis along which they are neighbours; None where they are output channels, or one row.
    """

    rows: int
    axis: int | None = None
    lag: int = 1
    channels: bool = False


@dataclass(frozen=True)
class TapTable:
    """The taps of a filter, in the order in which they are summed.

    ``bounds[z, g]:bounds[z, g+1]`` are the taps of group ``g``, which feed the same run of rows, in the outer step
    ``z``. ``packed`` and ``inside`` are the taps' byte offsets in a gathered window and in the
    array itself; ``source[t, r]`` is the weight of tap ``t`` and row ``r`` as an index into a filter's flat
    ``(C_in, *K)`` weights with a zero behind them, the same for every row where the rows are output channels.
    """

    bounds: np.ndarray
    packed: np.ndarray
    inside: np.ndarray
    source: np.ndarray


def feeds(taps: int, sharing: Sharing) -> tuple[np.ndarray, np.ndarray]:
    """Return the union positions that feed any row, and for each the run ``(r0, r1)`` of rows that it feeds."""
    union = np.arange(taps + sharing.lag * (sharing.rows - 1))
    first = np.maximum(0, -((taps - 1 - union) // sharing.lag))
    end = np.minimum(sharing.rows, union // sharing.lag + 1)
    fed = first < end
    return union[fed], np.stack([first, end], axis=1)[fed]


@lru_cache(maxsize=4096)
def shared_runs(axis: Axis | None, sharing: Sharing) -> dict[Run, int]:
    """Return every run of rows that the taps of the shared axis feed, with the most union positions of any branch."""
    if axis is None:
        return {(0, sharing.rows): 1}
    most: Counter[Run] = Counter()
    for taps_of in {branch_axis(axis, branch) for branch in axis.branches} or {axis}:
        counts: Counter[Run] = Counter()
        for phase in taps_of.phases():
            # Once every row is fed, each further tap feeds them all.
            taps = min(len(phase), sharing.lag * (sharing.rows - 1) + 1)
            counts.update((int(r0), int(r1)) for r0, r1 in feeds(taps, sharing)[1])
            counts[0, sharing.rows] += len(phase) - taps
        most |= counts
    return dict(sorted((run, count) for run, count in most.items() if count))


def table(
    taps_along: Sequence[TapLine],
    kernel_shape: Sequence[int],
    sharing: Sharing,
    runs: Sequence[Run],
    pitches: Sequence[int],
    steps: Sequence[int],
    channel_pitch: int,
    channel_offsets: np.ndarray,
) -> TapTable:
    """Build the tap table.

    Parameters
    ----------
    taps_along : sequence of TapLine
        The taps along each axis, in the window of a full tile.
    kernel_shape : sequence of int
        Weights of a filter along each axis.
    sharing : Sharing
        What the register tile's rows are.
    runs : sequence of (int, int)
        The runs of rows that its groups of taps feed.
    pitches, steps : sequences of int
        Bytes between neighbours along each axis: in the packed window, in the array.
    channel_pitch : int
        Bytes between the channels of the packed window.
    channel_offsets : ndarray
        Byte offset of each input channel in the array.
    """
    if any(along.axis.taps == 0 for along in taps_along):  # a branch that reads zeros alone
        none = np.zeros(0, np.int64)
        return TapTable(np.zeros((0, len(runs) + 1), np.int64), none, none, np.zeros((0, sharing.rows), np.int64))
    shape = [len(channel_offsets), *kernel_shape]
    kernel_pitch = [int(np.prod(shape[a + 1 :])) for a in range(len(shape))]
    in_channels = np.arange(shape[0])
    # Per axis, for every tap in summation order: packed offset, array offset, index into the kernel.
    lines = [np.stack([in_channels * channel_pitch, channel_offsets, in_channels * kernel_pitch[0]])]
    for a, along in enumerate(taps_along):
        taps = np.concatenate([np.array(phase) for phase in along.axis.phases()])
        places, positions = along.places[taps] * pitches[a], along.positions[taps] * steps[a]
        lines.append(np.stack([places, positions, taps * kernel_pitch[a + 1]]))
    shared = -1 if sharing.axis is None else sharing.axis + 1  # where all rows share every tap, one loop runs over them
    outer, inner = combinations(lines[: max(0, shared)]), combinations(lines[shared + 1 :])

    middle, row_taps, ends = [], [], [np.zeros(1, np.int64)]
    along = TapLine(Axis(1), np.zeros(1, np.int64), np.zeros(1, np.int64))  # one tap, which feeds every row
    if sharing.axis is not None:
        along = taps_along[sharing.axis]
    axis = along.axis
    for phase in axis.phases():
        if sharing.axis is None:
            middle.append(np.zeros((2, 1), np.int64))
            row_taps.append(np.zeros((1, sharing.rows), np.int64))
            fed = np.array(runs)
        else:
            union, fed = feeds(len(phase), sharing)
            place = along.places[phase[0]] + union * axis.tap_spacing
            position = along.positions[phase[0]] + union * axis.tap_spacing * axis.stride
            middle.append(np.stack([place * pitches[sharing.axis], position * steps[sharing.axis]]))
            nth = union[:, None] - sharing.lag * np.arange(sharing.rows)
            exists = (nth >= 0) & (nth < len(phase))
            row_taps.append(np.where(exists, (phase[0] + nth * phase.step) * kernel_pitch[shared], -1))
        per_run = [np.count_nonzero((fed == run).all(axis=1)) * inner.shape[1] for run in runs]
        ends.append(ends[-1][-1] + np.cumsum([0, *per_run]))
    count = ends[-1][-1]

    offsets = combinations([outer[:2], np.concatenate(middle, axis=1), inner[:2]])
    rows = np.concatenate(row_taps)
    index = outer[2][:, None, None, None] + rows[:, None, :] + inner[2][:, None]
    index = np.where(rows[:, None, :] >= 0, index, -1).reshape(-1, sharing.rows)
    return TapTable(
        bounds=(np.arange(outer.shape[1])[:, None, None] * count + np.stack(ends[1:])).reshape(-1, len(runs) + 1),
        packed=offsets[0],
        inside=offsets[1],
        source=np.where(index < 0, int(np.prod(shape)), index),
    )


def combinations(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Return the sums of every choice of one column of each line, the last line's running fastest."""
    start = np.zeros((lines[0].shape[0] if lines else 3, 1), np.int64)
    return reduce(lambda a, b: (a[:, :, None] + b[:, None, :]).reshape(len(a), -1), lines, start)


def filter_blocks(filters: int, sharing: Sharing) -> int:
    """Return the blocks that the filters of a branch are packed in."""
    return -(-filters // (sharing.rows if sharing.channels else 1))
