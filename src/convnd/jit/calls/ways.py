"""The type that a call's sums are computed in."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..compile import HELPER
from ..intrinsics.memory import call
from . import columns as c
from .check import row


@njit(**HELPER)
def _magnitudes(d, base, way):
    """Return the sum of the kernel's magnitudes, by the float64 that a way reads."""
    slot, total, count = base + 8 * c.BYTES, 0.0, 1
    for i in range(d[c.KERNEL_RANK]):
        count *= d[row(i) + c.KERNEL_LENGTH]
    for k in range(count):
        rest, place = k, d[c.KERNEL]
        for back in range(1, d[c.KERNEL_RANK] + 1):
            at = row(d[c.KERNEL_RANK] - back)
            place += rest % d[at + c.KERNEL_LENGTH] * d[at + c.KERNEL_STEP]
            rest //= d[at + c.KERNEL_LENGTH]
        call(d[way + c.READ_KERNEL], (place, slot, 1, 0, 0))
        total += abs(np.int64(d[c.BYTES]).view(np.float64))
    return total


@njit(**HELPER)
def choose_way(d, base):
    """Write the place of the type that the sums are computed in: whole numbers are exact in it."""
    d[c.WAY] = c.HEAD
    if d[c.WAYS] == 1:
        return
    code, double = c.INT64, c.HEAD
    while d[double + c.CODE] != c.FLOAT64:
        double += c.WAY_COLUMNS
    bound = _magnitudes(d, base, double) * np.int64(d[c.LARGEST]).view(np.float64) * (1 + 1e-9)
    if bound < 2.0**53 or (bound >= 2.0**63 and d[c.RESULT_IS_WHOLE] == 0):
        code = c.FLOAT32 if bound < 2.0**24 else c.FLOAT64
    for k in range(d[c.WAYS]):  # from the narrowest: where that has no float32, float64 holds as much
        way = c.HEAD + k * c.WAY_COLUMNS
        if d[way + c.CODE] >= code:
            d[c.WAY] = way
            return
