"""Result types, exact integers, rounding and saturation, and how far NaN and infinity reach."""

import pickle
from functools import reduce
from itertools import product

import numpy as np
import pytest

from convnd import convnd, plan, warm
from support import oracle
from support.check import check, close, integers, reals, same

FLOATS = [np.float16, np.float32, np.float64]
INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
name = lambda dtype: np.dtype(dtype).name  # noqa: E731 (test ids)


@pytest.mark.parametrize(
    "x, kernel, result",
    [
        ("bool", "bool", "int64"),
        ("bool", "uint8", "uint64"),
        ("uint8", "uint32", "uint64"),
        ("uint8", "int8", "int64"),
        ("uint64", "int8", "int64"),  # where numpy.result_type says float64
        ("int8", "float16", "float16"),
        ("int16", "float16", "float32"),
        ("int32", "float32", "float64"),
        ("float16", "float32", "float32"),
        ("uint8", "complex64", "complex64"),
        ("float64", "complex64", "complex128"),
    ],
)
def test_the_table_of_result_types(x, kernel, result):
    for pair in (x, kernel), (kernel, x):
        assert convnd(np.ones(3, pair[0]), np.ones(2, pair[1])).dtype == result


def test_python_numbers_and_lists():
    same(convnd([1, 2, 3], [1, 1]), np.array([3, 5]))
    same(convnd([1, 2, 3], [0.5, 0.5]), np.array([1.5, 2.5]))


# --- integers are exact -------------------------------------------------------------------------------------

# sum |k| * max |x| on either side of what float32 and float64 hold: m * a + b with m in x, (a, b) the kernel.
AROUND = {
    "2^24 - 1": (4095, 4097, 0),
    "2^24": (4096, 4096, 0),
    "2^24 + 1": (4096, 4096, 1),
    "2^53 - 1": (441650591, 20394401, 0),
    "2^53": (2**27, 2**26, 0),
    "2^53 + 1": (2**27, 2**26, 1),
    "2^62 + 1": (2**31 - 1, 2**31 - 1, 1),
}


@pytest.mark.parametrize("m, a, b", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("signed", [True, False], ids=["int", "uint"])
def test_sums_around_what_a_float_holds(signed, m, a, b):
    dtype = np.min_scalar_type(-m if signed else m)
    x = np.array([m, 1, m, 0, 1, m - 1, m] * 20, dtype)
    kernel = np.array([a, b], np.int64 if signed else np.uint64)
    check(x, kernel, padding="full")
    if signed:
        check(-x, kernel, padding="full")
        check(x, -kernel, padding="full")


# Weights of two samples whose least and largest sums lie on either side of what 16 bits hold.
SHORT = {
    "255 * 128": ("uint8", (100, 28), "int16"),
    "255 * 129": ("uint8", (100, 29), "uint16"),
    "-255 * 128": ("uint8", (-100, -28), "int16"),
    "-255 * 129": ("uint8", (-100, -29), "float32"),
    "65535": ("uint8", (257, 0), "uint16"),
    "255 * 258": ("uint8", (257, 1), "float32"),
    "both signs": ("uint8", (128, -128), "int16"),
    "int8, 32767": ("int8", (-255, 1), "int16"),
    "int8, 32768": ("int8", (-256, 0), "float32"),
    "bool, 65535": ("bool", (65535, 0), "uint16"),
    "bool, -32768": ("bool", (-32768, 0), "int16"),
}


@pytest.mark.parametrize("kernel_type", ["int64", "float64"])
@pytest.mark.parametrize("dtype", [None, "int16", "uint8", ">f4"])
@pytest.mark.parametrize("x_type, weights, working", SHORT.values(), ids=SHORT)
def test_sums_around_what_16_bits_hold(x_type, weights, working, dtype, kernel_type, tuning):
    samples = {"bool": (0, 1), "int8": (-128, -1, 127), "uint8": (0, 1, 255)}[x_type]
    x = np.array([(a, b) for a in samples for b in samples] * 7, x_type).ravel()
    kernel = np.array(weights, kernel_type)
    wide = working if working != "float32" or kernel_type != "float64" else "float64"
    for options in ({}, {"padding": "same", "boundary": "edge"}, {"padding": "full", "stride": 2}):
        assert f"computed in {wide}" in str(plan(x, kernel, dtype=dtype, **options))
        check(x, kernel, dtype=dtype, **options)


@pytest.mark.parametrize("kernel_type", ["float16", "float32", ">f8"])
@pytest.mark.parametrize("dtype", [None, "uint8", "int8", ">i2", "int64", "bool", "float16", ">f4"])
@pytest.mark.parametrize("x_type", ["uint8", "int8", "bool"])
def test_sums_of_16_bits_are_scaled(x_type, dtype, kernel_type, tuning):
    """Whole numbers over a power of two have exact sums, which are rounded once, ties to even."""
    x = integers((9, 80), x_type, largest=1 if x_type == "bool" else 127)
    for weights in [[1, 2, 1], [2, 4, 2], [1, 2, 1]], [[-1, 0, 1]], [[3, -1], [0, 2]], [[0, 0], [0, 1]]:
        kernel = (np.array(weights) / 16).astype(kernel_type)
        for options in ({}, {"padding": "same", "fill_value": 3}, {"padding": "full", "stride": 2}, {"axes": (1, 0)}):
            assert "exactly, times 0." in str(plan(x, kernel, dtype=dtype, **options))
            check(x, kernel, dtype=dtype, **options)
    same(convnd(x.T, kernel, dtype=dtype), convnd(np.ascontiguousarray(x.T), kernel, dtype=dtype))


@pytest.mark.parametrize("x_type, boundary", [*product(["uint8", "int8", "bool"], ["constant", "edge"])])
@pytest.mark.parametrize("taps", [(3, 5), (9, 9), (2, 3, 4)])
def test_passes_sum_in_16_bits(taps, x_type, boundary, tuning):
    """Of weights that are equal or not, one outer product or two, whole numbers or those times one number."""
    x = integers((16, 24, 40)[-len(taps) :], x_type, largest=1 if x_type == "bool" else 127)
    equal = reduce(np.multiply.outer, [np.ones(n, int) for n in taps])
    ramps = reduce(np.multiply.outer, [np.arange(n) % 3 - 1 for n in taps])
    hole = equal.copy()
    hole.flat[0] = 0
    for kernel in equal, ramps, hole:
        for own in kernel, kernel / 8, np.float32(kernel / 2):
            for options in ({}, {"dtype": "uint8"}, {"dtype": ">f4", "stride": 2}, {"dtype": "int16", "dilation": 2}):
                options = {"padding": "same", "boundary": boundary, "method": "separable", **options}
                made = plan(x, own, **options)
                assert made.method == "separable" and "int16, exactly" in str(made)
                check(x, own, **options)


def test_means_are_sums_of_16_bits_over_their_number():
    x = integers((40, 300, 3), np.uint8, largest=255)
    for taps in (3, 3), (5, 5), (2, 7):
        sums, number = oracle.convnd(x, np.ones(taps, int), axes=(0, 1)), np.float32(1 / np.prod(taps))
        mean = np.full(taps, number)
        same(convnd(x, mean, axes=(0, 1)), np.float32(sums) * number)
        same(convnd(x, mean, axes=(0, 1), dtype=np.uint8), np.rint(np.float32(sums) * number).astype(np.uint8))
    for weights in [0.3, 0.2], [np.nan, 0.5], [0.1, 30.0]:
        assert "computed in float32" in str(plan(x, np.array([weights], np.float32), axes=(0, 1)))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool", "int16"])
def test_warming_compiles_what_most_kernels_need(monkeypatch, dtype):
    """Equal weights may be summed in 16 bits, most others are not."""
    made = []
    monkeypatch.setattr(warm, "plan", lambda *arrays, **options: made.append(plan(*arrays, **options)))
    warm.warmup(ranks=[1, 2], dtypes=[dtype], taps=[3, 5], methods=["direct"])
    assert len(made) == 4
    assert not any("exactly" in str(own) for own in made)


def test_operations_on_plans_of_scaled_sums():
    x, kernel = integers((12, 30), np.uint8, largest=255), np.array([[1, 2, 1], [2, 4, 2]], np.float32) / 16
    made, y = plan(x, kernel), integers((11, 28), np.float32)
    same(made.adjoint(y), plan(x.astype(np.float32), kernel).adjoint(y))
    same(made.kernel_gradient(x, y), plan(x.astype(np.float32), kernel).kernel_gradient(x.astype(np.float32), y))
    same(pickle.loads(pickle.dumps(made))(x), made(x))
    same(convnd(x, kernel, bias=0.5, dtype=np.float32), made(x) + np.float32(0.5))


def test_the_fill_value_counts_among_the_samples():
    x, kernel = np.full(36, 255, np.uint8), np.array([1, 2, 1])
    for fill, working in (0, "int16"), (8191, "int16"), (16383, "uint16"), (65535, "float32"), (-1, "int16"):
        assert f"computed in {working}" in str(plan(x, kernel, padding="same", fill_value=fill))
        check(x, kernel, padding="same", fill_value=fill)
    assert "computed in float64" in str(plan(x, kernel * 1.0, padding="same", fill_value=0.5))
    for fill in 0.5, np.inf, np.nan:
        check(x, kernel * 1.0, padding="same", fill_value=fill)


def test_the_type_of_sums_follows_each_kernel():
    x = integers(600, np.uint8, largest=255)
    for weights in [1, 2, 1], [0.5, 2, 1], [300, 2, 1], [0, 0, 0], [np.inf, 1, 1], [-1, 0, 1], [np.nan, 0, 0]:
        kernel = np.array(weights, np.float32)
        check(x, kernel, padding="same")
        if np.isfinite(kernel).all():
            check(x, kernel.astype(np.int32), padding="same")


def test_other_methods_and_operations_have_wider_sums():
    x, kernel = integers((20, 30), np.uint8, largest=255), np.array([[1, 2, 1], [2, 4, 2]])
    assert "computed in float32" in str(plan(x, kernel, method="fft"))
    check(x, kernel, method="fft")
    sums = check(x, kernel)
    same(convnd(x, kernel, bias=70_000), sums + 70_000)
    same(convnd(x, kernel, bias=1, beta=2, out=np.full(sums.shape, 30_000)), sums + 60_001)


def test_one_large_value_among_small_ones():
    """The bound on the sums is of the whole x, not of a sample of it."""
    for large in 2**24 + 1, 2**53 + 1, -(2**53) - 1:
        x = np.ones(100_000, np.int64)
        x[77_777] = large
        check(x, [1, 1])


@pytest.mark.parametrize("x", INTEGERS, ids=name)
@pytest.mark.parametrize("kernel", [np.int8, np.int64, np.uint64], ids=name)
def test_full_range_integers_are_exact_modulo_2_64(x, kernel):
    low, high = np.iinfo(x).min, np.iinfo(x).max
    x = np.array([high, high, low, high, 0, low, low, high - 1, low + 1, 1, high] * 3, x)
    kernel = np.array([np.iinfo(kernel).max, np.iinfo(kernel).min, 3], kernel)
    check(x, kernel, padding="full")


def test_beyond_2_63():
    ones = np.ones(2, np.uint64)
    same(convnd(np.array([2**63, 2**63 - 1], np.uint64), ones), np.array([2**64 - 1], np.uint64))
    same(convnd(np.array([2**63, 2**63], np.uint64), ones), np.array([0], np.uint64))
    same(convnd(np.array([2**64 - 1], np.uint64), np.array([2], np.int8)), np.array([-2]))
    same(convnd(np.array([-(2**63)]), np.array([-1])), np.array([-(2**63)]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, np.float16])
def test_large_whole_numbers_are_rounded_once(dtype):
    x = np.array([2**53, 2**53 + 1, -(2**60) - 2**36 - 1, 5, 2**62, 2**62, 7])
    for kernel in [1, -1], [1], [3, 1]:
        check(x, np.array(kernel), dtype=dtype)
    check(x.clip(0).astype(np.uint64), np.array([1, 1], np.uint8), dtype=dtype)


def test_bool():
    x, kernel = np.array([True, True, False, True]), np.array([True, True])
    same(convnd(x, kernel), np.array([2, 1, 1]))
    same(convnd(x, kernel, dtype=bool), np.array([True, True, True]))
    same(convnd(x, np.array([1.5, 2.0])), np.array([3.5, 2.0, 1.5]))


def test_fill_values_wider_than_x():
    check(integers(5, np.uint8), integers(3, np.uint8, seed=1), padding=4, fill_value=1000)
    check(integers(5, np.uint8), integers(3, np.int8, seed=1), padding=4, fill_value=-(2**40))
    check(integers(5, np.int8), integers(3, np.float32, seed=1), padding=4, fill_value=0.5)
    check(integers(5, np.float32), integers(3, np.complex64, seed=1), padding=4, fill_value=1 - 2j)
    check(integers(5, np.int64), integers(3, np.int64, seed=1), padding=4, fill_value=2.0)
    check(integers(5, np.float16), integers(3, np.float16, seed=1), padding=4, fill_value=np.float16(2))


# --- floating types -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [*FLOATS, np.complex64, np.complex128], ids=name)
@pytest.mark.parametrize("x", [*FLOATS, np.complex64, np.complex128], ids=name)
def test_rounding_stays_within_the_tolerance(x, kernel):
    x, kernel = reals((40, 50), x), reals((7, 6), kernel, seed=1)
    close(convnd(x, kernel, padding="same"), x, kernel, padding="same")


def test_float16_is_summed_in_float32():
    same(convnd(np.ones(5000, np.float16), np.ones(5000, np.float16)), np.array([5000], np.float16))
    x = np.array([300, 300, 1], np.float16)  # 300 * 300 is beyond float16
    same(convnd(x, np.array([1, -300, 300], np.float16)), np.array([1], np.float16))
    same(convnd(np.full(3, 60000, np.float16), np.ones(3, np.float16)), np.array([np.inf], np.float16))
    same(convnd(np.full(2049, 1, np.float16), np.ones(2049, np.float16), dtype=int), np.array([2049]))


def test_a_wider_dtype_widens_the_sums():
    x, ones = np.array([2**24, 1], np.float32), np.ones(2, np.float32)
    same(convnd(x, ones), np.array([2**24], np.float32))
    same(convnd(x, ones, dtype=np.float64), np.array([2**24 + 1.0]))
    same(convnd(x.astype(np.complex64), ones, dtype=np.complex128), np.array([2**24 + 1 + 0j]))
    x = np.array([1e300, -1e300, 1])  # and a narrower one does not narrow them
    same(convnd(x, np.ones(3), dtype=np.float32), np.array([1], np.float32))
    same(convnd(np.array([1e300]), np.ones(1), dtype=np.float32), np.array([np.inf], np.float32))


def test_integers_to_floats_round_once():
    x = np.array([2**24, 1], np.int32)
    same(convnd(x, np.ones(2, np.int32), dtype=np.float32), np.array([2**24], np.float32))
    same(convnd(x, np.ones(2, np.int32), dtype=np.float64), np.array([2.0**24 + 1]))
    check(integers(20, np.int16, largest=9000), integers(3, np.int16, seed=1, largest=3), dtype=np.float16)


def test_complex_kernels_are_not_conjugated():
    x, kernel = np.array([1 + 2j, 3 - 1j, 2j]), np.array([2 - 1j, 1j])
    for padding in "valid", "full":
        same(convnd(x, kernel, padding=padding), np.convolve(x, kernel, padding))
    expected = np.array([(2 - 1j) * (1 + 2j) + 1j * (3 - 1j), (2 - 1j) * (3 - 1j) + 1j * 2j])
    same(convnd(x, kernel, convention="correlation"), expected)


# --- dtype= : rounded half to even, saturated, NaN to 0 -----------------------------------------------------

AWKWARD = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, 127.5, 128.5, -128.5, -129, 254.5, 255.5, 256]
AWKWARD += [32767.5, -32769, 65535.5, 2.0**31, -(2.0**31), 2.0**32, 2.0**63, -(2.0**63), 2.0**64, 1e30, -1e30]
AWKWARD += [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("dtype", [np.bool_, *INTEGERS], ids=name)
@pytest.mark.parametrize("working", FLOATS, ids=name)
def test_floats_to_integers(working, dtype):
    with np.errstate(over="ignore"):
        x = np.array(AWKWARD * 3).astype(working)
    check(x, np.ones(1, working), dtype=dtype)
    check(x, np.ones(1, working), out=np.empty(x.shape, dtype))


def test_floats_to_uint8_by_hand():
    x = np.array([0.5, 1.5, 2.5, -0.5, 254.5, 255.5, 1e30, -1e30, np.nan, np.inf, -np.inf])
    expected = np.array([0, 2, 2, 0, 254, 255, 255, 0, 0, 255, 0], np.uint8)
    same(convnd(x, [1.0], dtype=np.uint8), expected)


@pytest.mark.parametrize("dtype", [np.bool_, *INTEGERS], ids=name)
@pytest.mark.parametrize("x", [np.int32, np.int64, np.uint8, np.uint64], ids=name)
def test_integers_to_integers_saturate(x, dtype):
    low, high = np.iinfo(x).min, np.iinfo(x).max
    values = [low, low + 1, 0, 1, 127, 128, 255, high - 1, high] + ([-1, -128, -129] if low else [])
    check(np.array(values * 3, x), np.ones(1, x), dtype=dtype)


def test_saturation_is_of_the_sum():
    x, kernel = np.full(9, 200, np.uint8), np.array([1, -1, 1], np.int8)
    same(convnd(x, kernel, dtype=np.uint8), np.full(7, 200, np.uint8))
    same(convnd(x, np.array([1, 1, 1], np.uint8), dtype=np.uint8), np.full(7, 255, np.uint8))
    same(convnd(x, np.array([-1, -1, 1], np.int8), dtype=np.uint8), np.full(7, 0, np.uint8))


# --- NaN and infinity reach exactly the outputs whose window touches them -----------------------------------


def test_infinities_keep_their_sign_or_cancel_to_nan(tuning):
    x = np.zeros((3, 60), np.float32)
    x[0, 20], x[1, 20], x[2, 20], x[1, 21] = np.inf, -np.inf, np.inf, np.inf
    check(x, np.array([[1, 2, 3], [-1, -2, 1]], np.float32), padding="same")
