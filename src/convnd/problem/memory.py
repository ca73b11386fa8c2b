"""Memory: how much a result can take at most, and what is known to be there around an array."""

import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from .request import Traits

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container


@lru_cache(maxsize=1)
def total() -> int:
    """Return the bytes that the arrays of this process can take: memory and swap, or the limit of its container.

    A larger array can be allocated, but the system kills the process when the array is written to. Where the system
    does not tell its memory, the limit is `sys.maxsize`.
    """
    try:
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return sys.maxsize
    swap = 1024 * sum(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("SwapTotal"))
    limits = [int(line) for path in _LIMITS for line in _lines(path) if line.strip().isdigit()]
    return min([sys.maxsize, physical + swap, *limits])


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def around(x: np.ndarray) -> tuple[int, int]:
    """Return the addresses of the first byte that is known to be there around an array, and of the one after the last.

    An array without gaps is there as a whole, and so is the one that it is a view of. Between the elements of any
    other array may be pages that nobody can read: nothing is known then, and both addresses are 0.
    """
    if x.flags.forc:
        first = x.ctypes.data
        return first, first + x.nbytes
    first, end = byte_bounds(x)
    owner: Any = x
    while isinstance(owner, np.ndarray):
        low, high = (first, end) if owner is x else byte_bounds(owner)
        if low <= first and end <= high and (owner.flags.forc or reach(owner) != (0, 0)):
            return low, high
        owner = owner.base
    return 0, 0


def reach(x: np.ndarray | Traits) -> tuple[int, int]:
    """Return how far an array reaches from its first element, in bytes: down, and to behind the last byte.

    Where it has gaps nothing is known to be there, and both are 0.
    """
    steps = sorted([(abs(step), n - 1, step) for n, step in zip(x.shape, x.strides, strict=True) if n > 1])
    low, high = 0, x.itemsize
    for size, times, step in steps:
        if size > high - low:
            return 0, 0
        low, high = (low + times * step, high) if step < 0 else (low, high + times * step)
    return low, high
