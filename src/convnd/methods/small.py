"""A small direct convolution: its weights packed and its tasks done in one compiled call, by the thread that asks.

What does not depend on the arrays' values and addresses lies ready in a record. The call takes four addresses and
needs one block of fresh memory: any number of threads may be in it.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import CFUNCTYPE, c_void_p
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from ..jit.expressions import call_address, records_at
from ..jit.lines import read_weight
from ..jit.machine import CACHE_LINE, compile_routine, read_index, write_index
from ..jit.tiles import JOB
from ..problem import dtypes
from ..problem.canonical import Constants, canonical_kernel
from ..problem.request import Request
from .direct import DirectPlan
from .layout import round_up

MOST_WEIGHTS = 2**12  #: whose places in the kernel a record holds

_MEMORY = 64 * 1024  #: bytes that a small call takes beside its arrays, at most
#: Blocks of it that no call is in, with their addresses: as many as calls have run at once.
_UNUSED: list[tuple[np.ndarray, int]] = []

#: What a call needs: the worker, the job but for addresses and the axes; the routine that packs ``weights`` weights
#: from their ``places`` in the kernel, whose first byte in memory is ``kernel_low`` from its first element; and where
#: in the fresh memory everything goes.
CALL = np.dtype(
    [(name, np.int64) for name in (
        "worker", "job", "job_words", "axes", "pack", "places", "weights", "kernel_low",
        "next_task_at", "weights_at", "scratch_at",
    )]
)  # fmt: skip

_RUN = CFUNCTYPE(None, *[c_void_p] * 5)  # releases the GIL


class SmallCall:
    """The direct method for kernels of one shape and strides, or for one kernel.

    Parameters
    ----------
    request : Request
        What the user asks for; of its arrays only shape, strides and types are read.
    plan : DirectPlan
        Its plan, of work for one thread.
    constants : dict
        What stands outside every channel and what else the problem asks for, `problem.Constants`.
    weights : ndarray, optional
        What the plan made of the kernel; without it the kernel of every call is packed.
    """

    def __init__(self, request: Request, plan: DirectPlan, constants: Constants, weights: np.ndarray | None) -> None:
        low, high = plan.problem.bounds(request.x)
        job = plan.job.copy()
        job["x_low"], job["x_high"] = low - request.x.ctypes.data, high - request.x.ctypes.data
        for name, values in constants.items():
            job[name] = values.ctypes.data
        call = np.zeros(1, CALL)
        places, pack = np.zeros(0, np.int64), None
        if weights is None:
            places = _places(request, plan)
            pack = compile_pack(dtypes.real(request.kernel.dtype).str, plan.problem.working)
            call["pack"], call["places"] = pack.address, places.ctypes.data
            call["weights"], call["kernel_low"] = places.size, _low(request.kernel)
        else:
            job["weights"] = weights.ctypes.data
        next_task_at = job.nbytes
        weights_at = round_up(next_task_at + 8, CACHE_LINE)
        scratch_at = round_up(weights_at + np.dtype(plan.problem.working).itemsize * places.size, CACHE_LINE)
        call["worker"], call["axes"] = plan.worker.address, plan.geometry.axes.ctypes.data
        call["job"], call["job_words"] = job.ctypes.data, job.nbytes // 8
        call["next_task_at"], call["weights_at"], call["scratch_at"] = next_task_at, weights_at, scratch_at
        self._bytes = scratch_at + plan.scratch_bytes
        self._packs = weights is None
        self._record = call.ctypes.data
        self._kept = (plan, job, call, constants, weights, places, pack)  # alive: the records hold their addresses
        self._run = _compile_call()

    def __call__(self, x: np.ndarray, kernel: np.ndarray, out: np.ndarray) -> None:
        """Convolve ``x`` with a kernel into ``out``, which they do not overlap. One that is packed is not read."""
        if self._bytes > _MEMORY:
            memory = _block(self._bytes)
        else:
            try:
                memory = _UNUSED.pop()
            except IndexError:
                memory = _block(_MEMORY)
        from_kernel = kernel.ctypes.data if self._packs else 0
        self._run(self._record, x.ctypes.data, from_kernel, out.ctypes.data, memory[1])
        if self._bytes <= _MEMORY:
            _UNUSED.append(memory)


def small_call(
    request: Request, plan: DirectPlan, constants: Constants, weights: np.ndarray | None = None
) -> SmallCall | None:
    """Return the direct method as one compiled call, or None where there is too much for one."""
    one = plan.workers == 1 or request.workers == 1
    few = plan.weight_bytes <= MOST_WEIGHTS * np.dtype(plan.problem.working).itemsize
    return SmallCall(request, plan, constants, weights) if one and few else None


def _block(size: int) -> tuple[np.ndarray, int]:
    """Return so many bytes of memory that begin with a cache line, and their address."""
    memory = np.empty(size + CACHE_LINE, np.uint8)
    return memory, round_up(memory.ctypes.data, CACHE_LINE)


def _low(kernel: np.ndarray) -> int:
    """Return the bytes from an array's first element to its first byte in memory."""
    return sum(min(0, (n - 1) * step) for n, step in zip(kernel.shape, kernel.strides, strict=True))


def _places(request: Request, plan: DirectPlan) -> np.ndarray:
    """Return the place of every packed weight in the kernel, as `read_weight` wants it.

    It is where the weights go that arrive as their own places.
    """
    kernel = request.kernel
    places = np.full(kernel.shape, 1 - _low(kernel), np.int64)
    for a, (n, step) in enumerate(zip(kernel.shape, kernel.strides, strict=True)):
        places += (np.arange(n) * step).reshape([-1] + [1] * (kernel.ndim - 1 - a))
    if kernel.dtype.kind == "c":
        places = places + 1j * (places + kernel.itemsize // 2)
    packed = plan.prepare(canonical_kernel(replace(request, kernel=places, working="int64")), None)
    return np.ascontiguousarray(packed).ravel()


@lru_cache(maxsize=256)
def compile_pack(stored: str, working: str) -> Any:
    """Compile the copy of a kernel's weights, of the type ``stored``, to where the register tile reads them."""
    size = np.dtype(working).itemsize

    def pack(kernel, places, count, weights):
        for k in range(count):
            read_weight(kernel, read_index(places, k), weights + k * size, stored, working)

    return compile_routine(pack)


@lru_cache(maxsize=1)
def _compile_call() -> Callable[..., None]:
    """Compile the call of a `CALL` record: of the record, x, the kernel, the result and fresh memory the addresses."""

    def run(record, x, kernel, out, memory):
        call = record[0]
        for word in range(call.job_words):
            write_index(memory, word, read_index(call.job, word))
        write_index(memory + call.next_task_at, 0, 0)
        job = records_at(memory, 1, JOB)[0]
        job.x = x
        job.x_low += x
        job.x_high += x
        job.out = out
        job.next_task = memory + call.next_task_at
        job.scratch = memory + call.scratch_at
        if call.weights > 0:
            job.weights = memory + call.weights_at
            call_address(call.pack, (kernel + call.kernel_low, call.places, call.weights, job.weights))
        call_address(call.worker, (0, memory, call.axes))

    routine = compile_routine(run, record=CALL)
    function = _RUN(routine.address)
    function.routine = routine  # type: ignore[attr-defined]  # keeps the code that it calls
    return function
