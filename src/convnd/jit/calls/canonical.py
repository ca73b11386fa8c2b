"""The canonical form of a call: axes by memory, the kernel unflipped, complex numbers as planes of real ones.

`problem.canonical` says the same in Python, for every method; here are the numbers that the direct method needs.
"""

from numba import njit

from .. import tables as t
from ..compile import HELPER
from ..intrinsics.memory import moved
from . import columns as c
from .check import kernel_channel_axes, kernel_row, out_row, row
from .taps import phase_count

_INTERLEAVED = 16  # samples of a frame, at most, for frames to run as one line


@njit(**HELPER)
def axis_row(d, a):
    """Return the row of canonical axis ``a``."""
    return moved(d, d[t.AXES] + a * t.AXIS_COLUMNS)


@njit(**HELPER)
def cut_axis(d):
    """Return the taps of a channel, and the first axis that has several."""
    taps, first = 1, 0
    for back in range(1, d[t.RANK] + 1):
        own = axis_row(d, d[t.RANK] - back)[t.OF_TAPS]
        taps, first = taps * own, d[t.RANK] - back if own > 1 else first
    return taps, first


@njit(**HELPER)
def _order_by_memory(d):
    """Write the axes of x from the widest step to the narrowest, as they are where steps do not tell."""
    rank = d[c.X_RANK]
    for a in range(rank):
        row(d, a)[c.ORDER] = a
    for _ in range(rank):
        last, last_step = -1, 0
        for place in range(rank):
            own = row(d, row(d, place)[c.ORDER])
            step = abs(own[c.X_STEP])
            if own[c.X_LENGTH] == 1 or step == 0:
                continue
            if last >= 0 and step > last_step:  # neighbours in the wrong order change places
                row(d, last)[c.ORDER], row(d, place)[c.ORDER] = row(d, place)[c.ORDER], row(d, last)[c.ORDER]
                step = last_step
            last, last_step = place, step


@njit(**HELPER)
def _write_axis(axis, length, x_step, out_step):
    """Write a batch axis."""
    for column in range(t.AXIS_COLUMNS):
        axis[column] = 0
    axis[t.LENGTH], axis[t.X_STEP], axis[t.OUT_STEP], axis[t.OF_OUTPUTS] = length, x_step, out_step, length
    axis[t.UNIT] = axis[t.STRIDE] = axis[t.OF_TAPS] = axis[t.OF_DILATION] = 1


@njit(**HELPER)
def _write_spatial(d, axis, i):
    """Write what spatial axis ``i`` has beyond a batch axis."""
    own, kernel = row(d, i), kernel_row(d, i)
    taps, step, before, after = kernel[c.KERNEL_LENGTH], kernel[c.KERNEL_STEP], own[c.BEFORE], own[c.AFTER]
    stride, dilation = own[c.STRIDE], own[c.DILATION]
    if d[c.IS_FLIPPED] != 0:
        d[c.KERNEL_FIRST] += (taps - 1) * step
        step = -step
    axis[t.OF_TAPS], axis[t.STRIDE], axis[t.OF_DILATION], axis[t.OF_KERNEL_STEP] = taps, stride, dilation, step
    axis[t.BEFORE], axis[t.OF_AFTER] = before, after
    axis[t.OF_OUTPUTS] = (axis[t.LENGTH] + before + after - dilation * (taps - 1) - 1) // stride + 1
    axis[t.MODE_BEFORE], axis[t.MODE_AFTER] = own[c.MODE_BEFORE], own[c.MODE_AFTER]


@njit(**HELPER)
def _find_channels(d):
    """Write channels, planes and their steps."""
    channel, groups = d[c.CHANNEL], d[c.GROUPS]
    d[t.IN_CHANNELS] = d[t.GROUP_FILTERS] = d[c.GROUP_PLANES] = d[c.SUMMED_PLANES] = 1
    d[c.X_CHANNEL_STEP] = d[c.OUT_CHANNEL_STEP] = d[c.KERNEL_CHANNEL_STEP] = d[c.FILTER_STEP] = d[c.KERNEL_FIRST] = 0
    if channel >= 0:
        within, filters = kernel_channel_axes(d)
        own = row(d, channel)
        d[t.IN_CHANNELS], d[c.X_CHANNEL_STEP] = own[c.X_LENGTH] // groups, own[c.X_STEP]
        d[c.KERNEL_CHANNEL_STEP] = row(d, within)[c.KERNEL_STEP]
        if d[c.IS_BANK] != 0:
            kernel = row(d, filters)
            d[t.GROUP_FILTERS], d[c.FILTER_STEP] = kernel[c.KERNEL_LENGTH] // groups, kernel[c.KERNEL_STEP]
            d[c.OUT_CHANNEL_STEP] = own[c.OUT_STEP]
    if d[c.KERNEL_PLANES] == 2:  # sums over the planes of x, into the planes of the result
        d[c.SUMMED_PLANES] = d[c.X_PLANES]
        d[t.GROUP_FILTERS] *= 2
    elif d[c.FILL] != d[c.FILL_IMAG]:  # planes with fill values of their own
        d[c.GROUP_PLANES] = d[c.X_PLANES]
    d[t.IN_CHANNELS] *= d[c.SUMMED_PLANES]
    d[t.GROUPS] = groups * d[c.GROUP_PLANES]


@njit(**HELPER)
def _is_batch(axis):
    return axis[t.OF_TAPS] == 1 and axis[t.STRIDE] == 1 and axis[t.BEFORE] == 0 and axis[t.OF_AFTER] == 0


@njit(**HELPER)
def _merge(outer, inner):
    """Merge an axis of stride 1 with the batch axis inside it, where they are contiguous; return whether they are."""
    unit = inner[t.LENGTH]
    if outer[t.STRIDE] != 1 or not _is_batch(inner) or (unit > _INTERLEAVED and not _is_batch(outer)):
        return False
    if outer[t.X_STEP] != unit * inner[t.X_STEP] or outer[t.OUT_STEP] != unit * inner[t.OUT_STEP]:
        return False
    if outer[t.BEFORE] > 0 or outer[t.OF_AFTER] > 0:
        outer[t.UNIT] = unit
    outer[t.LENGTH] *= unit
    outer[t.BEFORE] *= unit
    outer[t.OF_AFTER] *= unit
    outer[t.OF_DILATION] *= unit
    outer[t.OF_OUTPUTS] *= unit
    outer[t.X_STEP], outer[t.OUT_STEP] = inner[t.X_STEP], inner[t.OUT_STEP]
    return True


@njit(**HELPER)
def _move(source, target):
    """Copy an axis to another place."""
    for column in range(t.AXIS_COLUMNS):
        target[column] = source[column]


@njit(**HELPER)
def _merge_axes(d, count):
    """Leave out axes of one sample and merge others where memory and arithmetic do not tell them apart."""
    kept = count  # axes from here on are merged
    for back in range(1, count + 1):
        axis = axis_row(d, count - back)
        if _is_batch(axis) and axis[t.LENGTH] == 1 and (kept < count or back < count):
            continue
        if kept < count and _merge(axis, axis_row(d, kept)):
            kept += 1
        kept -= 1
        _move(axis, axis_row(d, kept))
    d[t.AXES] += kept * t.AXIS_COLUMNS
    count -= kept
    last = axis_row(d, count - 1)
    if count > 1 and _is_batch(last) and last[t.LENGTH] <= _INTERLEAVED:  # frames that cannot merge come first
        d[t.AXES] -= t.AXIS_COLUMNS
        _move(last, moved(d, d[t.AXES]))
    return count


@njit(**HELPER)
def canonicalize(d):
    """Write the canonical form of a call that has been checked."""
    _find_channels(d)
    _order_by_memory(d)
    d[t.AXES] = c.ROWS_BEGIN + (d[c.X_RANK] + 2) * c.ROW_COLUMNS + t.AXIS_COLUMNS  # one is free for frames
    count = 0
    for place in range(d[c.X_RANK]):
        a = row(d, place)[c.ORDER]
        if a == d[c.CHANNEL]:
            continue
        own, axis = row(d, a), axis_row(d, count)
        _write_axis(axis, own[c.X_LENGTH], own[c.X_STEP], out_row(d, a)[c.OUT_STEP])
        for i in range(d[c.SPATIAL]):
            if row(d, i)[c.AXIS] == a:
                _write_spatial(d, axis, i)
        count += 1
    planes = d[c.X_PLANES] // (d[c.SUMMED_PLANES] * d[c.GROUP_PLANES])
    _write_axis(axis_row(d, count), planes, d[t.STORED], d[c.RESULT])
    d[t.RANK] = _merge_axes(d, count + 1)
    for a in range(d[t.RANK]):
        axis = axis_row(d, a)
        axis[t.REACH] = axis[t.OF_DILATION] * (axis[t.OF_TAPS] - 1)
        axis[t.OF_PHASES] = phase_count(axis[t.OF_TAPS], axis[t.STRIDE], axis[t.OF_DILATION])
