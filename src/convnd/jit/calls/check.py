"""Checks of a call's numbers, and its errors."""

from __future__ import annotations

from numba import njit

from ..compile import HELPER
from . import columns as c

_MOST = 2**54  # of an axis with its padding, so that positions of whole blocks of outputs stay inside int64

#: What is wrong, by its status. Nothing is where the status is 0.
MESSAGES = (
    "",
    "channel_axis is not an axis of x",
    "axes names an axis that x does not have",
    "axes names an axis twice",
    "axes contains channel_axis",
    "x has no channels: its channel_axis has length 0",
    "groups must be at least 1 and divide the channels of x and the filters of kernel",
    "groups needs channel_axis, the axis of x that groups divide",
    "kernel must have as many input channels as x has in a group",
    "x has no samples along a spatial axis",
    "kernel is empty",
    "stride must be at least 1",
    "dilation must be at least 1",
    "padding must be at least 0",
    "padding, dilation or x is too large: a padded length is above 2**54",
    "padding leaves no output along an axis of x: its length with padding is below the kernel's extent",
)
(
    _, BAD_CHANNEL, BAD_AXES, AXES_TWICE, AXES_CHANNEL, NO_CHANNELS, BAD_GROUPS, NO_GROUPS, BAD_KERNEL_CHANNELS,
    EMPTY_X, EMPTY_KERNEL, BAD_STRIDE, BAD_DILATION, BAD_PADDING, TOO_LARGE, NO_OUTPUT,
) = range(len(MESSAGES))  # fmt: skip


@njit(**HELPER)
def row(i):
    """Return where the row of axis ``i`` begins."""
    return c.ROWS_BEGIN + i * c.ROW_COLUMNS


@njit(**HELPER)
def _find_axes(d):
    """Write which axes of x are spatial, counted from the first; return the status."""
    rank, channel = d[c.RANK], -1
    if d[c.HAS_CHANNEL] != 0:
        channel = d[c.CHANNEL]
        if channel < -rank or channel >= rank:
            return BAD_CHANNEL
        channel %= rank
    d[c.CHANNEL] = channel
    axis = rank - d[c.SPATIAL] - d[c.HAS_CHANNEL]
    d[c.CHANNELS_FIRST] = 1
    for i in range(d[c.SPATIAL]):
        if d[c.HAS_AXES] != 0:
            axis = d[row(i) + c.AXIS]
            if axis < -rank or axis >= rank:
                return BAD_AXES
            axis %= rank
            for other in range(i):
                if d[row(other) + c.AXIS] == axis:
                    return AXES_TWICE
            if axis == channel:
                return AXES_CHANNEL
        elif axis == channel:
            axis += 1
        d[row(i) + c.AXIS] = axis
        if axis < channel:
            d[c.CHANNELS_FIRST] = 0
        axis += 1
    return 0


@njit(**HELPER)
def _check_channels(d):
    groups, channel = d[c.GROUPS], d[c.CHANNEL]
    for i in range(d[c.KERNEL_RANK]):
        if d[row(i) + c.KERNEL_LENGTH] == 0:
            return EMPTY_KERNEL
    if channel < 0:
        return NO_GROUPS if groups != 1 else 0
    channels = d[row(channel) + c.X_LENGTH]
    if channels == 0:
        return NO_CHANNELS
    within, filters = kernel_channel_axes(d)
    count = d[row(filters) + c.KERNEL_LENGTH] if d[c.IS_BANK] != 0 else 1
    if groups < 1 or channels % groups != 0 or count % groups != 0:
        return BAD_GROUPS
    return BAD_KERNEL_CHANNELS if d[row(within) + c.KERNEL_LENGTH] != channels // groups else 0


@njit(**HELPER)
def kernel_channel_axes(d):
    """Return the kernel's axes of input channels and of filters, of which the second may not exist."""
    if d[c.CHANNELS_FIRST] != 0:
        return d[c.IS_BANK], 0
    return d[c.SPATIAL], d[c.SPATIAL] + 1


@njit(**HELPER)
def first_kernel_axis(d):
    """Return the kernel's first spatial axis."""
    return 1 + d[c.IS_BANK] if d[c.CHANNEL] >= 0 and d[c.CHANNELS_FIRST] != 0 else 0


@njit(**HELPER)
def extent(taps, dilation):
    """Return the number of input positions from the first tap to the last."""
    return dilation * (taps - 1) + 1


@njit(**HELPER)
def _count_outputs(d, i):
    """Write the padding of spatial axis ``i`` and the length of the result along it; return the status."""
    at, axis = row(i), row(d[row(i) + c.AXIS])
    length, taps = d[axis + c.X_LENGTH], d[row(first_kernel_axis(d) + i) + c.KERNEL_LENGTH]
    stride, dilation = min(d[at + c.STRIDE], _MOST), d[at + c.DILATION]
    if length == 0:
        return EMPTY_X
    if stride < 1:
        return BAD_STRIDE
    if dilation < 1:
        return BAD_DILATION
    if taps - 1 > _MOST // dilation:
        return TOO_LARGE
    reach = extent(taps, dilation) - 1
    if d[c.PADDING] == c.SAME:
        d[at + c.BEFORE] = reach - reach // 2 if d[c.IS_FLIPPED] != 0 else reach // 2
        d[at + c.AFTER] = reach - d[at + c.BEFORE]
    elif d[c.PADDING] == c.FULL:
        d[at + c.BEFORE] = d[at + c.AFTER] = reach
    before, after = d[at + c.BEFORE], d[at + c.AFTER]
    if before < 0 or after < 0:
        return BAD_PADDING
    if before > _MOST or after > _MOST or length + before + after > _MOST:
        return TOO_LARGE
    outputs = (length + before + after - reach - 1) // stride + 1
    if outputs < 1:
        return NO_OUTPUT
    d[at + c.STRIDE] = stride
    d[axis + c.OUT_LENGTH] = outputs
    return 0


@njit(**HELPER)
def check(d):
    """Check what a caller wrote, and write the shape of the result; return the status."""
    status = _find_axes(d)
    status = _check_channels(d) if status == 0 else status
    rank = d[c.RANK]
    for a in range(rank if status == 0 else 0):
        d[row(a) + c.OUT_LENGTH] = d[row(a) + c.X_LENGTH]
    for i in range(d[c.SPATIAL]):
        status = _count_outputs(d, i) if status == 0 else status
    if status != 0:
        return status
    d[c.DROPPED] = rank
    if d[c.IS_BANK] != 0:
        d[row(d[c.CHANNEL]) + c.OUT_LENGTH] = d[row(kernel_channel_axes(d)[1]) + c.KERNEL_LENGTH]
    elif d[c.CHANNEL] >= 0:
        d[c.DROPPED] = d[c.CHANNEL]
        for a in range(d[c.CHANNEL], rank - 1):
            d[row(a) + c.OUT_LENGTH] = d[row(a + 1) + c.OUT_LENGTH]
    return 0
