"""`convnd.ndimage` and `convnd.signal` give what SciPy gives.

SciPy's own tests of these functions run in `tests/scipys_own.py`.
"""

import inspect
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import convnd
from convnd.methods import slabs

ndimage = pytest.importorskip("scipy.ndimage")
signal = pytest.importorskip("scipy.signal")
FILTERS = {
    "convolve": ([[1.5, 2, -1], [0, 1, 3]],),
    "correlate": ([[1.5, 2, -1, 2], [0, 1, 3, 0.5]],),
    "convolve1d": ([1, 2.5, -3, 4],),
    "correlate1d": ([1, 2.5, -3, 4],),
    "gaussian_filter": ((1.2, 2),),
    "gaussian_filter1d": (1.5,),
    "gaussian_laplace": (1.2,),
    "gaussian_gradient_magnitude": (1.2,),
    "laplace": (),
    "sobel": (0,),
    "prewitt": (),
    "uniform_filter": ((3, 4),),
    "uniform_filter1d": (4,),
}
MODES = ["reflect", "mirror", "nearest", "wrap", "constant", "grid-mirror", "grid-wrap", "grid-constant"]
TYPES = ["u1", "u4", "i2", "i4", "f4", ">f8", "c8", "c16"]


def samples(dtype, shape=(9, 11)):
    rng = np.random.default_rng(7)
    x = rng.integers(0, 250, shape)
    return (x + 1j * rng.integers(0, 250, shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def agree(ours, theirs):
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    if theirs.dtype.kind in "fc":
        scale = 250 + np.abs(theirs).max(initial=0)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=8 * np.finfo(theirs.dtype).eps * scale)
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "path", [f"{module}.{name}" for module in ("ndimage", "signal") for name in getattr(convnd, module).__all__]
)
def test_signatures_are_scipys_and_workers(path):
    module, name = path.split(".")
    ours = dict(inspect.signature(getattr(getattr(convnd, module), name)).parameters)
    theirs = inspect.signature(getattr({"ndimage": ndimage, "signal": signal}[module], name)).parameters
    assert ours.pop("workers").default is None
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]


@pytest.fixture(params=["numpy", "compiled"])
def converter(request, monkeypatch):
    """What converts sums to whole numbers: NumPy, or for larger arrays a compiled pass."""
    if request.param == "compiled":
        monkeypatch.setattr(slabs, "_FEW", 0)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", FILTERS)
def test_filters_are_scipys(name, dtype, converter):
    """Also where whole numbers are truncated, after each axis, and where they wrap around."""
    if name == "gaussian_gradient_magnitude" and np.dtype(dtype).kind == "c":
        pytest.skip("a root of squares that cancel")
    for mode in MODES:
        options = {"mode": mode, "cval": 3.0}
        ours, theirs = (getattr(m, name)(samples(dtype), *FILTERS[name], **options) for m in (convnd.ndimage, ndimage))
        agree(ours, theirs)


@pytest.mark.parametrize("name", ["gaussian_filter", "gaussian_laplace", "gaussian_gradient_magnitude"])
@pytest.mark.parametrize("sigma", [0, (0, 0), (0, 1.5)], ids=str)
def test_axes_without_a_sigma_are_left_as_they_are(name, sigma):
    agree(*(getattr(m, name)(samples("f8"), sigma) for m in (convnd.ndimage, ndimage)))


@pytest.mark.parametrize("output", ["f4", "u1", np.int32, np.float64])
@pytest.mark.parametrize("name", FILTERS)
def test_types_of_outputs_are_scipys(name, output):
    agree(*(getattr(m, name)(samples("f8"), *FILTERS[name], output=output) for m in (convnd.ndimage, ndimage)))


@pytest.mark.parametrize("name", FILTERS)
def test_outputs_may_be_given_and_be_the_input(name):
    """SciPy's sums over axes read what they have overwritten."""
    x = samples("f8")
    expected = getattr(ndimage, name)(x, *FILTERS[name])
    out = np.full(x.shape, 7.0)
    assert getattr(convnd.ndimage, name)(x, *FILTERS[name], output=out) is out
    agree(out, expected)
    assert getattr(convnd.ndimage, name)(x, *FILTERS[name], output=x) is x
    agree(x, expected)


@pytest.mark.parametrize("output", ["u1", "i1", ">u2", "i2", ">i4", "u4", "i8", "u8", "?"])
@pytest.mark.parametrize("name", ["gaussian_filter", "uniform_filter", "laplace"])
def test_whole_numbers_go_to_outputs_of_any_layout(name, output, converter):
    x = samples("f8")
    out = np.zeros((3 * x.shape[1], 2 * x.shape[0]), output)[::-3, ::2].T
    getattr(convnd.ndimage, name)(x, *FILTERS[name], output=out)
    native = np.dtype(output).newbyteorder("=")
    agree(out.astype(native), getattr(ndimage, name)(x, *FILTERS[name], output=native))


@pytest.mark.parametrize("output", ["u1", "i1", "u2", "i2", "i4", "u4"])
def test_sums_that_no_output_holds(output, converter):
    x = np.array([1.5, -1.5, 300, -70_000, 2**31, 2.0**31 - 0.5, -(2**31) - 1, 9.5e10, 2**40 + 77, 1e19, -1e19, np.nan])
    with np.errstate(invalid="ignore"):
        theirs = ndimage.correlate1d(x, [1.0], output=np.dtype(output))
    agree(convnd.ndimage.correlate1d(x, [1.0], output=output), theirs)


@pytest.mark.parametrize("name", ["gaussian_filter", "uniform_filter", "laplace", "sobel", "gaussian_laplace"])
def test_modes_of_each_axis(name):
    for mode in product(["nearest", "wrap", "constant"], repeat=2):
        agree(*(getattr(m, name)(samples("f4"), *FILTERS[name], mode=mode) for m in (convnd.ndimage, ndimage)))


@pytest.mark.parametrize("mode", ["reflect", "mirror", "nearest", "wrap", "constant"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_lengths_of_gradients_are_summed_slab_by_slab(monkeypatch, dtype, mode):
    monkeypatch.setattr(convnd.filters, "_SLAB_BYTES", 4000)
    x = samples(dtype, (31, 14, 9))
    for own in x, np.asfortranarray(x), x[::-1, :, ::2], x.transpose(1, 2, 0):
        options = {"sigma": (1, 0.7, 1.3), "mode": mode}
        expected = ndimage.gaussian_gradient_magnitude(own, **options)
        agree(convnd.ndimage.gaussian_gradient_magnitude(own, **options), expected)
        wide = np.zeros((*own.shape, 2), "f8")[..., 0]
        agree(convnd.ndimage.gaussian_gradient_magnitude(own, output=wide, **options).astype(dtype), expected)
        own = own.copy(order="K")
        agree(convnd.ndimage.gaussian_gradient_magnitude(own, output=own, **options), expected)
        agree(*(m.gaussian_gradient_magnitude(x, 1, axes=(2, 0), mode=mode) for m in (convnd.ndimage, ndimage)))


@pytest.mark.parametrize("origin", [-2, -1, 0, 1])
def test_origins(origin):
    for name in ("convolve1d", "correlate1d", "uniform_filter1d"):
        try:
            theirs = getattr(ndimage, name)(samples("f4"), *FILTERS[name], origin=origin)
        except ValueError:
            with pytest.raises(ValueError, match="origin"):
                getattr(convnd.ndimage, name)(samples("f4"), *FILTERS[name], origin=origin)
        else:
            agree(getattr(convnd.ndimage, name)(samples("f4"), *FILTERS[name], origin=origin), theirs)


@pytest.mark.parametrize("value", range(0, 256, 5))
def test_a_flat_image_stays_flat(value):
    """The weights of a Gaussian sum to 1 but for rounding, which truncation must not show."""
    x = np.full((20, 20), value, np.uint8)
    for sigma in (0.5, 1, 1.7, 2, 5):
        assert (convnd.ndimage.gaussian_filter(x, sigma) == value).all()


def test_large_gaussians_run_axis_by_axis():
    x = samples("f4", (90, 100, 3))
    agree(*(m.gaussian_filter(x, 30, axes=(0, 1)) for m in (convnd.ndimage, ndimage)))
    agree(*(m.gaussian_filter(x, (30, 30), axes=(0, 1), truncate=1.5, order=(0, 1)) for m in (convnd.ndimage, ndimage)))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("types", [*product(["u1", "i4", "f4", "f8", "c8"], repeat=2)], ids="-".join)
def test_convolutions_are_scipys(mode, types):
    x, kernel = samples(types[0]), samples(types[1], (4, 3))
    for name, pair in product(("convolve", "correlate"), ((x, kernel), (kernel, x), (x[0], kernel[0]))):
        agree(*(getattr(m, name)(*pair, mode, "direct") for m in (convnd.signal, signal)))
    for name, boundary in product(("convolve2d", "correlate2d"), ("fill", "wrap", "symm")):
        agree(*(getattr(m, name)(x, kernel, mode, boundary, 2) for m in (convnd.signal, signal)))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(
    "shapes, axes",
    [
        (((5, 20), (5, 3)), 1), (((5, 20), (1, 3)), 1), (((1, 20), (5, 3)), 1), (((4, 5, 20), (1, 5, 3)), -1),
        (((4, 1, 20), (1, 5, 3)), -1), (((4, 20, 5), (4, 3, 5)), (1,)), (((20, 9), (3, 4)), (1, 0)),
        (((1, 4), (3, 4)), None), (((2, 6), (2, 9)), 1), (((3, 4), (3, 4)), None),
    ],
)  # fmt: skip
def test_axes_that_are_not_convolved_are_broadcast(mode, shapes, axes):
    x, kernel = (samples("f8", shape) for shape in shapes)
    for name in ("fftconvolve", "oaconvolve"):
        agree(*(getattr(m, name)(x, kernel, mode, axes) for m in (convnd.signal, signal)))


@pytest.mark.parametrize(
    "mode", ["constant", "symmetric", "edge", "smooth", "wrap", "reflect", "antisymmetric", "antireflect", "line"]
)
def test_upfirdn_is_scipys(mode):
    for taps, n, up, down, cval in product((1, 5, 13), (2, 4, 9), (1, 2, 3), (1, 2, 5), (0, 2)):
        h, x = samples("f4", taps), samples("f8", (3, n))
        agree(*(m.upfirdn(h, x, up, down, 1, mode, cval) for m in (convnd.signal, signal)))


def test_one_sample_has_no_slope():
    for h in [1.0, 2], [1.0, 2, 3]:
        with pytest.raises(
            ValueError, match="mode 'smooth' extends x by the slope at its ends, but axis -1 of x has 1"
        ):
            convnd.signal.upfirdn(h, [3.0], mode="smooth")
    agree(*(m.upfirdn([2.0], [3.0], mode="smooth") for m in (convnd.signal, signal)))  # which needs no extension


def as_scipys(name, *args):
    """Our function returns what SciPy's does, or raises an error of the same type."""
    try:
        theirs = getattr(signal, name)(*args)
    except Exception as error:
        with pytest.raises(type(error)):
            getattr(convnd.signal, name)(*args)
    else:
        ours = getattr(convnd.signal, name)(*args)
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_array_equal(ours, theirs)


FILLS = [
    *(300, -3, 1.5, 2.0**63, 2**70, np.nan, np.inf, 1j, 1 + 0j, True, None, "3", "a", object(), np.float64(1.5)),
    *(np.int64(300), np.uint8(3), np.complex64(2), [2], [2.5], [[2]], (300,), [1j], [], [1, 2], np.array([])),
    *(np.array(3), np.array([2.5]), np.array([[7]], np.uint8), np.array(300, np.int16), np.array(1j)),
]


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning", "ignore:.*in cast:RuntimeWarning")  # SciPy's
@pytest.mark.parametrize("types", ["u1 u1", "i2 i2", "i8 i8", "u8 u8", "i8 u8", "u1 f4", "f4 f4", "f8 f8", "c8 c8"])
def test_what_stands_outside_planes_is_read_as_by_scipy(types):
    x, kernel = (np.array(values, dtype) for values, dtype in zip(([[1, 2], [3, 1]], [[1, 2]]), types.split()))
    for fill, boundary in product(FILLS, ("fill", "pad", "symm", "wrap")):
        for name in ("convolve2d", "correlate2d"):
            as_scipys(name, x, kernel, "full", boundary, fill)
            as_scipys(name, x[:0], kernel, "same", boundary, fill)


PLANES = [(0, 0), (0, 3), (3, 0), (0, 1), (1, 0), (2, 2), (1, 1)]
EMPTY = [
    *((a, b) for a, b in product(PLANES, PLANES) if 0 in a + b),
    *(((0,), (0,)), ((0,), (3,)), ((3,), (0,)), ((0,), (1,)), ((1,), (0,)), ((0,), (3, 3)), ((), (0,))),
    *(((0, 2, 3), (1, 2, 3)), ((2, 3, 0), (2, 1, 1)), ((2, 3, 4), (0, 0, 0))),
]


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # in SciPy's estimates of times
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("shapes", EMPTY, ids=str)
def test_empty_arrays_are_answered_as_by_scipy(mode, shapes):
    for types in product(["i2", "f4", "c16"], repeat=2):
        x, kernel = (np.full(shape, 3, dtype) for shape, dtype in zip(shapes, types))
        for name, method in product(("convolve", "correlate"), ("auto", "direct", "fft", "none")):
            as_scipys(name, x, kernel, mode, method)
        for name, axes in product(("fftconvolve", "oaconvolve"), (None, 0, -1, 5)):
            as_scipys(name, x, kernel, mode, axes)
        for name, boundary in product(("convolve2d", "correlate2d"), ("fill", "wrap", "symm", "none")):
            if mode != "full" or x.size > 0 or boundary in ("fill", "none"):  # else SciPy divides by 0 and crashes
                as_scipys(name, x, kernel, mode, boundary, 2)


def test_no_samples_of_a_plane_have_no_boundary():
    for name, boundary in product(("convolve2d", "correlate2d"), ("wrap", "symm")):
        with pytest.raises(ValueError, match="x has no samples"):
            getattr(convnd.signal, name)(np.ones((0, 3)), np.ones((2, 2)), boundary=boundary)
    for name, kernel in product(("convolve2d", "correlate2d"), ([[1, 2j], [3, np.inf]], [[1, 2], [3, 4j]])):
        theirs = getattr(signal, name)(np.ones((0, 3)), kernel, fillvalue=2)
        np.testing.assert_array_equal(getattr(convnd.signal, name)(np.ones((0, 3)), kernel, fillvalue=2), theirs)


@pytest.mark.parametrize("shape, axis", [((0,), -1), ((0, 3), 0), ((0, 3), 1), ((2, 0), 1), ((0, 0), 1), ((), -1)])
def test_upfirdn_of_no_samples_is_scipys(shape, axis):
    for mode, taps, up, down in product(("constant", "wrap", "line"), (1, 2, 5, 6), (1, 2, 3), (1, 3, 7)):
        x, h = np.ones(shape, "f4"), np.arange(1.0, taps + 1)
        if mode == "constant" or shape == () or 0 in np.delete(shape, axis) or taps <= up:
            as_scipys("upfirdn", h, x, up, down, axis, mode, 2)
        else:  # SciPy reads what is not there, or crashes
            with pytest.raises(ValueError, match=f"mode '{mode}' extends x by its samples, but axis {axis} of x has"):
                convnd.signal.upfirdn(h, x, up, down, axis, mode)


def test_nan_stays_in_its_windows():
    x = np.zeros((30, 30), np.float32)
    x[15, 15] = np.nan
    assert np.isnan(convnd.ndimage.uniform_filter(x, 3)).sum() == 9
    assert np.isnan(convnd.signal.fftconvolve(x, np.ones((3, 3)), "same")).sum() == 9


@pytest.mark.parametrize("module", ["ndimage", "signal"])
def test_other_names_are_answered(module):
    with pytest.raises(AttributeError, match=rf"convnd.{module} has no 'median_filter': of scipy.{module} there are c"):
        getattr(getattr(convnd, module), "median_filter")  # noqa: B009
    assert dir(getattr(convnd, module)) == getattr(convnd, module).__all__


@pytest.mark.parametrize(
    "error, call",
    [
        (RuntimeError, lambda m: m.gaussian_filter(np.ones((3, 3)), (1, 2, 3))),
        (RuntimeError, lambda m: m.gaussian_filter(np.ones(3, np.float16), 1)),
        (RuntimeError, lambda m: m.correlate(np.ones((3, 3)), [1, 2])),
        (RuntimeError, lambda m: m.correlate1d(np.ones((3, 3)), [])),
        (RuntimeError, lambda m: m.correlate(np.ones(3), [1], mode="edge")),
        (RuntimeError, lambda m: m.correlate(np.ones(3), [1], output=np.ones(4))),
        (RuntimeError, lambda m: m.uniform_filter1d(np.ones(3), 0)),
        (RuntimeError, lambda m: m.uniform_filter(np.ones(3, complex), 1, output=np.ones(3))),
        (ValueError, lambda m: m.gaussian_filter(np.ones(3), 1, radius=-1)),
        (ValueError, lambda m: m.gaussian_filter(np.ones(3), 1, axes=2)),
        (ValueError, lambda m: m.convolve(np.ones(3), [1j], mode="constant", cval=1j)),
        (ValueError, lambda m: m.sobel(np.ones(3), axis=1)),
    ],
)
def test_errors_are_scipys(error, call):
    for module in (ndimage, convnd.ndimage):
        with pytest.raises(error):
            call(module)


@pytest.mark.parametrize("mode", [None, 3, "bad", b"wrap", {"a": 1}, ["bad", "wrap"], [None, "wrap"], [["wrap"]] * 2])
@pytest.mark.parametrize("name", FILTERS)
def test_modes_that_there_are_not(name, mode):
    for module, x in product((ndimage, convnd.ndimage), (samples("f4"), samples("u1"), np.ones((0, 3)))):
        with pytest.raises(RuntimeError):
            getattr(module, name)(x, *FILTERS[name], mode=mode)


@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_modes_are_looked_at_without_axes(name):
    for module, mode in product((ndimage, convnd.ndimage), (None, "bad", ["wrap"])):
        with pytest.raises(RuntimeError):
            getattr(module, name)(np.array(2.0), np.array(3.0), mode=mode)
        with pytest.raises(RuntimeError):
            getattr(module, name)(np.ones(4), np.array(3.0), mode=mode, axes=())


@pytest.mark.slow
def test_scipys_own_tests_of_filters_pass():
    """In a process of their own, where our functions take the place of SciPy's."""
    script = Path(__file__).parents[1] / "scipys_own.py"
    command = [sys.executable, script, "-q", "-k", "test_filters or test_upfirdn"]
    run = subprocess.run(command, capture_output=True, text=True)
    if "installed without its tests" in run.stderr:
        pytest.skip(run.stderr.strip())
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
