"""Lines of samples from and to memory, of every dtype, beside NumPy's conversions."""

import ctypes

import numpy as np
import pytest

from convnd.jit.lines import compile_largest, compile_reader, compile_writer

STORED = ["?", "u1", "i1", "<i2", ">i2", "<u4", ">i4", "<i8", ">u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
#: Floating samples are never computed with as whole numbers.
READ_AS = [
    (stored, working)
    for stored in STORED
    for working in ("float32", "float64", "int64")
    if working != "int64" or "f" not in stored
]
COUNT = 77
rng = np.random.default_rng(0)


def run(function, *arguments):
    ctypes.CFUNCTYPE(None, *[ctypes.c_ssize_t] * len(arguments))(function)(*arguments)


def samples(dtype, count):
    """Random bytes as samples: NaN, infinity and subnormals among them. They are not aligned."""
    room = rng.integers(0, 2 if dtype.kind == "b" else 256, count * dtype.itemsize + 1, dtype=np.uint8)
    return room[1:].view(dtype)


@pytest.mark.parametrize(("stored", "working"), READ_AS)
def test_readers(stored, working):
    dtype, target = np.dtype(stored), np.empty(COUNT, working)
    reader, step = compile_reader(stored, working), dtype.itemsize
    for every in (1, 2, 3):
        x = samples(dtype, COUNT * every)
        run(reader, x.ctypes.data, target.ctypes.data, COUNT, every * step, 0)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(target, x[::every].astype(working))
    places = rng.integers(0, len(x), COUNT)
    offsets = places * step
    run(reader, x.ctypes.data, target.ctypes.data, COUNT, 0, offsets.ctypes.data)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(target, x[places].astype(working))


@pytest.mark.parametrize("spacing", [2, 3, 6, 8, -1, -2])
@pytest.mark.parametrize(
    "stored, working", [("u1", "int16"), (">i2", "float32"), ("<f4", "float32"), ("<f8", "float64")]
)
def test_readers_of_samples_apart(stored, working, spacing):
    reader, dtype = compile_reader(stored, working, spacing=spacing), np.dtype(stored)
    for every in (spacing, 1, 5):
        for count in (0, 1, 15, COUNT):
            x, target = samples(dtype, COUNT * abs(every))[::every][:count], np.full(COUNT, 7, working)
            run(reader, x.ctypes.data, target.ctypes.data, count, every * dtype.itemsize, 0)
            with np.errstate(all="ignore"):
                np.testing.assert_array_equal(target, [*x.astype(working), *[7] * (COUNT - count)])


def test_every_float16_is_read():
    x = np.arange(2**16, dtype=np.uint16)
    target = np.empty(len(x), np.float32)
    run(compile_reader("<f2", "float32"), x.ctypes.data, target.ctypes.data, len(x), 2, 0)
    np.testing.assert_array_equal(target, x.view(np.float16).astype(np.float32))
    np.testing.assert_array_equal(np.signbit(target), x >= 2**15)


def saturated(value, dtype):
    low, high = (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    if value != value:
        return 0
    if value in (np.inf, -np.inf):
        return high if value > 0 else low
    return min(max(round(value), low), high)


def values(working):
    if working.startswith("f"):
        drawn = rng.standard_normal(COUNT) * 10.0 ** rng.integers(-9, 22, COUNT)
        drawn[:10] = [np.nan, np.inf, -np.inf, 0.5, 1.5, 2.5, -0.5, 254.5, 255.5, 65519.99]
        return drawn.astype(working)
    drawn = rng.integers(0, 2**63, COUNT) >> rng.integers(0, 63, COUNT)
    return (drawn * rng.choice([-1, 1], COUNT)).astype(working)


WRITTEN = [
    # Each type and each way to lie in the default run, and all of their combinations among the slow tests.
    pytest.param(stored, working, near, marks=[pytest.mark.slow] if (s + w + near) % 2 else [])
    for s, stored in enumerate(STORED)
    for w, working in enumerate(("float32", "float64", "int64", "uint64"))
    for near in (True, False)
]


@pytest.mark.parametrize(("stored", "working", "near"), WRITTEN)
def test_writers(stored, working, near):
    dtype, x = np.dtype(stored), values(working)
    every = 1 if near else 3
    room = np.zeros(COUNT * every * dtype.itemsize + 1, np.uint8)
    target = room[1:].view(dtype)
    run(compile_writer(working, stored, near), x.ctypes.data, target.ctypes.data, COUNT, every * dtype.itemsize)
    if dtype.kind == "f":
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(target[::every], x.astype(dtype))
    else:
        assert [int(value) for value in target[::every]] == [saturated(value, dtype) for value in x.tolist()]
    assert not target.reshape(COUNT, every)[:, 1:].any(), "what lies between results is left alone"


@pytest.mark.parametrize("working", ["float32", "float64"])
def test_largest(working):
    x, found = rng.standard_normal(1001).astype(working), np.zeros(1, np.int64)
    for special in (0.0, -1e30, np.inf, np.nan):
        x[500] = special
        run(compile_largest(working), x.ctypes.data, found.ctypes.data, len(x))
        bits = np.abs(x).view(np.int32 if working == "float32" else np.int64)
        assert found[0] == bits.max()
