"""Indices are 64-bit: axes, pads, strides and dilations beyond 2^31, with results small enough to look at."""

import os

import numpy as np
import pytest

from convnd import convnd, plan
from support.check import integers, reals, same

METHODS = ["direct", "separable", "fft"]
BOUNDARIES = ["constant", "edge", "reflect", "symmetric", "wrap"]
BEYOND = 2**31 + 12345


def supplied(i, n, boundary):
    """The position that supplies position `i` of `n` samples, as `numpy.pad` does; None for the fill value."""
    if 0 <= i < n or boundary == "constant":
        return i if 0 <= i < n else None
    if boundary == "edge":
        return min(max(i, 0), n - 1)
    if boundary == "wrap":
        return i % n
    period, beyond = (2 * n, 1) if boundary == "symmetric" else (2 * n - 2, 0)
    return min(i % period, period - beyond - i % period)


def at(place, x, kernel, before, stride, dilation, boundary="constant", fill=0):
    """One output of a correlation, by the formula."""
    total = 0
    for t in np.ndindex(*kernel.shape):
        position = [s * o + d * k - b for s, o, d, k, b in zip(stride, place, dilation, t, before)]
        source = [supplied(i, n, boundary) for i, n in zip(position, x.shape)]
        total += kernel[t] * (fill if None in source else x[tuple(source)])
    return total


def check_some(x, kernel, padding=None, stride=None, dilation=None, method="auto", **options):
    """Compare up to 30 outputs, the outermost among them, of a correlation of whole numbers with the formula."""
    ones = (1,) * kernel.ndim
    padding, stride, dilation = padding or ((0, 0),) * kernel.ndim, stride or ones, dilation or ones
    y = convnd(
        x, kernel, padding=padding, stride=stride, dilation=dilation, method=method, convention="correlation",
        **({"fill_value": 3} if options.get("boundary", "constant") == "constant" else {}), **options,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    places = [(0,) * y.ndim, tuple(n - 1 for n in y.shape), *(tuple(rng.integers(y.shape)) for _ in range(28))]
    for place in places:
        wanted = at(tuple(map(int, place)), x, kernel, [b for b, _ in padding], stride, dilation, fill=3, **options)
        assert abs(y[place] - wanted) <= (0 if method == "direct" else 1e-9)
    return y


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_pads_and_strides_beyond_2_31(boundary, method):
    line, image = integers(9), integers((8, 9))
    few, square = integers(3, seed=1), np.multiply.outer(integers(3, seed=2), integers(2, seed=3))
    for big, step in (2**33, 2**31 + 1), (2**40 + 3, 2**38 - 7), (2**53 - 9, 2**52):
        check_some(line, few, ((big, big),), (step,), method=method, boundary=boundary)
        check_some(image, square, ((big, 1), (0, 2)), (step, 1), method=method, boundary=boundary)
        check_some(image, square, ((1, 0), (2, big)), (1, step), method=method, boundary=boundary)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_dilations_beyond_2_31(boundary, method):
    for dilation in 2**31 + 5, 2**50:
        half = (dilation, dilation)
        check_some(integers(9), integers(3, seed=1), (half,), dilation=(dilation,), method=method, boundary=boundary)
        square = np.ones((3, 2))
        options = {"padding": (half, (1, 0)), "dilation": (dilation, 1), "method": method, "boundary": boundary}
        check_some(integers((8, 9)), square, **options)


def test_rows_far_apart_whose_bytes_pass_2_63():
    """Each row is 80 kB long: addresses of rows that so large a stride reaches would not fit into 64 bits."""
    x, kernel = integers((3, 3, 20000), np.float32), integers((2, 1), np.float32, seed=1)
    padding, stride = ((13835058055282080, 0), (0, 0)), (115292150460684, 1)
    y = convnd(x, kernel, axes=(1, 2), padding=padding, stride=stride, convention="correlation", method="direct")
    assert y.shape == (3, 121, 20000)
    assert not y[:, :-1].any() and (y[:, -1] == kernel[0] * x[:, 0] + kernel[1] * x[:, 1]).all()


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 6])
def test_an_output_alone_has_its_bits(stride):
    """It sums its taps in the order of its stride, by which a block of a longer array knows it."""
    x, kernel = reals((23, 67), np.float32), reals((5, 4), np.float32, seed=1)
    whole = convnd(x, kernel, stride=stride, method="direct")
    same(convnd(x[:5], kernel, stride=stride, method="direct"), whole[:1])
    same(convnd(x[:, :4], kernel, stride=stride, method="direct"), whole[:, :1])


@pytest.mark.parametrize("method", METHODS)
def test_the_dilation_of_one_tap_and_the_stride_of_one_output_mean_nothing(method):
    x, far = integers((5, 6)), 4696799040205741
    same(convnd(x, np.array([[3]]), dilation=(far, 1), method=method), 3 * x)
    same(convnd(x, np.array([[3]]), stride=(far, 1), method=method), 3 * x[:1])
    made = plan(x.astype(float), np.array([[3.0]]), dilation=(far, 1), method=method)
    same(made.adjoint(x), 3.0 * x)
    same(made.kernel_gradient(x, x), np.array([[(x * x).sum()]], float))


@pytest.mark.parametrize("method", [*METHODS, "auto"])
def test_axes_beyond_2_31(method):
    """Of a view that repeats few samples: 2^33 along an axis, 2^40 in all."""
    square = np.multiply.outer(integers(2, seed=2), integers(3, seed=3))
    samples = integers(64)
    wide = np.lib.stride_tricks.as_strided(samples, (60, 2**33), (8, 0), writeable=False)
    tall = np.lib.stride_tricks.as_strided(samples, (2**33, 60), (0, 8), writeable=False)
    for boundary in "constant", "reflect":
        pad = ((1, 0), (2, 1))
        check_some(wide, square, pad, (1, 2**31 + 5), method=method, boundary=boundary)
        check_some(tall, square, pad, (2**31 - 1, 1), (2**31 + 1, 1), method=method, boundary=boundary)
    with pytest.raises(ValueError, match="does not fit in memory"):
        convnd(np.lib.stride_tricks.as_strided(np.uint8(1), (2**20,) * 3, (0,) * 3), np.ones(3), axes=2, dtype=np.uint8)


@pytest.mark.slow
def test_memory_beyond_2_31_bytes(tmp_path):
    """Of files with holes: one is read, and one written, in steps of 2^20 bytes."""
    x, y = (np.memmap(tmp_path / name, np.uint8, "w+", shape=(BEYOND,)) for name in "xy")
    places, kernel, step = [0, 2**31 - 1, 2**31 + 50, BEYOND - 3], np.array([1, 2, 3]), 2**20
    for place in places:
        x[place : place + 3] = 5, 7, 11
    for place in places:
        before = -place % step
        out = y[:: step - 5000][: (BEYOND + before - 3) // step + 1]
        convnd(x, kernel, padding=((before, 0),), stride=step, convention="correlation", out=out)
        assert out[(place + before) // step] == 5 + 2 * 7 + 3 * 11


@pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "long", reason="takes 5 GB of memory")
@pytest.mark.parametrize("method", METHODS)
def test_results_beyond_2_31_bytes(method):
    rng = np.random.default_rng(0)
    x, kernel = np.resize(rng.integers(0, 50, 2**24 + 7, np.uint8), BEYOND), np.array([1, -1, 3], np.float32)
    out = np.zeros_like(x)
    convnd(x, kernel, method=method, padding="same", convention="correlation", out=out)
    for first in [1, 2**31 - 500, BEYOND - 1001, *rng.integers(1, BEYOND - 1001, 50)]:
        window = x[first - 1 : first + 1001].astype(int)
        expected = window[:-2] - window[1:-1] + 3 * window[2:]
        assert (out[first : first + 1000] == np.clip(expected, 0, 255)).all()
