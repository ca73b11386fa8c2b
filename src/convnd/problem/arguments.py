"""The user's arguments, checked: the one place that raises their errors.

Every message names the argument, the rule and the values.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from itertools import islice
from math import inf
from numbers import Real
from typing import Any

import numpy as np

from . import dtypes, memory
from .axis import Axis, extent, polyphase, same_padding
from .boundary import MODES
from .messages import shown
from .names import chosen
from .options import Options
from .request import Request
from .result import check_out, plain_out, result_type

_LARGEST = 2**62  # of any whole number
_LONGEST = 2**54  # of an axis with its padding, so that positions of whole blocks of outputs stay inside int64
_KERNEL_BYTES = 3 * 8  # of a weight: of a broadcast kernel too, a plan's copy, the packed and what packs it are written
_MOST_COLOURS = 4  # samples of a last axis that an error takes for those of a pixel
MOST_SPATIAL = 60  # axes: NumPy's arrays have 64, and a kernel in canonical form up to four of its own


def parse(x: Any, kernel: Any, out: Any, options: Options) -> Request:
    """Check every argument of `convnd.convnd` and return what they ask for."""
    x, kernel = _array(x, "x"), _array(kernel, "kernel")
    channel = None if options.channel_axis is None else axis_index(options.channel_axis, "channel_axis", x)
    spatial = spatial_axes(options.axes, x, kernel, channel)
    first, bank = _kernel_layout(x, kernel, spatial, channel)
    method = chosen(options.method, "method")
    if method == "separable" and channel is not None:
        raise ValueError(f"method 'separable' takes no channels, but channel_axis is {channel}")
    groups = whole(options.groups, "groups", 1)
    if channel is not None:
        _check_channels(x.shape[channel], kernel, first, bank, groups)
    elif groups != 1:
        raise ValueError(f"groups={groups} needs channel_axis, the axis of x that groups divide")
    flipped = chosen(options.convention, "convention") == "convolution"
    offset = 0 if channel is None or not first else 1 + bank
    taps = kernel.shape[offset : offset + len(spatial)]
    lines = _axes(x, taps, spatial, options, flipped)
    mode = list(MODES).index(chosen(options.boundary, "boundary"))
    out = plain_out(out)
    result = result_type(x.dtype, kernel.dtype, options.dtype, out)
    is_complex = "c" in (x.dtype.kind, kernel.dtype.kind)
    integer = None
    if dtypes.is_integer(x.dtype) and dtypes.is_integer(kernel.dtype):
        integer = dtypes.default_result(x.dtype, kernel.dtype)
    if _KERNEL_BYTES * kernel.size > memory.total():
        raise ValueError(f"kernel does not fit in memory as it is computed with: its shape is {kernel.shape}")
    precision = dtypes.working(x.dtype, kernel, result, 0)
    fill = dtypes.fill_value(options.fill_value, integer, is_complex, precision)
    given = x.dtype
    if fill.imag and x.dtype.kind != "c":
        x = _converted(x, np.result_type(x, np.complex64))  # the samples have a second plane after all: outside x
    request = Request(
        x, given, kernel, spatial, lines, channel, first, bank, groups, flipped, mode, fill,
        dtypes.working(x.dtype, kernel, result, fill), result, out,
        None if options.workers is None else whole(options.workers, "workers", 1), method,
        chosen(options.nan_policy, "nan_policy"),
    )  # fmt: skip
    check_out(request)
    return request


def _array(value: Any, name: str) -> np.ndarray:
    if dtypes.is_masked(value):
        raise TypeError(f"{name} is a masked array, whose mask would be ignored: fill it first, {name}.filled(...)")
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            array = np.from_dlpack(value)
        else:
            array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not a regular array: {error}") from None
    except (BufferError, RuntimeError, TypeError) as error:  # on another device, or part of a computation: it says so
        reason = " ".join(str(error).split())
        raise TypeError(f"{name} is a {type(value).__name__} that does not become an array: {reason}") from error
    if array.dtype == object and not isinstance(value, np.ndarray):
        raise TypeError(f"{name} has dtype object, which is not numeric: it is a {type(value).__name__}")
    dtypes.check(array.dtype, name)
    return array


def _converted(x: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return ``x`` in another type; what stands for an array that is not in memory takes none then either."""
    if any(x.strides):
        return x.astype(dtype)
    return np.broadcast_to(x[(slice(1),) * x.ndim].astype(dtype), x.shape)


def whole(value: Any, name: str, least: int) -> int:
    """Return ``value`` as an int, at least ``least``."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a whole number, but is {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, but is {shown(value)}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, but is {shown(number)}")
    if number > _LARGEST:
        raise ValueError(f"{name} must be at most {_LARGEST}, but is {shown(number)}")
    return number


def number(value: Any, name: str, least: float = 0) -> float:
    """Return ``value`` as a finite float, at least ``least``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, but is {shown(value)}")
    finite = float(value)
    if not -inf < finite < inf:
        raise ValueError(f"{name} must be finite, but is {value}")
    if finite < least:
        raise ValueError(f"{name} must be at least {least}, but is {value}")
    return finite


def by_axis(ndim: Any, **arguments: Any) -> list[Sequence[Any]]:
    """Return each argument as one entry for each axis, as many as ``ndim`` or the sequences among them tell."""
    rank = None if ndim is None else whole(ndim, "ndim", 1)
    source = f"ndim is {rank}"
    for name, value in arguments.items():
        if is_sequence(value):
            if len(value) == 0:
                raise ValueError(f"{name} is empty, but a kernel has at least one axis")
            if rank not in (None, len(value)):
                raise ValueError(f"{name} has {len(value)} entries but {source}")
            rank, source = len(value), f"{name} has {len(value)}"
    return [value if is_sequence(value) else [value] * (rank or 1) for value in arguments.values()]


def listed(values: Any, name: str) -> list[Any]:
    """Return the entries of an iterable."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be an iterable of entries, but is {shown(values)}")
    return list(values)


def is_sequence(value: Any) -> bool:
    """Return whether a value has entries, such as one for each axis."""
    return isinstance(value, (tuple, list, range)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def axis_index(value: Any, name: str, x: np.ndarray) -> int:
    """Return the axis of ``x`` that an argument names, counted from the first."""
    index = whole(value, name, -_LARGEST)
    if not -x.ndim <= index < x.ndim:
        raise ValueError(f"{name}={index} is not an axis of x, which has {x.ndim} axes")
    return index % x.ndim


def spatial_axes(axes: Any, x: np.ndarray, kernel: np.ndarray, channel: int | None) -> tuple[int, ...]:
    """Return the spatial axes of ``x``, in the order of the kernel's."""
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
            raise _ranks_differ(x, kernel.ndim)
        spatial = tuple(range(x.ndim))
    if channel is None and kernel.ndim != len(spatial):
        raise ValueError(f"kernel has {kernel.ndim} axes but axes names {len(spatial)}: {spatial}")
    if len(spatial) > MOST_SPATIAL:
        raise ValueError(f"x has {len(spatial)} spatial axes, but at most {MOST_SPATIAL} are supported")
    empty = [a for a in spatial if x.shape[a] == 0]
    if empty:
        raise ValueError(f"x has no samples along its spatial axis {empty[0]}: its shape is {x.shape}")
    if kernel.size == 0:
        raise ValueError(f"kernel is empty: its shape is {kernel.shape}")
    return spatial


def _ranks_differ(x: np.ndarray, rank: int) -> ValueError:
    """Return the error about a kernel of another rank than ``x``, where nothing says what the axes of ``x`` are."""
    if rank < x.ndim:
        axes = tuple(range(-rank, 0))
        if x.shape[-1] <= _MOST_COLOURS < max(x.shape):  # or for the channels of sound, as files have them
            axes = tuple(range(x.ndim - 1 - rank, x.ndim - 1))
        named = axes[0] if rank == 1 else axes
        meant = f"write axes={named} if the others are a batch, or channel_axis=... to sum over one of them"
    elif rank == x.ndim + 1 > 1:
        meant = "write channel_axis=... for a bank of filters, (C_out, C_in/groups, *K) or (*K, C_in/groups, C_out)"
    else:
        meant = f"x needs {rank - x.ndim} more, as x[None] gives it one"
    return ValueError(f"kernel has {rank} axes but x has {x.ndim}, of shape {x.shape}: {meant}")


def _kernel_layout(
    x: np.ndarray, kernel: np.ndarray, spatial: tuple[int, ...], channel: int | None
) -> tuple[bool, bool]:
    """Return whether the kernel's channels come before its spatial axes, and whether it is a bank."""
    if channel is None:
        return True, False
    first = all(channel < a for a in spatial)
    extra = kernel.ndim - len(spatial)
    if extra not in (1, 2):
        layout = "(C_in, *K) or (C_out, C_in/groups, *K)" if first else "(*K, C_in) or (*K, C_in/groups, C_out)"
        # What scikit-image means by channel_axis.
        each = f"; axes={spatial} in place of channel_axis filters each channel by itself" if extra == 0 else ""
        raise ValueError(
            f"kernel must be {layout} for channel_axis {channel} and {len(spatial)} spatial axes {spatial}, "
            f"but has {kernel.ndim} axes: its shape is {kernel.shape}{each}"
        )
    return first, extra == 2


def _check_channels(channels: int, kernel: np.ndarray, first: bool, bank: bool, groups: int) -> None:
    if channels == 0:
        raise ValueError("x has no channels: its channel_axis has length 0")
    if channels % groups:
        raise ValueError(f"groups={groups} must divide the {channels} channels of x")
    filters = (kernel.shape[0] if first else kernel.shape[-1]) if bank else 1
    if filters % groups:
        raise ValueError(f"groups={groups} must divide the {filters} filters of kernel")
    within = kernel.shape[int(bank)] if first else kernel.shape[-1 - int(bank)]
    if within != channels // groups:
        raise ValueError(
            f"kernel has {within} input channels but x has {channels} in {groups} groups: "
            f"it must have {channels} / {groups} = {channels // groups}"
        )


def _per_axis(value: Any, name: str, spatial: tuple[int, ...]) -> Sequence[Any]:
    """Return one entry for each spatial axis."""
    if not is_sequence(value):
        return [value] * len(spatial)
    entries = list(islice(value, len(spatial) + 1))
    if len(entries) != len(spatial):
        raise ValueError(f"{name} has {len(value)} entries but x has {len(spatial)} spatial axes {spatial}")
    return entries


def _axes(
    x: np.ndarray, taps: tuple[int, ...], spatial: tuple[int, ...], options: Options, flipped: bool
) -> tuple[Axis, ...]:
    strides, dilations, upsamples = (
        [whole(entry, name, 1) for entry in _per_axis(getattr(options, name), name, spatial)]
        for name in ("stride", "dilation", "upsample")
    )
    pads = _padding(options.padding, spatial, taps, dilations, flipped)
    axes = []
    for a, k, s, d, u, (before, after) in zip(spatial, taps, strides, dilations, upsamples, pads, strict=True):
        axis = Axis(x.shape[a], k, min(s, _LONGEST), d, before, after, upsample=u)
        if axis.extent > _LONGEST:
            raise ValueError(f"dilation {d} of {k} taps is too large: the extent {axis.extent} is above {_LONGEST}")
        if axis.positions > _LONGEST:
            raise ValueError(
                f"upsample {u} of {axis.length} samples is too large: the length {axis.positions} is above {_LONGEST}"
            )
        if (padded := axis.positions + before + after) > _LONGEST:
            raise ValueError(f"padding {(before, after)} is too large: the padded length {padded} is above {_LONGEST}")
        if axis.outputs < 1:
            raise ValueError(
                f"padding {(before, after)} leaves no output along axis {a} of x: length {axis.positions} + padding "
                f"{before + after} is below the kernel's extent {axis.extent} ({k} taps, dilation {d})"
            )
        polyphase(axis)  # or its error
        axes.append(axis)
    return tuple(axes)


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
        ends = tuple(islice(entry, 3)) if is_sequence(entry) else (entry, entry)
        if len(ends) != 2:
            raise ValueError(f"padding must be p or (before, after) along each spatial axis, but has {shown(entry)}")
        before, after = (whole(p, "padding", 0) for p in ends)
        pads.append((before, after))
    return pads


def check_x(x: Any, request: Request) -> np.ndarray:
    """Return an array that takes the place of a request's ``x``."""
    array = _array(x, "x")
    wanted = request.x
    if array.shape != wanted.shape:
        raise ValueError(f"x has shape {array.shape} but the plan is for {wanted.shape}")
    if array.dtype != request.x_dtype:
        raise ValueError(f"x has dtype {array.dtype} but the plan is for {request.x_dtype}")
    return array.astype(wanted.dtype, copy=False)


def check_y(y: Any, request: Request) -> np.ndarray:
    """Return an array of the shape of a request's result."""
    array = _array(y, "y")
    if array.shape != request.out_shape:
        raise ValueError(f"y has shape {array.shape} but the plan's result has {request.out_shape}")
    return array
