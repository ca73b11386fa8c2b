"""Ready-made kernels give what SciPy and scikit-image give, with the sums and signs that their docstrings promise."""

import functools

import numpy as np
import pytest

from convnd import convnd, kernels, plan
from support.check import integers, reals, same

SHAPES = {1: (23,), 2: (9, 14), 3: (7, 5, 9), 4: (5, 6, 3, 7)}
AXES = [(axis, ndim) for ndim in SHAPES for axis in range(ndim)]
SIGMAS = {1: (1.7,), 2: (0.6, 2.3), 3: (1.1, 0.0, 0.7), 4: (0.4, 0.9, 0.3, 0.6)}
ORDERS = {1: [(1,), (2,), (3,)], 2: [(0, 1), (1, 1), (2, 0)], 3: [(1, 0, 2)], 4: [(0, 1, 0, 2)]}


def apply(x, kernel):
    assert kernel.dtype == np.float64 and kernel.ndim == x.ndim
    return convnd(x, kernel, padding="same", boundary="symmetric")


def equal(result, expected):
    np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max(), strict=True)


@pytest.fixture(params=SHAPES.values(), ids=len)
def x(request):
    return reals(request.param)


def test_gaussian_filter(x):
    ndimage = pytest.importorskip("scipy.ndimage")
    sigma = SIGMAS[x.ndim]
    equal(apply(x, kernels.gaussian(sigma)), ndimage.gaussian_filter(x, sigma))
    equal(apply(x, kernels.gaussian(0.8, truncate=2.5, ndim=x.ndim)), ndimage.gaussian_filter(x, 0.8, truncate=2.5))
    for order in ORDERS[x.ndim]:
        equal(apply(x, kernels.gaussian(sigma, order=order)), ndimage.gaussian_filter(x, sigma, order))
    equal(apply(x, kernels.gaussian(1, order=(1,) * x.ndim)), ndimage.gaussian_filter(x, 1, 1))


def test_second_derivatives(x):
    ndimage = pytest.importorskip("scipy.ndimage")
    equal(apply(x, kernels.laplacian(x.ndim)), ndimage.laplace(x))
    for sigma in (0.9, [0.5 + 0.3 * a for a in range(x.ndim)]):
        for truncate in (4.0, 3):
            kernel = kernels.laplacian_of_gaussian(sigma, truncate=truncate, ndim=x.ndim)
            equal(apply(x, kernel), ndimage.gaussian_laplace(x, sigma, truncate=truncate))


@pytest.mark.parametrize("axis, ndim", AXES)
def test_first_differences(axis, ndim):
    ndimage, filters = pytest.importorskip("scipy.ndimage"), pytest.importorskip("skimage.filters")
    x = reals(SHAPES[ndim])
    for name in ("sobel", "prewitt"):
        equal(apply(x, getattr(kernels, name)(axis, ndim)), getattr(ndimage, name)(x, axis))
    equal(apply(x, kernels.scharr(axis, ndim)), filters.scharr(x, axis=axis))
    np.testing.assert_array_equal(kernels.sobel(axis - ndim, ndim), kernels.sobel(axis, ndim))


def test_unsharp_mask(x):
    filters = pytest.importorskip("skimage.filters")
    for sigma, amount in ((1.2, 0.7), (SIGMAS[x.ndim], -0.4)):
        expected = filters.unsharp_mask(x, sigma, amount, preserve_range=True)
        equal(apply(x, kernels.unsharp_mask(sigma, amount, ndim=x.ndim)), expected)
    levels = integers(x.shape, np.uint8, largest=255)  # divided by 255 there; nothing to clip in this range
    expected = filters.unsharp_mask(levels // 4 + 96, 0.5, 0.1)
    kernel = kernels.unsharp_mask(0.5, 0.1, ndim=x.ndim)
    equal(apply(levels // 4 + np.uint8(96), kernel) / 255, expected)


def test_box(x):
    ndimage = pytest.importorskip("scipy.ndimage")
    for size in (3, [3, 5, 1, 3][: x.ndim]):
        equal(apply(x, kernels.box(size, ndim=x.ndim)), ndimage.uniform_filter(x, size))


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5, 6.5])
def test_disk(radius):
    morphology = pytest.importorskip("skimage.morphology")
    for kernel, shape in ((kernels.disk(radius), "disk"), (kernels.disk(radius, ndim=3), "ball")):
        if radius == int(radius):
            np.testing.assert_array_equal(kernel > 0, getattr(morphology, shape)(radius) > 0)
        assert kernel.sum() == pytest.approx(1) and len(set(kernel[kernel > 0])) == 1


def test_disk_of_other_ranks():
    np.testing.assert_array_equal(kernels.disk(2.9, 1), np.full(5, 1 / 5))
    ellipse = kernels.disk((1, 3))
    assert ellipse.shape == (3, 7) and np.array_equal(ellipse[0] > 0, [0, 0, 0, 1, 0, 0, 0])
    assert kernels.disk((2, 0, 1)).shape == (5, 1, 3)


def test_motion_blur():
    np.testing.assert_allclose(kernels.motion_blur(9), np.full((1, 9), 1 / 9))
    np.testing.assert_allclose(kernels.motion_blur(9, 90), np.full((9, 1), 1 / 9))
    np.testing.assert_allclose(kernels.motion_blur(7, (0, -3, 0)), np.full((1, 7, 1), 1 / 7))
    np.testing.assert_allclose(kernels.motion_blur(4, [2]), np.array([1, 2, 2, 2, 1]) / 8)
    np.testing.assert_array_equal(kernels.motion_blur(1, (1, 2, 3, 4)), np.ones((1,) * 4))
    up = kernels.motion_blur(9, 30)  # to the right and up, where rows are counted downwards
    assert up.shape == (5, 9) or up.shape == (7, 9)
    assert up[: up.shape[0] // 2, up.shape[1] // 2 + 1 :].sum() > 0.3
    for kernel in (up, kernels.motion_blur(6.5, (1, 2, -2))):
        np.testing.assert_allclose(kernel, np.flip(kernel), atol=1e-15)
        assert kernel.sum() == pytest.approx(1)
        assert all(kernel.take(0, axis).any() for axis in range(kernel.ndim))


@pytest.mark.parametrize("ndim", SHAPES)
def test_sums_and_signs(ndim):
    rise = np.arange(20.0).reshape(-1, *[1] * (ndim - 1)) + np.zeros([20] + [11] * (ndim - 1))
    middle = (10, *[5] * (ndim - 1))
    ones = [kernels.gaussian(0.7, ndim=ndim), kernels.box(4, ndim=ndim), kernels.identity(ndim, size=4)]
    ones += [kernels.sharpen(ndim, 0.3), kernels.unsharp_mask(0.8, 2, ndim=ndim), kernels.disk(1.5, ndim)]
    for kernel in ones:
        assert kernel.sum() == pytest.approx(1)
    slopes = {
        2 * 4.0 ** (ndim - 1): kernels.sobel(0, ndim), 2 * 3.0 ** (ndim - 1): kernels.prewitt(0, ndim),
        2.0: kernels.scharr(0, ndim), 1.0: kernels.gaussian(0.9, truncate=5, order=[1] + [0] * (ndim - 1)),
    }  # fmt: skip
    for slope, kernel in slopes.items():
        assert kernel.sum() == pytest.approx(0, abs=1e-12)
        assert apply(rise, kernel)[middle] == pytest.approx(slope, rel=1e-3)
    bowl = (rise - 10) ** 2
    assert kernels.laplacian(ndim).sum() == 0 and apply(bowl, kernels.laplacian(ndim))[middle] == 2
    log = kernels.laplacian_of_gaussian(0.9, truncate=6, ndim=ndim)
    assert log.sum() == pytest.approx(0, abs=1e-2) and apply(bowl, log)[middle] == pytest.approx(2, rel=1e-2)
    assert apply(bowl, kernels.sharpen(ndim, 0.5))[middle] == -1


@pytest.mark.parametrize("name", ["gaussian", "laplacian_of_gaussian", "unsharp_mask"])
def test_width_at_half_maximum(name):
    make, factor = getattr(kernels, name), 2 * np.sqrt(2 * np.log(2))
    for fwhm in (1.7, (3, 2.5)):
        equal(make(fwhm=fwhm), make(tuple(np.atleast_1d(fwhm) / factor)))
    same(make(fwhm=2, ndim=2, dtype=np.float32), make(fwhm=(2, 2), dtype=np.float32))
    half = kernels.gaussian(fwhm=20, truncate=8)
    assert half[len(half) // 2 + 10] == pytest.approx(half.max() / 2)


def test_identity(x):
    np.testing.assert_array_equal(apply(x, kernels.identity(x.ndim)), x)
    np.testing.assert_array_equal(apply(x, kernels.identity(x.ndim, size=[4, 3, 1, 2][: x.ndim])), x)
    assert kernels.identity().tolist() == [1]


@pytest.mark.parametrize("make", [
    lambda: kernels.gaussian((2, 2, 2)), lambda: kernels.gaussian((2, 2, 2), order=(0, 1, 0)),
    lambda: kernels.laplacian_of_gaussian((2, 2, 2)), lambda: kernels.box((11, 11, 11)),
])  # fmt: skip
def test_large_arrays_take_the_factors(make):
    scan = np.broadcast_to(np.float32(0), (200, 200, 200))
    ready = plan(np.empty(scan.shape, np.float32), make().astype(np.float32), padding="same", boundary="symmetric")
    assert ready.method == "separable"


MAKE = {
    "gaussian": (1.5,), "box": (3,), "identity": (2,), "disk": (2.5,), "motion_blur": (5.5, 30), "laplacian": (2,),
    "laplacian_of_gaussian": (0.8,), "sobel": (0, 3), "prewitt": (0, 3), "scharr": (0, 3), "sharpen": (2, 0.3),
    "unsharp_mask": (1, 0.7),
}  # fmt: skip


@pytest.mark.parametrize("name", kernels.__all__)
def test_dtype(name):
    make = functools.partial(getattr(kernels, name), *MAKE[name])
    double = make()
    for dtype in (np.float64, float, "f8", None):
        same(make(dtype=dtype), double)
    for dtype in ("float16", np.float32, ">f4", "complex64", np.dtype("c16")):
        same(make(dtype=dtype), double.astype(dtype))
        assert make(dtype=dtype).dtype == dtype


def test_whole_numbers_are_kept_or_refused():
    same(kernels.sobel(0, dtype=np.int8), np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]], np.int8))
    same(kernels.identity(size=3, dtype=bool), np.array([False, True, False]))
    same(kernels.sharpen(1, 2, dtype=">i2"), np.array([-2, 5, -2], ">i2"))
    assert convnd(np.arange(9), kernels.laplacian(1, dtype=int)).dtype == np.int64


@pytest.mark.parametrize("name", ["gaussian", "laplacian_of_gaussian", "box", "unsharp_mask"])
def test_a_number_makes_one_axis_unless_ndim_differs(name):
    make = getattr(kernels, name)
    assert make(1.0 if name != "box" else 3).ndim == 1
    same(make(3, ndim=2), make((3, 3)))
    assert make(3, ndim=3).ndim == 3


ERRORS = [
    (lambda k: k.gaussian(1, dtype=int), ValueError, "dtype int64 0.000133831"),
    (lambda k: k.laplacian(2, dtype=np.uint8), ValueError, "dtype uint8 -4"),
    (lambda k: k.sharpen(1, 1e39, dtype="f4"), ValueError, "dtype float32 1e+39"),
    (lambda k: k.box(3, dtype="O"), TypeError, "dtype numeric 'O'"),
    (lambda k: k.sobel(dtype="sobel"), TypeError, "dtype 'sobel'"),
    (lambda k: k.gaussian(-1), ValueError, "sigma 0 -1"),
    (lambda k: k.gaussian((1, np.nan)), ValueError, "sigma finite nan"),
    (lambda k: k.gaussian("2"), TypeError, "sigma '2'"),
    (lambda k: k.gaussian(2j), TypeError, "sigma 2j"),
    (lambda k: k.gaussian(True), TypeError, "sigma True"),
    (lambda k: k.gaussian(()), ValueError, "sigma empty"),
    (lambda k: k.gaussian(((1, 2), (3, 4))), TypeError, "sigma (1, 2)"),
    (lambda k: k.gaussian((1, 2), order=(0, 1, 0)), ValueError, "order 3 sigma 2"),
    (lambda k: k.gaussian((1, 2), ndim=3), ValueError, "sigma 2 ndim 3"),
    (lambda k: k.gaussian(1, ndim=0), ValueError, "ndim 1 0"),
    (lambda k: k.gaussian(1, order=-1), ValueError, "order 0 -1"),
    (lambda k: k.gaussian(1, order=1.0), TypeError, "order 1.0 whole number"),
    (lambda k: k.gaussian((1, 0), order=1), ValueError, "sigma 0 order 1"),
    (lambda k: k.gaussian(1, truncate=-2), ValueError, "truncate 0 -2"),
    (lambda k: k.laplacian_of_gaussian(0), ValueError, "sigma 0 order 2"),
    (lambda k: k.box(0), ValueError, "size 1 0"),
    (lambda k: k.box(2.0), TypeError, "size 2.0 whole number"),
    (lambda k: k.identity(2, size=(1, 2, 3)), ValueError, "size 3 ndim 2"),
    (lambda k: k.laplacian(0), ValueError, "ndim 1 0"),
    (lambda k: k.laplacian((1, 1)), TypeError, "ndim (1, 1)"),
    (lambda k: k.sobel(axis=2), ValueError, "axis=2 ndim=3 2"),
    (lambda k: k.scharr(-4, 2), ValueError, "axis=-4 ndim=4 2"),
    (lambda k: k.gaussian(), TypeError, "sigma fwhm None"),
    (lambda k: k.gaussian(1, fwhm=2), TypeError, "sigma fwhm 1 2"),
    (lambda k: k.gaussian(fwhm=-2), ValueError, "fwhm 0 -2"),
    (lambda k: k.gaussian(fwhm=(1, 2), order=(0, 1, 0)), ValueError, "order 3 fwhm 2"),
    (lambda k: k.prewitt(0.0, 2), TypeError, "axis 0.0 whole number"),
    (lambda k: k.sharpen(2, "1"), TypeError, "amount '1'"),
    (lambda k: k.unsharp_mask(1, np.inf), ValueError, "amount finite inf"),
    (lambda k: k.disk(-1), ValueError, "radius 0 -1"),
    (lambda k: k.motion_blur(0.5), ValueError, "length 1 0.5"),
    (lambda k: k.motion_blur(3, (0, 0)), ValueError, "direction 0 (0, 0)"),
]  # fmt: skip


@pytest.mark.parametrize("make, error, words", ERRORS)
def test_errors(make, error, words):
    with pytest.raises(error) as raised:
        make(kernels)
    message = str(raised.value)
    assert type(raised.value) is error and "\n" not in message
    assert message.startswith(words.split()[0])
    for word in words.split():
        assert word in message, message
