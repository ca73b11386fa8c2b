"""What is particular to a method: how it is asked for, kernels it takes, and numbers near the limits of their types."""

import numpy as np
import pytest

from convnd import convnd, plan
from convnd.jit.machine import IS_X86
from convnd.methods import repair
from support import oracle
from support.check import TOLERANCE, bound, check, close, integers, near, reals, same
from support.oracle import BOUNDARIES
from support.settings import tuned
from support.strategies import outer

METHODS = ["separable", "fft"]
SHAPES = {1: (67,), 2: (19, 23), 3: (9, 8, 11), 4: (4, 6, 5, 7)}
CHANNELS_FIRST = {"axes": (1, 2), "channel_axis": 0}
SUMMED = {"summed_taps": 12, "folded_taps": 8}
TAPS = {1: (6,), 2: (4, 5), 3: (3, 2, 4), 4: (2, 3, 1, 2)}


def separable(taps, dtype=np.float64):
    """A kernel of rank one of small whole numbers."""
    return outer(*(integers(k, dtype, seed=5 + a, largest=2) for a, k in enumerate(taps))).astype(dtype)


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture
def summed():
    """Sums along an axis from as many taps on as are tested, which differ between processors."""
    with tuned("default", **SUMMED):
        yield


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


@pytest.mark.parametrize("dtype", ["uint8", "uint64", "float32", ">f8", "float16", "complex64"])
@pytest.mark.parametrize("shape, taps", [((70, 90), (13, 14)), ((3, 45, 33), (1, 12, 9)), ((9, 19, 21), (12, 13, 15))])
def test_boxes_are_moving_sums(summed, dtype, shape, taps):
    """The same to the last bit however tiles lie, for one thread and more, and interleaved with others."""
    x = integers(shape, dtype)
    kernel, options = np.full(taps, 3, x.real.dtype.newbyteorder("=")), {"padding": "same", "boundary": "reflect"}
    check(x, kernel, method="separable", **options)
    check(np.stack([x, x], -1), kernel, method="separable", axes=range(x.ndim), **options)
    if x.dtype.kind == "f" and x.dtype.itemsize > 2:
        x, kernel = reals(shape, dtype), kernel / kernel.dtype.type(7 * kernel.size)
        whole = convnd(x, kernel, method="separable", workers=1, **options)
        close(whole, x, kernel, **options)
        with tuned("tiny", **SUMMED):
            same(convnd(x, kernel, method="separable", **options), whole)


@pytest.mark.parametrize("dtype", ["uint8", "uint64", "float32", ">f8", "float16", "complex64"])
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("shape, taps", [((70, 90), (13, 14)), ((3, 45, 53), (1, 8, 15)), ((9, 19, 41), (4, 9, 13))])
def test_symmetric_kernels_are_folded(summed, dtype, signs, shape, taps):
    """Even lines and odd ones of weights: to the last bit as `test_boxes_are_moving_sums` says."""

    def line(taps, sign):
        half = np.arange(1, taps // 2 + 1)
        middle = np.full(taps % 2, taps if sign > 0 else 0)
        return np.concatenate([half, middle, sign * half[::-1]])

    x, signs = integers(shape, dtype), (1, *signs)[-len(shape) :]
    kernel = outer(*map(line, taps, signs)).astype(np.int64 if x.dtype.kind == "u" else x.real.dtype)
    options = {"padding": "same", "boundary": "reflect"}
    check(x, kernel, method="separable", **options)
    check(x, kernel, method="separable", dilation=(1, *[2] * (x.ndim - 1)), **options)
    check(np.stack([x, x], -1), kernel, method="separable", axes=range(x.ndim), **options)
    if x.dtype.kind == "f" and x.dtype.itemsize > 2:
        x, kernel = reals(shape, dtype), kernel / kernel.dtype.type(7 * np.abs(kernel).sum())
        whole = convnd(x, kernel, method="separable", workers=1, **options)
        close(whole, x, kernel, **options)
        with tuned("tiny", **SUMMED):
            same(convnd(x, kernel, method="separable", **options), whole)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_sums_along_an_axis_keep_to_their_windows(summed, value):
    x, kernel = reals((60, 70), np.float32), np.full((13, 12), 1 / 156, np.float32)
    x[30, 31] = value
    agrees(x, kernel, "separable", padding="same")
    even, odd = np.abs(np.arange(-6, 7)) + 1.0, np.arange(-6, 7.0)
    for line, other in ((even, odd), (odd, even), (reals(13), odd)):
        agrees(x, np.outer(line, other).astype(np.float32) / 500, "separable", padding="same")


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("exponent", [0, 10, 30, 60])
def test_subnormal_samples_and_weights_are_transformed(repaired, tuning, dtype, exponent):
    """They were summed directly, in 1,500 times the time. Powers of two lift them, and results are rounded once."""
    real = np.finfo(dtype).dtype
    unit = np.ldexp(np.finfo(real).smallest_subnormal, exponent)
    for shape, taps in ((400,), (9,)), ((40, 50), (7, 6)), ((9, 20, 14), (4, 3, 5)):
        x, kernel = integers(shape, dtype, largest=60), integers(taps, dtype, seed=1)
        x.flat[1] = 0
        for options in {"padding": "same", "boundary": "wrap"}, {"padding": "full", "fill_value": 3 * float(unit)}:
            fill = {"fill_value": 3} if "fill_value" in options else {}
            expected = oracle.convnd(x, kernel, **{**options, **fill}) * unit
            result = convnd(x * unit, kernel, method="fft", **options)
            near(result, expected, bound(x, kernel, **fill) * unit + unit / TOLERANCE[dtype] / 2**exponent)
            result = convnd(x, kernel * unit, method="fft", **{**options, **fill})
            near(result, expected, bound(x, kernel, **fill) * unit + unit / TOLERANCE[dtype] / 2**exponent)
    assert not any(repaired)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("method", ["direct", "separable"])
@pytest.mark.parametrize("exponent", [0, 10, 30, 60])
def test_subnormal_samples_and_weights_are_summed_exactly(tuning, dtype, method, exponent):
    """Powers of two lift samples in tiles that hold some, and weights: also beside others, and NaN and infinity."""
    if method == "separable" and exponent == 0 and not IS_X86:
        pytest.skip("other processors do not say that tiles met them: what passes between is rounded")
    unit = np.ldexp(np.finfo(dtype).smallest_subnormal, exponent)
    for shape, taps in ((400,), (9,)), ((40, 50), (7, 6)), ((9, 20, 14), (4, 3, 5)):
        if method == "separable" and dtype in (np.complex64, np.complex128):
            continue
        x, kernel = integers(shape, dtype, largest=9), separable(taps, dtype)
        expected = oracle.convnd(x, kernel, padding="same", boundary="wrap")
        same(convnd(x * unit, kernel, method=method, padding="same", boundary="wrap"), expected * unit)
        same(convnd(x, kernel * unit, method=method, padding="same", boundary="wrap"), expected * unit)
        x[: len(x) // 2] *= unit
        x.flat[-1], x.flat[-3] = np.nan, np.inf
        x.flat[-5] = np.finfo(dtype).max / 4
        agrees(x, kernel, method, padding="same")
        agrees(x, kernel * unit, method, padding="same")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("taps", [(70, 5, 1), (70, 5, 3), (30, 4, 2)])
def test_filters_packed_by_tasks_give_the_same_bits(dtype, taps):
    """They are packed ahead for a plan, and once more where some weights are subnormal."""
    x, kernel = integers((5, 9), dtype), integers(taps, dtype)
    options = {"channel_axis": 0, "groups": 1 if taps[1] == 5 else 5, "method": "direct"}
    x = np.repeat(x, 4, axis=0) if taps[1] == 4 else x
    for few in [1] if dtype == np.int32 else [1, np.finfo(dtype).smallest_subnormal]:
        own = np.where(np.arange(kernel.size).reshape(kernel.shape) % 7 == 0, kernel * few, kernel).astype(dtype)
        with tuned("default", packed_once=1, serial_below=1):
            same(convnd(x, own, **options), plan(x, own, **options)(x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("small", ["samples", "weights"])
@pytest.mark.parametrize(
    "shape, taps, options", [((400,), (9,), {}), ((40, 50), (7, 6), {}), ((5, 20, 24), (4, 5, 3, 3), CHANNELS_FIRST)]
)
def test_subnormal_numbers_beside_others(tuning, dtype, small, shape, taps, options):
    """What is too large to be lifted is summed as it is, and the tasks of a tile share a window that is lifted."""
    options = {"padding": "same", "boundary": "wrap", **options}
    operands = {"samples": np.abs(integers(shape, dtype)), "weights": np.abs(integers(taps, dtype, seed=1))}
    given = operands[small]
    is_small = np.random.default_rng(2).random(given.shape) < 0.3

    def scaled(few, others, run, **method):
        own = {**operands, small: np.where(is_small, given * few, given * others)}
        return run(own["samples"], own["weights"], **method, **options)

    unit, of_few, of_others = (
        np.finfo(dtype).smallest_subnormal,
        scaled(1, 0, oracle.convnd),
        scaled(0, 1, oracle.convnd),
    )
    for exponent in 0, np.finfo(dtype).maxexp // 2, np.finfo(dtype).maxexp - 40:
        large = np.ldexp(dtype(1), exponent)
        exact = np.where(of_others == 0, of_few * unit, of_others * large)
        for method in "direct", "winograd":
            same(scaled(unit, large, convnd, method=method), exact)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "taps", "options"),
    [
        ((3, 20, 30), (512, 3, 3, 3), {"channel_axis": 0}),
        ((4, 6, 1, 6, 1), (1, 1, 1, 2, 1), {"upsample": 3, "padding": 2}),
    ],
)
def test_all_tasks_of_a_lifted_tile_read_its_window(dtype, shape, taps, options):
    x, kernel = integers(shape, dtype, largest=9), integers(taps, dtype, seed=1)
    unit, expected = np.finfo(dtype).tiny / 64, convnd(x, kernel, method="direct", **options)
    for own in (x * unit, kernel), (x, kernel * unit):
        same(convnd(*own, method="direct", **options), expected * unit)


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


@pytest.fixture
def repaired(monkeypatch):
    """Whether tiles were summed directly in another method's place, call by call."""
    calls, distinct = [], repair.distinct

    def recorded(tiles):
        calls.append(len(tiles) > 0)
        return distinct(tiles)

    monkeypatch.setattr(repair, "distinct", recorded)
    return calls


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_lines_of_passes_in_parts(boundary):
    """Passes read x in place between the ends of lines; infinite samples are summed directly in each part."""
    x, kernel = integers((200, 1500), np.float32), separable((3, 4), np.float32)
    options = {"padding": "same", "boundary": boundary, "method": "separable"}
    with tuned("default", part_cycles=0.0):
        assert "ends " in str(plan(x, kernel, **options))
        check(x, kernel, **options)
        x[..., [0, 30, -1], [0, 700, -1]] = np.inf
        agrees(x, kernel, "separable", padding="same", boundary=boundary)


@pytest.mark.parametrize("fill", [0, 1e30, np.inf, np.nan], ids=str)
@pytest.mark.parametrize("scale", [1.0, 1e30, 1e36], ids=str)
def test_whole_numbers_beside_large_weights_and_fills(tuning, scale, fill):
    """What passes write of small whole numbers is not looked at, but where weights or the fill value are large."""
    x = integers((40, 50), np.uint8)
    for weights in (1, 2, 5, 2, 1), np.ones(5):
        kernel = np.multiply.outer(np.array(weights, np.float32) * np.float32(scale), np.array(weights, np.float32))
        options = {"padding": "same", "fill_value": fill}
        actual, expected = (convnd(x, kernel, method=method, **options) for method in ("separable", "direct"))
        np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize(("value", "is_repaired"), [(np.nan, False), (np.inf, True)])
def test_nan_alone_passes_through_factors(repaired, tuning, value, is_repaired):
    """Tiles with NaN need no direct sums: 560 of them in an image took 23 times as long."""
    for shape, taps, padding in ((70, 80), (9, 8), "same"), ((30, 31, 33), (5, 4, 5), 0):
        x = reals(shape, np.float32)
        x.flat[:: x.size // 7] = value
        agrees(x, outer(*(reals(k, np.float32, seed=k) for k in taps)), "separable", padding=padding)
        assert set(repaired) == ({True} if is_repaired else set())  # of each part of the lines
        repaired.clear()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", ">i4", "int64", "float32"])
def test_weights_that_are_not_finite_meet_samples_of_every_type(dtype, value):
    x, kernel = integers((5, 47), dtype), integers((2, 3), np.float32, seed=1)
    kernel[1, 2] = value
    with np.errstate(all="ignore"):
        for method in ("direct", "fft"):
            same(convnd(x, kernel, method=method, padding="same"), oracle.convnd(x, kernel, padding="same"))


@pytest.mark.parametrize("marks", ["by sums along axes", "by transforms"])
@pytest.mark.parametrize("shape, taps", [((900,), (31,)), ((70, 80), (9, 8)), ((14, 15, 33), (5, 4, 5))])
def test_nan_all_over_is_not_summed_directly(monkeypatch, repaired, tuning, shape, taps, marks):
    """A call by transforms took 4.9 times as long where one of 16,000 samples was NaN."""
    monkeypatch.setattr(repair, "_SHORT", 10**6 if marks == "by sums along axes" else 0)
    monkeypatch.setattr(repair, "_FEW", 0)
    x, kernel = integers(shape, np.float32), integers(taps, np.float32, seed=1)
    x.flat[5 :: x.size // 3] = np.nan
    kinds = [  # of which each shape has another beside the same options
        lambda **options: check(x, kernel, method="fft", **options),
        lambda **options: check(np.stack([x, x[::-1]]), bank, method="fft", channel_axis=0, groups=2, **options),
        lambda **options: check(x[None], bank, method="fft", channel_axis=0, **options),
    ]
    bank = np.stack([kernel, kernel + 1])[:, None]
    for n, options in enumerate((
        {"padding": "full"}, {"padding": 3, "stride": 2, "dilation": 2}, {"dtype": ">f8"}, {"dtype": np.float16},
        {"dtype": np.int16}, *({"padding": "same", "boundary": boundary} for boundary in BOUNDARIES),
    )):  # fmt: skip
        kinds[(n + x.ndim) % 3](**options)
    complex_ = x * np.complex64(1 + 2j)
    complex_.imag[:2] = 1
    by_sums, by_fft = (convnd(complex_, kernel, method=method) for method in ("direct", "fft"))
    near(by_fft, by_sums, bound(complex_, kernel))
    assert repaired and not any(repaired)
    x.flat[7 :: x.size // 2] = -np.inf
    check(x, kernel, method="fft", padding="same", fill_value=np.nan)
    assert repaired[-1]


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


@pytest.mark.parametrize(
    "shape, taps", [((40, 3), (4, 2)), ((9, 40, 3), (3, 4, 2)), ((35, 33, 5), (2, 2, 3)), ((5, 3, 30, 2), (2, 1, 3, 2))]
)
def test_lines_lie_along_another_axis_than_a_short_last_one(tuning, shape, taps):
    kernel = outer(*(integers(k, seed=5 + a, largest=3) + 4 for a, k in enumerate(taps)))
    check(integers(shape, np.int16), kernel, method="separable", padding="same", boundary="edge")
    check(integers(shape, np.int16), kernel, method="separable", padding="full", dilation=2, stride=2)
    x = reals(shape, np.float32)
    for value in (np.inf, np.nan):
        x.flat[:: x.size // 3] = value
        agrees(x, kernel.astype(np.float32), "separable", padding="same")
    agrees(x, kernel.astype(np.float32), "separable", padding="same", nan_policy="omit")
    bank = np.stack([kernel, kernel[::-1], 2 * kernel])[:, None]
    along = {"channel_axis": 0, "axes": tuple(range(1, 1 + len(taps))), "padding": "same"}
    check(integers((1, *shape), np.int16), bank, method="separable", **along)


def test_rows_beyond_a_window_beside_one_of_a_stride(tuning):
    x, kernel = np.asfortranarray(integers((37, 5, 7), np.float64)), integers((1, 1, 2), np.int16)
    for boundary in ("constant", "wrap"):
        check(x, kernel, method="separable", padding="same", stride=(2, 1, 1), boundary=boundary)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("taps", [(2, 2), (5, 4), (3, 20), (3, 3, 3), (2, 2, 2), (4, 3, 2)])
def test_kernels_that_are_not_separable(taps, dtype):
    out = np.full((20,) * len(taps), 7, dtype)
    with pytest.raises(ValueError, match=r"'separable'.* short sum of outer products"):
        convnd(reals(out.shape, dtype), reals(taps, dtype), method="separable", padding="same", out=out)
    assert (out == 7).all()


def test_sums_over_channels_are_not_separable():
    with pytest.raises(ValueError, match="'separable' takes one input channel, but x has 3 along axis 0"):
        convnd(np.ones((3, 9)), np.ones((2, 3, 3)), method="separable", channel_axis=0)
    with pytest.raises(ValueError, match="'separable' needs a kernel that is a short sum"):
        convnd(
            np.ones((9, 9, 1)),
            np.stack([np.eye(3), np.ones((3, 3))], axis=-1)[:, :, None],
            method="separable",
            channel_axis=2,
        )


#: Along the axes of each filter: lines that several begin with, whole numbers.
BANKS = {
    "gradient": [(0, 1, 1), (1, 0, 1), (1, 1, 0)],
    "Hessian": [(2, 1, 1), (0, 0, 1), (0, 1, 0), (1, 2, 1), (1, 0, 0), (1, 1, 2)],
    "unlike": [(0, 1, 2), (2, 2, 2), (1, 0, 1)],
    "alike": [(1, 1, 1), (1, 1, 1), (-1, 1, 1), (1, 1, -1)],
    "one": [(0, 1, 2)],
}
LINES = np.array([[-1, -2, 0, 2, 1], [1, 4, 6, 4, 1], [1, 0, -2, 0, 1]])


def bank_of(name, rank):
    """Filters, in front of their axes, that are products of lines."""
    lines = [[np.sign(k) * LINES[abs(k)] if k else LINES[0] for k in own[:rank]] for own in BANKS[name]]
    return np.stack([outer(*own) for own in lines])


@pytest.mark.parametrize("name", BANKS)
@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("dtype", ["float32", "int16", "complex64"])
def test_a_bank_shares_passes(tuning, name, rank, dtype):
    bank = bank_of(name, rank).astype(np.int16 if dtype == "int16" else np.float32)
    x = integers((13, 21, 34)[-rank:], dtype, largest=9)
    spread = {"stride": 2, "dilation": (1, 2, 1)[-rank:], "padding": 4, "fill_value": 3}
    for options in {"padding": "same", "boundary": "reflect"}, spread:
        own = options | {"channel_axis": 0}
        found = convnd(x[None], bank[:, None], method="separable", **own)
        expected = oracle.convnd(x[None], bank[:, None], **own)
        if dtype == "int16":
            same(found, expected)
        np.testing.assert_allclose(found, expected, atol=1e-5 * 9 * 16**rank)
        own["channel_axis"] = -1
        last = np.moveaxis(bank, 0, -1)[..., None, :]
        same(convnd(x[..., None], last, method="separable", **own), np.moveaxis(found, 0, -1))


def test_a_bank_takes_a_batch_and_any_workers(tuning):
    bank, x = bank_of("Hessian", 2).astype(np.float32), reals((3, 1, 40, 50), np.float32)
    options = {"channel_axis": 1, "axes": (2, 3), "padding": "same", "method": "separable"}
    found = convnd(x, bank[:, None], **options)
    assert plan(x, bank[:, None], **options).method == "separable"
    for workers in 1, 2:
        same(np.concatenate([convnd(x[k : k + 1], bank[:, None], workers=workers, **options) for k in range(3)]), found)


def test_filters_of_groups_are_no_bank(tuning):
    bank, x = bank_of("Hessian", 2).astype(np.float32), integers((6, 40, 50), np.float32, largest=9)
    options = {"channel_axis": 0, "groups": 6, "padding": "same"}
    same(convnd(x, bank[:, None], **options), oracle.convnd(x, bank[:, None], **options))
    assert plan(np.empty((6, 900, 900), np.float32), np.ones((6, 1, 15, 15)), **options).method != "separable"


def test_filters_of_a_bank_may_be_sums(tuning):
    line = np.array([1, 4, 6, 4, 1.0])
    second = np.array([1, 0, -2, 0, 1.0])
    bank = np.stack([outer(line, second) + outer(second, line), outer(line, line), outer(second, second)])
    x = reals((40, 50))
    found = convnd(x[None], bank[:, None], channel_axis=0, padding="same", method="separable")
    np.testing.assert_allclose(found, oracle.convnd(x[None], bank[:, None], channel_axis=0, padding="same"), atol=1e-12)


def test_what_is_out_of_range_spreads_through_a_bank_as_it_does_through_a_filter(tuning):
    bank = bank_of("gradient", 2).astype(np.float32)
    for value in np.nan, np.inf, 3e38:
        x = integers((30, 50), np.float32)
        x[11, 17] = value
        options = {"padding": "same", "channel_axis": 0}
        found, expected = (convnd(x[None], bank[:, None], method=m, **options) for m in ("separable", "direct"))
        for kind in np.isnan, np.isposinf, np.isneginf:
            same(kind(found), kind(expected))
        normal = np.abs(expected) < 1e6
        np.testing.assert_allclose(found[normal], expected[normal], atol=1e-3)


def test_auto_takes_a_bank_apart():
    bank = np.stack([outer(*[np.hanning(11)] * 3), outer(np.hanning(11), np.arange(11.0), np.hanning(11))])[:, None]
    own = plan(np.empty((1, 60, 70, 80), np.float32), bank.astype(np.float32), channel_axis=0, padding="same")
    assert own.method == "separable" and own.flops == 2 * (1 + 2 + 2) * 11 * 60 * 70 * 80


@pytest.mark.parametrize("function", [convnd, plan])
def test_names_of_methods(function):
    for unknown in "fourier", "FFT", "":
        with pytest.raises(ValueError, match=f"method must be one of 'auto', .*'{unknown}'"):
            function(np.ones(9), np.ones(3), method=unknown)
    for wrong in None, 1, b"fft", ["fft"]:
        with pytest.raises(TypeError, match="method"):
            function(np.ones(9), np.ones(3), method=wrong)
