"""NaN as missing samples: normalised convolution (Knutsson and Westin, 1993), slab by slab.

It is two plain convolutions: of the samples, with zeros in place of NaN, and of which samples there are, with the
magnitudes of the weights. The second is the weight that an output has found; it divides the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..jit import tables as t
from ..jit.passes import BLOCK, compile_nan_search, compile_normalisation, run_lines
from ..problem import dtypes
from ..problem.axis import Axis, polyphase
from ..problem.boundary import CONSTANT, FILLED
from ..problem.canonical import canonical, canonical_kernel
from ..problem.recent import Recent
from ..problem.request import Request, imagined, memory_order
from ..problem.result import allocation
from . import fft, tuning
from .choose import choose
from .factors import keep_zeros
from .tables import Builder, Tasks

_SMALL = 2**14  # samples that NumPy looks at
_MOST = 2**24  # bytes of a slab's samples, however far its windows reach
_SERIAL = 2**18  # elements that are worth a thread
_PLANS = 32  # for slabs of different shapes
_BOOL = np.dtype(bool)


def holds_nan(x: np.ndarray, workers: int | None) -> bool:
    """Return whether an array holds NaN."""
    if dtypes.is_integer(x.dtype) or x.size == 0:
        return False
    if x.size <= _SMALL:
        return int(np.count_nonzero(x == x)) < x.size
    found = np.zeros(1, np.int64)
    for part in (x.real, x.imag) if x.dtype.kind == "c" else (x,):
        _over_lines(compile_nan_search(part.dtype.str), [part], found, workers)
    return bool(found[0])


def check_nan(x: np.ndarray, workers: int | None) -> None:
    """Raise `ValueError` where an array holds NaN."""
    if holds_nan(x, workers):
        first = tuple(map(int, np.unravel_index(np.isnan(x).argmax(), x.shape)))
        raise ValueError(f"x holds NaN, at index {first} first, but nan_policy is 'raise'")


class Slab(NamedTuple):
    """A box of outputs, what it reads of ``x``, and the spatial axes from there to the outputs."""

    outputs: tuple[slice, ...]
    read: tuple[slice, ...]
    axes: tuple[Axis, ...]


class Normalised:
    """A convolution with one kernel that takes NaN in ``x`` for missing samples.

    Parameters
    ----------
    request : Request
        What the user asks for.
    method : str
        What convolves the samples.
    plan : function
        What returns the plan of a request.
    """

    def __init__(self, request: Request, method: str, plan: Callable[[Request], Any]) -> None:
        native = np.dtype(request.working if request.working != "int64" else "float64")
        wide, is_complex = np.result_type(native, np.complex64), request.x.dtype.kind == "c"
        self._values = wide if is_complex else None  # else the convolutions read x, and what NaN counts as
        sums = wide if is_complex or request.kernel.dtype.kind == "c" else native
        self._plan, self._plans, self._slabs = plan, Recent[Any](_PLANS), list(_slabs(request))
        self._adding = replace(
            request, method=method, result=sums, out=None, nan_policy="propagate", nan="kept" if is_complex else "zero"
        )
        self._converting = replace(
            self._adding, kernel=np.ones((), native), spatial=(), axes=(), channel_axis=None, is_bank=False, groups=1,
            method="direct", fill=0, result=request.result, nan="kept",
        )  # fmt: skip
        weights = np.abs(request.kernel.astype(np.result_type(native, request.kernel)))
        self._weighing, least = _weighing(request, weights.astype("float64" if method == "fft" else native))
        self._least = np.array([least], self._weighing.result)
        self._normalise = compile_normalisation(dtypes.real(sums).name, self._weighing.result.name)
        self._total = _total(self._weighing, plan)
        self._without_weight = []
        if request.result.kind in "fc":  # whole numbers have no NaN
            places, phases = np.argwhere(self._total == 0).tolist(), self._total.shape
            self._without_weight = [tuple(map(slice, place, [None] * len(phases), phases)) for place in places]

    @np.errstate(all="ignore")
    def __call__(self, x: np.ndarray, out: np.ndarray) -> None:
        """Convolve ``x`` into ``out``, which do not overlap."""
        memory: dict[str, np.ndarray] = {}  # of the latest slab: new pages cost more than what is written to them

        def like(array: np.ndarray, name: str, dtype: np.dtype[Any]) -> np.ndarray:
            if name not in memory or memory[name].shape != array.shape:
                memory[name] = np.empty_like(array, dtype)
            return memory[name]

        for slab in self._slabs:
            samples, target = x[slab.read], out[slab.outputs]
            values = valid = samples
            if self._values is not None:
                values, valid = like(samples, "values", self._values), like(samples, "valid", _BOOL)
                _part(samples, values, valid)
            sums = target if out.dtype == self._adding.result else like(target, "sums", self._adding.result)
            found = like(target, "found", self._weighing.result)
            self._run(self._adding, slab.axes, values, sums)
            self._run(self._weighing, slab.axes, valid, found)
            total = self._total_of(slab, found.shape)
            for part in (sums.real, sums.imag) if sums.dtype.kind == "c" else (sums,):
                _over_lines(self._normalise, [part, found, total], self._least, self._adding.workers)
            if sums is not target:
                self._run(self._converting, (), sums, target)

    def fill_without_weight(self, out: np.ndarray) -> None:
        """Write NaN where no sample of a window can have a weight, be there NaN or none."""
        for place in self._without_weight:
            out[place] = np.nan

    def _run(self, request: Request, axes: tuple[Axis, ...], x: np.ndarray, out: np.ndarray) -> None:
        """Run a request along axes of its own."""
        key = id(request), axes, x.shape, x.strides
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans.add(key, self._plan(replace(request, x=x, x_dtype=x.dtype, axes=axes)))
        plan(x, out)

    def _total_of(self, slab: Slab, shape: Sequence[int]) -> np.ndarray:
        """Return the whole weight of every output of a slab, or what broadcasts to it."""
        total = self._total
        for a, (outputs, count) in enumerate(zip(slab.outputs, shape, strict=True)):
            if total.shape[a] > 1:  # the phases of an upsampled axis take turns
                first = outputs.start or 0
                total = total.take(np.arange(first, first + count) % total.shape[a], axis=a)
        return total


def _part(samples: np.ndarray, values: np.ndarray, valid: np.ndarray) -> None:
    """Write samples as values, 0 in place of NaN, and which of them are valid."""
    missing = np.isnan(samples, out=valid)
    np.copyto(values, samples)
    np.copyto(values, 0, where=missing)
    np.logical_not(missing, out=valid)


def _weighing(request: Request, weights: np.ndarray) -> tuple[Request, float]:
    """Return the request that finds the weight of valid samples, and what is none: outside ``x`` all are valid."""
    if request.x.dtype.kind == "c":
        request = replace(request, x=_in_order(request.x, request.x.shape, imagined, _BOOL), x_dtype=_BOOL)
    request = replace(
        request, kernel=weights, fill=1, out=None, working=str(weights.dtype), result=weights.dtype,
        nan_policy="propagate", method="direct" if request.method == "direct" else "auto",
        nan="kept" if request.x.dtype == _BOOL else "marked",
    )  # fmt: skip
    problem, kernel = canonical(request, allocation(request).imagined()), canonical_kernel(request)
    choice, least = choose(request, problem, kernel), float(kernel.min(where=kernel > 0, initial=np.inf))
    if choice.method == "fft" and fft.rounding(problem, kernel, 1) < least / 2:
        return replace(request, method="fft"), least / 2  # which tells one sample from none
    if choice.method == "separable" and keep_zeros(choice.factors, problem, kernel):
        return replace(request, method="separable"), 0.0
    return replace(request, method="direct"), 0.0


def _total(weighing: Request, plan: Callable[[Request], Any]) -> np.ndarray:
    """Return the weight of a window whose samples are all valid, for each output channel and each phase.

    It is found as weights are, in a small array of ones, so that equal sums have equal bits.
    """
    x, channel, dropped = weighing.x, weighing.channel_axis, weighing.dropped
    lengths = [n if a == channel else min(n, 2) if a in weighing.spatial else 1 for a, n in enumerate(x.shape)]
    axes, phases = [], {}
    for a, axis in zip(weighing.spatial, weighing.axes, strict=True):
        phases[a] = len(polyphase(axis).branches) or 1
        small = replace(axis, length=lengths[a], before=axis.before % axis.upsample, after=0, boundary=FILLED)
        after = small.stride * (phases[a] - 1) + small.extent - small.positions - small.before
        axes.append(replace(small, after=max(0, after)))
    small_x = _in_order(x, lengths, np.ones, x.dtype)
    method = "separable" if weighing.method == "separable" else "direct"
    result = plan(replace(weighing, x=small_x, axes=tuple(axes), method=method))(small_x)
    return result[tuple(slice(phases.get(a)) for a in range(x.ndim) if a != dropped)]


def _in_order(
    x: np.ndarray, lengths: Sequence[int], make: Callable[..., np.ndarray], dtype: np.dtype[Any]
) -> np.ndarray:  # fmt: skip
    """Return an array in the memory order of another."""
    order = memory_order(x)
    return make([lengths[a] for a in order], dtype).transpose(np.argsort(order))


def _slabs(request: Request) -> Iterator[Slab]:
    """Yield the boxes that a result is computed in. How an item of a batch is cut does not depend on the others."""
    along = []
    for a, size in enumerate(_sizes(request)):
        if a == request.channel_axis:
            along.append([(slice(None), slice(None), Axis(1))])
        else:
            axis = request.along(a)
            size = -(-axis.outputs // -(-axis.outputs // size))  # all of one size, in place of a small last one
            firsts = range(0, axis.outputs, size)
            along.append([_cut(axis, first, min(first + size, axis.outputs)) for first in firsts])
    for box in product(*along):
        outputs = tuple(own[0] for a, own in enumerate(box) if a != request.dropped)
        yield Slab(outputs, tuple(read for _, read, _ in box), tuple(box[a][2] for a in request.spatial))


def _cut(axis: Axis, first: int, end: int) -> tuple[slice, slice, Axis]:
    """Return some outputs of an axis, what they read, and the axis from there to them."""
    if (first, end) == (0, axis.outputs):
        return slice(None), slice(None), axis
    low, high = axis.read(first, end)
    passed = zip((low < 0, high > axis.length), axis.boundary, strict=True)
    if any(is_passed and mode != CONSTANT for is_passed, mode in passed):  # any sample may stand for what is outside
        return slice(first, end), slice(None), axis.part(first, end)
    low = min(max(low, 0), axis.length - 1)
    high = max(min(high, axis.length), low + 1)
    return slice(first, end), slice(low, high), axis.part(first, end, low, high)


def _sizes(request: Request) -> list[int]:
    """Return the outputs of a slab along each axis of ``x``."""
    x, channel, order = request.x, request.channel_axis, memory_order(request.x)
    along = [request.along(a) for a in range(x.ndim)]
    sizes = [axis.outputs if a in request.spatial else 1 for a, axis in enumerate(along)]
    channels = 1 if channel is None else max(x.shape[channel], request.out_channels)

    def count() -> int:
        """Return the samples of a slab, or its outputs where they are more."""
        reads = [axis.read(0, n) for axis, n in zip(along, sizes, strict=True)]
        return channels * max(prod(high - low for low, high in reads), prod(sizes))

    wanted = tuning.TUNING.slab_samples
    for limit, extents in (wanted, tuning.TUNING.slab_extents), (_MOST // x.itemsize, 0):
        for a in order:
            if a in request.spatial and (total := count()) > limit:
                least = min(sizes[a], extents * along[a].extent // along[a].stride + 1)
                sizes[a] = max(least, sizes[a] * limit // total)
                if sizes[a] > least:
                    break
    for a in reversed(order):
        if a != channel and a not in request.spatial:
            sizes[a] = min(x.shape[a], max(1, wanted // count()))
    return sizes


def _over_lines(compiled: Any, operands: Sequence[np.ndarray], beside: np.ndarray, workers: int | None) -> None:
    """Run a C function of `passes` over the lines of three arrays, or of fewer, that broadcast to the first's shape."""
    shape, absent = operands[0].shape, [(0,) * operands[0].ndim] * (3 - len(operands))
    steps = [np.broadcast_to(operand, shape).strides for operand in operands] + absent
    axes = _in_few_lines([*zip(shape, *steps, strict=True)])
    *outer, length = [n for n, *_ in axes]
    lines, blocks, together = prod(outer), -(-length // BLOCK), max(1, BLOCK // length)
    builder = Builder(columns=t.LINES_COLUMNS)
    builder.set({
        t.RANK: len(axes), t.TASKS: blocks * -(-lines // together), t.LINE_FUNCTION: compiled.address,
        t.LENGTHS: builder.add([n for n, *_ in axes] + [step for _, *own in axes for step in own]),
        t.LINE_COUNT: lines, t.LINE_BLOCKS: blocks, t.TASK_LINES: together,
    })  # fmt: skip
    columns = dict(zip((t.BESIDE, t.FIRST, t.SECOND, t.THIRD), (beside, *operands), strict=False))
    tasks = Tasks(run_lines, builder.table(), (np.arange(2),), ())
    tasks.run(columns, workers, lines * length // _SERIAL + 1)


def _in_few_lines(axes: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """Return axes, each a length and the steps of the arrays, in memory order, and as few as can be."""
    kept: list[Sequence[int]] = []
    for n, *steps in sorted(axes, key=lambda axis: -abs(axis[1])):
        if n == 1:
            continue
        if kept and list(kept[-1][1:]) == [n * step for step in steps]:
            kept[-1] = (n * kept[-1][0], *steps)
        else:
            kept.append((n, *steps))
    return kept or [(1, 0, 0, 0)]
