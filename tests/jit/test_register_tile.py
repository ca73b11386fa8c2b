"""The register tile beside the same sums in plain Numba, on whole numbers."""

import ctypes

import numpy as np
import pytest

from convnd.jit.intrinsics.register_tile import RegisterTile, plain_tile, register_tile
from convnd.jit.machine import VECTOR_BYTES

RUNS = {1: ((0, 1),), 2: ((0, 1), (0, 2), (1, 2)), 3: ((0, 1), (0, 2), (0, 3), (1, 3), (2, 3))}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (1, 3), (2, 2), (3, 1)])
def test_register_tile(rows, vectors, dtype):
    rng, item, blocks = np.random.default_rng(rows), np.dtype(dtype).itemsize, 3
    lanes = VECTOR_BYTES // item
    tile, runs = RegisterTile(dtype, rows, vectors, lanes, False, RUNS[rows]), RUNS[rows]
    per_group, steps = 2, 4
    taps = per_group * len(runs) * steps
    ends = per_group * np.arange(len(runs) + 1)
    bounds = (per_group * len(runs) * np.arange(steps)[:, None] + ends).astype(np.int64)
    length = blocks * tile.block
    x = rng.integers(-9, 9, length + 50).astype(dtype)
    offsets = rng.integers(0, 50, taps)
    weights = rng.integers(-9, 9, (taps, rows)).astype(dtype)
    out, expected = np.zeros((rows, length), dtype), np.zeros((rows, length), dtype)
    plain_tile(x, offsets, weights, bounds, expected, rows, np.array(runs))
    in_bytes = offsets * item
    arguments = np.array([
        x.ctypes.data, in_bytes.ctypes.data, weights.ctypes.data, bounds.ctypes.data, steps,
        out.ctypes.data, out.strides[0], blocks, 0, 0,
    ])  # fmt: skip
    ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)(register_tile.compile(tile))(arguments.ctypes.data)
    np.testing.assert_array_equal(out, expected)
