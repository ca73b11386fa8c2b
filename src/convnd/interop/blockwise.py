"""Convolution block by block, for arrays that no memory holds.

While one block is computed, one thread reads the samples of the next and another writes the outputs of the last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..plan import Plan
from ..problem.arguments import parse
from ..problem.options import Options
from ..problem.recent import Recent
from ..problem.request import Request, imagined
from ..problem.result import too_large
from . import stores
from .blocks import Block, block, stand_in
from .grid import Box, Grid, grid
from .held import Held
from .record import Record, checksum, record_path

_PLANS = 64  # of blocks of different shapes, or with different padding

Report = Callable[[int, int], object]


def convolve_blockwise(
    x: Any, kernel: Any, out: Any, options: Options, max_memory: int, report: Report, resume: bool = False
) -> Any:
    """Convolve ``x`` into ``out`` block by block, as `convnd.blockwise` promises; without ``out`` into a new array.

    ``report`` is told the number of blocks done, and of all, after each.
    """
    if not stores.is_readable(x):
        x = np.asarray(x)
    given = out
    if out is not None and not isinstance(out, np.ndarray):
        if not stores.is_writeable(out):
            raise TypeError(f"out must have shape, dtype and __setitem__, but is a {type(out).__name__}")
        given = imagined(out.shape, stores.dtype_of(out), writeable=True)
    request = parse(stand_in(x.shape, stores.dtype_of(x)), kernel, given, options)
    if out is None:
        try:
            out = np.empty(request.out_shape, request.result)
        except MemoryError:
            raise too_large(request.out_shape, request.result) from None
    _check_apart(x, out)
    request = replace(request, out=None)
    Job(x, out, request, grid(x, out, request, max_memory)).run(report, resume)
    return out


def _check_apart(x: Any, out: Any) -> None:
    in_memory = isinstance(x, np.ndarray) and isinstance(out, np.ndarray)
    here = stores.place(out)
    if out is x or (in_memory and np.may_share_memory(x, out)) or (here is not None and here == stores.place(x)):
        raise ValueError("out must not be x, nor overlap it: blocks are written before others are read")


class Job:
    """A convolution from one array to another, block by block."""

    def __init__(self, x: Any, out: Any, request: Request, cut: Grid) -> None:
        self._x, self._out, self._boxes = x, out, list(cut.boxes())
        self._axis = cut.sweep + (request.dropped <= cut.sweep)  # of x, that blocks follow each other along
        self._in_place = isinstance(out, np.ndarray)
        self._results = [np.empty(0 if self._in_place else prod(cut.block), request.result) for _ in range(2)]
        self._plans: Recent[Plan] = Recent(_PLANS)
        self._request = request
        if request.method == "auto" and self._boxes:  # for all blocks alike
            first = block(request, self._boxes[0])
            window = np.empty(first.request.x.shape, request.x_dtype)
            self._request = replace(request, method=Plan(first.of(window)).method)
        self._name = _digest(x, self._request, cut)

    def run(self, report: Report, resume: bool) -> None:
        """Compute the blocks, or those that the record beside the output does not have."""
        kept = stores.place(self._out)
        record, finished = None, set()
        if resume:
            if kept is None:
                raise ValueError(
                    "resume=True needs an out that is kept in a local file or folder, beside which finished blocks "
                    f"are recorded, but out is a {type(self._out).__name__}"
                )
            record = Record(kept, self._name)
            finished = {number for number, total in record.finished().items() if self._holds(number, total)}
        elif kept is not None:  # what it says will not be so
            record_path(kept).unlink(missing_ok=True)
        report(len(finished), len(self._boxes))
        self._compute([n for n in range(len(self._boxes)) if n not in finished], record, report)
        if record is not None:
            record.remove()

    def _compute(self, numbers: list[int], record: Record | None, report: Report) -> None:
        """Compute blocks while the samples of the next are read and the outputs of the last are written."""
        done = len(self._boxes) - len(numbers)
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            read = self._windows(numbers)
            ahead = reader.submit(next, read, None)
            writing: Future[None] | None = None
            for turn, number in enumerate(numbers):
                own, window = ahead.result()  # type: ignore[misc]
                ahead = reader.submit(next, read, None)
                values = self._convolved(own, window, self._target(number, turn))
                del window
                if writing is not None:
                    writing.result()
                    done += 1
                    report(done, len(self._boxes))
                writing = writer.submit(self._write, number, values, record)
            if writing is not None:
                writing.result()
                report(done + 1, len(self._boxes))

    def _windows(self, numbers: list[int]) -> Iterator[tuple[Block, np.ndarray]]:
        """Yield blocks, and the samples that they read."""
        held, column = None if isinstance(self._x, np.ndarray) else Held(self._x, self._axis), None
        for number in numbers:
            own = block(self._request, self._boxes[number])
            across = [line.slices for a, line in enumerate(own.lines) if a != self._axis]
            if held is not None and across != column:
                held.forget()
            column = across
            yield own, own.read(self._x if held is None else held)

    def _target(self, number: int, turn: int) -> np.ndarray:
        """Return where the outputs of a block go: the output itself, or one of two buffers in turn."""
        if self._in_place:
            return self._out[_slices(self._boxes[number])]
        shape = [end - first for first, end in self._boxes[number]]
        return self._results[turn % 2][: prod(shape)].reshape(shape)

    def _convolved(self, own: Block, window: np.ndarray, target: np.ndarray) -> np.ndarray:
        key = own.request.axes, window.shape, window.strides
        plan = self._plans.get(key)
        if plan is None:
            plan = Plan(own.of(window))
            self._plans.add(key, plan)
        return plan(window, out=target)

    def _write(self, number: int, values: np.ndarray, record: Record | None) -> None:
        if not self._in_place:
            self._out[_slices(self._boxes[number])] = values
        if record is not None:
            stores.flush(self._out)
            record.add(number, checksum(values))

    def _holds(self, number: int, total: int) -> bool:
        """Return whether the output holds a finished block still."""
        return number < len(self._boxes) and checksum(np.asarray(self._out[_slices(self._boxes[number])])) == total


def _slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(*span) for span in box)


def _digest(x: Any, request: Request, cut: Grid) -> str:
    """Return what tells a job from others: the arrays, the kernel, the options and the blocks."""
    kernel = np.ascontiguousarray(request.kernel)
    about = (
        stores.place(x), request.x.shape, request.x_dtype.str, kernel.shape, kernel.dtype.str, request.spatial,
        request.axes, request.channel_axis, request.groups, request.is_flipped, request.mode, request.fill,
        request.result.str, request.method, cut.shape, cut.block,
    )  # fmt: skip
    return hashlib.sha256(repr(about).encode() + kernel.tobytes()).hexdigest()
