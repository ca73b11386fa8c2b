"""Passes over whole arrays, line by line: what omitting NaN and adding to a result take beside convolutions."""

from functools import lru_cache

import numpy as np
from numba import njit

from . import tables as t
from .compile import HELPER, function
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


@njit(**HELPER)
def _steps_at(steps):
    return indices_at(steps)[0], indices_at(steps)[1], indices_at(steps)[2]


# Each of these functions is compiled for the bytes between neighbours ``along`` lines of the three arrays, so that it
# takes vectors where these are near each other, or for any, ``()``: it reads them then.


@lru_cache(maxsize=16)
def compile_nan_search(stored: str, along: tuple[int, ...]) -> int:
    """Compile the search of a line for NaN: it sets ``beside`` to 1 where there is one."""
    dtype, is_near = np.dtype(stored), bool(along)
    swapped, is_half = int(not dtype.isnative), dtype.itemsize == 2

    def search(line, _two, _three, beside, steps, count):
        step, _, _ = along if is_near else _steps_at(steps)
        missing = 0
        for k in range(count):
            sample = read_sample(line, k * step, swapped)
            missing |= (sample & 0x7FFF) > 0x7C00 if is_half else sample != sample
        if missing:
            indices_at(beside)[0] = 1

    return function(search, pointer_to(dtype))


@lru_cache(maxsize=16)
def compile_weighing(stored: str, marks: str, working: str, along: tuple[int, ...]) -> int:
    """Compile the product of a line of samples with their weights, in the working type; 0 where the weight is 0."""
    native, is_near = np.dtype(working), bool(along)
    convert, zero = native.type, native.type(0)

    def weigh(values, samples, mask, _beside, steps, count):
        value_step, sample_step, mask_step = along if is_near else _steps_at(steps)
        for k in range(count):
            weight = convert(read_sample(mask, k * mask_step, 0))
            value = convert(read_sample(samples, k * sample_step, 0)) * weight
            write_sample(values, k * value_step, value if weight != zero else zero, 0)

    return function(weigh, pointer_to(native), pointer_to(np.dtype(stored)), pointer_to(np.dtype(marks)))


@lru_cache(maxsize=16)
def compile_normalisation(sums: str, weights: str, along: tuple[int, ...]) -> int:
    """Compile the product of a line of sums with the whole weight over the weight found, NaN where that is too little.

    ``beside`` is the largest weight that is none; what the whole weight exceeds by no more is whole.
    """
    sum_type, weight_type, is_near = np.dtype(sums), np.dtype(weights), bool(along)
    convert, nan, one = sum_type.type, weight_type.type(np.nan), weight_type.type(1)

    def normalise(sums, found, whole, least, steps, count):
        sum_step, found_step, whole_step = along if is_near else _steps_at(steps)
        most = least[0]
        for k in range(count):
            own, all_valid = read_sample(found, k * found_step, 0), read_sample(whole, k * whole_step, 0)
            factor = one if own >= all_valid - most else all_valid / own  # infinite ones have no quotient
            factor = nan if own <= most else factor  # nothing is read under a condition: it takes vectors
            write_sample(sums, k * sum_step, convert(read_sample(sums, k * sum_step, 0) * factor), 0)

    weight = pointer_to(weight_type)
    return function(normalise, pointer_to(sum_type), weight, weight, weight)


@lru_cache(maxsize=16)
def compile_update(native: str, along: tuple[int, ...]) -> int:
    """Compile ``total = sums + bias + beta * total`` of lines; ``total`` is not read where beta, ``beside``, is 0."""
    is_near = bool(along)

    def update(total, sums, bias, beta, steps, count):
        total_step, sums_step, bias_step = along if is_near else _steps_at(steps)
        factor = beta[0]
        for k in range(count):
            own = read_sample(sums, k * sums_step, 0) + read_sample(bias, k * bias_step, 0)
            if factor != 0:
                own += factor * read_sample(total, k * total_step, 0)
            write_sample(total, k * total_step, own, 0)

    pointer = pointer_to(np.dtype(native))
    return function(update, pointer, pointer, pointer, pointer)


@lru_cache(maxsize=32)
def compile_truncation(stored: str, divides: bool, along: tuple[int, ...]) -> int:
    """Compile the conversion of a line of doubles, times ``beside`` or divided by it, to whole numbers as C has it.

    They are converted to 32 bits first, or to 64 for uint32, and what the type does not hold of these wraps round.
    """
    dtype, is_near = np.dtype(stored), bool(along)
    swapped, native = int(not dtype.isnative), dtype.newbyteorder("=").type
    whole = np.int64 if (dtype.kind, dtype.itemsize) == ("u", 4) else np.int32

    def truncate(target, sums, _three, number, steps, count):
        target_step, step, _ = along if is_near else _steps_at(steps)
        for k in range(count):
            value = read_sample(sums, k * step, 0)
            value = value / number[0] if divides else value * number[0]
            write_sample(target, k * target_step, native(whole(value)), swapped)

    double = pointer_to(np.dtype(np.float64))
    return function(truncate, pointer_to(dtype), double, double, double)


@lru_cache(maxsize=16)
def compile_root(native: str, along: tuple[int, ...]) -> int:
    """Compile the root of a sum of squares, of as many lines as ``beside`` says, and so many bytes apart."""
    is_near = bool(along)

    def root(target, first, _three, beside, steps, count):
        lines, apart = indices_at(beside)[0], indices_at(beside)[1]
        target_step, step, _ = along if is_near else _steps_at(steps)
        for line in range(lines):
            for k in range(count):
                value = read_sample(first, line * apart + k * step, 0)
                total = value * value
                if line > 0:
                    total += read_sample(target, k * target_step, 0)
                write_sample(target, k * target_step, total, 0)
        for k in range(count):
            write_sample(target, k * target_step, np.sqrt(read_sample(target, k * target_step, 0)), 0)

    return function(root, pointer_to(np.dtype(native)), pointer_to(np.dtype(native)))
