"""The user's arguments, checked: the one place that raises their errors.

Every message names the argument, the rule and the values.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import boundary as boundaries
from . import dtypes
from .axis import Axis, extent, same_padding
from .request import Request

METHODS = ("auto", "direct", "separable", "fft", "winograd")
_LARGEST = 2**62  # of any whole number, so that index arithmetic stays inside int64


#: What the user asks for beside the arrays, as it was given: the options of `convnd.convnd` in the order of its
#: signature, ``out`` left out.
Options = tuple[Any, ...]


def parse(x: Any, kernel: Any, out: Any, options: Options) -> Request:
    """Check every argument of `convnd.convnd` and return what they ask for."""
    (
        padding, stride, dilation, upsample, groups, axes, channel_axis, convention, boundary, fill_value, method,
        dtype, workers,
    ) = options  # fmt: skip
    x, kernel = _array(x, "x"), _array(kernel, "kernel")
    channel = None if channel_axis is None else axis_index(channel_axis, "channel_axis", x)
    spatial = spatial_axes(axes, x, kernel, channel)
    first, bank = _kernel_layout(x, kernel, spatial, channel)
    if _one_of(method, "method", METHODS) == "separable" and channel is not None:
        raise ValueError(f"method 'separable' takes no channels, but channel_axis is {channel_axis}")
    groups = whole(groups, "groups", 1)
    if channel is not None:
        _check_channels(x.shape[channel], kernel, first, bank, groups)
    elif groups != 1:
        raise ValueError(f"groups={groups} needs channel_axis, the axis of x that groups divide")
    flipped = _one_of(convention, "convention", ("convolution", "correlation")) == "convolution"
    offset = 0 if channel is None or not first else 1 + bank
    taps = kernel.shape[offset : offset + len(spatial)]
    lines = _axes(x, taps, spatial, padding, stride, dilation, upsample, flipped)
    mode = _boundary(boundary)
    result, out = _result(x.dtype, kernel.dtype, dtype, out)
    is_complex = "c" in (x.dtype.kind, kernel.dtype.kind)
    integer = None
    if dtypes.is_integer(x.dtype) and dtypes.is_integer(kernel.dtype):
        integer = dtypes.default_result(x.dtype, kernel.dtype)
    precision = dtypes.working(x.dtype, kernel, result, 0)
    fill = dtypes.fill_value(fill_value, integer, is_complex, precision)
    given = x.dtype
    if fill.imag and x.dtype.kind != "c":
        x = _converted(x, np.result_type(x, np.complex64))  # the samples have a second plane after all: outside x
    request = Request(
        x, given, kernel, spatial, lines, channel, first, bank, groups, flipped, mode, fill,
        dtypes.working(x.dtype, kernel, result, fill), result, out,
        None if workers is None else whole(workers, "workers", 1), method,
    )  # fmt: skip
    check_out(request)
    return request


def _array(value: Any, name: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not a regular array: {error}") from None
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
        raise TypeError(f"{name} must be a whole number, but is {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, but is {number}")
    if number > _LARGEST:
        raise ValueError(f"{name} must be at most {_LARGEST}, but is {number}")
    return number


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
        given = tuple(axes) if is_sequence(axes) else (axes,)
        spatial = tuple(axis_index(a, "axes", x) for a in given)
        if len(set(spatial)) < len(spatial):
            raise ValueError(f"axes names an axis twice: {given}")
        if channel in spatial:
            raise ValueError(f"axes {given} contains channel_axis {channel}")
    elif channel is not None:
        spatial = tuple(a for a in range(x.ndim) if a != channel)
    else:
        if kernel.ndim > x.ndim:
            raise ValueError(f"kernel has {kernel.ndim} axes but x has {x.ndim}")
        spatial = tuple(range(x.ndim - kernel.ndim, x.ndim))
    if channel is None and kernel.ndim != len(spatial):
        raise ValueError(f"kernel has {kernel.ndim} axes but axes names {len(spatial)}: {spatial}")
    empty = [a for a in spatial if x.shape[a] == 0]
    if empty:
        raise ValueError(f"x has no samples along its spatial axis {empty[0]}: its shape is {x.shape}")
    if kernel.size == 0:
        raise ValueError(f"kernel is empty: its shape is {kernel.shape}")
    return spatial


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
        raise ValueError(
            f"kernel must be {layout} for channel_axis {channel} and {len(spatial)} spatial axes {spatial}, "
            f"but has {kernel.ndim} axes: its shape is {kernel.shape}"
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
    if len(value) != len(spatial):
        raise ValueError(f"{name} has {len(value)} entries but x has {len(spatial)} spatial axes {spatial}")
    return value


def _axes(
    x: np.ndarray, taps: tuple[int, ...], spatial: tuple[int, ...], padding: Any, stride: Any, dilation: Any,
    upsample: Any, flipped: bool,
) -> tuple[Axis, ...]:  # fmt: skip
    strides = [whole(s, "stride", 1) for s in _per_axis(stride, "stride", spatial)]
    dilations = [whole(d, "dilation", 1) for d in _per_axis(dilation, "dilation", spatial)]
    upsamples = [whole(u, "upsample", 1) for u in _per_axis(upsample, "upsample", spatial)]
    pads = _padding(padding, spatial, taps, dilations, flipped)
    axes = []
    for a, k, s, d, u, (before, after) in zip(spatial, taps, strides, dilations, upsamples, pads, strict=True):
        if extent(k, d) > _LARGEST:
            raise ValueError(f"dilation {d} of {k} taps is too large: the extent is {extent(k, d)}")
        axis = Axis(x.shape[a], k, s, d, before, after, upsample=u)
        if axis.positions > _LARGEST:
            raise ValueError(f"upsample {u} of {axis.length} samples is too large: the length is {axis.positions}")
        if axis.outputs < 1:
            raise ValueError(
                f"padding {(before, after)} leaves no output along axis {a} of x: length {axis.positions} + padding "
                f"{before + after} is below the kernel's extent {axis.extent} ({k} taps, dilation {d})"
            )
        axes.append(axis)
    return tuple(axes)


def _padding(
    padding: Any, spatial: tuple[int, ...], taps: tuple[int, ...], dilations: list[int], flipped: bool
) -> list[tuple[int, int]]:
    if isinstance(padding, str):
        name = _one_of(padding, "padding", ("valid", "same", "full"))
        if name == "valid":
            return [(0, 0)] * len(spatial)
        if name == "same":
            return [same_padding(k, d, flipped) for k, d in zip(taps, dilations, strict=True)]
        return [(extent(k, d) - 1,) * 2 for k, d in zip(taps, dilations, strict=True)]
    pads = []
    for entry in _per_axis(padding, "padding", spatial):
        ends = tuple(entry) if is_sequence(entry) else (entry, entry)
        if len(ends) != 2:
            raise ValueError(f"padding must be p or (before, after) along each spatial axis, but has {entry!r}")
        before, after = (whole(p, "padding", 0) for p in ends)
        pads.append((before, after))
    return pads


def _one_of(value: Any, name: str, names: Sequence[str]) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(map(repr, names))}, but is {value!r}")
    if value not in names:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, names))}, but is {value!r}")
    return value


def _boundary(value: Any) -> int:
    names = tuple(boundaries.MODES)
    ours = boundaries.suggestion(value) if isinstance(value, str) and value not in names else None
    if ours is not None:
        raise ValueError(f"boundary {value!r} is another library's name: here it is {ours!r}")
    return names.index(_one_of(value, "boundary", names))


def _result(x: np.dtype[Any], kernel: np.dtype[Any], dtype: Any, out: Any) -> tuple[np.dtype[Any], np.ndarray | None]:
    if out is not None and not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array, but is a {type(out).__name__}")
    result = None
    if dtype is not None:
        try:
            result = np.dtype(dtype)
        except TypeError:
            raise TypeError(f"dtype must name a numeric type, but is {dtype!r}") from None
        dtypes.check(result, "dtype")
    if out is not None:
        dtypes.check(out.dtype, "out")
        if result is not None and result != out.dtype:
            raise ValueError(f"dtype is {result} but out has dtype {out.dtype}")
        result = out.dtype
    if result is None:
        result = dtypes.default_result(x, kernel)
    if "c" in (x.kind, kernel.kind) and result.kind != "c":
        name = "dtype" if out is None else "out"
        raise TypeError(f"{name} is {result}, but the result of {x} x and {kernel} kernel is complex")
    return result, out


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


def check_out(request: Request) -> None:
    """Raise where the result, or ``out``, cannot hold it."""
    shape, out = request.out_shape, request.out
    size = request.result.itemsize
    for length in shape:
        size *= length
    if size > np.iinfo(np.intp).max:
        raise too_large(shape, request.result)
    if out is None:
        return
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a numpy array, but is a {type(out).__name__}")
    if out.dtype != request.result:
        raise ValueError(f"out has dtype {out.dtype} but the result has {request.result}")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape} but the result has shape {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")


def too_large(shape: tuple[int, ...], dtype: np.dtype[Any]) -> ValueError:
    """Return the error of a result that no memory holds."""
    return ValueError(f"the result does not fit in memory: shape {shape} of {dtype}")
