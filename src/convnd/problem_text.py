"""A convolution problem as one line of text: it names a benchmark row, a test and a log line alike.

    [x dtype] [x shape] * [kernel dtype] [kernel shape] -> [result dtype] [options]

    float32 3500x3500 * 9x9 same edge           an image and a 9x9 kernel
    float32 2x48000 * 255 full                  a batch of two signals
    uint8 640x480 * 5x5 -> uint8 same out       result type asked for, and written to a given array
    int16 640x480 * sobel3x3 same               Sobel's derivative along the last axis
    float32 64x64x64 * gaussian9x9x9 same       a Gaussian, given as one array
    float32 4x64c60x60 * 64c3x3 pad1 s2         4 items of 64 channels, a bank of 64 filters
    float32 60x60x64c * 64c3x3 groups64         channels last, one filter for each
    float32 48000 * 3000 full s147 u160         resampling by 160/147

Shapes
    Lengths, each followed by ``x``, or by ``c`` where it counts channels. The kernel's are those of its
    spatial axes, which are the last of x; ``64c`` before them makes a bank of 64 filters.
Kernels
    Random weights, or by name, without channels: ``gaussian9x9`` (of sum 1, its standard deviations (K - 1) / 8
    so that it ends at four of them), ``box9x9`` (the mean), ``sobel3x3``.
Types
    The kernel's may be left out: it is that of x, or float32 where x has whole numbers. So may ``-> dtype``.
Options, in any order
    ``valid`` (default), ``same``, ``full``, ``pad1``, ``pad1,2`` (each axis), ``pad1:2,0:3`` (each end);
    ``s2`` or ``s2,1`` (stride); ``d2`` or ``d2,1`` (dilation); ``u2`` or ``u2,1`` (upsample); ``groups2``;
    ``constant`` (default), ``edge``, ``reflect``, ``symmetric``, ``wrap``;
    ``convolution`` (default), ``correlation``;
    ``fortran`` (x is in Fortran order); ``out`` (the caller gives the result array).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from .problem import names
from .samples import NAMED, Ints, random_samples

__all__ = ["Problem", "parse"]

FORM = "[x dtype] [x shape] * [kernel dtype] [kernel shape] -> [result dtype] [options]"
LINE = re.compile(
    r"(?P<dtype>[a-z]+\d*) (?P<shape>(\d+[xc])*\d+c?) \* "
    rf"((?P<kernel_dtype>[a-z]+\d*) )?(?P<kind>{'|'.join(NAMED)})?((?P<filters>\d+)c)?(?P<kernel>(\d+x)*\d+)"
    r"( -> (?P<result_dtype>[a-z]+\d*))?(?P<options>( \S+)*)"
)
CHOICES = {field: tuple(names.CHOICES[field]) for field in ("padding", "boundary", "convention")}
FLAGS = ("fortran", "out")
NUMBERS = {"padding": "pad", "stride": "s", "dilation": "d", "upsample": "u", "groups": "groups"}

Pairs = tuple[tuple[int, int], ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """One call of ``convnd``: everything but the arrays' values.

    ``str`` gives the text form and `parse` reads it back: ``parse(str(problem)) == problem``.

    Attributes
    ----------
    dtype, kernel_dtype, result_dtype : str
        Types of x, the kernel and the result; the last two are None where the text leaves them out.
    shape : tuple of int
        Shape of x, batch and channels included.
    kernel : tuple of int
        Lengths of the kernel's spatial axes.
    kind : str
        ``"random"`` weights, or the name of others.
    channel_axis, filters : int, optional
        The axis of x that counts channels; the number of filters in the bank.
    padding : str, tuple of int or tuple of pairs
        A name, one number for all axes, one for each, or (before, after) for each.
    stride, dilation, upsample : tuple of int
        One number for all axes, or one for each.
    """

    dtype: str
    shape: Ints
    kernel: Ints
    kernel_dtype: str | None = None
    result_dtype: str | None = None
    kind: str = "random"
    channel_axis: int | None = None
    filters: int | None = None
    padding: str | Ints | Pairs = "valid"
    stride: Ints = (1,)
    dilation: Ints = (1,)
    upsample: Ints = (1,)
    groups: int = 1
    boundary: str = "constant"
    convention: str = "convolution"
    fortran: bool = False
    out: bool = False

    def __post_init__(self) -> None:
        for dtype in filter(None, (self.dtype, self.kernel_dtype, self.result_dtype)):
            _check_dtype(dtype)
        steps = (*self.stride, *self.dilation, *self.upsample)
        if min(*self.shape, *self.kernel, *steps, self.groups, self.filters or 1) < 1:
            raise ValueError("lengths, strides, dilations, upsamples, groups and filters must be 1 or more")
        rank, available = len(self.kernel), len(self.shape) - (self.channel_axis is not None)
        if rank > available:
            raise ValueError(f"the kernel has {rank} axes but x has {available} (channels apart)")
        for name in ("padding", "stride", "dilation", "upsample"):
            entries = getattr(self, name)
            if isinstance(entries, str) or len(entries) == rank:
                continue
            if len(entries) != 1 or isinstance(entries[0], tuple):
                raise ValueError(f"{name} has {len(entries)} entries but the kernel has {rank} axes")
        if self.kind != "random" and self.channel_axis is not None:
            raise ValueError(f"a {self.kind} kernel has no channels")
        if self.kind == "sobel" and self.kernel[-1] < 3:
            raise ValueError("a sobel kernel has 3 or more samples along its last axis")
        if self.kind in ("gaussian", "box") and self.weight_dtype.kind not in "fc":
            raise ValueError(f"a {self.kind} kernel has floating weights, not {self.weight_dtype}")
        if self.channel_axis is None and (self.filters or self.groups != 1):
            raise ValueError("filters and groups need channels in x, as in 64c60x60")
        if self.channels % self.groups or (self.filters or 1) % self.groups:
            counts = f"channels {self.channels} and filters {self.filters or 1}"
            raise ValueError(f"groups {self.groups} must divide {counts}")

    @property
    def weight_dtype(self) -> np.dtype:
        """The kernel's type, given or not."""
        floating = np.dtype(self.dtype).kind in "fc"
        return np.dtype(self.kernel_dtype or (self.dtype if floating else "float32"))

    @property
    def channels(self) -> int:
        """Channels of x; 1 where it has no channel axis."""
        return 1 if self.channel_axis is None else self.shape[self.channel_axis]

    @property
    def channels_first(self) -> bool:
        """Whether channels come before the spatial axes, in x and in the kernel."""
        return self.channel_axis is not None and self.channel_axis < self.axes[0]

    @property
    def axes(self) -> Ints:
        """The spatial axes of x: the last ones, channels apart."""
        return tuple(a for a in range(len(self.shape)) if a != self.channel_axis)[-len(self.kernel) :]

    @property
    def extents(self) -> Ints:
        """Samples from the kernel's first tap to its last along each axis, both counted."""
        steps = self.each(self.dilation)
        return tuple(step * (n - 1) + 1 for n, step in zip(self.kernel, steps, strict=True))

    @property
    def is_upsampled(self) -> bool:
        """Whether zeros stand between neighbouring samples, along any axis."""
        return max(self.upsample) > 1

    def each(self, entries: tuple[T, ...]) -> tuple[T, ...]:
        """Give one entry for each spatial axis, where one may stand for all."""
        return entries * len(self.kernel) if len(entries) == 1 else entries

    def __str__(self) -> str:
        bank = "" if self.filters is None else f"{self.filters}c"
        kind = "" if self.kind == "random" else self.kind
        words = [self.dtype, _lengths_text(self.shape, self.channel_axis), "*"]
        words += [self.kernel_dtype] if self.kernel_dtype else []
        words += [kind + bank + _lengths_text(self.kernel)]
        words += ["->", self.result_dtype] if self.result_dtype else []
        for name in ("padding", "stride", "dilation", "upsample", "groups", "boundary", "convention"):
            value = getattr(self, name)
            if value != getattr(Problem, name):
                words.append(value if isinstance(value, str) else NUMBERS[name] + _entries_text(value))
        words += [flag for flag in FLAGS if getattr(self, flag)]
        return " ".join(words)

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Make x, of random samples, and the kernel."""
        x = random_samples(np.random.default_rng((seed, 0)), self.shape, np.dtype(self.dtype))
        return np.asarray(x, order="F" if self.fortran else "C"), self.weights(seed)

    def weights(self, seed: int = 0) -> np.ndarray:
        """Make the kernel.

        Random weights have both signs, and no kernel of them is a product of 1-D kernels. Floating ones are
        divided by the number of taps, so that results stay in the range of x.
        """
        dtype = self.weight_dtype
        if self.kind != "random":
            correlated = NAMED[self.kind](self.kernel)
            weights = np.flip(correlated) if self.convention == "convolution" else correlated
        else:
            weights = random_samples(np.random.default_rng((seed, 1)), self._kernel_shape(), dtype, largest=4)
            if dtype.kind in "fc":
                weights = (weights + 0.5) / (math.prod(self.kernel) * self.channels // self.groups)
        return np.ascontiguousarray(weights, dtype)

    def _kernel_shape(self) -> Ints:
        """Return the kernel's shape, which mirrors that of x: channels before the spatial axes, or after them."""
        if self.channel_axis is None:
            return self.kernel
        bank = () if self.filters is None else (self.filters,)
        channels = (self.channels // self.groups,)
        return bank + channels + self.kernel if self.channels_first else self.kernel + channels + bank

    def keywords(self) -> dict[str, Any]:
        """Return the arguments of ``convnd(*problem.arrays(), **problem.keywords())``; ``out`` is the caller's."""
        return {
            "padding": self.padding if isinstance(self.padding, str) else _one_or_each(self.padding),
            "stride": _one_or_each(self.stride),
            "dilation": _one_or_each(self.dilation),
            "upsample": _one_or_each(self.upsample),
            "groups": self.groups,
            "axes": None if self.channel_axis is None else self.axes,
            "channel_axis": self.channel_axis,
            "convention": self.convention,
            "boundary": self.boundary,
            "dtype": self.result_dtype,
        }

    def flops(self, outputs: int) -> int:
        """Operations for so many output samples: for each tap a product and a sum (of real numbers).

        Of the taps of an upsampled axis one in ``upsample`` meets a sample, on average over the outputs.
        """
        kinds = (np.dtype(dtype).kind for dtype in (self.dtype, self.kernel_dtype or self.dtype))
        real_products = math.prod(2 if kind == "c" else 1 for kind in kinds)
        taps = outputs * math.prod(self.kernel) * self.channels // self.groups
        return 2 * real_products * taps // math.prod(self.each(self.upsample))


def parse(text: str) -> Problem:
    """Read a problem from its text form.

    Raises
    ------
    ValueError
        Where the line is malformed; the message says what was expected.
    """
    try:
        match = LINE.fullmatch(" ".join(text.split()))
        if match is None:
            raise ValueError(f"expected {FORM}")
        fields: dict[str, Any] = {name: match[name] for name in ("dtype", "kernel_dtype", "result_dtype")}
        fields["shape"] = tuple(int(length) for length in re.findall(r"\d+", match["shape"]))
        separators = re.findall(r"[xc]", match["shape"])
        if separators.count("c") > 1:
            raise ValueError(f"{match['shape']} has two channel axes")
        fields["channel_axis"] = separators.index("c") if "c" in separators else None
        fields["kind"] = match["kind"] or "random"
        fields["filters"] = int(match["filters"]) if match["filters"] else None
        fields["kernel"] = _ints(match["kernel"], "x")
        for word in match["options"].split():
            name, value = _option(word)
            if name in fields:
                raise ValueError(f"{word!r} gives {name} a second time")
            fields[name] = value
        return Problem(**fields)
    except ValueError as error:
        raise ValueError(f"problem {text!r}: {error}") from None


def _option(word: str) -> tuple[str, Any]:
    """Return the field that an option sets, and its value."""
    if word in FLAGS:
        return word, True
    for name, choices in CHOICES.items():
        if word in choices:
            return name, word
    for name, prefix in NUMBERS.items():
        entries = word.removeprefix(prefix)
        if entries == word:
            continue
        if name == "groups" and re.fullmatch(r"\d+", entries):
            return name, int(entries)
        if name != "groups" and re.fullmatch(r"\d+(,\d+)*", entries):
            return name, _ints(entries, ",")
        if name == "padding" and re.fullmatch(r"\d+:\d+(,\d+:\d+)*", entries):
            return name, tuple(_ints(pair, ":") for pair in entries.split(","))
    raise ValueError(f"{word!r} is not an option")


def _ints(text: str, separator: str) -> Ints:
    return tuple(int(entry) for entry in text.split(separator))


def _check_dtype(name: str) -> None:
    try:
        dtype = np.dtype(name)
    except TypeError:
        dtype = None
    if dtype is None or dtype.name != name or dtype.kind not in "biufc":
        raise ValueError(f"{name!r} is not the name of a numeric dtype")


def _one_or_each(entries: Ints | Pairs) -> int | Ints | Pairs:
    """One number for all axes as an int, as a caller would write it."""
    return entries[0] if len(entries) == 1 and isinstance(entries[0], int) else entries


def _lengths_text(lengths: Ints, channel_axis: int | None = None) -> str:
    return "".join(f"{n}{'c' if axis == channel_axis else 'x'}" for axis, n in enumerate(lengths)).rstrip("x")


def _entries_text(entries: int | Ints | Pairs) -> str:
    if isinstance(entries, int):
        return str(entries)
    return ",".join(":".join(map(str, e)) if isinstance(e, tuple) else str(e) for e in entries)
