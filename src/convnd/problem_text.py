"""A convolution problem as one line of text, for the command line, the rows of benchmarks, and tests.

    float32 3500x3500 * 9x9 same edge           an image and a 9x9 kernel
    float32 2x48000 * 255 full axes1            a batch of two signals
    int16 640x480 * sobel3x3 same               Sobel's derivative along the last axis
    uint8 640x480 * 5x5 -> uint8 same out       the result's type, and a result array that the caller makes
    float32 4x64c60x60 * 64c3x3 pad1 axes2,3    4 images of 64 channels, a bank of 64 filters
    float32 60x60x64c * 64c3x3 groups64         channels last, one filter for each
    float32 48000 * 3000 full s147 u160         resampling by 160/147

Shapes
    Lengths, each followed by ``x``, or by ``c`` where it counts channels. The kernel's lengths are those of its
    spatial axes; ``64c`` before them makes a bank of 64 filters.
Kernels
    Random weights, by default in the type of x, or in float32 where x has whole numbers. By name, without channels:
    ``gaussian9x9`` (odd lengths K, standard deviations (K - 1) / 8), ``box9x9`` (the mean), ``sobel3x3`` (always 3).
Options, in any order
    ``valid`` (default), ``same``, ``full``, ``pad1``, ``pad1,2`` (each axis), ``pad1:2,0:3`` (each end);
    ``s2`` or ``s2,1`` (stride); ``d2`` or ``d2,1`` (dilation); ``u2`` or ``u2,1`` (upsample); ``groups2``;
    ``axes1`` or ``axes0,1`` (the spatial axes of x: by default all but channels; others are a batch);
    ``constant`` (default), ``edge``, ``reflect``, ``symmetric``, ``wrap``, ``edge,wrap`` (each axis),
    ``edge:constant,wrap:wrap`` (each end); ``convolution`` (default), ``correlation``;
    ``fortran`` (x is in Fortran order); ``out`` (the caller makes the result array).
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import kernels
from .problem.arguments.names import CHOICES

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

FORM = "[x dtype] [x shape] * [kernel dtype] [kernel shape] -> [result dtype] [options]"
LINE = re.compile(
    r"(?P<dtype>[a-z]+\d*) (?P<shape>(\d+[xc])*\d+c?) \* ((?P<kernel_dtype>[a-z]+\d*) )?"
    r"(?P<kind>gaussian|box|sobel)?((?P<filters>\d+)c)?(?P<kernel>(\d+x)*\d+)"
    r"( -> (?P<result_dtype>[a-z]+\d*))?(?P<options>( \S+)*)"
)
NUMBERS = re.compile(r"(pad|s|d|u|axes)(\d+(?:,\d+)*)|(pad)(\d+:\d+(?:,\d+:\d+)*)|(groups)(\d+)")
PREFIXES = {"pad": "padding", "s": "stride", "d": "dilation", "u": "upsample", "groups": "groups", "axes": "axes"}
FLAGS = ("fortran", "out")
WORDS: dict[str, tuple[str, Any]] = {flag: (flag, True) for flag in FLAGS}
WORDS |= {word: (name, word) for name in ("padding", "boundary", "convention") for word in CHOICES[name]}
MODE = "|".join(CHOICES["boundary"])
MODES = re.compile(rf"(?:{MODE})(?:,(?:{MODE}))+|(?:{MODE}):(?:{MODE})(?:,(?:{MODE}):(?:{MODE}))*")
TYPES = {np.dtype(code).name for code in "?" + np.typecodes["AllInteger"] + "efdFD"}


@dataclass(frozen=True)
class Problem:
    """One call of `convnd.convnd`, without the values of its arrays: ``parse(str(problem)) == problem``."""

    dtype: str
    shape: Ints  # of x, batch and channels included
    kernel: Ints  # lengths of its spatial axes
    kernel_dtype: str | None = None
    result_dtype: str | None = None
    kind: str = "random"  # or the name of a ready-made kernel
    channel_axis: int | None = None
    filters: int | None = None  # of a bank
    padding: str | Ints | Pairs = "valid"  # or a number for all axes, one for each, or (before, after) for each
    stride: Ints = (1,)  # a number for all axes, or one for each; the next two likewise
    dilation: Ints = (1,)
    upsample: Ints = (1,)
    groups: int = 1
    axes: Ints | None = None  # the spatial axes of x
    boundary: Any = "constant"  # or a name for each axis, or (before, after) for each
    convention: str = "convolution"
    fortran: bool = False
    out: bool = False

    def __post_init__(self) -> None:  # checks what the call itself does not
        for dtype in filter(None, (self.dtype, self.kernel_dtype, self.result_dtype)):
            if dtype not in TYPES:
                raise ValueError(f"{dtype!r} is not the name of a numeric dtype")
        steps = (*self.stride, *self.dilation, *self.upsample)
        if min(*self.shape, *self.kernel, *steps, self.groups, self.filters or 1) < 1:
            raise ValueError("lengths, strides, dilations, upsamples, groups and filters must be 1 or more")
        if self.kind != "random" and self.channel_axis is not None:
            raise ValueError(f"a {self.kind} kernel has no channels")
        if self.kind == "sobel" and set(self.kernel) != {3}:
            raise ValueError("a sobel kernel has 3 samples along every axis")
        if self.kind == "gaussian" and any(n % 2 == 0 for n in self.kernel):
            raise ValueError("a gaussian kernel has an odd number of samples along every axis")
        if self.kind in ("gaussian", "box") and self.weight_dtype.kind not in "fc":
            raise ValueError(f"a {self.kind} kernel has floating weights, not {self.weight_dtype}")
        if self.channel_axis is None and (self.filters or self.groups != 1):
            raise ValueError("filters and groups need channels in x, as in 64c60x60")
        if len(self.kernel) != len(self.spatial):
            there = f"axes names {len(self.axes)}" if self.axes else f"x has {len(self.spatial)} beside channels"
            raise ValueError(f"kernel has {len(self.kernel)} axes but {there}: name those of x, as in axes1,2")

    @property
    def weight_dtype(self) -> np.dtype:
        """The kernel's type."""
        return np.dtype(self.kernel_dtype or (self.dtype if np.dtype(self.dtype).kind in "fc" else "float32"))

    @property
    def channels(self) -> int:
        """Channels of x; 1 where it has no channel axis."""
        return 1 if self.channel_axis is None else self.shape[self.channel_axis]

    @property
    def spatial(self) -> Ints:
        """The spatial axes of x."""
        return self.axes or tuple(a for a in range(len(self.shape)) if a != self.channel_axis)

    def __str__(self) -> str:
        lengths = "".join(f"{n}{'c' if a == self.channel_axis else 'x'}" for a, n in enumerate(self.shape)).rstrip("x")
        weights = self.kind.removeprefix("random") + (f"{self.filters}c" if self.filters else "")
        words = [self.dtype, lengths, "*", self.kernel_dtype, weights + "x".join(map(str, self.kernel))]
        words += ["->", self.result_dtype] if self.result_dtype else []
        for prefix, name in (*PREFIXES.items(), ("", "boundary"), ("", "convention")):
            value = getattr(self, name)
            if value != getattr(Problem, name):
                entries = value if isinstance(value, tuple) else (value,)
                text = ",".join(":".join(map(str, e)) if isinstance(e, tuple) else str(e) for e in entries)
                words.append(text if isinstance(value, str) else prefix + text)
        return " ".join(filter(None, [*words, *(flag for flag in FLAGS if getattr(self, flag))]))

    def arrays(self, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Make x, of random samples, and the kernel."""
        x = _random((seed, 0), self.shape, np.dtype(self.dtype), 2**15)
        return np.asarray(x, order="F" if self.fortran else "C"), self.weights(seed)

    def weights(self, seed: int = 0) -> np.ndarray:
        """Make the kernel. Random weights have both signs, and are no product of 1-D kernels."""
        dtype, shape, within = self.weight_dtype, self.kernel, max(1, self.channels // self.groups)
        if self.kind != "random":
            sigmas = [gaussian_sigma(n) for n in shape]
            arguments = {"gaussian": (sigmas,), "box": (shape,), "sobel": (-1, len(shape))}[self.kind]
            weights = getattr(kernels, self.kind)(*arguments, dtype=dtype)
            return weights if self.convention == "convolution" else np.ascontiguousarray(np.flip(weights))
        bank = () if self.filters is None else (self.filters,)
        if self.channel_axis is not None:
            shape = (
                (*bank, within, *shape) if all(self.channel_axis < a for a in self.spatial) else (*shape, within, *bank)
            )
        weights = _random((seed, 1), shape, dtype, 4)
        taps = weights.size // (self.filters or 1)  # results stay in the range of x
        return ((weights + 0.5) / taps).astype(dtype) if dtype.kind in "fc" else weights

    def keywords(self) -> dict[str, Any]:
        """Return the arguments of ``convnd(*problem.arrays(), **problem.keywords())``; ``out`` is the caller's."""
        names = (*PREFIXES.values(), "boundary", "convention", "channel_axis")
        keywords = {name: getattr(self, name) for name in names}
        for name, value in keywords.items():
            if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], int):
                keywords[name] = value[0]
        return keywords | {"dtype": self.result_dtype}


def parse(text: str) -> Problem:
    """Read a problem from its text form, or raise `ValueError` that says what was expected."""
    try:
        match = LINE.fullmatch(" ".join(text.split()))
        if match is None:
            raise ValueError(f"expected {FORM}")
        separators = "".join(re.findall("[xc]", match["shape"]))
        if separators.count("c") > 1:
            raise ValueError(f"{match['shape']} has two channel axes")
        fields: dict[str, Any] = {name: match[name] for name in ("dtype", "kernel_dtype", "result_dtype")}
        fields |= {"shape": _ints(match["shape"]), "kernel": _ints(match["kernel"]), "kind": match["kind"] or "random"}
        fields["channel_axis"] = separators.index("c") if "c" in separators else None
        fields["filters"] = int(match["filters"]) if match["filters"] else None
        for word in match["options"].split():
            name, value = WORDS.get(word) or _entries(word)
            if name in fields:
                raise ValueError(f"{word!r} gives {name} a second time")
            fields[name] = value
        return Problem(**fields)
    except ValueError as error:
        raise ValueError(f"problem {text!r}: {error}") from None


def _entries(word: str) -> tuple[str, Any]:
    """Return the field that an option with entries sets, and its value."""
    if MODES.fullmatch(word):
        names: list[Any] = word.split(",")
        return "boundary", tuple(tuple(name.split(":")) for name in names) if ":" in word else tuple(names)
    match = NUMBERS.fullmatch(word)
    if match is None:
        raise ValueError(f"{word!r} is not an option")
    prefix, text = filter(None, match.groups())
    entries = tuple(_ints(entry) if ":" in entry else int(entry) for entry in text.split(","))
    return PREFIXES[prefix], entries[0] if prefix == "groups" else entries


def _ints(text: str) -> Ints:
    return tuple(map(int, re.findall(r"\d+", text)))


def _random(seed: Ints, shape: Ints, dtype: np.dtype, largest: int) -> np.ndarray:
    """Return whole numbers up to ``largest`` in size, in a type that has them, or floating ones from -1 to 1."""
    rng = np.random.default_rng(seed)
    if dtype.kind in "biu":
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return rng.integers(max(low, -largest), min(high, largest), shape, dtype, endpoint=True)
    values = rng.uniform(-1, 1, shape)
    return (values + 1j * rng.uniform(-1, 1, shape) if dtype.kind == "c" else values).astype(dtype)


def gaussian_sigma(n: int) -> float:
    """Return the standard deviation of a Gaussian of n taps: they reach four of them to each side, as in SciPy."""
    return (n - 1) / 8
