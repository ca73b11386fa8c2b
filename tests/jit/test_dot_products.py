"""Dot products of several lines at once, and sums of outer products, beside NumPy's, on whole numbers."""

import ctypes

import numpy as np
import pytest

from convnd.jit.intrinsics.dot_products import dot_products
from convnd.jit.intrinsics.outer_products import outer_products
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


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (5, 1), (2, 3)])
def test_outer_products(rows, vectors, dtype):
    """Of any number of places, wherever samples lie; nothing but the sums is written."""
    rng, item = np.random.default_rng(rows), np.dtype(dtype).itemsize
    lanes = VECTOR_BYTES // item
    add = ctypes.CFUNCTYPE(None, ctypes.c_ssize_t)(outer_products.compile(dtype, lanes, rows, vectors))
    for count in (0, 1, 7):
        x, y = (rng.integers(-9, 9, shape).astype(dtype) for shape in (50, (count, vectors * lanes)))
        offsets, places = rng.integers(0, 30, rows), rng.integers(0, 20, count)
        sums = rng.integers(-9, 9, (rows + 1, vectors * lanes)).astype(dtype)
        expected = sums.copy()
        expected[:rows] += x[offsets[:, None] + places] @ y
        tables = offsets * item, places * item
        arrays = x, *tables, y, sums
        arguments = np.array([*(array.ctypes.data for array in arrays), count])
        add(arguments.ctypes.data)
        np.testing.assert_array_equal(sums, expected)
