"""Calls: what `convnd.convnd` remembers of one for the next, and the plan that a user keeps.

A call is laid out once for all arrays of the same shapes, strides and types. Then values and addresses are all that is
new, and a small convolution must not wait for more than them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from math import prod
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np

from . import dtypes
from .adjoint import Piece, fold, transposed
from .arguments import Options, Request, check_out, check_x, check_y, parse
from .boundary import CONSTANT
from .gradient import kernel_gradient
from .plan import Ready, prepare, runner, settled
from .problem import allocation, canonical, fills
from .single import Single, single
from .threads import team_size

_REMEMBERED = 512  # calls of `convnd.convnd`
_LAYOUTS = 8  # of arrays that a plan keeps weights for

#: Types of options that calls are remembered for.
_PLAIN = frozenset({bool, int, float, complex, str, tuple, type, type(None)})

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The most recently made of some values, by their keys. Any number of threads may use it at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[Hashable, Value] = {}
        self._lock = Lock()
        self.get = self._values.get
        self.clear = self._values.clear

    def __len__(self) -> int:
        return len(self._values)

    def add(self, key: Hashable, value: Value) -> None:
        """Keep a value, in place of the oldest where there are too many."""
        with self._lock:
            while len(self._values) >= self._most:
                del self._values[next(iter(self._values))]
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
        x, kernel = _without_values(request.x), _without_values(request.kernel)
        out = None if request.out is None else _without_values(request.out)
        self.request = request = replace(request, x=x, kernel=kernel, out=out)
        # Which type holds exact sums is a matter of the kernel's values.
        self.is_exact = dtypes.is_integer(x.dtype) and dtypes.is_integer(kernel.dtype)
        self._is_real_part = request.result.kind == "c" and "c" not in (x.dtype.kind, kernel.dtype.kind)
        self.is_empty = result.size == 0  # an empty batch
        self._variants: dict[str, Call] = {}
        self._packs: Single | None = None  # and runs, where the kernel's values have no say in the method
        if not self.is_empty:
            self.problem = canonical(request, result)
            if settled(request.method, self.problem):
                self._packs = single(request, runner("direct", self.problem), fills(request, self.problem))

    def variant(self, **changes: Any) -> Call:
        """Return the call whose request differs so."""
        key = repr(changes)
        if key not in self._variants:
            self._variants[key] = Call(replace(self.request, **changes))
        return self._variants[key]

    def ready(self, kernel: np.ndarray) -> Ready:
        """Return the method ready for a kernel."""
        return prepare(replace(self.request, kernel=kernel), self.problem)

    def quick(self, ready: Ready) -> Single | Ready:
        """Return the quickest way to call what is ready for a kernel."""
        one = ready.choice.method == "direct" and single(self.request, ready.runner, ready.fills, ready.weights)
        return one or ready

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
        ready: Single | Ready | None = self._packs
        if ready is None and not self.is_empty:
            ready = self.ready(kernel)
        return self.run(ready, x, out, kernel)

    def run(
        self, ready: Single | Ready | None, x: np.ndarray, out: np.ndarray | None, kernel: np.ndarray | None = None
    ) -> np.ndarray:
        """Convolve ``x`` by what is ready for it, into ``out`` where it is given: they do not overlap."""
        if out is None:
            out = self._allocate()
        if ready is not None:
            ready(x, out, kernel)
        if self._is_real_part:
            out.imag = 0
        return out


def _without_values(array: np.ndarray) -> np.ndarray:
    """Return an array of the same shape, strides and type that holds no memory. Its values must not be read."""
    nothing = np.zeros((), array.dtype)
    return np.lib.stride_tricks.as_strided(nothing, array.shape, array.strides, writeable=False)


def _traits(array: np.ndarray) -> tuple[Hashable, ...]:
    return array.shape, array.strides, array.dtype


def _out_traits(out: np.ndarray | None) -> tuple[Hashable, ...] | None:
    return None if out is None else (out.shape, out.strides, out.dtype, out.flags.writeable)


_CALLS: Recent[Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]] = Recent(_REMEMBERED)


def convolve(x: Any, kernel: Any, out: Any, options: Options) -> np.ndarray:
    """Do what `convnd.convnd` promises: by a call that is remembered, or by a new one."""
    arrays = None
    if type(x) is type(kernel) is np.ndarray and (out is None or type(out) is np.ndarray):
        # 1, 1.0 and True are equal and do not mean the same.
        given = None if out is None else _out_traits(out)
        arrays = x.shape, x.strides, x.dtype, kernel.shape, kernel.strides, kernel.dtype, given
        key = arrays, options, (*map(type, options),)
        try:
            call = _CALLS.get(key) or _CALLS.get((arrays, *_meaning(options)))
        except TypeError:  # an option that has no hash
            call = None
        if call is not None:
            return call(x, kernel, out)
    request = parse(x, kernel, out, options)
    own = Call(request)
    call = own.convolve_exactly if own.is_exact else own.convolve
    if arrays is not None and request.x is x and _is_plain(options):
        _CALLS.add((arrays, *_meaning(options)), call)
    return call(request.x, request.kernel, request.out)


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


class Plan:
    """A convolution that is ready to run on any array of one shape and dtype.

    Made by `convnd.plan`. The kernel's weights are packed, factored or transformed once, for each memory layout of the
    arrays that it is called with. Any number of threads may call it at once.

    Attributes
    ----------
    method : str
        What runs: "direct", "separable", "fft" or "winograd". Tiles that the method cannot do within what `convnd`
        promises, with NaN or infinity among their samples, run by the direct one.
    why : str
        The reason.
    output_shape : tuple of int
        The result's shape.
    dtype : numpy.dtype
        The result's type.
    flops : int
        Floating-point (or integer) operations of a call: two for each tap of each output, after factoring; for "fft"
        ``5 N log2 N`` for each complex transform of ``N`` samples, and six for each product of frequencies; for
        "winograd" two for each product.
    scratch_bytes : int
        Memory that a call takes beside its arrays, all threads together.
    estimates : dict
        Estimated milliseconds of each method that was considered.
    """

    def __init__(self, request: Request) -> None:
        self._kernel = request.kernel.copy()
        self._known: Recent[tuple[Call, Single | Ready | None]] = Recent(_LAYOUTS)
        self._transposes: Recent[list[tuple[Piece, Plan]]] = Recent(_LAYOUTS)
        call = Call(replace(request, kernel=self._kernel))
        self._request = call.request
        ready = self._prepare(call, request)
        if ready is None:
            self.method, self.why, self.estimates, self._text = "direct", "there is nothing to compute", {}, []
            self.flops = self.scratch_bytes = 0
        else:
            choice, runner = ready.choice, ready.runner
            threads = team_size(request.workers, runner.workers)
            self.method, self.why, self.estimates = choice.method, choice.why, choice.estimates
            self.flops = runner.flops
            self.scratch_bytes = threads * runner.scratch_bytes + runner.weight_bytes
            self._text = [*runner.describe(), f"threads   {threads}"]
        self.output_shape = request.out_shape
        self.dtype = request.result

    def __call__(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Convolve an array.

        Parameters
        ----------
        x : array_like
            An array of the plan's shape and dtype, in any memory layout.
        out : ndarray, optional
            Where the result goes, of the plan's `output_shape` and `dtype`. It may overlap `x`.

        Returns
        -------
        ndarray
            The result; `out` where it was given.

        Raises
        ------
        TypeError, ValueError
            Where `x` or `out` is not what the plan was made for.
        """
        known = None
        if type(x) is np.ndarray and (out is None or type(out) is np.ndarray):
            known = self._known.get((_traits(x), _out_traits(out)))
        if known is None:
            request = replace(self._request, x=check_x(x, self._request), out=out)
            check_out(request)
            x, call = request.x, Call(request)
            known = call, self._prepare(call, request)
        call, ready = known
        if out is not None and np.may_share_memory(out, x):
            out[...] = self(x)
            return out
        return call.run(ready, x, out)

    def adjoint(self, y: Any) -> np.ndarray:
        """Apply the transpose of the plan's linear map, for complex kernels the conjugate transpose.

        ``<plan(x), y> == <x, plan.adjoint(y)>`` to rounding, with ``<a, b>`` the sum of ``conj(a) * b``, where the fill
        value is 0. Another fill value adds a constant to ``plan(x)``, which has no part in the linear map.

        Parameters
        ----------
        y : array_like
            An array of the plan's `output_shape`.

        Returns
        -------
        ndarray
            An array of the shape of ``x``, of the type that ``convnd(y, kernel)`` has.

        Raises
        ------
        TypeError, ValueError
            Where `y` is not numeric or has another shape.
        """
        y = check_y(y, self._request)
        pieces = self._transposes.get(y.dtype)
        if pieces is None:
            request = replace(self._request, kernel=self._kernel)
            pieces = [(piece, Plan(piece.request)) for piece in transposed(request, y.dtype)]
            self._transposes.add(y.dtype, pieces)
        if self._request.channel_axis is not None and not self._request.is_bank:
            y = np.expand_dims(y, self._request.channel_axis)
        (_, inside), *outside = pieces
        result = inside(y)
        for piece, own in outside:
            fold(self._request, piece, own(y), result)
        return result.astype(dtypes.default_result(y.dtype, self._kernel.dtype), copy=False)

    def kernel_gradient(self, x: Any, y: Any) -> np.ndarray:
        """Return the derivative of ``<plan(x), y>`` by the kernel: for each weight the sum of ``conj(x) * y`` it joins.

        It is the transpose of the plan as a map of its kernel: ``<plan(x), y> == <kernel, plan.kernel_gradient(x, y)>``
        to rounding. ``x`` is extended by the boundary, and by the fill value, as in ``plan(x)``.

        Parameters
        ----------
        x : array_like
            An array of the plan's shape and dtype.
        y : array_like
            An array of the plan's `output_shape`.

        Returns
        -------
        ndarray
            An array of the kernel's shape, of the type that ``convnd(x, y)`` has.

        Raises
        ------
        TypeError, ValueError
            Where `x` or `y` is not what the plan was made for.
        """
        x, y = check_x(x, self._request), check_y(y, self._request)
        return kernel_gradient(self._request, x, y, self.method == "fft")

    def as_linear_operator(self) -> Any:
        """Return the plan as a `scipy.sparse.linalg.LinearOperator` on flat arrays, for SciPy's solvers.

        Raises
        ------
        ImportError
            Where SciPy is not installed.
        ValueError
            Where the map is not linear: another `fill_value` than 0, or a result that is rounded to whole numbers.
        """
        from scipy.sparse.linalg import LinearOperator

        x, request = self._request.x, self._request
        if request.fill and request.mode == CONSTANT:
            raise ValueError(f"fill_value is {request.fill}, but only with 0 is the map linear")
        if x.dtype.kind not in "fc" or self.dtype.kind not in "fc":
            raise ValueError(f"x is {x.dtype} and the result {self.dtype}, but only floating maps are linear")

        def apply(vector: np.ndarray) -> np.ndarray:
            samples = vector.reshape(x.shape)
            if samples.dtype.kind == "c" and x.dtype.kind != "c":
                return apply(samples.real) + 1j * apply(samples.imag)
            return self(samples.astype(x.dtype, copy=False)).ravel()

        return LinearOperator(
            (prod(self.output_shape), x.size),
            dtype=self.dtype,
            matvec=apply,
            rmatvec=lambda vector: self.adjoint(vector.reshape(self.output_shape)).ravel(),
        )

    def _prepare(self, call: Call, request: Request) -> Ready | None:
        """Make the kernel ready for a call of a request, and remember it. There is nothing to do in an empty one."""
        ready = None if call.is_empty else call.ready(self._kernel)
        if request.x.dtype == request.x_dtype:
            key = _traits(request.x), _out_traits(request.out)
            self._known.add(key, (call, ready and call.quick(ready)))
        return ready

    def __str__(self) -> str:
        estimated = ", ".join(f"{name} {ms:.3g} ms" for name, ms in self.estimates.items())
        x = self._request.x
        lines = [
            f"{x.dtype} {x.shape} * {self._request.kernel.dtype} {self._request.kernel.shape}"
            f" -> {self.dtype} {self.output_shape}",
            f"method    {self.method}: {self.why}",
            *self._text,
            f"work      {self.flops:.3g} operations, {self.scratch_bytes / 2**20:.3g} MiB beside the arrays",
            f"estimated {estimated or 'nothing'}",
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<convnd.Plan {self._request.x.shape} -> {self.output_shape} by {self.method}>"
