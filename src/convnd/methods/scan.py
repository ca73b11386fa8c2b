"""Looking for NaN in an array of any layout, by as many threads as it is large enough for."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from ..jit.expressions import call_address, with_element
from ..jit.gather import compile_extreme, unravel
from ..jit.lines import read_line
from ..jit.machine import compile_routine, read_index, take_next, write_index
from ..problem import dtypes
from ..problem.canonical import memory_order
from ..problem.dtypes import bits
from ..problem.request import KEPT
from .jobs import run

_BLOCK = 2048  # samples that are looked at together, a copy of which stays in the first level
_FEW = 2**15  # samples that NumPy looks through sooner than a job is laid out
_SERIAL = 2**17  # samples that are enough for another thread

SCAN_JOB = np.dtype(
    [(name, np.int64) for name in (
        # addresses: the array, and what is set where NaN is found
        "x", "found",
        # blocks of a line; whether they need not be copied; the bits of infinity; routines
        "blocks", "in_place", "infinity", "read", "extreme",
        "tasks", "next_task", "scratch", "scratch_bytes",
    )]
)  # fmt: skip
SCAN_AXIS = np.dtype([(name, np.int64) for name in ("length", "step")])


def holds_nan(x: np.ndarray, workers: int | None) -> bool:
    """Return whether an array holds NaN."""
    if dtypes.is_integer(x.dtype) or x.size == 0:
        return False
    if x.size <= _FEW:
        return bool(np.isnan(x).any())
    axes, stored = _lines(x), dtypes.real(x.dtype)
    working = np.dtype(np.float64 if stored.itemsize == 8 else np.float32)
    *outer, (length, step) = axes
    blocks = -(-length // _BLOCK)
    routines = [_compile_read(stored.str, working.name), compile_extreme(working.name), _compile_scan(len(axes))]
    job = np.zeros(1, SCAN_JOB)
    job["tasks"], job["blocks"] = prod(count for count, _ in outer) * blocks, blocks
    job["in_place"] = stored.str == working.str and step == working.itemsize
    job["infinity"], job["scratch_bytes"] = bits(np.inf, working.name), 8 * (_BLOCK + 1)
    job["read"], job["extreme"] = routines[0].address, routines[1].address
    found = np.zeros(1, np.int64)
    useful = x.size // _SERIAL + 1
    run(job, np.array(axes, SCAN_AXIS), routines[2], {"x": x, "found": found}, workers, useful)
    return bool(found[0])


def check_nan(x: np.ndarray, workers: int | None) -> None:
    """Raise `ValueError` where an array holds NaN."""
    if holds_nan(x, workers):
        first = tuple(map(int, np.unravel_index(np.isnan(x).argmax(), x.shape)))
        raise ValueError(f"x holds NaN, at index {first} first, but nan_policy is 'raise'")


def _lines(x: np.ndarray) -> list[tuple[int, int]]:
    """Return the lengths and steps of an array's axes, of its real parts, with those as one that memory joins."""
    axes = [(x.shape[a], x.strides[a]) for a in memory_order(x)]
    if x.dtype.kind == "c":
        axes.append((2, x.itemsize // 2))
    joined: list[tuple[int, int]] = []
    for length, step in axes:
        if length == 1 or step == 0:  # every sample there is the same
            continue
        if joined and joined[-1][1] == length * step:
            joined[-1] = joined[-1][0] * length, step
        else:
            joined.append((length, step))
    return joined or [(1, x.itemsize)]


@lru_cache(maxsize=16)
def _compile_read(stored: str, working: str) -> Any:
    def read(source, step, count, target):
        read_line(source, step, count, target, 0, stored, working, KEPT)

    return compile_routine(read)


@lru_cache(maxsize=32)
def _compile_scan(rank: int) -> Any:
    """Compile a worker that looks through blocks of lines until there is none left, or one holds NaN."""
    zeros = (0,) * rank

    def worker(number, jobs, axis_records):
        job, axes = jobs[0], axis_records[: len(zeros)]
        last = len(zeros) - 1
        scratch = job.scratch + number * job.scratch_bytes
        task = take_next(job.next_task)
        while task < job.tasks:
            place = unravel(task // job.blocks, lengths(zeros, axes))
            first = task % job.blocks * _BLOCK
            source = job.x + first * axes[last].step
            for a in range(last):
                source += place[a] * axes[a].step
            count = min(_BLOCK, axes[last].length - first)
            if job.in_place == 0:
                call_address(job.read, (source, axes[last].step, count, scratch + 8))
                source = scratch + 8
            call_address(job.extreme, (source, count, scratch))
            if read_index(scratch, 0) > job.infinity:
                write_index(job.found, 0, 1)
                write_index(job.next_task, 0, job.tasks)
            task = take_next(job.next_task)

    return compile_routine(worker, jobs=SCAN_JOB, axis_records=SCAN_AXIS)


def lengths(grid, axes):
    """Return the lengths of all axes but the last, which has one line; ``grid`` is any multi-index."""
    last = len(grid) - 1
    for a in range(len(grid)):
        grid = with_element(grid, a, axes[a].length if a < last else 1)
    return grid
