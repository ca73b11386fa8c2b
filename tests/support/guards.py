"""Memory that forgives nothing: NumPy's allocator, set so that every array lies against a page that no one may touch.

That is every array of whatever is run: those of the caller, and the tables, packed weights and scratch memory that
compiled code has the addresses of. One byte too far is a crash, and so is one read after its array is gone; what is
not written is 0xFF, which reads as NaN or -1.

    PYTHONPATH=tests python -m support.guards 5000 [seed]

runs so many random problems in it.
"""

import contextlib
import ctypes
import faulthandler
import mmap
import os
import sys
import traceback

import hypothesis
import numpy as np

from convnd import plan
from support.check import check
from support.settings import tuned
from support.strategies import problems

PAGE, CLOSED = mmap.PAGESIZE, 0
OPEN = mmap.PROT_READ | mmap.PROT_WRITE
HANDLER = b"mem_handler"  # the name of NumPy's capsule
SET_HANDLER = 304  # its place in NumPy's C API: PyDataMem_SetHandler

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_ssize_t]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

Malloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
Calloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
Realloc = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
Free = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = [
        ("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
        ("malloc", Malloc), ("calloc", Calloc), ("realloc", Realloc), ("free", Free),
    ]  # fmt: skip


class Guarded:
    """An allocator whose arrays end where a closed page begins, or begin where one ends."""

    def __init__(self, at_end):
        self.at_end = at_end
        self.made = {}  # address: that of the first closed page, bytes with both of them, bytes of the array
        self.handler = Handler(
            b"guarded", 1, None, Malloc(lambda _, size: self.allocate(size, 0xFF)),
            Calloc(lambda _, count, size: self.allocate(count * size, 0)), Realloc(self.reallocate), Free(self.free),
        )  # fmt: skip
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.capsule = new(ctypes.addressof(self.handler), HANDLER, None)

    def allocate(self, size, fill):
        room = -(-size // PAGE) * PAGE
        first = libc.mmap(None, room + 2 * PAGE, CLOSED, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        assert first not in (None, 2**64 - 1) and libc.mprotect(first + PAGE, room, OPEN) == 0
        address = first + PAGE + (room - size if self.at_end else 0)
        ctypes.memset(first + PAGE, 0xFF, room)
        ctypes.memset(address, fill, size)
        self.made[address] = first, room + 2 * PAGE, size
        return address

    def reallocate(self, _, old, size):
        address = self.allocate(size, 0xFF)
        if old:
            ctypes.memmove(address, old, min(size, self.made[old][2]))
            self.free(None, old, 0)
        return address

    def free(self, _, address, _size):
        if address:
            first, room, _ = self.made.pop(address)
            libc.munmap(first, room)


_KEPT = {at_end: Guarded(at_end) for at_end in (True, False)}  # as long as there may be arrays of theirs


@contextlib.contextmanager
def guarded(at_end=True):
    """Allocate the memory of arrays between closed pages. The process must end by `os._exit`."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(get(np._core._multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[SET_HANDLER])
    before = set_handler(_KEPT[at_end].capsule)
    try:
        yield
    finally:
        set_handler(before)


def apart(x):
    """A copy of an array whose items along the first axis end where closed pages begin; its sum reads none of them."""
    room = -(-x[0].nbytes // PAGE) * PAGE + PAGE
    memory = mmap.mmap(-1, room * len(x))
    first = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for n in range(len(x)):
        assert libc.mprotect(first + room * (n + 1) - PAGE, PAGE, CLOSED) == 0
    strides = room, *x[0].copy().strides
    copy = np.ndarray(x.shape, x.dtype, memory, room - PAGE - x[0].nbytes, strides)
    copy[...] = x
    return copy


def run(x, kernel, **options):
    """Convolve, transpose and differentiate."""
    check(x, kernel, **options)
    made = plan(x, kernel, **options)
    y = np.ones(made.output_shape, made.dtype)
    made.adjoint(y)
    made.kernel_gradient(x, y)


def main(examples, seed=0):
    """Run random problems of every option; a crash leaves the one that it is in as the last line of the output."""

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=examples, database=None, phases=[hypothesis.Phase.generate])
    @hypothesis.given(problems(), hypothesis.strategies.booleans())
    def run_one(problem, at_end):
        print(f"guarded(at_end={at_end})", problem, flush=True)
        with tuned(problem.tuning), guarded(at_end):
            x, kernel, options = problem.make()
            run(x, kernel, **options)

    try:
        run_one()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    faulthandler.enable()
    main(*map(int, sys.argv[1:]))
