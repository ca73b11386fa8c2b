"""How many threads a call may use, and the threads that help it.

They are the package's own. Numba's layers end the process where they meet what they cannot do: GNU OpenMP in a forked
child and where no thread can be started, "workqueue" where two threads enter it, be it the user's own parallel
function in one of them.
"""

from __future__ import annotations

import _thread
import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, c_ssize_t, c_void_p
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba.np.ufunc import parallel

from .expressions import call_address, records_at
from .machine import CACHE_LINE, Routine, compile_routine, pause, read_shared, swap, swap_if, take_next

#: Turns of waiting, some 30 ns each: of the call for a helper before it lets other threads have the core, and of a
#: helper for the next call before it sleeps. One that sleeps may wake up on the core of the call, and stay there for
#: milliseconds.
_TURNS, _AWAKE_TURNS = 2000, 20_000

#: What a call and its helpers share: whether there is a call, how many helpers may still come, how many have finished,
#: what they run, and a function that lets other threads run. What several threads write has cache lines of its own.
_WORDS = ("busy", "places", "finished", "worker", "job", "axes", "give_way")
_AT = tuple(CACHE_LINE * min(k, 3) + 8 * max(0, k - 3) for k in range(len(_WORDS)))
BOARD = np.dtype({"names": _WORDS, "formats": [np.int64] * len(_WORDS), "offsets": _AT, "itemsize": 4 * CACHE_LINE})
_BUSY, _PLACES, _FINISHED = _AT[:3]


class Team:
    """The threads that help calls, one call at a time: others run in their own thread meanwhile.

    A call does not wait for helpers to come, only for those that came. It begins and ends in compiled code, so that no
    exception can leave it half done, nor a fork or a signal handler find a lock taken.
    """

    def __init__(self, most: int = sys.maxsize) -> None:
        self._most = most
        self._bells: list[Any] = []  # of the helpers: a lock that its helper sleeps on
        self._board = np.zeros(1, BOARD)
        self._board["give_way"] = _give_way()
        self._address = self._board.ctypes.data

    def run(self, count: int, worker: Routine, job: np.ndarray, axes: np.ndarray) -> None:
        """Run workers over the tasks of a job until all are done: one in this thread, others in ``count - 1`` at most.

        A worker is a function of its number, below ``count``, and of the addresses of the job and the axes.
        """
        helpers = min(count - 1, self._most)
        while len(self._bells) < helpers and self._hire():
            pass
        helpers = min(helpers, len(self._bells))
        for bell in self._bells[:helpers]:
            if bell.locked():
                try:
                    bell.release()
                except RuntimeError:  # another call rang it
                    continue
        _compiled(_lead)(self._address, helpers, worker.address, job.ctypes.data, axes.ctypes.data)

    def _hire(self) -> bool:
        """Start one helper more, where the system allows another thread."""
        bell = _thread.allocate_lock()
        bell.acquire()
        serve = _compiled(_serve)
        try:
            _thread.start_new_thread(_help, (bell, serve, self._board))
        except (RuntimeError, MemoryError):
            return False
        self._bells.append(bell)
        return True


def _help(bell: Any, serve: Callable[[int], None], board: np.ndarray) -> None:
    """Wait for calls and help them, as long as the process lives."""
    address = board.ctypes.data
    while bell.acquire():
        serve(address)


def _lead(board, helpers, worker, job, axes):  # type: ignore[no-untyped-def]
    """Run a worker, with helpers where no other call has them."""
    if helpers == 0 or swap(board + _BUSY, 1) != 0:
        call_address(worker, (0, job, axes))
    else:
        team = records_at(board, 1, BOARD)[0]
        team.worker = worker
        team.job = job
        team.axes = axes
        team.finished = 0
        swap(board + _PLACES, helpers)
        call_address(worker, (0, job, axes))
        came = helpers - swap(board + _PLACES, 0)
        turns = 0
        while read_shared(board + _FINISHED) < came:
            pause()
            turns += 1
            if turns > _TURNS:
                call_address(team.give_way, ())
        swap(board + _BUSY, 0)


def _serve(board):  # type: ignore[no-untyped-def]
    """Run workers of calls until for some time there is none."""
    turns = 0
    while turns < _AWAKE_TURNS:
        place = read_shared(board + _PLACES)
        if place > 0 and swap_if(board + _PLACES, place, place - 1) == place:
            team = records_at(board, 1, BOARD)[0]
            call_address(team.worker, (place, team.job, team.axes))
            take_next(board + _FINISHED)
            turns = 0
        else:
            pause()
            turns += 1


@lru_cache(maxsize=2)
def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Return a function of whole numbers, compiled; it releases the GIL."""
    routine = compile_routine(function)
    compiled = CFUNCTYPE(None, *[c_ssize_t] * function.__code__.co_argcount)(routine.address)
    compiled.routine = routine  # type: ignore[attr-defined]  # keeps the code that it calls
    return compiled


def _give_way() -> int | None:
    """Return the address of the system's function that lets other threads have the core."""
    yields = ctypes.windll.kernel32.SwitchToThread if os.name == "nt" else ctypes.CDLL(None).sched_yield  # type: ignore[attr-defined, unused-ignore]
    return ctypes.cast(yields, c_void_p).value


_team = Team()
_lending, _lent = _thread.allocate_lock(), 0


def run_workers(count: int, worker: Routine, job: np.ndarray, axes: np.ndarray) -> None:
    """Do what `Team.run` does, by the team of this process."""
    _team.run(count, worker, job, axes)


def available() -> int:
    """Return the number of threads that a call may use: the process' affinity and Numba's setting respected."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Asking Numba by its own function would start its threads; before they run nobody can have set another number.
    return min(count, parallel._get_num_threads() if parallel._is_initialized else numba.config.NUMBA_NUM_THREADS)


def team_size(wanted: int | None, useful: int) -> int:
    """Return how many threads a call takes.

    Parameters
    ----------
    wanted : int or None
        What the user asked for; more than there are means all.
    useful : int
        The number of threads that the work is large enough for.
    """
    return min(useful, available() if wanted is None else min(wanted, numba.config.NUMBA_NUM_THREADS))


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
    global _team, _lending, _lent
    _team = Team(most=0)  # the helpers are the parent's
    _lending, _lent = _thread.allocate_lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
