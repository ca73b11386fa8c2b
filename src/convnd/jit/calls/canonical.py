"""The canonical form of a call: axes by memory, the kernel unflipped, complex numbers as planes of real ones.

`problem.canonical` says the same in Python, for every method; here are the numbers that the direct method needs.
"""

from __future__ import annotations

from numba import njit

from ..compile import HELPER
from ..taps import phase_count
from . import columns as c
from .check import extent, first_kernel_axis, kernel_channel_axes, row

_INTERLEAVED = 16  # samples of a frame, at most, for frames to run as one line


@njit(**HELPER)
def of(d, a):
    """Return where the row of canonical axis ``a`` begins."""
    return c.ROWS_BEGIN + (d[c.RANK] + 2) * c.ROW_COLUMNS + a * c.CANONICAL_COLUMNS


@njit(**HELPER)
def _is_telling(d, a):
    """Return whether an axis of x has a step."""
    return d[row(a) + c.X_LENGTH] > 1 and d[row(a) + c.X_STEP] != 0


@njit(**HELPER)
def _order_by_memory(d):
    """Write the axes of x from the widest step to the narrowest, as they are where steps do not tell."""
    rank, found = d[c.RANK], 0
    for a in range(rank):
        if not _is_telling(d, a):
            d[row(a) + c.ORDER] = a
    for place in range(rank):
        if not _is_telling(d, place):
            continue
        best, most = -1, 0
        for a in range(rank):  # the widest of those that are not placed yet
            step = abs(d[row(a) + c.X_STEP])
            if _is_telling(d, a) and found >> a & 1 == 0 and step > most:
                best, most = a, step
        found |= 1 << best
        d[row(place) + c.ORDER] = best


@njit(**HELPER)
def _write_axis(d, at, length, x_step, out_step):
    """Write a batch axis."""
    d[at + c.OF_LENGTH], d[at + c.OF_OUTPUTS], d[at + c.OF_X_STEP], d[at + c.OF_OUT_STEP] = (
        length, length, x_step, out_step,
    )  # fmt: skip
    d[at + c.OF_TAPS] = d[at + c.OF_STRIDE] = d[at + c.OF_DILATION] = d[at + c.OF_UNIT] = 1
    d[at + c.OF_BEFORE] = d[at + c.OF_AFTER] = d[at + c.OF_KERNEL_STEP] = 0
    d[at + c.OF_MODE_BEFORE] = d[at + c.OF_MODE_AFTER] = 0


@njit(**HELPER)
def _write_spatial(d, at, i):
    """Write what spatial axis ``i`` has beyond a batch axis."""
    own, kernel = row(i), row(first_kernel_axis(d) + i)
    taps, stride, dilation = d[kernel + c.KERNEL_LENGTH], d[own + c.STRIDE], d[own + c.DILATION]
    before, after = d[own + c.BEFORE], d[own + c.AFTER]
    dilation = dilation if taps > 1 else 1
    whole = extent(taps, dilation)
    outputs = (d[at + c.OF_LENGTH] + before + after - whole) // stride + 1
    if outputs == 1 and stride >= whole:  # the stride means nothing, not even in which order taps are summed
        stride, after = 1, whole - d[at + c.OF_LENGTH] - before
    step = d[kernel + c.KERNEL_STEP]
    if d[c.IS_FLIPPED] != 0:
        d[c.KERNEL_FIRST] += (taps - 1) * step
        step = -step
    d[at + c.OF_TAPS], d[at + c.OF_STRIDE], d[at + c.OF_DILATION], d[at + c.OF_OUTPUTS] = (
        taps, stride, dilation, outputs,
    )  # fmt: skip
    d[at + c.OF_BEFORE], d[at + c.OF_AFTER], d[at + c.OF_KERNEL_STEP] = before, after, step
    d[at + c.OF_MODE_BEFORE], d[at + c.OF_MODE_AFTER] = d[own + c.MODE_BEFORE], d[own + c.MODE_AFTER]


@njit(**HELPER)
def _find_channels(d):
    """Write channels, planes and their steps."""
    channel, groups = d[c.CHANNEL], d[c.GROUPS]
    d[c.IN_CHANNELS] = d[c.FILTERS] = d[c.GROUP_PLANES] = 1
    d[c.X_CHANNEL_STEP] = d[c.OUT_CHANNEL_STEP] = d[c.KERNEL_CHANNEL_STEP] = d[c.FILTER_STEP] = 0
    d[c.KERNEL_FIRST] = 0
    if channel >= 0:
        within, filters = kernel_channel_axes(d)
        d[c.IN_CHANNELS] = d[row(channel) + c.X_LENGTH] // groups
        d[c.X_CHANNEL_STEP], d[c.KERNEL_CHANNEL_STEP] = d[row(channel) + c.X_STEP], d[row(within) + c.KERNEL_STEP]
        if d[c.IS_BANK] != 0:
            d[c.FILTERS] = d[row(filters) + c.KERNEL_LENGTH] // groups
            d[c.OUT_CHANNEL_STEP], d[c.FILTER_STEP] = d[row(channel) + c.OUT_STEP], d[row(filters) + c.KERNEL_STEP]
    if d[c.KERNEL_PLANES] == 2:  # sums over the planes of x, into the planes of the result
        d[c.IN_CHANNELS] *= d[c.X_PLANES]
        d[c.FILTERS] *= 2
    elif d[c.X_PLANES] == 2 and d[c.FILL] != d[c.FILL_IMAG]:  # planes with fill values of their own
        d[c.GROUP_PLANES] = 2


@njit(**HELPER)
def summed_planes(d):
    """Return the planes of a channel of x that are summed."""
    return d[c.X_PLANES] if d[c.KERNEL_PLANES] == 2 else 1


@njit(**HELPER)
def _is_batch(d, at):
    return d[at + c.OF_TAPS] == 1 and d[at + c.OF_STRIDE] == 1 and d[at + c.OF_BEFORE] == 0 and d[at + c.OF_AFTER] == 0


@njit(**HELPER)
def _merge(d, outer, inner):
    """Merge an axis of stride 1 with the batch axis inside it, where they are contiguous; return whether they are."""
    unit = d[inner + c.OF_LENGTH]
    if d[outer + c.OF_STRIDE] != 1 or not _is_batch(d, inner):
        return False
    if not _is_batch(d, outer) and unit > _INTERLEAVED:
        return False
    if d[outer + c.OF_X_STEP] != unit * d[inner + c.OF_X_STEP]:
        return False
    if d[outer + c.OF_OUT_STEP] != unit * d[inner + c.OF_OUT_STEP]:
        return False
    if d[outer + c.OF_BEFORE] > 0 or d[outer + c.OF_AFTER] > 0:
        d[outer + c.OF_UNIT] = unit
    for column in (c.OF_LENGTH, c.OF_DILATION, c.OF_BEFORE, c.OF_AFTER, c.OF_OUTPUTS):
        d[outer + column] *= unit
    d[outer + c.OF_X_STEP], d[outer + c.OF_OUT_STEP] = d[inner + c.OF_X_STEP], d[inner + c.OF_OUT_STEP]
    return True


@njit(**HELPER)
def _move(d, source, target):
    """Copy a canonical axis to another place."""
    for column in range(c.CANONICAL_COLUMNS):
        d[of(d, target) + column] = d[of(d, source) + column]


@njit(**HELPER)
def _merge_axes(d, count):
    """Leave out axes of one sample and merge others where memory and arithmetic do not tell them apart."""
    kept = count  # axes from here on are merged
    for back in range(count):
        a = count - 1 - back
        at = of(d, a)
        if _is_batch(d, at) and d[at + c.OF_LENGTH] == 1:
            continue
        if kept < count and _merge(d, at, of(d, kept)):
            kept += 1
        kept -= 1
        _move(d, a, kept)
    if kept == count:
        _write_axis(d, of(d, 0), 1, 0, 0)
        return 1
    for k in range(count - kept):
        _move(d, kept + k, k)
    count -= kept
    last = of(d, count - 1)
    if count > 1 and _is_batch(d, last) and d[last + c.OF_LENGTH] <= _INTERLEAVED:  # frames that cannot merge
        for back in range(count):
            _move(d, count - 1 - back, count - back)
        _move(d, count, 0)
    return count


@njit(**HELPER)
def canonicalize(d):
    """Write the canonical form of a call that has been checked."""
    _find_channels(d)
    _order_by_memory(d)
    count = 0
    for place in range(d[c.RANK]):
        a = d[row(place) + c.ORDER]
        if a == d[c.CHANNEL]:
            continue
        at, dropped = of(d, count), 1 if a > d[c.DROPPED] else 0
        _write_axis(d, at, d[row(a) + c.X_LENGTH], d[row(a) + c.X_STEP], d[row(a - dropped) + c.OUT_STEP])
        for i in range(d[c.SPATIAL]):
            if d[row(i) + c.AXIS] == a:
                _write_spatial(d, at, i)
        count += 1
    if d[c.KERNEL_PLANES] == 1 and d[c.X_PLANES] == 2 and d[c.GROUP_PLANES] == 1:
        _write_axis(d, of(d, count), 2, d[c.STORED], d[c.RESULT])
        count += 1
    d[c.AXES] = _merge_axes(d, count)
    for a in range(d[c.AXES]):
        at = of(d, a)
        d[at + c.OF_EXTENT] = extent(d[at + c.OF_TAPS], d[at + c.OF_DILATION])
        d[at + c.OF_PHASES] = phase_count(d[at + c.OF_TAPS], d[at + c.OF_STRIDE], d[at + c.OF_DILATION])
