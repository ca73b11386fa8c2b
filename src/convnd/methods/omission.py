"""Convolution that takes NaN for missing samples: normalised by the weights of the samples that there are.

Two convolutions do it (`missing.py`): the first writes sums over valid samples, the second finds the weight of the
valid samples of each output, and divides. Where ``x`` holds no NaN the plain convolution is all there is to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..problem import dtypes
from ..problem.axis import Axis
from ..problem.boundary import CONSTANT
from ..problem.canonical import (
    Constants,
    Problem,
    allocation,
    canonical,
    canonical_axes,
    canonical_kernel,
    constants,
    memory_order,
)
from ..problem.request import KEPT, WEIGHED, ZEROED, Request
from . import direct
from .choose import Choice, prepare
from .scan import holds_nan
from .small import small_call

Run = Callable[[np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class Ready:
    """A method that is ready to run a request."""

    request: Request
    problem: Problem
    choice: Choice
    plan: Any
    weights: Any
    constants: Constants

    def __call__(self, x: np.ndarray, out: np.ndarray) -> None:
        """Convolve ``x`` into ``out``."""
        self.plan(x, self.weights, self.constants, out, self.request.workers)

    def quick(self) -> Run:
        """Return the quickest way to call it."""
        one = None
        if self.choice.method == "direct":
            one = small_call(self.request, self.plan, self.constants, self.weights)
        return self if one is None else lambda x, out: one(x, x, out)


def _ready(request: Request, result: np.ndarray) -> Ready:
    problem = canonical(request, result)
    return Ready(request, problem, *prepare(request, problem), constants(request, problem))


class Omission:
    """A convolution that is ready for one kernel and takes NaN in ``x`` for missing samples.

    Parameters
    ----------
    request : Request
        What the user asks for; of ``x`` only shape, strides and type are read.
    result : ndarray
        An array of the strides of the results.
    """

    def __init__(self, request: Request, result: np.ndarray) -> None:
        self._request = request
        plain = _ready(request, result)
        self.choice, self.plan = plain.choice, plain.plan
        self._plain = plain.quick()
        # The result holds the sums until they are divided, where its type is theirs.
        self._holds_sums = dtypes.real(request.result) == np.dtype(request.working)
        self._steps: tuple[Run, Run] | None = None
        weighing = _weighing(request, request.x.real)
        found = canonical_kernel(weighing).any(axis=2)
        self._without_weight: list[list[int]] = []
        if result.dtype.kind in "fc":
            self._without_weight = np.argwhere(~_by_filter(weighing, np.asarray(found))).tolist()

    def __call__(self, x: np.ndarray, out: np.ndarray) -> None:
        """Convolve ``x`` into ``out``, which do not overlap."""
        if holds_nan(x, self._request.workers):
            self._omit(x, out)
        else:
            self._plain(x, out)
        for channel, *branch in self._without_weight:
            steps = _branch_counts(self._request)
            every = tuple(slice(first, None, step) for first, step in zip(branch, steps, strict=True))
            _filters_first(self._request, out)[channel][every] = np.nan

    def _omit(self, x: np.ndarray, out: np.ndarray) -> None:
        request = self._request
        if x.dtype.kind == "c":  # a sample is missing where either part is
            x = x.copy(order="K")
            x[np.isnan(x)] = complex(np.nan, np.nan)
        native = _native(request.working, x.dtype, request.kernel.dtype)
        sums = out if self._holds_sums else allocation(replace(request, result=native, out=None))()
        if self._steps is None:
            self._steps = self._prepare(x, sums, out)
        normalise, convert = self._steps
        normalise(x, sums)
        if sums is not out:
            convert(sums, out)

    def _prepare(self, x: np.ndarray, sums: np.ndarray, out: np.ndarray) -> tuple[Run, Run]:
        """Return what makes normalised sums, and what converts them to the result's type."""
        adding = replace(self._request, x=x, result=sums.dtype, nans=ZEROED)
        add = _ready(adding, sums)
        weighing = replace(_weighing(self._request, x.real), result=sums.real.dtype)
        if add.choice.method == "fft":
            weighing = replace(weighing, working="float64")
        divide = _ready(weighing, sums.real)
        least = 0.0
        if divide.choice.method == "fft":  # what is less is rounding
            least = float(weighing.kernel.min(where=weighing.kernel > 0, initial=np.inf)) / 2
        wholes = _whole_weights(weighing, divide.choice.method)
        pairs = np.stack([wholes, np.full_like(wholes, least)], axis=-1).astype(weighing.working)
        divide = replace(divide, constants={**divide.constants, "wholes": np.ascontiguousarray(pairs)})
        converting = _converting(self._request, sums)
        return self._normalising(adding, add, weighing, divide, sums), _ready(converting, out).quick()

    def _normalising(self, adding: Request, add: Ready, weighing: Request, divide: Ready, sums: np.ndarray) -> Run:
        """Return what adds up the valid samples and divides by their weights."""
        first, second = add.quick(), divide.quick()
        is_complex = sums.dtype.kind == "c"
        if (
            not is_complex
            and first is add
            and second is divide
            and add.choice.method == divide.choice.method == "direct"
        ):
            # Tile by tile: memory is read and written once.
            plan, problem = add.plan, divide.plan.problem
            alike = direct.build(problem, plan.layout, plan.cycles)
            weights = alike.prepare(canonical_kernel(weighing), weighing.workers)
            return direct.Joined(plan, alike, (add.weights, weights), (add.constants, divide.constants), adding.workers)

        def one_by_one(x: np.ndarray, out: np.ndarray) -> None:
            first(x, out)
            for part in (out.real, out.imag)[: 1 + is_complex]:
                second(x.real, part)

        return one_by_one


def _native(working: str, *given: np.dtype[Any]) -> np.dtype[Any]:
    """Return the working type, complex where one of some types is."""
    is_complex = any(dtype.kind == "c" for dtype in given)
    return np.result_type(working, np.complex64) if is_complex else np.dtype(working)


def _weighing(request: Request, x: np.ndarray) -> Request:
    """Return the request that finds the weight of valid samples; outside ``x`` all are."""
    working = request.working if request.working != "int64" else "float64"
    weights = np.abs(request.kernel.astype(_native(working, request.kernel.dtype)))
    return replace(
        request, x=x, x_dtype=x.dtype, kernel=weights, fill=1, working=working, result=np.dtype(working), out=None,
        nans=WEIGHED,
    )  # fmt: skip


def _converting(request: Request, sums: np.ndarray) -> Request:
    """Return the request that copies results to the type that is asked for: a convolution along no axis."""
    one = np.ones((), sums.real.dtype)
    return replace(
        request, x=sums, x_dtype=sums.dtype, kernel=one, spatial=(), axes=(), channel_axis=None, is_bank=False,
        groups=1, out=None, working=str(sums.real.dtype), method="direct", fill=0, mode=CONSTANT,
    )  # fmt: skip


def _whole_weights(weighing: Request, method: str) -> np.ndarray:
    """Return the weight of a window whose samples are all valid, for each canonical output channel.

    It is found as weights are, in a small array of ones, so that equal sums have equal bits.
    """
    x = weighing.x
    order = memory_order(x)
    lengths = [2 if x.shape[a] > 1 and x.strides[a] and a in weighing.spatial else 1 for a in order]
    if weighing.channel_axis is not None:
        lengths[order.index(weighing.channel_axis)] = x.shape[weighing.channel_axis]
    ones = np.ones(lengths, x.dtype).transpose(np.argsort(order))
    counts = dict(zip([a for a in order if a in weighing.spatial], _branch_counts(weighing), strict=True))
    axes = tuple(
        _beginning(replace(axis, length=ones.shape[a]), counts[a])
        for a, axis in zip(weighing.spatial, weighing.axes, strict=True)
    )
    method = method if method == "separable" else "direct"
    small = replace(weighing, x=ones, axes=axes, mode=CONSTANT, method=method, workers=1, nans=KEPT)
    result = allocation(small)()
    _ready(small, result)(ones, result)
    result = _filters_first(small, result)
    alone = result.reshape(result.shape[: 1 + len(axes)])  # the only item of the batch
    first = alone[(slice(None), *map(slice, _branch_counts(weighing)))]
    per_group = first.reshape(weighing.groups, -1, *first.shape[1:])
    return np.moveaxis(per_group, 1, -1).ravel()


def _beginning(axis: Axis, count: int) -> Axis:
    """Return an axis that reads the same taps for its first ``count`` outputs, mostly outside its samples."""
    before = axis.before % axis.upsample
    after = axis.stride * (count - 1) + axis.extent - axis.positions - before
    return replace(axis, before=before, after=max(0, after))


def _branch_counts(request: Request) -> list[int]:
    """Return the number of branches along each spatial axis, in canonical order."""
    return [len(axis.branches) or 1 for axis in canonical_axes(request)]


def _by_filter(request: Request, table: np.ndarray) -> np.ndarray:
    """Return values of canonical output channels, ``(groups, branches * C_out)``, as ``(C_out, *branches)``."""
    counts = _branch_counts(request)
    return np.moveaxis(table.reshape(request.groups, *counts, -1), -1, 1).reshape(-1, *counts)


def _filters_first(request: Request, out: np.ndarray) -> np.ndarray:
    """Return a view of a result as ``(C_out, *spatial, *batch)``, the spatial axes in canonical order."""
    channel = request.x.ndim if request.channel_axis is None else request.channel_axis
    out = out if request.is_bank else np.expand_dims(out, channel)
    spatial = [a for a in memory_order(request.x) if a in request.spatial]
    batch = [a for a in range(out.ndim) if a != channel and a not in spatial]
    return out.transpose([channel, *spatial, *batch])
