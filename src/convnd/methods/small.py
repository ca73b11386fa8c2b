"""A small direct convolution: its weights packed and its tasks done in one compiled call, by the thread that asks.

What does not depend on the arrays' values and addresses lies ready in a table. The call takes addresses and a block of
memory: any number of threads may be in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..jit import tables as t
from ..jit.kernels import compile_small
from ..jit.lines import compile_reader
from ..jit.machine import CACHE_LINE
from ..jit.parallel import aligned
from ..problem.canonical import canonical_kernel
from ..problem.request import Request
from .direct import DirectPlan
from .layout import round_up

MOST_WEIGHTS = 2**12  #: whose places in the kernel a table holds

_MEMORY = 64 * 1024  #: bytes that a small call keeps beside its arrays, at most


class SmallCall:
    """The direct method for kernels of one shape and strides, or for one kernel.

    Parameters
    ----------
    request : Request
        What the user asks for; of its arrays only shape, strides and types are read.
    plan : DirectPlan
        Its plan, of work for one thread.
    fills : ndarray
        What stands outside every channel, `canonical.fills`.
    weights : ndarray, optional
        What the plan made of the kernel; without it the kernel of every call is packed.
    """

    def __init__(self, request: Request, plan: DirectPlan, fills: np.ndarray, weights: np.ndarray | None) -> None:
        table = plan.tasks.table.copy()
        low, high = plan.problem.bounds(request.x)
        first, item = request.x.ctypes.data, np.dtype(plan.problem.working).itemsize
        table[t.X_LOW], table[t.X_HIGH], table[t.FILLS] = low - first, high - first, fills.ctypes.data
        self._kept = [plan, fills, weights, table]  # alive: the table holds their addresses
        at = round_up(8 * len(table), CACHE_LINE)
        table[t.NEXT_AT], at = at, at + CACHE_LINE
        if weights is None:
            at = self._add_weights(request, plan, table, at, item)
        else:
            table[t.WEIGHTS] = weights.ctypes.data
        table[t.MEMORY_AT], at = at, round_up(at + 8 * int(table[t.NUMBERS]), CACHE_LINE)
        table[t.SCRATCH_AT], self._bytes = at, at + plan.scratch_bytes
        table[t.IS_CLEAR] = 1
        self._packs, self._grid, self._table = weights is None, plan.tasks.grid, table.ctypes.data
        #: Blocks that no call is in, with their addresses: as many as have run at once. What a call leaves in the
        #: windows are samples.
        self._unused: list[tuple[np.ndarray, int]] = []
        self._run = compile_small(len(self._grid))

    def _add_weights(self, request: Request, plan: DirectPlan, table: np.ndarray, at: int, item: int) -> int:
        """Describe how weights are packed: read in canonical order, a zero behind them, then put in their places."""
        kernel = request.kernel
        offsets = np.zeros(kernel.shape, np.int64)
        for a, (n, step) in enumerate(zip(kernel.shape, kernel.strides, strict=True)):
            offsets += (np.arange(n) * step).reshape([-1] + [1] * (kernel.ndim - 1 - a))
        working = np.dtype(plan.problem.working)
        in_order = canonical_kernel(replace(request, kernel=offsets, working="int64"))
        numbers = np.arange(1, in_order.size + 1).reshape(in_order.shape)
        packed = plan.prepare(numbers, None).ravel() - 1
        places = np.where(packed < 0, in_order.size, packed) * item
        in_order = np.ascontiguousarray(in_order).ravel()
        reader, copier = compile_reader(kernel.dtype.str, working.name), compile_reader(working.str, working.name)
        self._kept += [in_order, places, reader, copier]
        for column, value in {
            t.READ_KERNEL: reader.address, t.KERNEL_OFFSETS: in_order.ctypes.data, t.KERNEL_COUNT: in_order.size,
            t.READ_WEIGHTS: copier.address, t.WEIGHT_OFFSETS: places.ctypes.data, t.WEIGHT_COUNT: places.size,
            t.KERNEL_AT: at, t.WEIGHTS_AT: round_up(at + item * in_order.size + 8, CACHE_LINE),
        }.items():  # fmt: skip
            table[column] = value
        return round_up(int(table[t.WEIGHTS_AT]) + item * places.size, CACHE_LINE)

    def __call__(self, x: np.ndarray, kernel: np.ndarray, out: np.ndarray) -> None:
        """Convolve ``x`` with a kernel into ``out``, which they do not overlap. One that is packed is not read."""
        try:
            memory = self._unused.pop()
        except IndexError:
            memory = _zeros(self._bytes)
        from_kernel = kernel.ctypes.data if self._packs else 0
        self._run(self._grid, self._table, memory[1], x.ctypes.data, from_kernel, out.ctypes.data)
        if self._bytes <= _MEMORY:
            self._unused.append(memory)


def small_call(
    request: Request, plan: DirectPlan, fills: np.ndarray, weights: np.ndarray | None = None
) -> SmallCall | None:
    """Return the direct method as one compiled call, or None where there is too much for one."""
    one = plan.workers == 1 or request.workers == 1
    few = plan.weight_bytes <= MOST_WEIGHTS * np.dtype(plan.problem.working).itemsize
    simple = weights is not None or not (request.kernel.dtype.kind == "c" or request.divides_planes)
    return SmallCall(request, plan, fills, weights) if one and few and simple else None


def _zeros(size: int) -> tuple[np.ndarray, int]:
    """Return so many bytes of memory, all zero, that begin with a cache line, and their address."""
    memory = aligned(size)
    memory[:] = 0
    return memory, memory.ctypes.data
