"""The plan that a user keeps: a convolution ready to run, its transpose and its derivative."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any, NoReturn

import numpy as np

from .calls import Call, Quick, Recent, out_traits, traits
from .derivatives.adjoint import Piece, fold, transposed
from .derivatives.gradient import kernel_gradient
from .jit.threads import team_size
from .methods.choice import Ready
from .methods.omission import Omission
from .problem import dtypes
from .problem.arguments import check_x, check_y
from .problem.boundary import CONSTANT
from .problem.names import unknown_to, without_unknown
from .problem.request import Request
from .problem.result import check_out, plain_out

_LAYOUTS = 8  # of arrays that a plan keeps weights for


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

    Examples
    --------
    >>> import numpy as np
    >>> import convnd
    >>> smooth = convnd.plan(np.empty((60, 80), np.float32), np.full((3, 3), 1 / 9, np.float32), padding="same")
    >>> smooth.output_shape, smooth.dtype
    ((60, 80), dtype('float32'))
    """

    def __init__(self, request: Request) -> None:
        self._kernel = request.kernel.copy()
        self._known: Recent[tuple[Call, Quick | None]] = Recent(_LAYOUTS)
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

    @without_unknown
    def __call__(self, x: Any, out: np.ndarray | None = None, **unknown: NoReturn) -> np.ndarray:
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

        Examples
        --------
        >>> import numpy as np
        >>> import convnd
        >>> difference = convnd.plan(np.empty(4), [1.0, -1])
        >>> difference(np.array([1.0, 2, 4, 8]))
        array([1., 2., 4.])
        """
        if unknown:
            raise unknown_to(Plan.__call__, unknown)
        known, given = None, out
        if type(x) is np.ndarray and (out is None or type(out) is np.ndarray):
            known = self._known.get((traits(x), out_traits(out)))
        if known is None:
            request = replace(self._request, x=check_x(x, self._request), out=plain_out(out))
            check_out(request)
            x, out, call = request.x, request.out, Call(request)
            known = call, self._prepare(call, request)
        call, ready = known
        if out is None or given is None:
            return call.run(ready, x, None)
        if np.may_share_memory(out, x):
            out[...] = self(x)
        else:
            call.run(ready, x, out)
        return given

    @without_unknown
    def adjoint(self, y: Any, **unknown: NoReturn) -> np.ndarray:
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
            Where `y` is not numeric or has another shape, and for a plan that omits NaN.

        Examples
        --------
        >>> import numpy as np
        >>> import convnd
        >>> difference = convnd.plan(np.empty(4), [1.0, -1])
        >>> difference.adjoint([1.0, 0, 0])
        array([-1.,  1.,  0.,  0.])
        """
        if unknown:
            raise unknown_to(Plan.adjoint, unknown)
        self._check_linear()
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

    @without_unknown
    def kernel_gradient(self, x: Any, y: Any, **unknown: NoReturn) -> np.ndarray:
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
            Where `x` or `y` is not what the plan was made for, and for a plan that omits NaN.

        Examples
        --------
        >>> import numpy as np
        >>> import convnd
        >>> difference = convnd.plan(np.empty(4), [1.0, -1])
        >>> difference.kernel_gradient(np.array([1.0, 2, 4, 8]), [1.0, 1, 1])
        array([14.,  7.])
        """
        if unknown:
            raise unknown_to(Plan.kernel_gradient, unknown)
        self._check_linear()
        x, y = check_x(x, self._request), check_y(y, self._request)
        return kernel_gradient(self._request, x, y, self.method == "fft")

    def as_linear_operator(self) -> Any:
        """Return the plan as a `scipy.sparse.linalg.LinearOperator` on flat arrays, for SciPy's solvers.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator
            Of shape ``(y.size, x.size)``: ``A @ x.ravel()`` is ``plan(x).ravel()``, ``A.H`` its adjoint.

        Raises
        ------
        ImportError
            Where SciPy is not installed.
        ValueError
            Where the map is not linear: another `fill_value` than 0, a result that is rounded to whole numbers, or NaN
            omitted.

        Examples
        --------
        >>> import numpy as np
        >>> import convnd
        >>> operator = convnd.plan(np.empty(4), [1.0, -1]).as_linear_operator()
        >>> operator.shape
        (3, 4)
        >>> operator @ np.array([1.0, 2, 4, 8])
        array([1., 2., 4.])
        """
        from scipy.sparse.linalg import LinearOperator

        self._check_linear()
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

    def _check_linear(self) -> None:
        if self._request.nan_policy == "omit":
            raise ValueError("nan_policy is 'omit', but a map that depends on where x holds NaN has no transpose")

    def _prepare(self, call: Call, request: Request) -> Ready | Omission | None:
        """Make the kernel ready for a call of a request, and remember it. There is nothing to do in an empty one."""
        ready = None if call.is_empty else call.ready(self._kernel)
        if request.x.dtype == request.x_dtype:
            key = traits(request.x), out_traits(request.out)
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
