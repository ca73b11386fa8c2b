"""Zeros between samples, which are counted but never multiplied."""

import numpy as np
import pytest

from convnd import convnd, plan
from support.check import check, close, integers, reals, same
from support.oracle import BOUNDARIES
from support.strategies import outer


def test_single_samples_and_empty_batches(tuning):
    for boundary in BOUNDARIES:
        check(integers((1, 1)) + 3, integers((4, 7), seed=1), upsample=(3, 2), padding="full", boundary=boundary)
        check(integers(2) + 3, integers(1, seed=1), upsample=4, padding=((100, 3),), boundary=boundary)
    check(integers((0, 9)), integers(3, seed=1), axes=1, upsample=2, padding="full")


# --- identities ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upsample", [1, 2, 3, 7])
def test_a_box_repeats_samples(tuning, upsample):
    x = integers((5, 8), np.int16)
    expected = x.repeat(upsample, axis=0).repeat(upsample, axis=1).astype(np.int64)
    same(convnd(x, np.ones((upsample, upsample), np.int16), upsample=upsample, padding="full"), expected)


@pytest.mark.parametrize("upsample", [1, 2, 5])
def test_stride_and_dilation_undo_it(tuning, upsample):
    x, kernel = reals((9, 40), np.float32), reals((3, 6), np.float32, seed=1)
    expected = convnd(x, kernel, method="direct")
    same(convnd(x, kernel, upsample=upsample, stride=upsample, dilation=upsample), expected)


# --- zeros are not multiplied -------------------------------------------------------------------------------


def test_outputs_without_a_tap_on_a_sample_are_zero(tuning):
    """Whatever the samples and the weights are."""
    x, kernel = np.full((4, 6), np.inf, np.float32), np.full((2, 3), np.nan, np.float32)
    y = convnd(x, kernel, upsample=5, padding="full", boundary="wrap")
    expected = np.zeros(y.shape, np.float32)
    for row, column in np.ndindex(*kernel.shape):
        expected[row::5, column::5] = np.nan
    same(y, expected)


# --- methods, and bits --------------------------------------------------------------------------------------


def test_methods_hand_over(tuning):
    x, line = integers((20, 30), np.float32), np.array([1, 2, 3, 1], np.float32)
    options = {"upsample": (2, 3), "stride": 2, "padding": "same"}
    expected = check(x, outer(line, line), method="direct", **options)
    for method in "auto", "separable", "fft":
        same(plan(x, outer(line, line), method=method, **options)(x), expected)
        same(convnd(x, outer(line, line), method=method, **options), expected)
    with pytest.raises(ValueError, match=r"'separable'.* short sum of outer products"):
        convnd(x, reals((4, 4), np.float32), method="separable", **options)


REAL_VALUED = {
    "resampling": ((3, 4001), (301,), {"axes": (1,), "upsample": 7, "stride": 5}),
    "2-D": ((3, 61, 67), (5, 4), {"axes": (1, 2), "upsample": (2, 3)}),
    "channels": ((3, 6, 23, 37), (9, 6, 4, 4), {"axes": (2, 3), "channel_axis": 1, "upsample": 2}),
    "channels last": ((3, 23, 37, 6), (3, 3, 3, 4), {"axes": (1, 2), "channel_axis": 3, "groups": 2, "upsample": 3}),
}


@pytest.mark.parametrize("problem", REAL_VALUED)
def test_no_bit_depends_on_workers_tiles_or_the_rest_of_a_batch(tuned, problem):
    shape, taps, options = REAL_VALUED[problem]
    options = {"padding": "same", "boundary": "reflect", **options}
    x, kernel = reals(shape, np.float32), reals(taps, np.float32, seed=1)
    one = convnd(x, kernel, workers=1, **options)
    close(one, x, kernel, **options)
    for workers in 2, 3, None:
        same(convnd(x, kernel, workers=workers, **options), one)
    with tuned("tiny"):
        same(convnd(x, kernel, **options), one)
    options["axes"] = tuple(a - 1 for a in options["axes"])  # an item has no batch axis before the others
    if "channel_axis" in options:
        options["channel_axis"] -= 1
    for item, expected in zip(x, one):
        same(convnd(item, kernel, **options), expected)
