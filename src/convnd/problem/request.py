"""A convolution in the user's own terms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from . import dtypes
from .axis import Axis
from .boundary import described


class Traits(NamedTuple):
    """What an array is like, without its values."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return self.dtype.itemsize


def traits(array: np.ndarray | Traits) -> Traits:
    """Return what an array is like."""
    return Traits(array.shape, array.strides, array.dtype)


class Request(NamedTuple):
    """A convolution in the user's own terms: every argument checked, every default filled in."""

    x: np.ndarray | Traits
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
    out: np.ndarray | Traits | None
    workers: int | None
    method: str
    nan_policy: str
    beta: complex = 0
    bias: np.ndarray | None = None  # of each output channel, or one for all
    mask: np.ndarray | None = None  # the weights of samples; a plan that is made for any has one without values
    held: np.dtype[Any] | None = None  # a type with the range of x's whole numbers, where they were looked at
    nan: str = "kept"  # what NaN in x counts as where omitting it: "zero", or "marked" where other samples count as 1
    scale: float = 1.0  # of sums of 16 bits: the weights are whole numbers times it

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what ``x`` and ``out`` are like, and the values of the kernel."""
        return Request, (*self._replace(x=traits(self.x), out=None if self.out is None else traits(self.out)),)

    def without_values(self) -> Request:
        """Return the same request for all arrays that are like its own, without their values."""
        mask = None if self.mask is None else strided(*traits(self.mask))
        return self._replace(x=traits(self.x), kernel=strided(*traits(self.kernel)), mask=mask)

    @property
    def plain(self) -> Request:
        """The same convolution without a beta and a bias."""
        return self._replace(beta=0, bias=None)

    @property
    def updates(self) -> bool:
        """Whether the result is more than the convolution: `beta` times what ``out`` holds, or a bias."""
        return self.beta != 0 or self.bias is not None

    @property
    def normalises(self) -> bool:
        """Whether the result is divided by the weight of the samples that are valid."""
        return self.nan_policy == "omit" or self.mask is not None

    @property
    def may_be_short(self) -> bool:
        """Whether sums may be of 16 bits: not those of transforms or of several channels, nor if anything is added."""
        is_summed = self.method in ("auto", "direct", "separable")
        return is_summed and self.channel_axis is None and not (self.updates or self.normalises)

    def computed_with(self, kernel: np.ndarray) -> Request:
        """Return this request with the working type and the scale that the values of a kernel ask for."""
        x = self.held or self.x.dtype
        working = dtypes.working(x, kernel, self.result, self.fill)
        short = dtypes.short(x, kernel, self.fill.real, working) if self.may_be_short else None
        working, scale = short or (working, 1.0)
        return self._replace(working=working, scale=scale)

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
        """Return the arithmetic along an axis of ``x``. One that is not spatial has an output for each sample."""
        return self.axes[self.spatial.index(a)] if a in self.spatial else Axis(self.x.shape[a])

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
    """Say which type a request is computed in, and which array asks for more than the type of ``x``."""
    x, kernel, working = request.x_dtype, request.kernel.dtype, request.working
    if working in dtypes.SHORT or dtypes.sums_exactly(x, kernel):
        return f"{working}, exactly{'' if request.scale == 1 else f', times {request.scale:.6g}'}"
    if dtypes.real(x).name == working:
        return working
    if dtypes.real(kernel).name == working:
        return f"{working}: the kernel is {kernel}"
    both = dtypes.real(np.result_type(x, kernel)).name in (working, "float16")
    return f"{working}: {f'x is {x} and the kernel {kernel}' if both else f'the result is {request.result}'}"


def memory_order(x: np.ndarray | Traits) -> tuple[int, ...]:
    """Return the axes of ``x`` from the widest step to the narrowest, as they are where steps do not tell."""
    return _order(x.shape, x.strides)


@lru_cache(maxsize=64)
def _order(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    telling = [(-abs(step), a) for a, (n, step) in enumerate(zip(shape, strides, strict=True)) if n > 1 and step]
    places = {a: own for (_, a), (_, own) in zip(telling, sorted(telling), strict=True)}
    return tuple([places.get(a, a) for a in range(len(shape))])


def dense(shape: Sequence[int], dtype: np.dtype[Any], order: Sequence[int]) -> Traits:
    """Return what an array without gaps is like whose axes are in an order, from the widest step to the narrowest."""
    strides, step = [0] * len(shape), dtype.itemsize
    for a in reversed(order):
        strides[a] = step
        step *= shape[a]
    return Traits(tuple(shape), tuple(strides), dtype)


def imagined(shape: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    """Return an array of a shape, in C order, that holds no memory. Its values must not be read, nor written."""
    return strided(*dense(shape, dtype, range(len(shape))))


def strided(shape: Sequence[int], strides: Sequence[int], dtype: np.dtype[Any]) -> np.ndarray:
    """Return an array of a shape and strides that holds no memory. Its values must not be read, nor written."""
    return np.lib.stride_tricks.as_strided(np.zeros((), dtype), shape, strides)
