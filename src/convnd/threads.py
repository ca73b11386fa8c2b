"""How many threads a call may use, and when it may use none."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numba
from numba.np.ufunc import parallel

_one_at_a_time = threading.Lock()  # the workqueue layer aborts the process when two threads call at once
_forked = False


def _after_fork() -> None:
    global _forked, _one_at_a_time
    _forked = True  # OpenMP's threads do not survive a fork, and a parallel call would wait for them
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def available() -> int:
    """Return the number of threads that a call may use: the process' affinity and Numba's setting respected."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Asking Numba would start its threads; before they run nobody can have set another number.
    return min(count, numba.get_num_threads() if parallel._is_initialized else numba.config.NUMBA_NUM_THREADS)


def team_size(wanted: int | None, useful: int) -> int:
    """Return how many threads a call takes, where it may start any: the parameters are those of `team`."""
    return min(useful, available() if wanted is None else min(wanted, numba.config.NUMBA_NUM_THREADS))


@contextmanager
def team(wanted: int | None, useful: int) -> Iterator[int]:
    """Hold a team of threads for one call and give its size: 1 means that no thread may be started.

    Parameters
    ----------
    wanted : int or None
        What the user asked for; more than there are means all.
    useful : int
        The number of threads that the work is large enough for.
    """
    count = team_size(wanted, useful)
    if count <= 1 or _forked or not _one_at_a_time.acquire(blocking=False):
        yield 1
        return
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(count)
        yield count
    finally:
        numba.set_num_threads(before)
        _one_at_a_time.release()
