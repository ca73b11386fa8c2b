"""Kernels of many zeros: their taps are left out, but where NaN and infinity meet them."""

import numpy as np
import pytest

from convnd import convnd, plan
from convnd.methods import repair, sparse
from support import settings
from support.check import check, integers, reals, same
from support.oracle import BOUNDARIES
from support.strategies import outer

SHAPES = [(150,), (23, 37), (9, 12, 33), (5, 6, 7, 20)]
DIRECT = {"method": "direct", "padding": "same"}


def star(rank, dtype=np.float32):
    """Small whole numbers along each axis through the middle, and zeros elsewhere."""
    kernel = np.zeros((5, 3, 3, 5)[-rank:], dtype)
    for axis, taps in enumerate(kernel.shape):
        line = [n // 2 for n in kernel.shape]
        line[axis] = slice(None, None, 2 if rank == 1 else 1)
        kernel[tuple(line)] = np.arange(1, taps + 1)[line[axis]]
    return kernel


@pytest.fixture(params=settings.SETTINGS)
def left_out(request, monkeypatch):
    """Leaves out taps of zero weight wherever there are some, in small arrays too."""
    monkeypatch.setattr(sparse, "_MOST", 1)
    monkeypatch.setattr(sparse, "_CLEARLY", np.inf)
    with settings.tuned(request.param, looking_ms=0.0):
        yield


def with_specials(x):
    """`x` with a NaN and both infinities, near its ends and inside."""
    x.flat[[1, x.size // 3, x.size - 3]] = np.nan, np.inf, -np.inf
    return x


@pytest.mark.parametrize("shape", SHAPES)
def test_taps_of_zero_weight_are_left_out(left_out, shape):
    kernel, x = star(len(shape)), integers(shape, np.float32)
    counted = f"taps      {np.count_nonzero(kernel)} for each output"
    assert counted in str(plan(x, kernel, **DIRECT)).split("\n")
    assert plan(x, kernel, **DIRECT).flops == 2 * np.count_nonzero(kernel) * x.size
    for dtype in np.float32, np.uint8, np.int64, np.complex64, np.float16:
        for boundary in BOUNDARIES:
            check(integers(shape, dtype), star(len(shape), dtype), boundary=boundary, **DIRECT)
    big = integers(shape, np.int64) << 59
    check(big, star(len(shape), np.int64), **DIRECT)
    check(x, kernel, method="direct", padding=3, stride=2, dilation=2, fill_value=2)
    check(x, kernel, method="direct", padding=2, upsample=2)
    check(x, kernel * np.complex64(1 + 2j), **DIRECT)
    check(np.stack([x, x + 1]), np.stack([kernel, kernel * 2]), channel_axis=0, **DIRECT)
    bank = np.stack([kernel, np.flip(kernel)], axis=-1)[..., None, :]
    check(np.stack([x, x + 1], axis=-1), bank, channel_axis=-1, groups=2, **DIRECT)


@pytest.mark.parametrize("shape", SHAPES)
def test_zeros_make_nan_of_nan_and_infinity(left_out, shape):
    kernel, x = star(len(shape)), with_specials(integers(shape, np.float32))
    for boundary in BOUNDARIES:
        check(x, kernel, boundary=boundary, **DIRECT)
    check(x, kernel, fill_value=np.inf, **DIRECT)
    check(x, kernel, method="direct", padding=3, stride=2, dilation=2)
    check(np.stack([x, x - 1]), np.stack([kernel, kernel * 2]), channel_axis=0, **DIRECT)
    out = integers(x.shape, np.float32, seed=1)
    same(convnd(x, kernel, out=out.copy(), beta=2, **DIRECT), 2 * out + convnd(x, kernel, **DIRECT))
    kernel.flat[-1] = np.nan
    check(x, kernel, **DIRECT)


def test_out_is_added_to_once_wherever_samples_are_special(left_out):
    """However many tiles are computed with all taps, and however many are not."""
    kernel, out = star(1), integers((600,), np.float32, seed=1)
    for there in range(13):
        for specials in slice(50 * there), slice(50 * there, None), slice(None, None, 50 * there + 1):
            x = integers((600,), np.float32)
            x[specials] = np.nan
            expected = 2 * out + convnd(x, kernel, **DIRECT)
            same(convnd(x, kernel, out=out.copy(), beta=2, **DIRECT), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_left_out_changes_no_bit(left_out, monkeypatch, shape):
    kernel, x = star(len(shape)), reals(shape, np.float32)
    kernel[kernel != 0] = reals(np.count_nonzero(kernel), np.float32, seed=1)
    specials = with_specials(x.copy())
    for own in (x, kernel), (x.astype(np.complex64), kernel), (specials, kernel), (specials, kernel * np.complex64(1j)):
        for options in {}, {"stride": 2}, {"nan_policy": "omit"}:
            sums = []
            for most in 1, 0:
                monkeypatch.setattr(sparse, "_MOST", most)
                sums.append(plan(*own, **DIRECT, **options)(own[0]))
            same(*sums)


def test_kernels_of_one_shape_and_other_zeros():
    """A plan that `convnd` remembers takes kernels of any zeros."""
    x = integers((160, 200), np.float32)
    for at in (2, 3), (11, 16), (0, 0), (16, 0):
        kernel = np.zeros((17, 17), np.float32)
        kernel[at] = 3
        kernel[8, 8] = 2
        assert plan(x, kernel, padding="same").flops == 2 * 2 * x.size
        check(x, kernel, padding="same")
        check(x, kernel + 1, padding="same", method="direct")
        check(x.astype(np.int32), kernel.astype(np.int16), padding="same")


def test_factors_of_a_kernel_keep_their_taps():
    """Those that the kernel's zeros would leave out of direct sums alone were left out of each factor."""
    even, odd = (np.where(np.arange(17) % 2 == rest, np.arange(1.0, 18), 0) for rest in (0, 1))
    x, kernel = integers((24, 28, 30), np.float64), outer(even, even, odd)
    assert plan(x, kernel, padding="same").method == "separable"
    check(x, kernel, padding="same")


def test_few_weights_of_many_are_summed():
    """Two weights of 41 x 41 were transformed."""
    kernel = np.zeros((41, 41), np.float32)
    kernel[3, 5], kernel[30, 33] = 1, -1
    own = plan(np.empty((1500, 1500), np.float32), kernel, padding="same")
    assert own.method == "direct"
    assert own.flops == 2 * 2 * 1500**2


def test_finite_tiles_alone_leave_taps_out(monkeypatch):
    """Whole numbers are always finite."""
    flagged, distinct = [], repair.distinct

    def recorded(tiles):
        flagged.append(len(tiles))
        return distinct(tiles)

    monkeypatch.setattr(repair, "distinct", recorded)
    x, kernel = integers((60, 110, 100), np.float32), star(3)
    check(x, kernel, **DIRECT)
    check(x[1:].astype(np.int16), kernel.astype(np.int8), **DIRECT)
    assert flagged == []
    x[0, 0, 0] = np.nan
    check(x, kernel, **DIRECT)
    assert flagged.pop() == 1
    x.flat[::1000] = np.nan
    check(x, kernel, **DIRECT)
    assert flagged.pop() == 0
