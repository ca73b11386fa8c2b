"""How many threads a call may use, and when it may use none."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, c_int, c_size_t, c_ssize_t, c_void_p
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba.np.ufunc import parallel

from .expressions import call_address
from .machine import address_of, compile_routine, read_index

_one_at_a_time = threading.Lock()  # the workqueue layer aborts the process when two threads call at once
_forked = False
_lending, _lent = threading.Lock(), 0

#: Function, arguments, lengths, steps, data; lengths beyond the first, arguments, threads.
_PARALLEL_FOR = CFUNCTYPE(None, *[c_void_p] * 5, c_size_t, c_size_t, c_int)  # releases the GIL
_WORKER = CFUNCTYPE(None, *[c_ssize_t] * 3)  # so does this


def _after_fork() -> None:
    global _forked, _one_at_a_time, _lending, _lent
    _forked = True  # OpenMP's threads do not survive a fork, and a parallel call would wait for them
    _one_at_a_time = threading.Lock()
    _lending, _lent = threading.Lock(), 0


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
    try:
        yield count
    finally:
        _one_at_a_time.release()


@contextmanager
def lent(most: int) -> Iterator[int]:
    """Hold the threads that nobody holds who asked here too, of ``most``, one at least, and give their number."""
    global _lent
    with _lending:
        count = max(1, most - _lent)
        _lent += count
    try:
        yield count
    finally:
        with _lending:
            _lent -= count


def run_workers(count: int, worker: Any, job: np.ndarray, axes: np.ndarray) -> None:
    """Run ``count`` workers over the tasks of a job: one in this thread, more in as many of Numba's.

    Numba's threading layer is asked for its parallel loop directly: nothing is compiled for it.
    """
    if count == 1:
        _WORKER(worker.address)(0, job.ctypes.data, axes.ctypes.data)
        return
    data = (worker.address, job.ctypes.data, axes.ctypes.data)
    table = np.array([0, count, 8, *data, *range(count)], np.int64)
    address = table.ctypes.data
    table[0] = address + 8 * (3 + len(data))  # of the workers' numbers
    _started()(_compile_share().address, address, address + 8, address + 16, address + 24, 0, 1, count)


@lru_cache(maxsize=1)
def _compile_share() -> Any:
    """Compile the workers that one thread runs.

    The threading layer passes four addresses: of the address of the first worker's number, of how many there are, of
    the bytes between two numbers, and of what `run_workers` passes on.
    """

    def share(arguments, counts, steps, call):  # type: ignore[no-untyped-def]
        first = read_index(read_index(arguments, 0), 0)
        for number in range(first, first + read_index(counts, 0)):
            call_address(read_index(call, 0), (number, read_index(call, 1), read_index(call, 2)))

    return compile_routine(share)


@lru_cache(maxsize=1)
def _started() -> Callable[..., None]:
    """Start Numba's threads and return its parallel loop."""
    numba.get_num_threads()
    return _PARALLEL_FOR(address_of("numba_parallel_for"))
