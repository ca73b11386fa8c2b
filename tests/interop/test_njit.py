"""`convnd.convnd` inside `@njit` functions: what is asked is known to the compiler by types, and else when it runs."""

import numba
import numpy as np
import pytest

from convnd import convnd
from support import oracle
from support.oracle import BOUNDARIES

rng = np.random.default_rng(0)


@numba.njit
def plain(x, kernel, padding, stride, dilation, boundary, fill):
    return convnd(
        x, kernel, padding=padding, stride=stride, dilation=dilation, boundary=boundary, fill_value=fill,
        method="direct",
    )  # fmt: skip


@numba.njit
def along(x, kernel, padding, stride, dilation, boundary, fill, axes):
    return convnd(
        x, kernel, padding=padding, stride=stride, dilation=dilation, boundary=boundary, fill_value=fill, axes=axes,
        convention="correlation",
    )  # fmt: skip


@numba.njit
def channels(x, kernel, padding, stride, dilation, boundary, fill, axis, groups):
    return convnd(
        x, kernel, padding=padding, stride=stride, dilation=dilation, boundary=boundary, fill_value=fill,
        channel_axis=axis, groups=groups,
    )  # fmt: skip


def whole(shape, dtype):
    """Small whole numbers, so that every sum is exact."""
    dtype = np.dtype(dtype)
    values = rng.integers(0 if dtype.kind in "ub" else -9, 2 if dtype.kind == "b" else 10, shape)
    return (values + (1j * rng.integers(-9, 10, shape) if dtype.kind == "c" else 0)).astype(dtype)


def laid_out(shape, dtype):
    """An array in C order or in Fortran's, with gaps, or backwards."""
    kind = rng.integers(4)
    if kind == 1:
        return np.asfortranarray(whole(shape, dtype))
    if kind == 2:
        return whole([2 * n for n in shape], dtype)[tuple(slice(None, None, 2) for _ in shape)]
    return whole(shape, dtype)[tuple(slice(None, None, -1) for _ in shape)] if kind == 3 else whole(shape, dtype)


def options(rank, dtype):
    """Random options, as the wrappers take them."""
    fill = 3 if np.dtype(dtype).kind in "biu" else 1.5
    return {
        "padding": tuple((int(b), int(a)) for b, a in rng.integers(0, 7, (rank, 2))),
        "stride": tuple(map(int, rng.choice([1, 1, 1, 2, 3, 5], rank))),
        "dilation": tuple(map(int, rng.choice([1, 1, 1, 2, 3, 4], rank))),
        "boundary": str(rng.choice(list(BOUNDARIES))),
        "fill": complex(fill, rng.integers(2)) if np.dtype(dtype).kind == "c" else fill,
    }


def agrees(function, x, kernel, given, *rest, bits=True, **named):
    """Call a wrapper, and compare what it returns with the oracle's answer; ``bits`` with the Python call's as well."""
    own = {**{name: value for name, value in given.items() if name != "fill"}, "fill_value": given["fill"], **named}
    if min(oracle.form_of(x, kernel, **own).outputs, default=1) < 1:
        with pytest.raises(ValueError, match="padding leaves no output"):
            function(x, kernel, *given.values(), *rest)
        return
    found, want = function(x, kernel, *given.values(), *rest), oracle.convnd(x, kernel, **own)
    assert found.dtype == want.dtype and np.array_equal(found, want), (x.shape, kernel.shape, own)
    if bits:  # which compiles a register tile for every few problems
        assert found.tobytes() == convnd(x, kernel, method="direct", **own).tobytes(), (x.shape, kernel.shape, own)


TYPES = [("f4", "f4"), ("f8", "f8"), ("u1", "i4"), ("c8", "f4"), ("c8", "c16"), ("f4", "c8"), ("i8", "u2"), ("b", "u1")]
SAMPLE = {(2, "f4")}
CASES = [
    pytest.param(rank, x, kernel, marks=[] if (rank, x) in SAMPLE and kernel != "c8" else pytest.mark.slow)
    for rank in (1, 2, 3)
    for x, kernel in TYPES
]


@pytest.mark.parametrize("rank, dtype, weights", CASES)
def test_any_problem(rank, dtype, weights):
    for number in range(20):
        most = {1: 1500, 2: 130, 3: 24}[rank] if number % 5 == 0 else {1: 40, 2: 14, 3: 8}[rank]
        x = laid_out(rng.integers(1, most, rank), dtype)
        kernel = whole(rng.integers(1, {1: 40, 2: 8, 3: 5}[rank], rank), weights)
        agrees(plain, x, kernel, options(rank, dtype), bits=number % 5 == 0)


@pytest.mark.slow
@pytest.mark.parametrize("dtype, weights", TYPES)
def test_axes(dtype, weights):
    for _ in range(20):
        x, kernel = laid_out(rng.integers(1, 16, 3), dtype), whole(rng.integers(1, 5, 2), weights)
        axes = tuple(map(int, rng.permutation([-3, 1, -1])[:2]))
        agrees(along, x, kernel, options(2, dtype), axes, axes=axes, convention="correlation")


@pytest.mark.parametrize(
    "dtype, weights", [("f4", "f4"), *(pytest.param(*own, marks=pytest.mark.slow) for own in TYPES[1:])]
)
def test_channels(dtype, weights):
    for _ in range(20):
        axis, groups = int(rng.integers(3)), int(rng.integers(1, 3))
        within, filters = int(rng.integers(1, 4)), groups * int(rng.integers(1, 4))
        shape = np.insert(rng.integers(1, 14, 2), axis, groups * within)
        taps = rng.integers(1, 5, 2)
        kernel = whole((filters, within, *taps) if axis == 0 else (*taps, within, filters), weights)
        agrees(channels, whole(shape, dtype), kernel, options(2, dtype), axis, groups, channel_axis=axis, groups=groups)


def test_words_and_numbers():
    @numba.njit
    def same(x, kernel, size):
        smooth = convnd(x, kernel, padding="same", boundary=("edge", "wrap"), fill_value=2)
        return smooth, convnd(x, kernel, padding=size, stride=(1, 2), dtype=np.int16), convnd(x, kernel, padding="full")

    x, kernel = whole((30, 40), "f4"), whole((3, 4), "f4")
    found = same(x, kernel, 2)
    assert np.array_equal(found[0], oracle.convnd(x, kernel, padding="same", boundary=("edge", "wrap")))
    assert np.array_equal(found[1], convnd(x, kernel, padding=2, stride=(1, 2), dtype=np.int16))
    assert found[1].dtype == np.int16
    assert np.array_equal(found[2], convnd(x, kernel, padding="full"))


def test_boundaries_of_ends():
    @numba.njit
    def convolve(x, kernel, first):
        return convnd(x, kernel, padding=3, boundary=((first, "constant"), ("wrap", "reflect")), fill_value=2)

    x, kernel = whole((9, 10), "f4"), whole((3, 4), "f4")
    want = oracle.convnd(x, kernel, padding=3, boundary=(("edge", "constant"), ("wrap", "reflect")), fill_value=2)
    assert np.array_equal(convolve(x, kernel, "edge"), want)


def test_out():
    @numba.njit
    def into(x, kernel, out):
        return convnd(x, kernel, padding="same", out=out)

    x, kernel = whole((30, 40), "f4"), whole((3, 3), "f4")
    want, out = convnd(x, kernel, padding="same"), np.full((30, 40), np.nan, "f4")
    assert np.array_equal(into(x, kernel, out), want) and np.array_equal(out, want)
    assert np.array_equal(into(x, kernel, x), want) and np.array_equal(x, want)
    with pytest.raises(ValueError, match="out has not the shape"):
        into(x, kernel, out[1:])


def test_empty():
    assert along(np.empty((0, 5, 4)), np.ones((2, 2)), 0, 1, 1, "edge", 0.0, (1, 2)).shape == (0, 4, 3)


def call(**given):
    """Compile a call with options written out."""
    text = ", ".join(f"{name}={value!r}" for name, value in given.items())
    space = {"convnd": convnd}
    exec(f"def function(x, kernel):\n    return convnd(x, kernel, {text})", space)
    return numba.njit(space["function"])(np.ones((5, 6)), np.ones((2, 2)))


@pytest.mark.parametrize(
    "given, error, words",
    [
        ({"stride": 1.5}, TypeError, "stride must be a whole number"),
        ({"stride": (1, 2, 3)}, ValueError, "stride has 3 entries but x has 2 spatial axes"),
        ({"padding": "Same"}, ValueError, "padding must be one of 'valid', 'same', 'full'"),
        ({"padding": ((1, 2, 3), (1, 2))}, ValueError, r"padding must be p or \(before, after\)"),
        ({"boundary": "mirror"}, ValueError, "it is 'reflect' here"),
        ({"boundary": 3}, TypeError, "boundary must be one of"),
        ({"method": "fft"}, ValueError, "method must be 'auto' or 'direct' in compiled code"),
        ({"nan_policy": "omit"}, ValueError, "nan_policy must be 'propagate' in compiled code"),
        ({"upsample": 2}, ValueError, "upsample must be 1 in compiled code"),
        ({"beta": 0.5}, ValueError, "beta must be 0 in compiled code"),
        ({"bias": 1}, ValueError, "bias must be None in compiled code"),
        ({"mask": 1}, ValueError, "mask must be None in compiled code"),
        ({"workers": 2}, ValueError, "workers must be None or 1 in compiled code"),
        ({"fill_value": 1j}, TypeError, "fill_value must be real"),
        ({"dtype": "int7"}, TypeError, "dtype must name a numeric type"),
        ({"channel_axis": 0, "axes": (0, 1)}, ValueError, "kernel has 2 axes"),
        ({"axes": 0}, ValueError, "kernel has 2 axes"),
    ],
)
def test_errors_of_types(given, error, words):
    with pytest.raises(error, match=words) as caught:
        call(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given, words",
    [
        ({"stride": (1, 0)}, "stride must be at least 1"),
        ({"padding": ((0, 0), (-1, 0))}, "padding must be at least 0"),
        ({"dilation": (9, 1)}, "padding leaves no output"),
        ({"dilation": (2**60, 1)}, "padding, dilation or x is too large"),
        ({"boundary": "mirror"}, "boundary must be one of"),
        ({"axis": 3}, "channel_axis is not an axis of x"),
        ({"groups": 2}, "groups must be at least 1 and divide"),
        ({"kernel": whole((1, 2, 3, 3), "f4")}, "kernel must have as many input channels"),
    ],
)
def test_errors_when_it_runs(given, words):
    common = {
        "kernel": whole((1, 3, 3, 3), "f4"), "padding": ((0, 0), (0, 0)), "stride": (1, 1), "dilation": (1, 1),
        "boundary": "edge", "fill": 0.0, "axis": 0, "groups": 1,
    }  # fmt: skip
    with pytest.raises(ValueError, match=words) as caught:
        channels(whole((3, 8, 9), "f4"), **{**common, **given})
    assert "\n" not in str(caught.value)


def test_types_that_are_not_taken():
    function = numba.njit(lambda x, kernel: convnd(x, kernel))
    with pytest.raises(TypeError, match="kernel must be an array in compiled code"):
        function(np.ones(3), 2.0)
    with pytest.raises(ValueError, match="kernel has 1 axes but x has 2: write axes="):
        function(np.ones((3, 3)), np.ones(2))
