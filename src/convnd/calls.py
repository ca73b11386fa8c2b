"""Calls: what `convnd.convnd` remembers of one for the next.

A call is laid out once for all arrays of the same shapes, strides and types. Then values and addresses are all that is
new, and a small convolution must not wait for more than them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import replace
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np

from .methods.choice import Ready, prepare, quick, runner, settled
from .methods.omission import Omission
from .methods.scan import check_nan
from .methods.single import Single, single
from .problem import dtypes
from .problem.arguments import parse
from .problem.canonical import allocation, canonical, constants
from .problem.options import Options
from .problem.request import Request

_REMEMBERED = 512  # calls of `convnd.convnd`

#: Types of options that calls are remembered for.
_PLAIN = frozenset({bool, int, float, complex, str, tuple, type, type(None)})

#: What convolves once a kernel is ready.
Quick = Single | Ready | Omission

Value = TypeVar("Value")
Elsewhere = Callable[[Any, Any, Any, Options], Any]


class Recent(Generic[Value]):
    """The most recently made of some values, by their keys. Any number of threads may use it at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[Hashable, Value] = {}
        self.get = self._values.get
        self.clear = self._values.clear

    def __len__(self) -> int:
        return len(self._values)

    def add(self, key: Hashable, value: Value) -> None:
        """Keep a value, in place of the oldest where there are too many."""
        while len(self._values) >= self._most:
            # No lock: a signal handler or a forked child would find it taken. Others may remove the same.
            with suppress(StopIteration, RuntimeError):
                self._values.pop(next(iter(self._values)), None)
        self._values[key] = value


class Call:
    """A convolution laid out for arrays of one shape, strides and dtype each.

    Parameters
    ----------
    request : Request
        What the user asks for. Its arrays are not kept.
    """

    def __init__(self, request: Request) -> None:
        self._allocate = allocation(request)
        result = self._allocate() if request.out is None else request.out
        x, kernel = without_values(request.x), without_values(request.kernel)
        out = None if request.out is None else without_values(request.out)
        self.request = request = replace(request, x=x, kernel=kernel, out=out)
        # Which type holds exact sums is a matter of the kernel's values.
        self.is_exact = dtypes.is_integer(x.dtype) and dtypes.is_integer(kernel.dtype)
        self._is_real_part = request.result.kind == "c" and "c" not in (x.dtype.kind, kernel.dtype.kind)
        self.is_empty = result.size == 0  # an empty batch
        self._variants: dict[str, Call] = {}
        self._omission: tuple[bytes, Omission] | None = None  # for the kernel of those bytes
        self._packs: Single | None = None  # and runs, where the kernel's values have no say in the method
        if not self.is_empty:
            self.problem = canonical(request, result)
            self._like = without_values(result)
            if request.nan_policy != "omit" and settled(request.method, self.problem):
                self._packs = single(request, runner("direct", self.problem), constants(request, self.problem))

    def variant(self, **changes: Any) -> Call:
        """Return the call whose request differs so."""
        key = repr(changes)
        if key not in self._variants:
            self._variants[key] = Call(replace(self.request, **changes))
        return self._variants[key]

    def ready(self, kernel: np.ndarray) -> Ready | Omission:
        """Return the method ready for a kernel."""
        request = replace(self.request, kernel=kernel)
        if request.nan_policy != "omit":
            return prepare(request, self.problem)
        # It takes its time, and kernels seldom change.
        known, values = self._omission, kernel.tobytes()
        if known is None or known[0] != values:
            known = self._omission = values, Omission(replace(request, kernel=kernel.copy()), self._like)
        return known[1]

    def quick(self, ready: Ready | Omission) -> Quick:
        """Return the quickest way to call what is ready for a kernel."""
        return quick(self.request, ready) if isinstance(ready, Ready) else ready

    def convolve_exactly(self, x: np.ndarray, kernel: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        """Convolve ``x`` with a kernel of any whole numbers, in the working type that they ask for."""
        request = self.request
        working = dtypes.working(request.x.dtype, kernel, request.result, request.fill)
        call = self if working == request.working else self.variant(working=working)
        return call.convolve(x, kernel, out)

    def convolve(self, x: np.ndarray, kernel: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        """Convolve ``x`` with a kernel of any values."""
        if out is not None and (np.may_share_memory(out, x) or np.may_share_memory(out, kernel)):
            out[...] = self.variant(out=None).convolve(x, kernel, None)
            return out
        ready: Quick | None = self._packs
        if ready is None and not self.is_empty:
            ready = self.ready(kernel)
        return self.run(ready, x, out, kernel)

    def run(
        self, ready: Quick | None, x: np.ndarray, out: np.ndarray | None, kernel: np.ndarray | None = None
    ) -> np.ndarray:
        """Convolve ``x`` by what is ready for it, into ``out`` where it is given: they do not overlap."""
        if self.request.nan_policy == "raise":
            check_nan(x, self.request.workers)
        if out is None:
            out = self._allocate()
        if ready is not None:
            ready(x, out, kernel)
        if self._is_real_part:
            out.imag = 0
        return out


def without_values(array: np.ndarray) -> np.ndarray:
    """Return an array of the same shape, strides and type that holds no memory. Its values must not be read."""
    return _strided(array.shape, array.strides, array.dtype, False)


def imagined(shape: Sequence[int], dtype: np.dtype[Any], order: str = "C", writeable: bool = False) -> np.ndarray:
    """Return an array of a shape and memory order that holds no memory. Its values must not be read, nor written."""
    rank = len(shape)
    steps = [dtype.itemsize * prod(shape[a + 1 :] if order == "C" else shape[:a]) for a in range(rank)]
    return _strided(shape, steps, dtype, writeable)


def _strided(shape: Sequence[int], strides: Sequence[int], dtype: np.dtype[Any], writeable: bool) -> np.ndarray:
    return np.lib.stride_tricks.as_strided(np.zeros((), dtype), shape, strides, writeable=writeable)


def traits(array: np.ndarray) -> tuple[Hashable, ...]:
    """Return what a call is laid out for, of ``x`` or the kernel."""
    return array.shape, array.strides, array.dtype


def out_traits(out: np.ndarray | None) -> tuple[Hashable, ...] | None:
    """Return what a call is laid out for, of the result."""
    return None if out is None else (out.shape, out.strides, out.dtype, out.flags.writeable)


_CALLS: Recent[Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]] = Recent(_REMEMBERED)


def convolve(x: Any, kernel: Any, out: Any, options: Options, elsewhere: Elsewhere) -> Any:
    """Do what `convnd.convnd` promises: by a call that is remembered, or by a new one.

    What is not NumPy's is given to ``elsewhere`` first, which returns None where it is a matter of memory after all.
    """
    arrays = None
    if type(x) is type(kernel) is np.ndarray and (out is None or type(out) is np.ndarray):
        # 1, 1.0 and True are equal and do not mean the same.
        given = None if out is None else out_traits(out)
        arrays = x.shape, x.strides, x.dtype, kernel.shape, kernel.strides, kernel.dtype, given
        key = arrays, options, (*map(type, options),)
        try:
            call = _CALLS.get(key) or _CALLS.get((arrays, *_meaning(options)))
        except TypeError:  # an option that has no hash
            call = None
        if call is not None:
            return call(x, kernel, out)
    else:
        result = elsewhere(x, kernel, out, options)
        if result is not None:
            return result
    request = parse(x, kernel, out, options)
    own = Call(request)
    call = own.convolve_exactly if own.is_exact else own.convolve
    if arrays is not None and request.x is x and _is_plain(options):
        _CALLS.add((arrays, *_meaning(options)), call)
    result = call(request.x, request.kernel, request.out)
    return result if out is None else out


def _meaning(options: Options) -> tuple[Hashable, ...]:
    """Return options as a part of a key that is equal where they mean the same."""
    types = (*map(type, options), *_types_inside(options))
    # -0.0 equals 0.0, and NaN does not equal itself.
    return tuple(repr(option) if type(option) in (float, complex) else option for option in options), types


def _is_plain(options: Options) -> bool:
    types = (*map(type, options), *_types_inside(options))
    return all(issubclass(kind, np.dtype) or kind in _PLAIN for kind in types)


def _types_inside(values: tuple[Any, ...]) -> tuple[type, ...]:
    """Return the types of what tuples hold, at any depth: 1, 1.0 and True are equal and do not mean the same."""
    inside: tuple[type, ...] = ()
    for value in values:
        if type(value) is tuple:
            inside += (*map(type, value), *_types_inside(value))
    return inside
