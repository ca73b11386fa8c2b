"""Compilation by Numba, and the folder that keeps compiled code for other processes.

Numba's own disk cache does the work. Its key knows the function that is compiled, but not the functions which that one
calls, so the folder is named after a digest of all that is compiled: the sources of ``convnd.jit``, and the
codes of boundaries, the one thing that they import.
"""

import _thread
import atexit
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types

from .machine import PROCESSOR

#: Whole numbers divide as in Python; no check for a divisor of zero is compiled.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True}
#: Of functions that compiled code alone calls: what Python would call them by is not compiled.
HELPER = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_COMPILATION_BYTES = 64 * 2**20  # of memory: without it LLVM ends the process
_BEGIN_SECONDS = 5.0  # that a thread takes to begin, at most
_STACK_BYTES = 16 * 2**20  # LLVM needs more stack than threads may have
_PATIENCE = 60.0  # seconds that a fork and an exit wait for a compilation
_UNUSED = 30 * 86_400.0  # seconds after which the folder of other sources is removed
_UNEXPLAINED = 1.0  # seconds of compilation after which a user is told what the process waits for
_LOADED = 0.05  # seconds that code from the disk cache takes at most

Compiled = TypeVar("Compiled")


def _sources(folder: Any, name: str = "") -> Iterator[bytes]:
    """Yield the sources below a folder whose names begin with a name, wherever the package is imported from."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.startswith(name) and path.name.endswith((".py", ".pyc")):
            yield path.read_bytes()
        elif path.is_dir() and path.name != "__pycache__":
            yield from _sources(path)


def _digest() -> str:
    digest = sha256(f"{numba.__version__} {np.__version__} {sys.version}".encode())
    for source in (*_sources(files("convnd.jit")), *_sources(files("convnd.problem"), "boundary.")):
        digest.update(source)
    return digest.hexdigest()[:16]


_DIGEST = _digest()  # of the sources that were imported: they may change later


def _caches() -> Path:
    """Return the folder that holds the caches of Numba's users."""
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR)
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@lru_cache(maxsize=1)
def cache_folder() -> str | None:
    """Return the folder of compiled code, made where it was missing; None where there is none that can be trusted."""
    try:
        folder = _caches() / f"convnd-{_DIGEST}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (_is_safe(folder) and os.access(folder, os.W_OK) and _holds_no_stranger(folder)):
            return None
        os.utime(folder)
        for other in folder.parent.glob("convnd-" + "[0-9a-f]" * len(_DIGEST)):
            if _is_safe(other) and other.stat().st_mtime < time.time() - _UNUSED:
                shutil.rmtree(other, ignore_errors=True)
    except (OSError, RuntimeError):  # there is no home, or nothing can be written
        return None
    return str(folder)


def _holds_no_stranger(folder: Path) -> bool:
    """Return whether all files in a folder are this user's, or root's, and not for everyone to write."""
    if os.name != "posix":
        return True
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process writes here too
            about = path.lstat()
            if about.st_uid not in (0, os.geteuid()) or (about.st_mode & 0o002 and not path.is_symlink()):
                return False
    return True


def _is_safe(folder: Path) -> bool:
    """Return whether nobody but this user, and root, can put code into a folder."""
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode):
        return False
    return os.name != "posix" or (about.st_uid in (0, os.geteuid()) and not about.st_mode & 0o022)


def _compile(make: Callable[[bool], Compiled]) -> Compiled:
    """Return what ``make(cache)`` compiles, with Numba's disk cache where it works."""
    if numba.config.DISABLE_JIT:
        raise RuntimeError("convnd compiles its loops by Numba, which NUMBA_DISABLE_JIT forbids")
    np.empty(_COMPILATION_BYTES, np.uint8)  # or MemoryError
    folder = cache_folder()
    if folder is not None:
        given, numba.config.CACHE_DIR = numba.config.CACHE_DIR, folder
        try:
            return make(True)
        except MemoryError:
            raise
        except Exception:  # the cache is damaged, or cannot be written
            pass
        finally:
            numba.config.CACHE_DIR = given
    return make(False)


COMPILING = _thread.allocate_lock()  #: held by the thread that calls LLVM
_seconds = 0.0  # that compilations took so far


def _tell(seconds: float) -> None:
    """Say on stderr, once, what takes so long. A process that cannot be told anything works as well."""
    global _seconds
    told = _seconds > _UNEXPLAINED
    _seconds += seconds if seconds > _LOADED else 0
    if told or _seconds <= _UNEXPLAINED or os.environ.get("CONVND_QUIET") or sys.stderr is None:
        return
    later = "later processes load it from disk" if cache_folder() else "no folder can keep it for later processes"
    with suppress(OSError, ValueError):
        print(f"convnd compiles code for this machine; {later} (CONVND_QUIET=1 hides this line)", file=sys.stderr)


_thread_state = threading.local()


@contextmanager
def within_compilation() -> Iterator[None]:
    """Compile in this thread, which is amidst a compilation of Numba's: another thread would wait for its end."""
    _thread_state.compiles = True
    try:
        yield
    finally:
        _thread_state.compiles = False


_kept: dict[Hashable, Any] = {}  # what was compiled: its addresses stand in tables, so nothing is let go


def _compile_once(key: Hashable, make: Callable[[bool], Any]) -> None:
    """Keep what ``make(cache)`` compiles, where another thread has not done so meanwhile."""
    if key not in _kept:
        start = time.perf_counter()
        _kept[key] = _compile(make)
        _tell(time.perf_counter() - start)


def _compile_within(key: Hashable, make: Callable[[bool], Any]) -> None:
    """Compile in this thread, without the cache where another thread has it: that one waits for this."""
    if not COMPILING.acquire(blocking=False):
        _kept.setdefault(key, make(False))
        return
    try:
        _compile_once(key, make)
    finally:
        COMPILING.release()


def compiled(key: Hashable, make: Callable[[bool], Compiled]) -> Compiled:
    """Return what ``make(cache)`` compiles, the first time that the process asks for the key.

    A thread of its own compiles, where the system allows one: LLVM calls Python back, where what a signal's handler
    raises would be lost. A thread that finds no memory for its first call, because others took it meanwhile, does not
    begin; then this one compiles.
    """
    if key in _kept:
        return _kept[key]
    if getattr(_thread_state, "compiles", False):
        _compile_within(key, make)
        return _kept[key]
    np.empty(_STACK_BYTES + _COMPILATION_BYTES, np.uint8)  # or MemoryError, here rather than in that thread
    failed: list[BaseException] = []
    has_begun = False

    def work() -> None:
        nonlocal has_begun
        has_begun = True
        try:
            with COMPILING:
                _compile_once(key, make)
        except BaseException as error:
            failed.append(error)
        finally:
            done.release()

    done = _thread.allocate_lock()
    done.acquire()
    size = _thread.stack_size(_STACK_BYTES)
    try:  # not `threading`, which an exception in the midst leaves in disorder
        _thread.start_new_thread(work, ())
    except (RuntimeError, MemoryError):
        with COMPILING:
            _compile_once(key, make)
        return _kept[key]
    finally:
        _thread.stack_size(size)
    while not done.acquire(timeout=_BEGIN_SECONDS):
        if not has_begun:
            with COMPILING:
                _compile_once(key, make)
            return _kept[key]
    if failed:
        raise failed.pop()
    return _kept[key]


def renamed(body: Callable[..., Any], *about: Any) -> Callable[..., Any]:
    """Return a function under a name that tells what it is compiled for, so that Numba's disk cache keeps it apart.

    The cache has an index for each name, and numbers the files of its entries. Two processes that add entries to one
    index at once may take the same number: later processes would run the code of the one in place of the other's.
    """
    copy = FunctionType(body.__code__, body.__globals__, body.__name__, None, body.__closure__)
    captured = tuple(cell.cell_contents for cell in body.__closure__ or ())
    digest = sha256(repr((PROCESSOR, captured, *about)).encode()).hexdigest()[:16]
    copy.__qualname__, copy.__module__ = f"{body.__qualname__}_{digest}", body.__module__
    return copy


@lru_cache(maxsize=256)
def function(body: Callable[..., None], *arguments: Any) -> int:
    """Compile a C function, once in a process, and return its address.

    Its arguments are int64, but for those whose types are given.
    """
    count = body.__code__.co_argcount
    signature = types.void(*arguments, *[types.int64] * (count - len(arguments)))

    def make(cache: bool) -> Any:
        compiler = numba.cfunc(signature, cache=cache, error_model="numpy")
        return compiler(renamed(body, signature))

    captured = tuple(cell.cell_contents for cell in body.__closure__ or ())
    address: int = compiled((body.__code__, captured, signature), make).address
    return address


def plain(helper: Any) -> Any:
    """Return the Python function that Numba compiles, which it returns itself where it may not compile."""
    return getattr(helper, "py_func", helper)


def _before_fork() -> None:
    """Wait for a compilation in another thread: a child would find the compiler's locks taken for ever."""
    _thread_state.waited = COMPILING.acquire(timeout=_PATIENCE)


def _after_fork() -> None:
    if _thread_state.waited:
        COMPILING.release()


def _at_exit() -> None:
    """Wait for a compilation that was given up: LLVM is taken down with the process."""
    if COMPILING.acquire(timeout=_PATIENCE):
        COMPILING.release()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
