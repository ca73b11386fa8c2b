"""Lines near the border of small maps: taps that read zeros beyond the array are left out there.

What is left out would add zeros, so results keep their bits. The axis is the one before the last: register tiles across
channels take its lines one by one.
"""

from functools import lru_cache
from math import prod

import numpy as np

from ...problem.axis import Axis
from ...problem.boundary import FILLED
from ...problem.canonical import Problem
from .costs import Way
from .tables import Builder
from .taps import Taps

_MOST_LINES = 64  # of a map, beyond which those near its border hardly count
_LEAST_SAVED = 16  # products of each weight: to see whether it is finite takes as long


def reads_zeros(problem: Problem) -> bool:
    """Return whether some lines of a problem read enough zeros beyond the array to leave them out."""
    if problem.branch_channels == 1 or problem.depthwise or problem.is_upsampled or problem.pattern:
        return False
    if len(problem.axes) < 2 or not problem.fills_zeros or problem.axes[-2].taps == 1:
        return False
    places = prod([axis.outputs for axis in problem.axes])
    return places >= _LEAST_SAVED and places * _share_outside(problem.axes[-2]) > _LEAST_SAVED


@lru_cache(maxsize=256)
def _share_outside(axis: Axis) -> float:
    """Return the share of what the taps of all outputs read that are zeros beyond the array; 0 of long axes."""
    if axis.boundary != FILLED or axis.outputs > _MOST_LINES:
        return 0.0
    return 1.0 - float(_inside(axis, np.arange(axis.taps)).mean())


def border_table(builder: Builder, problem: Problem, way: Way, taps: Taps) -> list[int]:
    """Return for each line the addresses of the bounds and the parts of its taps; nothing where all lines take all."""
    if not (way.tile.across and reads_zeros(problem)):
        return []
    axis, row = problem.axes[-2], problem.kernel_axes.index(len(problem.axes) - 2)
    table, found = list[int](), dict[bytes, tuple[int, int]]()
    for inside in _inside(axis, taps.positions[row] // axis.dilation):
        key = inside.tobytes()
        if key not in found:
            bounds, parts = _cut(taps, np.tile(inside, problem.in_channels))
            found[key] = builder.address(bounds), builder.address(parts)
        table += found[key]
    return table


def _inside(axis: Axis, taps: np.ndarray) -> np.ndarray:
    """Return for each output and each of the taps whether the sample that it reads lies in the array."""
    samples, _ = axis.reads(taps, np.arange(axis.outputs)[:, None])
    return np.asarray((samples >= 0) & (samples < axis.length))


def _cut(taps: Taps, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds and the parts of those taps alone: in each part as many outer steps as there are runs."""
    begins = np.zeros(len(inside) + 1, bool)  # of outer steps
    begins[taps.bounds[:, 0]] = begins[-1] = True
    firsts = np.flatnonzero(inside & (begins[:-1] | ~np.roll(inside, 1)))
    lasts = np.flatnonzero(inside & (begins[1:] | ~np.roll(inside, -1)))
    count = int(taps.parts[0])
    ends = taps.bounds[taps.parts[2 : 2 + count] - 1, 1]
    return np.stack([firsts, lasts + 1], axis=1), np.array([count, 0, *np.searchsorted(firsts, ends)])
