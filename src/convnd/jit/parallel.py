"""The kernel function: the outer loop over workers, in Numba's threads or in the caller's.

It is compiled for each rank, which is the length of ``grid``. What a worker does is a C function, compiled once for all
ranks, of the addresses of the table, of the worker's memory and of its scratch: it runs tasks until none is left.

Numba's layers have limits that end a process: GNU OpenMP must not run in a forked child, and two threads must not enter
"workqueue". So one call at a time has the threads. A call that finds them taken, and a forked child, run the serial
twin of the kernel function.
"""

import _thread
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from time import perf_counter
from typing import Any

import numba
import numpy as np
from numba import njit, prange, types

from .compile import COMPILING, OPTIONS, compiled, renamed
from .intrinsics.memory import call, swap
from .machine import CACHE_LINE
from .tables import ADDRESS, BUSY, MEMORY, NEXT_TASK, NUMBERS, RUN_TASKS, SCRATCH, SCRATCH_BYTES, TASKS, WORKERS

_SLICE = 0.1  # seconds after which a long call looks for signals
_TURNS = "3000"  # of the loop in which a thread waits for others before it sleeps: some 0.1 ms
_SHORT = 1200  # work of a slice to begin with, in that which is enough for one thread

# 1 while a call has the threads. Kernel functions take and give them back, in compiled code, where no signal's handler
# can raise between the two.
_busy = np.zeros(1, np.int64)
_BUSY_ADDRESS = int(_busy.ctypes.data)
_PROCESS = os.getpid()


def aligned(size: int) -> np.ndarray:
    """Return uninitialised bytes that begin with a cache line."""
    return aligned_at(size)[0]


def aligned_at(size: int) -> tuple[np.ndarray, int]:
    """Return uninitialised bytes that begin with a cache line, and their address."""
    room = np.empty(size + CACHE_LINE, np.uint8)
    address = room.ctypes.data
    first = -address % CACHE_LINE
    return room[first : first + size], address + first


def kernel(parallel):
    """Return a kernel function, parallel or its serial twin.

    It must mention which one: otherwise Numba's disk cache takes one for the other.
    """

    def convolve(grid, table):
        if parallel and swap(table[BUSY], 1) != 0:
            return False
        for worker in prange(table[WORKERS]):
            memory = table[MEMORY] + 8 * worker * table[NUMBERS]
            call(table[RUN_TASKS], (table[ADDRESS], memory, table[SCRATCH] + worker * table[SCRATCH_BYTES]))
        if parallel:
            swap(table[BUSY], 0)
        return True

    return convolve


@cache
def twin(rank: int, parallel: bool) -> Any:
    """Return the kernel function for grids of a rank, compiled by Numba when first needed."""
    signature = types.boolean(types.UniTuple(types.int64, rank), types.Array(types.int64, 1, "C"))

    def make(cache: bool) -> Any:
        if parallel:
            return njit(signature, parallel=True, cache=cache, **OPTIONS)(renamed(kernel(parallel=True), rank))
        return njit(signature, cache=cache, **OPTIONS)(renamed(kernel(parallel=False), rank))

    return compiled((kernel, rank, parallel), make)


def compile_kernel(rank: int, tasks: int, workers: int | None, useful: int) -> None:
    """Compile the kernel function that `run_tasks` calls for so many tasks, ahead of it."""
    twin(rank, min(team_size(workers, useful), tasks) > 1 and may_use_threads())


def run_tasks(table: np.ndarray, grid: tuple[int, ...], workers: int | None, useful: int) -> None:
    """Run all tasks of a table, which is written to, on a grid of so many tiles along each axis.

    ``workers`` and ``useful`` are those of `team_size`.
    """
    tasks = int(table[TASKS])
    count = min(team_size(workers, useful), tasks)
    numbers = -(-8 * count * int(table[NUMBERS]) // CACHE_LINE) * CACHE_LINE
    room, address = aligned_at(CACHE_LINE + numbers + count * int(table[SCRATCH_BYTES]))
    next_task = room[:8].view(np.int64)
    next_task[0] = 0
    table[NEXT_TASK], table[MEMORY], table[SCRATCH] = address, address + CACHE_LINE, address + CACHE_LINE + numbers
    table[ADDRESS], table[BUSY] = table.ctypes.data, _BUSY_ADDRESS
    done, step = 0, max(count, tasks * count * _SHORT // useful)
    while done < tasks:  # a signal's handler runs between
        begin = perf_counter()
        table[TASKS] = done = min(tasks, done + step)
        table[WORKERS] = count
        if count == 1 or not (may_use_threads() and twin(len(grid), True)(grid, table)):
            table[WORKERS] = 1
            twin(len(grid), False)(grid, table)
        next_task[0] = done
        step = max(count, int(step * min(4.0, _SLICE / (perf_counter() - begin))))


@contextmanager
def _sleeping_soon() -> Iterator[None]:
    """Have GNU OpenMP, which reads the environment when it is loaded, put waiting threads to sleep soon.

    By itself a thread that waits for another holds a core for 10 ms and more, be it the one that the other needs.
    """
    name = "GOMP_SPINCOUNT"
    if name in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ[name] = _TURNS
    try:
        yield
    finally:
        os.environ.pop(name, None)


def _starts_threads() -> bool:
    """Return whether Numba's threads can be started: where the system allows none, GNU OpenMP ends the process."""
    try:
        for _ in range(numba.config.NUMBA_NUM_THREADS - 1):
            _thread.start_new_thread(int, ())
        with COMPILING, _sleeping_soon():  # Numba starts them by LLVM
            numba.get_num_threads()
    except (RuntimeError, MemoryError, ValueError, ImportError):  # the last two of a layer that is not there
        return False
    return True


_allowed: bool | None = None  # whether threads can be started, once it is known


def may_use_threads() -> bool:
    """Return whether this process may run parallel kernels: no child of a fork, and threads can be started."""
    global _allowed
    if os.getpid() != _PROCESS:
        return False
    if _allowed is None:
        _allowed = _starts_threads()
    return _allowed


def available() -> int:
    """Return the number of threads that a call may use: the process' affinity and Numba's setting respected."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count == 1 or os.getpid() != _PROCESS or _allowed is False:
        return 1
    try:
        numba.threading_layer()
    except ValueError:  # the threads have not been started, so nobody has set another number
        return min(count, numba.config.NUMBA_NUM_THREADS)
    return min(count, numba.get_num_threads())


def team_size(wanted: int | None, useful: int) -> int:
    """Return how many threads a call takes that is large enough for so many ``useful`` ones.

    ``wanted`` is what the user asked for; more than there are means all.
    """
    if useful == 1 or wanted == 1:
        return 1
    return min(useful, available() if wanted is None else min(wanted, numba.config.NUMBA_NUM_THREADS))


_lending, _lent = _thread.allocate_lock(), 0


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


def _after_fork() -> None:
    global _lending, _lent
    _lending, _lent = _thread.allocate_lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
