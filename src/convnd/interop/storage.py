"""Arrays that are stored outside memory: how they are read and written, and the record of what was written.

Whatever has ``shape``, ``dtype`` and ``__getitem__`` is read, as arrays of zarr, h5py and TensorStore are; with
``__setitem__`` it is written. Attributes beside these count where an array has them. No package of theirs is imported.
"""

import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..methods.blocks import between

_READ_BYTES = 2**24  # of one read, where chunks are smaller: some packages take as much again meanwhile


def is_stored(array: Any) -> bool:
    """Return whether an array is certain to be stored outside memory."""
    has_chunks = hasattr(array, "chunks") or hasattr(array, "chunk_layout")
    return is_readable(array) and (has_chunks or not hasattr(array, "__array__"))


def is_readable(array: Any) -> bool:
    """Return whether an array, which is not NumPy's, can be read by slices."""
    return not isinstance(array, np.ndarray) and _has(array, "__getitem__")


def is_writeable(array: Any) -> bool:
    """Return whether results can be written to an array by slices."""
    return _has(array, "__setitem__")


def _has(array: Any, method: str) -> bool:
    try:
        return all(hasattr(array, name) for name in ("shape", method)) and dtype_of(array) is not None
    except (AttributeError, TypeError):  # TypeError: a tensor's type
        return False


def dtype_of(array: Any) -> np.dtype[Any]:
    """Return NumPy's type of the samples of an array; TensorStore's types know theirs."""
    return np.dtype(getattr(array.dtype, "numpy_dtype", array.dtype))


def chunk_shape(array: Any, writing: bool = False) -> tuple[int, ...]:
    """Return the shape of what is read, or written, at once: a chunk, or a shard of chunks; 1 where unknown."""
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
    """Return a path that no other array has, where an array is stored in a local file or folder.

    An array inside a file or a store has a path beside it, that of no file.
    """
    if isinstance(array, np.memmap) and array.filename is not None:
        return Path(array.filename).resolve()
    root, file = getattr(getattr(array, "store", None), "root", None), getattr(array, "file", None)
    if isinstance(root, Path):  # zarr
        return _beside(root, array.path)
    if file is not None and getattr(file, "driver", "core") != "core":  # h5py
        return _beside(Path(file.filename), array.name)
    if hasattr(array, "chunk_layout") and hasattr(array, "spec"):  # TensorStore
        store = array.spec().to_json().get("kvstore", {})
        if isinstance(store, dict) and store.get("driver") == "file":
            return Path(store["path"]).resolve()
    return None


def _beside(root: Path, name: str) -> Path:
    root = root.resolve()
    return root.with_name(".".join([root.name, *filter(None, name.split("/"))]))


def flush(array: Any) -> None:
    """Hand what was written to the operating system: from then on it outlives the process."""
    file_flush = getattr(getattr(array, "file", None), "flush", None)  # h5py; the others keep nothing back
    if file_flush is not None:
        file_flush()


class Reader:
    """A stored array that is read by slices, in boxes that follow each other along an axis.

    Along the axis complete chunks are read, and the tail that the next box reads too is kept. Fresh memory costs more
    than a convolution, so that two buffers take turns: the next box but one overwrites the samples of a box.
    """

    def __init__(self, array: Any, axis: int) -> None:
        self._array, self._axis = array, axis
        self._dtype, self._chunks = dtype_of(array), chunk_shape(array)
        # By the bounds along other axes: where the last samples begin along this one, these samples, the other buffer.
        self._last: dict[Any, tuple[int, np.ndarray, np.ndarray | None]] = {}

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        """Return the samples of a box. Nobody may write to them."""
        if not box:
            return self._read(box)
        a, along, chunk = self._axis, box[self._axis], self._chunks[self._axis]
        others = tuple((s.start, s.stop) for s in (*box[:a], *box[a + 1 :]))
        start, last, buffer = self._last.get(others, (along.start, np.empty([0] * len(box)), None))
        stop = start + last.shape[a]
        if not start <= along.start <= stop:
            if along.start < start and along.stop - along.start < stop - start:  # "wrap" reads the beginning again
                return self._read(box)
            start = stop = along.start
        if along.stop > stop:
            end = min(-(-along.stop // chunk) * chunk, self._array.shape[a])
            shape = [s.stop - s.start for s in (*box[:a], slice(along.start, end), *box[a + 1 :])]
            if buffer is None or len(buffer) < prod(shape):
                self._last.pop(others, None)  # lets go of a buffer: there are never three
                buffer = np.empty(prod(shape), self._dtype)
            samples = buffer[: prod(shape)].reshape(shape)
            if stop > along.start:
                between(samples, a, 0, stop - along.start)[...] = between(last, a, along.start - start, None)
            for some in _reads((*box[:a], slice(stop, end), *box[a + 1 :]), self._chunks, self._dtype.itemsize):
                starts = (along.start if b == a else s.start for b, s in enumerate(box))
                samples[tuple(slice(s.start - n, s.stop - n) for s, n in zip(some, starts))] = self._read(some)
            start, last, _ = self._last[others] = along.start, samples, last.base
        return between(last, a, along.start - start, along.stop - start)

    def _read(self, box: tuple[slice, ...]) -> np.ndarray:
        samples, shape = np.asarray(self._array[box]), tuple(s.stop - s.start for s in box)
        if (samples.shape, samples.dtype) != (shape, self._dtype):
            raise ValueError(
                f"x is {self._dtype}, but gives {samples.dtype} {samples.shape} for {shape} of its samples"
            )
        return samples


def _reads(box: tuple[slice, ...], chunks: tuple[int, ...], item: int) -> Iterator[tuple[slice, ...]]:
    """Yield boxes of complete chunks that are small enough for one read; the first axes are cut first."""
    lengths = [s.stop - s.start for s in box]
    a = next((a for a, chunk in enumerate(chunks) if lengths[a] > chunk), None)
    if a is None or item * prod(lengths) <= _READ_BYTES:
        yield box
        return
    middle = max((box[a].start + box[a].stop) // 2 // chunks[a], box[a].start // chunks[a] + 1) * chunks[a]
    for half in slice(box[a].start, middle), slice(middle, box[a].stop):
        yield from _reads((*box[:a], half, *box[a + 1 :]), chunks, item)


class Record:
    """The record of an output that is written block by block: a file beside it that says which blocks are finished.

    A block is entered when all of it is written, with a checksum of its values. It counts as finished while the output
    has these: neither a process that was killed nor an output that was made anew leaves a wrong one.
    """

    def __init__(self, output: Path, digest: str) -> None:
        self._path, title = self.path(output), f"convnd {digest}"  # the record of another convolution is not used
        text = self._path.read_text(errors="replace") if self._path.exists() else ""
        lines = text.split("\n")[:-1]  # a last line without an end was being written
        lines = lines if lines[:1] == [title] else [title]
        self._path.write_text("\n".join([*lines, ""]))
        self._finished = {int(number): int(total) for number, total in map(str.split, lines[1:])}

    @staticmethod
    def path(output: Path) -> Path:
        """Return where the record of an output is."""
        return output.with_name(output.name + ".convnd")

    def has(self, number: int, output: Any, place: tuple[slice, ...]) -> bool:
        """Return whether a block was finished, and its place in the output has its values."""
        return number in self._finished and self._finished[number] == _checksum(np.asarray(output[place]))

    def add(self, number: int, values: np.ndarray) -> None:
        """Enter a block that is finished."""
        with self._path.open("a") as file:
            file.write(f"{number} {_checksum(values)}\n")

    def remove(self) -> None:
        """Remove the file: no block is left."""
        self._path.unlink(missing_ok=True)


def _checksum(values: np.ndarray) -> int:
    """Return a checksum of values, which are copied line by line."""
    total = 0
    for line in values if values.ndim > 1 else [values]:
        total = zlib.crc32(np.ascontiguousarray(line).reshape(-1).view(np.uint8).data, total)
    return total
