"""A plan is its call, made ready: the same bits for any array of its shape and type, and words that say what runs."""

import copy
import pickle
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import numpy as np
import pytest

from convnd import Plan, Stream, convnd, plan
from convnd.jit import parallel
from support.check import integers, reals, same
from support.strategies import LAYOUTS, outer

METHODS = ["auto", "direct", "separable", "fft"]
PROBLEMS = {
    "1-D": ((2, 500), (9,), {"axes": 1, "padding": "same", "boundary": "wrap"}),
    "2-D": ((60, 70), (5, 4), {"padding": 2, "stride": (1, 2), "fill_value": 2}),
    "3-D": ((15, 16, 17), (3, 2, 3), {"padding": "full", "axes": (2, 0, 1), "convention": "correlation"}),
    "RGB": ((40, 50, 3), (5, 4), {"axes": (0, 1), "padding": "same", "boundary": "reflect"}),
}


def arrays(problem, dtype=np.float32):
    shape, taps, options = PROBLEMS[problem]
    return reals(shape, dtype), outer(*(reals(k, dtype, seed=k) for k in taps)), options


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_plan_is_pickled_and_copied(method, problem):
    """The copy is made anew: the same words and bits, with the transpose and the derivative."""
    x, kernel, options = arrays(problem, np.complex64)
    x = x[..., ::-1]
    made = plan(x, kernel, method=method, **options)
    expected, y = made(x), None
    for again in pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made):
        assert str(again) == str(made) and again is not made
        same(again(x), expected)
        y = expected if y is None else y
        same(again.adjoint(y), made.adjoint(y))
        same(again.kernel_gradient(x, y), made.kernel_gradient(x, y))
        with pytest.raises(ValueError, match="x has shape"):
            again(x[:1])


def test_a_pickled_plan_holds_the_kernel_and_no_samples():
    x, out = np.empty((2000, 3000), np.float32), np.empty((2000, 3000), np.float64)
    made = plan(x, np.ones((3, 3)), padding="same", out=out, fill_value=2.0, workers=1)
    made.adjoint(np.ones((2000, 3000)))
    assert len(pickle.dumps(made)) < 4000
    again = pickle.loads(pickle.dumps(made))
    x[...], y = 1, np.empty_like(out)
    assert again(x, y) is y
    same(y, made(x))


def test_another_process_takes_a_plan_and_a_stream():
    x = reals((3, 50), np.float32)
    made, stream = plan(x, np.ones(5, np.float32), axes=1), Stream(np.ones(5, np.float32), axes=1, method="direct")
    parts = [stream.feed(x[:, :20])]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        same(pool.submit(made, x).result(timeout=120), made(x))
        parts.append(pool.submit(stream.feed, x[:, 20:]).result(timeout=120))
    same(np.concatenate(parts, axis=1), convnd(x, np.ones(5, np.float32), axes=1, method="direct"))


def test_an_exact_plan_keeps_its_type():
    """Of the sums that its kernel needs, whatever other kernels of the shape need."""
    x, kernel = integers((4, 20), np.int32, largest=2**31 - 1), np.array([2**40, 1, -(2**35)])
    made, expected = plan(x, kernel, axes=1), convnd(x, kernel, axes=1)
    for again in made, pickle.loads(pickle.dumps(made)):
        same(again(x), expected)
        same(again(np.asfortranarray(x)), expected)


def test_real_samples_among_complex_ones():
    """A complex fill value makes the samples complex, not those that a plan takes."""
    x = integers((8, 9), np.float32)
    made = plan(x, np.ones((3, 3), np.complex64), padding="same", fill_value=2j)
    expected = convnd(x, np.ones((3, 3), np.complex64), padding="same", fill_value=2j)
    for again in made, copy.copy(made):
        for layout in "C", "F", "reversed":
            same(again(LAYOUTS[layout](x)), expected)
        with pytest.raises(ValueError, match="x has dtype complex64 but the plan is for float32"):
            again(x.astype(np.complex64))
        same(again(memoryview(x)), expected)


def test_a_plan_does_not_know_later_changes_of_its_kernel(method):
    x, kernel, options = arrays("2-D")
    made, expected = plan(x, kernel, method=method, **options), convnd(x, kernel, method=method, **options)
    kernel[...] = 0
    same(made(x), expected)
    same(made(np.asfortranarray(x)).astype(bool), expected.astype(bool))  # another layout: made ready on its first call


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((np.ones((8, 10)),), r"x has shape \(8, 10\) but the plan is for \(8, 9\)"),
        ((np.ones((1, 8, 9)),), r"x has shape \(1, 8, 9\)"),
        ((np.ones((8, 9), np.float32),), "x has dtype float32 but the plan is for float64"),
        ((np.ones((8, 9), ">f8"),), "x has dtype >f8"),
        ((np.ones((8, 9)), np.zeros((8, 9))), r"out has shape \(8, 9\).* \(6, 7\)"),
        ((np.ones((8, 9)), np.zeros((6, 7), np.float32)), "out has dtype float32.* float64"),
        ((np.ones((8, 9)), np.broadcast_to(0.0, (6, 7))), "out is read-only"),
    ],
)
def test_errors_name_the_argument(method, arguments, words):
    made = plan(np.ones((8, 9)), np.ones((3, 3)), method=method)
    with pytest.raises(ValueError, match=words):
        made(*arguments)
    assert not any(out.any() for out in arguments[1:])


def test_errors_are_those_of_the_call():
    out = np.zeros(7)
    made = plan(np.ones(9), np.ones(3), out=out)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        made(np.ones(9), out)
    with pytest.raises(TypeError, match="out must be a numpy array"):
        plan(np.ones(9), np.ones(3))(np.ones(9), [0] * 7)
    with pytest.raises(TypeError, match="x has dtype object"):
        plan(np.ones(9), np.ones(3))([None] * 9)
    with pytest.raises(ValueError, match="padding"):
        plan(np.ones(9), np.ones(3), padding=-1)


def test_attributes(tuning, method):
    for problem in PROBLEMS:
        x, kernel, options = arrays(problem)
        made, result = plan(x, kernel, method=method, **options), convnd(x, kernel, method=method, **options)
        assert isinstance(made, Plan)
        assert made.method == method or method == "auto"
        assert made.method in made.estimates
        assert (made.output_shape, made.dtype) == (result.shape, result.dtype)
        assert made.flops > 0 and made.scratch_bytes > 0
        if made.method == "direct":
            assert made.flops == 2 * kernel.size * result.size
        for text in str(made), repr(made):
            assert made.method in text and str(made.output_shape) in text
        assert made.why in str(made) and 3 < len(str(made).splitlines()) < 12


@pytest.mark.parametrize("boundary, words", [
    ("edge", "edge"), (("wrap", "wrap"), "wrap"), (("edge", "wrap"), "edge along axis 1, wrap along axis 0"),
    ((("edge", "constant"), ("wrap", "wrap")), "edge before and constant after axis 1, wrap along axis 0"),
])  # fmt: skip
def test_the_boundary_of_each_axis_is_printed(boundary, words):
    x, kernel = np.ones((8, 9)), np.ones((3, 3))
    text = str(plan(x, kernel, axes=(1, 0), padding="same", boundary=boundary))
    assert f"boundary  {words}\n" in text
    assert "boundary" not in str(plan(x, kernel, boundary=boundary))  # nothing outside is read


@pytest.mark.parametrize("name", ["gaussian of floats", "box", "random", "Laplacian", "long line"])
def test_the_choice_is_a_pure_function(tuning, name):
    """Of the problem alone: neither samples nor what was asked before have a say."""
    lines = {"gaussian of floats": np.exp(-(np.linspace(-3, 3, 21) ** 2)), "box": np.ones(25)}
    kernels = {name: outer(line, line).astype(np.float32) for name, line in lines.items()}
    kernels |= {"random": reals((9, 9), np.float32), "long line": reals((300,), np.float32)}
    kernels["Laplacian"] = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], np.float32)
    kernel = kernels[name]
    axes = {own.ndim: tuple(range(-own.ndim, 0)) for own in kernels.values()}
    first = str(plan(np.zeros((500, 600), np.float32), kernel, axes=axes[kernel.ndim], padding="same"))
    for n, other in enumerate(kernels.values()):
        convnd(reals((50, 400 + n), np.float32), other, axes=axes[other.ndim], padding="same")
        again = plan(reals((500, 600), np.float32, n), kernel.copy(), axes=axes[kernel.ndim], padding="same")
        assert str(again) == first


@pytest.mark.parametrize("x, kernel, dtype, words", [
    ("f4", "f4", None, "float32"), ("f4", "f8", None, "float64: the kernel is float64"),
    ("f4", "c16", None, "float64: the kernel is complex128"), ("i4", "f4", None, "float64: x is int32 and the kernel"),
    ("f4", "f4", "f8", "float64: the result is float64"), ("f2", "f2", None, "float32: x is float16 and the kernel"),
    ("u1", "i2", None, "int16, exactly"), ("c8", "f4", None, "float32"),
])  # fmt: skip
def test_a_plan_says_what_raises_its_type(x, kernel, dtype, words):
    made = plan(np.empty((8, 9), x), np.ones((3, 3), kernel), dtype=dtype)
    assert f"\ncomputed in {words}" in str(made)


def test_what_notebooks_show():
    made = plan(np.empty((60, 70), np.float32), np.ones((3, 3)))
    assert repr(made).replace("\n  ", "\n") == f"<convnd.Plan {made}>"
    html = made._repr_html_()
    assert html.startswith("<table><caption>convnd.Plan float32 (60, 70) * float64 (3, 3) -&gt; float64 (58, 68)<")
    assert "<tr><th>computed</th><td>in float64: the kernel is float64</td></tr>" in html
    assert html.count("<tr>") == str(made).count("\n")


def test_what_auto_takes():
    """Few taps directly, outer products as such, many weights of no structure by transforms."""
    x, line = np.zeros((1000, 1000), np.float32), np.exp(-(np.linspace(-3, 3, 31) ** 2)).astype(np.float32)
    assert plan(x, reals((3, 3), np.float32), padding="same").method == "direct"
    assert plan(x, outer(line, line), padding="same").method == "separable"
    assert plan(x, reals((101, 101), np.float32), padding="same").method == "fft"
    assert plan(x[:9, :9], outer(line[:3], line[:3])).method == "direct"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sigma", [0.8, 1, 1.5, 3])
@pytest.mark.parametrize("rank", [2, 3])
def test_a_gaussian_is_one_line_along_each_axis(rank, sigma, dtype):
    """The rounding of its weights is no second term."""
    reach = int(4 * sigma + 0.5)
    squares = np.arange(-reach, reach + 1.0) ** 2
    line = np.exp(-squares / (2 * sigma**2))
    whole = np.exp(-sum(np.ix_(*[squares] * rank)) / (2 * sigma**2))
    for kernel in outer(*[line / line.sum()] * rank), whole / whole.sum():
        made = plan(np.empty((30,) * rank, dtype), kernel.astype(dtype), method="separable", padding="same")
        assert made.flops == 2 * len(line) * rank * 30**rank


def test_short_lines_are_one_transform():
    made = plan(np.empty(200, np.float32), np.ones(50, np.float32), method="fft")
    assert made.flops <= 2 * 5 * 256 * 8 + 6 * 256


@pytest.mark.skipif(sys.platform != "linux", reason="needs memory that is not there until it is touched")
def test_samples_are_not_read(method):
    """Arrays that no machine need hold are planned for."""
    import resource

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    plan(np.empty((400, 400), np.float32), np.ones((9, 9), np.float32), method=method, padding="same")
    before = peak()
    made = plan(np.empty((20_000, 20_000), np.float32), np.ones((9, 9), np.float32), method=method, padding="same")
    assert made.output_shape == (20_000, 20_000)
    assert made.scratch_bytes <= 64 * 2**20
    assert peak() - before < 200_000  # KiB


def test_many_threads_share_a_plan(tuning, method):
    """The first calls too, and those with another memory layout."""
    x, kernel, options = arrays("2-D")
    batch = [reals(x.shape, np.float32, seed) for seed in range(4)] * 4
    expected = [convnd(item, kernel, method=method, **options) for item in batch]
    made, results = plan(x, kernel, method=method, **options), [None] * len(batch)

    def call(n):
        layout = [np.ascontiguousarray, LAYOUTS["sliced"]][n // 4 % 2]
        for _ in range(20):
            results[n] = made(layout(batch[n]))

    threads = [threading.Thread(target=call, args=(n,)) for n in range(len(batch))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, result in enumerate(results):
        if n // 4 % 2 == 0:
            same(result, expected[n])
        else:  # memory layout may change the last bits
            np.testing.assert_allclose(result, expected[n], rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [20, 600])
@pytest.mark.parametrize("method", [*METHODS[1:], "winograd"])
def test_a_call_of_a_plan_compiles_nothing(monkeypatch, method, size):
    monkeypatch.setattr(parallel, "twin", cache(parallel.twin.__wrapped__))
    channels, options = ((24,), {"channel_axis": 0}) if method == "winograd" else ((), {})
    x, weights = np.ones((*channels, size, size), np.float32), np.ones((*channels * 2, 3, 3), np.float32)
    made = plan(x, weights, padding="same", method=method, **options)
    assert made.method == method

    def compiled(*_):
        raise AssertionError("the call compiles")

    monkeypatch.setattr(parallel, "compiled", compiled)
    made(x)
