"""Remembered calls: the bits of fresh ones, whatever came before, and no array or thread kept for them."""

import gc
import importlib
import sys
import threading
import weakref
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from convnd import convnd, plan
from convnd.problem.recent import OfArrays, Recent
from support import oracle
from support.check import integers, reals, same
from support.processes import run
from support.strategies import LAYOUTS, WRITEABLE

plans = importlib.import_module("convnd.plan")  # convnd.plan is the function

X, KERNEL = integers((13, 17), np.float32), integers((3, 4), np.float32, seed=1)


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    monkeypatch.setattr(plans, "_PLANS", Recent(plans._REMEMBERED))


def both(*arrays, **options):
    """The result of a fresh call, which a remembered one repeats bit for bit."""
    fresh, remembered = convnd(*arrays, **options), convnd(*arrays, **options)
    assert fresh.tobytes() == remembered.tobytes() and fresh.dtype == remembered.dtype
    assert fresh.strides == remembered.strides
    return fresh


def test_what_is_equal_need_not_mean_the_same():
    """1 == 1.0 == True, 0.0 == -0.0, and NaN differs from itself."""
    for name in ("stride", "dilation", "groups", "workers"):
        expected = both(X, KERNEL, **{name: 1})
        for wrong in (True, 1.0, 1 + 0j):
            with pytest.raises(TypeError, match=name):
                convnd(X, KERNEL, **{name: wrong})
        same(convnd(X, KERNEL, **{name: np.int8(1)}), expected)
    both(X, KERNEL, padding=((1, 0), (1, 0)), stride=(1, 1))
    for options in (
        {"padding": ((1, 0), (True, 0)), "stride": (1, 1)},
        {"padding": ((1, 0), (1, 0)), "stride": (1, 1.0)},
    ):
        with pytest.raises(TypeError):
            convnd(X, KERNEL, **options)
    with pytest.raises(TypeError):
        convnd(X, KERNEL, padding=1.0)

    x, kernel, pad = np.full((2, 3), -0.0, np.float32), np.ones(1, np.float32), {"axes": 1, "padding": ((1, 0),)}
    signs = [np.signbit(both(x, kernel, fill_value=fill, **pad)).sum() for fill in (0.0, -0.0, 0, False, -0.0, 0.0)]
    assert signs[0] == signs[2] == signs[3] == signs[5] and signs[1] == signs[4]
    for fill in (np.nan, float("nan"), 7, np.float64(7), np.inf, 7.0):
        same(both(X, KERNEL, padding=2, fill_value=fill), oracle.convnd(X, KERNEL, padding=2, fill_value=fill))
    assert len(plans._PLANS) < 36


@pytest.mark.parametrize("options", [
    {"padding": [(1, 0), [1, 0]]}, {"stride": [1, 2]}, {"stride": np.int64(2)}, {"fill_value": np.float32(2)},
    {"boundary": ["edge", "wrap"], "padding": "same"}, {"axes": [np.int8(0), 1], "dilation": np.array([2, 1])},
], ids=str)  # fmt: skip
def test_options_in_lists_and_of_numpys_types_are_remembered(options):
    assert len(plans._PLANS) == 0
    same(both(X, KERNEL, **options), oracle.convnd(X, KERNEL, **options))
    assert len(plans._PLANS) > 0


@pytest.mark.parametrize("dtype, weights", [
    (np.float16, ">f2"), (np.float32, np.float32), (np.float32, np.uint64), (">f8", np.complex64), (">i4", np.int16),
    (np.complex64, ">c16"), (np.complex128, np.bool_), (np.bool_, np.bool_), (np.int8, np.complex64),
    (np.uint16, np.uint64), (np.uint8, np.float64),
])  # fmt: skip
def test_every_call_packs_its_own_kernel(dtype, weights):
    x = integers((4, 9, 8), dtype)
    for seed in range(3):
        kernel = integers((2, 3), weights, seed=seed)
        for options in ({"axes": (1, 2), "padding": "same"}, {"convention": "correlation", "axes": (2, 0)}):
            expected = oracle.convnd(x, kernel, **options)
            same(convnd(x, kernel, method="direct", **options).astype(expected.dtype), expected)
    bank = integers((4, 2, 3, 2), weights, seed=3)
    for _ in range(2):
        expected = oracle.convnd(x, bank, channel_axis=0, groups=2)
        same(convnd(x, bank, method="direct", channel_axis=0, groups=2).astype(expected.dtype), expected)


def test_whole_numbers_take_the_type_that_holds_their_sums():
    x = integers((3, 20), np.int32, largest=2**31 - 1)
    for largest in (1, 2**20, 3, 2**40, 2**62, 1, 2**40):
        kernel = integers(5, np.int64, largest=largest)
        same(convnd(x, kernel, axes=1), oracle.convnd(x, kernel, axes=1))


def test_strides_come_and_go():
    expected = convnd(X, KERNEL, padding="same")
    for _ in range(2):
        for name, layout in LAYOUTS.items():
            if name != "zero stride":
                x, kernel = layout(X), layout(KERNEL)
                for arrays in ((x, KERNEL), (X, kernel), (x, kernel)):
                    same(convnd(*arrays, padding="same"), expected)
        for name in WRITEABLE:
            out = LAYOUTS[name](np.ones_like(expected))
            assert convnd(X, KERNEL, padding="same", out=out) is out
            same(out.astype(np.float32), expected)


def outcome(*arrays, **options):
    """What a call returns, as bytes, or its error."""
    try:
        result = convnd(*arrays, **options)
        return result.dtype, result.shape, result.strides, result.tobytes()
    except (TypeError, ValueError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("options", [
    {"padding": "same", "boundary": "reflect"}, {"stride": 2, "dilation": 3}, {"upsample": 2**17 + 1, "dilation": 2},
    {"axes": (2, 1)}, {"channel_axis": 0}, {"channel_axis": 0, "groups": 2}, {"channel_axis": 0, "method": "separable"},
    {"nan_policy": "omit", "padding": 1}, {"mask": True}, {"bias": 3, "fill_value": 1}, {"out": (2, 6, 7)},
    {"out": (6, 7)}, {"out": True, "beta": 2}, {"fill_value": 1j, "padding": 1},
])  # fmt: skip
def test_other_lengths_are_as_if_no_options_were_known(monkeypatch, options):
    """Results and errors alike; the kernels of later calls need other types for exact sums."""
    rank = 3 if options.keys() & {"axes", "channel_axis"} or options.get("out") == (2, 6, 7) else 2
    taps = (1, 1, 3, 3) if "groups" in options else (2, 3, 3)[-(2 if "axes" in options else rank) :]
    lengths = [(8, 9), (9, 8), (1, 9), (8, 2), (8, 0), (2**9, 3), (60, 70)]
    cases = [
        ((channels,) * (rank - 2) + own, scale) for own in lengths for channels in (2, 4, 0) for scale in (1, 2**20)
    ]
    for dtype in (np.float64, np.uint8):
        found = []
        for forgets in (True, False):
            for number, (shape, scale) in enumerate(cases):
                x, kernel = (
                    integers(shape, dtype, number, 3),
                    scale * integers(taps, np.int64, 1, 3).astype(dtype).astype(int),
                )
                own = dict(options)
                if "mask" in own:
                    own["mask"] = np.ones(shape, bool)
                if own.get("out"):
                    own["out"] = np.zeros(shape if own["out"] is True else own["out"], np.float64)
                if forgets:
                    monkeypatch.setattr(plans, "_PLANS", Recent(1))
                found.append(outcome(x, kernel, **own))
            monkeypatch.setattr(plans, "_PLANS", Recent(plans._REMEMBERED))
        assert found[: len(cases)] == found[len(cases) :]


def test_errors_are_raised_again_and_out_is_left():
    out = np.zeros((11, 14), np.float32)
    convnd(X, KERNEL, out=out)
    for wrong in (np.zeros((11, 13), np.float32), np.zeros((11, 14)).astype(">i8"), np.zeros((11, 14), np.float32)):
        wrong.flags.writeable = wrong.shape != out.shape
        for _ in range(2):
            with pytest.raises(ValueError, match=r"out|dtype"):
                convnd(X, KERNEL, out=wrong, dtype=np.float32)
        assert not wrong.any()


def test_out_may_lie_on_every_array():
    x, kernel = reals((40, 9), np.float32), reals((3, 3), np.float32)
    expected = convnd(x, kernel, padding="same")
    for _ in range(2):
        own = x.copy()
        same(convnd(own, kernel, padding="same", out=own), expected)
        memory = np.zeros(400, np.float32)
        memory[9:369], shifted = x.ravel(), memory[:360].reshape(40, 9)
        same(convnd(memory[9:369].reshape(40, 9), kernel, padding="same", out=shifted), expected)
        memory[3:12] = kernel.ravel()
        same(convnd(x, memory[3:12].reshape(3, 3), padding="same", out=shifted), expected)


def test_no_array_is_kept():
    for out in (None, np.empty_like(X)):
        x, kernel = X.copy(), KERNEL.copy()
        convnd(x, kernel, padding="same", out=out)
        kept = [weakref.ref(array) for array in (x, kernel)]
        del x, kernel
        gc.collect()
        assert [array() for array in kept] == [None, None]


def test_what_is_remembered_is_bounded():
    recent = Recent(3)
    for n in range(10):
        recent.add(n, n)
    assert len(recent) == 3 and [recent.get(n) for n in (6, 7, 9)] == [None, 7, 9]
    for n in range(plans._REMEMBERED + 20):
        convnd(X[0, :3], KERNEL[0, :1], fill_value=n)
    assert len(plans._PLANS) == plans._REMEMBERED
    made = plan(X, KERNEL)
    wide = np.zeros((13, 600), np.float32)
    for step in range(1, 30):
        made(wide[:, : 17 * step : step])
    assert len(made._others) == plans._OTHERS


@pytest.mark.parametrize("method", ["auto", "direct", "separable", "fft"])
def test_shapes_that_are_alike_share_what_was_made_of_a_kernel(method):
    """Its bits tell kernels apart, and how they are read: the memory order of x, the convention, dilation, branches."""
    kernels = [integers((3, 3), np.float32, n) for n in (1, 2)] + [np.outer([1, 2, 1], [1, 0, -1]).astype(np.float32)]
    kernels = kernels[2:] if method == "separable" else kernels
    ways = [
        {},
        {"convention": "correlation"},
        {"dilation": (2, 1)},
        {"padding": "same"},
        {"upsample": 2},
        {"stride": 2},
    ]
    for n, order, kernel, options in product(range(2), "CF", kernels, ways):
        for shape in ((60 + n, 60 + n), (57, 61 + n), (59 + n, 2)):
            x = np.asarray(integers(shape, np.float32, n), order=order)
            if min(np.subtract(shape, 5)) < 0 and "padding" not in options:
                continue
            same(np.rint(convnd(x, kernel, method=method, **options)), oracle.convnd(x, kernel, **options))


def test_what_is_made_of_large_kernels_is_remembered_by_their_bits_in_so_many_bytes(monkeypatch):
    kept = OfArrays(1000)
    monkeypatch.setattr(plans, "_LARGE", OfArrays(2**25))
    made = []

    def make(array):
        made.append(array)
        return len(made)

    zeros = np.zeros(10, np.float32)
    for owner in range(9):
        assert kept.made_of(owner, zeros, make, lambda _: 100) == owner + 1
    assert kept.made_of(8, zeros, make, lambda _: 100) == 9 and kept.made_of(8, -zeros, make, lambda _: 100) == 10
    assert kept.made_of(0, zeros, make, lambda _: 100) == 11  # long gone
    assert sum(size for *_, size in kept._values.values()) <= 1000
    kernel, x = np.ones((64, 32, 3, 3), np.float32), np.ones((32, 9, 9), np.float32)
    options = {"channel_axis": 0, "convention": "correlation"}
    first = convnd(x, kernel, **options)
    assert len(plans._LARGE._values) == 1
    kernel[5, 6, 1, 1] = np.nan  # in place
    same(convnd(x, kernel, **options)[5], np.full((7, 7), np.nan, np.float32))
    kernel[5, 6, 1, 1] = 1
    same(convnd(x, kernel, **options), first)


def test_few_files_are_run_through():
    def files_of(call):
        files = set()
        sys.setprofile(lambda frame, *_: files.add(frame.f_code.co_filename))
        try:
            call()
        finally:
            sys.setprofile(None)
        return {name for name in files if Path(name).is_relative_to(Path(plans.__file__).parent)}

    convnd(X, KERNEL), plan(X, KERNEL)(X)
    made = plan(X, KERNEL)
    assert 0 < len(files_of(lambda: convnd(X, KERNEL))) <= 6
    assert 0 < len(files_of(lambda: made(X))) <= 6


def test_threads_share_a_call():
    kernels = [reals((3, 4), np.float32, seed) for seed in range(8)]
    expected, results = [convnd(X, kernel, padding="same") for kernel in kernels], [[] for _ in kernels]

    def work(n):
        results[n] = [convnd(X, kernels[n], padding="same") for _ in range(300)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own, wanted in zip(results, expected, strict=True):
        assert len(own) == 300 and all(result.tobytes() == wanted.tobytes() for result in own)


@pytest.mark.process
def test_small_calls_start_no_thread():
    script = """
import numpy as np
from convnd import convnd, plan
from numba.np.ufunc import parallel
x, kernel = np.ones((32, 32), np.float32), np.ones((3, 3), np.float32)
for _ in range(2):
    convnd(x, kernel)
    plan(x, kernel)(x)
assert not parallel._is_initialized
"""
    run("-c", script)
