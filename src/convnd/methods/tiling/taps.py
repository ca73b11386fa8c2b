"""Tap tables: a kernel of any rank as one list of linear offsets, each feeding a run of output rows.

The register tile computes ``rows`` outputs at once. Where the rows are neighbours along an axis of the kernel,
row ``r`` reads at tap ``t`` what row ``r+1`` reads ``lag`` taps earlier, so all rows together read the
*union* ``u = t + lag*r``, and input ``u`` feeds the run ``r0..r1`` of rows for which ``0 <= u - lag*r < taps``.
Where the rows are output channels every tap feeds them all.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from ...jit import tables as t
from ...jit.calls.taps import most_parts, write_parts, write_window
from ...jit.compile import plain
from ...jit.intrinsics.register_tile import RegisterTile
from ...problem.axis import Axis, branch_axis
from ...problem.recent import once

Run = tuple[int, int]


class Sharing(NamedTuple):
    """Which outputs the rows of a register tile are.

    ``axis`` is the axis along which they are neighbours; None where they are output channels, or one row.
    """

    rows: int
    axis: int | None = None
    lag: int = 1
    channels: bool = False


class Taps(NamedTuple):
    """The taps of a filter, in the order in which they are summed, wherever samples lie.

    ``bounds[z, g]:bounds[z, g+1]`` are the taps of group ``g``, which feed the same run of rows, in the outer step
    ``z``, and what lies behind says where rows end their parts, if these are staggered. ``parts`` are their number, 0,
    and the outer steps up to the end of each. ``source[t, r]`` is the weight of tap ``t`` and row ``r`` as an index
    into a filter's flat ``(C_in, *K)`` weights with a zero behind them, the same for every row where the rows are
    output channels. ``positions`` are the samples along each axis that the taps of one channel read, counted from
    those of the first tap.
    """

    bounds: np.ndarray
    parts: np.ndarray
    source: np.ndarray
    positions: np.ndarray
    counts: np.ndarray | None = None  # which taps of all channels count, where not all do


class Window:
    """The input positions that neighbouring outputs read, packed so that positions one stride apart are neighbours.

    Tap ``t`` of output ``o`` reads the packed position ``places[t] + o``. Phase follows phase, and positions that no
    tap reads are left out. ``runs`` are the positions as runs of a constant step: the first place, the length, the
    first position and the step of each. Positions are relative to the first tap of the first output.
    """

    def __init__(self, runs: list[list[int]], places: Sequence[int]) -> None:
        self.runs, self._places = runs, places
        #: The number of positions, and whether they are all positions in their order.
        self.length = sum([count for _, count, _, _ in runs])
        self.is_dense = len(runs) == 1 and runs[0][3] == 1

    @once
    def places(self) -> np.ndarray:
        """The packed position that each tap of the first output reads."""
        return np.array(self._places)

    @once
    def positions(self) -> np.ndarray:
        """The positions, as they are packed."""
        return np.concatenate([first + step * np.arange(count) for _, count, first, step in self.runs])

    def place_of(self, positions: np.ndarray) -> np.ndarray:
        """Return the packed positions of positions, which may lie behind a dense window: rows that do not exist."""
        if self.is_dense:
            return positions
        order = np.argsort(self.positions)  # a table of all positions would be as long as the axis
        return order[np.searchsorted(self.positions, positions, sorter=order)]


def window(axis: Axis, outputs: int, in_order: bool = False) -> Window:
    """Return the window of neighbouring outputs along an axis, with positions ``in_order`` where all are read."""
    axis = axis.reading
    if axis.dilation <= outputs and (axis.stride == 1 or (in_order and axis.phase_count == axis.stride)):
        count = axis.stride * (outputs - 1) + axis.extent
        return Window([[0, count, 0, 1]], range(0, axis.extent, axis.dilation))
    firsts = [phase[0] for phase in axis.phases()]
    places, runs = [0] * axis.taps, [0] * (4 * axis.taps)
    steps = axis.taps, axis.stride, axis.dilation, len(firsts), outputs
    count = plain(write_window)(*steps, firsts, places, runs)
    return Window([runs[4 * k : 4 * k + 4] for k in range(count)], places)


def phases_apart(axis: Axis, own: Window, lines: int) -> tuple[Window, int, int]:
    """Return a window along the last axis of so many lines, those of each phase of the stride behind all of another's.

    Return also the length of such a line and the number of phases.
    """
    starts = np.array([own.places[phase[0]] for phase in axis.reading.phases()])
    length = int(np.diff(starts, append=own.length).max())

    def moved(places: np.ndarray) -> list[int]:
        phase = np.searchsorted(starts, places, side="right") - 1
        return [*map(int, places - starts[phase] + phase * lines * length)]

    firsts = moved(np.array([place for place, *_ in own.runs]))
    runs = [[first, *rest] for first, (_, *rest) in zip(firsts, own.runs, strict=True)]
    return Window(runs, moved(own.places)), length, len(starts)


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


def divided(in_channels: int, axes: Sequence[Axis]) -> tuple[int, int]:
    """Return the axis, of all in the kernel's order, along which sums are divided, and the least taps of it in a part.

    These are all taps where parts are of whole channels, or sums are not divided.
    """
    taps = prod([axis.taps for axis in axes])
    first = next((a for a, axis in enumerate(axes) if axis.taps > 1), 0)
    least = axes[first].taps
    if taps > t.PART_TAPS and in_channels * taps >= t.LEAST_DIVIDED:
        least = min(least, max(t.PART_ENTRIES, -(-t.PART_TAPS * least // taps)))
    return first, least


def part_ends(in_channels: int, axes: Sequence[Axis]) -> np.ndarray:
    """Return the taps of all channels up to the end of each part, which depend on the kernel alone."""
    taps, axis = prod([axis.taps for axis in axes]), axes[divided(in_channels, axes)[0]]
    firsts = [phase[0] for phase in axis.phases()]
    ends = [0] * plain(most_parts)(in_channels, taps, len(firsts))
    count = plain(write_parts)(in_channels, taps, axis.taps, len(firsts), firsts, ends)
    return np.array(ends[:count])


@lru_cache(maxsize=256)
def taps_of(
    axes: tuple[tuple[int, int, int], ...], kernel_shape: tuple[int, ...], sharing: Sharing, tile: RegisterTile
) -> Taps:
    """Return the taps of a filter, by its taps, stride and dilation along each of the ``axes``.

    ``kernel_shape`` are its input channels and weights along each axis.
    """
    along, runs = [Axis(1, taps, stride, dilation) for taps, stride, dilation in axes], tile.runs
    if any(axis.taps == 0 for axis in along):  # a branch that reads zeros alone
        none = np.zeros((len(along), 0), np.int64)
        return Taps(
            np.zeros((1, tile.columns), np.int64), np.array([1, 0, 1]), np.zeros((0, sharing.rows), np.int64), none
        )
    pitch = [prod(kernel_shape[a + 1 :]) for a in range(len(kernel_shape))]
    orders = [np.concatenate([np.array(phase) for phase in axis.phases()]) for axis in along]
    positions = [order * axis.dilation for order, axis in zip(orders, along, strict=True)]
    weights = [np.arange(kernel_shape[0]) * pitch[0], *(o * step for o, step in zip(orders, pitch[1:], strict=True))]
    # Where all rows share every tap, one loop runs over those of a part.
    shared = -1 if sharing.axis is None else sharing.axis
    outer, inner = _sums(weights[: shared + 1]), _sums(weights[shared + 2 :] if shared >= 0 else weights)
    unit, lag = (len(inner), sharing.lag) if shared >= 0 else (1, 0)
    part_end = part_ends(kernel_shape[0], along) // unit
    middle, row_taps, bounds, ends, at, begin = [], [], [], [], 0, 0
    for phase in along[shared].phases() if shared >= 0 else [range(len(inner))]:
        if shared < 0:
            row_taps.append(np.zeros((1, sharing.rows), np.int64))
            groups = np.array([0, len(inner)])
        else:
            union, fed = feeds(len(phase), sharing)
            axis = along[shared]
            middle.append(phase[0] * axis.dilation + union * axis.tap_spacing * axis.stride)
            nth = union[:, None] - lag * np.arange(sharing.rows)
            exists = (nth >= 0) & (nth < len(phase))
            row_taps.append(np.where(exists, (phase[0] + nth * phase.step) * pitch[shared + 1], -1))
            groups = np.cumsum([0, *[np.count_nonzero((fed == run).all(axis=1)) for run in runs]])
        own = part_end[(begin < part_end) & (part_end < begin + len(phase))]
        bounds.append(at + unit * _steps(groups, own - begin, lag * np.arange(tile.columns - len(runs))))
        begin, at = begin + len(phase), at + unit * groups[-1]
        ends += [*own, begin]
    if shared >= 0:
        positions[shared] = np.concatenate(middle)
    rows = np.concatenate(row_taps)
    index = outer[:, None, None, None] + rows[:, None, :] + inner[:, None]
    index = np.where(rows[:, None, :] >= 0, index, prod(kernel_shape)).reshape(-1, sharing.rows)
    counts = np.arange(len(outer))[:, None]
    parts = np.searchsorted((counts * begin + np.array(ends)).ravel(), part_end) + 1  # outer steps up to their ends
    grid = np.meshgrid(*positions, indexing="ij")
    return Taps(
        (counts[:, :, None] * at + np.concatenate(bounds)).reshape(-1, tile.columns),
        np.array([len(parts), 0, *parts]), index, np.stack(grid).reshape(len(axes), -1),
    )  # fmt: skip


def _steps(groups: np.ndarray, cuts: np.ndarray, late: np.ndarray) -> np.ndarray:
    """Return the bounds of groups in each outer step that taps are cut into, with those of rows that end it later.

    The ``cuts`` are where the first row ends a step, ``late`` how many taps later each does.
    """
    firsts, lasts = np.append(0, cuts + late[-1]), np.append(cuts, groups[-1])
    return np.concatenate([
        np.clip(groups, firsts[:, None], lasts[:, None]), np.minimum(lasts[:, None] + late[1:], groups[-1])
    ], axis=1)  # fmt: skip


def _sums(lines: Sequence[np.ndarray]) -> np.ndarray:
    """Return the sums of every choice of one entry of each line, the last line's running fastest."""
    total = np.zeros(1, np.int64)
    for line in lines:
        total = (total[:, None] + line).ravel()
    return total


def tap_offsets(
    taps: Taps,
    shifts: Sequence[int],
    windows: Sequence[Window],
    pitches: Sequence[int],
    steps: Sequence[int],
    channels: Sequence[Sequence[int]],
) -> np.ndarray:
    """Return the byte offsets of taps: in a gathered window, and in the array itself.

    ``shifts`` are the positions in the window of a full tile that the first tap reads along each axis. ``pitches`` are
    bytes between neighbours in the window, ``steps`` in the array. ``channels`` has the offsets of the input channels
    in both.
    """
    positions = taps.positions
    if any(shifts):
        positions = positions + np.array(shifts)[:, None]
    if all(own.is_dense for own in windows):
        both = np.array([pitches, steps], np.int64) @ positions
    else:
        places = np.stack([own.place_of(line) for own, line in zip(windows, positions, strict=True)])
        both = np.stack([np.array(pitches, np.int64) @ places, np.array(steps, np.int64) @ positions])
    if len(channels[0]) > 1:
        both = (np.array(channels, np.int64)[:, :, None] + both[:, None]).reshape(2, -1)
    return both if taps.counts is None else np.compress(taps.counts, both, axis=1)


def counted(taps: Taps, pattern: bytes) -> Taps:
    """Return the taps of a weight that counts in a problem's pattern."""
    if not pattern:
        return taps
    there = np.append(np.frombuffer(pattern, bool), False)[taps.source].any(axis=1)
    bounds = np.append(0, np.cumsum(there))[taps.bounds]
    return Taps(bounds, taps.parts, taps.source[there], taps.positions, there)


def places_along(axis: Axis, window: Window) -> list[np.ndarray]:
    """Return the places in a window of the taps along an axis, those of each branch where it has some."""
    if not axis.branches:
        return [window.places]
    return [window.places[b.shift + axis.dilation * np.arange(len(b.taps))] for b in axis.branches]


def filter_blocks(filters: int, sharing: Sharing) -> int:
    """Return the blocks that the filters of a branch are packed in."""
    return -(-filters // (sharing.rows if sharing.channels else 1))
