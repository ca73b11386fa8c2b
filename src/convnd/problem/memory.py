"""How much memory there is at all: more than that no result takes."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container's group


@lru_cache(maxsize=1)
def total() -> int:
    """Return the bytes that this process' arrays can take: the machine's memory and swap, or its container's limit.

    What takes more would be given addresses, and the process be killed once it is written. Where the system does not
    say, it is what addresses reach.
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
