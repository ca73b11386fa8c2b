"""The parts of the FFT method: the order of frequencies, the twiddles, the lengths, and passes there and back."""

from math import prod

import numpy as np
import pytest

from convnd import convnd, plan
from convnd.jit.transforms.radices import RADICES, factors, fast_length, frequencies, twiddle_table
from convnd.methods.tiling.taps import window
from convnd.problem.axis import Axis
from support.check import TOLERANCE, bound, close, integers, reals, same

LENGTHS = [n for n in range(2, 600) if factors(n)]
SMOOTH = [2**a * 3**b * 5**c for a in range(8) for b in range(4) for c in range(3) if 1 < 2**a * 3**b * 5**c <= 400]


# --- factors, frequencies, twiddles -------------------------------------------------------------------------


def test_factors_are_radices_whose_product_is_the_length():
    for n in SMOOTH:
        assert prod(factors(n)) == n
        assert set(factors(n)) <= set(RADICES)
    assert sorted(n for n in range(2, 600) if not factors_left(n)) == LENGTHS
    assert factors(1) == factors(7) == factors(14) == ()


def factors_left(n):
    """What 2, 3 and 5 leave of a number, but for one."""
    for p in 2, 3, 5:
        while n % p == 0:
            n //= p
    return n > 1


def test_frequencies_are_a_permutation():
    for n in LENGTHS:
        same(np.sort(frequencies(n)), np.arange(n))


def test_passes_as_matrices_give_the_frequencies_in_their_order():
    """Decimation in frequency, written down literally with the tables that the passes read."""
    for n in LENGTHS:
        if n > 200:
            break
        line = reals(n, np.complex128, seed=n)
        found, span = line.reshape(1, n), n
        for radix in factors(n):
            span //= radix
            dft = np.exp(-2j * np.pi * np.outer(np.arange(radix), np.arange(radix)) / radix)
            pairs = twiddle_table(radix, span, "float64")
            twiddles = np.concatenate([np.ones((span, 1)), pairs[..., 0] + 1j * pairs[..., 1]], axis=1)
            found = np.einsum("sr,brj,js->bsj", dft, found.reshape(-1, radix, span), twiddles).reshape(-1, span)
        np.testing.assert_allclose(found.ravel(), np.fft.fft(line)[frequencies(n)], rtol=0, atol=1e-12 * n)


def test_the_first_pass_of_a_folded_line_shifts_frequencies_by_a_quarter():
    """The halves of a real line, as real and imaginary parts, become its sums at ``exp(-2 pi i (k - 1/4) / n)``."""
    for n in [n for n in LENGTHS if n <= 60]:
        line = reals(2 * n, np.float64, seed=n)
        radix, *_ = factors(n)
        span = n // radix
        p, pairs = np.arange(radix), twiddle_table(radix, span, "float64", folded=True)
        shifts, twiddles = np.split(pairs @ [1, 1j], [radix], axis=1)
        twiddles = np.concatenate([np.ones((span, 1)), twiddles], axis=1)
        dft = np.exp(-2j * np.pi * np.outer(p, p) / radix)
        found = np.einsum("sp,pj,jp,js->sj", dft, (line[:n] + 1j * line[n:]).reshape(radix, span), shifts, twiddles)
        found = np.fft.fft(found, axis=1).T.ravel()
        expected = [line @ np.exp(-2j * np.pi * (k - 0.25) * np.arange(2 * n) / n) for k in range(n)]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * n)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("radix, span", [(2, 1), (3, 4), (4, 16), (5, 125), (8, 1000)])
def test_twiddles(radix, span, dtype):
    table = twiddle_table(radix, span, dtype)
    assert table.shape == (span, radix - 1, 2) and table.dtype == dtype
    turns = np.outer(np.arange(span), np.arange(1, radix)).astype(np.longdouble) / (radix * span)
    angle = -2 * np.arccos(np.longdouble(-1)) * turns
    for part, expected in enumerate((np.cos(angle), np.sin(angle))):
        assert np.abs(table[..., part] - expected).max() <= np.finfo(dtype).eps / 4 + 2**-53


def test_fast_lengths():
    for least in [*range(1, 400), 1021, 65_537, 1_000_003]:
        for multiple in 1, 256:
            length = fast_length(least, multiple)
            assert length >= least and length % multiple == 0 and not factors_left(length // multiple)
    assert [fast_length(n) for n in (1, 7, 11, 31, 97, 1000, 1001)] == [1, 8, 12, 32, 100, 1000, 1024]
    assert fast_length(257, 256) == 512


# --- windows ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4, 6])
def test_windows(stride, dilation):
    """Every tap finds its sample; runs, places, lengths, first positions and steps, are the positions."""
    for taps in 1, 2, 5, 9:
        for outputs in 1, 2, 7, 30:
            own = window(Axis(1000, taps, stride, dilation), outputs)
            for tap, place in enumerate(own.places):
                expected = dilation * tap + stride * np.arange(outputs)
                same(own.positions[place : place + outputs], expected)
            written = np.full(len(own.positions), -1)
            for place, count, first, step in own.runs:
                assert count > 0
                written[place : place + count] = first + step * np.arange(count)
            same(written, own.positions)


# --- there and back -----------------------------------------------------------------------------------------


def circular(x, kernel):
    """Circular convolution along every axis, by `numpy.fft` in its widest type."""
    wide = np.clongdouble if "c" in (x.dtype.kind, kernel.dtype.kind) else np.longdouble
    spectrum = np.fft.fftn(x.astype(wide)) * np.fft.fftn(kernel.astype(wide), x.shape, axes=range(x.ndim))
    back = np.fft.ifftn(spectrum)
    return back if wide is np.clongdouble else back.real


def check_circular(shape, taps, dtype):
    x, kernel = reals(shape, dtype), reals(taps, dtype, seed=1)
    options = {"padding": [(k - 1, 0) for k in taps], "boundary": "wrap"}
    assert plan(x, kernel, method="fft", **options).method == "fft"
    error = np.abs(convnd(x, kernel, method="fft", **options) - circular(x, kernel)).max()
    assert error <= TOLERANCE[np.dtype(dtype).type] * bound(x, kernel)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
def test_lines_of_every_smooth_length(dtype):
    """A row of every length beside one of three, so that the transforms along the first axis take them all."""
    for n in SMOOTH:
        if n > 3:
            check_circular((n, 6), (3, 2), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [256, 257, 769, 1000, 1001, 4093, 10_007, 65_536, 100_003])
def test_long_lines(tuning, n, dtype):
    for taps in 2, 31, min(n, 700):
        check_circular((n,), (taps,), dtype)


@pytest.mark.parametrize("options", [{}, {"fill_value": 3}, {"boundary": "reflect"}], ids=str)
@pytest.mark.parametrize("padding", ["full", "same", 3])
@pytest.mark.parametrize(
    "shape, taps", [((300,), (300,)), ((30, 23), (30, 23)), ((9, 8, 11), (9, 8, 11)), ((5, 40), (9, 4))]
)
def test_a_transform_goes_round_where_zeros_are(shape, taps, padding, options):
    """Operands of one size: the transform is shorter than the window, whose ends are the same zeros."""
    padding = [(2 * k, k) for k in taps] if padding == 3 else padding
    x, kernel = integers(shape, np.float64), integers(taps, np.float64, seed=1)
    by_fft, direct = (plan(x, kernel, method=method, padding=padding, **options) for method in ("fft", "direct"))
    assert by_fft.method == "fft"
    y = direct(x)
    same(np.rint(by_fft(x)), y)
    same(np.rint(by_fft.adjoint(y)), direct.adjoint(y))
    same(np.rint(by_fft.kernel_gradient(x, y)), direct.kernel_gradient(x, y))


def test_operands_of_one_size_are_one_transform_of_the_result():
    text = str(plan(np.empty((37, 37)), np.ones((37, 37)), padding="full", method="fft"))
    assert "(73, 73) outputs, transforms of 40 x 75 complex samples" in text


def test_errors_in_double_are_as_small_for_it_as_those_in_single_precision():
    """Twiddles and constants are rounded once: as cosines of angles between 0 and 2 pi they made it 1.45 times."""
    ratios = []
    for shape, taps in ((20_000,), (1000,)), ((200, 200), (31, 31)), ((40, 40, 40), (11, 11, 11)), ((5, 5**4), (3, 9)):
        errors = []
        for dtype in np.float32, np.float64:
            x, kernel = reals(shape, dtype), reals(taps, dtype, seed=1)
            y = convnd(x, kernel, method="fft", padding=[(k - 1, 0) for k in taps], boundary="wrap")
            errors.append(float(np.sqrt(((y - circular(x, kernel)) ** 2).mean()) / np.finfo(dtype).eps))
        ratios.append(errors[1] / errors[0])
    assert prod(ratios) ** (1 / len(ratios)) < 1.2


@pytest.mark.parametrize("seed", range(40))
def test_random_shapes(tuning, seed):
    rng = np.random.default_rng(seed)
    rank = seed % 4 + 1
    shape = rng.integers(2, [600, 60, 20, 9][rank - 1], size=rank)
    taps = [rng.integers(2, n, endpoint=True) for n in shape]
    check_circular(tuple(shape), taps, [np.float32, np.float64, np.complex64][seed % 3])


@pytest.mark.parametrize("lanes", [(np.float32, np.uint8), (np.float64, np.int16)], ids=["float32", "float64"])
def test_a_single_sample_is_the_kernel_wherever_it_is(lanes):
    """Transforms of one sample have every frequency alike: a wrong twiddle or place shows anywhere."""
    for dtype in lanes:
        kernel = integers((5, 6), dtype, seed=1)
        for at in [(0, 0), (0, 22), (18, 0), (9, 11), (18, 22)]:
            x = np.zeros((19, 23), dtype)
            x[at] = 3
            y = convnd(x, kernel, method="fft", padding="full")
            expected = np.zeros_like(y)
            expected[at[0] : at[0] + 5, at[1] : at[1] + 6] = 3 * kernel.astype(y.dtype)
            np.testing.assert_allclose(y, expected, rtol=0, atol=0 if y.dtype.kind == "i" else 1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize(
    "shape, taps, axes",
    [
        ((700, 2), (90, 2), None),
        ((700, 5), (90, 3), None),
        ((3, 400, 2), (60, 2), (1, 2)),
        ((300, 3, 2), (40, 2, 1), None),
    ],
)
def test_a_short_last_axis_changes_places_with_a_long_one(tuning, shape, taps, axes, dtype):
    """Rows of two samples would be as many as there are vectors of them: 38 GiB for 200,000 x 2 by 20,000 x 2."""
    x, kernel = reals(shape, dtype), reals(taps, dtype, seed=1)
    for options in {"padding": "full"}, {"padding": "same", "boundary": "reflect"}:
        by_fft, direct = (plan(x, kernel, axes=axes, method=method, **options) for method in ("fft", "direct"))
        assert by_fft.method == "fft"
        allowed = 100 * TOLERANCE[by_fft.dtype.type] * bound(x, kernel, axes=axes, **options)
        y = direct(x)
        assert (np.abs(by_fft(x) - y) <= allowed).all()
        for ours, theirs in (by_fft.adjoint(y), direct.adjoint(y)), (
            by_fft.kernel_gradient(x, y), direct.kernel_gradient(x, y),
        ):  # fmt: skip
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=100 * TOLERANCE[y.dtype.type] * np.abs(theirs).sum())


@pytest.mark.parametrize(
    "shape, taps",
    [((200_000, 2), (20_000, 2)), ((60_000, 2), (9000, 2)), ((100_000, 64), (1001, 5)), ((300, 300), (60, 60))],
)
def test_transforms_take_the_memory_that_was_counted(shape, taps):
    made = plan(np.empty(shape, np.float32), reals(taps, np.float32), method="fft")
    assert made.method == "fft"
    assert made.scratch_bytes <= 64 * 2**20


def test_the_reason_for_no_transform_is_the_true_one():
    x = np.empty((20, 30), np.float32)
    assert plan(x, np.ones((1, 1), np.float32), method="fft").why == "there is no extent to transform"
    many = np.ones((9000, 1, 3), np.float32)
    assert "memory" in plan(x, many.repeat(20, 1), channel_axis=0, method="fft").why


@pytest.mark.parametrize("boundary", ["constant", "edge", "wrap"])
@pytest.mark.parametrize("padding", [0, ((0, 0), (0, 1)), ((1, 0), (2, 1))])
@pytest.mark.parametrize("shape", [(2, 1), (2, 3), (3, 3), (4, 2)])
def test_windows_of_two_samples(tuning, shape, padding, boundary):
    """They are folded into one, of which there would be no transform."""
    x, kernel = reals(shape, np.float64), reals((2, 1), np.float64, 1)
    for stride in (1, 2):
        options = {"padding": padding, "boundary": boundary, "stride": stride}
        close(convnd(x, kernel, method="fft", **options), x, kernel, **options)


def test_planes_that_share_weights_and_have_fill_values_of_their_own(tuning):
    x, kernel = reals((29, 2), np.complex64), reals((10, 3), np.float32, 1)
    for stride in (1, 2):
        options = {"padding": "same", "stride": (stride, 1), "fill_value": 3, "convention": "correlation"}
        close(convnd(x, kernel, method="fft", **options), x, kernel, **options)
