"""What ready-made kernels are made of: their arguments, lines of weights along one axis, and outer products."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import inf
from numbers import Real
from typing import Any

import numpy as np

from .problem.arguments import is_sequence, whole
from .problem.messages import shown

PerAxis = float | Sequence[float]


def per_axis(ndim: Any, **given: Any) -> list[Sequence[Any]]:
    """Return each argument as one entry for every axis. What is a sequence, and `ndim`, tells how many there are."""
    rank, told = None, ""
    if ndim is not None:
        rank = whole(ndim, "ndim", 1)
        told = f"ndim is {rank}"
    for name, value in given.items():
        if not is_sequence(value):
            continue
        if len(value) == 0:
            raise ValueError(f"{name} is empty, but a kernel has at least one axis")
        if rank not in (None, len(value)):
            raise ValueError(f"{name} has {len(value)} entries but {told}")
        rank = len(value)
        told = f"{name} has {rank}"
    return [value if is_sequence(value) else [value] * (rank or 1) for value in given.values()]


def number(value: Any, name: str, least: float = 0) -> float:
    """Return a finite number, at least ``least``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, but is {shown(value)}")
    finite = float(value)
    if not -inf < finite < inf:
        raise ValueError(f"{name} must be finite, but is {value}")
    if finite < least:
        raise ValueError(f"{name} must be at least {least}, but is {value}")
    return finite


def numbers(values: Sequence[Any], name: str) -> list[float]:
    """Return finite numbers, at least 0."""
    return [number(value, name) for value in values]


def gaussian_line(sigma: float, truncate: float, order: int) -> np.ndarray:
    """Return a derivative of a sampled Gaussian: ``(-1/sigma)^n He_n(t/sigma)`` times it, by Hermite's polynomials."""
    if sigma == 0:
        if order:
            raise ValueError(f"sigma must be above 0 for a derivative, but is 0 with order {order}")
        return np.ones(1)
    radius = int(truncate * sigma + 0.5)
    steps = np.arange(-radius, radius + 1) / sigma
    bell = np.exp(-0.5 * steps**2)
    polynomial = np.polynomial.hermite_e.hermeval(steps, [0] * order + [1])
    return (-1 / sigma) ** order * polynomial * (bell / bell.sum())


def outer(lines: Sequence[Any]) -> np.ndarray:
    """Return the outer product of lines of weights, one for each axis."""
    return reduce(np.multiply.outer, map(np.asarray, lines))
