"""A convolution in the user's own terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from . import dtypes
from .axis import Axis
from .boundary import described


@dataclass(frozen=True)
class Request:
    """A convolution in the user's own terms: every argument checked, every default filled in."""

    x: np.ndarray
    x_dtype: np.dtype[Any]  # as given: real samples become complex where the fill value is
    kernel: np.ndarray
    spatial: tuple[int, ...]  # the axes of x, in the order of the kernel's
    axes: tuple[Axis, ...]  # their arithmetic, in the same order
    channel_axis: int | None
    channels_first: bool  # the kernel's layout
    is_bank: bool  # whether the kernel has an axis of output channels
    groups: int
    is_flipped: bool
    fill: complex
    working: str
    result: np.dtype[Any]
    out: np.ndarray | None
    workers: int | None
    method: str
    nan_policy: str
    beta: complex = 0
    bias: np.ndarray | None = None  # of each output channel, or one for all
    mask: np.ndarray | None = None  # the weights of samples; a plan that is made for any has one without values
    held: np.dtype[Any] | None = None  # a type with the range of x's whole numbers, where they were looked at
    nan: str = "kept"  # what NaN in x counts as where omitting it: "zero", or "marked" where other samples count as 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what ``x`` and ``out`` are like, and the values of the kernel."""
        like = {name: array_traits(vars(self)[name]) for name in ("x", "out")}
        return _unpickled, ({**vars(self), **like},)

    @property
    def plain(self) -> Request:
        """The same convolution without a beta and a bias."""
        return replace(self, beta=0, bias=None)

    @property
    def updates(self) -> bool:
        """Whether the result is more than the convolution: `beta` times what ``out`` holds, or a bias."""
        return self.beta != 0 or self.bias is not None

    @property
    def normalises(self) -> bool:
        """Whether the result is divided by the weight of the samples that are valid."""
        return self.nan_policy == "omit" or self.mask is not None

    @property
    def divides_planes(self) -> bool:
        """Whether the real and the imaginary parts of ``x`` are convolved alike, but have fill values of their own."""
        return self.x.dtype.kind == "c" != self.kernel.dtype.kind and self.fill.real != self.fill.imag

    @property
    def kernel_spatial(self) -> tuple[int, ...]:
        """The spatial axes of the kernel."""
        first = 0 if self.channel_axis is None or not self.channels_first else 1 + self.is_bank
        return tuple(range(first, first + len(self.axes)))

    def along(self, a: int) -> Axis:
        """Return the arithmetic along an axis of ``x``; a batch axis', and the channels', reads what it is."""
        return dict(zip(self.spatial, self.axes, strict=True)).get(a, Axis(self.x.shape[a]))

    @property
    def dropped(self) -> int:
        """The axis of ``x`` that the result does not have: the channels' under one filter. ``x.ndim`` where none."""
        return self.x.ndim if self.channel_axis is None or self.is_bank else self.channel_axis

    @property
    def out_channels(self) -> int:
        """Filters of the bank; 1 for a single filter."""
        return self.kernel.shape[0 if self.channels_first else -1] if self.is_bank else 1

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The result's shape."""
        shape = list(self.x.shape)
        for a, axis in zip(self.spatial, self.axes, strict=True):
            shape[a] = axis.outputs
        if self.channel_axis is not None:
            shape[self.channel_axis : self.channel_axis + 1] = [self.out_channels] if self.is_bank else []
        return tuple(shape)


def description(request: Request) -> list[str]:
    """Return what a printed plan says of its request, line by line."""
    x, kernel, spatial = request.x, request.kernel, zip(request.spatial, request.axes, strict=True)
    padded = {a: axis.boundary for a, axis in spatial if axis.before or axis.after}
    return [
        f"{x.dtype} {x.shape} * {kernel.dtype} {kernel.shape} -> {request.result} {request.out_shape}",
        *([f"boundary  {described(padded)}"] if padded else []),
        f"computed in {_working_type(request)}",
    ]


def _working_type(request: Request) -> str:
    """Return the type that a request is computed in, and what raises that of ``x`` to it, in words."""
    x, kernel, working = request.x_dtype, request.kernel.dtype, request.working
    if dtypes.is_integer(x) and dtypes.is_integer(kernel):
        return f"{working}, exactly"
    if dtypes.real(x).name == working:
        return working
    if dtypes.real(kernel).name == working:
        return f"{working}: the kernel is {kernel}"
    both = dtypes.real(np.result_type(x, kernel)).name in (working, "float16")
    return f"{working}: {f'x is {x} and the kernel {kernel}' if both else f'the result is {request.result}'}"


def memory_order(x: np.ndarray) -> list[int]:
    """Return the axes of ``x`` from the widest step to the narrowest, as they are where steps do not tell."""
    telling = [a for a in range(x.ndim) if x.shape[a] > 1 and x.strides[a]]
    by_step = iter(sorted(telling, key=lambda a: -abs(x.strides[a])))
    return [next(by_step) if a in telling else a for a in range(x.ndim)]


def _unpickled(values: Mapping[str, Any]) -> Request:
    arrays = {name: values[name] and strided(*values[name]) for name in ("x", "out")}
    return Request(**{**values, **arrays})


def array_traits(array: np.ndarray | None) -> tuple[Any, ...] | None:
    """Return shape, strides, dtype and whether it may be written to, of an array."""
    return None if array is None else (array.shape, array.strides, array.dtype, array.flags.writeable)


def without_values(array: np.ndarray) -> np.ndarray:
    """Return an array of the same shape, strides and type that holds no memory. Its values must not be read."""
    return strided(array.shape, array.strides, array.dtype)


def imagined(shape: Sequence[int], dtype: np.dtype[Any], order: str = "C", writeable: bool = False) -> np.ndarray:
    """Return an array of a shape and memory order that holds no memory. Its values must not be read, nor written."""
    rank = len(shape)
    steps = [dtype.itemsize * prod(shape[a + 1 :] if order == "C" else shape[:a]) for a in range(rank)]
    return strided(shape, steps, dtype, writeable)


def strided(
    shape: Sequence[int], strides: Sequence[int], dtype: np.dtype[Any], writeable: bool = False
) -> np.ndarray:  # fmt: skip
    """Return an array of a shape and strides that holds no memory."""
    return np.lib.stride_tricks.as_strided(np.zeros((), dtype), shape, strides, writeable=writeable)
