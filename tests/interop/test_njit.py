"""`convnd.convnd` inside `@njit` functions: what is asked is known to the compiler by types, and else when it runs."""

import numba
import numpy as np
import pytest

from convnd import convnd
from support import oracle
from support.oracle import BOUNDARIES

rng = np.random.default_rng(0)


@numba.njit
def plain(x, kernel, padding, stride, dilation, upsample, boundary, fill):
    return convnd(
        x, kernel, padding=padding, stride=stride, dilation=dilation, upsample=upsample, boundary=boundary,
        fill_value=fill, method="direct",
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


@numba.njit
def filled(x, kernel, fill):
    return convnd(x, kernel, padding=1, fill_value=fill)


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
        given = options(rank, dtype)
        upsample = tuple(map(int, rng.choice([1, 1, 2, 3, 4], rank))) if number % 2 else (1,) * rank
        about = {**dict(list(given.items())[:3]), "upsample": upsample, **given}
        agrees(plain, x, kernel, about, bits=number % 5 == 0)


@numba.njit
def passes(x, kernel, padding, stride, dilation, boundary, fill):
    return convnd(
        x, kernel, padding=padding, stride=stride, dilation=dilation, boundary=boundary, fill_value=fill,
        method="separable",
    )  # fmt: skip


@numba.njit
def chosen(x, kernel, boundary):
    return convnd(x, kernel, padding="same", boundary=boundary)


def product(taps, dtype):
    """An outer product of random lines."""
    lines = np.ix_(*[rng.normal(size=n) for n in taps])
    return np.prod(np.broadcast_arrays(*lines), axis=0).astype(dtype)


@pytest.mark.parametrize(
    "rank, dtype, weights",
    [
        (2, "f8", "f8"),
        (2, "u1", "f4"),  # whose first pass takes less memory than the second
        *(pytest.param(*own, marks=pytest.mark.slow) for own in [(2, "f4", "f4"), (3, "f4", "f8"), (3, "c8", "f4")]),
    ],
)
def test_passes(rank, dtype, weights):
    """They have the bits of the separable method in Python, whatever slabs outputs are divided into."""
    for number in range(12):
        shape = rng.integers(1, 12, rank) if number else {2: (364, 333), 3: (90, 50, 60)}[rank]
        x = whole(shape, dtype) if dtype == "u1" else laid_out(shape, dtype)
        x = x[::-1] if (rank, dtype) == (2, "f8") else x  # a function for each layout takes seconds to compile
        kernel = product(rng.integers(1, 6, rank), weights)
        given = {**options(rank, dtype), "padding": 9}
        own = {**{name: value for name, value in given.items() if name != "fill"}, "fill_value": given["fill"]}
        want = convnd(x, kernel, method="separable", **own)
        assert passes(x, kernel, *given.values()).tobytes() == want.tobytes(), (x.shape, kernel.shape, own)


def test_passes_where_samples_are_not_finite():
    x, kernel = rng.normal(size=(40, 30)), product((7, 8), "f8")
    for value in (np.nan, np.inf, 1e308):
        x[20, 10] = value
        want = convnd(x, kernel, padding=9, method="direct")
        found = passes(x, kernel, 9, (1, 1), (1, 1), "constant", 0.0)
        assert np.allclose(found, want, rtol=1e-12, atol=1e-12, equal_nan=True)
        assert np.array_equal(np.isfinite(found), np.isfinite(want))


def test_choice():
    """A large image is summed by passes where its kernel is a product of large lines, and else directly."""
    x = rng.normal(size=(300, 300))
    for kernel, method in (
        (product((9, 9), "f8"), "separable"), (product((3, 3), "f8"), "direct"), (rng.normal(size=(9, 9)), "direct")
    ):  # fmt: skip
        want = convnd(x, kernel, padding="same", boundary="wrap", method=method)
        assert np.array_equal(chosen(x, kernel, "wrap"), want)
    small = x[:20, :20].copy()
    want = convnd(small, kernel, padding="same", boundary="edge", method="direct")
    assert np.array_equal(chosen(small, kernel, "edge"), want)
    want = passes(x, product((2, 2), "f8"), 0, (2**50, 2**50), (1, 1), "edge", 0.0)
    assert want.shape == (1, 1)
    small, box, far = small[:2, :2].copy(), np.ones((2, 2)), (2**28, 2**28)  # in no more memory than direct sums take
    found = passes(small, box, 2**30, far, (1, 1), "wrap", 0.0)
    assert np.array_equal(found, convnd(small, box, padding=2**30, stride=far, boundary="wrap"))
    plainly = 0, (1, 1), (1, 1), "edge", 0.0
    with pytest.raises(ValueError, match="kernel must be an outer product of lines"):
        passes(x, rng.normal(size=(3, 3)), *plainly)
    assert np.isnan(passes(x, np.full((3, 3), np.nan), *plainly)).all()
    assert not passes(x, np.zeros((3, 3)), *plainly).any()


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


@pytest.mark.parametrize("dtype", ["f4", pytest.param("f8", marks=pytest.mark.slow)])
def test_sums_of_many_taps(dtype):
    """They are divided into parts, which are those of the Python call."""
    for shape, taps, stride, dilation, upsample in (
        ((3000,), (400,), 1, 1, 1), ((3000,), (301,), 2, 3, 1), ((900,), (500,), 90, 1, 1), ((900,), (700,), 3, 1, 2),
        ((90, 80), (20, 17), 1, 1, 1), ((90, 80), (33, 9), 2, 1, 3), ((40, 190), (2, 150), 1, 1, 1),
        ((190, 40), (150, 2), 1, 1, 1), ((20, 30, 40), (17, 5, 4), 1, 1, 1),
    ):  # fmt: skip
        x, kernel = (rng.standard_normal(own).astype(dtype) for own in (shape, taps))
        rank = len(shape)  # and tuples, as other tests give them: no further function is compiled
        own = {"padding": ((4, 4),) * rank, "stride": (stride,) * rank, "dilation": (dilation,) * rank}
        own |= {"upsample": (upsample,) * rank, "boundary": "constant"}
        found = plain(x, kernel, *own.values(), 0.5)
        assert found.tobytes() == convnd(x, kernel, method="direct", fill_value=0.5, **own).tobytes(), (shape, taps)
    for shape, taps in (((90, 9, 8), (3, 90, 3, 3)), ((2, 40, 40), (2, 2, 17, 15)), ((300, 7, 7), (4, 300, 1, 1))):
        x, kernel = (rng.standard_normal(own).astype(dtype) for own in (shape, taps))
        found = channels(x, kernel, ((1, 1), (1, 1)), (1, 1), (1, 1), "edge", 0.0, 0, 1)
        want = convnd(x, kernel, padding=1, boundary="edge", channel_axis=0, method="direct")
        assert found.tobytes() == want.tobytes(), (shape, taps)


def test_words_and_numbers():
    @numba.njit
    def same(x, kernel, size):
        smooth = convnd(x, kernel, padding="same", boundary=("edge", "wrap"), fill_value=2)
        return smooth, convnd(x, kernel, padding=size, stride=(1, 2), dtype=np.int16)

    x, kernel = whole((30, 40), "f4"), whole((3, 4), "f4")
    found = same(x, kernel, 2)
    assert np.array_equal(found[0], oracle.convnd(x, kernel, padding="same", boundary=("edge", "wrap")))
    assert np.array_equal(found[1], convnd(x, kernel, padding=2, stride=(1, 2), dtype=np.int16))
    assert found[1].dtype == np.int16


def test_boundaries_of_ends():
    @numba.njit
    def convolve(x, kernel, first):
        return convnd(x, kernel, padding="full", boundary=((first, "constant"), ("wrap", "reflect")), fill_value=2)

    x, kernel = whole((9, 10), "f4"), whole((3, 4), "f4")
    ends = ("edge", "constant"), ("wrap", "reflect")
    want = oracle.convnd(x, kernel, padding="full", boundary=ends, fill_value=2)
    assert np.array_equal(convolve(x, kernel, "edge"), want)


def test_large_whole_numbers_are_rounded_once():
    @numba.njit
    def convolve(x, kernel):
        return convnd(x, kernel, dtype=np.float64)

    x = np.array([2**53, 2**53 + 1, 2**60 + 2**36 + 1, 5])
    assert np.array_equal(convolve(x, np.array([1, -1])), oracle.convnd(x, np.array([1, -1]), dtype=np.float64))


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


@pytest.mark.parametrize(
    "dtype, fill", [("i1", -(2**63)), ("i8", np.uint64(2**63 - 1)), ("i8", True), ("u8", 1e19), ("u8", 2.0**64 - 2**11)]
)
def test_fill_values(dtype, fill):
    x, kernel = np.array([1, 2], dtype), np.ones(3, dtype)
    found = filled(x, kernel, fill)
    assert found.tolist() == convnd(x, kernel, padding=1, fill_value=fill).tolist()


@pytest.mark.parametrize("dtype, fill", [("i8", np.uint64(2**63)), ("i8", 2.0**63), ("u8", 2.0**64), ("u8", np.inf)])
def test_fill_values_that_do_not_fit(dtype, fill):
    with pytest.raises(ValueError, match="fill_value must fit the result's type, int64 or uint64"):
        filled(np.ones(2, dtype), np.ones(1, dtype), fill)


def test_empty():
    assert along(np.empty((0, 5, 4)), np.ones((2, 2)), 0, 1, 1, "edge", 0.0, (1, 2)).shape == (0, 4, 3)


def written(text):
    """The function that returns a call with such arguments."""
    space = {"convnd": convnd}
    exec(f"def function(x, kernel):\n    return convnd({text})", space)
    return space["function"]


def call(**given):
    """Compile a call with options written out."""
    text = ", ".join(f"{name}={value!r}" for name, value in given.items())
    return numba.njit(written(f"x, kernel, {text}"))(np.ones((5, 6)), np.ones((2, 2)))


@pytest.mark.parametrize(
    "given, error, words",
    [
        ({"stride": 1.5}, TypeError, "stride must be a whole number"),
        ({"stride": (1, 2, 3)}, ValueError, "stride has 3 entries but x has 2 spatial axes"),
        ({"padding": "Same"}, ValueError, "padding must be one of 'valid', 'same', 'full'"),
        ({"padding": ((1, 2, 3), (1, 2))}, ValueError, r"padding must be p or \(before, after\)"),
        ({"boundary": "mirror"}, ValueError, "it is 'reflect' here"),
        ({"boundary": 3}, TypeError, "boundary must be one of"),
        ({"method": "fft"}, ValueError, "method must be 'auto', 'direct' or 'separable' in compiled code"),
        ({"nan_policy": "omit"}, ValueError, "nan_policy must be 'propagate' in compiled code"),
        ({"upsample": 2.0}, TypeError, "upsample must be a whole number"),
        ({"upsample": (2, 1, 1)}, ValueError, "upsample has 3 entries but x has 2 spatial axes"),
        ({"beta": 0.5}, ValueError, "beta must be 0 in compiled code"),
        ({"bias": 1}, ValueError, "bias must be None in compiled code"),
        ({"strides": 2}, TypeError, r"convnd\(\) has no argument 'strides': it is stride here"),
        ({"mask": 1}, ValueError, "mask must be None in compiled code"),
        ({"workers": 2}, ValueError, "workers must be None or 1 in compiled code"),
        ({"fill_value": 1j}, TypeError, "fill_value must be real"),
        ({"dtype": "int7"}, TypeError, "dtype must name a numeric type"),
        ({"dtype": "float16"}, TypeError, "dtype is float16, but compiled code takes whole numbers and 32 or 64 bit"),
        ({"dtype": ">f4"}, TypeError, "dtype is >f4, but compiled code takes .* in the machine's byte order"),
        ({"channel_axis": 0, "axes": (0, 1)}, ValueError, "kernel has 2 axes"),
        ({"axes": 0}, ValueError, "kernel has 2 axes"),
    ],
)
def test_errors_of_types(given, error, words):
    with pytest.raises(error, match=words) as caught:
        call(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "x, kernel, 'same'", "x, kernel, 'wrap'", "x, kernel, 2", "x, kernel, True", "x, kernel, None",
        "x, kernel, 'correlation', 1", "x, kernel, mode='same'", "x, kernel, shape='same'",
        "x, weight=kernel", "in1=x, in2=kernel", "x, kernel, sigma=1.5", "x, kernel, 'same', stirde=2",
    ],
)  # fmt: skip
def test_errors_of_calls(text):
    """They are those of Python: options go by name, and a name of another library is answered with ours."""
    errors = []
    for function in (written(text), numba.njit(written(text))):
        with pytest.raises(TypeError) as caught:
            function(np.ones((5, 6)), np.ones((2, 2)))
        errors.append(str(caught.value))
    assert errors[0] == errors[1] and "\n" not in errors[0]


@pytest.mark.parametrize(
    "given, words",
    [
        ({"stride": (1, 0)}, "stride must be at least 1"),
        ({"padding": ((0, 0), (-1, 0))}, "padding must be at least 0"),
        ({"dilation": (9, 1)}, "padding leaves no output"),
        ({"dilation": (2**60, 1)}, "padding, dilation, upsample or x is too large"),
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
    half = numba.njit(lambda x, kernel: convnd(x, kernel, dtype=np.float16))
    with pytest.raises(TypeError, match="dtype is float16, but compiled code takes"):
        half(np.ones(3), np.ones(2))
    with pytest.raises(ValueError, match="kernel has 1 axes but x has 2: write axes="):
        function(np.ones((3, 3)), np.ones(2))
    third = numba.njit(lambda x, kernel, size: convnd(x, kernel, size))
    with pytest.raises(TypeError, match="and all others by name, but argument 3 is int64: there are padding, stride"):
        third(np.ones(3), np.ones(2), 2)
    with pytest.raises(TypeError, match=r"but argument 3 is array\(float64, 1d, C\): write the kernel second"):
        third(np.ones(3), -1, np.ones(2))
    with pytest.raises(TypeError, match=r"^convnd\(\) needs x and kernel$"):
        numba.njit(lambda x: convnd(x))(np.ones(3))
