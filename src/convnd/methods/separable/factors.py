"""Kernels as short sums of outer products: which axes come apart, and into how many terms.

A kernel is a *train* of factors (Oseledets, 2011, "Tensor-train decomposition"): factor ``p`` has weights
``w_p[r, q, t]`` for terms ``q`` of the factor before it, terms ``r`` of its own and the taps ``t`` of its axes, and
the kernel is the sum over all terms of their products. The first and the last have one term on the outside. In two
dimensions that is the singular value decomposition; a factor may keep several axes together. The trains of a bank's
filters are a tree: where they begin alike, they share their factors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import prod
from typing import Literal

import numpy as np

from ...jit.tables import SUMMED_APART
from ...problem.canonical import Problem

MOST_GROWTH = 16.0  #: of rounding errors: sum of the terms' magnitudes against the kernel's
_SAMPLE = 32  # rows and columns of a large matrix that are tried before it
_MOST_ORDERED = 4  # axes, beyond which they come apart in their own order only


#: Of a line of weights: all are equal; each equals the one at the same distance from the other end ("even") or is its
#: negative ("odd"); or nothing is known.
Symmetry = Literal["equal", "even", "odd", ""]


@dataclass(frozen=True, eq=False)
class Factor:
    """One factor of a train: its kernel axes and its weights, (terms, terms of the factor before, *taps).

    ``source`` is the place of the factor before it, -1 for none, and the first of its terms there; ``channel`` is the
    filter whose last factor it is, -1 where others follow.
    """

    axes: tuple[int, ...]
    weights: np.ndarray
    source: tuple[int, int] = (-1, 0)
    channel: int = -1

    @property
    def symmetry(self) -> Symmetry:
        """What weights of one term along one axis have in common, but for the rounding of their computation."""
        weights, tolerance = self.weights, 8 * np.finfo(np.float64).eps
        if weights.shape[:2] != (1, 1) or weights.ndim != 3:
            return ""
        line = weights.ravel()
        limit = tolerance * np.abs(line)
        if (np.abs(line - line[0]) <= limit[0]).all():
            return "equal"
        if (np.abs(line - line[::-1]) <= limit).all():
            return "even"
        return "odd" if (np.abs(line + line[::-1]) <= limit).all() else ""


#: What a plan needs to know of a factor: its axes, its terms and those that it reads, its symmetry, its source, and its
#: channel.
Structure = tuple[tuple[tuple[int, ...], int, int, Symmetry, tuple[int, int], int], ...]


def structure(factors: Sequence[Factor]) -> Structure:
    """Return what a plan needs to know of a kernel's factors."""
    return tuple((own.axes, *own.weights.shape[:2], own.symmetry, own.source, own.channel) for own in factors)


def rounding_of(working: str) -> float:
    """Return the residual of factors that is rounding: of the working type, and of a kernel that was made in it."""
    return 2 * float(np.finfo("float64" if "int" in working else working).eps)


def keep_zeros(factors: Sequence[Factor], kernel: np.ndarray) -> bool:
    """Return whether the factors of a canonical kernel give 0 where, and only where, all samples with a weight are 0.

    They do where they are products of magnitudes.
    """
    result = np.ones((), bool)
    for factor in factors:
        if factor.channel > 0 or factor.weights.shape[:2] != (1, 1) or (factor.weights < 0).any():
            return False
        result = np.multiply.outer(result, factor.weights[0, 0] != 0)
    order = [a for factor in factors for a in factor.axes]
    return bool((result.transpose(np.argsort(order)).ravel() == (kernel != 0).ravel()).all())  # but for axes of one tap


def factored(kernel: np.ndarray, exact: bool, epsilon: float, most_terms: int) -> list[Factor] | None:
    """Return the train of least taps of a real kernel, or None where there is none.

    Factors of ``exact`` weights are whole numbers. Others leave a residual of ``epsilon`` times the sum of magnitudes,
    at most.
    """
    axes = tuple(a for a, taps in enumerate(kernel.shape) if taps > 1)
    kernel = kernel.astype(np.float64)
    if not np.isfinite(kernel).all() or (exact and np.abs(kernel).sum() >= 2**53):
        return None
    if len(axes) <= 1 or not kernel.any():
        return [Factor(tuple(range(kernel.ndim)), kernel[None, None])]
    # A power of two keeps squares of weights, and their sums, inside the type.
    exponent = 0 if exact else int(np.frexp(np.abs(kernel).max())[1])
    kernel = np.ldexp(kernel, -exponent)
    total = float(np.abs(kernel).sum())
    limit = 0.0 if exact else epsilon * total
    terms: dict[frozenset[int], int] = {}

    def between(first: frozenset[int]) -> int:
        """Return the number of terms that join some axes to the others."""
        if first not in terms:
            matrix = _unfolded(kernel, sorted(first))
            found = _outer_products(matrix, exact, limit, min(most_terms, min(matrix.shape) - 1))
            terms[first] = terms[frozenset(axes) - first] = 0 if found is None else found[0].shape[1]
        return terms[first]

    def taps(groups: Sequence[tuple[int, ...]]) -> float:
        count, before = 0, 1
        for n, group in enumerate(groups):
            after = between(frozenset().union(*groups[: n + 1])) if n < len(groups) - 1 else 1
            if after == 0:
                return np.inf
            count += before * after * prod(kernel.shape[a] for a in group)
            before = after
        return count

    groups = min(_ordered_groups(axes), key=lambda own: (taps(own), -len(own)))
    if taps(groups) == np.inf:
        return None
    train = _train(kernel, groups, exact, limit)
    if train is None or not (exact or _growth(train, total) <= MOST_GROWTH):
        return None
    return [*train[:-1], replace(train[-1], weights=np.ldexp(train[-1].weights, exponent))]


def most_magnitude(problem: Problem, kernel: np.ndarray) -> float:
    """Return the largest magnitude of samples whose sums are finite after every factor.

    Factors turn the zeros and the signs that an infinity meets into others, and add up before others take away.
    """
    if problem.exact:
        return np.inf
    info = np.finfo(problem.working)
    total = np.abs(kernel).sum(dtype=np.float64)
    longest = max(axis.taps for axis in problem.axes)  # equal weights are multiplied by after the sum
    return float(info.max) / (4 * MOST_GROWTH * max(longest, total))


def is_short(kernel: np.ndarray, epsilon: float) -> bool:
    """Return whether fewer outer products make up a kernel, real or complex, than its shape would need at most."""
    axes = [a for a, taps in enumerate(kernel.shape) if taps > 1]
    if len(axes) <= 1:
        return True
    matrices = (_unfolded(kernel, [a]) for a in axes)
    return any(
        np.linalg.matrix_rank(matrix, rtol=epsilon * max(matrix.shape)) < min(matrix.shape) for matrix in matrices
    )


def _ordered_groups(axes: tuple[int, ...]) -> Iterator[list[tuple[int, ...]]]:
    """Yield the ways to part axes into two groups or more, those in their own order first."""
    if len(axes) > _MOST_ORDERED:
        yield [(a,) for a in axes]
        return

    def parted(rest: tuple[int, ...]) -> Iterator[list[tuple[int, ...]]]:
        yield [rest]
        for size in range(1, len(rest)):
            for first in combinations(rest, size):
                for others in parted(tuple(a for a in rest if a not in first)):
                    yield [first, *others]

    yield from (groups for groups in parted(axes) if len(groups) > 1)


def _unfolded(kernel: np.ndarray, first: Sequence[int]) -> np.ndarray:
    rest = [a for a in range(kernel.ndim) if a not in first]
    return kernel.transpose([*first, *rest]).reshape(prod(kernel.shape[a] for a in first), -1)


def _train(kernel: np.ndarray, groups: Sequence[tuple[int, ...]], exact: bool, limit: float) -> list[Factor] | None:
    order = [a for group in groups for a in group]
    rest, before, train = _unfolded(kernel, order).reshape(1, -1), 1, []
    for n, group in enumerate(groups):
        shape = [kernel.shape[a] for a in group]
        if n < len(groups) - 1:
            matrix = rest.reshape(before * prod(shape), -1)
            found = _outer_products(matrix, exact, limit, min(matrix.shape))
            if found is None:
                return None
            left, rest = found
        else:
            left, rest = rest.reshape(-1, 1), np.ones((1, 1))
        after = left.shape[1]
        train.append(Factor(group, np.moveaxis(left.reshape(before, *shape, after), -1, 0)))
        before = after
    return train


def _outer_products(matrix: np.ndarray, exact: bool, limit: float, most: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return ``(m, r)`` and ``(r, n)`` whose product is the matrix but for a residual, or None beyond ``most`` terms.

    Elimination by the largest element finds how many terms there are: unlike singular vectors its columns and rows
    are the matrix' own, so that it is cheap, exact for whole numbers, and keeps small weights to their last bit.
    """
    sample = matrix[:: -(-matrix.shape[0] // _SAMPLE), :: -(-matrix.shape[1] // _SAMPLE)]
    sampled = sample.size < matrix.size and most < min(sample.shape)
    if sampled and _outer_products(sample, exact=False, limit=limit, most=most) is None:
        return None
    rest = matrix.copy()
    columns: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    while np.abs(rest).sum() > limit:
        if len(columns) == most:
            return None
        i, j = np.unravel_index(np.abs(rest).argmax(), rest.shape)
        column, row = rest[:, j].copy(), rest[i] / rest[i, j]
        if exact:
            column /= np.gcd.reduce(column.astype(np.int64))
            row = rest[i] / column[i]
            if (row != np.rint(row)).any():
                return None
        elif not columns:  # least squares even out the rounding of the weights
            column = _summed(matrix * row, 1) / _summed(row * row, 0)
            row = _summed(column[:, None] * matrix, 0) / _summed(column * column, 0)
        rest = rest - np.outer(column, row)
        columns.append(column)
        rows.append(row)
    if not columns:
        return np.zeros((len(matrix), 1)), np.zeros((1, matrix.shape[1]))
    left, right = np.stack(columns, axis=1), np.stack(rows)
    if len(columns) > 1 and not exact:  # orthogonal terms do not cancel each other
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        u, s, v = u[:, : len(columns)], s[: len(columns)], v[: len(columns)]
        if np.abs(matrix - (u * s) @ v).sum() <= limit:
            left, right = u, s[:, None] * v
    if not exact:  # what follows keeps to the size of the samples
        scale = np.abs(left).cumsum(axis=0)[-1]
        left, right = left / scale, right * scale[:, None]
    return left, right


def _summed(products: np.ndarray, axis: int) -> np.ndarray:
    """Return sums of every 16th entry, added up, in the order that `jit.calls.passes` keeps to: bits depend on it."""
    products = np.moveaxis(products, axis, 0)
    sums = products[:SUMMED_APART].copy()
    for first in range(SUMMED_APART, len(products), SUMMED_APART):
        more = products[first : first + SUMMED_APART]
        sums[: len(more)] += more
    return sums.cumsum(axis=0)[-1]


def _growth(train: Sequence[Factor], total: float) -> float:
    """Return how much larger the terms are, taken together, than the kernel."""
    sums = np.ones(1)
    for factor in train:
        sums = np.abs(factor.weights).sum(axis=tuple(range(2, factor.weights.ndim))) @ sums
    return float(sums[0]) / total
