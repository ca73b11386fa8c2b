"""The folder that keeps compiled code for other processes: Numba's, where it has one that can be written.

What cannot be read is compiled again, and what no version of these sources wants is removed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba.core.caching import CompileResultCacheImpl

_MOST = 1024  #: files
_BEGIN, _END = "convnd-", ".bin"


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Return a digest of the package's sources, which every compiled function depends on."""
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


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
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_BEGIN)
        with os.fdopen(handle, "wb") as file:
            file.write(sha256(data).digest() + data)
        os.replace(temporary, path)
        _prune(path.parent)


def _prune(folder: Path) -> None:
    """Remove the files of other sources, and the oldest of too many."""
    files = list(folder.glob(f"{_BEGIN}*{_END}"))
    own = [path for path in files if path.name.startswith(f"{_BEGIN}{source_digest()[:16]}")]
    for path in {*files} - {*own} | {*sorted(own, key=os.path.getmtime)[:-_MOST]}:
        path.unlink(missing_ok=True)


def _path(locator: Any, key: str) -> Path:
    name = sha256(key.encode()).hexdigest()[:32]
    return Path(locator.get_cache_path(), f"{_BEGIN}{source_digest()[:16]}-{name}{_END}")


@lru_cache(maxsize=1)
def _locator() -> Any:
    try:
        return CompileResultCacheImpl(_path).locator
    except RuntimeError:  # nothing is writable
        return None
