"""The data the tests convolve, and how a result is compared with the oracle's."""

import numpy as np

from support import oracle

# For real-valued data: error of a result, relative to the bound sum |kernel| * max |x| (for all channels summed).
TOLERANCE = {
    np.float16: 2**-10,  # summed in float32, rounded once
    np.float32: 2**-21,
    np.float64: 2**-50,
    np.complex64: 2**-20,
    np.complex128: 2**-49,
}

REAL = [np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
REAL += [np.float16, np.float32, np.float64]
DTYPES = [*REAL, np.complex64, np.complex128]


def integers(shape, dtype=np.float64, seed=0, largest=4):
    """Whole numbers of any dtype, at most `largest` in size: sums of them are exact, so tests compare with ==."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    lowest = 0 if dtype.kind in "bu" else -largest
    values = rng.integers(lowest, largest, size=shape, endpoint=True)
    if dtype.kind == "b":
        return values > largest // 2
    if dtype.kind == "c":
        return (values + 1j * rng.integers(lowest, largest, size=shape, endpoint=True)).astype(dtype)
    return values.astype(dtype)


def reals(shape, dtype=np.float64, seed=0):
    """Real-valued (normal) data of a floating dtype."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    values = rng.standard_normal(shape)
    return (values + 1j * rng.standard_normal(shape) if dtype.kind == "c" else values).astype(dtype)


def rounding(shape, dtype=np.float64, seed=0):
    """Data of any dtype; sums of it round where they can."""
    return (reals if np.dtype(dtype).kind in "fc" else integers)(shape, dtype, seed)


def same(result, expected):
    """Shape, dtype and every value are equal, where NaN equals NaN (the signs of zeros are free)."""
    assert isinstance(result, np.ndarray)
    about = isinstance(expected, np.ndarray) and (expected.shape, expected.dtype)
    if (result.shape, result.dtype) != about or result.tobytes() != expected.tobytes():  # which is a quick answer
        np.testing.assert_array_equal(result, expected, strict=True)


def check(x, kernel, *, out=None, workers=None, method="auto", **options):
    """Run convnd, require the oracle's answer, return it: with ==, but floating sums of other methods within rounding.

    `x` and `kernel` hold whole numbers.
    """
    from convnd import convnd, plan

    x, kernel = np.asanyarray(x), np.asanyarray(kernel)
    types = options if out is None else {**options, "dtype": out.dtype}
    expected = oracle.convnd(x, kernel, **types)
    before = x.copy(), kernel.copy()
    ran = plan(x, kernel, out=out, workers=workers, method=method, **options).method
    result = convnd(x, kernel, out=out, workers=workers, method=method, **options)
    assert out is None or result is out
    if out is not None or not result.dtype.isnative:  # the byte order asked for is kept, or is the machine's
        assert result.dtype == np.dtype(options.get("dtype", result.dtype if out is None else out.dtype))
    agrees(result, expected, ran, *before, **options)
    if out is None or not np.may_share_memory(x, out):
        same(x, before[0])
    same(kernel, before[1])
    return result


def agrees(result, expected, method, x, kernel, **options):
    """The result of whole numbers is the expected one, with == but where floats were computed in another way."""
    native = expected.dtype.newbyteorder("=")
    result, expected = result.astype(native), expected.astype(native)
    if method == "direct" or result.dtype.kind in "biu" or {x.dtype.kind, kernel.dtype.kind} <= set("biu"):
        same(result, expected)
    else:
        near(result, expected, bound(x, kernel, **options))


def close(result, x, kernel, **options):
    """A floating result is within its dtype's tolerance of the oracle's."""
    near(result, oracle.convnd(x, kernel, **options), bound(x, kernel, **options))


def bound(x, kernel, fill_value=0, **_):
    """sum |kernel| * max |x|, of what is finite; no result is larger."""
    samples, weights, fill = (np.abs(np.asarray(a).astype(np.clongdouble)) for a in (x, kernel, fill_value))
    return weights.sum(where=np.isfinite(weights)) * max(
        a.max(initial=0, where=np.isfinite(a)) for a in (samples, fill)
    )


def near(result, expected, bound):
    """Shape and dtype are equal, NaN and infinities too; other values within the dtype's tolerance of `bound`."""
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    for part in ("real", "imag") if result.dtype.kind == "c" else ("real",):
        got, wanted = getattr(result, part), getattr(expected, part)
        finite = np.isfinite(wanted)
        same(np.where(finite, 0, got), np.where(finite, 0, wanted))
        error = np.abs(got[finite].astype(np.longdouble) - wanted[finite]).max(initial=0)
        assert error <= TOLERANCE[result.dtype.type] * bound
