"""A kernel that is longer than x takes its place: the values are the same, and the time no longer grows with both."""

import numpy as np
import pytest

from convnd import convnd, plan
from convnd.problem.arguments.parse import parse
from convnd.problem.exchange import find_exchange
from convnd.problem.options import Options
from convnd.problem.result import result_traits
from support.check import check, integers, reals
from support.strategies import LAYOUTS, WRITEABLE

PAIRS = {1: ((3,), (40,)), 2: ((3, 2), (12, 9)), 3: ((2, 1, 3), (5, 6, 7))}
PADDINGS = {  # along an axis of n samples and k taps
    "few outputs": lambda n, k: (max(0, k - n), 1),
    "more before": lambda n, k: (k + 3, max(0, k - n)),
    "more behind": lambda n, k: (1, 2 * k),
}


ALONE = {  # shapes of x and of the kernel: along an axis of one sample each output has a tap of its own
    "outer product": ((40, 1), (1, 30)),
    "outer product, swapped": ((1, 30), (40, 1)),
    "outer product of three axes": ((9, 1, 1), (1, 8, 7)),
    "a few taps beside": ((40, 1), (3, 30)),
    "the kernel has one": ((3, 30), (40, 1)),
}


def is_exchanged(x, kernel, **options):
    request = parse(x, kernel, None, Options(**options))
    return find_exchange(request, result_traits(request)) is not None


@pytest.mark.parametrize("convention", ["convolution", "correlation"])
@pytest.mark.parametrize("padding", ["full", "same", *PADDINGS])
@pytest.mark.parametrize(
    "dtypes", [("int16", "uint8"), ("int64", "int64"), ("float32", "float64"), ("float32", "complex64")]
)
@pytest.mark.parametrize("rank", PAIRS)
def test_values(tuning, rank, dtypes, padding, convention):
    shape, taps = PAIRS[rank]
    x, kernel = integers(shape, dtypes[0]), integers(taps, dtypes[1], seed=1)
    if padding in PADDINGS:
        padding = tuple(PADDINGS[padding](n, k) for n, k in zip(shape, taps))
    options = {"padding": padding, "convention": convention}
    assert is_exchanged(x, kernel, **options)
    check(x, kernel, **options)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    for shape, taps in PAIRS.values():
        check(LAYOUTS[layout](integers(shape)), integers(taps, seed=1), padding="same")
        check(integers(shape), LAYOUTS[layout](integers(taps, seed=1)), padding="same")
        like = convnd(integers(shape), integers(taps, seed=1), padding="full")
        check(
            integers(shape),
            integers(taps, seed=1),
            padding="full",
            out=LAYOUTS[layout](np.zeros_like(like)) if layout in WRITEABLE else None,
        )


def test_axes_in_any_order():
    for axes in (1, 0), (-2, -1):
        check(integers((2, 3)), integers((9, 12), seed=1), axes=axes, padding=((3, 20), (1, 15)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_meets_the_zeros_outside(value):
    for place in "x", "kernel":
        x, kernel = reals((3, 2)), reals((12, 9), seed=1)
        {"x": x, "kernel": kernel}[place][1, 1] = value
        found, expected = (convnd(x, kernel, padding="full", method=method) for method in ("auto", "direct"))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_what_does_not_commute_stays():
    x, kernel = reals(5), reals(40, seed=1)
    assert is_exchanged(x, kernel, padding="full")
    for options in [
        {"stride": 2}, {"dilation": 2}, {"upsample": 2}, {"boundary": "wrap"}, {"fill_value": 1},
        {"nan_policy": "omit"}, {"method": "direct"}, {"method": "fft"},
    ]:  # fmt: skip
        assert not is_exchanged(x, kernel, **{"padding": 100} | options)
    assert not is_exchanged(reals((3, 5)), kernel, padding=100, axes=1)
    assert not is_exchanged(reals((1, 5)), reals((1, 40)), padding=100, channel_axis=0, axes=1)
    whole = integers(5, np.int16), integers(40, np.int16)
    assert is_exchanged(*whole, padding="full", method="direct")  # exact sums have one value


@pytest.mark.parametrize("convention", ["convolution", "correlation"])
@pytest.mark.parametrize("name", ALONE)
def test_an_axis_of_one_sample(tuning, name, convention):
    shape, taps = ALONE[name]
    for types in ("int16", "uint8"), ("int64", "int64"), ("float32", "float64"), ("complex64", "float32"):
        x, kernel = integers(shape, types[0]), integers(taps, types[1], seed=1)
        options = {"padding": "full", "convention": convention}
        assert is_exchanged(x, kernel, **options)
        check(x, kernel, **options)
        np.testing.assert_array_equal(plan(x, kernel, **options)(x), convnd(x, kernel, **options))
    x, kernel = integers((20, 1), np.float32), integers((1, 9), seed=1)
    for own in {"stride": (1, 2)}, {"dilation": (1, 3)}, {"upsample": (1, 2)}, {"stride": (2, 3), "dilation": (1, 2)}:
        check(x, kernel, padding=(0, 30), convention=convention, **own)
        check(x, kernel[:, :7], padding=((0, 0), (20, 3)), axes=(0, 1), convention=convention, **own)
    check(x.T, kernel.T, padding="full", axes=(1, 0), convention=convention)
    check(x, kernel[0], padding="full", axes=1, convention=convention)


def test_few_filters_rather_than_many():
    """Each filter is planned for: thousands of them took seconds."""
    for shape, taps in ((1, 10), (5000, 1)), ((10, 1), (1, 5000)), ((5000, 1), (1, 10)), ((1, 5000), (10, 1)):
        request = parse(integers(shape), integers(taps), None, Options(padding="full"))
        found = find_exchange(request, result_traits(request))
        assert found is not None and found.request.kernel.shape[:1] + found.request.x.shape != (5000, *shape)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_sample_that_is_not_finite(value):
    """A tap that reads zeros outside counts where it is infinite or NaN; samples meet nothing new."""
    for place in "x", "kernel":
        x, kernel = reals((9, 1)), reals((1, 12), seed=1)
        {"x": x, "kernel": kernel}[place].flat[4] = value
        found = convnd(x, kernel, padding="full", method="direct")
        filled = convnd(np.pad(x, ((0, 0), (11, 11))), kernel, method="direct", padding=0)
        np.testing.assert_array_equal(found, filled)


def test_plans_exchange_too():
    """A kept plan of a long kernel took the time of all its taps."""
    x, kernel = integers(3), integers(40, seed=1)
    own = plan(x, kernel, padding="full")
    assert "taps      3 " in str(own)
    assert own.flops == plan(kernel, x, padding="full").flops
    np.testing.assert_array_equal(own(x), np.convolve(x, kernel))
    for special in np.array([1, np.nan, 2]), np.array([1, np.inf, 2]):
        own = plan(special, kernel.astype(float), padding="full")
        np.testing.assert_allclose(own(special), convnd(special, kernel.astype(float), padding="full", method="direct"))


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64, ">i8"])
def test_a_wide_type_may_hold_small_numbers(tuning, dtype):
    """What sums and transforms can hold is a matter of values: the same plan takes small numbers and large ones."""
    kernel, info = integers((6, 7), np.int32, seed=1), np.iinfo(dtype)
    x = integers((40, 30), dtype)
    assert is_exchanged(x, kernel, padding="same")
    assert not is_exchanged(x, kernel[:5, :6], padding="same")  # few taps: the look costs more
    made = plan(x, kernel, padding="same")
    for most in 9, 2**16, 2**16 + 1, info.max:
        x[20, 10] = most
        x[3, 4] = max(-most, info.min) if info.min else 0
        result = check(x, kernel, padding="same")
        np.testing.assert_array_equal(made(x), result)


def test_whole_numbers_of_a_wide_type_are_transformed():
    x, kernel = integers((130, 120), np.int64), integers((50, 45), np.int64, seed=1)
    made = plan(x, kernel)
    assert made.method == "fft"
    check(x, kernel)
    x[5, 5] = 2**62
    check(x, kernel)
