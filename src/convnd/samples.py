"""The values of a problem's arrays: random samples, and the kernels that have names."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import numpy as np

__all__ = ["NAMED", "Ints", "gaussian_sigma", "random_samples"]

Ints = tuple[int, ...]


def random_samples(rng: np.random.Generator, shape: Ints, dtype: np.dtype, largest: int = 2**15) -> np.ndarray:
    """Whole numbers up to ``largest`` in size, where the dtype has them; or floating parts in [-1, 1)."""
    if dtype.kind in "biu":
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        return rng.integers(max(low, -largest), min(high, largest), shape, dtype, endpoint=True)
    values = rng.uniform(-1, 1, shape)
    return (values + 1j * rng.uniform(-1, 1, shape) if dtype.kind == "c" else values).astype(dtype)


def gaussian_sigma(n: int) -> float:
    """Give the standard deviation of a Gaussian of n taps: they reach four of them to each side, as in SciPy."""
    return (n - 1) / 8


def gaussian(lengths: Ints) -> np.ndarray:
    """Return a Gaussian of sum 1 as one array, the product of one Gaussian for each axis."""
    return reduce(np.multiply.outer, map(_gaussian, lengths))


def _gaussian(n: int) -> np.ndarray:
    steps = (np.arange(n) - (n - 1) / 2) / (gaussian_sigma(n) or 1)
    weights = np.exp(-(steps**2) / 2)
    return weights / weights.sum()


def box(lengths: Ints) -> np.ndarray:
    """Return the kernel that takes the mean of all samples under it."""
    return np.full(lengths, 1 / math.prod(lengths))


def sobel(lengths: Ints) -> np.ndarray:
    """Sobel's weights, as correlation reads them: a difference along the last axis, binomial smoothing."""
    smooth = [_binomials(n) for n in lengths[:-1]]
    return reduce(np.multiply.outer, [*smooth, np.convolve(_binomials(lengths[-1] - 2), [-1, 0, 1])])


def _binomials(n: int) -> np.ndarray:
    return np.array([math.comb(n - 1, k) for k in range(n)])


NAMED: dict[str, Callable[[Ints], np.ndarray]] = {"gaussian": gaussian, "box": box, "sobel": sobel}
