"""A small direct convolution: its tasks done in one compiled call, by the thread that asks.

What does not depend on the arrays' values and addresses lies ready in a table. The call takes addresses and a block of
memory: any number of threads may be in it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..jit import tables as t
from ..jit.kernels import compile_small
from ..jit.machine import CACHE_LINE
from ..jit.parallel import aligned_at
from ..problem.memory import reach
from ..problem.request import Request
from .direct import DirectPlan
from .tiling.layout import round_up
from .tiling.weights import lifted_by

_MEMORY = 64 * 1024  #: bytes of a block that small calls share, where each has room in one
_MOST_WORKERS = 16  #: that the work of a call by one thread is large enough for: an interrupt waits for its end

#: Blocks that no call is in, with their addresses: as many as have run at once.
_unused: list[tuple[np.ndarray, int]] = []


class SmallCall:
    """The direct method for kernels of one shape. Of the request's arrays only shape, strides and types are read."""

    def __init__(self, request: Request, plan: DirectPlan, fills: np.ndarray) -> None:
        table, (low, high) = plan.tasks.table.copy(), reach(request.x)
        table[t.X_LOW], table[t.X_HIGH], table[t.FILLS] = low, high - plan.problem.stored_bytes, fills.ctypes.data
        self.plan, self._kept, self._table = plan, (fills, table), table.ctypes.data  # the table holds their addresses
        at = round_up(8 * len(table), CACHE_LINE)
        scratch = round_up(at + CACHE_LINE + 8 * int(table[t.NUMBERS]), CACHE_LINE)
        table[t.NEXT_AT], table[t.MEMORY_AT], table[t.SCRATCH_AT] = at, at + CACHE_LINE, scratch
        self._bytes, self._run = scratch + plan.tasks.scratch_bytes, compile_small()

    def of(self, weights: np.ndarray) -> Callable[[np.ndarray, np.ndarray, Any], None]:
        """Return what convolves an array into another by what the plan made of a kernel; it drops a third argument."""
        address, exponent, run, size = weights.ctypes.data, lifted_by(weights), self._run, self._bytes

        def call(x: np.ndarray, out: np.ndarray, _: Any, weights: np.ndarray = weights) -> None:
            try:
                block = _unused.pop() if size <= _MEMORY else aligned_at(size)
            except IndexError:
                block = aligned_at(_MEMORY)
            run(self._table, block[1], x.ctypes.data, address, exponent, out.ctypes.data)
            if size <= _MEMORY:
                _unused.append(block)

        return call


def small_call(request: Request, plan: Any, fills: np.ndarray) -> SmallCall | None:
    """Return a plan of the direct method as one compiled call, or None where it is another's or too much for one."""
    is_small = plan.workers == 1 or (request.workers == 1 and plan.workers <= _MOST_WORKERS)
    is_ready = isinstance(plan, DirectPlan) and not plan.packs_inside
    return SmallCall(request, plan, fills) if is_small and is_ready else None
