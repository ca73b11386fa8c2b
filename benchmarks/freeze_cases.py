"""The results that ``freeze.py digests`` keeps: some 600 over every option of convnd, each with samples of its own.

Only what is public is asked for: `convnd`, `plan` with its adjoint and its kernel's gradient, and `kernels`.
"""

import random
import zlib
from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Case", "cases"]

Ints = tuple[int, ...]
Options = dict[str, Any]

BOUNDARIES: tuple[Options, ...] = (
    {}, {"fill_value": 2}, *({"boundary": name} for name in ("edge", "reflect", "symmetric", "wrap")),
)  # fmt: skip
WHOLE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
TYPES = (*WHOLE, "float16", "float32", "float64", "complex64", "complex128")
MIXED = (  # of x and the kernel
    "uint8 int8", "uint8 float64", "int16 int64", "int32 uint8", "float32 float64", "float32 complex64", "float16 int8",
    "complex64 float64", "complex128 int16", "bool uint16", "uint64 int64", ">f4 <f8", ">i2 >i2", ">c16 float32",
)  # fmt: skip
SIZES: dict[int, tuple[Ints, Ints]] = {  # of x and the kernel, by rank
    0: ((), ()), 1: ((500,), (7,)), 2: ((30, 41), (3, 5)), 3: ((9, 12, 31), (3, 2, 5)),
    4: ((5, 6, 7, 20), (2, 3, 1, 4)), 5: ((4, 3, 5, 4, 18), (2, 1, 3, 2, 3)),
}  # fmt: skip
STEPS: tuple[Options, ...] = (
    {"stride": 2}, {"stride": 3, "padding": "full"}, {"dilation": 2}, {"dilation": 3, "stride": 2, "padding": "same"},
    {"upsample": 2, "padding": "full"}, {"upsample": 3, "stride": 2, "padding": "same"},
    {"upsample": 2, "dilation": 3, "padding": 4}, {"upsample": 5, "stride": 3, "dilation": 2, "padding": "full"},
)  # fmt: skip
CHANNELS: tuple[tuple[Ints, Ints, Options], ...] = (
    ((3, 30, 20), (3, 3, 3), {"channel_axis": 0}),
    ((32, 20, 22), (8, 32, 3, 3), {"channel_axis": 0}),
    ((48, 20, 22), (8, 24, 3, 3), {"channel_axis": 0, "groups": 2}),
    ((6, 20, 22), (6, 1, 3, 3), {"channel_axis": 0, "groups": 6}),
    ((30, 20, 3), (3, 3, 3), {"channel_axis": -1}),
    ((20, 22, 32), (3, 3, 32, 8), {"channel_axis": -1}),
    ((20, 22, 6), (3, 2, 3, 8), {"channel_axis": 2, "groups": 2}),
    ((20, 22, 6), (3, 3, 1, 6), {"channel_axis": 2, "groups": 6}),
    ((2, 24, 200), (4, 24, 9), {"channel_axis": 1, "axes": 2}),
    ((2, 30, 20, 22), (5, 30, 3, 3), {"channel_axis": 1, "axes": (2, 3)}),
    ((20, 3, 22), (3, 3, 3, 4), {"channel_axis": 1}),
    ((16, 14, 15), (32, 16, 1, 1), {"channel_axis": 0}),
    ((24, 8, 9, 10), (5, 24, 3, 3, 3), {"channel_axis": 0}),
)
BATCHES: tuple[tuple[Ints, Ints, Options], ...] = (
    ((3, 2, 200), (5,), {"axes": 2}),
    ((3, 30, 40), (3, 5), {"axes": (1, 2)}),
    ((30, 3, 40), (3, 5), {"axes": (0, 2)}),
    ((30, 3, 40), (3, 5), {"axes": (2, 0)}),
    ((30, 40, 3), (3, 5), {"axes": (0, 1)}),
    ((200, 7), (5,), {"axes": 0}),
    ((0, 30, 40), (3, 5), {"axes": (1, 2)}),
    ((2, 3), (), {"axes": ()}),
)
KERNELS: dict[str, tuple[Any, ...]] = {  # of convnd.kernels, and their arguments
    "box": ((3, 4),), "disk": (2.5,), "gaussian": ((1.5, 0.8),), "identity": (2,), "laplacian": (2,),
    "laplacian_of_gaussian": ((1.2, 1.0),), "motion_blur": (6, 30), "prewitt": (0,), "scharr": (1,), "sharpen": (2,),
    "sobel": (0,), "unsharp_mask": ((1.0, 1.5),),
}  # fmt: skip
SAME, FIRST = {"padding": "same"}, {"channel_axis": 1, "axes": (2, 3), "padding": 1}
LARGE: tuple[tuple[str, str, str, Ints, Ints, Options], ...] = (  # several tiles, and threads
    ("convnd", "direct", "float32", (600_000,), (65,), SAME),
    ("convnd", "direct", "float64", (2, 200_000), (129,), {**SAME, "axes": 1, "boundary": "wrap"}),
    ("convnd", "direct", "int16 float32", (300_000,), (101,), {"stride": 3}),
    ("convnd", "direct", "float32", (900, 800), (5, 5), {**SAME, "boundary": "reflect"}),
    ("convnd", "direct", "float64", (700, 600), (9, 9), {"padding": "full"}),
    ("convnd", "direct", "uint8 float32", (800, 900), (3, 3), {**SAME, "boundary": "edge", "dtype": "uint8"}),
    ("convnd", "direct", "complex64", (400, 500), (5, 3), SAME),
    ("convnd", "direct", "float32", (400, 500), (4, 5), {"upsample": 2, "padding": "full"}),
    ("convnd", "direct", "float32", (90, 80, 100), (3, 3, 3), {**SAME, "boundary": "symmetric"}),
    ("convnd", "direct", "float64", (60, 70, 80), (5, 5, 5), SAME),
    ("convnd", "direct", "float32", (6, 20, 30, 40), (3, 3, 3, 3), SAME),
    ("convnd", "direct", "float32", (2, 32, 60, 60), (32, 32, 3, 3), FIRST),
    ("convnd", "separable", "float32", (900, 800), (21, 21), {**SAME, "boundary": "reflect"}),
    ("convnd", "separable", "float64", (80, 90, 100), (9, 7, 5), {**SAME, "boundary": "edge"}),
    ("convnd", "fft", "float32", (500_000,), (3000,), SAME),
    ("convnd", "fft", "float64", (600, 700), (41, 31), {**SAME, "boundary": "symmetric"}),
    ("convnd", "fft", "float32", (70, 80, 90), (15, 15, 15), SAME),
    ("convnd", "winograd", "float32", (2, 64, 60, 60), (64, 64, 3, 3), FIRST),
    ("convnd", "auto", "float32", (700, 800), (33, 33), SAME),
    ("convnd", "auto", "float32", (60, 60, 64), (3, 3, 64, 64), {"channel_axis": -1, "padding": 1}),
    ("convnd", "auto", "uint8 float32", (700, 800), (15, 15), {**SAME, "boundary": "wrap", "dtype": "uint8"}),
    ("gradient", "direct", "float32", (400, 380), (3, 3), SAME),
    ("gradient", "fft", "float32", (200, 190), (41, 31), SAME),
    ("adjoint", "direct", "float32", (400, 380), (5, 5), {**SAME, "boundary": "edge"}),
)


def unaligned(a: np.ndarray) -> np.ndarray:
    """Give a copy whose samples begin at an odd address."""
    view = np.ndarray(a.shape, a.dtype, np.zeros(a.nbytes + 1, np.uint8)[1:])
    view[...] = a
    return view


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "F": np.asfortranarray,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "repeated": lambda a: np.broadcast_to(a[:1], a.shape),  # of stride 0
    "rolled": lambda a: np.moveaxis(np.moveaxis(a, 0, -1).copy(), -1, 0),  # as where channels come last
    "across": lambda a: np.moveaxis(np.moveaxis(a, -1, 0).copy(), 0, -1),  # the last axis is the outermost
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "unaligned": unaligned,
    "swapped": lambda a: a.astype(a.dtype.newbyteorder("S")),
}


class Case(NamedTuple):
    """A result to compute. Its name says all of it, and seeds its samples.

    ``values`` are words: "wide", weights that are whole numbers of any size; "loud", samples that small integers do not
    hold; "nan" and "inf" among the samples; or a name of `convnd.kernels`. The separable method gets a product of
    lines.
    """

    x: Ints
    kernel: Ints
    method: str
    options: Options
    types: str = "float32"  # of x, and of the kernel where that is another
    values: str = ""
    layouts: str = "C C C"  # of x, the kernel, and the array that the call is given
    call: str = "convnd"  # or "out", "in-place", "plan", "adjoint", "gradient"

    @property
    def name(self) -> str:
        """Say everything in a line."""
        x_type, _, kernel_type = self.types.partition(" ")
        x, kernel = ("x".join(map(str, lengths)) for lengths in (self.x, self.kernel))
        options = [f"{key}={value}".replace(" ", "") for key, value in self.options.items()]
        layouts = "" if self.layouts == "C C C" else self.layouts
        words = [self.call, self.method, x_type, x, "*", kernel_type, kernel, *options, layouts, self.values]
        return " ".join(filter(None, words))

    @property
    def is_exact(self) -> bool:
        """Whether every method gives the same bits: sums of whole numbers, as whole numbers."""
        types = (*self.types.split(), self.options.get("dtype", "int64"))
        return all(np.dtype(name).kind in "biu" for name in types)

    def compute(self) -> np.ndarray:
        """Compute the result."""
        from convnd import convnd, kernels, plan

        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        x_layout, kernel_layout, layout = (LAYOUTS.get(name, np.asarray) for name in self.layouts.split())
        x_type, _, kernel_type = self.types.partition(" ")
        x = x_layout(samples(rng, self.x, x_type, f"wide {self.values}"))
        kernel_type, wide = kernel_type or x_type, "wide" * ("wide" in self.values)
        if self.values in KERNELS:
            kernel: np.ndarray = getattr(kernels, self.values)(*KERNELS[self.values])
        elif self.method == "separable":
            lines = [samples(rng, (n,), kernel_type) for n in self.kernel]
            kernel = np.asarray(prod(np.ix_(*lines)), kernel_type)
        else:
            kernel = samples(rng, self.kernel, kernel_type, wide)
        kernel, options = kernel_layout(kernel), {"method": self.method, **self.options}
        if self.call == "convnd":
            return convnd(x, kernel, **options)
        if self.call == "in-place":
            return convnd(x, kernel, out=x, **options)
        planned = plan(x, kernel, **options)
        if self.call == "plan":
            return planned(x)
        y = layout(samples(rng, planned.output_shape, planned.dtype))
        if self.call == "out":
            return convnd(x, kernel, out=y, **options)
        return planned.adjoint(y) if self.call == "adjoint" else planned.kernel_gradient(x, y)


def samples(rng: np.random.Generator, shape: Ints, dtype: Any, words: str = "") -> np.ndarray:
    """Give random samples: normal ones, or whole numbers up to 4 in size; ``words`` are those of `Case`."""
    dtype = np.dtype(dtype)
    if dtype.kind in "biu":
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if "wide" not in words:
            low, high = max(low, -4), min(high, 4)
        return np.asarray(rng.integers(low, high, shape, dtype.newbyteorder("="), endpoint=True)).astype(dtype)
    values = rng.standard_normal((*shape, 2)) * (300 if "loud" in words else 1)
    for word in ("nan", "inf"):
        if word in words.split():
            values.flat[rng.integers(values.size, size=6)] = float(word)
    return np.asarray(values.view(complex)[..., 0] if dtype.kind == "c" else values[..., 0]).astype(dtype)


def padding(rank: int, number: int) -> Any:
    """Give one of the kinds of padding, by its number. The last one passes the length of x itself."""
    if rank == 0:
        return "same"
    return ("same", "full", 2, ((2, 1),) * rank, (*[(0, 0)] * (rank - 1), (97, 530 // rank)))[number % 5]


def cases() -> Iterator[Case]:
    """Give every case."""
    # Every rank by every method, under every boundary.
    for number, (rank, method, boundary) in enumerate(product(SIZES, ("direct", "separable", "fft"), BOUNDARIES)):
        yield Case(*SIZES[rank], method, {**boundary, "padding": padding(rank, number)})
    for rank in SIZES:
        yield Case(*SIZES[rank], "auto", SAME)
        yield Case(*SIZES[rank], "winograd", SAME)
    for number, (given, boundary) in enumerate(product((1, 8, 9, 12), BOUNDARIES)):  # what Winograd's method takes
        x, kernel, options = CHANNELS[given]
        yield Case(x, kernel, "winograd", {**options, **boundary, "padding": padding(len(kernel) - 2, number)})

    # Types of the arrays, and of results.
    for types in (*MIXED, *TYPES, *(f"{name} float32" for name in TYPES if name != "float32")):
        yield Case(*SIZES[2], "direct", {**SAME, "boundary": "edge"}, types)
    for types, method in product(TYPES, ("separable", "fft")):
        yield Case((60, 71), (9, 7), method, {}, types)
    for types in WHOLE[1:]:
        yield Case(*SIZES[2], "direct", {}, types, "wide")
    for types, name in product(("float32", "int16", "complex64"), (*TYPES, ">i2", ">f4")):
        if types[0] != "c" or name[0] == "c":
            yield Case(*SIZES[2], "direct", {"dtype": name}, types, "loud")
    for name, method in product(("uint8", "float16", "complex64"), ("separable", "fft")):
        yield Case(*SIZES[2], method, {"dtype": name}, values="loud")

    # Layouts of x, of the kernel and of the array that the result goes to.
    for number, layout in enumerate(LAYOUTS):
        for rank in (2, 3):
            yield Case(*SIZES[rank], "direct", {}, layouts=f"{layout} C C")
        yield Case(*SIZES[2], "direct", {}, layouts=f"C {layout} C")
        if layout != "repeated":
            yield Case(*SIZES[2 + number % 2], "direct", {}, layouts=f"C C {layout}", call="out")
        yield Case(*SIZES[3 - number % 2], "fft", {"boundary": "wrap"}, layouts=f"{layout} C C", call="plan")
        yield Case(*SIZES[2], "separable", {}, layouts=f"{layout} {layout} C")
        x, kernel, options = CHANNELS[(1, 5)[number % 2]]
        yield Case(x, kernel, "auto", options, layouts=f"{layout} {layout} C")
    for method in ("direct", "separable", "fft"):
        yield Case((40, 50), (3, 3), method, SAME, call="in-place")

    # Strides, dilation, zeros between samples; kernels of even lengths under both conventions.
    for rank, steps, method in product((1, 2, 3), STEPS, ("direct", "fft")):
        if method != "fft" or "upsample" not in steps:
            yield Case(*SIZES[rank], method, steps, "float64" if rank == 1 else "float32")
    for kernel, convention, method in product(
        ((4, 6), (2, 5)), ("convolution", "correlation"), ("direct", "separable", "fft")
    ):
        yield Case((30, 41), kernel, method, {**SAME, "convention": convention, "boundary": "reflect"})

    # Channels, and batches.
    for (x, kernel, options), method in product(CHANNELS, ("direct", "fft")):
        yield Case(x, kernel, method, {**options, **SAME, "boundary": "edge"})
    for (x, kernel, options), method in product(BATCHES, ("direct", "fft", "separable")):
        yield Case(x, kernel, method, {**options, **SAME})

    # Samples that are not finite.
    for types, policy, values in product(TYPES[10:], ("propagate", "omit"), ("nan", "nan inf")):
        for method in ("direct", "fft"):
            yield Case(*SIZES[2], method, {**SAME, "nan_policy": policy, "boundary": "wrap"}, types, values)
    for policy, method in product(("propagate", "omit"), ("separable", "auto", "winograd")):
        x, kernel, options = CHANNELS[1] if method == "winograd" else ((90, 80), (7, 9), {})
        yield Case(x, kernel, method, {**options, "nan_policy": policy}, values="nan")

    # Transposes and derivatives.
    linear = [(*SIZES[rank], steps) for rank, steps in product((1, 2), STEPS[::2])]
    linear += [(*SIZES[rank], {**boundary, "padding": 3}) for rank, boundary in product((2, 3), BOUNDARIES[1:])]
    linear += CHANNELS[:10:3]
    for number, ((x, kernel, options), call) in enumerate(product(linear, ("adjoint", "gradient"))):
        yield Case(x, kernel, ("direct", "fft", "direct")[number % 3], options, call=call)
    for types, call in product(("float64", "complex64", "int16"), ("adjoint", "gradient")):
        yield Case(*SIZES[2], "direct", {}, types, call=call)

    # The usual kernels, any combination, and what is large.
    for name in KERNELS:
        yield Case((30, 41), (), "direct", SAME, "float32 float64", name)
    yield from map(drawn, range(50))
    for call, method, types, x, kernel, options in LARGE:
        yield Case(x, kernel, method, options, types, call=call)


def drawn(number: int) -> Case:
    """Draw a case of any options."""
    one = random.Random(number).choice
    rank = one((1, 2, 3))
    types = one(("float32", "float64", "uint8 float32", "int16", "complex64 float32"))
    method = one(("direct", "fft", "auto"))
    options = {**one(BOUNDARIES), "padding": padding(rank, one(range(5))), **one(({}, *STEPS))}
    options["convention"] = one(("convolution", "correlation"))
    layouts = " ".join((one(("C", *LAYOUTS)), one(("C", *LAYOUTS)), "C"))
    (x, kernel), call = SIZES[rank], one(("convnd", "plan", "adjoint", "gradient"))
    if one((False, True)):
        x, kernel, options["channel_axis"] = (4, *x), (3, 4, *kernel), 0
    return Case(x, kernel, method, options, types, layouts=layouts, call=call)
