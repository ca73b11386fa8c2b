"""Zeros between samples, which are counted but never multiplied."""

import numpy as np
import pytest

from convnd import convnd, plan
from support.check import check, close, integers, reals, same
from support.oracle import BOUNDARIES
from support.strategies import outer

SHAPES = {1: (37,), 2: (9, 11), 3: (5, 4, 7)}
TAPS = {1: (7,), 2: (4, 5), 3: (3, 2, 4)}
PADDINGS = ["valid", "same", "full", 3, ((0, 5), (7, 1), (2, 0)), ((90, 0), (1, 40), (0, 9))]
# upsample, stride, dilation: alone, and with and without common factors; some branches have no taps, some no outputs.
STEPS = [(2, 1, 1), (3, 2, 1), (2, 2, 1), (4, 6, 1), (3, 1, 2), (6, 1, 4), (6, 4, 9), (2, 2, 2), (5, 50, 1), (40, 1, 1)]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("rank", SHAPES)
def test_against_the_oracle(tuning, rank, boundary):
    x, kernel = integers(SHAPES[rank], np.float32), integers(TAPS[rank], np.float32, seed=1)
    for n, (upsample, stride, dilation) in enumerate(STEPS[: 10 if rank < 3 else 8]):
        padding = PADDINGS[(n + rank) % len(PADDINGS)]
        if padding == "valid" and dilation > upsample:
            padding = "same"
        options = {"padding": padding[:rank] if isinstance(padding, tuple) else padding, "boundary": boundary}
        if boundary == "constant":
            options["fill_value"] = 3
        convention = ["convolution", "correlation"][n % 2]
        check(x, kernel, upsample=upsample, stride=stride, dilation=dilation, convention=convention, **options)


@pytest.mark.parametrize("upsample", [(2, 1, 1), (1, 3, 1), (1, 1, 4), (2, 3, 4), (1, 5, 2)])
def test_each_axis_its_own(tuning, upsample):
    x, kernel = integers((5, 6, 7)), integers((3, 4, 3), seed=1)
    check(x, kernel, upsample=upsample, padding="same", boundary="wrap")
    check(x, kernel, upsample=upsample, stride=(3, 2, 2), dilation=(1, 2, 2), axes=(2, 0, 1), padding=(4, 7, 3))
    check(x, kernel[0], upsample=upsample[:2], axes=(2, 0), padding="full", boundary="symmetric")  # among batch axes
    check(x, kernel[0, 0], upsample=upsample[0], padding="full")


CHANNELS = {  # c_in, groups, c_out (None: one filter)
    "one filter": (4, 1, None),
    "bank": (3, 1, 5),
    "groups": (6, 2, 4),
    "depthwise": (5, 5, 5),
}


@pytest.mark.parametrize("case", CHANNELS)
@pytest.mark.parametrize("at", [0, -1])
@pytest.mark.parametrize("rank", [1, 2])
def test_channels(tuning, rank, at, case):
    c_in, groups, c_out = CHANNELS[case]
    filters, within = [] if c_out is None else [c_out], c_in // groups
    shape = [c_in, *SHAPES[rank]] if at == 0 else [*SHAPES[rank], c_in]
    taps = [*filters, within, *TAPS[rank]] if at == 0 else [*TAPS[rank], within, *filters]
    for dtype in np.float32, np.int8, np.complex64:
        x, kernel = integers(shape, dtype), integers(taps, dtype, seed=1)
        options = {"channel_axis": at, "groups": groups, "upsample": (3, 2)[:rank]}
        check(x, kernel, padding="full", stride=(1, 2)[:rank], boundary="edge", **options)
    options |= {"channel_axis": at % (rank + 1) + 1, "axes": [a + 1 for a in range(rank + 1) if a != at % (rank + 1)]}
    check(np.stack([x, 2 * x]), kernel, padding=2, **options)


@pytest.mark.parametrize("kernel", ["bool", "int8", "uint64", "float16", "float32", "complex64"])
@pytest.mark.parametrize("x", ["uint8", "int64", "float32", "float64", "complex64"])
def test_types(x, kernel):
    options = {"upsample": (2, 3), "padding": "same", "boundary": "constant", "fill_value": 2}
    check(integers((6, 7), x), integers((3, 4), kernel, seed=1), **options)
    for dtype in "int16", "float64":
        if "c" not in {np.dtype(x).kind, np.dtype(kernel).kind}:
            check(integers((6, 7), x), integers((3, 4), kernel, seed=1), dtype=dtype, **options)


def test_single_samples_and_empty_batches(tuning):
    for boundary in BOUNDARIES:
        check(integers((1, 1)) + 3, integers((4, 7), seed=1), upsample=(3, 2), padding="full", boundary=boundary)
        check(integers(2) + 3, integers(1, seed=1), upsample=4, padding=((100, 3),), boundary=boundary)
    check(integers((0, 9)), integers(3, seed=1), upsample=2, padding="full")


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


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("method", ["auto", "direct", "separable", "fft"])
def test_nan_and_infinity_reach_the_outputs_with_a_tap_on_them(tuning, method, bad):
    kernel = outer([1, 0, 2, 3], [2, 1, 1]).astype(np.float32)  # a weight of zero touches as well
    for place in (0, 0), (3, 4), (6, 7):
        x = integers((7, 8), np.float32)
        x[place] = bad
        for upsample, stride, dilation in ((2, 3), 1, 1), (3, 2, 2), (4, 6, 3):
            options = {"upsample": upsample, "stride": stride, "dilation": dilation, "padding": "full"}
            check(x, kernel, method=method, boundary="reflect", **options)
            check(integers((7, 8), np.float32), kernel, method=method, fill_value=bad, **options)


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
    "resampling": ((3, 4001), (301,), {"upsample": 7, "stride": 5}),
    "2-D": ((3, 61, 67), (5, 4), {"upsample": (2, 3)}),
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
    if "axes" in options:  # an item has no batch axis before the others
        axes, channel = tuple(a - 1 for a in options["axes"]), options["channel_axis"] - 1
        options = {**options, "axes": axes, "channel_axis": channel}
    for item, expected in zip(x, one):
        same(convnd(item, kernel, **options), expected)
