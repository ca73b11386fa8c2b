"""Kernels come apart into trains that give them back: to the last bit asked for, or not at all."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest

from convnd.methods.separable.bank import _tree
from convnd.methods.separable.factors import factored, is_short, rounding_of
from support.check import reals, same
from support.strategies import outer

EPSILON = {np.float32: 2.0**-23, np.float64: 2.0**-52}


def gaussian(sigma, taps, rank=1):
    line = np.exp(-((np.arange(taps) - taps // 2) ** 2) / (2 * sigma**2))
    return outer(*[line / line.sum()] * rank)


def log(sigma, taps):
    """The Laplacian of a Gaussian: rank two."""
    line, r = gaussian(sigma, taps), np.arange(taps) - taps // 2
    second = line * (r**2 / sigma**4 - 1 / sigma**2)
    return outer(line, second) + outer(second, line)


def rebuilt(train, shape):
    """The kernel that a train of factors is: the sum over all terms of their products."""
    result, order = np.ones((1, 1)), [a for factor in train for a in factor.axes]
    for factor in train:  # (taps so far, terms) by (terms, terms before, taps)
        terms, before = factor.weights.shape[:2]
        weights = factor.weights.reshape(terms, before, -1)
        result = np.einsum("tq,rqu->tur", result, weights).reshape(-1, terms)
    order += [a for a in range(len(shape)) if a not in order]
    return result.reshape([shape[a] for a in order]).transpose(np.argsort(order))


FLAT, CUBE = reals((5, 4)), reals((5, 4, 3), seed=1)
KERNELS = {  # and the terms of its factors
    "Gaussian": (gaussian(2, 13, 2), [1, 1]),
    "Gaussian in space": (gaussian(1.5, 9, 3), [1, 1, 1]),
    "Gaussian of four axes": (gaussian(1, 5, 4), [1, 1, 1, 1]),
    "unlike lengths": (outer(gaussian(2, 30), gaussian(1, 3)), [1, 1]),
    "large": (gaussian(30, 201, 2), [1, 1]),
    "difference of Gaussians": (gaussian(2, 17, 2) - gaussian(3.2, 17, 2), [2, 1]),
    "Laplacian of a Gaussian": (log(2, 15), [2, 1]),
    "box": (np.ones((7, 9)) / 63, [1, 1]),
    "disc of low rank": (outer(reals(9), reals(9, seed=1)) + outer(reals(9, seed=2), reals(9, seed=3)), [2, 1]),
    "planes along the first axis": (outer(gaussian(1, 5), FLAT), None),
    "planes along the last axis": (outer(FLAT, gaussian(1, 5)), None),
    "planes along the middle axis": (outer(gaussian(1, 5), FLAT).transpose(1, 0, 2), None),
    "axes of one tap": (gaussian(2, 9, 2)[:, None, :, None], [1, 1]),
}


@pytest.mark.parametrize("dtype", EPSILON)
@pytest.mark.parametrize("name", KERNELS)
def test_a_train_gives_its_kernel_back(name, dtype):
    kernel, terms = KERNELS[name]
    kernel = kernel.astype(dtype)
    train = factored(kernel, False, EPSILON[dtype], 4)
    error = np.abs(rebuilt(train, kernel.shape) - kernel).sum()
    assert error <= 2 * EPSILON[dtype] * np.abs(kernel).sum(dtype=np.float64)
    assert sum(factor.weights.size for factor in train) < kernel.size
    if terms is not None and dtype == np.float32:  # float64 kernels carry the rounding of their own making
        assert [len(factor.weights) for factor in train] == terms


@pytest.mark.parametrize("name", KERNELS)
def test_factors_fit_each_other(name):
    """One term on the outside, as many as the factor before has in between; every axis of the kernel once."""
    kernel, _ = KERNELS[name]
    train = factored(kernel, False, 2.0**-52, 4)
    before = 1
    for factor in train:
        assert factor.weights.shape[1] == before
        assert factor.weights[0, 0].size == prod(kernel.shape[a] for a in factor.axes)
        before = len(factor.weights)
    assert before == 1
    axes = [a for factor in train for a in factor.axes]
    assert sorted(axes) == [a for a, taps in enumerate(kernel.shape) if taps > 1]


@pytest.mark.parametrize(
    "kernel",
    [
        outer([1, 2, 1], [-1, 0, 1]),
        outer([1, 2, 1], [-1, 0, 1], [1, 2, 1]),
        outer([6, 4], [10, 15, 5]),
        outer([1, 0, 0], [0, 0, 5]),
        outer([2**20, -3], [2**21, 1, -(2**20)]),
        outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]),
    ],
    ids=["Sobel", "Sobel in space", "common divisors", "one weight", "large", "binomial"],
)
def test_whole_numbers_have_whole_factors(kernel):
    train = factored(kernel, True, 2.0**-52, 4)
    same(rebuilt(train, kernel.shape), kernel.astype(float))
    for factor in train:
        same(factor.weights, np.rint(factor.weights))


@pytest.mark.parametrize("seed", range(20))
def test_whole_numbers_of_rank_two_are_exact_or_left_alone(seed):
    rng = np.random.default_rng(seed)
    kernel = sum(outer(rng.integers(-4, 5, 5), rng.integers(-4, 5, 4)) for _ in range(2))
    train = factored(kernel, True, 2.0**-52, 4)
    if train is not None:
        same(rebuilt(train, kernel.shape), kernel.astype(float))
        for factor in train:
            same(factor.weights, np.rint(factor.weights))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("shape", [(2, 2), (3, 5), (7, 7), (40, 50), (3, 3, 3), (2, 4, 8), (2, 2, 2, 2)])
def test_kernels_of_no_structure_have_none(shape, exact):
    kernel = np.rint(1000 * reals(shape)) if exact else reals(shape)
    assert factored(kernel, exact, 2.0**-23, max(shape)) is None
    assert not is_short(kernel, 2.0**-23)


def test_what_is_small_counts():
    """A term below the rounding of the kernel is left out, one above it is not."""
    kernel, other = gaussian(2, 13, 2), outer(reals(13), reals(13, seed=1)) / 100
    for size, terms in (1e-10, 1), (1e-4, 2):
        assert len(factored(kernel + size * other, False, 2.0**-23, 4)[0].weights) == terms


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("dtype", EPSILON)
def test_small_weights_keep_their_accuracy(rank, dtype):
    """The tails of a Gaussian are not lost in the rounding of its peak."""
    kernel = gaussian(1, 13, rank).astype(dtype)
    back = rebuilt(factored(kernel, False, EPSILON[dtype], 4), kernel.shape)
    assert kernel.max() / kernel.min() > 1e14
    assert (np.abs(back - kernel) <= 8 * EPSILON[dtype] * kernel).all()


def test_terms_do_not_cancel():
    """Rounding errors grow with the terms' sizes: a kernel whose terms are much larger than itself has none."""
    line, near = reals(9), reals(9) + 1e-7 * reals(9, seed=1)
    kernel = outer(line, reals(9, seed=2)) - outer(near, reals(9, seed=2))
    train = factored(kernel, False, 2.0**-23, 4)
    sums = [np.abs(factor.weights).sum() for factor in train]
    assert prod(sums) <= 16 * np.abs(kernel).sum()


@pytest.mark.parametrize("kernel", [reals(7), reals((1, 7, 1)), np.zeros((3, 4)), np.ones((1, 1)), np.ones(())])
def test_lines_and_zeros_are_one_factor(kernel):
    (factor,) = factored(kernel, False, 2.0**-23, 4)
    same(factor.weights, kernel[None, None].astype(float))
    assert is_short(kernel, 2.0**-23)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_kernels_that_are_not_finite_have_none(value):
    kernel = gaussian(1, 5, 2)
    kernel[1, 2] = value
    assert factored(kernel, False, 2.0**-23, 4) is None


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_terms_than_are_wanted(most):
    kernel = sum(outer(reals(9, seed=n), reals(9, seed=n + 10)) for n in range(3))
    train = factored(kernel, False, 2.0**-40, most)
    assert (train is None) == (most < 3)


def test_complex_kernels_are_short_or_not():
    line = reals(5, np.complex128)
    assert is_short(outer(line, line * 1j), 2.0**-52)
    assert not is_short(reals((5, 5), np.complex128), 2.0**-52)


def test_filters_share_what_they_begin_with():
    """A Hessian has 15 passes in place of 18, though its filters come apart with signs and rounding of their own."""
    line = gaussian(1, 9)
    lines = [line, np.gradient(line), np.gradient(np.gradient(line))]
    orders = [(2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 2, 0), (0, 1, 1), (0, 0, 2)]
    for dtype in EPSILON:
        epsilon = rounding_of(np.dtype(dtype).name)
        filters = np.stack([(-1) ** k * outer(*[lines[n] for n in own]) for k, own in enumerate(orders)]).astype(dtype)
        tree = _tree(filters, False, epsilon, 4)
        assert sum(own.weights.shape[0] for own in tree) == 3 + 6 + 6
        assert sorted(own.channel for own in tree if own.channel >= 0) == [*range(6)]
        for own in tree:
            if own.channel >= 0:
                train = [own]
                while train[0].source[0] >= 0:
                    before, first = train[0].source
                    factor = tree[before]
                    terms = slice(first, first + train[0].weights.shape[1])
                    train.insert(0, replace(factor, weights=factor.weights[terms]))
                error = np.abs(rebuilt(train, (9, 9, 9)) - filters[own.channel]).sum()
                assert error <= 8 * epsilon * np.abs(filters[own.channel]).sum(dtype=np.float64)
