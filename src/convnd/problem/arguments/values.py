"""Values that users give, checked: whole numbers, finite ones, and sequences of them."""

import operator
from collections.abc import Iterable, Sequence
from math import inf
from numbers import Real
from typing import Any

import numpy as np

from .messages import shown

LARGEST = 2**62  #: of any whole number


def whole(value: Any, name: str, least: int) -> int:
    """Return ``value`` as an int, at least ``least``."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a whole number, but is {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, but is {shown(value)}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, but is {shown(number)}")
    if number > LARGEST:
        raise ValueError(f"{name} must be at most {LARGEST}, but is {shown(number)}")
    return number


def number(value: Any, name: str, least: float = 0) -> float:
    """Return ``value`` as a finite float, at least ``least``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, but is {shown(value)}")
    finite = float(value)
    if not -inf < finite < inf:
        raise ValueError(f"{name} must be finite, but is {value}")
    if finite < least:
        raise ValueError(f"{name} must be at least {least}, but is {value}")
    return finite


def by_axis(ndim: Any, **arguments: Any) -> list[Sequence[Any]]:
    """Return each argument as one entry for each axis, as many as ``ndim`` or the sequences among them tell."""
    rank = None if ndim is None else whole(ndim, "ndim", 1)
    source = f"ndim is {rank}"
    for name, value in arguments.items():
        if is_sequence(value):
            if len(value) == 0:
                raise ValueError(f"{name} is empty, but a kernel has at least one axis")
            if rank not in (None, len(value)):
                raise ValueError(f"{name} has {len(value)} entries but {source}")
            rank, source = len(value), f"{name} has {len(value)}"
    return [value if is_sequence(value) else [value] * (rank or 1) for value in arguments.values()]


def listed(values: Any, name: str) -> list[Any]:
    """Return the entries of an iterable."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be an iterable of entries, but is {shown(values)}")
    return list(values)


def is_sequence(value: Any) -> bool:
    """Return whether a value has entries, such as one for each axis."""
    return isinstance(value, (tuple, list, range)) or (isinstance(value, np.ndarray) and value.ndim > 0)
