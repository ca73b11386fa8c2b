"""The index scheme: which sample of the input an output and a tap read, along one axis of any rank."""

from __future__ import annotations

from numba import njit

from ..problem.boundary import CONSTANT, EDGE, SYMMETRIC, WRAP
from .compile import OPTIONS

OUTSIDE = -1


@njit(**OPTIONS)
def input_position(output, tap_position, stride, before):
    """Return ``stride * output + tap_position - before``, with ``tap_position = dilation * tap``."""
    return stride * output + tap_position - before


@njit(**OPTIONS)
def input_index(position, length, unit, before, after):
    """Return the index that supplies a position inside ``0..length-1`` or outside, `OUTSIDE` for the fill value.

    ``before`` and ``after`` are the modes of both ends; ``unit`` neighbouring positions move together.
    """
    if 0 <= position < length:
        return position
    boundary = before if position < 0 else after
    if boundary == CONSTANT:
        return OUTSIDE
    index, count = position // unit, length // unit
    if boundary == EDGE:
        index = 0 if index < 0 else count - 1
    elif boundary == WRAP or count == 1:
        index %= count
    else:
        repeated = 1 if boundary == SYMMETRIC else 0  # whether the outermost sample is mirrored too
        period = 2 * (count - 1 + repeated)
        index %= period
        index = min(index, period - repeated - index)
    return index * unit + position % unit
