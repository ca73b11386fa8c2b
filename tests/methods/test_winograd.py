"""Winograd's minimal filtering: the oracle's values, an error beside the direct method's, the same bits however cut."""

import numpy as np
import pytest

from convnd import convnd, plan
from support import oracle
from support.check import integers, near, reals, same

FIRST = {"axes": (-2, -1), "channel_axis": -3, "convention": "correlation"}
LAST = {"axes": (-3, -2), "channel_axis": -1, "convention": "correlation"}
LINE = {"axes": (-1,), "channel_axis": -2, "convention": "correlation"}
VOLUME = {"axes": (-3, -2, -1), "channel_axis": -4, "convention": "correlation"}


def bound(x, kernel):
    """Sum |kernel| * max |x| of the filter that has most, of what is finite; the kernel is (C_out, C_in, *K)."""
    weights = (
        np.abs(np.where(np.isfinite(kernel), kernel, 0), dtype=np.float64).sum(axis=(*range(1, kernel.ndim),)).max()
    )
    return weights * np.abs(x, dtype=np.float64).max(where=np.isfinite(x), initial=0)


def check(x, kernel, expected, **options):
    """Winograd's method runs and gives `expected` within its tolerance; channels come first."""
    made = plan(x, kernel, method="winograd", **options)
    assert made.method == "winograd"
    result = convnd(x, kernel, method="winograd", **options)
    near(result, expected, bound(x, kernel))
    same(made(x), result)
    return result


# --- values -------------------------------------------------------------------------------------------------


#: Channels, axes, taps, and the axes' own options.
SHAPES = {
    "nine taps": (33, (40,), (9,), {}),
    "nine taps, shorter than a tile": (17, (9,), (9,), {}),
    "nine taps, many tiles": (32, (331,), (9,), {}),
    "a row of tiles for every three lines": (16, (7, 30), (3, 9), {}),
    "volumes": (9, (5, 11, 6), (3, 3, 3), {}),
    "deep volumes": (8, (29, 4, 5), (4, 3, 3), {}),
    "dilated between planes": (13, (9, 7, 18), (3, 3, 3), {"dilation": (4, 1, 1)}),
    "two axes beside a plane": (8, (4, 3, 5, 6), (2, 3, 3, 3), {"dilation": (1, 2, 1, 1)}),
}


SLOW = {"two axes beside a plane"}  # the oracle is, on four axes


@pytest.mark.parametrize("boundary", ["constant", "reflect", "wrap"])
@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in SHAPES])
def test_other_numbers_of_axes_against_the_oracle(tuning, case, boundary):
    channels, shape, taps, own = SHAPES[case]
    x, kernel = integers((2, channels, *shape), np.float32), integers((9, channels, *taps), np.float32, seed=1)
    rank = len(shape)
    options = {"axes": (*range(-rank, 0),), "channel_axis": -rank - 1, "boundary": boundary, "fill_value": 1, **own}
    last = {**options, "axes": (*range(-rank - 1, -1),), "channel_axis": -1}
    for padding in "same", [(3, 8), *[(9, 1)] * (rank - 1)]:
        expected = oracle.convnd(x, kernel, padding=padding, **options)
        check(x, kernel, expected, padding=padding, **options)
        turned = np.moveaxis(x, 1, -1).copy(), np.moveaxis(kernel, (0, 1), (-1, -2))
        result = convnd(*turned, padding=padding, method="winograd", **last)
        near(np.moveaxis(result, -1, 1), expected, bound(x, kernel))


def one_sum(x, kernel):
    """The products of every output added up one after the other, each rounded to float32 as it is added."""
    padded = np.pad(x, [(0, 0), *[(taps // 2, taps // 2) for taps in kernel.shape[2:]]]).astype(np.float64)
    total = np.zeros((len(kernel), *x.shape[1:]), np.float32)
    for channel, *tap in np.ndindex(*kernel.shape[1:]):
        samples = padded[(channel, *[slice(t, t + n) for t, n in zip(tap, x.shape[1:], strict=True)])]
        total = (total + np.multiply.outer(kernel[(slice(None), channel, *tap)], samples)).astype(np.float32)
    return total


@pytest.mark.parametrize("kind", ["normal", "positive"])
@pytest.mark.parametrize(
    "case", [(24, 3, 3), (32, 3, 3), (64, 3, 3), (100, 3, 3), (8, 3, 3, 3), (32, 3, 3, 3), (16, 9), (64, 9)], ids=str
)
def test_the_error_is_at_most_twice_that_of_one_sum(case, kind):
    """In root mean square, for every filter, and in the largest of a thousand outputs."""
    channels, *taps = case
    rng = np.random.default_rng(channels)
    draw = rng.standard_normal if kind == "normal" else rng.random
    shape = {1: (2500,), 2: (50, 50), 3: (14, 14, 14)}[len(taps)]
    x, kernel = (draw(own).astype(np.float32) for own in ((channels, *shape), (16, channels, *taps)))
    options = {"channel_axis": 0, "convention": "correlation", "padding": "same"}
    assert plan(x, kernel, method="winograd", **options).method == "winograd"
    exact = convnd(x.astype(np.float64), kernel.astype(np.float64), **options)
    found = {"winograd": convnd(x, kernel, method="winograd", **options), "one": one_sum(x, kernel)}
    error = {m: np.abs(result - exact) for m, result in found.items()}
    rms = {m: np.sqrt((e.reshape(16, -1) ** 2).mean(axis=1)) for m, e in error.items()}
    largest = {m: np.quantile(e, 0.999) for m, e in error.items()}
    assert (rms["winograd"] > 0).all() and (rms["winograd"] <= 2.1 * rms["one"]).all()
    assert rms["winograd"].mean() <= 2.05 * rms["one"].mean()  # 2.02 without fused multiply-adds, 1.9 with them
    assert largest["winograd"] <= 2 * largest["one"]


@pytest.mark.parametrize("case", [(64, 2, 6), (96, 3, 96), (66, 2, 34), (35, 1, 17), (32, 1, 1)], ids=str)
def test_channels_and_groups(tuning, case):
    channels, groups, filters = case
    x, kernel = (
        integers((channels, 9, 14), np.float32),
        integers((filters, channels // groups, 3, 3), np.float32, seed=1),
    )
    options = {"groups": groups, "padding": 1}
    expected = check(x, kernel, oracle.convnd(x, kernel, **FIRST, **options), **FIRST, **options)
    last = convnd(x.transpose(1, 2, 0).copy(), kernel.transpose(2, 3, 1, 0), method="winograd", **LAST, **options)
    near(last, expected.transpose(1, 2, 0), bound(x, kernel))


def test_one_filter_without_an_axis_of_its_own():
    x, kernel = integers((40, 9, 14), np.float32), integers((1, 40, 3, 3), np.float32, seed=1)
    one = convnd(x, kernel[0], method="winograd", **FIRST)
    same(one, convnd(x, kernel, method="winograd", **FIRST)[0])


@pytest.mark.parametrize("dtype", [np.float16, np.int16, np.uint8])
def test_types_of_samples_and_results(dtype):
    x, kernel = integers((32, 12, 17), dtype), integers((4, 32, 3, 3), np.float32, seed=1)
    options = {**FIRST, "padding": 1}
    check(x, kernel, oracle.convnd(x, kernel, **options), **options)
    result = convnd(x, kernel, method="winograd", dtype=dtype, **options)
    expected = oracle.convnd(x, kernel, dtype=dtype, **options)
    np.testing.assert_allclose(result.astype(float), expected.astype(float), rtol=2**-10, atol=1, strict=True)


# --- NaN, infinity, limits ----------------------------------------------------------------------------------


def agrees(x, kernel, **options):
    """NaN and infinities are where and what they are directly; other values within the tolerance."""
    by_sums = convnd(x, kernel, method="direct", **options)
    tiny = float(np.finfo(np.float32).smallest_subnormal) * kernel.size * 2**21
    near(convnd(x, kernel, method="winograd", **options), by_sums, 2 * bound(x, kernel) + tiny)


@pytest.mark.parametrize("boundary", ["constant", "reflect", "wrap"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_nan_and_infinity_reach_what_they_reach_directly(tuning, value, boundary):
    x, kernel = reals((2, 64, 37, 22), np.float32), reals((6, 32, 3, 3), np.float32, seed=1)
    kernel[0, :, 1] = 0  # zero weights touch, too
    for place in (0, 0, 0, 0), (1, 40, 20, 11), (1, 63, 36, 21):
        x[place] = value
        agrees(x, kernel, groups=2, padding=1, boundary=boundary, **FIRST)
    agrees(reals(x.shape, np.float32), kernel, groups=2, padding=2, fill_value=value, **FIRST)
    kernel[3, 5, 1, 2] = value
    agrees(reals(x.shape, np.float32), kernel, groups=2, padding=1, **FIRST)


@pytest.mark.parametrize("value", [np.nan, -np.inf], ids=str)
def test_nan_and_infinity_in_lines_and_volumes(tuning, value):
    x, kernel = reals((2, 20, 133), np.float32), reals((3, 20, 9), np.float32, seed=1)
    kernel[0, :, 1:5] = 0
    for place in (0, 0, 0), (1, 7, 50), (1, 19, 132):
        x[place] = value
        agrees(x, kernel, padding=4, **LINE)
    x, kernel = reals((2, 16, 9, 8, 17), np.float32), reals((4, 8, 3, 3, 3), np.float32, seed=1)
    kernel[0, :, 1] = 0
    for place in (0, 0, 0, 0, 0), (1, 15, 4, 7, 9), (1, 8, 8, 7, 16):
        x[place] = value
        agrees(x, kernel, groups=2, padding=1, boundary="wrap", **VOLUME)
    agrees(reals(x.shape, np.float32), kernel, groups=2, padding=2, fill_value=value, **VOLUME)


@pytest.mark.parametrize("size", [3e38, 7e36, 1e30, 1e-30, 1e-37, 1e-44], ids=str)
def test_magnitudes_near_the_limits_of_the_type(tuning, size):
    """What overflows is what overflows directly, and what is tiny keeps its digits."""
    x, kernel = np.clip(reals((32, 20, 24), np.float32), -1, 1), reals((4, 32, 3, 3), np.float32, seed=1) / 64
    half = x.copy()
    half[:, :9] *= np.float32(size)
    for samples, weights in (x * np.float32(size), kernel), (half, kernel), (x, kernel * np.float32(size)):
        with np.errstate(over="ignore"):
            agrees(samples, weights, padding=1, **FIRST)
    if size < 1:  # the product is of ordinary size
        agrees(x * np.float32(size), kernel * np.float32(1e-3 / size if size > 1e-40 else 1e35), padding=1, **FIRST)
    agrees(0 * x, kernel, padding=1, **FIRST)


def test_out_overlaps_the_kernel():
    """Which is read again where a tile is summed directly."""
    x, kernel = reals((40, 12, 12), np.float32), reals((9, 40, 3, 3), np.float32, seed=1)
    x[3, 4, 5] = np.inf
    expected = convnd(x, kernel, method="winograd", **FIRST)
    out = kernel.reshape(-1)[7 : 7 + expected.size].reshape(expected.shape)
    same(convnd(x, kernel, method="winograd", out=out, **FIRST), expected)


# --- bit for bit --------------------------------------------------------------------------------------------


SEVERAL = {
    "plane": ((30, 61), (3, 3), FIRST),
    "line": ((770,), (9,), LINE),
    "volume": ((13, 17, 22), (3, 3, 3), VOLUME),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_tiles_change_no_bit(tuned, case):
    shape, taps, options = SEVERAL[case]
    x, kernel = reals((2, 40, *shape), np.float32), reals((37, 40, *taps), np.float32, seed=1)
    results = []
    filters_inside = {"memory_bytes": 1000}  # which hold none of all boxes: each box transforms those that it uses
    for setting, changes in ("default", {}), ("tiny", {}), ("tiny", filters_inside):
        with tuned(setting, **changes):
            results.append(convnd(x, kernel, method="winograd", padding="same", **options))
            results.append(convnd(x, kernel, method="winograd", padding="same", workers=1, **options))
            alone = [convnd(item, kernel, method="winograd", padding="same", **options) for item in x]
            results.append(np.stack(alone))
    for result in results[1:]:
        same(result, results[0])


# --- what it is for -----------------------------------------------------------------------------------------


def test_auto_takes_it_for_many_channels():
    x, kernel = np.empty((4, 64, 60, 60), np.float32), reals((64, 64, 3, 3), np.float32)
    made = plan(x, kernel, padding=1, **FIRST)
    assert made.method == "winograd" and made.estimates["winograd"] < made.estimates["direct"]
    assert "winograd: least estimated time" in str(made) and "4 x 4" in str(made)
    assert made.flops < 0.3 * plan(x, kernel, padding=1, method="direct", **FIRST).flops
    few = plan(x[:1, :, :6, :6], kernel, padding=1, **FIRST)
    assert few.method == "direct"
    line = plan(x.reshape(4, 64, 3600), reals((64, 64, 9), np.float32), padding=4, **LINE)
    assert line.method == "winograd" and "3 x 4" in str(line) and "2.5 products" in str(line)
    volume = plan(x.reshape(4, 8, 8, 60, 60), reals((16, 8, 3, 3, 3), np.float32), padding=1, **VOLUME)
    assert volume.method == "winograd" and "4 x 4" in str(volume) and "2.25 products" in str(volume)
    for items, channels, n in ((2, 256, 14), (8, 512, 7)):  # small maps, whose filters leave the near caches
        own = np.empty((items, channels, n, n), np.float32), np.ones((channels, channels, 3, 3), np.float32)
        assert plan(*own, padding=1, **FIRST).method == "winograd"


NOT_FOR = {
    "doubles": (np.float64, (64, 20, 20), (8, 64, 3, 3), FIRST),
    "whole numbers": (np.int16, (64, 20, 20), (8, 64, 3, 3), FIRST),
    "complex numbers": (np.complex64, (64, 20, 20), (8, 64, 3, 3), FIRST),
    "few channels": (np.float32, (23, 20, 20), (8, 23, 3, 3), FIRST),
    "few channels of a line": (np.float32, (15, 200), (8, 15, 9), LINE),
    "few channels of a volume": (np.float32, (7, 6, 7, 8), (4, 7, 3, 3, 3), VOLUME),
    "depthwise": (np.float32, (64, 20, 20), (64, 1, 3, 3), {**FIRST, "groups": 64}),
    "strides": (np.float32, (64, 20, 20), (8, 64, 3, 3), {**FIRST, "stride": (1, 2)}),
    "dilation": (np.float32, (64, 20, 20), (8, 64, 3, 3), {**FIRST, "dilation": 2}),
    "other kernels": (np.float32, (64, 20, 20), (8, 64, 3, 5), FIRST),
    "strides between planes": (np.float32, (32, 6, 7, 8), (4, 32, 3, 3, 3), {**VOLUME, "stride": (2, 1, 1)}),
    "dilated lines": (np.float32, (64, 40), (8, 64, 9), {**LINE, "dilation": 2}),
    "lines": (np.float32, (64, 20), (8, 64, 3), LINE),
    "nine taps along another axis": (np.float32, (64, 20, 20), (8, 64, 9, 1), FIRST),
}


@pytest.mark.parametrize("case", NOT_FOR)
def test_what_it_hands_to_direct_summation(case):
    dtype, shape, taps, options = NOT_FOR[case]
    x, kernel = integers(shape, dtype), integers(taps, dtype, seed=1)
    made = plan(x, kernel, method="winograd", padding=1, **options)
    assert made.method == "direct" and "minimal filtering" in made.why
    same(made(x), convnd(x, kernel, method="direct", padding=1, **options))
    assert plan(x, kernel, padding=1, **options).method != "winograd"
