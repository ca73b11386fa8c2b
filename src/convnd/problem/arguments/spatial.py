"""The spatial axes that users mean, and what they ask for along each."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from ..axis import Axis, extent, polyphase, same_padding
from ..boundary import MODES, Ends
from ..options import Options
from .layouts import as_bank, axes_differ, ranks_differ
from .messages import shown
from .names import chosen
from .values import LARGEST, is_sequence, whole

_LONGEST = 2**54  # of an axis with its padding, so that positions of whole blocks of outputs stay inside int64
PADDING_RULE = "padding must be p or (before, after) along each spatial axis"
BOUNDARY_RULE = "boundary must be a name, one for each spatial axis, or a pair (before, after) for each"
MOST_SPATIAL = 60  # axes: NumPy's arrays have 64, and a kernel in canonical form up to four of its own


def axis_index(value: Any, name: str, x: np.ndarray) -> int:
    """Return the axis of ``x`` that an argument names, counted from the first."""
    index = whole(value, name, -LARGEST)
    if not -x.ndim <= index < x.ndim:
        raise ValueError(f"{name}={index} is not an axis of x, which has {x.ndim} axes")
    return index % x.ndim


def spatial_axes(options: Options, x: np.ndarray, kernel: np.ndarray) -> tuple[tuple[int, ...], int | None]:
    """Return the spatial axes of ``x``, in the order of the kernel's, and the channel axis."""
    axes, channel = options.axes, None
    if options.channel_axis is not None:
        channel = axis_index(options.channel_axis, "channel_axis", x)
    if axes is not None:
        given = tuple(islice(axes, x.ndim + 1)) if is_sequence(axes) else (axes,)
        spatial = tuple(axis_index(a, "axes", x) for a in given)
        if len(set(spatial)) < len(spatial):
            raise ValueError(f"axes names an axis twice: {shown(given)}")
        if channel in spatial:
            raise ValueError(f"axes {given} contains channel_axis {channel}")
    elif channel is not None:
        spatial = tuple(a for a in range(x.ndim) if a != channel)
    else:
        if kernel.ndim != x.ndim:
            raise ranks_differ(x, kernel)
        spatial = tuple(range(x.ndim))
    if channel is None and kernel.ndim != len(spatial):
        raise axes_differ(x, kernel, spatial)
    if len(spatial) > MOST_SPATIAL:
        raise ValueError(f"x has {len(spatial)} spatial axes, but at most {MOST_SPATIAL} are supported")
    empty = [a for a in spatial if x.shape[a] == 0]
    if empty:
        raise ValueError(f"x has no samples along its spatial axis {empty[0]}: its shape is {x.shape}")
    if kernel.size == 0:
        raise ValueError(f"kernel is empty: its shape is {kernel.shape}")
    return spatial, channel


def _per_axis(value: Any, name: str, spatial: tuple[int, ...]) -> Sequence[Any]:
    """Return one entry for each spatial axis."""
    if not is_sequence(value):
        return [value] * len(spatial)
    entries = list(islice(value, len(spatial) + 1))
    if len(entries) != len(spatial):
        raise ValueError(
            f"{name} has {len(value)} entries but x has {len(spatial)} spatial axes {spatial}: it is {shown(value)}"
        )
    return entries


def axes_along(
    x: np.ndarray, kernel: np.ndarray, first: int, spatial: tuple[int, ...], options: Options, flipped: bool
) -> tuple[Axis, ...]:
    """Return the arithmetic along each spatial axis; the kernel's spatial axes begin with its axis ``first``."""
    taps = kernel.shape[first : first + len(spatial)]
    strides, dilations, upsamples = (
        [whole(entry, name, 1) for entry in _per_axis(getattr(options, name), name, spatial)]
        for name in ("stride", "dilation", "upsample")
    )
    pads = _padding(options.padding, spatial, taps, dilations, flipped)
    beyond = _boundaries(options.boundary, spatial)
    axes = []
    for a, k, s, d, u, (before, after), ends in zip(
        spatial, taps, strides, dilations, upsamples, pads, beyond, strict=True
    ):
        axis = Axis(x.shape[a], k, min(s, _LONGEST), d, before, after, upsample=u, boundary=ends)
        if axis.extent > _LONGEST:
            raise ValueError(f"dilation {d} of {k} taps is too large: the extent {axis.extent} is above {_LONGEST}")
        if axis.positions > _LONGEST:
            raise ValueError(
                f"upsample {u} of {axis.length} samples is too large: the length {axis.positions} is above {_LONGEST}"
            )
        if (padded := axis.positions + before + after) > _LONGEST:
            raise ValueError(f"padding {(before, after)} is too large: the padded length {padded} is above {_LONGEST}")
        if axis.outputs < 1:
            bank = "" if options.axes is not None else as_bank(x, kernel)
            raise ValueError(
                f"padding {(before, after)} leaves no output along axis {a} of x: length {axis.positions} + padding "
                f"{before + after} is below the kernel's extent {axis.extent} ({k} taps, dilation {d})"
                + (bank and f"; write {bank} if the kernel is a bank of filters")
            )
        polyphase(axis)  # or its error
        axes.append(axis)
    return tuple(axes)


def axes_of_lengths(axes: tuple[Axis, ...], lengths: Sequence[int]) -> tuple[Axis, ...] | None:
    """Return checked axes with other lengths; None where `axes_along` would raise an error, but for `polyphase`'s."""
    if 0 in lengths:
        return None
    others = []
    for axis, n in zip(axes, lengths, strict=True):
        own = axis.of_length(n)
        if own.outputs < 1 or own.positions + own.before + own.after > _LONGEST:
            return None
        polyphase(own)
        others.append(own)
    return tuple(others)


def _padding(
    padding: Any, spatial: tuple[int, ...], taps: tuple[int, ...], dilations: list[int], flipped: bool
) -> list[tuple[int, int]]:
    if isinstance(padding, str):
        name = chosen(padding, "padding")
        if name == "valid":
            return [(0, 0)] * len(spatial)
        if name == "same":
            return [same_padding(k, d, flipped) for k, d in zip(taps, dilations, strict=True)]
        return [(extent(k, d) - 1,) * 2 for k, d in zip(taps, dilations, strict=True)]
    pads = []
    for entry in _per_axis(padding, "padding", spatial):
        before, after = (whole(p, "padding", 0) for p in _ends(entry, PADDING_RULE))
        pads.append((before, after))
    return pads


def _ends(entry: Any, rule: str) -> tuple[Any, ...]:
    """Return what an entry says of the two ends of an axis: it is a pair, or the same for both."""
    ends = tuple(islice(entry, 3)) if is_sequence(entry) else (entry, entry)
    if len(ends) != 2:
        raise ValueError(f"{rule}, but has {shown(entry)}")
    return ends


def _boundaries(boundary: Any, spatial: tuple[int, ...]) -> list[Ends]:
    """Return the modes of both ends of each spatial axis."""
    entries = _per_axis(boundary, "boundary", spatial)
    if len({is_sequence(entry) for entry in entries}) > 1:
        raise ValueError(f"{BOUNDARY_RULE}, but mixes names and pairs: {shown(boundary)}")
    modes = []
    for entry in entries:
        before, after = (list(MODES).index(chosen(name, "boundary")) for name in _ends(entry, BOUNDARY_RULE))
        modes.append((before, after))
    return modes
