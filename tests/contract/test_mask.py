"""`mask`: normalised convolution with the weights of samples that the user gives."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convnd
from convnd import convnd as convolve
from support import oracle
from support.check import TOLERANCE, bound, integers, reals, same
from support.strategies import problems


def weights_like(x, share=0.4, dtype=bool, seed=5):
    """Which samples are valid; for floating types weights from 0 to 1, several of them 0 and 1."""
    draws = np.random.default_rng(seed).random(x.shape)
    if np.dtype(dtype) == bool:
        return draws >= share
    return np.clip(np.round(1.5 * draws - share / 2, 3), 0, 1).astype(dtype)


def check_masked(x, kernel, mask, **options):
    """The oracle's NaN, and its values within the dtype's tolerance of what the quotient of weights makes of errors."""
    own = {name: options[name] for name in options.keys() - {"out", "workers", "method", "dtype"}}
    result = convolve(x, kernel, mask=mask, **options)
    expected, larger = oracle.normalised(x, kernel, mask=mask, **own)
    assert result.shape == expected.shape
    same(np.isnan(result), np.isnan(expected))
    with np.errstate(all="ignore"):
        error = np.abs(result - expected) / np.maximum(larger, 1)
    assert np.nanmax(error, initial=0) <= 8 * TOLERANCE[result.dtype.type] * bound(x, kernel, **own)
    return result


@pytest.mark.parametrize("weights", ["bool", "float16", "float32", "float64", ">f4"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "uint8", "int16", "bool", ">f4", "float16"])
def test_every_type_of_samples_and_weights(tuning, dtype, weights):
    x, kernel = integers((20, 31), dtype), reals((3, 4), np.float64, seed=1)
    check_masked(x, kernel, weights_like(x, dtype=weights), padding="same", boundary="symmetric")
    check_masked(x, kernel, weights_like(x, 0.9, weights), stride=(1, 2), fill_value=3, padding=2)


@pytest.mark.parametrize("method", ["auto", "direct", "fft", "separable"])
@pytest.mark.parametrize("weights", ["bool", "float32"])
@pytest.mark.parametrize("shape, taps", [((400,), (70,)), ((60, 70), (17, 17))])
def test_every_method(tuning, method, weights, shape, taps):
    x, kernel = reals(shape, np.float32), np.ones(taps, np.float32)
    mask = weights_like(x, 0.3, weights)
    mask[tuple(slice(n // 3, None) for n in shape)] = 0  # more than a window
    check_masked(x, kernel, mask, padding="same", boundary="symmetric", method=method)


def test_channels_are_weighed_together(tuning):
    x, kernel = reals((4, 14, 30), np.float32), reals((6, 2, 3, 3), np.float32, seed=1)
    for weights in bool, np.float32:
        check_masked(x, kernel, weights_like(x, dtype=weights), channel_axis=0, groups=2, padding=1)


@settings(max_examples=settings().max_examples // 4)
@given(problems(), st.sampled_from(["bool", "float32"]), st.sampled_from([0.1, 0.7]))
def test_equals_the_oracle(tuned, problem, weights, share):
    x, kernel, options = problem.make_floating()
    with tuned(problem.tuning):
        check_masked(x, kernel, weights_like(x, share, weights, problem.x.seed), **options)


def test_a_weight_scales_a_sample_and_its_part_of_the_norm():
    same(convolve([8.0, 4], [2.0, 1], mask=[0.5, 0.25]), np.array([(4 + 2) * 3 / 1]))
    same(convolve([[1.0, 5]], [[-3.0, 1]], mask=[[0.5, 0.5]]), np.array([[(0.5 - 7.5) * 4 / 2]]))


def test_whole_numbers_are_normalised_in_double_precision():
    mask = np.array([True, True, False, True])
    for dtype in "uint8", "int64":
        x = np.array([1, 2, 100, 4], dtype)
        same(convolve(x, [1, 1, 1], mask=mask), np.array([4, 9], np.int64))  # 3 * 3 / 2 is 4.5, to even
        same(convolve(x, [1, 1, 1], mask=mask, dtype=float), np.array([4.5, 9]))
    x, kernel = integers((30, 40), np.int64, largest=2**40), integers((3, 3), np.int64, 1)
    same(convolve(x, kernel, mask=np.ones(x.shape)), oracle.convnd(x, kernel))
    same(convolve([5, 5], [1, 1], mask=[False, False]), np.array([0]))  # NaN, which whole numbers have not


def test_what_has_no_weight_is_not_looked_at():
    x = np.array([1.0, np.nan, np.inf, 3, 5])
    for mask in np.array([1, 0, 0, 1, 1.0]), np.array([True, False, False, True, True]):
        same(convolve(x, np.ones(3), mask=mask), np.array([3, 9, 12.0]))
        same(convolve(x + 0j, np.ones(3), mask=mask), np.array([3, 9, 12 + 0j]))
    same(convolve(x, np.ones(2), mask=np.ones(5, bool)), np.array([np.nan, np.nan, np.inf, 8]))


def test_with_nan_policy():
    x, mask = np.array([1.0, np.nan, 7, 3]), np.array([1, 1, 0, 0.5])
    same(convolve(x, np.ones(2), mask=mask, nan_policy="omit"), np.array([2.0, np.nan, 6]))
    same(convolve(x * 1j, np.ones(2), mask=mask > 0, nan_policy="omit"), np.array([2j, np.nan, 6j]))
    with pytest.raises(ValueError, match="nan_policy is 'raise'"):
        convolve(x, np.ones(2), mask=mask, nan_policy="raise")


def test_omitting_is_a_mask_of_what_is_not_nan(tuning):
    x, kernel = reals((40, 50), np.float32), reals((4, 3), np.float32, seed=1)
    mask = weights_like(x)
    holed = np.where(mask, x, np.float32(np.nan))
    options = {"padding": "same", "boundary": "wrap", "method": "direct"}
    same(convolve(x, kernel, mask=mask, **options), convolve(holed, kernel, nan_policy="omit", **options))


def test_all_valid_is_the_plain_result():
    x, kernel = reals((60, 70), np.float32), np.ones((17, 17), np.float32)
    for method in "direct", "separable", "fft":
        options = {"padding": "same", "method": method}
        same(convolve(x, kernel, mask=np.ones(x.shape, bool), **options), convolve(x, kernel, **options))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
@pytest.mark.parametrize("shape, taps", [((30_000,), (1000,)), ((200, 210), (31, 31)), ((40, 41, 42), (11, 11, 11))])
def test_all_valid_is_the_plain_result_where_weights_are_found_by_transforms(shape, taps, dtype):
    """Their rounding errors must not show, nor where a window misses one sample."""
    x, kernel = reals(shape, dtype), 1 + np.random.default_rng(1).random(taps)
    kernel, mask = kernel.astype(x.real.dtype), np.ones(shape, bool)
    for method in "auto", "fft":
        plain, all_valid = (convolve(x, kernel, mask=own, method=method) for own in (None, mask))
        same(all_valid, plain)
    mask[0] = False
    check_masked(x, kernel, mask)


def test_bias_and_beta_are_added_to_the_normalised_result(tuning):
    x, kernel, mask = integers((20, 30), np.float32), np.ones((3, 3), np.float32), weights_like(np.empty((20, 30)))
    plain = convolve(x, kernel, mask=mask, padding="same")
    out = np.full_like(x, 2)
    convolve(x, kernel, mask=mask, padding="same", out=out, beta=3, bias=1)
    same(out, plain + 7)


@pytest.mark.parametrize("dtype", ["uint8", "float32", ">f8", "complex64"])
def test_arrays_of_no_axes(dtype):
    """NumPy makes scalars of their parts, which have no address."""
    x, out = np.array(2, dtype), np.array(9, "complex64" if dtype == "complex64" else "float64")
    for options in {"mask": np.array(True)}, {"mask": np.array(0.5)}, {"nan_policy": "omit", "mask": np.array(True)}:
        assert convolve(x, 3, out=out, **options) is out and out == 6
        assert convnd.plan(x, 3, **options)(x) == 6
    assert np.isnan(convolve(x, 3.0, mask=np.array(False)))
    if dtype != "uint8":
        assert np.isnan(convolve(np.array(np.nan, dtype), 3, nan_policy="omit"))
        assert convnd.blockwise(x, 3, np.empty((), x.dtype), nan_policy="omit") == 6
    assert convolve(x, 3, out=out, beta=2, bias=1) == 19


def test_out_may_overlap_the_mask_and_x():
    x, kernel, mask = reals((40, 50)), reals((3, 3), seed=1), weights_like(np.empty((40, 50)), dtype=float)
    expected = convolve(x, kernel, mask=mask, padding="same")
    for overlapped in "x", "mask":
        own = {"x": x.copy(), "mask": mask.copy()}
        out = own[overlapped][::-1]
        same(convolve(own["x"], kernel, mask=own["mask"], padding="same", out=out), expected)


def test_a_remembered_plan_reads_the_mask_of_each_call():
    x, kernel = reals((6, 7)), np.ones((2, 2))
    mask = np.ones(x.shape)
    for zeroed in (0, 0), (3, 3), (5, 6):
        mask[zeroed] = 0
        check_masked(x, kernel, mask)
        check_masked(x, kernel, np.asfortranarray(mask))
        check_masked(x, kernel, mask > 0)
        same(convolve(x, kernel), convolve(x, kernel, mask=np.ones(x.shape)))


def test_plans_keep_a_mask_and_have_no_transpose():
    x, kernel, mask = reals((40, 50)), np.ones((3, 3)), weights_like(np.empty((40, 50)))
    expected = convolve(x, kernel, mask=mask)
    kept = convnd.plan(x, kernel, mask=mask)
    fortran = np.asfortranarray(x)
    of_fortran = convolve(fortran, kernel, mask=mask)
    mask[:] = True
    for own in kept, pickle.loads(pickle.dumps(kept)):
        same(own(x), expected)
        same(own(fortran), of_fortran)
        for call in lambda own=own: own.adjoint(expected), lambda own=own: own.kernel_gradient(x, expected):
            with pytest.raises(ValueError, match="mask"):
                call()


def test_a_plan_keeps_the_layout_of_a_mask():
    """On which the order of sums depends, as on that of x."""
    x, kernel = reals((40, 50), np.float32), reals((5, 4), np.float32, seed=1)
    mask = np.asfortranarray(weights_like(np.empty((40, 50))))
    options = {"mask": mask, "method": "direct"}
    same(convnd.plan(x, kernel, **options)(x), convolve(x, kernel, **options))


@pytest.mark.parametrize("mask, error, message", [
    (np.ones(4, bool), ValueError, "mask must have the shape of x, (5,), but has (4,)"),
    (True, ValueError, "mask must have the shape of x, (5,), but has ()"),
    (np.ones(5, int), TypeError, "mask must be boolean, or floating weights from 0 to 1, but has dtype int64"),
    (np.ones(5, complex), TypeError, "but has dtype complex128"),
    ([0, 0.5, 1.25, 1, -1], ValueError, "mask must have weights from 0 to 1, but has 1.25 at index (2,)"),
    ([0, 0.5, -0.5, 1, 1], ValueError, "but has -0.5 at index (2,)"),
    ([0, 0.5, 1, np.nan, 1], ValueError, "but has nan at index (3,)"),
])  # fmt: skip
def test_errors(mask, error, message):
    x, out = np.arange(5.0), np.full(4, 7.0)
    for _ in range(2):
        with pytest.raises(error) as raised:
            convolve(x, np.ones(2), mask=mask, out=out)
        assert message in str(raised.value)
        convolve(x, np.ones(2), mask=np.ones(5))  # whose plan is remembered
    assert (out == 7).all()


def test_work_by_blocks_takes_none():
    x, kernel, mask = np.ones(8), np.ones(3), np.ones(8, bool)
    for call in (
        lambda: convnd.blockwise(x, kernel, np.empty(6), mask=mask),
        lambda: convnd.Stream(kernel, mask=mask),
        lambda: convnd.window(x, kernel, np.s_[1:3], mask=mask),
    ):
        with pytest.raises(ValueError, match=r"mask is given, but .* takes none: write NaN to x instead"):
            call()


def test_arrays_of_other_kinds():
    dask, xarray, torch = (pytest.importorskip(name) for name in ("dask.array", "xarray", "torch"))
    x, kernel, mask = reals((6, 9)), np.ones((2, 3)), weights_like(np.empty((6, 9)))
    expected = convolve(x, kernel, mask=mask)
    same(convolve(torch.from_numpy(x), kernel, mask=torch.from_numpy(mask)).numpy(), expected)
    named = xarray.DataArray(x, dims=("y", "x"))
    own = xarray.DataArray(mask.T, dims=("x", "y"))
    same(convolve(named, kernel, mask=own).values, expected)
    same(convolve(named, kernel, mask=mask).values, expected)
    with pytest.raises(ValueError, match="mask must have the dimensions of x"):
        convolve(named, kernel, mask=own.rename(x="z"))
    with pytest.raises(ValueError, match="dask takes none"):
        convolve(dask.from_array(x), kernel, mask=mask)
