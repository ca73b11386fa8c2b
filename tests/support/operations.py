"""Every way to convolve, in one table: how to call it, which arrays and options it takes, and what it must return.

Each is called with x, the kernel and y, an array of the result's shape, and reads two of the three.
"""

import functools

import numpy as np
import pytest

import convnd
from support import oracle
from support.check import TOLERANCE, near, same
from support.stored import Stored


class Operation:
    """One way to convolve; it reads x and the kernel, and gives `convnd`'s result.

    `takes` names what else it takes: "out", "dtype", "overlap" (out may overlap x), "whole" (x and kernel of whole
    numbers), "not finite" (NaN in x).
    """

    reads = "x", "kernel"
    takes = frozenset({"dtype", "whole", "not finite"})

    def __init__(self, name, run, *takes):
        self.name, self._run, self.takes = name, run, self.takes | set(takes)

    def __repr__(self):
        return self.name

    def run(self, x, kernel, y, **options):
        """Call the package."""
        return self._run(x, kernel, y, **options)

    def accepts(self, x, kernel, **options):
        """Whether it takes such arguments, all of which `convnd` takes."""
        return True

    def expected(self, x, kernel, y, *, dtype=None, **options):
        """The oracle's answer, which is found once for the same numbers in whatever types."""
        given = {"x": x, "kernel": kernel, "y": y}
        first, second = (given[name].dtype for name in self.reads)
        if dtype is not None or any(size(given[name]).max(initial=0) > 2**20 for name in self.reads):
            own = options if dtype is None else {**options, "dtype": dtype}
            return self.by_definition(x, kernel, y, **own)
        result = oracle.types(first, second, None)[1]
        with np.errstate(all="ignore"):
            return self._remembered(x, kernel, y, options).astype(result)

    def _remembered(self, x, kernel, y, options):
        arrays = [
            a.astype(np.complex128 if a.dtype.kind == "c" else np.float64) if name in self.reads else np.empty(a.shape)
            for name, a in (("x", x), ("kernel", kernel), ("y", y))
        ]
        values = [a.tobytes() if name in self.reads else b"" for name, a in zip(("x", "kernel", "y"), arrays)]
        about = type(self), *values, *[(a.shape, a.dtype.char) for a in arrays], repr(sorted(options.items()))
        if about not in _ANSWERS:
            _ANSWERS[about] = self.by_definition(*arrays, **options)
        return _ANSWERS[about]

    def by_definition(self, x, kernel, y, **options):
        """What the oracle says."""
        return oracle.convnd(x, kernel, **options)

    def bound(self, x, kernel, y, *, fill_value=0, dtype=None, **options):
        """A bound on the sizes of the sums, of what is finite, that errors of rounding are relative to."""
        samples, fill = size(x), np.abs(fill_value) if np.isfinite(fill_value) else 0
        weights = oracle.Form(x, kernel, **options).weights(size(kernel))
        return weights.reshape(len(weights), -1).sum(axis=1).max(initial=0) * max(samples.max(initial=0), fill)

    def agrees(self, result, x, kernel, y, *, exact, factor=1, **options):
        """The result is the expected one, with == where `exact()` says so, else within the tolerance of its type."""
        expected = self.expected(x, kernel, y, **options)
        native = expected.dtype.newbyteorder("=")
        result, expected = result.astype(native), expected.astype(native)
        options.pop("dtype", None)
        if native.kind in "biu" or np.array_equal(result, expected, equal_nan=True) or exact():
            same(result, expected)
        else:
            near(result, expected, factor * self.bound(x, kernel, y, **options))


class Adjoint(Operation):
    """The transpose as a map of x: it reads y and the kernel."""

    reads = "y", "kernel"
    takes = frozenset({"whole", "not finite"})

    def expected(self, x, kernel, y, **options):
        """The oracle's answer; the fill value has no part in it."""
        options.pop("fill_value", None)
        return super().expected(x, kernel, y, **options)

    def by_definition(self, x, kernel, y, **options):
        """What the oracle says."""
        return oracle.adjoint(x, kernel, y, **options)

    def bound(self, x, kernel, y, **options):
        """The largest sum of sizes."""
        return self.expected(x, size(kernel), size(y), **options).max(initial=0)


class KernelGradient(Operation):
    """The transpose as a map of the kernel: it reads x and y."""

    reads = "x", "y"
    takes = frozenset({"whole", "not finite"})

    def by_definition(self, x, kernel, y, **options):
        """What the oracle says."""
        return oracle.kernel_gradient(x, kernel, y, **options)

    def bound(self, x, kernel, y, fill_value=0, **options):
        """The largest sum of sizes."""
        fill = np.abs(fill_value) if np.isfinite(fill_value) else 0
        return self.expected(size(x), kernel, size(y), fill_value=fill, **options).max(initial=0)


class Omitting(Operation):
    """Normalised convolution, of samples some of which are made NaN first."""

    takes = frozenset()

    def run(self, x, kernel, y, **options):
        """Call the package."""
        return super().run(with_holes(x), kernel, y, **options)

    def accepts(self, x, kernel, **options):
        """Whole numbers hold no NaN."""
        return x.dtype.kind in "fc"

    def expected(self, x, kernel, y, **options):
        """The oracle's answer in the result's type."""
        return oracle.normalised(with_holes(x), kernel, **options)[0].astype(
            oracle.types(x.dtype, kernel.dtype, None)[1]
        )

    def agrees(self, result, x, kernel, y, *, exact, factor=1, **options):
        """NaN is where the oracle has it; other values are as near as the quotient of weights lets them be."""
        expected, larger = oracle.normalised(with_holes(x), kernel, **options)
        wanted = np.dtype(options.get("dtype", oracle.types(x.dtype, kernel.dtype, None)[1]))
        assert (result.shape, result.dtype) == (expected.shape, wanted)
        same(np.isnan(result), np.isnan(expected))
        with np.errstate(all="ignore"):
            error = np.nanmax(np.abs(result - expected) / larger, initial=0)
        tolerance = TOLERANCE[result.dtype.newbyteorder("=").type]
        assert error <= 4 * tolerance * factor * self.bound(x, kernel, y, **options)


def size(a):
    """The sizes of numbers, 0 for what is not finite."""
    return np.where(np.isfinite(a), np.abs(a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)), 0)


def with_holes(x):
    """A copy of x in the same layout, of whose samples a third is NaN, complex ones in either part or in both."""
    x, place = x.copy(order="K"), np.random.default_rng(0).integers(9, size=x.shape)
    if x.dtype.kind == "c":
        x.real[place < 2] = np.nan
        x.imag[(place == 1) | (place == 2)] = np.nan
    else:
        x[place < 3] = np.nan
    return x


_ANSWERS: dict = {}


# --- how to call them ---------------------------------------------------------------------------------------


def spatial_axes(x, kernel, axes=None, channel_axis=None, **_):
    """The spatial axes of x, and those of the result's that they become."""
    spatial, channel, _ = oracle.roles(x.ndim, kernel.ndim, axes, channel_axis)
    dropped = channel if kernel.ndim < len(spatial) + 2 else []
    return spatial, [axis - sum(c < axis for c in dropped) for axis in spatial]


def call(x, kernel, y, **options):
    """The function itself."""
    return convnd.convnd(x, kernel, **options)


def plan(x, kernel, y, *, out=None, **options):
    """A plan that is made for other samples."""
    made = convnd.plan(np.empty_like(x), kernel, **options if out is None else {**options, "dtype": out.dtype})
    return made(x) if out is None else made(x, out)


def adjoint(x, kernel, y, **options):
    """A plan's transpose."""
    return convnd.plan(np.empty_like(x), kernel, **options).adjoint(y)


def kernel_gradient(x, kernel, y, **options):
    """A plan's derivative."""
    return convnd.plan(np.empty_like(x), kernel, **options).kernel_gradient(x, y)


def stream(x, kernel, y, **options):
    """Four blocks, one of them without samples, joined."""
    (axis, *_), (along, *_) = spatial_axes(x, kernel, **options)
    own, n = convnd.Stream(kernel, axis=axis, **options), x.shape[axis]
    blocks = np.split(x, [n // 4, n // 4, n // 2 + 1], axis=axis)
    return np.concatenate([*map(own.feed, blocks), own.flush()], axis=along)


class Streaming(Operation):
    """A stream, whose beginning its end cannot supply."""

    def accepts(self, x, kernel, **options):
        """The boundary "wrap" supplies nothing before the first sample, and there is an axis to follow."""
        form = oracle.form_of(x, kernel, **options)
        return bool(form.ends) and (form.boundary[0][0] != "wrap" or form.ends[0][0] == 0)


@functools.cache
def compiled(convention, has_channels):
    """Return `convnd` inside an `@njit` function: what decides no type comes when it runs."""
    import numba

    from convnd import convnd as function  # a name that Numba finds

    @numba.njit
    def convolve(x, kernel, padding, stride, dilation, upsample, boundary, fill_value, axes):
        return function(
            x, kernel, padding=padding, stride=stride, dilation=dilation, upsample=upsample,
            boundary=boundary, fill_value=fill_value, axes=axes, convention=convention, method="direct",
        )  # fmt: skip

    @numba.njit
    def convolve_channels(
        x, kernel, padding, stride, dilation, upsample, boundary, fill_value, axes, channel_axis, groups
    ):
        return function(
            x, kernel, padding=padding, stride=stride, dilation=dilation, upsample=upsample,
            boundary=boundary, fill_value=fill_value, axes=axes, channel_axis=channel_axis, groups=groups,
            convention=convention, method="direct",
        )  # fmt: skip

    return convolve_channels if has_channels else convolve


def njit(x, kernel, y, *, method, fill_value=0, convention="convolution", **options):
    """A compiled function's result, which has the bits of the call that sums directly."""
    if not (x.dtype.isnative and kernel.dtype.isnative):
        pytest.skip("Numba takes native samples")
    form = oracle.form_of(x, kernel, convention=convention, **options)
    spatial, channel, _ = oracle.roles(x.ndim, kernel.ndim, options.get("axes"), options.get("channel_axis"))
    ends, boundaries = tuple(map(tuple, form.ends)), tuple(form.boundary)
    per_axis = [ends, tuple(form.stride), tuple(form.dilation), tuple(form.upsample), boundaries]
    about = (*per_axis, fill_value, tuple(spatial), *((channel[0], form.groups) if channel else ()))
    result = compiled(convention, bool(channel))(x, kernel, *about)
    same(result, convnd.convnd(x, kernel, method="direct", fill_value=fill_value, convention=convention, **options))
    return result


def halves(shape):
    """Chunks of half an array along every axis."""
    return tuple(max(1, -(-n // 2)) for n in shape)


def blockwise(x, kernel, y, *, out=None, dtype=None, **options):
    """Blocks of chunks, in as little memory as they fit into."""
    if out is None:
        shape = oracle.output_shape(x.shape, kernel.shape, **without(options, "method", "workers", "nan_policy"))
        result = np.dtype(dtype or oracle.types(x.dtype, kernel.dtype, None)[1])
        out = np.full(shape, 7, result)
    stored, target, memory, result = Stored(x, halves(x.shape)), Stored(out, halves(out.shape)), 2**13, None
    while result is None:
        try:
            result = convnd.blockwise(stored, kernel, target, max_memory=memory, **options)
        except ValueError as error:
            if "max_memory" not in str(error):
                raise
            memory *= 2
    assert (target.written == 1).all()
    return out


def dask(x, kernel, y, **options):
    """The chunks of a dask array, computed one after the other."""
    import dask.array as da

    lazily = convnd.convnd(da.from_array(x, halves(x.shape)), kernel, **options)
    result = np.asarray(lazily.compute(scheduler="sync"))
    assert (lazily.shape, lazily.dtype) == (result.shape, result.dtype)
    return result


def without(options, *names):
    """The options but some."""
    return {name: value for name, value in options.items() if name not in names}


OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("convnd", call, "out", "overlap"),
        Operation("plan", plan, "out", "overlap"),
        Adjoint("adjoint", adjoint),
        KernelGradient("kernel_gradient", kernel_gradient),
        Streaming("stream", stream),
        Operation("blockwise", blockwise, "out"),
        Operation("dask", dask),
        Operation("njit", njit),
        Omitting("omit", functools.partial(call, nan_policy="omit"), "out", "overlap"),
    )
}


def check(operation, x, kernel, y=None, *, method="auto", out=None, workers=None, **options):
    """Run an operation, require the oracle's answer and that the arguments are as they were, and return the result.

    The arrays hold whole numbers: direct sums of them are exact, and so are sums in types of whole numbers.
    """
    x, kernel = np.asanyarray(x), np.asanyarray(kernel)
    y = some_y(x, kernel, options) if y is None else y
    before = {"x": x.copy(), "kernel": kernel.copy(), "y": y.copy()}
    types = options if out is None else {**options, "dtype": out.dtype}
    kinds = {before[name].dtype.kind for name in operation.reads}

    def exact():  # asked last of all, for planning takes its time
        if method == "direct" or kinds <= set("biu"):
            return True
        asked = {**options, "method": method, "workers": workers, "out": out}
        return operation.reads == ("x", "kernel") and convnd.plan(x, kernel, **asked).method == "direct"

    given = {**options, "method": method}
    given |= {} if out is None else {"out": out}
    given |= {} if workers is None else {"workers": workers}
    result = operation.run(x, kernel, y, **given)
    assert out is None or result is out
    assert isinstance(result, np.ndarray) and (out is not None or "dtype" in options or result.dtype.isnative)
    operation.agrees(result, **before, exact=exact, **types)
    for name, array in (("x", x), ("kernel", kernel), ("y", y)):
        if out is None or not np.may_share_memory(array, out):
            same(array, before[name])
    return result


def some_y(x, kernel, options, dtype=None):
    """Whole numbers in the result's shape."""
    shape = oracle.output_shape(x.shape, kernel.shape, **options)
    dtype = np.dtype(dtype or oracle.types(x.dtype, kernel.dtype, None)[1])
    values = np.random.default_rng(2).integers(0 if dtype.kind in "bu" else -2, 3, size=(2, *shape))
    return (values[0] + (1j * values[1] if dtype.kind == "c" else 0)).astype(dtype)
