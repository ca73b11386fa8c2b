"""Passes over whole arrays, line by line: what omitting NaN takes beside convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numba import njit, prange

from . import tables as t
from .compile import HELPER, function
from .gather import arrays
from .intrinsics.memory import call, read_index, read_sample, swap, take_next, write_index, write_sample
from .lines import pointer_to
from .parallel import Kernel

_BLOCK = 2**14  # elements that a call of the C function goes through, at most, and those of a task, at least
_SERIAL = 2**18  # elements that are worth a thread


@njit(**HELPER)
def _run_lines(table_address):
    """Call a C function for lines of three arrays of one shape, each task the next that no worker has taken."""
    table, _ = arrays(table_address, table_address)
    rank, lengths = table[t.RANK], table[t.LENGTHS]
    all_steps = lengths + rank
    last_steps = all_steps + 3 * (rank - 1)
    task = take_next(table[t.NEXT_TASK])
    while task < table[t.TASKS]:
        begin = task % table[t.LINE_BLOCKS] * _BLOCK
        count = min(_BLOCK, table[lengths + rank - 1] - begin)
        line = task // table[t.LINE_BLOCKS] * table[t.TASK_LINES]
        for number in range(line, min(line + table[t.TASK_LINES], table[t.LINE_COUNT])):
            first = table[t.FIRST] + begin * table[last_steps]
            second = table[t.SECOND] + begin * table[last_steps + 1]
            third = table[t.THIRD] + begin * table[last_steps + 2]
            for back in range(2, rank + 1):
                length, steps = table[lengths + rank - back], all_steps + 3 * (rank - back)
                first += number % length * table[steps]
                second += number % length * table[steps + 1]
                third += number % length * table[steps + 2]
                number //= length
            call(table[t.LINE_FUNCTION], (first, second, third, table[t.BESIDE], table_address + 8 * last_steps, count))
        task = take_next(table[t.NEXT_TASK])


@Kernel
def run_lines(parallel):
    """Run a C function over the lines of arrays: each worker takes the next lines."""

    def run_tasks_of_lines(grid, table):
        if parallel and swap(table[t.BUSY], 1) != 0:
            return False
        for _worker in prange(table[t.WORKERS]):
            _run_lines(table[t.ADDRESS])
        if parallel:
            swap(table[t.BUSY], 0)
        return True

    return run_tasks_of_lines


def over_lines(compiled: Any, operands: Sequence[np.ndarray], beside: np.ndarray, workers: int | None) -> None:
    """Run a C function over the lines of three arrays, or of fewer, that broadcast to the shape of the first.

    The function takes the addresses of a line of each array, of ``beside`` and of the steps along the lines, and the
    number of elements.
    """
    shape, absent = operands[0].shape, [(0,) * operands[0].ndim] * (3 - len(operands))
    steps = [np.broadcast_to(operand, shape).strides for operand in operands] + absent
    axes = _merged([*zip(shape, *steps, strict=True)])
    *outer, length = [n for n, *_ in axes]
    lines, blocks, together = prod(outer), -(-length // _BLOCK), max(1, _BLOCK // length)
    table = np.zeros(t.LINES_COLUMNS + 4 * len(axes), np.int64)
    for column, operand in zip((t.FIRST, t.SECOND, t.THIRD), operands, strict=False):
        table[column] = operand.ctypes.data
    for column, value in {
        t.RANK: len(axes), t.SIZE: len(table), t.TASKS: blocks * -(-lines // together), t.BESIDE: beside.ctypes.data,
        t.LINE_FUNCTION: compiled.address, t.LENGTHS: t.LINES_COLUMNS, t.LINE_COUNT: lines, t.LINE_BLOCKS: blocks,
        t.TASK_LINES: together,
    }.items():  # fmt: skip
        table[column] = value
    table[t.LINES_COLUMNS :] = [n for n, *_ in axes] + [step for _, *own in axes for step in own]
    run_lines.run(table, (1,), workers, lines * length // _SERIAL + 1)


def _merged(axes: list[Sequence[int]]) -> list[Sequence[int]]:
    """Return axes, each a length and the steps of the arrays, in memory order, and as few as can be."""
    kept: list[Sequence[int]] = []
    for n, *steps in sorted(axes, key=lambda axis: -abs(axis[1])):
        if n == 1:
            continue
        if kept and list(kept[-1][1:]) == [n * step for step in steps]:
            kept[-1] = (n * kept[-1][0], *steps)
        else:
            kept.append((n, *steps))
    return kept or [(1, 0, 0, 0)]


@lru_cache(maxsize=8)
def compile_nan_search(stored: str) -> Any:
    """Compile the search of a line for NaN: it sets ``beside`` to 1 where there is one."""
    dtype = np.dtype(stored)
    size, swapped = dtype.itemsize, int(not dtype.isnative)

    def search(line, _two, _three, beside, steps, count):
        step, missing = read_index(steps, 0), 0
        if step == size:
            for k in range(count):
                sample = read_sample(line, k * size, swapped)
                missing |= sample != sample
        else:
            for k in range(count):
                sample = read_sample(line, k * step, swapped)
                missing |= sample != sample
        if missing:
            write_index(beside, 0, 1)

    def search_half(line, _two, _three, beside, steps, count):
        step, missing = read_index(steps, 0), 0
        for k in range(count):
            missing |= (read_sample(line, k * step, swapped) & 0x7FFF) > 0x7C00
        if missing:
            write_index(beside, 0, 1)

    return function(search_half if size == 2 else search, pointer_to(dtype))


@lru_cache(maxsize=4)
def compile_normalisation(sums: str, weights: str) -> Any:
    """Compile the product of a line of sums with the whole weight over the weight found, NaN where that is too little.

    ``beside`` is the largest weight that is none.
    """
    sum_type, weight_type = np.dtype(sums), np.dtype(weights)
    size, weight_size, convert, nan = sum_type.itemsize, weight_type.itemsize, sum_type.type, weight_type.type(np.nan)

    def normalise(sums, found, whole, least, steps, count):
        sum_step, found_step, whole_step = read_index(steps, 0), read_index(steps, 1), read_index(steps, 2)
        if (sum_step, found_step, whole_step) == (size, weight_size, 0):
            one, most = whole[0], least[0]
            for k in range(count):
                factor = nan if found[k] <= most else one / found[k]
                sums[k] = convert(sums[k] * factor)
        else:
            for k in range(count):
                own = read_sample(found, k * found_step, 0)
                factor = nan if own <= least[0] else read_sample(whole, k * whole_step, 0) / own
                write_sample(sums, k * sum_step, convert(read_sample(sums, k * sum_step, 0) * factor), 0)

    weight = pointer_to(weight_type)
    return function(normalise, pointer_to(sum_type), weight, weight, weight)
