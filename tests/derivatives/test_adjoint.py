"""A plan's transposes, as a map of x and as a map of its kernel: `<plan(x), y>` is what either says it is."""

import threading

import numpy as np
import pytest

from convnd import plan
from convnd.derivatives import gradient_plans, kernel_gradient
from support import oracle
from support.check import TOLERANCE, integers, reals, same
from support.strategies import outer


def inner(a, b):
    """Of whole numbers, exactly: the sum of ``conj(a) * b``."""
    return np.vdot(a.astype(complex), b.astype(complex))


def transposes_hold(x, kernel, y=None, **options):
    """Both transposes of a plan, and that they are ones of what the oracle computes."""
    expected = oracle.convnd(x, kernel, **{name: value for name, value in options.items() if name != "workers"})
    y = integers(expected.shape, expected.dtype, seed=2) if y is None else y
    made = plan(x, kernel, **options)
    before = x.copy(), kernel.copy(), y.copy()
    back, weights = made.adjoint(y), made.kernel_gradient(x, y)
    assert (back.shape, weights.shape) == (x.shape, kernel.shape)
    assert inner(x, back) == inner(expected, y)
    assert inner(kernel, weights) == inner(expected, y)
    for given, own in zip((x, kernel, y), before):
        same(given, own)
    return back, weights


# --- types and memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x, kernel, y, back, weights",
    [
        ("int16", "int8", "int32", "int64", "int64"),
        ("uint8", "uint8", "bool", "uint64", "uint64"),
        ("float16", "float16", "float16", "float16", "float16"),
        ("uint8", "float32", "int8", "float32", "int64"),
        (">f4", ">f8", ">i2", "float64", "float32"),
        ("float32", "complex64", "complex64", "complex64", "complex64"),
        ("complex64", "complex128", "float32", "complex128", "complex64"),
    ],
)
def test_types(x, kernel, y, back, weights):
    given = integers((4, 9, 8), x, largest=2), integers((4, 2, 3), kernel, seed=1, largest=2)
    values = integers((12, 10), y, seed=2, largest=2)
    found = transposes_hold(*given, values, channel_axis=0, padding=2, boundary="reflect")
    assert [str(value.dtype) for value in found] == [back, weights]


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.complex128])
@pytest.mark.parametrize("shape", [(), (3, 4)])
def test_a_kernel_of_no_axes(shape, dtype):
    x, y = integers(shape, dtype), integers(shape, dtype, seed=1)
    made = plan(x, np.array(3, dtype), axes=())
    same(made.adjoint(y), (3 * y).astype(made.dtype))
    same(made.kernel_gradient(x, y), (x.conj() * y).sum(dtype=made.dtype).reshape(()))


def test_sums_wrap_as_those_of_the_call_do():
    x, kernel, y = (integers(n, np.int64, seed, largest=2**62) for n, seed in ((40, 0), (5, 1), (36, 2)))
    made = plan(x, kernel, convention="correlation")
    same(made.kernel_gradient(x, y), np.array([(x[t : t + 36] * y).sum() for t in range(5)]))
    same(made.adjoint(y), np.convolve(y, kernel))


@pytest.mark.parametrize("boundary", [
    ("edge", "wrap"), ("constant", "reflect"), (("edge", "constant"), ("wrap", "wrap")),
    (("symmetric", "wrap"), ("constant", "edge")), (("wrap", "edge"), ("reflect", "symmetric")),
])  # fmt: skip
@pytest.mark.parametrize("geometry", [
    {"padding": 2}, {"padding": ((9, 1), (0, 25)), "stride": (1, 2)}, {"padding": "full", "dilation": (2, 3)},
    {"padding": 3, "upsample": (2, 3), "stride": 2}, {"padding": "same", "axes": (2, 1)},
])  # fmt: skip
def test_boundaries_of_each_axis_and_end(tuning, geometry, boundary):
    for dtype in "int16", "float32":
        x, kernel = integers((3, 6, 5), dtype), integers((3, 4), dtype, seed=1)
        transposes_hold(x, kernel, **{"axes": (1, 2), "boundary": boundary, **geometry})
        bank = integers((2, 3, 3, 4), dtype, seed=1)
        if "axes" not in geometry:
            transposes_hold(x, bank, channel_axis=0, boundary=boundary, **geometry)


# --- methods, tiles, bits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["separable", "fft"])
@pytest.mark.parametrize("boundary", ["constant", "symmetric"])
def test_the_adjoint_runs_by_the_plans_method(tuning, method, boundary):
    x = reals((40, 50), np.float32)
    kernel = outer(reals(7, np.float32, seed=1), reals(9, np.float32, seed=2))
    options = {"padding": 5, "boundary": boundary, "stride": (1, 2)}
    made, direct = (plan(x, kernel, method=name, **options) for name in (method, "direct"))
    y = reals(made.output_shape, np.float32, seed=3)
    error = np.abs(made.adjoint(y) - direct.adjoint(y)).max()
    assert error <= 4 * TOLERANCE[np.float32] * np.abs(kernel).sum() * np.abs(y).max()
    error = np.abs(made.kernel_gradient(x, y) - direct.kernel_gradient(x, y)).max()
    assert error <= 4 * TOLERANCE[np.float32] * np.abs(x).max() * np.abs(y).sum()
    same(plan(x, kernel, method=method, workers=1, **options).kernel_gradient(x, y), made.kernel_gradient(x, y))
    x[0, 0] = np.nan  # what transforms cannot hold is summed directly
    same(made.kernel_gradient(x, y), direct.kernel_gradient(x, y))


LARGE = {  # of several tiles
    "a line": ((3000,), (9,), {}),
    "a long line": ((3000,), (200,), {}),
    "an image": ((60, 70), (5, 7), {}),
    "an image, strided": ((60, 71), (5, 7), {"stride": (2, 3)}),
    "an image, upsampled": ((30, 31), (5, 7), {"upsample": (2, 3), "stride": (3, 1)}),
    "a batch": ((40, 50), (3,), {"axes": 0}),
    "a scan": ((12, 13, 34), (3, 3, 3), {}),
    "a bank": ((8, 30, 31), (64, 8, 3, 3), {"channel_axis": 0}),
    "a bank, strided": ((8, 30, 31), (32, 8, 3, 3), {"channel_axis": 0, "stride": (3, 2), "dilation": (1, 3)}),
    "a bank, upsampled": ((24, 12, 13), (32, 24, 5, 3), {"channel_axis": 0, "upsample": (2, 3)}),
    "a bank, in groups": ((12, 13, 16), (3, 3, 8, 62), {"channel_axis": -1, "groups": 2}),
    "few filters": ((6, 30, 31), (4, 6, 3, 3), {"channel_axis": 0}),
    "groups": ((30, 31, 6), (3, 3, 3, 24), {"channel_axis": -1, "groups": 2}),
    "many filters of one channel": ((1, 900), (96, 1, 3), {"channel_axis": 0}),
}
CUTS = {  # what is patched; which axis of the sums then has several tasks
    "tiles": ({}, 0),
    "filters": ({"_SUMS_BYTES": 1, "_SUMS_OF_SAMPLE": 1}, 3),
    "small tiles": ({"_OUTPUTS": 50}, 0),
    "line by line": ({"_LINE_PRICE": 0}, 0),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("case", LARGE)
def test_however_the_work_is_cut(tuned, monkeypatch, case, cut):
    shape, taps, options = LARGE[case]
    options = {"padding": "same", "boundary": "reflect", **options}
    x, kernel = integers(shape, np.float32, largest=2), integers(taps, np.float32, seed=1, largest=2)
    plain = transposes_hold(x, kernel, **options)[1]
    constants, tasks = CUTS[cut]
    made, lay_out = [], kernel_gradient.plan
    for setting in "default", "tiny":
        with tuned(setting, small_gradient=1, gradient_outputs=1):
            for name, value in constants.items():
                monkeypatch.setattr(gradient_plans, name, value)
            spy = lambda *about: made.append((about[0], lay_out(*about))) or made[-1][1]  # noqa: E731
            monkeypatch.setattr(kernel_gradient, "plan", spy)
            own = plan(x, kernel, **options)
            same(own.kernel_gradient(x, integers(own.output_shape, np.float32, seed=2)), plain)
            monkeypatch.undo()
    assert len(made) == 2
    for problem, own in made:
        is_divided = own.shape[tasks] > 1
        assert is_divided or (tasks == 3 and (problem.branch_channels == 1 or "groups" in case))


def test_lines_are_shifted_along_the_last_axis_and_the_one_before(tuned, monkeypatch):
    """Where there are few filters; with many they belong to filters."""
    seen, choose = [], gradient_plans.block_of
    monkeypatch.setattr(gradient_plans, "block_of", lambda *about: seen.append(choose(*about)) or seen[-1])
    for shape, taps, options in (
        ((300,), (64,), {}),
        ((30, 31), (9, 2), {}),
        ((4, 300), (5, 4, 9), {"channel_axis": 0}),
    ):
        with tuned("default"):  # with nothing remembered
            transposes_hold(integers(shape, np.float32), integers(taps, np.float32, seed=1), padding="same", **options)
    (_, line, columns, _, step), (_, image, _, axis, one), (filters, bank, *_) = seen
    assert line > 1 and step == columns > 1
    assert image > 1 and (axis, one) == (0, 1)
    assert bank == 1 and filters > 1


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_a_line_has_the_bits_that_it_has_in_a_batch(dtype):
    """What the boundary folds onto a sample is added up in one order."""
    for taps in 5, 21, 64, 301:
        kernel, options = reals((taps,), np.float32), {"padding": "full", "boundary": "edge", "method": "direct"}
        y = reals((3, 400 + taps - 1), dtype, seed=taps)
        together = plan(np.zeros((3, 400), dtype), kernel, axes=1, **options).adjoint(y)
        columns = plan(np.zeros((400, 3), dtype), kernel, axes=0, **options).adjoint(np.ascontiguousarray(y.T))
        for i in range(3):
            alone = plan(np.zeros(400, dtype), kernel, **options).adjoint(y[i].copy())
            same(together[i], alone)
            same(columns[:, i], alone)


def test_threads_share_a_plan_and_its_transpose():
    x, kernel = integers((60, 70), np.float32), integers((5, 5), np.float32, seed=1)
    made = plan(x, kernel, padding="same", boundary="wrap")
    y = integers(made.output_shape, np.float32, seed=2)
    expected, results = transposes_hold(x, kernel, y, padding="same", boundary="wrap"), []
    call = lambda: results.append((made.adjoint(y), made.kernel_gradient(x, y)))  # noqa: E731
    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        same(result[0], expected[0])
        same(result[1], expected[1])


# --- NaN and infinity ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_infinities_of_both_signs_warn_no_one(tuning):
    """Where NumPy adds up what compiled code has summed."""
    made = plan(np.empty(400, np.float32), np.ones(1, np.float32), padding=1, boundary="reflect")
    x, y = np.ones(400, np.float32), np.ones(402, np.float32)
    x[5], x[300], y[0], y[2] = np.inf, -np.inf, np.inf, -np.inf  # the second sample supplies both outputs
    assert np.isnan(made.adjoint(y)).nonzero()[0].tolist() == [1]
    assert np.isnan(made.kernel_gradient(x, np.ones_like(y))).all()


# --- errors, and SciPy's view -------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["adjoint", "kernel_gradient"])
@pytest.mark.parametrize(
    "y, error, words",
    [
        (np.ones((6, 8)), ValueError, r"y has shape \(6, 8\) .*\(6, 7\)"),
        (np.ones((1, 6, 7)), ValueError, r"y has shape \(1, 6, 7\)"),
        (7.0, ValueError, r"y has shape \(\)"),
        (np.full((6, 7), None), TypeError, "y has dtype object"),
        (np.full((6, 7), "a"), TypeError, "y has dtype <U1"),
        (np.ones((6, 7), np.longdouble), TypeError, "y has dtype"),
        ([[1, 2], [3]], ValueError, "y is not a regular array"),
    ],
)
def test_errors_name_y(function, y, error, words):
    made = plan(np.ones((8, 9)), np.ones((3, 3)))
    with pytest.raises(error, match=words):
        getattr(made, function)(*[np.ones((8, 9))][: function == "kernel_gradient"], y)


def test_errors_name_x():
    made = plan(np.ones((8, 9)), np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"x has shape \(9, 8\)"):
        made.kernel_gradient(np.ones((9, 8)), np.ones((6, 7)))
    with pytest.raises(ValueError, match="x has dtype float32"):
        made.kernel_gradient(np.ones((8, 9), np.float32), np.ones((6, 7)))


def test_a_plan_that_raises_for_nan_looks_at_x_alone():
    made = plan(np.ones(4), np.ones(2), nan_policy="raise")
    x, y = np.array([1, np.nan, 2, 3]), np.array([1, np.nan, 2])
    assert np.isnan(made.adjoint(y)).tolist() == [False, True, True, False]
    assert np.isnan(made.kernel_gradient(np.ones(4), y)).all()
    with pytest.raises(ValueError, match=r"x holds NaN, at index \(1,\) first"):
        made.kernel_gradient(x, np.ones(3))


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_least_squares_recover_a_signal(dtype):
    linalg = pytest.importorskip("scipy.sparse.linalg")
    x, kernel = integers((6, 7), dtype), reals((4, 5), dtype, seed=1)
    made = plan(x, kernel, padding="full")
    operator = made.as_linear_operator()
    assert operator.shape == (9 * 11, 6 * 7) and operator.dtype == dtype
    y = made(x).ravel()
    same(operator @ x.ravel(), y)
    same(operator.H @ y, made.adjoint(y.reshape(9, 11)).ravel())
    found = linalg.lsqr(operator, y, atol=1e-14, btol=1e-14, iter_lim=1000)[0]
    np.testing.assert_allclose(found.reshape(x.shape), x, atol=1e-8)


def test_the_linear_operator_is_linear():
    pytest.importorskip("scipy.sparse.linalg")
    x, kernel = np.ones(9), np.ones(3)
    with pytest.raises(ValueError, match=r"fill_value is 2.*linear"):
        plan(x, kernel, padding=1, fill_value=2).as_linear_operator()
    with pytest.raises(ValueError, match=r"fill_value is 2.*linear"):
        plan(x, kernel, padding=1, fill_value=2, boundary=(("wrap", "constant"),)).as_linear_operator()
    plan(x, kernel, padding=1, fill_value=2, boundary=(("wrap", "edge"),)).as_linear_operator()  # plays no part
    for types in (np.int64, np.int64, None), (np.int8, np.float32, None), (float, float, np.int16):
        with pytest.raises(ValueError, match="only floating"):
            plan(x.astype(types[0]), kernel.astype(types[1]), dtype=types[2]).as_linear_operator()


@pytest.mark.parametrize("padding", ["same", ((3, 1), (0, 4)), ((0, 4), (4, 0))])
@pytest.mark.parametrize("boundary", ["wrap", ("wrap", "reflect"), ("constant", "wrap")])
def test_around_a_circle_the_transpose_wraps_too(tuning, boundary, padding):
    x, kernel = integers((20, 31), np.float64), integers((5, 5), np.float64, 1)
    own = plan(x, kernel, padding=padding, boundary=boundary)
    y = integers(own.output_shape, np.float64, 2)
    found = own.adjoint(y)
    assert (found == oracle.adjoint(x, kernel, y, padding=padding, boundary=boundary)).all()
    if boundary == "wrap":
        ((_, whole),) = own._transposes.get(y.dtype)
        assert whole.output_shape == x.shape  # nothing is folded


def test_the_adjoint_is_written_to_out(tuning):
    x, kernel = integers((20, 31), np.float32), integers((4, 5), np.float32, 1)
    for boundary in ("constant", "reflect"):
        own = plan(x, kernel, padding="same", boundary=boundary)
        y = integers((20, 31), np.float32, 2)
        expected, out = own.adjoint(y), np.full((20, 31), np.nan, np.float32)
        assert own.adjoint(y, out=out) is out
        assert (out == expected).all()
        assert own.adjoint(y, out=y) is y  # it may overlap
        assert (y == expected).all()
    with pytest.raises(ValueError, match=r"out has shape \(3,\) but the result has shape \(20, 31\)"):
        own.adjoint(y, out=np.empty(3, np.float32))
    with pytest.raises(ValueError, match="out has dtype float64 but the result has float32"):
        own.adjoint(y, out=np.empty((20, 31)))


@pytest.mark.parametrize("weight", [np.nan, 1j * np.nan])
def test_a_nan_weight_reaches_the_samples_that_it_meets(weight):
    own = plan(np.empty(6), [1, weight, 1.0])
    found = own.adjoint(np.ones(4))
    assert np.isnan(found).tolist() == [False, True, True, True, True, False]
    assert found[[0, 5]].tolist() == [1, 1]
    bank = np.ones((2, 1, 3))
    bank[1, 0, 2] = np.nan  # flipped: the first sample of each window of the second filter
    found = plan(np.empty((1, 6)), bank, channel_axis=0, padding=1, boundary="edge").adjoint(np.ones((2, 6)))
    assert np.isnan(found).tolist() == [[True] * 5 + [False]]


def with_infinities(shape, dtype, seed, share):
    """Whole numbers, a share of whose real and imaginary parts are infinite, and every tenth of these NaN."""
    values, rng = integers(shape, dtype, seed, largest=3), np.random.default_rng(seed)
    for plane in (values.real, values.imag)[: 1 + (values.dtype.kind == "c")]:
        chosen = rng.random(shape) < share
        plane[chosen] = rng.choice([np.inf, -np.inf, np.nan], chosen.sum(), p=[0.45, 0.45, 0.1])
    return values


def same_planes(found, expected):
    """A complex NaN of NumPy's does not say which of its planes is one."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found.real, expected.real)
    np.testing.assert_array_equal(found.imag, expected.imag)


def test_zeros_outside_y_meet_no_infinite_weight():
    assert plan(np.zeros(4), [np.inf, np.inf]).adjoint([1, 1, 1]).tolist() == [np.inf] * 4
    assert np.isnan(plan(np.zeros(4), [np.inf, np.inf]).adjoint([0, 1, 1])).tolist() == [True, True, False, False]


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
@pytest.mark.parametrize("boundary", ["constant", "wrap", (("edge", "constant"), ("reflect", "symmetric"))])
@pytest.mark.parametrize("geometry", [
    {}, {"padding": "same"}, {"padding": "full", "stride": (1, 2)}, {"padding": ((9, 1), (0, 25)), "stride": (3, 1)},
    {"padding": "full", "dilation": (2, 3), "stride": 2}, {"padding": 3, "upsample": (2, 3), "stride": 2},
    {"padding": "same", "axes": (2, 1), "convention": "correlation"},
])  # fmt: skip
def test_infinite_weights_meet_the_outputs_that_exist(tuning, geometry, boundary, dtype):
    options = {"axes": (1, 2), "boundary": boundary, **geometry}
    x = np.zeros((3, 8, 7), dtype)
    for seed, shares in enumerate([(0.1, 0), (0.3, 0), (1, 0), (0.1, 0.05)]):
        kernel = with_infinities((3, 4), dtype, seed, shares[0])
        own = plan(x, kernel, **options)
        y = with_infinities(own.output_shape, dtype, seed + 10, shares[1])
        same_planes(own.adjoint(y), oracle.adjoint(x, kernel, y, **options))


@pytest.mark.parametrize("shape, taps, options", [
    ((4, 9, 8), (6, 2, 3, 3), {"channel_axis": 0, "groups": 2, "padding": "same", "boundary": "edge"}),
    ((9, 8, 4), (3, 3, 4, 2), {"channel_axis": -1, "padding": "full", "stride": (2, 1)}),
    ((4, 9, 8), (4, 2, 3), {"channel_axis": 0}),
    ((5, 4, 30), (3, 4, 3), {"channel_axis": 1, "axes": -1, "padding": 1}),
])  # fmt: skip
def test_infinite_weights_of_channels(tuning, shape, taps, options):
    for kernel_type, y_type in (np.float64, np.float64), (np.float32, np.int16), (np.complex64, np.complex64):
        x, kernel = np.zeros(shape, kernel_type), with_infinities(taps, kernel_type, 1, 0.1)
        own = plan(x, kernel, **options)
        y = integers(own.output_shape, y_type, 2)
        same_planes(own.adjoint(y), oracle.adjoint(x, kernel, y, **options))


def test_planes_of_complex_numbers_meet_real_infinities_alone():
    """Where either is real: a complex product would add infinite times an imaginary part of 0."""
    own = plan(np.zeros(4), [complex(np.inf, 1), 2j], convention="correlation")
    same_planes(own.adjoint([1.0, 2, 1]), np.array([np.inf - 1j, np.inf - 4j, np.inf - 5j, -2j]))
    own = plan(np.zeros(4, complex), [np.inf, 2.0], convention="correlation")
    both = complex(np.inf, np.inf)
    same_planes(own.adjoint([np.inf + 1j, 1 + 1j, 1 + 1j]), np.array([both, both, both, 2 + 2j]))
