"""The user's arguments, checked and made a request. `spatial` checks what is asked along axes, `values` any value.

Every message names the argument, the rule and the values.
"""

from typing import Any

import numpy as np

from .. import dtypes, memory
from ..options import Options
from ..request import Request, strided, traits
from ..result import check_out, plain_out, result_type
from .layouts import as_bank, each
from .names import chosen
from .spatial import axes_along, axes_of_lengths, spatial_axes
from .values import whole

_KERNEL_BYTES = 3 * 8  # that a weight takes, also of a broadcast kernel: a plan's copy, what packs it, and the packed


def parse(x: Any, kernel: Any, out: Any, options: Options) -> Request:
    """Check every argument of `convnd.convnd` and return what they ask for."""
    x, kernel = as_array(x, "x"), as_array(kernel, "kernel")
    spatial, channel = spatial_axes(options, x, kernel)
    first, bank = _kernel_layout(x, kernel, spatial, channel)
    method = chosen(options.method, "method")
    if method == "separable" and channel is not None and x.shape[channel] > 1:
        raise ValueError(
            f"method 'separable' takes one input channel, but x has {x.shape[channel]} along axis {channel}"
        )
    groups = whole(options.groups, "groups", 1)
    if channel is not None:
        batch = "" if options.axes is not None else as_bank(x, kernel)
        _check_channels(x.shape[channel], kernel, first, bank, groups, batch)
    elif groups != 1:
        raise ValueError(f"groups={groups} needs channel_axis, the axis of x that groups divide")
    flipped = chosen(options.convention, "convention") == "convolution"
    offset = 0 if channel is None or not first else 1 + bank
    lines = axes_along(x, kernel, offset, spatial, options, flipped)
    out = plain_out(out)
    result = result_type(x.dtype, kernel.dtype, options.dtype, out)
    is_complex = "c" in (x.dtype.kind, kernel.dtype.kind)
    integer = None
    if dtypes.sums_exactly(x.dtype, kernel.dtype):
        integer = dtypes.default_result(x.dtype, kernel.dtype)
    if _KERNEL_BYTES * kernel.size > memory.total():
        raise ValueError(f"kernel does not fit in memory as it is computed with: its shape is {kernel.shape}")
    # Sums of whole numbers become float64 before beta and the bias are added, where the result is floating.
    precision = "float64" if integer is not None else dtypes.working(x.dtype, kernel, result, 0)
    fill = dtypes.scalar(options.fill_value, "fill_value", integer, is_complex, precision)
    given = x.dtype
    if fill.imag and x.dtype.kind != "c":
        x = _converted(x, np.result_type(x, np.complex64))  # the samples have a second plane after all: outside x
    mask = None if options.mask is None else check_mask(options.mask, x.shape)
    request = Request(
        x, given, kernel, spatial, lines, channel, first, bank, groups, flipped, fill,
        "", result, out,
        None if options.workers is None else whole(options.workers, "workers", 1), method,
        chosen(options.nan_policy, "nan_policy"), mask=mask,
    )  # fmt: skip
    check_out(out, request.out_shape, result)
    if type(options.beta) is not int or options.beta != 0 or options.bias is not None:
        exact = integer if dtypes.is_integer(result) else None
        beta = dtypes.scalar(options.beta, "beta", exact, is_complex, precision)
        if beta and out is None:
            raise ValueError(f"beta is {beta}, the factor of what out holds, but there is no out")
        request = request._replace(beta=beta, bias=_bias(options.bias, request, exact, is_complex, precision))
    return request.computed_with(kernel)


def parse_alike(
    known: Request, x: np.ndarray, kernel: np.ndarray, out: np.ndarray | None, mask: np.ndarray | None
) -> Request | None:  # fmt: skip
    """Return the request for arrays of the ranks and types that a known one of the same options has.

    Lengths, steps and values alone are looked at. It is None where there is an error for `parse` to raise, and keeps
    neither x nor the kernel nor the mask.
    """
    if (channel := known.channel_axis) is not None and x.shape[channel] != known.x.shape[channel]:
        return None
    if (axes := axes_of_lengths(known.axes, [x.shape[a] for a in known.spatial])) is None:
        return None
    if dtypes.depends_on_values(x.dtype, kernel.dtype):
        known = known.computed_with(kernel)
    marks = None if mask is None else strided(*traits(mask))
    request = known._replace(x=traits(x), axes=axes, out=out, mask=marks)
    if out is not None:
        check_out(out, request.out_shape, request.result)
    return request


def _bias(
    bias: Any, request: Request, integer: np.dtype[Any] | None, is_complex: bool, precision: str
) -> np.ndarray | None:
    """Return a bias that fits the output channels, with its entries checked as numbers."""
    if bias is None:
        return None
    array = as_array(bias, "bias")
    expected = [(), (request.out_channels,)] if request.is_bank else [()]
    if array.shape not in expected:
        there = f"{request.out_channels} output channels" if request.is_bank else "no output channels"
        raise ValueError(f"bias has shape {array.shape}, but there are {there}: it has one of the shapes {expected}")
    entries = [dtypes.scalar(entry, "bias", integer, is_complex, precision) for entry in array.ravel().tolist()]
    return np.array(entries, integer or array.dtype).reshape(array.shape)


def check_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a mask of samples of a shape as an array."""
    array = as_array(mask, "mask")
    if array.shape != shape:
        raise ValueError(f"mask must have the shape of x, {shape}, but has {array.shape}")
    if array.dtype.kind not in "bf":
        raise TypeError(f"mask must be boolean, or floating weights from 0 to 1, but has dtype {array.dtype}")
    if array.dtype.kind == "f" and not (array.min(initial=0) >= 0 and array.max(initial=0) <= 1):
        first = tuple(map(int, np.argwhere(~((array >= 0) & (array <= 1)))[0]))
        raise ValueError(f"mask must have weights from 0 to 1, but has {array[first]:.6g} at index {first}")
    return array


def as_array(value: Any, name: str) -> np.ndarray:
    """Return an argument as an array of numbers."""
    if dtypes.is_masked(value):
        raise TypeError(
            f"{name} has a mask, which would be ignored: it is a {type(value).__name__}; fill what is masked with NaN, "
            f"of a masked array by {name}.filled(np.nan), and write nan_policy='omit'"
        )
    if hasattr(value, "data_vars"):
        raise TypeError(f"{name} is a Dataset: write x.map(convnd, kernel=kernel, ...) to convolve each array in it")
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
    """Return ``x`` in another type. A stand-in, which takes no memory, becomes another stand-in."""
    if any(x.strides):
        return x.astype(dtype)
    return np.broadcast_to(x[(slice(1),) * x.ndim].astype(dtype), x.shape)


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


def _check_channels(channels: int, kernel: np.ndarray, first: bool, bank: bool, groups: int, batch: str) -> None:
    if channels == 0:
        raise ValueError("x has no channels: its channel_axis has length 0")
    if channels % groups:
        raise ValueError(f"groups={groups} must divide the {channels} channels of x")
    within = kernel.shape[int(bank)] if first else kernel.shape[-1 - int(bank)]
    filters = (kernel.shape[0] if first else kernel.shape[-1]) if bank else 1
    if filters % groups:
        own = "" if bank or within != channels else f"; write {each(first)} for an own kernel of each channel"
        raise ValueError(f"groups={groups} must divide the {filters} filters of kernel{own}")
    if within != channels // groups:
        own = batch and f"; write {batch} if the kernel is a bank of filters"
        if not bank and channels == 1:
            own = f"; write {each(first)} for a bank of {within} filters"
        raise ValueError(
            f"kernel has {within} input channels but x has {channels} in {groups} groups: "
            f"it must have {channels} / {groups} = {channels // groups}{own}"
        )


def check_x(x: Any, request: Request) -> np.ndarray:
    """Return an array that a plan is called with, after checking that it is like the request's ``x``."""
    array = as_array(x, "x")
    wanted = request.x
    if array.shape != wanted.shape:
        raise ValueError(f"x has shape {array.shape} but the plan is for {wanted.shape}")
    if array.dtype != request.x_dtype:
        raise ValueError(f"x has dtype {array.dtype} but the plan is for {request.x_dtype}")
    return array.astype(wanted.dtype, copy=False)


def check_y(y: Any, request: Request) -> np.ndarray:
    """Return an array, after checking that it has the shape of a request's result."""
    array = as_array(y, "y")
    if array.shape != request.out_shape:
        raise ValueError(f"y has shape {array.shape} but the plan's result has {request.out_shape}")
    return array
