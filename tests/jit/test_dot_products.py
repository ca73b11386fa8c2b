"""Dot products of several lines at once beside NumPy's, on whole numbers."""

import ctypes

import numpy as np
import pytest

from convnd.jit.intrinsics.dot_products import dot_products
from convnd.jit.machine import VECTOR_BYTES


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 12), (4, 6), (3, 5)])
def test_dot_products(rows, columns, dtype):
    """Of any length; nothing but the sums is written, and nothing behind the lines' end counts."""
    rng, item = np.random.default_rng(rows), np.dtype(dtype).itemsize
    lanes = VECTOR_BYTES // item
    add = ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)(dot_products.compile(dtype, lanes, rows, columns))
    for length in (0, 1, lanes - 1, lanes, 3 * lanes + 2):
        x, y = (rng.integers(-9, 9, shape).astype(dtype) for shape in (length + 50, (rows, length + 3)))
        offsets, sums = rng.integers(0, 50, columns), rng.integers(-9, 9, (rows, columns + 2)).astype(dtype)
        expected = sums.copy()
        expected[:, :columns] += y[:, :length] @ np.stack([x[at : at + length] for at in offsets], axis=1)
        if dtype != "int64":
            y[:, length:] = np.nan
        in_bytes = offsets * item
        arguments = np.array([
            x.ctypes.data, in_bytes.ctypes.data, y.ctypes.data, y.strides[0],
            sums.ctypes.data, sums.strides[0], length,
        ])  # fmt: skip
        add(arguments.ctypes.data)
        np.testing.assert_array_equal(sums, expected)
