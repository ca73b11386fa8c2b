"""The caller's floating-point state does not matter: no result, error or warning depends on it."""

import numpy as np
import pytest

from convnd import kernels, ndimage, plan
from support.check import reals, same

SAMPLES = reals((60, 70))
TAPS = np.arange(-20, 21)
SHARP = np.exp(-((TAPS / 0.6) ** 2) / 2)
GAUSSIAN = np.outer(SHARP, SHARP)  # weights from 1 down to 1e-482, which is 0
TWO_TERMS = GAUSSIAN + np.outer(SHARP * TAPS, SHARP)
HOLES = np.where(SAMPLES > 1, np.nan, SAMPLES)
PROBLEMS = {
    "a sharp Gaussian": (SAMPLES, GAUSSIAN, {}),
    "weights that underflow": (SAMPLES, GAUSSIAN * 1e-170, {}),
    "weights that overflow": (SAMPLES * 1e300, GAUSSIAN * 1e160, {}),
    "two terms": (SAMPLES, TWO_TERMS * 1e-160, {}),
    "single precision": (SAMPLES.astype(np.float32), GAUSSIAN.astype(np.float32), {"fill_value": 1e38}),
    "subnormal samples": (SAMPLES * 1e-310, TWO_TERMS, {"boundary": "reflect"}),
    "infinities": (np.where(SAMPLES > 1, np.inf, SAMPLES), GAUSSIAN, {}),
    "NaN": (HOLES, GAUSSIAN, {}),
    "NaN omitted": (HOLES * 1e-300, GAUSSIAN * 1e-200, {"nan_policy": "omit"}),
    "whole numbers": (SAMPLES * 1e30, GAUSSIAN, {"dtype": np.int16}),
    "half precision": (SAMPLES * 1e30, GAUSSIAN, {"dtype": np.float16}),
    "complex": (SAMPLES + 1j, GAUSSIAN * 1e-170, {}),
}


def results(x, kernel, options):
    """Convolve, transpose and differentiate."""
    made = plan(x, kernel, padding="same", **options)
    yield made(x)
    if options.get("nan_policy") != "omit":
        y = np.resize(SAMPLES, made.output_shape)
        yield made.adjoint(y)
        yield made.kernel_gradient(x, y)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("method", ["auto", "direct", "separable", "fft"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_calls(problem, method):
    x, kernel, options = PROBLEMS[problem]
    with np.errstate(all="ignore"):
        expected = list(results(x, kernel, {**options, "method": method}))
    with np.errstate(all="raise"):
        for result, own in zip(results(x, kernel, {**options, "method": method}), expected, strict=True):
            same(result, own)


@pytest.mark.filterwarnings("error")
def test_kernels():
    with np.errstate(all="raise"):
        kernels.gaussian((0.05, 40))
        kernels.gaussian(0.1, order=2)
        kernels.gaussian(0.6, truncate=33, ndim=2)
        kernels.gaussian(0.6, truncate=90)
        kernels.laplacian_of_gaussian((0.6, 0.6), truncate=33)
        kernels.laplacian_of_gaussian((0.1, 0.1))
        kernels.unsharp_mask((0.05, 0.05))


@pytest.mark.parametrize("size", [1e-170, 1e-20, 1e150, 1e300])
def test_the_size_of_weights_hides_no_factors(size):
    """Their squares, by which factors are found, would underflow or overflow."""
    for kernel in GAUSSIAN, TWO_TERMS:
        made = plan(np.empty((1000, 1000)), kernel * size, padding="same", method="separable")
        assert made.method == "separable"
        x = np.pad(SAMPLES, 500)[:1000, :1000]
        expected = plan(np.empty((1000, 1000)), kernel, padding="same", method="separable")(x)
        np.testing.assert_allclose(made(x) / size, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.filterwarnings("error")
def test_filters():
    with np.errstate(all="raise"):
        for truncate in 33, 90:
            ndimage.gaussian_filter(SAMPLES, 0.6, truncate=truncate)
            ndimage.gaussian_laplace(SAMPLES, 0.6, truncate=truncate)
