"""The amount of memory that a result can take at most."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path

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
