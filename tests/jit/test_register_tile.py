"""The register tile beside the same sums in plain Numba, on whole numbers."""

import ctypes

import numpy as np
import pytest

from convnd.jit.intrinsics.register_tile import RegisterTile, plain_tile, register_tile
from convnd.jit.machine import VECTOR_BYTES

RUNS = {1: ((0, 1),), 2: ((0, 1), (0, 2), (1, 2)), 3: ((0, 1), (0, 2), (0, 3), (1, 3), (2, 3))}


PARTS = 20  # more than are added up before they are added to others, twice


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("parts", ["one", "many", "staggered"])
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (1, 3), (2, 2), (3, 1)])
def test_register_tile(rows, vectors, parts, dtype):
    rng, item, blocks = np.random.default_rng(rows), np.dtype(dtype).itemsize, 3
    lanes = VECTOR_BYTES // item
    tile, runs = RegisterTile(dtype, rows, vectors, lanes, False, RUNS[rows], parts=parts), RUNS[rows]
    steps = {"one": 4, "many": 2 * PARTS, "staggered": PARTS}[parts]
    ends = np.cumsum(rng.integers(0, 4, (steps, tile.columns)), axis=1)  # of the groups, and of the rows' parts
    bounds = ends + np.append(0, np.cumsum(ends[:-1, -1]))[:, None]
    if parts != "staggered":
        bounds[:, 0] = np.append(0, bounds[:-1, -1])
    taps = bounds[-1, -1]
    per_part = 2 if parts == "many" else steps if parts == "one" else 1
    part_ends = np.array([steps // per_part, *range(0, steps + 1, per_part)])
    length = blocks * tile.block
    x = rng.integers(-9, 9, length + 50).astype(dtype)
    offsets = rng.integers(0, 50, taps)
    weights = rng.integers(-9, 9, (taps, rows)).astype(dtype)
    out, expected = np.full((rows, length), 99, dtype), np.zeros((rows, length), dtype)
    plain_tile(x, offsets, weights, bounds, part_ends, expected, rows, np.array(runs))
    in_bytes = offsets * item
    arguments = np.array([
        x.ctypes.data, in_bytes.ctypes.data, weights.ctypes.data, bounds.ctypes.data, part_ends.ctypes.data,
        out.ctypes.data, out.strides[0], blocks, 0, 0, 0,
    ])  # fmt: skip
    ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)(register_tile.compile(tile))(arguments.ctypes.data)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.skipif(VECTOR_BYTES < 64, reason="only vectors of 64 bytes slide")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("taps", [1, 2, 7, 8, 9, 15, 16, 17, 40])  # along a line
@pytest.mark.parametrize(("rows", "vectors", "slides"), [(1, 4, 2), (1, 8, 7), (3, 2, 1), (3, 3, 2)])
def test_sliding_tile(rows, vectors, slides, taps, dtype):
    rng, item, blocks, lines = np.random.default_rng(taps), np.dtype(dtype).itemsize, 3, 2
    tile = RegisterTile(dtype, rows, vectors, VECTOR_BYTES // item, False, RUNS[rows], slides=slides)
    length, groups = blocks * tile.block, len(RUNS[rows])
    x = rng.integers(-9, 9, length + taps + 49).astype(dtype)
    offsets = (rng.integers(0, 50, (groups * lines, 1)) + np.arange(taps)).ravel()  # of each group two lines
    bounds, parts = taps * lines * np.arange(groups + 1)[None], np.array([1, 0, 1])
    weights = rng.integers(-9, 9, (len(offsets), rows)).astype(dtype)
    out, expected = np.full((rows, length), 99, dtype), np.zeros((rows, length), dtype)
    plain_tile(x, offsets, weights, bounds, parts, expected, rows, np.array(RUNS[rows]))
    in_bytes = offsets * item
    arguments = np.array([
        x.ctypes.data, in_bytes.ctypes.data, weights.ctypes.data, bounds.ctypes.data, parts.ctypes.data,
        out.ctypes.data, out.strides[0], blocks, 0, 0, taps,
    ])  # fmt: skip
    ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)(register_tile.compile(tile))(arguments.ctypes.data)
    np.testing.assert_array_equal(out, expected)


@pytest.mark.skipif(VECTOR_BYTES < 64, reason="only vectors of 64 bytes slide")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("taps", [1, 7, 8, 9, 15, 16, 17, 40])
def test_sliding_tile_of_neighbouring_rows(taps, dtype):
    rng, item, blocks, rows, vectors = np.random.default_rng(taps), np.dtype(dtype).itemsize, 3, 2, 3
    lanes = VECTOR_BYTES // item
    runs, lag = RUNS[rows], lanes  # row 1 reads at a tap what row 0 reads so many taps later
    tile = RegisterTile(dtype, rows, vectors, lanes, True, runs, slides=2)
    x = rng.integers(-9, 9, blocks * tile.block + taps - 1).astype(dtype)
    kernel, out = rng.integers(-9, 9, taps).astype(dtype), np.full(blocks * tile.block, 99, dtype)
    weights = np.zeros((taps + lag, rows), dtype)
    weights[:taps, 0] = weights[lag:, 1] = kernel
    offsets = item * np.arange(taps + lag)
    bounds, parts = np.array([0, min(lag, taps), max(lag, taps), taps + lag]), np.array([1, 0, 1])
    if taps < lag:
        offsets, weights = np.delete(offsets, slice(taps, lag)), np.delete(weights, slice(taps, lag), axis=0)
        bounds = np.array([0, taps, taps, 2 * taps])
    arguments = np.array([
        x.ctypes.data, offsets.ctypes.data, weights.ctypes.data, bounds.ctypes.data, parts.ctypes.data,
        out.ctypes.data, 0, blocks, 0, 0, taps + lag,
    ])  # fmt: skip
    ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)(register_tile.compile(tile))(arguments.ctypes.data)
    np.testing.assert_array_equal(out, np.correlate(x, kernel, "valid"))
