"""Compilation in a thread of its own, and forks and exits that wait for it."""

from __future__ import annotations

import _thread
import atexit
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from llvmlite.binding import ffi
from numba.core.compiler_lock import global_compiler_lock

_STACK_BYTES = 8 * 2**20

Result = TypeVar("Result")


def run(compilation: Callable[[], Result]) -> Result:
    """Return the result of a compilation in a thread of its own, where the system allows one.

    LLVM calls Python back, where what a signal's handler raises would be lost; and it needs more stack than threads
    may have.
    """
    results: list[Result] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            results.append(compilation())
        except BaseException as error:
            failed.append(error)
        finally:
            done.release()

    done = _thread.allocate_lock()
    done.acquire()
    own_size = _thread.stack_size(_STACK_BYTES)
    try:  # not `threading`, which an exception in the midst leaves in disorder
        _thread.start_new_thread(work, ())
    except (RuntimeError, MemoryError):
        return compilation()
    finally:
        _thread.stack_size(own_size)
    done.acquire()
    if failed:
        raise failed.pop()
    return results[0]


try:  #: Numba's lock and llvmlite's, in the order in which compilation takes them.
    _COMPILERS_LOCKS = (global_compiler_lock._lock, ffi.lib._lock._lock)
except AttributeError:  # other versions keep theirs elsewhere
    _COMPILERS_LOCKS = ()  # type: ignore[assignment]
_PATIENCE = 100  #: tenths of a second that a fork waits for a compilation
_held = threading.local()


def _before_fork() -> None:
    """Wait for compilations in other threads: the child would find their locks taken for ever."""
    _held.locks = [lock for lock in _COMPILERS_LOCKS if any(lock.acquire(timeout=0.1) for _ in range(_PATIENCE))]


def _at_exit() -> None:
    """Wait for compilations that were given up: LLVM is taken down with the process."""
    if global_compiler_lock._lock.acquire(timeout=10):
        global_compiler_lock._lock.release()


def _after_fork() -> None:
    for lock in reversed(_held.locks):
        lock.release()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
