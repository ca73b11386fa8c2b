"""What is particular to a method: how it is asked for, kernels it takes, and numbers near the limits of their types."""

import numpy as np
import pytest

from convnd import convnd, plan
from convnd.methods import direct
from support.check import TOLERANCE, bound, check, close, integers, near, reals
from support.oracle import BOUNDARIES
from support.strategies import outer

METHODS = ["separable", "fft"]
SHAPES = {1: (67,), 2: (19, 23), 3: (9, 8, 11), 4: (4, 6, 5, 7)}
TAPS = {1: (6,), 2: (4, 5), 3: (3, 2, 4), 4: (2, 3, 1, 2)}


def separable(taps, dtype=np.float64):
    """A kernel of rank one of small whole numbers."""
    return outer(*(integers(k, dtype, seed=5 + a, largest=2) for a, k in enumerate(taps))).astype(dtype)


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


# --- the oracle ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape, taps", [((150_000,), (33,)), ((500, 640), (7, 9)), ((60, 70, 80), (3, 4, 5))])
def test_arrays_of_many_tiles(method, shape, taps):
    x, kernel = integers(shape, np.uint8), separable(taps, np.int8)
    check(x, kernel, method=method, padding="same", boundary="reflect")
    check(x, kernel, method="auto", padding=4, stride=2, fill_value=5)


@pytest.mark.parametrize("shape, taps", [((3,), (9,)), ((1,), (1,)), ((5, 2), (4, 7)), ((2, 3, 1), (3, 4, 5))])
def test_kernels_larger_than_x_and_of_one_tap(tuning, method, shape, taps):
    for boundary in BOUNDARIES:
        for padding in "same", "full":
            check(integers(shape), separable(taps), method=method, padding=padding, boundary=boundary)
    check(integers(shape), np.full((1,) * len(shape), 3.0), method=method, padding=1)
    check(integers((2, 3)), 2.0, method=method, axes=())


@pytest.mark.parametrize("rank", SHAPES)
def test_kernels_of_zeros(tuning, method, rank):
    for dtype in np.float32, np.int16, np.complex64:
        check(integers(SHAPES[rank], dtype), np.zeros(TAPS[rank], dtype), method=method, padding="same", fill_value=2)
        one = np.zeros(TAPS[rank], dtype)
        one.flat[-1] = 3
        check(integers(SHAPES[rank], dtype), one, method=method, padding="same", boundary="wrap")


@pytest.mark.parametrize("at, groups", [(0, 1), (-1, 1), (-1, 3)])
def test_complex_filters_of_one_real_channel(tuning, at, groups):
    """Channels last, the axes of such a bank are in an order that reshaping keeps: packed weights have to be copied."""
    for shape, taps in ((9, 20), (4, 2)), ((30,), (5,)):
        x = integers([groups, *shape] if at == 0 else [*shape, groups], np.float32)
        kernel = integers([3, 1, *taps] if at == 0 else [*taps, 1, 3], np.complex64, seed=1)
        for method in "fft", "direct":
            check(x, kernel, method=method, channel_axis=at, groups=groups, padding="same")


# --- types and memory ---------------------------------------------------------------------------------------


def test_sums_beyond_what_floats_hold(method):
    """These are exact modulo 2^64, whoever computes them."""
    for largest in 2**20, 2**31, 2**62:
        x = integers((40, 50), np.int64, largest=largest)
        check(x, separable((3, 4), np.int64), method=method, padding="same")
        check(x, integers((3, 4), np.int64, seed=1, largest=largest)[:, :1], method=method)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32], ids=lambda dtype: dtype.__name__)
def test_the_largest_whole_numbers(method, dtype):
    """Where rounding errors would add up: no sum is one off."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    for weight in 1, 127, 30_001:
        kernel = outer(np.full(9, weight), np.resize([1, -1, 1], 9))
        for x in np.full((60, 70), high, dtype), np.resize(np.array([low, high, high], dtype), (61, 70)):
            check(x, kernel, method=method, padding="same")


# --- real-valued data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
def test_sums_of_outer_products(tuning, method, dtype):
    """Two terms and three, of like and of unlike sizes."""
    lines = reals((3, 9), dtype), reals((3, 8), dtype, seed=1)
    for sizes in (1, 1, 0), (1, -0.9, 1e-3), (1, 1e-4, 0):
        kernel = np.einsum("r,ri,rj->ij", np.array(sizes, dtype), *lines).astype(dtype)
        x = reals((40, 50), dtype)
        close(convnd(x, kernel, method=method, padding="same"), x, kernel, padding="same")


@pytest.mark.parametrize("size", [7e37, 1e30, 1e-30, 1e-38, 1e-44], ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_samples_near_the_limits_of_their_type(tuning, method, rank, size):
    """Beside ordinary ones elsewhere; what overflows is what overflows in the direct method."""
    x, kernel = reals(SHAPES[rank], np.float32), separable(TAPS[rank], np.float32) / 16
    x[: len(x) // 2] *= np.float32(size)
    agrees(x, kernel, method, padding="same", boundary="reflect")
    agrees(x * np.float32(min(1, size)), kernel, method, padding="same", boundary="reflect")


@pytest.mark.parametrize("line", [(3, -3), (3.1, -3.1, 0.7)], ids=str)
def test_sums_overflow_no_sooner_than_directly(tuning, method, line):
    """A factor sums more samples before others of the opposite sign than the kernel does."""
    x = np.full((20, 40), np.finfo(np.float32).max / 8, np.float32)
    agrees(x, outer(np.ones(8), line).astype(np.float32), method)


@pytest.mark.parametrize("size", [1e36, 1e20, 1e-20, 1e-36, 1e-42], ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_weights_near_the_limits_of_their_type(tuning, method, rank, size):
    x = reals(SHAPES[rank], np.float32)
    agrees(x, separable(TAPS[rank], np.float32) * np.float32(size), method, padding="same")
    lines = [np.float32(size) ** np.linspace(0, 1, k, dtype=np.float32) for k in TAPS[rank]]
    with np.errstate(over="ignore"):
        agrees(x, outer(*lines), method, padding="full")


def agrees(x, kernel, method, **options):
    """NaN and infinities are where and what they are directly; other values within the tolerance."""
    by_sums = convnd(x, kernel, method="direct", **options)
    result, size = convnd(x, kernel, method=method, **options), bound(x, kernel, **options)
    tiny = np.finfo(by_sums.dtype).smallest_subnormal / TOLERANCE[by_sums.dtype.type]
    near(result, by_sums, 2 * size + tiny * (1 + np.abs(kernel).sum(where=np.isfinite(kernel))) * kernel.size)


# --- NaN and infinity ---------------------------------------------------------------------------------------


def with_specials(x, seed, count=3):
    """`x` with NaN and infinities somewhere, one of them in its last corner."""
    rng, parts = np.random.default_rng(seed), x.view(x.real.dtype)
    for at in (*rng.integers(parts.size, size=count), parts.size - 1):
        parts.flat[at] = rng.choice([np.nan, np.inf, -np.inf])
    return x


def test_not_finite_sums_become_whole_numbers(method):
    """Infinities saturate, NaN becomes 0."""
    x, kernel = with_specials(integers((30, 40), np.float32), 1), separable((3, 4), np.float32)
    for dtype in np.uint8, np.int16:
        check(x, kernel, method=method, dtype=dtype, padding="same")


@pytest.mark.parametrize(("value", "is_repaired"), [(np.nan, False), (np.inf, True)])
def test_nan_alone_passes_through_factors(monkeypatch, tuning, value, is_repaired):
    """Tiles with NaN need no direct sums: 560 of them in an image took 23 times as long."""
    flagged, repair = [], direct.repair

    def recorded(problem, tasks, flags, *rest):
        flagged.append(flags.any())
        repair(problem, tasks, flags, *rest)

    monkeypatch.setattr(direct, "repair", recorded)
    for shape, taps, padding in ((70, 80), (9, 8), "same"), ((30, 31, 33), (5, 4, 5), 0):
        x = reals(shape, np.float32)
        x.flat[:: x.size // 7] = value
        agrees(x, outer(*(reals(k, np.float32, seed=k) for k in taps)), "separable", padding=padding)
        assert flagged.pop() == is_repaired


# --- how a method is asked for ------------------------------------------------------------------------------

LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
FLAT, LINE = reals((4, 5)), reals(3, seed=1)
SEPARABLE = {
    "a line": LINE,
    "rank one": outer(LINE, LINE),
    "rank one of three axes": outer(LINE, LINE, LINE),
    "rank two": outer(LINE, [1, 0, 2, 4]) + outer([4, 1, 2], [0, 1, 1, 1]),
    "zeros": np.zeros((3, 4)),
    "one tap": np.ones((1, 1)),
    "along the first axis": outer(LINE, FLAT),
    "along the second axis": outer(LINE, FLAT).transpose(1, 0, 2),
    "along the third axis": outer(FLAT, LINE),
    "Laplacian": LAPLACIAN,
    "Laplacian of floats": LAPLACIAN.astype(np.float32),
    "whole numbers": outer([1, 2, 1], [-1, 0, 1], [3, 4, 5]),
    "complex": outer(LINE * 1j + 1, LINE - 2j),
}


@pytest.mark.parametrize("name", SEPARABLE)
def test_kernels_that_are_separable(tuning, name):
    """Whole numbers by whole factors, exactly."""
    kernel = SEPARABLE[name]
    options = {"axes": tuple(range(-kernel.ndim, 0)), "padding": "same"}
    if kernel.dtype.kind == "i":
        check(integers((8, 9, 10), np.int16), kernel, method="separable", **options)
    x = reals((8, 9, 10), np.complex64 if kernel.dtype.kind == "c" else kernel.dtype if kernel.itemsize == 4 else float)
    close(convnd(x, kernel, method="separable", **options), x, kernel, **options)
    if kernel.dtype.kind != "c":
        assert plan(x, kernel, method="separable", **options).method == "separable"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("taps", [(2, 2), (5, 4), (3, 20), (3, 3, 3), (2, 2, 2), (4, 3, 2)])
def test_kernels_that_are_not_separable(taps, dtype):
    out = np.full((20,) * len(taps), 7, dtype)
    with pytest.raises(ValueError, match=r"'separable'.* short sum of outer products"):
        convnd(reals(out.shape, dtype), reals(taps, dtype), method="separable", padding="same", out=out)
    assert (out == 7).all()


def test_channels_are_not_separable():
    with pytest.raises(ValueError, match=r"'separable'.* channel_axis is 0"):
        convnd(np.ones((3, 9)), np.ones((2, 3, 3)), method="separable", channel_axis=0)


@pytest.mark.parametrize("function", [convnd, plan])
def test_names_of_methods(function):
    for unknown in "fourier", "FFT", "":
        with pytest.raises(ValueError, match=f"method must be one of 'auto', .*'{unknown}'"):
            function(np.ones(9), np.ones(3), method=unknown)
    for wrong in None, 1, b"fft", ["fft"]:
        with pytest.raises(TypeError, match="method"):
            function(np.ones(9), np.ones(3), method=wrong)
