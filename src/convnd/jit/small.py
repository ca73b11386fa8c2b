"""The kernel function of small calls of the direct method: weights packed and tasks done by the thread that asks."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numba import njit, types

from . import tables as t
from .compile import OPTIONS, compiled
from .intrinsics.memory import call, indices_at, write_index
from .kernels import run_tasks


def _convolve_small(grid, template, place, x, kernel, out):
    """Convolve x with a kernel into out, by the table at the address ``template`` and fresh memory at ``place``."""
    given, table = indices_at(template), indices_at(place)
    for k in range(given[t.SIZE]):
        table[k] = given[k]
    table[t.ADDRESS], table[t.NEXT_TASK] = place, place + table[t.NEXT_AT]
    write_index(table[t.NEXT_TASK], 0, 0)
    table[t.X] = x
    table[t.X_LOW] += x
    table[t.X_HIGH] += x
    table[t.OUT] = out
    if table[t.WEIGHT_COUNT] > 0:
        flat = place + table[t.KERNEL_AT]  # the weights in canonical order, and a zero
        call(table[t.READ_KERNEL], (kernel, flat, table[t.KERNEL_COUNT], 0, table[t.KERNEL_OFFSETS]))
        write_index(flat + table[t.KERNEL_COUNT] * table[t.ITEM], 0, 0)
        table[t.WEIGHTS] = place + table[t.WEIGHTS_AT]
        call(table[t.READ_WEIGHTS], (flat, table[t.WEIGHTS], table[t.WEIGHT_COUNT], 0, table[t.WEIGHT_OFFSETS]))
    run_tasks(grid, place, place + table[t.MEMORY_AT], place + table[t.SCRATCH_AT])


@lru_cache(maxsize=64)
def compile_small(rank: int) -> Any:
    """Compile the small call for grids of a rank."""
    signature = types.void(types.UniTuple(types.int64, rank), *[types.int64] * 5)
    return compiled(lambda cache: njit(signature, cache=cache, **OPTIONS)(_convolve_small))
