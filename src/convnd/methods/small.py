"""A small direct convolution: its tasks done in one compiled call, by the thread that asks.

What does not depend on the arrays' values and addresses lies ready in a table. The call takes addresses and a block of
memory: any number of threads may be in it.
"""

from __future__ import annotations

import numpy as np

from ..jit import tables as t
from ..jit.kernels import compile_small
from ..jit.machine import CACHE_LINE
from ..jit.parallel import aligned
from ..problem.memory import reach
from ..problem.request import Request
from .direct import DirectPlan
from .tiling.layout import round_up

_MEMORY = 64 * 1024  #: bytes that a small call keeps beside its arrays, at most
_MOST_WORKERS = 16  #: that the work of a call by one thread is large enough for: an interrupt waits for its end


class SmallCall:
    """The direct method for kernels of one shape. Of the request's arrays only shape, strides and types are read."""

    def __init__(self, request: Request, plan: DirectPlan, fills: np.ndarray) -> None:
        table, (low, high) = plan.tasks.table.copy(), reach(request.x)
        table[t.X_LOW], table[t.X_HIGH], table[t.FILLS] = low, high - plan.problem.stored_bytes, fills.ctypes.data
        self._kept = plan, fills, table  # alive: the table holds their addresses
        at = round_up(8 * len(table), CACHE_LINE)
        table[t.NEXT_AT], table[t.MEMORY_AT] = at, at + CACHE_LINE
        table[t.SCRATCH_AT] = round_up(int(table[t.MEMORY_AT] + 8 * table[t.NUMBERS]), CACHE_LINE)
        table[t.IS_CLEAR] = 1
        self._bytes = int(table[t.SCRATCH_AT]) + plan.tasks.scratch_bytes
        self._table = table.ctypes.data
        #: Blocks that no call is in, with their addresses: as many as have run at once. What a call leaves in the
        #: windows are samples.
        self._unused: list[tuple[np.ndarray, int]] = []
        self._run = compile_small()

    def __call__(self, x: np.ndarray, weights: int, out: np.ndarray) -> None:
        """Convolve ``x`` into ``out``, by what the plan made of a kernel, at the address ``weights``."""
        try:
            memory = self._unused.pop()
        except IndexError:
            memory = _zeros(self._bytes)
        self._run(self._table, memory[1], x.ctypes.data, weights, out.ctypes.data)
        if self._bytes <= _MEMORY:
            self._unused.append(memory)


def small_call(request: Request, plan: DirectPlan, fills: np.ndarray) -> SmallCall | None:
    """Return the direct method as one compiled call, or None where there is too much for one."""
    is_small = plan.workers == 1 or (request.workers == 1 and plan.workers <= _MOST_WORKERS)
    return SmallCall(request, plan, fills) if is_small else None


def _zeros(size: int) -> tuple[np.ndarray, int]:
    """Return so many bytes of memory, all zero, that begin with a cache line, and their address."""
    memory = aligned(size)
    memory[:] = 0
    return memory, memory.ctypes.data
