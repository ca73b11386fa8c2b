"""What a worker does: of the direct and of the separable method, and of small calls."""

from typing import Any

from numba import njit, types

from . import tables as t
from .compile import HELPER, OPTIONS, compiled, renamed
from .gather import arrays, find_tile, largest_of
from .index import total
from .intrinsics.memory import call, clear, indices_at, run, take_next, words_at
from .intrinsics.scaling import OVERFLOW, SUBNORMAL, take_exceptions
from .machine import CACHE_LINE
from .tiles import window_in_x

# How a tile is summed: as it is; times a power of two; as it is, since that power would be too large.
AS_IT_IS, LIFTED, NOT_LIFTED = range(3)
_POWER_SINGLE, _POWER_DOUBLE = 64, 512  # exponents that samples are lifted by, where weights are not
_SMALL = 32  # samples with a smaller biased exponent may have subnormal products
_LEAST_PEEKS, _MOST_PEEKS, _OUTPUTS_OF_PEEK = 4, 64, 1024  # samples that are looked at


@njit(**HELPER)
def _first_output(job, table, memory):
    """Return the address of a tile's first output in the first channel of ``job``."""
    rank, out = table[job + t.RANK], table[job + t.OUT]
    for a in range(rank):
        out += memory[t.ORIGIN * rank + a] * table[table[job + t.AXES] + a * t.AXIS_COLUMNS + t.OUT_STEP]
    return out


@njit(**HELPER)
def _clear_windows(table, scratch):
    """Set a worker's windows to zero.

    The register tile reads more than gather writes and drops the results. What other calls left there may be subnormal
    numbers, which take a processor a hundred times longer.
    """
    clear(scratch + table[t.WINDOW_AT], (table[t.RESULTS_AT] - table[t.WINDOW_AT]) // 8 * 8)


@njit(**HELPER)
def _is_finite(window, table, memory_address):
    """Return whether a worker's window holds neither NaN nor infinity; what other tiles have left there counts too."""
    count = (table[t.RESULTS_AT] - table[t.WINDOW_AT]) // table[t.ITEM]
    return largest_of(window, count, table[t.LARGEST], memory_address) <= table[t.MOST]


@njit(**HELPER)
def _looks_small(samples, reads_x, table, memory):
    """Return whether one of a few samples of a tile is so small that products of it may be subnormal."""
    rank, random, peeks = table[t.RANK], 1, 0
    if table[t.SCALE] != 0:
        peeks = min(_MOST_PEEKS, _LEAST_PEEKS + total(memory, t.OUTPUTS, rank) // _OUTPUTS_OF_PEEK)
    pitch = t.PITCH if reads_x == 0 else t.X_STEP
    for _ in range(peeks):
        place = samples
        for a in range(rank):
            random = random * 6364136223846793005 + 1442695040888963407  # Knuth's
            at = ((random >> 33) & 0x7FFFFFFF) * memory[t.OUTPUTS * rank + a] >> 31
            place += at * table[table[t.AXES] + a * t.AXIS_COLUMNS + pitch]
        if table[t.ITEM] == 4:
            bits = (words_at(place)[0] & 0x7FFFFFFF) << 29
        else:
            bits = indices_at(place)[0] & 0x7FFFFFFFFFFFFFFF
        if 0 < bits < _SMALL << 52:
            return True
    return False


@njit(**HELPER)
def _lift(table, memory_address, scratch):
    """Multiply a worker's windows by a power of two and return the exponent, 0 where samples are too large."""
    mantissa, power, infinity = (23, _POWER_SINGLE, 0xFF) if table[t.ITEM] == 4 else (52, _POWER_DOUBLE, 0x7FF)
    if table[t.LIFTED_BY] != 0:
        power = mantissa + 1  # which lifts all subnormal numbers: the weights do the rest
    size = table[t.RESULTS_AT] - table[t.WINDOW_AT]
    run(table[t.SCALE], (scratch + table[t.WINDOW_AT], size, power, memory_address))
    return power if indices_at(memory_address)[t.FREE] >> mantissa < infinity - power else 0


@njit(**HELPER)
def _set_lift(job, power, is_last, table, memory):
    """Say by which weights a job of a tile computes, and what the results are divided by where it is the last.

    ``power`` is the exponent that samples are lifted by, 0 for none.
    """
    rank, exponent = table[t.RANK], table[job + t.LIFTED_BY] if power > 0 else 0
    weights = table[job + t.GROUPS] * table[job + t.BLOCKS] * table[job + t.WEIGHTS_BLOCK]
    memory[t.WEIGHTS_BEHIND * rank] = weights if exponent > 0 else 0
    memory[t.EXPONENT * rank] = power + exponent if is_last else 0


@njit(**HELPER)
def _next_way(way, is_done, table):
    """Return the way to sum a tile again that was summed in one way; that way where no other is better."""
    met = take_exceptions() if table[t.SCALE] != 0 else 0
    if way == AS_IT_IS and met & SUBNORMAL != 0:
        return LIFTED
    return NOT_LIFTED if way == LIFTED and (not is_done or met & OVERFLOW != 0) else way


@njit(**HELPER)
def is_smaller(table, memory):
    """Return whether a tile is smaller than the first."""
    rank, smaller = table[t.RANK], False
    for a in range(rank):
        begins = table[table[t.AXES] + a * t.AXIS_COLUMNS + t.BEGINS]
        smaller |= memory[t.OUTPUTS * rank + a] < table[begins + 1]
    return smaller


@njit(**HELPER)
def _only_nan_is_out(group, reads_x, table, addresses, scratch):
    """Return whether all samples of a tile that are out of range are NaN, which passes through every factor rightly.

    Infinity does not, nor do sums that overflow: factors turn the signs and the zeros that they meet into others.
    """
    window = scratch + table[t.WINDOW_AT]
    if reads_x:
        call(table[t.GATHER], (*addresses, 0, group, window))
    count = table[t.IN_CHANNELS] * table[t.CHANNEL_PITCH] // table[t.ITEM]
    return largest_of(window, count, table[t.LARGEST_NUMBER], addresses[1]) <= table[t.MOST_WRITTEN]


@njit(**HELPER)
def _run_passes(group, part, samples, reads_x, power, table, memory, addresses, scratch):
    """Run one pass after the other, each into the windows of those that follow it or into the result.

    The result is divided by 2 to a power. Return whether they could: none goes on from a window whose samples are out
    of range.
    """
    for job in range(0, table[t.PASSES] * t.JOB_COLUMNS, t.JOB_COLUMNS):
        source, in_place = (samples, reads_x) if job == 0 else (scratch + table[job + t.WINDOW_AT], 0)
        target = scratch + table[job + t.TARGET_AT]
        _set_lift(job, power, target == scratch, table, memory)
        out = _first_output(job, table, memory) if target == scratch else target
        arguments = (*addresses, job, group, part, source, in_place, scratch + table[job + t.RESULTS_AT], out)
        run(table[job + t.RUN_TILE], arguments)
        if table[job + t.CHECKED] > 0 and table[job + t.MOST_WRITTEN] > 0:
            largest = largest_of(target, table[job + t.CHECKED], table[job + t.LARGEST], addresses[1])
            is_out = largest > table[job + t.MOST_WRITTEN]
            if is_out and not _only_nan_is_out(group, reads_x, table, addresses, scratch):
                return False
    return True


def convolve_tiles(table_address, memory_address, scratch):
    """Run tasks, each the next that no worker has taken: a tile, a group, and a part of the group's output channels.

    A tile that meets subnormal numbers is summed again, times a power of two, and so are the worker's next ones at
    once. Sums that meet none are the same either way, so results do not depend on which tiles a worker takes. A tile
    out of range is left alone and flagged.
    """
    table, memory = arrays(table_address, memory_address)
    addresses, window = (table_address, memory_address), scratch + table[t.WINDOW_AT]
    gathered, is_clear, is_in_range, power = -1, False, True, 0
    first_way = way = LIFTED if table[t.LIFTED_BY] != 0 and table[t.SCALE] != 0 else AS_IT_IS
    take_exceptions()
    task = take_next(table[t.NEXT_TASK])
    while task < table[t.TASKS]:
        rest = task // table[t.GROUP_TASKS]
        part, group = task % table[t.GROUP_TASKS], rest % table[t.GROUPS]
        find_tile(rest // table[t.GROUPS], table, memory)
        samples = window_in_x(group, table, memory) if way != LIFTED else 0
        reads_x = samples != 0
        gathers = not reads_x and gathered != rest  # the tasks of a group's tile share its window
        # What is left of other tiles may be out of range for the passes behind the first.
        is_clear &= way != LIFTED and (table[t.PASSES] == 1 or not is_smaller(table, memory))
        if not is_clear and (gathers or table[t.PASSES] > 1):
            _clear_windows(table, scratch)
            is_clear = True
        if gathers:
            call(table[t.GATHER], (*addresses, 0, group, window))
            is_in_range = table[t.MOST] == 0 or _is_finite(window, table, memory_address)
            power = _lift(table, memory_address, scratch) if way == LIFTED else 0
            gathered = rest
        if not reads_x:
            samples = window
        if way == AS_IT_IS and _looks_small(samples, reads_x, table, memory):
            way, gathered = LIFTED, -1
            continue
        is_done = is_in_range and (way != LIFTED or power > 0)
        if is_done:
            lifted_by = 0 if reads_x else power
            is_done = _run_passes(group, part, samples, reads_x, lifted_by, table, memory, addresses, scratch)
        next_way = _next_way(way, is_done, table)
        if next_way != way:
            way, first_way, gathered, is_clear = next_way, LIFTED, -1, False
            continue
        if not is_done:
            indices_at(table[t.FLAGS])[rest] = 1
        is_clear &= way == AS_IT_IS
        gathered = gathered if way == first_way else -1
        way, task = first_way, take_next(table[t.NEXT_TASK])


@njit(**HELPER)
def small_places(table):
    """Return the offsets in bytes, from a small call's table, of its next task, flags, whole numbers and scratch."""
    line, flags = CACHE_LINE, (8 * table[t.SIZE] // CACHE_LINE + 2) * CACHE_LINE
    memory = flags + (8 * table[t.TASKS] + line - 1) // line * line
    return flags - line, flags, memory, memory + (8 * table[t.NUMBERS] + line - 1) // line * line


def compile_small() -> Any:
    """Compile the small call."""
    signature = types.boolean(*[types.int64] * 4)
    return compiled(_convolve_small, lambda cache: njit(signature, cache=cache, **OPTIONS)(renamed(_convolve_small)))


def _convolve_small(template, place, x, out):
    """Convolve x into out by the table at the address ``template``, in memory at ``place``; return if tiles are left.

    The table has all columns but those that depend on where x, the result and the memory lie.
    """
    given, table = indices_at(template), indices_at(place)
    for k in range(given[t.SIZE]):
        table[k] = given[k]
    next_task, flags, memory, scratch = small_places(table)
    table[t.ADDRESS], table[t.NEXT_TASK], table[t.FLAGS] = place, place + next_task, place + flags
    table[t.X] = x
    table[t.X_LOW] += x
    table[t.X_HIGH] += x
    for job in range(0, table[t.PASSES] * t.JOB_COLUMNS, t.JOB_COLUMNS):
        table[job + t.OUT] = out
    clear(table[t.NEXT_TASK], memory - next_task)
    call(table[t.RUN_TASKS], (place, place + memory, place + scratch))
    are_left = False
    for task in range(table[t.TASKS]):
        are_left |= indices_at(table[t.FLAGS])[task] != 0
    return are_left
