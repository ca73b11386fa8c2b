"""Memory layouts, and hypothesis strategies over every option of convnd.

A drawn problem holds descriptions, not arrays: a failing example prints as one line that can be typed in again.
"""

from dataclasses import dataclass, field
from functools import reduce
from math import prod

import numpy as np
from hypothesis import strategies as st

from support import oracle
from support.check import DTYPES, integers
from support.oracle import BOUNDARIES


def misaligned(a):
    buffer = np.zeros(a.nbytes + 1, np.uint8)[1:]
    view = np.ndarray(a.shape, a.dtype, buffer)
    view[...] = a
    return view


def reversed_(a):
    back = (slice(None, None, -1),) * a.ndim
    return np.ascontiguousarray(a[back])[back]


def sliced(a):
    """Every second element of a larger array, along every axis."""
    large = np.ones([2 * n + 1 for n in a.shape], a.dtype)
    view = large[(slice(1, None, 2),) * a.ndim]
    view[...] = a
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "rolled": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 0, -1)), -1, 0) if a.ndim else a,
    "reversed": reversed_,
    "sliced": sliced,
    "misaligned": misaligned,
    "swapped": lambda a: a.astype(a.dtype.newbyteorder("S")),
    "read only": read_only,
    "zero stride": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim else a,  # other values, still an array
}
WRITEABLE = ["C", "F", "rolled", "reversed", "sliced", "misaligned", "swapped"]


def overlapping(x, shape, dtype, offset):
    """A copy of x and an `out`, in one buffer, `offset` elements of x apart (0: they begin together)."""
    offset = offset % (x.size + 1) * x.itemsize
    buffer = np.zeros(max(x.nbytes, offset + prod(shape) * dtype.itemsize), np.uint8)
    copy = np.ndarray(x.shape, x.dtype, buffer)
    copy[...] = x
    return copy, np.ndarray(shape, dtype, buffer, offset)


def outer(*lines):
    """The outer product of arrays: a kernel of rank one."""
    return reduce(np.multiply.outer, lines)


@dataclass
class Array:
    shape: tuple
    dtype: str
    layout: str = "C"
    largest: int = 4
    seed: int = 0
    lines: bool = False  # an outer product of one line along each axis

    def values(self, make):
        """The array that `make(shape, dtype, seed)` fills, or the lines of."""
        if not self.lines:
            return make(self.shape, self.dtype, self.seed)
        return outer(*(make(n, self.dtype, self.seed + a) for a, n in enumerate(self.shape)))

    def make(self):
        largest = int(self.largest ** (1 / len(self.shape))) if self.lines and len(self.shape) > 1 else self.largest
        return LAYOUTS[self.layout](self.values(lambda *about: integers(*about, largest)))


@dataclass
class Problem:
    x: Array
    kernel: Array
    options: dict = field(default_factory=dict)
    out: str | int | None = None  # a layout, or an offset into x's own memory
    workers: int | None = None
    method: str = "auto"
    tuning: str = "default"

    def make(self):
        """x, kernel and every keyword, ready for `check`."""
        x, kernel, out = self.x.make(), self.kernel.make(), None
        if self.out is not None:
            like = oracle.convnd(x, kernel, **self.options)
            if isinstance(self.out, int):
                x, out = overlapping(x, like.shape, like.dtype, self.out)
            else:
                out = LAYOUTS[self.out](np.ones_like(like))
        options = {k: v for k, v in self.options.items() if k != "dtype" or out is None}
        return x, kernel, {**options, "out": out, "workers": self.workers, "method": self.method}

    def make_floating(self):
        """x of floating samples and a kernel of moderate weights, for sums that are normalised."""
        x, kernel, options = self.make()
        options = {name: value for name, value in options.items() if name not in ("dtype", "out")}
        if np.abs(kernel).max() > 99:  # drawn for sums that wrap
            kernel = np.sign(kernel.astype(np.float32))
        return x.astype(np.result_type(x, np.float32)), kernel, options


# Each pair of dtypes compiles routines of its own, so most examples share a few.
COMMON = ["float32 float32", "float64 float64", "uint8 float32", "int16 int16", "uint8 int8", "complex64 float32"]
LENGTH, TAPS = (40, 12, 7, 4, 3), (12, 5, 3, 3, 2)  # the most along an axis, by rank


def often(draw, value, other):
    """`value` three times in four, else a draw from the strategy `other`."""
    return draw(other) if draw(st.integers(0, 3)) == 3 else value


@st.composite
def problems(draw):
    rank = draw(st.sampled_from([1, 1, 2, 2, 3, 3, 4, 5]))
    options = {}
    channel = draw(st.booleans())
    method = draw(
        st.sampled_from(["auto", "direct", "fft", "winograd"] if channel else ["auto", "direct", "separable", "fft"])
    )
    minimal = method == "winograd" and draw(st.booleans())  # what Winograd's method does not hand to another
    options["convention"] = draw(st.sampled_from(["convolution", "correlation"]))
    mode = st.sampled_from([*BOUNDARIES])
    each = st.tuples(*[mode] * rank) | st.tuples(*[st.tuples(mode, mode)] * rank)
    options["boundary"] = boundary = often(draw, draw(mode), each)

    # Along each axis: any padding, then a length that leaves one output or more.
    def axis_values(low, high):
        return st.lists(st.integers(low, high), min_size=rank, max_size=rank)

    stride = often(draw, [1] * rank, axis_values(1, 1 if minimal else 4))
    dilation = often(draw, [1] * rank, axis_values(1, 1 if minimal else 3))
    upsample = often(draw, [1] * rank, axis_values(1, 1 if minimal else 4))
    taps = draw(axis_values(1, TAPS[rank - 1]))
    if minimal:
        taps[-2:] = [9] if rank == 1 else [3, 3]
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, taps)]
    most = draw(st.sampled_from([2, 2, 4 * LENGTH[rank - 1]])) if rank < 4 else 2  # the long ones pass x's own length
    pads = list(zip(draw(axis_values(0, most)), draw(axis_values(0, most))))
    forms = {"same": "same", "full": "full", "valid": "valid", "ends": tuple(pads)}
    forms |= {"axes": tuple(before for before, _ in pads), "one": pads[0][0]}
    options["padding"] = padding = forms[draw(st.sampled_from(list(forms)))]
    widths = oracle.widths(padding, extents, options["convention"])
    lengths = [max(1, e - sum(w)) + draw(st.integers(0, LENGTH[rank - 1])) for e, w in zip(extents, widths)]
    for name, value in {"stride": stride, "dilation": dilation, "upsample": upsample}.items():
        if value != [1] * rank:
            options[name] = value[0] if len(set(value)) == 1 else tuple(value)

    # Which axis of x is what: S spatial (in the kernel's order), B batch, C channel.
    batch = often(draw, [], st.lists(st.sampled_from([1, 2, 3, 2, 3, 0]), min_size=1, max_size=2))
    roles = ["B"] * len(batch) + ["S"] * rank
    if channel:
        roles.insert(draw(st.integers(0, len(roles))), "C")
    named = draw(st.booleans()) or bool(batch)
    if named:
        roles = draw(st.permutations(roles))
    axes = [i for i, role in enumerate(roles) if role == "S"]
    if named:
        axes = draw(st.permutations(axes))
        signed = [axis - draw(st.sampled_from([0, len(roles)])) for axis in axes]
        options["axes"] = signed[0] if rank == 1 and draw(st.booleans()) else tuple(signed)
    shape = [0] * len(roles)
    for axis, length in zip(axes, lengths):
        shape[axis] = length
    for axis, length in zip([i for i, role in enumerate(roles) if role == "B"], batch):
        shape[axis] = length
    kernel_shape = taps
    if channel:
        at = roles.index("C")
        groups, bank = draw(st.integers(1, 3)), draw(st.booleans())
        c_in = draw(st.integers(24, 33) if minimal else st.integers(1, 3))
        options["channel_axis"] = at - draw(st.sampled_from([0, len(roles)]))
        if bank:
            options["groups"] = groups
        shape[at] = c_in * (groups if bank else 1)
        c_out = [groups * draw(st.integers(1, 3))] if bank else []
        first = all(at < axis for axis in axes)
        kernel_shape = [*c_out, c_in, *taps] if first else [*taps, c_in, *c_out]

    # Types, memory and values.
    anything = st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES))
    pair = often(draw, None, anything) or draw(st.sampled_from(COMMON)).split()
    pair = ["float32", "float32"] if minimal else pair
    x_type, k_type = (np.dtype(dtype) for dtype in pair)
    kinds = {x_type.kind, k_type.kind}
    if draw(st.integers(0, 3)) == 3:
        wanted = ["complex64", "complex128"]
        if "c" not in kinds:
            wanted += ["float16", "float32", "float64", "int16", "uint8", "int64", "uint64", "bool", ">f4"]
        options["dtype"] = draw(st.sampled_from(wanted))
    largest = 4
    if kinds <= set("iu") and "dtype" not in options:  # the whole range: sums pass 2^64
        largest = draw(st.sampled_from([4, int(min(np.iinfo(x_type).max, np.iinfo(k_type).max, 2**63 - 1))]))
    if "constant" in np.ravel(boundary):
        options["fill_value"] = draw(st.integers(0 if kinds <= set("bu") else -3, 3))
        if "c" in kinds:
            options["fill_value"] += 2j
    layout, seed = st.sampled_from(list(LAYOUTS)), draw(st.integers(0, 2**16))
    return Problem(
        x=Array(tuple(shape), x_type.name, often(draw, "C", layout), largest, seed),
        kernel=Array(
            tuple(kernel_shape), k_type.name, often(draw, "C", layout), largest, seed + 1, method == "separable"
        ),
        options=options,
        out=often(draw, None, st.sampled_from(WRITEABLE) | st.integers(0, 100)),
        workers=draw(st.sampled_from([None, 1, 2, 3])),
        method=method,
        tuning=draw(st.sampled_from(["default", "tiny"])),
    )
