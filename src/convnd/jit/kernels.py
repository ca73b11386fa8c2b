"""The kernel functions of the direct and of the separable method: gather, register tile, store, for the tiles of a grid.

They are compiled for each rank, which is the length of ``grid``. What they call is compiled once for all ranks.
"""

from __future__ import annotations

from numba import njit, prange

from . import tables as t
from .compile import HELPER
from .gather import arrays, clear, find_tile, largest_of, worker_addresses
from .intrinsics.memory import call, swap, take_next, write_index
from .parallel import Kernel
from .tiles import window_in_x


@njit(**HELPER)
def _first_output(job, table, memory):
    """Return the address of a tile's first output in the first channel of ``job``."""
    rank, out = table[job + t.RANK], table[job + t.OUT]
    for a in range(rank):
        out += memory[t.ORIGIN * rank + a] * table[table[job + t.AXES] + a * t.AXIS_COLUMNS + t.OUT_STEP]
    return out


@njit(**HELPER)
def _find_samples(group, table, memory, addresses, gathered, window):
    """Return the address of a tile's samples, in x or gathered, and 1 where it is that of x itself."""
    samples = window_in_x(group, 0, table, memory) if table[t.READS_X] != 0 else 0
    if samples != 0:
        return samples, 1
    if not gathered:
        call(table[t.GATHER], (*addresses, 0, group, window))
    return window, 0


@njit(**HELPER)
def run_tasks(grid, table_address, memory_address, scratch):
    """Run tasks, each the next that no worker has taken: a tile, a group, and a part of the group's output channels."""
    table, memory = arrays(table_address, memory_address)
    addresses = table_address, memory_address
    window, results, gathered = scratch + table[t.WINDOW_AT], scratch + table[t.RESULTS_AT], -1
    task = take_next(table[t.NEXT_TASK])
    while task < table[t.TASKS]:
        rest = task // table[t.GROUP_TASKS]
        part, group = task % table[t.GROUP_TASKS], rest % table[t.GROUPS]
        find_tile(rest // table[t.GROUPS], grid, 0, table, memory)
        samples, reads_x = _find_samples(group, table, memory, addresses, rest == gathered, window)
        gathered = rest if reads_x == 0 else gathered  # the tasks of a group's tile share its window
        out = _first_output(0, table, memory)
        call(table[t.RUN_TILE], (*addresses, 0, group, part, samples, reads_x, results, out))
        task = take_next(table[t.NEXT_TASK])


@Kernel
def convolve(parallel):
    """Convolve directly: each worker takes the next tile of the ``grid``, whose length is the rank."""

    def convolve_tiles(grid, table):
        if parallel and swap(table[t.BUSY], 1) != 0:
            return False
        for worker in prange(table[t.WORKERS]):
            run_tasks(grid, table[t.ADDRESS], *worker_addresses(worker, table))
        if parallel:
            swap(table[t.BUSY], 0)
        return True

    return convolve_tiles


@njit(**HELPER)
def _is_smaller(table, memory):
    """Return whether a tile is smaller than the first."""
    rank, smaller = table[t.RANK], False
    for a in range(rank):
        begins = table[table[t.AXES] + a * t.AXIS_COLUMNS + t.BEGINS]
        smaller |= memory[t.OUTPUTS * rank + a] < table[begins + 1]
    return smaller


@njit(**HELPER)
def _run_passes(group, samples, reads_x, table, memory, addresses, scratch):
    """Run one pass after the other, each into the window of the next and the last into the result.

    Return whether they could: none goes on from a window whose samples are out of range.
    """
    last = (table[t.PASSES] - 1) * t.JOB_COLUMNS
    for job in range(0, last + 1, t.JOB_COLUMNS):
        if job > 0:
            samples, reads_x = scratch + table[job + t.WINDOW_AT], 0
        if job == t.JOB_COLUMNS and table[job + t.MOST] > 0:
            count = table[job + t.IN_CHANNELS] * table[job + t.CHANNEL_PITCH] // table[job + t.ITEM]
            if largest_of(samples, count, job, table, addresses[1]) > table[job + t.MOST]:
                return False
        out = _first_output(job, table, memory) if job == last else scratch + table[job + t.JOB_COLUMNS + t.WINDOW_AT]
        call(
            table[job + t.RUN_TILE],
            (
                *addresses, job, group, 0, samples, reads_x,
                scratch + table[job + t.RESULTS_AT], out,
            ),
        )  # fmt: skip
    return True


@njit(**HELPER)
def _run_separable_tasks(grid, table_address, memory_address, scratch):
    """Run tasks, each the next tile that no worker has taken."""
    table, memory = arrays(table_address, memory_address)
    addresses = table_address, memory_address
    window = scratch + table[t.WINDOW_AT]
    task = take_next(table[t.NEXT_TASK])
    while task < table[t.TASKS]:
        group = task % table[t.GROUPS]
        find_tile(task // table[t.GROUPS], grid, 0, table, memory)
        if _is_smaller(table, memory):  # what is left of other tiles may be out of range
            clear(window, (table[t.RESULTS_AT] - table[t.WINDOW_AT]) // 8 * 8)
        samples, reads_x = _find_samples(group, table, memory, addresses, False, window)
        if not _run_passes(group, samples, reads_x, table, memory, addresses, scratch):
            write_index(table[t.FLAGS], task, 1)
        task = take_next(table[t.NEXT_TASK])


@Kernel
def convolve_separably(parallel):
    """Convolve factor by factor: each worker takes the next tile of the ``grid``, whose length is the rank."""

    def convolve_tiles_separably(grid, table):
        if parallel and swap(table[t.BUSY], 1) != 0:
            return False
        for worker in prange(table[t.WORKERS]):
            _run_separable_tasks(grid, table[t.ADDRESS], *worker_addresses(worker, table))
        if parallel:
            swap(table[t.BUSY], 0)
        return True

    return convolve_tiles_separably
