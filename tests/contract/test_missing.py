"""`nan_policy`: NaN in x is an error, or counts as missing."""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnd import convnd, plan
from support import oracle
from support.check import TOLERANCE, bound, integers, reals, same
from support.strategies import LAYOUTS, problems

LONG = {1: ((400,), (70,)), 2: ((60, 70), (17, 17))}  # that transforms do


def with_holes(x, share, seed=0):
    """A copy of x in the same layout, a share of whose samples are NaN, complex ones in either part or in both."""
    x, rng = x.copy(order="K"), np.random.default_rng(seed)
    holes = rng.random(x.shape) < share
    if x.dtype.kind == "c":
        part = rng.integers(3, size=x.shape)
        x.real[holes & (part != 1)] = np.nan
        x.imag[holes & (part != 0)] = np.nan
    else:
        x[holes] = np.nan
    return x


def check_omitting(x, kernel, **options):
    """The oracle's NaN, and its values within the dtype's tolerance of what the quotient of weights makes of errors."""
    own = {name: options[name] for name in options.keys() - {"out", "workers", "method"}}
    result = convnd(x, kernel, nan_policy="omit", **options)
    expected, larger = oracle.normalised(x, kernel, **own)
    assert result.shape == expected.shape
    same(np.isnan(result), np.isnan(expected))
    with np.errstate(all="ignore"):
        error = np.abs(result - expected) / larger
    assert np.nanmax(error, initial=0) <= 4 * TOLERANCE[result.dtype.type] * bound(np.nan_to_num(x), kernel, **own)
    return result


@pytest.mark.parametrize("method", ["auto", "direct", "fft", "separable"])
@pytest.mark.parametrize("rank", LONG)
def test_every_method_omits(tuning, method, rank):
    shape, taps = LONG[rank]
    for kernel in np.ones(taps), oracle_product(taps):
        x = with_holes(reals(shape, np.float32), 0.3)
        x[tuple(slice(n // 3, None) for n in shape)] = np.nan  # more than a window
        check_omitting(x, kernel.astype(np.float32), padding="same", boundary="symmetric", method=method)


def oracle_product(taps):
    """A kernel that is a product of tapering lines, with zeros among its weights."""
    kernel = np.ones(())
    for n in taps:
        kernel = np.multiply.outer(kernel, np.maximum(0, np.hanning(n + 2)[1:-1] - 0.3))
    return kernel


@pytest.mark.parametrize("channels_first", [True, False])
@pytest.mark.parametrize("in_channels, groups", [(2, 1), (4, 2), (26, 1)])
def test_channels_are_weighed_together(tuning, in_channels, groups, channels_first):
    x, kernel = reals((in_channels, 14, 30)), reals((6, in_channels // groups, 3, 3), seed=1)
    x, kernel = with_holes(x, 0.5).astype(np.float32), kernel.astype(np.float32)
    axis = 0
    if not channels_first:
        x, kernel, axis = np.moveaxis(x, 0, -1).copy(), kernel.transpose(2, 3, 1, 0).copy(), 2
    for method in "auto", "direct", "winograd", "fft":
        check_omitting(x, kernel, channel_axis=axis, groups=groups, padding=1, method=method)


def test_what_stands_outside_is_valid():
    same(convnd([np.nan], [1.0, 3, 1], padding=1, fill_value=2, nan_policy="omit"), np.array([4 * 5 / 2]))
    same(convnd([np.nan, 1], np.ones(3), padding=1, boundary="edge", nan_policy="omit"), np.array([3.0, 3]))


def test_zeros_between_samples_are_none():
    same(convnd([2.0, np.nan, 4], [0.5, 1, 0.5], upsample=2, nan_policy="omit"), np.array([2, np.nan, 4.0]))


def test_without_weight_there_is_nan():
    x = np.array([1.0, np.nan, 2, 3])
    same(convnd(x, [1.0, 0], nan_policy="omit", convention="correlation"), np.array([1, np.nan, 2]))
    same(convnd(x[2:], [0.0, 0], nan_policy="omit"), np.array([np.nan]))  # as the formula says, without NaN in x too
    bank = np.array([[[1.0, 1]], [[0, 0]]])
    same(convnd(x[None, 2:], bank, channel_axis=0, nan_policy="omit"), np.array([[5], [np.nan]]))
    same(convnd([1, 2], [0, 0], nan_policy="omit"), np.array([0]))  # whole numbers have no NaN


def test_infinities_are_samples():
    x = np.array([np.inf, np.nan, 1, 1, -np.inf, np.nan, np.inf])
    same(convnd(x, np.ones(3), nan_policy="omit"), np.array([np.inf, 3, -np.inf, -np.inf, np.nan]))


@pytest.mark.parametrize("method", ["auto", "direct", "separable", "fft"])
def test_without_nan_it_is_the_plain_result(method):
    x, kernel = reals((60, 70), np.float32), np.ones((17, 17), np.float32)
    for dtype in None, np.float64, np.int16:
        options = {"padding": "same", "boundary": "wrap", "method": method, "dtype": dtype}
        same(convnd(x, kernel, nan_policy="omit", **options), convnd(x, kernel, **options))


def test_windows_without_nan_have_the_plain_result(tuning):
    x, kernel = reals((60, 70), np.float32), reals((3, 4), np.float32, seed=1)
    holes = with_holes(x, 0.01)
    touched = np.isnan(convnd(holes, np.ones((3, 4)), padding="same"))
    result = convnd(holes, kernel, padding="same", nan_policy="omit", method="direct")
    same(result[~touched], convnd(x, kernel, padding="same", method="direct")[~touched])


@pytest.mark.parametrize("dtype", ["int16", "float16", "float64", "complex64", ">f4", "uint8"])
def test_other_types_of_results(dtype):
    x, kernel = with_holes(integers((20, 30), np.float32, largest=90), 0.3), np.ones((3, 3), np.float32)
    expected, _ = oracle.normalised(x, kernel)
    result = convnd(x, kernel, nan_policy="omit", dtype=dtype)
    if np.dtype(dtype).kind in "iu":  # where a rounding of the quotient decides, it may go either way
        exact = np.nan_to_num(np.clip(expected, np.iinfo(dtype).min, np.iinfo(dtype).max))
        assert np.abs(result - exact).max() <= 0.5 + 1e-4
    else:
        tolerance = 1e-3 if np.dtype(dtype) == np.float16 else 1e-5
        np.testing.assert_allclose(result.astype(np.complex128), expected.astype(np.complex128), rtol=tolerance)


def test_no_bit_depends_on_workers_or_the_rest_of_a_batch(tuning):
    x, kernel = with_holes(reals((3, 50, 60), np.float32), 0.2), reals((4, 3), np.float32, seed=1)
    for method in "direct", "fft", "separable":
        options = {"nan_policy": "omit", "padding": "same", "method": method}
        if method == "separable":
            options["axes"], kernel = (1, 2), oracle_product((4, 3)).astype(np.float32)
        items = [convnd(item, kernel, workers=1, **options | {"axes": (0, 1)}) for item in x]
        for workers in None, 2:
            same(convnd(x, kernel, workers=workers, **options | {"axes": (1, 2)}), np.stack(items))


@pytest.mark.parametrize("method", ["direct", "separable", "fft"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_weights_whose_sum_overflows(dtype, method):
    """Samples and weights are powers of two: all sums are exact."""
    large = np.ldexp(1.0, np.finfo(dtype).maxexp - 1)
    x = np.array([0.25, 0.125, 0.25, 0.5, np.nan, 0.25], dtype)
    kernel = np.array([large, large], dtype)
    wanted = [0.375, 0.375, 0.75, 1, 0.5]  # the last two twice what the one valid sample gives
    for own in {"nan_policy": "omit"}, {"mask": ~np.isnan(x)}:
        same(convnd(x, kernel, method=method, **own), (large * np.array(wanted)).astype(dtype))
    bank = np.stack([kernel, np.array([1, 1], dtype)])[:, None]  # each filter has its own weights
    found = convnd(x[None], bank, channel_axis=0, nan_policy="omit")
    same(found, np.stack([large * np.array(wanted), wanted]).astype(dtype))
    if np.dtype(dtype).kind == "c":  # whose sizes overflow
        found = convnd(x / 2, kernel * (1 + 1j), nan_policy="omit", method=method)
        np.testing.assert_allclose(found, (large * (0.5 + 0.5j) * np.array(wanted)).astype(dtype), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinite_weights_keep_windows_without_nan(dtype):
    x = np.array([1, 2, -3, 4, np.nan, 5, 6], dtype)
    for first, second in (np.inf, 1), (1, -np.inf), (np.inf, np.inf), (np.inf, 3e38):
        kernel = np.array([first, second], dtype)
        with np.errstate(all="ignore"):
            wanted = kernel[0] * x[1:] + kernel[1] * x[:-1]
        for own in {"nan_policy": "omit"}, {"mask": ~np.isnan(x)}:
            same(convnd(x, kernel, **own)[[0, 1, 2, 5]], wanted[[0, 1, 2, 5]])


@pytest.mark.parametrize("shape, taps, dtype, options", [
    ((4000, 3000), (3, 3), "float32", {"padding": "same", "boundary": "wrap"}),
    ((1500, 2000), (5, 5), "complex128", {"padding": "same", "dtype": "complex64"}),
    ((3, 2000, 2000), (9, 9), "float32", {"axes": (1, 2), "dtype": "int16"}),
    ((6_000_000,), (65,), "float64", {"stride": 2}),
    ((16, 500, 500), (32, 16, 3, 3), "float32", {"channel_axis": 0, "padding": "same"}),
    ((3, 3000, 3000), (3, 3, 3), "float32", {"padding": "same", "boundary": "reflect"}),
])  # fmt: skip
def test_memory_beside_the_arrays_is_bounded(shape, taps, dtype, options):
    x = np.zeros(shape, dtype)
    x.reshape(-1)[::1000] = np.nan
    kernel = reals(taps, np.float32)
    expected = convnd(x, kernel, nan_policy="omit", **options)
    tracemalloc.start()
    result = convnd(x, kernel, nan_policy="omit", **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - result.nbytes <= 64 * 2**20
    same(result, expected)


def test_plans_omit_and_refuse():
    x, kernel = with_holes(reals((40, 50)), 0.2), np.ones((3, 3))
    omit = plan(x, kernel, nan_policy="omit")
    for own in x, np.asfortranarray(x), np.ones_like(x):
        same(omit(own), convnd(own, kernel, nan_policy="omit"))
    with pytest.raises(ValueError, match="'omit'"):
        omit.adjoint(omit(x))
    with pytest.raises(ValueError, match="'omit'"):
        omit.kernel_gradient(x, omit(x))
    refuse = plan(x, kernel, nan_policy="raise")
    same(refuse(np.ones_like(x)), convnd(np.ones_like(x), kernel))
    with pytest.raises(ValueError, match="NaN"):
        refuse(x)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8", "complex64", ">c16"])
@pytest.mark.parametrize("shape", [(50,), (30, 40), (70_000,), (5, 130, 140)])
def test_raising_finds_nan_wherever_it_is(shape, dtype):
    rng, kernel = np.random.default_rng(0), np.ones((1,) * len(shape))
    for layout in "C", "F", "rolled", "reversed", "sliced", "misaligned":
        x = LAYOUTS[layout](integers(shape, dtype))
        place = tuple(int(rng.integers(n)) for n in shape)
        x[place] = np.inf
        convnd(x, kernel, nan_policy="raise")
        x[place] = complex(0, np.nan) if x.dtype.kind == "c" else np.nan
        out = np.full(shape, 7, np.complex64)
        with pytest.raises(ValueError, match=re.escape(str(place))):
            convnd(x, kernel, nan_policy="raise", out=out)
        assert (out == 7).all()


def test_raising_looks_at_x_alone():
    same(convnd([1.0, 2], [np.nan], nan_policy="raise"), np.full(2, np.nan))
    same(convnd([1, 2], [3], nan_policy="raise"), np.array([3, 6]))


@settings(max_examples=settings().max_examples // 4)
@given(problems(), st.sampled_from([0.0, 0.1, 0.6]))
def test_equals_the_oracle(tuned, problem, share):
    x, kernel, options = problem.make_floating()
    with tuned(problem.tuning):
        check_omitting(with_holes(x, share, problem.x.seed), kernel, **options)
