"""Results that are added to what ``out`` holds and to a bias.

Direct sums are added as a tile is stored, where the result has the working type and one bias serves all channels. All
else is convolved slab by slab and added by a pass over each slab.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..jit.passes import compile_update
from ..problem.dtypes import default_result, is_integer, sums_exactly
from ..problem.request import Request
from .slabs import Slabs, over_lines, stored_as


def is_stored_so(request: Request) -> bool:
    """Return whether direct sums can be added as they are stored."""
    one_bias = request.bias is None or request.bias.ndim == 0
    is_alike = request.result == np.dtype(request.working)
    if is_alike and request.working == "int64":  # which stands for uint64 as well, whose sums saturate
        is_alike = _native(request) == np.int64
    return one_bias and is_alike and not request.normalises


class Updated:
    """``out = convolution + bias + beta * out`` with one kernel, in the working type, rounded once."""

    def __init__(self, request: Request, plan: Callable[[Request], Any]) -> None:
        native = _native(request)
        self._beta, self._workers = np.array([request.beta], native), request.workers
        self._slabs = Slabs(request, plan)
        policy = "omit" if request.nan_policy == "omit" else "propagate"  # "raise" has looked at all of x before
        self._adding = request.plain._replace(result=native, out=None, nan_policy=policy)
        self._storing = stored_as(self._adding._replace(result=request.result), native)
        bias = np.asarray(0 if request.bias is None else request.bias, native)
        if bias.ndim:  # one for each channel
            bias = bias.reshape([-1 if a == request.channel_axis else 1 for a in range(len(request.out_shape))])
        self._bias = np.broadcast_to(bias, request.out_shape)
        self._update = None if native.kind == "c" else partial(compile_update, native.name)

    @np.errstate(all="ignore")
    def __call__(self, x: np.ndarray, out: np.ndarray, mask: np.ndarray | None) -> None:
        """Convolve ``x`` into ``out``, which do not overlap."""
        like, native = self._slabs.memory(), self._adding.result
        for place, block in self._slabs.all:
            target = out[place]
            sums, total = like(target, "sums", native), target
            own = None if mask is None else block.read(mask, mask.dtype)
            self._slabs.run(self._adding, block.request.axes, block.read(x, x.dtype), sums, own)
            if out.dtype != native:
                total = like(target, "total", native)
                if self._beta[0] != 0:
                    np.copyto(total, target, casting="unsafe")
            bias = self._bias[place]
            if self._update is not None:
                over_lines(self._update, [total, sums, bias], self._beta, self._workers)
            else:
                sums += bias
                total[...] = sums if self._beta[0] == 0 else sums + self._beta[0] * total
            if total is target:
                continue
            is_below = None  # where unsigned totals are less than 0: these have wrapped around
            if native.kind == "u" and self._beta[0] != 0 and target.min(initial=0) < 0:
                is_below = (target < 0) & (total > sums + bias)
            self._slabs.run(self._storing, (), total, target)
            if is_below is not None:
                least = np.array(np.iinfo(out.dtype).min)
                target[is_below] = np.maximum(total[is_below], least.astype(native)).astype(np.int64)


def _native(request: Request) -> np.dtype[Any]:
    """Return the type that a result is added up in."""
    native = np.dtype(request.working)
    if sums_exactly(request.x_dtype, request.kernel.dtype):
        if is_integer(request.result):
            return default_result(request.x_dtype, request.kernel.dtype)
        native = np.dtype(np.float64)
    return np.result_type(native, np.complex64) if request.result.kind == "c" else native
