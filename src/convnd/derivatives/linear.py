"""A convolution as a linear map: its transpose, and its derivative by the kernel."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ..methods.missing import check_nan
from ..problem import dtypes
from ..problem.arguments.calls import explained
from ..problem.arguments.parse import check_x, check_y
from ..problem.boundary import CONSTANT
from ..problem.recent import Recent, once
from ..problem.request import Request
from ..problem.result import check_out, plain_out
from .adjoint import boxes, fold, sum_inside, transposed
from .kernel_gradient import kernel_gradient

_TRANSPOSES = 8  # for outputs of different types


class LinearMap:
    """What a plan can do as a linear map of ``x``, and of the kernel."""

    method: str
    __call__: Callable[..., np.ndarray]  # convolves an array

    def __init__(self, request: Request) -> None:
        self._request = request
        self.output_shape, self.dtype = request.out_shape, request.result

    @once
    def _transposes(self) -> Recent[Any]:  # of lists of boxes, and the maps of each
        return Recent(_TRANSPOSES)

    @np.errstate(all="ignore")
    @explained
    def adjoint(self, y: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Apply the transpose of the plan's linear map, for complex kernels the conjugate transpose.

        ``<plan(x), y> == <x, plan.adjoint(y)>`` to rounding, with ``<a, b>`` the sum of ``conj(a) * b``, where the fill
        value is 0. Another fill value adds a constant to ``plan(x)``, which has no part in the linear map.

        Parameters
        ----------
        y : array_like
            An array of the plan's `output_shape`.
        out : ndarray, optional
            Where the result goes, of the shape of ``x`` and of the result's type. It may overlap `y`.

        Returns
        -------
        ndarray
            An array of the shape of ``x``, of the type that ``convnd(y, kernel)`` has; `out` where it was given.

        Raises
        ------
        TypeError, ValueError
            Where `y` is not numeric or has another shape, where `out` cannot hold the result, and for a plan that omits
            NaN.

        Examples
        --------
        >>> import numpy as np
        >>> import convnd
        >>> difference = convnd.plan(np.empty(4), [1.0, -1])
        >>> difference.adjoint([1.0, 0, 0])
        array([-1.,  1.,  0.,  0.])
        """
        self._check_linear()
        request, target = self._request, plain_out(out)
        y = check_y(y, request)
        result = dtypes.default_result(y.dtype, request.kernel.dtype)
        check_out(target, request.x.shape, result)
        parts = self._transposes.get(y.dtype)
        if parts is None:
            plain = request.plain
            parts = [(box, type(self)(transposed(plain, y.dtype, box))) for box in boxes(plain)]
            self._transposes.add(y.dtype, parts)
        first = parts[0][1]
        is_whole = (first.output_shape, first.dtype) == (request.x.shape, result)
        own = target if target is not None and is_whole and not np.may_share_memory(target, y) else None
        outputs = y
        if request.channel_axis is not None and not request.is_bank:
            outputs = np.expand_dims(y, request.channel_axis)
        sums, is_finite = own, np.isfinite(request.kernel).all()
        for box, part in parts:
            values = part(outputs, own if part is first else None)
            if not is_finite:
                sum_inside(part._request, outputs, values)
            sums = fold(request, box, values, sums)
        assert sums is not None
        if out is None:
            is_small_part = prod(first.output_shape) > 2 * sums.size  # of an array that a copy lets go of
            return sums.astype(result, copy=is_small_part)
        if own is None:
            out[...] = sums
        return out

    @np.errstate(all="ignore")
    @explained
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
            Where `x` or `y` is not what the plan was made for, for a plan that omits NaN, and where `x` holds NaN and
            the plan raises.

        Examples
        --------
        >>> import numpy as np
        >>> import convnd
        >>> difference = convnd.plan(np.empty(4), [1.0, -1])
        >>> difference.kernel_gradient(np.array([1.0, 2, 4, 8]), [1.0, 1, 1])
        array([14.,  7.])
        """
        self._check_linear()
        x, y = check_x(x, self._request), check_y(y, self._request)
        if self._request.nan_policy == "raise":
            check_nan(x, self._request.workers)
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
        if request.fill and any(CONSTANT in axis.boundary for axis in request.axes):
            raise ValueError(f"fill_value is {request.fill}, but only with 0 is the map linear")
        if request.updates:
            raise ValueError("the plan has a beta or a bias, but only without them is the map linear")
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
        if self._request.mask is not None:
            raise ValueError("mask is given, but the transpose of a normalised convolution is not offered")
