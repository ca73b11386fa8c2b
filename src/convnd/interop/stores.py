"""Arrays that are kept elsewhere than in memory: those of zarr, h5py and TensorStore, and what else is read by slices.

Whatever has ``shape``, ``dtype`` and ``__getitem__`` is read; with ``__setitem__`` it is written. What else is asked of
them here, they need not have. None of their packages is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def is_stored(array: Any) -> bool:
    """Return whether an array is certain to be kept elsewhere than in memory."""
    has_chunks = hasattr(array, "chunks") or hasattr(array, "chunk_layout")
    return is_readable(array) and (has_chunks or not hasattr(array, "__array__"))


def is_readable(array: Any) -> bool:
    """Return whether an array, which is not NumPy's, can be read by slices."""
    return not isinstance(array, np.ndarray) and _has(array, "__getitem__")


def is_writeable(array: Any) -> bool:
    """Return whether results can be written to an array by slices."""
    return _has(array, "__setitem__")


def _has(array: Any, method: str) -> bool:
    if not all(hasattr(array, name) for name in ("shape", "dtype", method)):
        return False
    try:
        dtype_of(array)
    except TypeError:  # tensors of other libraries
        return False
    return True


def dtype_of(array: Any) -> np.dtype[Any]:
    """Return NumPy's type of what an array gives; TensorStore's types know theirs."""
    return np.dtype(getattr(array.dtype, "numpy_dtype", array.dtype))


def chunk_shape(array: Any, writing: bool = False) -> tuple[int, ...]:
    """Return the shape of what is read, or written, at once: chunks, or the shards that hold them; 1 where unknown."""
    shape = getattr(array, "chunks", None)
    if writing and getattr(array, "shards", None) is not None:
        shape = array.shards
    layout = getattr(array, "chunk_layout", None)
    if layout is not None:
        shape = (layout.write_chunk if writing else layout.read_chunk).shape
    if not isinstance(shape, tuple) or len(shape) != len(array.shape):
        shape = (1,) * len(array.shape)
    return tuple(length if isinstance(length, int) and length > 0 else 1 for length in shape)


def place(array: Any) -> Path | None:
    """Return where an array is kept: a path that no other array has, if it is kept in a local file or folder.

    An array inside a file or a store has a path beside it, that of no file.
    """
    if isinstance(array, np.memmap) and array.filename is not None:
        return Path(array.filename).resolve()
    root = getattr(getattr(array, "store", None), "root", None)  # zarr
    if isinstance(root, Path):
        return _beside(root, array.path)
    file = getattr(array, "file", None)  # h5py
    if file is not None and getattr(file, "driver", "core") != "core":
        return _beside(Path(file.filename), array.name)
    if hasattr(array, "chunk_layout") and hasattr(array, "spec"):  # TensorStore
        kept = array.spec().to_json().get("kvstore", {})
        if isinstance(kept, dict) and kept.get("driver") == "file":
            return Path(kept["path"]).resolve()
    return None


def flush(array: Any) -> None:
    """Hand what was written to the operating system: from then on it outlives the process."""
    file_flush = getattr(getattr(array, "file", None), "flush", None)  # h5py; the others keep nothing back
    if file_flush is not None:
        file_flush()


def _beside(root: Path, name: str) -> Path:
    root = root.resolve()
    inside = ".".join(part for part in name.split("/") if part)
    return root.with_name(f"{root.name}.{inside}") if inside else root
