"""Convolution block by block, for arrays that memory does not hold.

While one block is computed, one thread reads the samples of the next and another writes the outputs of the last.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby, product
from math import prod
from typing import Any

import numpy as np

from ..methods.blocks import Block, Plans, block, stand_in
from ..plan import Plan
from ..problem.arguments.calls import explained
from ..problem.arguments.messages import shown
from ..problem.arguments.parse import as_array, parse
from ..problem.arguments.values import whole
from ..problem.boundary import REFLECT, SYMMETRIC, WRAP
from ..problem.options import Options, without_mask
from ..problem.request import Request, imagined
from ..problem.result import too_large
from . import storage

_SCRATCH_BYTES = 2**26  # of the memory allowed, at most: what a convolution takes beside its arrays


@explained
def blockwise(
    x: Any,
    kernel: Any,
    out: Any,
    *,
    max_memory: int | str = "1 GiB",
    progress: bool | Callable[[int, int], object] | None = None,
    resume: bool = False,
    **options: Any,
) -> Any:
    """Convolve an array that memory does not hold, block by block.

    ``convnd(x, kernel, out=out)`` does the same with the defaults where `x` or `out` is not in memory. Blocks are
    complete chunks (or shards) of `out`. While one is computed the next is read and the last is written.

    Parameters
    ----------
    x : array_like
        Whatever has ``shape``, ``dtype`` and ``__getitem__``: an array of zarr, h5py or TensorStore, a memory map.
    kernel : array_like
        The weights.
    out : array
        Where the result goes: whatever has ``shape``, ``dtype`` and ``__setitem__``. Its dtype is the result's. It must
        not overlap `x`.
    max_memory : int or str, optional
        What blocks, the samples that they read and the convolution itself may take, in bytes or as a text such as
        "500 MB" or "2 GiB". Packages that read and write take more memory beside it.
    progress : bool or callable, optional
        True shows a bar (tqdm's); a function is called with the number of finished blocks, and of all, after each.
    resume : bool, optional
        Record finished blocks in a file beside `out`, whose name ends in ".convnd", and do not compute again those that
        an interrupted call with the same arguments has recorded and `out` still has. `out` must be stored in a local
        file or folder and be opened as that call left it. The last block removes the record.
    **options
        Those of `convnd`. The same method computes every block.

    Returns
    -------
    array
        `out`.

    Raises
    ------
    TypeError, ValueError
        As in `convnd`, and where `max_memory` does not hold a block of one chunk.

    Notes
    -----
    Whatever the blocks are, ``method="direct"`` gives the bits of a call in memory; other methods round as they do.

    Under ``nan_policy="raise"`` blocks before the first NaN have been written.

    The record protects against a process that ends at any moment, as what was handed to the operating system survives
    it. It is used where shapes, types, kernel, options and blocks are the same; the samples of `x` are not compared.

    Examples
    --------
    >>> import numpy as np
    >>> import convnd
    >>> x, out = np.ones((60, 50, 50), np.float32), np.empty((60, 50, 50), np.float32)
    >>> y = convnd.blockwise(x, np.ones((3, 3, 3)) / 27, out, max_memory="200 kB", padding="same", boundary="edge")
    >>> y is out, float(y.min().round(6)), float(y.max().round(6))
    (True, 1.0, 1.0)
    """
    checked, memory = Options(**options), _bytes_of(max_memory)
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"progress must be True, False or callable, but is {shown(progress)}")
    if not isinstance(resume, bool):
        raise TypeError(f"resume must be True or False, but is {shown(resume)}")
    if out is None:
        raise TypeError("out must be an array to write the result to, but is None")
    return convolve(x, kernel, out, checked, memory, progress, resume)


def _bytes_of(memory: Any) -> int:
    """Return ``max_memory`` in bytes."""
    if isinstance(memory, str):
        match = re.fullmatch(r"\s*(\d+\.?\d*)\s*(?:([kmgt])(i?))?b?\s*", memory.lower())
        if match is None:
            raise ValueError(f'max_memory must be bytes or a text such as "500 MB" or "2 GiB", but is {shown(memory)}')
        memory = int(float(match[1]) * (1024 if match[3] else 1000) ** " kmgt".index(match[2] or " "))
    return whole(memory, "max_memory", 1)


def convolve(
    x: Any, kernel: Any, out: Any, options: Options, max_memory: int = 2**30, progress: Any = None, resume: bool = False
) -> Any:
    """Convolve ``x`` into ``out`` as `blockwise` promises; without ``out`` into a new array."""
    if not storage.is_readable(x):
        x = as_array(x, "x")
    like = out
    if out is not None and not isinstance(out, np.ndarray):
        if not storage.is_writeable(out):
            raise TypeError(f"out must have shape, dtype and __setitem__, but is a {type(out).__name__}")
        like = imagined(out.shape, storage.dtype_of(out))
    checked = without_mask(options, "work block by block")
    request = parse(stand_in(x.shape, storage.dtype_of(x)), kernel, like, checked)._replace(out=None)
    if out is None:
        try:
            out = np.empty(request.out_shape, request.result)
        except MemoryError:
            raise too_large(request) from None
    path, in_memory = storage.place(out), isinstance(x, np.ndarray) and isinstance(out, np.ndarray)
    if out is x or (in_memory and np.may_share_memory(x, out)) or (path is not None and path == storage.place(x)):
        raise ValueError("out must not be x, nor overlap it: blocks are written before others are read")
    if resume and path is None:
        raise ValueError(
            "resume=True needs an out that is stored in a local file or folder, beside which finished blocks are "
            f"recorded, but out is a {type(out).__name__}"
        )
    grid = _grid(x, out, request, max_memory)
    if request.method == "auto" and grid.boxes:  # one method for all blocks
        first = block(request, grid.boxes[0])
        request = request._replace(method=Plan(first.of(np.empty(first.request.x.shape, request.x_dtype))).method)
    record = None
    if path is not None and resume:
        record = storage.Record(path, _digest(x, request, grid))
    elif path is not None:  # an older record would be wrong
        storage.Record.path(path).unlink(missing_ok=True)
    _compute(x, out, request, grid, record, progress)
    return out


def _digest(x: Any, request: Request, grid: Grid) -> str:
    """Return what tells a convolution from others: the arrays, the kernel, the options and the blocks."""
    kernel = np.ascontiguousarray(request.kernel)
    about = {name: value for name, value in request._asdict().items() if name not in ("x", "kernel", "out", "workers")}
    text = repr((storage.place(x), request.x.shape, kernel.shape, kernel.dtype.str, about, grid))
    return hashlib.sha256(text.encode() + kernel.tobytes()).hexdigest()


def _compute(x: Any, out: Any, request: Request, grid: Grid, record: storage.Record | None, progress: Any) -> None:
    """Compute the blocks that are not recorded as finished, or that ``out`` does not have any more."""
    boxes, plans, in_place = grid.boxes, Plans(Plan), isinstance(out, np.ndarray)
    places = [tuple(slice(*span) for span in box) for box in boxes]
    missing = [n for n, place in enumerate(places) if record is None or not record.has(n, out, place)]
    buffers = [np.empty(0 if in_place else prod(grid.block), request.result) for _ in range(2)]

    def windows() -> Iterator[tuple[Block, np.ndarray]]:
        a = grid.sweep + (request.dropped <= grid.sweep)
        blocks = (block(request, boxes[n]) for n in missing)
        for _, column in groupby(blocks, lambda box: [line.slices for b, line in enumerate(box.lines) if b != a]):
            source = x if isinstance(x, np.ndarray) else storage.Reader(x, a)
            for box in column:
                yield box, box.read(source)

    def write(n: int, values: np.ndarray) -> None:
        if not in_place:
            out[places[n]] = values
        if record is not None:
            storage.flush(out)
            record.add(n, values)

    done, total, source = len(boxes) - len(missing), len(boxes), windows()
    with _reporting(progress, done, total) as report, ThreadPoolExecutor(2) as threads:
        report(done, total)
        read = threads.submit(next, source)
        written: Future[None] | None = None
        for turn, n in enumerate(missing):
            box, window = read.result()
            read = threads.submit(next, source)  # past the last block the iterator is at its end
            shape = box.request.out_shape
            target = out[(*places[n], ...)] if in_place else buffers[turn % 2][: prod(shape)].reshape(shape)
            plans.convolve(box, window, target)
            del window
            if written is not None:
                written.result()
                report(done + turn, total)
            written = threads.submit(write, n, target)
        if written is not None:
            written.result()
            report(total, total)
    if record is not None:
        record.remove()


@contextmanager
def _reporting(progress: Any, done: int, total: int) -> Iterator[Callable[[int, int], object]]:
    """Yield a function that tells the user how many blocks are finished, and how many there are."""
    if progress is not True:
        yield progress if callable(progress) else lambda done, total: None
        return
    from tqdm.auto import tqdm

    with tqdm(desc="convnd", unit="block", initial=done, total=total) as bar:
        yield lambda done, total: bar.update(done - bar.n)


@dataclass(frozen=True)
class Grid:
    """An output cut into blocks of one shape, which follow each other along ``sweep``: the first axis that is cut."""

    shape: tuple[int, ...]
    block: tuple[int, ...]

    @property
    def sweep(self) -> int:
        """The axis along which blocks follow each other."""
        return next((a for a, length in enumerate(self.shape) if self.block[a] < length), 0)

    @property
    def boxes(self) -> list[tuple[tuple[int, int], ...]]:
        """The blocks in their order: the first output along each axis, and the one behind the last."""
        cut, a = zip(self.shape, self.block, strict=True), self.sweep
        spans = [[(first, min(first + size, length)) for first in range(0, length, size)] for length, size in cut]
        return sorted(product(*spans), key=lambda box: box[:a] + box[a + 1 :])


def _grid(x: Any, out: Any, request: Request, max_memory: int) -> Grid:
    """Return the grid of the largest blocks of complete chunks that the memory allowed holds, with what they read.

    The last axes grow first: samples that two blocks read are read once along the sweep, and twice along other axes.
    """
    shape = request.out_shape
    chunk = [min(a, b) or 1 for a, b in zip(storage.chunk_shape(out, writing=True), shape, strict=True)]
    if request.channel_axis is not None and request.is_bank:
        chunk[request.channel_axis] = shape[request.channel_axis]
    allowed, size = max_memory - min(_SCRATCH_BYTES, max_memory // 8), tuple(chunk)

    def taken(a: int, length: int) -> int:
        return _bytes(x, out, request, Grid(shape, (*size[:a], min(length, shape[a]), *size[a + 1 :])))

    if (least := _bytes(x, out, request, Grid(shape, size))) > allowed:
        raise ValueError(
            f"max_memory is {max_memory} bytes, of which {allowed} are for blocks, but blocks of one chunk of out, "
            f"{size}, take {least} with the samples that they read"
        )
    for a in reversed(range(len(shape) if prod(shape) else 0)):
        lengths = range(chunk[a], shape[a] + chunk[a], chunk[a])
        blocks = -(-len(lengths) // bisect(lengths, allowed, key=partial(taken, a)))  # as few as fit, and alike
        size = (*size[:a], min(lengths[-(-len(lengths) // blocks) - 1], shape[a]), *size[a + 1 :])
    return Grid(shape, size)


def _bytes(x: Any, out: Any, request: Request, grid: Grid) -> int:
    """Return the bytes that blocks take while one is computed, the next is read and the last is written."""
    chunks, samples = storage.chunk_shape(x), request.x.dtype.itemsize
    for a, length in enumerate(request.x.shape):
        if a == request.channel_axis:
            samples *= length
            continue
        at, axis = a - (a > request.dropped), request.along(a)
        low, high = axis.read(0, grid.block[at])
        most = high - low + (axis.upsample > 1)
        reflected = [pad for pad, mode in zip((axis.before, axis.after), axis.boundary) if mode in (REFLECT, SYMMETRIC)]
        most = max(most, 1 + max(reflected, default=0) // axis.upsample)
        if WRAP not in axis.boundary:
            most = min(most, length)
        samples *= most + (min(chunks[a], length) - 1 if at == grid.sweep else 0)
    # Under "wrap" the samples of both ends are read before they are joined.
    windows, results = (1 if isinstance(array, np.ndarray) else 2 for array in (x, out))
    windows += 2 * any(WRAP in axis.boundary for axis in request.axes)
    return windows * samples + results * prod(grid.block) * request.result.itemsize
