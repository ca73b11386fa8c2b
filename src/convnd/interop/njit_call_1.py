"""The compiled form of `convnd.convnd` in users' functions.

Numba imports this module before it loads a function from its cache in which this code is compiled, and that makes the C
functions ready that such a function looks for by name. The number in the module's name is `symbols.INTERFACE`.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from ..jit import tables as t
from ..jit.calls import columns as c
from ..jit.calls import serve, symbols
from ..jit.calls.check import MESSAGES
from ..jit.intrinsics.embedded import (
    address_of,
    numbers_of,
    symbol_address,
    write_array,
    write_constants,
    write_numbers,
)
from ..jit.intrinsics.memory import call, indices_at, numbers_on_stack
from ..problem.boundary import MODES
from .njit_types import boundary_codes, facts_of, value_of

serve.load()

_NOT_LOADED = "the compiled code of convnd is not loaded: clear the cache of the function that calls it, which is older"
# Numba takes names of this module for literal numbers and words, which intrinsics need, but not those of other modules.
_SYMBOL, _X, _KERNEL, _OUT, _GROUPS, _CHANNEL = symbols.SYMBOL, t.X, c.KERNEL, t.OUT, c.GROUPS, c.CHANNEL
_ROW = c.ROW_COLUMNS
_X_LENGTH, _KERNEL_LENGTH, _OUT_LENGTH = (c.ROWS_BEGIN + k for k in (c.X_LENGTH, c.KERNEL_LENGTH, c.OUT_LENGTH))
_AXIS, _STRIDE, _DILATION, _UPSAMPLE, _BEFORE, _MODE_BEFORE = (
    c.ROWS_BEGIN + k for k in (c.AXIS, c.STRIDE, c.DILATION, c.UPSAMPLE, c.BEFORE, c.MODE_BEFORE)
)
_NAMES = tuple(MODES)
_MOST_SINGLE = float(np.finfo(np.float32).max)


@njit
def _do(step, d):
    """Do a step of a call, whose columns are written, by the C function that is there for it."""
    functions = symbol_address(_SYMBOL)
    call(indices_at(functions)[step], (address_of(d), functions))


@njit
def _check(d):
    """Check a call."""
    if indices_at(symbol_address(_SYMBOL))[symbols.CHECK] == 0:
        raise RuntimeError(_NOT_LOADED)
    _do(symbols.CHECK, d)
    if d[c.STATUS] != 0:
        raise ValueError(MESSAGES[d[c.STATUS]])


@njit
def _steps():
    """Return which C functions lay a call out and run it."""
    return symbols.LAY_OUT, symbols.RUN


@njit
def _run(step, d):
    """Run a call that is laid out."""
    memory = np.empty(d[c.BYTES], np.uint8)
    d[c.MEMORY] = np.int64(memory.ctypes.data)
    _do(step, d)
    d[c.MEMORY] = memory.size  # the memory is there until here
    if d[c.STATUS] != 0:
        raise ValueError(MESSAGES[d[c.STATUS]])


def _allocated(rank: int, result: Any, is_fortran: bool) -> Any:
    """Return the function that allocates a result, in the memory order of x."""
    last = _OUT_LENGTH + (rank - 1) * _ROW
    backwards = -_ROW
    if is_fortran and rank > 1:
        return njit(lambda d, out: np.empty(numbers_of(d, rank, last, backwards), result).T)
    return njit(lambda d, out: np.empty(numbers_of(d, rank, _OUT_LENGTH, _ROW), result))


def _given(rank: int) -> Any:
    """Return the function that returns the argument ``out``, which must have the result's shape."""

    @njit
    def given(d, out):
        if out.shape != numbers_of(d, rank, _OUT_LENGTH, _ROW):
            raise ValueError("out has not the shape of the result")
        return out

    return given


@njit
def _write_fill(d, fill, is_single):
    for part in (np.float64(fill.real), np.float64(fill.imag)):
        if is_single and abs(part) > _MOST_SINGLE and abs(part) != np.inf:
            raise ValueError("fill_value must fit float32")
    d[c.FILL], d[c.FILL_IMAG] = np.float64(fill.real).view(np.int64), np.float64(fill.imag).view(np.int64)


def _fits(fill: Any, is_unsigned: Any) -> Any:
    """Return whether uint64, or else int64, holds a fill value."""
    raise NotImplementedError


@overload(_fits)
def _fits_of(fill, is_unsigned):
    if isinstance(fill, types.Float):
        return lambda fill, is_unsigned: 0 <= fill < 2.0**64 if is_unsigned else -(2.0**63) <= fill < 2.0**63
    # Numba compares uint64 with int64 as floats, which do not tell 2**63 - 1 from 2**63.
    return lambda fill, is_unsigned: fill >= 0 if is_unsigned else (fill < 0) == (np.int64(fill) < 0)


@njit
def _write_whole_fill(d, fill, is_unsigned):
    if np.float64(fill) != np.floor(np.float64(fill)):
        raise ValueError("fill_value must be a whole number for integer x and kernel")
    if not _fits(fill, is_unsigned):
        raise ValueError("fill_value must fit the result's type, int64 or uint64")
    d[c.FILL], d[c.FILL_IMAG] = np.int64(np.uint64(fill)) if is_unsigned else np.int64(fill), 0


@njit
def _boundary_code(name):
    for k in range(len(_NAMES)):
        if name == _NAMES[k]:
            return k
    raise ValueError("boundary must be one of 'constant', 'edge', 'reflect', 'symmetric', 'wrap'")


def _codes(boundary: Any) -> Any:
    """Return the code of a boundary's name, or those of a tuple of them."""
    raise NotImplementedError


@overload(_codes)
def _codes_of(boundary):
    if isinstance(boundary, (types.UnicodeType, types.StringLiteral)):
        return lambda boundary: _boundary_code(boundary)
    if len(boundary) == 1:
        return lambda boundary: (_codes(boundary[0]),)
    return lambda boundary: (_codes(boundary[0]), *_codes(boundary[1:]))


def implementation(given: SimpleNamespace) -> Any:
    """Check the types of a call's arguments and return the function that does it."""
    x, facts = given.x, facts_of(given)
    spatial, columns, size, result = facts.spatial, facts.columns, 2 * c.size(x.ndim), facts.result.type
    steps = _steps
    if facts.has_parts or value_of(given.upsample) != 1:
        from ..jit.calls.parts_1 import steps_of_parts as steps  # its import compiles

    is_named = boundary_codes(given.boundary, spatial) is None  # by names that are compared when the code runs
    write_fill = _write_whole_fill if facts.is_whole else _write_fill
    about_fill = facts.is_unsigned if facts.is_whole else facts.precision == "float32"
    largest, is_cleared, is_given = facts.largest, facts.is_cleared, isinstance(given.out, types.Array)
    target_of = _given(facts.out_rank) if is_given else _allocated(facts.out_rank, result, x.layout == "F")

    def convolve(
        x, kernel, padding="valid", stride=1, dilation=1, upsample=1, groups=1, axes=None, channel_axis=None,
        convention="convolution", boundary="constant", fill_value=0, nan_policy="propagate", mask=None, method="auto",
        dtype=None, out=None, beta=0, bias=None, workers=None,
    ):  # fmt: skip
        d = numbers_on_stack(indices_at(0), size)
        write_constants(d, columns)
        write_array(d, x, _X, _X_LENGTH, _ROW)
        write_array(d, kernel, _KERNEL, _KERNEL_LENGTH, _ROW)
        write_numbers(d, padding, spatial, 2, _BEFORE, _ROW)
        write_numbers(d, stride, spatial, 1, _STRIDE, _ROW)
        write_numbers(d, dilation, spatial, 1, _DILATION, _ROW)
        write_numbers(d, upsample, spatial, 1, _UPSAMPLE, _ROW)
        write_numbers(d, axes, spatial, 1, _AXIS, _ROW)
        if is_named:
            write_numbers(d, _codes(boundary), spatial, 2, _MODE_BEFORE, _ROW)
        write_numbers(d, groups, 1, 1, _GROUPS, 1)
        write_numbers(d, channel_axis, 1, 1, _CHANNEL, 1)
        fill = +fill_value  # which makes a bool a number
        write_fill(d, fill, about_fill)
        d[c.LARGEST] = np.float64(max(largest, abs(np.float64(fill.real)))).view(np.int64)
        _check(d)
        lay_out, run = steps()
        target = target_of(d, out)
        if target.size != 0:
            write_array(d, target, _OUT, _OUT_LENGTH, _ROW)
            _do(lay_out, d)
            if is_given and d[c.OVERLAPS] != 0:  # it shares memory with x or the kernel
                copy = np.empty(target.shape, result)
                write_array(d, copy, _OUT, _OUT_LENGTH, _ROW)
                _do(lay_out, d)
                _run(run, d)
                target[...] = copy
            else:
                _run(run, d)
            if is_cleared:
                target.imag[...] = 0
        return target

    return convolve
