"""``out = convolution + bias + beta * out``, in the working type, rounded once."""

import numpy as np
import pytest

import convnd
from convnd import convnd as convolve
from support import oracle
from support.check import integers
from support.strategies import LAYOUTS, WRITEABLE

PROBLEMS = {
    "1-D": ((300,), (7,), {"padding": "same"}),
    "1-D strided": ((90,), (5,), {"stride": 3, "boundary": "wrap", "padding": 4}),
    "2-D": ((19, 40), (3, 4), {"padding": "full", "boundary": "reflect"}),
    "2-D upsampled": ((9, 12), (3, 4), {"upsample": (2, 5), "padding": "same"}),
    "2-D batch": ((5, 12, 33), (3, 3), {"axes": (1, 2)}),
    "3-D": ((6, 9, 17), (3, 2, 3), {"padding": "same", "fill_value": 2}),
    "channels": ((3, 4, 9, 20), (6, 2, 3, 3), {"axes": (2, 3), "channel_axis": 1, "groups": 2, "padding": 1}),
    "channels last": ((9, 20, 3), (3, 3, 3, 37), {"channel_axis": -1, "padding": "same"}),
    "one filter": ((4, 30), (4, 5), {"channel_axis": 0}),
}


def expected(x, kernel, held, beta, bias, dtype, **options):
    """By the oracle and NumPy, of whole numbers."""
    exact = np.complex128 if np.dtype(dtype).kind == "c" else np.float64
    result = oracle.convnd(x.astype(exact), kernel.astype(exact), **options) + bias
    if beta:
        result = result + beta * held.astype(exact)
    if np.dtype(dtype).kind in "iu":
        result = np.clip(np.rint(result), np.iinfo(dtype).min, np.iinfo(dtype).max)
    return result.astype(dtype)


def arrays(name, dtype="float32"):
    shape, taps, options = PROBLEMS[name]
    x, kernel = integers(shape, dtype), integers(taps, dtype, seed=1, largest=2)
    return x, kernel, oracle.output_shape(shape, taps, **options), options


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("method", ["auto", "direct", "fft", "separable"])
def test_values(tuning, method, name):
    x, kernel, shape, options = arrays(name)
    if method == "separable":
        if "channel_axis" in options:
            pytest.skip("separable takes one channel")
        kernel = np.ones_like(kernel)
    for beta, bias in ((1, None), (-2, 3), (0, 5)):
        held = integers(shape, np.float32, 2)
        out = np.full_like(held, np.nan) if beta == 0 else held.copy()
        found = convolve(x, kernel, out=out, beta=beta, bias=bias, method=method, **options)
        assert found is out
        wanted = expected(x, kernel, held, beta, bias or 0, np.float32, **options)
        if method in ("fft", "separable"):  # which round
            assert np.allclose(out, wanted, atol=1e-4)
        else:
            assert (out == wanted).all()


@pytest.mark.parametrize("name", ["channels", "channels last"])
def test_a_bias_for_each_channel(tuning, name):
    x, kernel, shape, options = arrays(name)
    axis = options["channel_axis"] % len(shape)
    bias = np.arange(shape[axis])
    beside = bias.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    held = integers(shape, np.float32, 2)
    for beta in (0, 3):
        out = held.copy()
        convolve(x, kernel, out=out, beta=beta, bias=bias, **options)
        assert (out == expected(x, kernel, held, beta, beside, np.float32, **options)).all()
    assert (convolve(x, kernel, bias=bias, **options) == convolve(x, kernel, **options) + beside).all()


@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "uint8", "int64", "complex64", ">f4", ">i2"])
def test_types(dtype):
    x, kernel, shape, options = arrays("2-D", "complex64" if dtype == "complex64" else "float32")
    held = integers(shape, dtype, 2)
    out = held.copy()
    convolve(x, kernel, out=out, beta=2, bias=-1, **options)
    assert out.dtype == dtype
    assert (out == expected(x, kernel, held, 2, -1, dtype, **options)).all()


def test_whole_numbers_are_exact_and_saturate():
    x, kernel = integers((20, 30), np.uint8, largest=255), integers((3, 3), np.int8, 1)
    total = convolve(x, kernel)
    for dtype in ("int64", "int16", "uint8"):
        out = np.full(total.shape, 100, dtype)
        convolve(x, kernel, out=out, beta=-3, bias=2**20)
        info = np.iinfo(dtype)
        assert (out == np.clip(total + 2**20 - 300, info.min, info.max)).all()


@pytest.mark.parametrize("weight", [1, -1])
@pytest.mark.parametrize("dtype", ["int32", ">i4", "int64", ">i8", "uint32", ">u8"])
def test_whole_numbers_are_exact_in_every_result(dtype, weight):
    """Also where sums without a bias would be exact in float32."""
    x, info, bias = np.array([1, 2, 3], np.uint8), np.iinfo(dtype), 2**25 + 1
    kernel = np.array([weight], np.int8 if weight < 0 else np.uint8)
    for held in (0, 2**25, 2**30 + 1, min(info.max, 2**63 - 1) - 2, -(2**30) - 1 if weight < 0 > info.min else 5):
        out = np.full(3, held, dtype)
        convolve(x, kernel, out=out, beta=1)
        assert out.tolist() == [min(max(weight * v + held, info.min), info.max) for v in (1, 2, 3)]
    assert convolve(x, kernel, dtype=dtype, bias=bias).tolist() == [weight * v + bias for v in (1, 2, 3)]


@pytest.mark.parametrize("stored", ["uint8", "uint32", "uint64"])
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", ">i8"])
def test_unsigned_sums_saturate_beside_a_bias_and_what_out_holds(stored, dtype):
    info, x = np.iinfo(dtype), np.array([0, 7, np.iinfo(stored).max], stored)
    for bias, beta in (1, 0), (0, 1), (2**63, 1), (5, 3):
        for held in (0, 9, -1, -9, info.min // max(1, beta), info.max // max(1, beta)):
            for method in "auto", "direct", "fft":
                out = np.full(3, held, dtype)
                convolve(x, np.uint8([2]), out=out, beta=beta, bias=bias, method=method)
                # Unsigned sums are modulo 2^64; what out holds may lead below 0.
                sums = [(2 * v + bias + beta * max(held, 0)) % 2**64 + beta * min(held, 0) for v in x.tolist()]
                assert out.tolist() == [min(max(total, info.min), info.max) for total in sums]
    out = np.array(-5, dtype)
    convolve(np.array(3, stored), np.uint8(1), out=out, beta=1)
    assert out == -2


@pytest.mark.parametrize("options", [{"bias": 1}, {"nan_policy": "omit"}])
def test_sums_are_exact_whatever_kernel_came_before(options):
    x, kernel = integers((40,), np.uint8, largest=255), integers((3,), np.int64, 1)
    for factor in (1, 2**25 + 1, 2**50 + 1):  # sums of float32, float64, and int64
        assert (convolve(x, factor * kernel, **options) == convolve(x, factor * kernel) + options.get("bias", 0)).all()
    x, out = np.ones(9, np.int32), np.ones(9)
    convolve(x, np.array([2**23]), dtype=float, beta=0.5, out=out)
    assert (out == 2**23 + 0.5).all()


@pytest.mark.parametrize("layout", WRITEABLE)
def test_layouts_of_out(tuning, layout):
    x, kernel, shape, options = arrays("2-D")
    held = integers(shape, np.float32, 2)
    out = LAYOUTS[layout](held.copy())
    convolve(x, kernel, out=out, beta=2, bias=1, **options)
    assert (out == expected(x, kernel, held, 2, 1, np.float32, **options)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int16, np.bool_])
def test_a_complex_out_keeps_its_imaginary_part_beside_real_sums(dtype):
    x, kernel = integers((9, 11), dtype), integers((3, 3), np.float32 if dtype == np.float32 else np.int8, 1)
    held = integers((7, 9), np.complex64, 2)
    out = held.copy()
    convolve(x, kernel, out=out, beta=2, bias=1)
    assert (out == convolve(x, kernel, dtype=np.float64) + 1 + 2 * held).all()


def test_time_steps_in_place_and_over_x():
    x, kernel = integers((30, 31), np.float32), integers((3, 3), np.float32, 1, largest=2)
    wanted = convolve(x, kernel, padding="same") + 2 * x
    own = x.copy()
    assert convolve(own, kernel, padding="same", out=own, beta=2) is own
    assert (own == wanted).all()
    made, own = convnd.plan(x, kernel, padding="same", out=x, beta=2), x.copy()
    assert (made(own, own) == wanted).all()
    before, now = np.zeros_like(x), x.copy()
    for _ in range(3):  # u_next = K u - u_before
        before, now = now, convolve(now, kernel, padding="same", out=before, beta=-1)
    first = convolve(x, kernel, padding="same")
    second = convolve(first, kernel, padding="same") - x
    assert (now == convolve(second, kernel, padding="same") - first).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_tiles_with_subnormal_numbers_are_added_once(tuning, name, dtype):
    x, kernel, shape, options = arrays(name, dtype)
    options = {**options, "fill_value": 0}
    tiny = np.finfo(dtype).tiny / 8
    for factors in (tiny, 1), (1, tiny):
        out = np.full(shape, 3, dtype)
        convolve(x * x.dtype.type(factors[0]), kernel * x.dtype.type(factors[1]), out=out, beta=-2, bias=1, **options)
        assert (out == -5).all()


def test_every_call_has_its_own_factor_and_bias():
    x, kernel = integers(9, np.float32), integers(3, np.float32, 1)
    plain = convolve(x, kernel)
    for beta in (1, 2.5, 1, 0.25):
        for bias in (1, np.float32(2.5), [3], np.array(4.0)):
            bias = bias if np.ndim(bias) == 0 else bias[0]
            out = np.ones_like(plain)
            assert (convolve(x, kernel, out=out, beta=beta, bias=bias) == plain + bias + beta).all()


def test_missing_samples():
    x = integers((40, 50), np.float32)
    x[::7, ::5] = np.nan
    kernel, held = np.ones((3, 3), np.float32), integers((38, 48), np.float32, 2)
    out = held.copy()
    convolve(x, kernel, out=out, beta=2, bias=1, nan_policy="omit")
    assert np.allclose(out, convolve(x, kernel, nan_policy="omit") + 1 + 2 * held, rtol=1e-6)


def test_what_a_plan_says_of_derivatives():
    x, kernel = integers((9, 9), np.float64), integers((3, 3), np.float64, 1)
    made, plain = (convnd.plan(x, kernel, **own) for own in ({"bias": 3}, {}))
    y = integers((7, 7), np.float64, 2)
    assert (made.adjoint(y) == plain.adjoint(y)).all()
    assert (made.kernel_gradient(x, y) == plain.kernel_gradient(x, y)).all()
    with pytest.raises(ValueError, match="beta or a bias"):
        made.as_linear_operator()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"beta": 1}, "beta is 1, the factor of what out holds, but there is no out"),
        ({"beta": "a"}, "beta must be a number, but is 'a'"),
        ({"beta": 1j, "out": np.zeros(7)}, "beta must be real where x and kernel are real, but is 1j"),
        ({"bias": [1, 2]}, r"bias has shape \(2,\), but there are no output channels"),
        ({"bias": ["a"]}, "bias has dtype <U1, which is not numeric"),
        ({"delta": 1}, "it is bias"),
    ],
)
def test_errors(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        convolve(np.ones(9), np.ones(3), **options)


def test_a_plan_with_a_factor_needs_out():
    made = convnd.plan(np.ones(9), np.ones(3), out=np.zeros(7), beta=1)
    with pytest.raises(ValueError, match="no out"):
        made(np.ones(9))
    with pytest.raises(TypeError, match="beta must be a number"):
        convnd.plan(np.ones(9), np.ones(3), beta=np.ones(2))


def test_a_fraction_in_whole_numbers_is_refused():
    with pytest.raises(ValueError, match="beta must be a whole number"):
        convolve([1, 2, 3], [1, 1], out=np.zeros(2, int), beta=0.5)
