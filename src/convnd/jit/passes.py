"""Passes over whole arrays, line by line: what omitting NaN and adding to a result take beside convolutions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from . import tables as t
from .compile import function
from .gather import arrays
from .intrinsics.memory import call, indices_at, read_sample, take_next, write_sample
from .lines import pointer_to

BLOCK = 2**14  # elements that a call of the C function goes through, at most, and those of a task, at least


def run_lines(table_address, _memory_address, _scratch):
    """Call a C function for lines of three arrays of one shape, each task the next that no worker has taken.

    It takes the addresses of a line of each array, of what it reads or writes beside them, and of the steps along the
    lines, and the number of elements.
    """
    table, _ = arrays(table_address, table_address)
    rank, lengths = table[t.RANK], table[t.LENGTHS]
    all_steps = lengths + rank
    last_steps = all_steps + 3 * (rank - 1)
    task = take_next(table[t.NEXT_TASK])
    while task < table[t.TASKS]:
        begin = task % table[t.LINE_BLOCKS] * BLOCK
        count = min(BLOCK, table[lengths + rank - 1] - begin)
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


@lru_cache(maxsize=8)
def compile_nan_search(stored: str) -> int:
    """Compile the search of a line for NaN: it sets ``beside`` to 1 where there is one."""
    dtype = np.dtype(stored)
    size, swapped = dtype.itemsize, int(not dtype.isnative)

    def search(line, _two, _three, beside, steps, count):
        step, missing = indices_at(steps)[0], 0
        if step == size:
            for k in range(count):
                sample = read_sample(line, k * size, swapped)
                missing |= sample != sample
        else:
            for k in range(count):
                sample = read_sample(line, k * step, swapped)
                missing |= sample != sample
        if missing:
            indices_at(beside)[0] = 1

    def search_half(line, _two, _three, beside, steps, count):
        step, missing = indices_at(steps)[0], 0
        for k in range(count):
            missing |= (read_sample(line, k * step, swapped) & 0x7FFF) > 0x7C00
        if missing:
            indices_at(beside)[0] = 1

    return function(search_half if size == 2 else search, pointer_to(dtype))


@lru_cache(maxsize=16)
def compile_weighing(stored: str, marks: str, working: str) -> int:
    """Compile the product of a line of samples with their weights, in the working type; 0 where the weight is 0."""
    sample_type, mark_type, native = np.dtype(stored), np.dtype(marks), np.dtype(working)
    size, sample_size, mark_size, convert = native.itemsize, sample_type.itemsize, mark_type.itemsize, native.type
    zero = convert(0)

    def weigh(values, samples, mask, _beside, steps, count):
        value_step, sample_step, mark_step = indices_at(steps)[0], indices_at(steps)[1], indices_at(steps)[2]
        if (value_step, sample_step, mark_step) == (size, sample_size, mark_size):
            for k in range(count):
                weight = convert(mask[k])
                value = convert(samples[k]) * weight
                values[k] = value if weight != zero else zero
        else:
            for k in range(count):
                weight = convert(read_sample(mask, k * mark_step, 0))
                value = convert(read_sample(samples, k * sample_step, 0)) * weight
                write_sample(values, k * value_step, value if weight != zero else zero, 0)

    return function(weigh, pointer_to(native), pointer_to(sample_type), pointer_to(mark_type))


@lru_cache(maxsize=4)
def compile_normalisation(sums: str, weights: str) -> int:
    """Compile the product of a line of sums with the whole weight over the weight found, NaN where that is too little.

    ``beside`` is the largest weight that is none.
    """
    sum_type, weight_type = np.dtype(sums), np.dtype(weights)
    size, weight_size, convert, nan = sum_type.itemsize, weight_type.itemsize, sum_type.type, weight_type.type(np.nan)

    def normalise(sums, found, whole, least, steps, count):
        sum_step, found_step, whole_step = indices_at(steps)[0], indices_at(steps)[1], indices_at(steps)[2]
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


@lru_cache(maxsize=4)
def compile_update(native: str) -> int:
    """Compile ``total = sums + bias + beta * total`` of lines; ``total`` is not read where beta, ``beside``, is 0."""
    dtype = np.dtype(native)
    size = dtype.itemsize

    def update(total, sums, bias, beta, steps, count):
        total_step, sums_step, bias_step = indices_at(steps)[0], indices_at(steps)[1], indices_at(steps)[2]
        factor, one = beta[0], bias[0]
        if (total_step, sums_step, bias_step) == (size, size, 0):
            if factor == 0:
                for k in range(count):
                    total[k] = sums[k] + one
            else:
                for k in range(count):
                    total[k] = sums[k] + one + factor * total[k]
        else:
            for k in range(count):
                own = read_sample(sums, k * sums_step, 0) + read_sample(bias, k * bias_step, 0)
                if factor != 0:
                    own += factor * read_sample(total, k * total_step, 0)
                write_sample(total, k * total_step, own, 0)

    pointer = pointer_to(dtype)
    return function(update, pointer, pointer, pointer, pointer)


@lru_cache(maxsize=4)
def compile_root(native: str) -> int:
    """Compile the root of a sum of squares, of as many lines as ``beside`` says, and so many bytes apart."""
    dtype = np.dtype(native)
    size = dtype.itemsize

    def root(target, first, _three, beside, steps, count):
        lines, apart = indices_at(beside)[0], indices_at(beside)[1]
        target_step, step = indices_at(steps)[0], indices_at(steps)[1]
        if (target_step, step) == (size, size):
            for k in range(count):
                target[k] = first[k] * first[k]
            for line in range(1, lines):
                to = line * apart // size
                for k in range(count):
                    target[k] += first[to + k] * first[to + k]
            for k in range(count):
                target[k] = np.sqrt(target[k])
        else:
            for k in range(count):
                total = read_sample(first, k * step, 0) ** 2
                for line in range(1, lines):
                    total += read_sample(first, k * step + line * apart, 0) ** 2
                write_sample(target, k * target_step, np.sqrt(total), 0)

    return function(root, pointer_to(dtype), pointer_to(dtype))
