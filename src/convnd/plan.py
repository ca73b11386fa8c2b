"""Plans: a convolution that is laid out once, for all arrays of the same shapes, strides and types.

A user keeps one for a kernel. `convnd.convnd` remembers others, which take the kernel of each call.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from .derivatives.linear import LinearMap
from .jit.parallel import team_size
from .methods import repair, tuning
from .methods.choose import prepare
from .methods.missing import Normalised, check_nan, holds_nan
from .methods.small import SmallCall, small_call
from .methods.update import Updated, is_stored_so
from .problem import dtypes
from .problem.arguments.calls import explained
from .problem.arguments.messages import Printed
from .problem.arguments.parse import check_mask, check_x, parse, parse_alike
from .problem.canonical import MOST_KEPT, canonical, fills
from .problem.exchange import Exchange, find_exchange
from .problem.options import Options, meaning_of
from .problem.recent import OfArrays, Recent, once
from .problem.request import Request, description, traits
from .problem.result import check_fits, check_out, plain_out, result_traits, too_large

Array = np.ndarray | None
Run = Callable[..., Any]  # of x, out and a mask

_DESCRIPTION = ("method", "why", "estimates", "flops", "scratch_bytes", "_text")
_OTHERS, _REMEMBERED = 8, 512  # plans that a plan keeps for arrays of other strides, and that `convnd` keeps


class Plan(LinearMap, Printed):
    """A convolution that is ready to run on any array of one shape and dtype.

    Made by `convnd.plan`. The kernel's weights are packed, factored or transformed once, for each memory layout of the
    arrays that it is called with. Any number of threads may call it at once. It can be pickled and copied.

    Attributes
    ----------
    method : str
        What runs: "direct", "separable", "fft" or "winograd". Tiles whose samples it cannot do run by the direct one.
    why : str
        The reason.
    output_shape : tuple of int
        The result's shape.
    dtype : numpy.dtype
        The result's type.
    flops : int
        Operations of a call: two for each tap of each output, after factoring; for "fft" ``5 N log2 N`` for each
        transform of ``N`` samples, and six for each product of frequencies; for "winograd" two for each product.
    scratch_bytes : int
        Memory that a call takes beside its arrays, all threads together.
    estimates : dict
        Estimated milliseconds of each method that was considered.

    Examples
    --------
    >>> import numpy as np
    >>> import convnd
    >>> smooth = convnd.plan(np.empty((60, 80)), np.full((3, 3), 1 / 9), padding="same")
    >>> smooth.output_shape, smooth.dtype
    ((60, 80), dtype('float64'))
    """

    @np.errstate(all="ignore")  # the caller's floating-point state must not matter, here as in compiled code
    def __init__(self, request: Request, keeps_kernel: bool = True) -> None:
        x, kernel, out = traits(request.x), request.kernel, None if request.out is None else traits(request.out)
        super().__init__(request := request._replace(x=x, out=out))  # no array of a call is kept
        like = self._result = result_traits(request) if out is None else out
        check_fits(request, like.shape)
        self._latest: tuple[bytes, Run] | None = None  # what runs with the last kernel, with its bytes
        self._key = (*x, *(() if out is None else (*out, True)))  # as `_traits` of arrays, where out may be written
        is_complex = "c" in (x.dtype.kind, kernel.dtype.kind)
        self._is_real_part = request.result.kind == "c" and not (is_complex or request.updates)
        self._is_general = not keeps_kernel and dtypes.depends_on_values(x.dtype, kernel.dtype)
        self.method, self.why, self.estimates = "direct", "there is nothing to compute", dict[str, float]()
        self.flops, self.scratch_bytes, self._text, self._reads_kernel = 0, 0, list[str](), False
        self._keeps_kernel, self._may_lack_weight, self._is_empty = keeps_kernel, False, 0 in self.output_shape
        self._is_of_kernel = keeps_kernel or not (request.updates or request.normalises)  # else made for each kernel
        self._small: SmallCall | None = None
        self._exchanged: tuple[Plan, Exchange] | None = None
        self._updated: Updated | None = None
        if self._is_empty or not self._is_of_kernel:
            return
        if request.updates:
            plain = Plan(request.plain)
            if plain.method != "direct" or plain._exchanged or not is_stored_so(request):
                vars(self).update({name: vars(plain)[name] for name in _DESCRIPTION})
                self._updated = Updated(request, lambda own: Plan(own)._call)
                return
            request = self._request = request._replace(method="direct")
        self._problem = canonical(request, like, keeps_kernel)
        self._fills = fills(request, self._problem)
        if not (request.updates or request.normalises) and (exchange := find_exchange(request, like)) is not None:
            self._exchanged = Plan(exchange.request, keeps_kernel=False), exchange
        if keeps_kernel:
            self._prepare(np.broadcast_to(x.dtype.type(0), x.shape), kernel)  # values of x are not known

    def _prepare(self, x: np.ndarray, kernel: np.ndarray) -> None:
        """Make a kernel ready, which the plan keeps where it is for one kernel, and describe what runs."""
        if self._exchanged and (arrays := self._exchanged[1].arrays(x, kernel)) is not None:
            self._exchanged[0]._prepare(*arrays)
            vars(self).update({name: vars(self._exchanged[0])[name] for name in _DESCRIPTION})
            return
        run, (choice, plan, _) = self._make(kernel)
        self._latest = (b"", run) if self._keeps_kernel else None
        if self._small is None:
            plan.tasks.compile(self._request.workers, plan.workers)
        threads = team_size(self._request.workers, plan.workers)
        self.method, self.why, self.estimates = choice.method, choice.why, choice.milliseconds(self._problem)
        self.flops, self.scratch_bytes = plan.flops, threads * plan.tasks.scratch_bytes + plan.weight_bytes
        self._text = [*plan.describe(), f"kernel    convolve, rank {len(plan.tasks.grid)}", f"threads   {threads}"]
        self._may_lack_weight = self._request.normalises and (self._problem.is_upsampled or not kernel.all())

    @once
    def _normalised(self) -> Normalised:
        return Normalised(self._request, self.method, lambda own: Plan(own)._call)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy what is asked: the copy is made anew."""
        return Plan, (self._request,)

    @explained
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

        Examples
        --------
        >>> import numpy as np
        >>> import convnd
        >>> difference = convnd.plan(np.empty(4), [1.0, -1])
        >>> difference(np.array([1.0, 2, 4, 8]))
        array([1., 2., 4.])
        """
        return self._call(x, out, self._request.mask)

    def _call(self, x: Any, out: Array = None, mask: Array = None) -> np.ndarray:
        """Convolve an array of the plan's shape and dtype, and of any strides, with a mask of its own."""
        target, own = out, None
        if type(x) is np.ndarray and (out is None or type(out) is np.ndarray) and x.dtype == self._request.x_dtype:
            own = self._like(x, out)
        if own is None:
            x, target = check_x(x, self._request), plain_out(out)
            check_out(target, self.output_shape, self._request.result)
            request = self._request._replace(x=x, out=target)
            own = self._like(x, target) or self._others.add(_traits(x, target), Plan(request))
        if out is None or target is None:
            return own._run(x, self._request.kernel, None, mask)
        if np.may_share_memory(target, x):
            target[...] = self._call(x, target.copy() if self._request.beta else None, mask)
        else:
            own._run(x, self._request.kernel, target, mask)
        return out

    def _allocated(self) -> np.ndarray:
        try:
            return np.ndarray(self._result.shape, self.dtype, None, 0, self._result.strides)
        except (MemoryError, ValueError):
            raise too_large(self._request) from None

    def _like(self, x: np.ndarray, out: Array) -> Plan | None:
        """Return the plan for the strides of two arrays: this one, one that was made before, or None."""
        return self if (key := _traits(x, out)) == self._key else self._others.get(key)

    def _run(self, x: np.ndarray, kernel: np.ndarray, out: Array, mask: Array = None) -> np.ndarray:
        """Convolve ``x`` with the plan's kernel, or with one of any values, into ``out``, which overlaps neither."""
        request = self._request
        if self._exchanged and (arrays := self._exchanged[1].arrays(x, kernel)) is not None:
            return self._exchanged[0]._run(*arrays, self._allocated() if out is None else out)
        if not self._is_of_kernel:
            return self._of(kernel)(x, out, mask)
        if request.nan_policy == "raise":
            check_nan(x, request.workers)
        if out is None and request.beta:
            raise ValueError(f"beta is {request.beta}, the factor of what out holds, but there is no out")
        out = self._allocated() if out is None else out
        if self._is_empty:
            return out
        is_missing = mask is not None or (request.nan_policy == "omit" and holds_nan(x, request.workers))
        run = self._updated or (self._normalised if is_missing else self._of(kernel))
        run(x, out, mask)
        if self._is_real_part:
            out.imag = 0
        if self._may_lack_weight:
            self._normalised.fill_without_weight(out)
        return out

    @np.errstate(all="ignore")
    def _make(self, kernel: np.ndarray) -> tuple[Run, Any]:
        """Return what runs with a kernel, and the prepared method; None for it where another plan runs."""
        if not self._is_of_kernel:
            own = Plan(self._request._replace(kernel=kernel))
            return lambda x, out, mask: own._run(x, kernel, out, mask), None
        prepared = _, plan, weights = prepare(self._request._replace(kernel=kernel), self._problem)
        small, fills, workers = self._small, self._fills, self._request.workers
        self._reads_kernel = not plan.weight_bytes
        if small is None or small.plan is not plan:
            small = self._small = small_call(self._request, plan, fills)
        if small:
            return small.of(weights), prepared
        return lambda x, out, _: repair.run(plan, x, weights, fills, out, workers), prepared

    def _of(self, kernel: np.ndarray) -> Run:
        """Return what runs with a kernel: the plan's own, or that of the last call where it is small."""
        if (latest := self._latest) is not None and self._keeps_kernel:
            return latest[1]
        is_large = self._is_of_kernel and kernel.nbytes > MOST_KEPT
        values = b"" if is_large else kernel.tobytes()
        if not is_large and latest is not None and latest[0] == values:
            return latest[1]
        own = self._request.computed_with(kernel) if self._is_general else self._request
        if (kind := (own.working, own.scale)) != (self._request.working, self._request.scale):
            other = self._others.of(kind, lambda: Plan(own, keeps_kernel=False))
            run, self._latest = other._of(kernel), other._latest
            return run
        if is_large and self._reads_kernel:  # as it is, which takes less time than to compare two kernels
            return self._make(kernel)[0]
        if is_large:
            return _LARGE.made_of(self, kernel, self._make, lambda made: made[1].plan.weight_bytes)[0]
        run, prepared = self._make(kernel.copy())
        if prepared is None or prepared.plan.weight_bytes <= 4 * MOST_KEPT:
            self._latest = values, run
        return run

    @once
    def _others(self) -> Recent[Plan]:
        """Plans for arrays of other strides, and for whole numbers that are summed in other types."""
        return Recent(_OTHERS)

    def __str__(self) -> str:
        return "\n".join([
            *description(self._request),
            f"method    {self.method}: {self.why}",
            *self._text,
            f"work      {self.flops:.3g} operations, {self.scratch_bytes / 2**20:.3g} MiB beside the arrays",
            f"estimated {', '.join(f'{name} {ms:.3g} ms' for name, ms in self.estimates.items()) or 'nothing'}",
        ])  # fmt: skip


def _traits(x: np.ndarray, out: np.ndarray | None) -> tuple[Hashable, ...]:
    """Return what a plan is laid out for."""
    own = (x.shape, x.strides, x.dtype)
    return own if out is None else (*own, out.shape, out.strides, out.dtype, out.flags.writeable)


_PLANS: Recent[Plan] = Recent(_REMEMBERED)
_LARGE: OfArrays[tuple[Run, Any]] = OfArrays(2**25)  # what was made of larger kernels


def convolve(x: Any, kernel: Any, out: Any, options: Options) -> np.ndarray:
    """Convolve NumPy's arrays, or what is converted to them, by a plan that is remembered or by a new one."""
    key: Any = None
    given, plan, mask = out, None, None
    if type(x) is type(kernel) is np.ndarray and (out is None or type(out) is np.ndarray):
        if options.mask is not None:
            mask = check_mask(options.mask, x.shape)
        if (meaning := meaning_of(options if mask is None else options._replace(mask=mask.dtype))) is not None:
            key = _traits(x, out), kernel.shape, kernel.strides, kernel.dtype, meaning, tuning.TUNING
            plan = _PLANS.get(key)
    if plan is None and key is not None:
        kind = x.ndim, x.dtype, out is None, (x if out is None else out).dtype, *key[1:-1]
        other = _PLANS.get(kind)  # for other lengths and steps
        if other and (request := parse_alike(other._request, x, kernel, out, mask)):
            plan = _PLANS.add(key, Plan(request, keeps_kernel=False))
    if plan is None:
        request = parse(x, kernel, out, options)
        plan = Plan(request.without_values(), keeps_kernel=False)
        if key is not None and request.x is x:
            _PLANS.add(key, plan)
            _PLANS.add(kind, plan)
        x, kernel, out, mask = request.x, request.kernel, request.out, request.mask
    if out is not None and any(np.may_share_memory(out, other) for other in (x, kernel, mask) if other is not None):
        own = out.copy() if options.beta is not None and np.any(options.beta) else None
        out[...] = convolve(x, kernel, own, options._replace(dtype=out.dtype))
    else:
        out = plan._run(x, kernel, out, mask)
    return out if given is None else given
