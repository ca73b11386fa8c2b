"""Checks of a call's numbers, and its errors."""

from numba import njit

from ..compile import HELPER
from ..intrinsics.memory import indices_at, moved
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
    "upsample must be at least 1",
    "padding must be at least 0",
    "padding, dilation, upsample or x is too large: a padded length is above 2**54",
    "padding leaves no output along an axis of x: its length with padding is below the kernel's extent",
    "kernel must be an outer product of lines for method='separable' in compiled code",
)
(
    _, BAD_CHANNEL, BAD_AXES, AXES_TWICE, AXES_CHANNEL, NO_CHANNELS, BAD_GROUPS, NO_GROUPS, BAD_KERNEL_CHANNELS,
    EMPTY_X, EMPTY_KERNEL, BAD_STRIDE, BAD_DILATION, BAD_UPSAMPLE, BAD_PADDING, TOO_LARGE, NO_OUTPUT, NOT_SEPARABLE,
) = range(len(MESSAGES))  # fmt: skip


@njit(**HELPER)
def row(d, i):
    """Return the row of axis ``i``."""
    return moved(d, c.ROWS_BEGIN + i * c.ROW_COLUMNS)


@njit(**HELPER)
def out_row(d, a):
    """Return the row of the result's axis that axis ``a`` of x becomes."""
    return row(d, a - (a > d[c.DROPPED]))


@njit(**HELPER)
def _find_axes(d):
    """Write which axes of x are spatial, counted from the first; return the status."""
    rank, channel = d[c.X_RANK], -1
    if d[c.HAS_CHANNEL] != 0:
        channel = d[c.CHANNEL]
        if channel < -rank or channel >= rank:
            return BAD_CHANNEL
        channel %= rank
    d[c.CHANNEL], d[c.CHANNELS_FIRST] = channel, 1
    axis, found = rank - d[c.SPATIAL] - d[c.HAS_CHANNEL], 0
    for i in range(d[c.SPATIAL]):
        own = row(d, i)
        if d[c.HAS_AXES] != 0:
            axis = own[c.AXIS]
            if axis < -rank or axis >= rank:
                return BAD_AXES
            axis %= rank
            if found >> axis & 1 != 0:
                return AXES_TWICE
            if axis == channel:
                return AXES_CHANNEL
            found |= 1 << axis
        elif axis == channel:
            axis += 1
        own[c.AXIS] = axis
        if axis < channel:
            d[c.CHANNELS_FIRST] = 0
        axis += 1
    return 0


@njit(**HELPER)
def _check_channels(d):
    """Check the kernel and the channels, and write the axes of the result; return the status."""
    groups, channel, dropped = d[c.GROUPS], d[c.CHANNEL], d[c.X_RANK]
    for i in range(d[c.KERNEL_RANK]):
        if row(d, i)[c.KERNEL_LENGTH] == 0:
            return EMPTY_KERNEL
    if channel < 0:
        d[c.DROPPED] = dropped
        return NO_GROUPS if groups != 1 else 0
    within, filters = kernel_channel_axes(d)
    channels, count = row(d, channel)[c.X_LENGTH], 1
    if d[c.IS_BANK] != 0:
        count = row(d, filters)[c.KERNEL_LENGTH]
        row(d, channel)[c.OUT_LENGTH] = count
    else:
        dropped = channel
    d[c.DROPPED] = dropped
    if channels == 0:
        return NO_CHANNELS
    if groups < 1 or channels % groups != 0 or count % groups != 0:
        return BAD_GROUPS
    return BAD_KERNEL_CHANNELS if row(d, within)[c.KERNEL_LENGTH] != channels // groups else 0


@njit(**HELPER)
def kernel_channel_axes(d):
    """Return the kernel's axes of input channels and of filters, of which the second may not exist."""
    first = d[c.IS_BANK] if d[c.CHANNELS_FIRST] != 0 else d[c.SPATIAL]
    return first, 0 if d[c.CHANNELS_FIRST] != 0 else first + 1


@njit(**HELPER)
def kernel_row(d, i):
    """Return the row of the kernel's axis of spatial axis ``i``."""
    return row(d, i + (1 + d[c.IS_BANK] if d[c.CHANNEL] >= 0 and d[c.CHANNELS_FIRST] != 0 else 0))


@njit(**HELPER)
def _count_outputs(d, i):
    """Write the padding of spatial axis ``i`` and the length of the result along it; return the status."""
    own = row(d, i)
    axis, dilation, reach = row(d, own[c.AXIS]), own[c.DILATION], kernel_row(d, i)[c.KERNEL_LENGTH] - 1
    length = axis[c.X_LENGTH]
    if length == 0:
        return EMPTY_X
    if own[c.STRIDE] < 1:
        return BAD_STRIDE
    if dilation < 1:
        return BAD_DILATION
    if reach > _MOST // dilation:
        return TOO_LARGE
    reach *= dilation
    if own[c.UPSAMPLE] < 1:
        return BAD_UPSAMPLE
    if own[c.UPSAMPLE] > _MOST // length:
        return TOO_LARGE
    length = own[c.UPSAMPLE] * (length - 1) + 1
    if d[c.PADDING] == c.SAME:
        own[c.BEFORE] = (reach + d[c.IS_FLIPPED]) // 2
        own[c.AFTER] = reach - own[c.BEFORE]
    elif d[c.PADDING] == c.FULL:
        own[c.BEFORE] = own[c.AFTER] = reach
    before, after = own[c.BEFORE], own[c.AFTER]
    if before < 0 or after < 0:
        return BAD_PADDING
    if before > _MOST or after > _MOST or length + before + after > _MOST:
        return TOO_LARGE
    if length + before + after <= reach:
        return NO_OUTPUT
    beyond = length + before + after - reach - 1
    axis[c.OUT_LENGTH] = beyond // own[c.STRIDE] + 1
    if beyond < own[c.STRIDE] and own[c.STRIDE] > reach:  # one output: the stride means nothing, not even in which
        own[c.STRIDE], own[c.AFTER] = 1, after - beyond  # order taps are summed
    if reach == 0:
        own[c.DILATION] = 1
    own[c.STRIDE] = min(own[c.STRIDE], _MOST)
    return 0


def check(address, functions):
    """Check what a caller wrote, and write the shape of the result and the status: a C function."""
    d = indices_at(address)
    rank = d[c.X_RANK]
    for a in range(rank):
        own = row(d, a)
        own[c.OUT_LENGTH] = own[c.X_LENGTH]
    status = _find_axes(d)
    if status == 0:
        status = _check_channels(d)
    for i in range(d[c.SPATIAL]):
        if status == 0:
            status = _count_outputs(d, i)
    for a in range(d[c.DROPPED] if status == 0 else rank, rank - 1):
        row(d, a)[c.OUT_LENGTH] = row(d, a + 1)[c.OUT_LENGTH]
    d[c.STATUS] = status
