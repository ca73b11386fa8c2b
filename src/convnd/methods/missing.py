"""Samples that are missing or weighed: normalised convolution (Knutsson and Westin, 1993), slab by slab.

It is two plain convolutions: of the samples times a mask, and of the mask with the magnitudes of the kernel's weights.
The second is the weight that an output has found; it divides the first. Omitting NaN takes 0 in the mask where NaN is.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..jit.passes import compile_nan_search, compile_normalisation, compile_weighing
from ..problem import dtypes
from ..problem.axis import polyphase
from ..problem.boundary import FILLED
from ..problem.canonical import Kernel, canonical, canonical_kernel
from ..problem.request import Request, dense, memory_order, strided
from ..problem.result import result_traits
from .choose import choose
from .separable.factors import keep_zeros
from .slabs import Slabs, over_lines, stored_as
from .transforms import fft

_SMALL = 2**14  # samples that NumPy looks at
_BOOL = np.dtype(bool)


def holds_nan(x: np.ndarray, workers: int | None) -> bool:
    """Return whether an array holds NaN."""
    if dtypes.is_integer(x.dtype) or x.size == 0:
        return False
    if x.size <= _SMALL:
        return int(np.count_nonzero(x == x)) < x.size
    found = np.zeros(1, np.int64)
    for part in (x.real, x.imag) if x.dtype.kind == "c" else (x,):
        over_lines(partial(compile_nan_search, part.dtype.str), [part], found, workers)
    return bool(found[0])


def check_nan(x: np.ndarray, workers: int | None) -> None:
    """Raise `ValueError` where an array holds NaN."""
    if holds_nan(x, workers):
        first = tuple(map(int, np.unravel_index(np.isnan(x).argmax(), x.shape)))
        raise ValueError(f"x holds NaN, at index {first} first, but nan_policy is 'raise'")


class Normalised:
    """A convolution with one kernel of samples that a mask weighs, or of which NaN is missing."""

    @np.errstate(all="ignore")
    def __init__(self, request: Request, method: str, plan: Callable[[Request], Any]) -> None:
        is_exact = dtypes.sums_exactly(request.x.dtype, request.kernel.dtype)
        native, mask = np.dtype("float64" if is_exact else request.working), request.mask
        wide, is_complex = np.result_type(native, np.complex64), request.x.dtype.kind == "c"
        self._omits = request.nan_policy == "omit"
        is_parted = is_complex or mask is not None  # else both convolutions read x itself, and NaN as 0 or as a mark
        self._values = (wide if is_complex else native) if is_parted else None
        sums = wide if is_complex or request.kernel.dtype.kind == "c" else native
        self._slabs = Slabs(request, plan)
        self._adding = request._replace(
            method=method, working=native.name, result=sums, out=None, nan_policy="propagate", mask=None,
            nan="kept" if is_parted else "zero",
        )  # fmt: skip
        self._storing = stored_as(self._adding._replace(result=request.result), native)
        weights = request.kernel.astype(np.result_type(native, request.kernel))
        marks = None if not is_parted else _BOOL if mask is None else mask.dtype
        weights = _sizes(weights).astype("float64" if method == "fft" else native)
        self._weighing, least = _weighing(request._replace(mask=None), weights, marks)
        self._least = np.array([least], self._weighing.result)
        self._normalise = partial(compile_normalisation, dtypes.real(sums).name, self._weighing.result.name)
        self._total = _total(self._weighing, plan)
        self._without_weight = []
        if request.result.kind in "fc":  # whole numbers have no NaN
            places, phases = np.argwhere(self._total == 0).tolist(), self._total.shape
            self._without_weight = [tuple(map(slice, place, [None] * len(phases), phases)) for place in places]

    @np.errstate(all="ignore")
    def __call__(self, x: np.ndarray, out: np.ndarray, mask: np.ndarray | None) -> None:
        """Convolve ``x`` into ``out``, which do not overlap."""
        like = self._slabs.memory()
        for place, block in self._slabs.all:
            samples, target, axes = block.read(x, x.dtype), out[place], block.request.axes
            values = valid = samples
            if self._values is not None:
                valid = self._valid(samples, None if mask is None else block.read(mask, mask.dtype))
                values = like(samples, "values", self._values)
                _weigh(samples, valid, values, self._adding.workers)
            sums = target if out.dtype == self._adding.result else like(target, "sums", self._adding.result)
            found = like(target, "found", self._weighing.result)
            self._slabs.run(self._adding, axes, values, sums)
            self._slabs.run(self._weighing, axes, valid, found)
            total = self._total_of(place)
            for part in (sums.real, sums.imag) if sums.dtype.kind == "c" else (sums,):
                over_lines(self._normalise, [part, found, total], self._least, self._adding.workers)
            if sums is not target:
                self._slabs.run(self._storing, (), sums, target)

    def fill_without_weight(self, out: np.ndarray) -> None:
        """Write NaN where no sample of a window can have a weight, be there NaN or none."""
        for place in self._without_weight:
            out[place] = np.nan

    def _valid(self, samples: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
        """Return the weights of samples, 0 for NaN where it is omitted."""
        if not self._omits:
            assert mask is not None
            return mask
        found = samples == samples if mask is None else mask * (samples == samples)
        return np.asarray(found)  # a scalar where there are no axes

    def _total_of(self, place: tuple[Any, ...]) -> np.ndarray:
        """Return the whole weight of every output of a slab, or what broadcasts to it."""
        total = self._total
        for a, outputs in enumerate(place[:-1]):
            if total.shape[a] > 1:  # the phases of an upsampled axis take turns
                total = total.take(np.arange(outputs.start, outputs.stop) % total.shape[a], axis=a)
        return total


def _weigh(samples: np.ndarray, mask: np.ndarray, values: np.ndarray, workers: int | None) -> None:
    """Write samples times their weights; 0 where that is 0, whatever the sample is."""
    if samples.dtype.kind == "c":
        _weigh(samples.real, mask, values.real, workers)
        _weigh(samples.imag, mask, values.imag, workers)
        return
    samples, mask = (
        own.astype(values.dtype) if own.dtype == np.float16 or not own.dtype.isnative else own
        for own in (samples, mask)
    )
    weigh = partial(compile_weighing, samples.dtype.name, mask.dtype.name, values.dtype.name)
    over_lines(weigh, [values, samples, mask], np.zeros(1), workers)


def _sizes(weights: np.ndarray) -> np.ndarray:
    """Return the sizes of weights, of which the ratios count: divided by a power of two where sums would overflow."""
    bits = weights.size.bit_length() + 1
    is_large = np.abs(weights).max(initial=0) > np.finfo(weights.dtype).max / 2**bits
    return np.abs(weights / 2**bits if is_large else weights)


def _weighing(request: Request, weights: np.ndarray, marks: np.dtype[Any] | None) -> tuple[Request, float]:
    """Return the request that sums the weights of valid samples, and the largest sum that counts as none.

    It reads an array of the type ``marks`` that says which samples are valid, or ``x`` itself where that is None.
    Outside ``x`` all are valid.
    """
    if marks is not None:
        request = request._replace(x=dense(request.x.shape, marks, memory_order(request.x)), x_dtype=marks)
    request = request._replace(
        kernel=weights, fill=1, out=None, working=str(weights.dtype), result=weights.dtype,
        nan_policy="propagate", method="direct" if request.method == "direct" else "auto",
        nan="marked" if marks is None else "kept",
    )  # fmt: skip
    problem, kernel = canonical(request, result_traits(request)), canonical_kernel(request)
    choice, least = choose(request, problem, Kernel(kernel)), float(kernel.min(where=kernel > 0, initial=np.inf))
    tells = marks is None or marks == _BOOL  # any weight from none; those of a mask may be as small as rounding
    if choice.method == "fft" and tells and fft.rounding(problem, kernel, 1) < least / 2:
        return request._replace(method="fft"), least / 2
    if choice.method == "separable" and keep_zeros(choice.factors, kernel):
        return request._replace(method="separable"), 0.0
    return request._replace(method="direct"), 0.0


def _total(weighing: Request, plan: Callable[[Request], Any]) -> np.ndarray:
    """Return the weight of a window whose samples are all valid, for each output channel and each phase.

    It is summed like the weights of valid samples, in a small array of ones, so that equal sums have equal bits.
    """
    x, channel, dropped = weighing.x, weighing.channel_axis, weighing.dropped
    lengths = [n if a == channel else min(n, 2) if a in weighing.spatial else 1 for a, n in enumerate(x.shape)]
    axes, phases = [], {}
    for a, axis in zip(weighing.spatial, weighing.axes, strict=True):
        phases[a] = len(polyphase(axis).branches) or 1
        small = replace(axis, length=lengths[a], before=axis.before % axis.upsample, after=0, boundary=FILLED)
        after = small.stride * (phases[a] - 1) + small.extent - small.positions - small.before
        axes.append(replace(small, after=max(0, after)))
    small_x = np.ones_like(strided(*dense(lengths, x.dtype, memory_order(x))))
    method = "separable" if weighing.method == "separable" else "direct"
    result = plan(weighing._replace(x=small_x, axes=tuple(axes), method=method))(small_x)
    return result[(*(slice(phases.get(a)) for a in range(x.ndim) if a != dropped), ...)]
