"""A small convolution: its tasks done in one compiled call, by the thread that asks.

What does not depend on the arrays' values and addresses lies ready in a table. The call takes addresses and a block of
memory: any number of threads may be in it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..jit import tables as t
from ..jit.compile import plain
from ..jit.kernels import compile_small, small_places
from ..jit.parallel import aligned_at
from ..problem.memory import reach
from ..problem.request import Request
from . import repair
from .direct import DirectPlan
from .separable.plan import SeparablePlan
from .transforms.transform import TransformPlan

_MEMORY = 64 * 1024  #: bytes of a block that small calls share, where each has room in one
_MOST_WORKERS = 16  #: that the work of a call by one thread is large enough for: an interrupt waits for its end

#: Blocks that no call is in, with their addresses: as many as have run at once.
_unused: list[tuple[np.ndarray, int]] = []


class SmallCall:
    """A plan for kernels of one shape. Of the request's arrays only shape, strides and types are read."""

    def __init__(
        self, request: Request, plan: DirectPlan | SeparablePlan | TransformPlan, fills: np.ndarray
    ) -> None:  # fmt: skip
        self.plan, self._fills, self._table = plan, fills, plan.tasks.table.copy()
        end, (low, high) = int(self._table[t.PASSES]) * t.JOB_COLUMNS, reach(request.x)
        self._kept = fills.astype(plan.working) if isinstance(plan, TransformPlan) else fills
        self._table[t.FILLS : end : t.JOB_COLUMNS] = self._kept.ctypes.data
        self._table[t.X_LOW], self._table[t.X_HIGH] = low, high - plan.problem.stored_bytes
        self._bytes = plain(small_places)(self._table.tolist())[-1] + plan.tasks.scratch_bytes
        self._run = compile_small()

    def of(self, weights: Any) -> Callable[[np.ndarray, np.ndarray, Any], None]:
        """Return what convolves an array into another by what the plan made of a kernel; it drops a third argument."""
        table, run, size = self._table.copy(), self._run, self._bytes
        for job, columns in enumerate(self.plan.kernel_columns(weights, self._fills)):
            for column, value in columns.items():
                table[job * t.JOB_COLUMNS + column] = value
        address = table.ctypes.data

        def call(x: np.ndarray, out: np.ndarray, _: Any, kept: np.ndarray = table) -> None:  # its address is in use
            try:
                block = _unused.pop() if size <= _MEMORY else aligned_at(size)
            except IndexError:
                block = aligned_at(_MEMORY)
            if run(address, block[1], x.ctypes.data, out.ctypes.data):
                repair.run(self.plan, x, weights, self._fills, out, 1)
            if size <= _MEMORY:
                _unused.append(block)

        return call


def small_call(request: Request, plan: Any, fills: np.ndarray) -> SmallCall | None:
    """Return a method's plan as one compiled call, or None where it is of another kind or too much for one."""
    is_small = plan.workers == 1 or (request.workers == 1 and plan.workers <= _MOST_WORKERS)
    is_ready = isinstance(plan, SeparablePlan | TransformPlan) or (
        isinstance(plan, DirectPlan) and not plan.packs_inside
    )
    return SmallCall(request, plan, fills) if is_small and is_ready else None
