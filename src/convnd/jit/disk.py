"""The folder that keeps compiled code for other processes: Numba's, where it has one that can be written.

What cannot be read is compiled again, and what no version of these sources wants is removed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from numba.core.caching import CompileResultCacheImpl

_MOST = 1024  #: files
_BEGIN, _END, _UNFINISHED = "convnd-", ".bin", ".tmp"
_WRITTEN_WITHIN = 600.0  #: seconds


def source_digest() -> str:
    """Return a digest of the package's sources, wherever it is imported from: every compiled function depends on it."""
    digest = sha256()
    for source in _sources(files("convnd")):
        digest.update(source)
    return digest.hexdigest()


def _sources(folder: Any) -> Iterator[bytes]:
    """Yield the sources below a folder."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.endswith((".py", ".pyc")):
            yield path.read_bytes()
        elif path.is_dir() and path.name != "__pycache__":
            yield from _sources(path)


SOURCES = source_digest()  #: when they were imported


def load(key: str) -> bytes | None:
    """Return what was saved by that name, or None."""
    locator = _locator()
    if locator is None:
        return None
    try:
        data = _path(locator, key).read_bytes()
    except OSError:
        return None
    return data[32:] if sha256(data[32:]).digest() == data[:32] else None


def save(key: str, data: bytes) -> None:
    """Save bytes by a name, where there is a folder for them."""
    locator = _locator()
    if locator is None:
        return
    with contextlib.suppress(OSError):
        locator.ensure_cache_path()
        path = _path(locator, key)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_BEGIN, suffix=_UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(sha256(data).digest() + data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _prune(path.parent)


def _prune(folder: Path) -> None:
    """Remove the files of other sources, the oldest of too many, and what no process can still be writing."""
    own: list[tuple[float, Path]] = []
    gone: list[Path] = []
    for path in folder.glob(f"{_BEGIN}*"):
        with contextlib.suppress(OSError):  # another process removed it
            written = path.lstat().st_mtime
            if path.suffix == _UNFINISHED:
                gone += [path] if written < time.time() - _WRITTEN_WITHIN else []
            elif path.name.startswith(f"{_BEGIN}{SOURCES[:16]}"):
                own.append((written, path))
            else:
                gone.append(path)
    for path in gone + [path for _, path in sorted(own)[:-_MOST]]:
        with contextlib.suppress(OSError):
            path.unlink()


def _path(locator: Any, key: str) -> Path:
    name = sha256(key.encode()).hexdigest()[:32]
    return Path(locator.get_cache_path(), f"{_BEGIN}{SOURCES[:16]}-{name}{_END}")


@lru_cache(maxsize=1)
def _locator() -> Any:
    try:
        return CompileResultCacheImpl(_path).locator
    except (RuntimeError, OSError, ImportError):  # nothing is writable
        return None
