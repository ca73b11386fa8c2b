"""A problem's geometry as peers see it: what pads x, which tap is the centre, what part of a result is asked for."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from convnd.problem_text import Ints, Pairs, Problem

__all__ = [
    "PATIENCE",
    "Call",
    "affordable",
    "centre",
    "channels_first",
    "convolution_weights",
    "each",
    "extents",
    "finish",
    "finish_same",
    "flops",
    "has_mode",
    "is_filter",
    "is_upsampled",
    "last_axes",
    "pads",
]

Call = Callable[[], np.ndarray]
T = TypeVar("T")

PATIENCE = 2  # seconds that a peer's call may take


def each(problem: Problem, entries: tuple[T, ...]) -> tuple[T, ...]:
    """Give one entry for each spatial axis, where one may stand for all."""
    return entries * len(problem.kernel) if len(entries) == 1 else entries


def extents(problem: Problem) -> Ints:
    """Samples from the kernel's first tap to its last along each axis, both counted."""
    return tuple(step * (n - 1) + 1 for n, step in zip(problem.kernel, each(problem, problem.dilation), strict=True))


def is_upsampled(problem: Problem) -> bool:
    """Whether zeros stand between neighbouring samples, along any axis."""
    return max(problem.upsample) > 1


def channels_first(problem: Problem) -> bool:
    """Whether channels come before the spatial axes, in x and in the kernel."""
    return problem.channel_axis is not None and problem.channel_axis < problem.spatial[0]


def is_for_peers(problem: Problem) -> bool:
    """Whether the spatial axes are the last ones of x, channels apart, and have one boundary, as in peers' calls."""
    others = [axis for axis in range(len(problem.shape)) if axis != problem.channel_axis]
    return problem.spatial == tuple(others[-len(problem.spatial) :]) and isinstance(problem.boundary, str)


def flops(problem: Problem, outputs: int) -> int:
    """Operations for so many output samples: for each tap a product and a sum (of real numbers).

    Of the taps of an upsampled axis one in ``upsample`` meets a sample, on average over the outputs.
    """
    kinds = (np.dtype(dtype).kind for dtype in (problem.dtype, problem.kernel_dtype or problem.dtype))
    real_products = math.prod(2 if kind == "c" else 1 for kind in kinds)
    taps = outputs * math.prod(problem.kernel) * problem.channels // problem.groups
    return 2 * real_products * taps // math.prod(each(problem, problem.upsample))


def affordable(problem: Problem, result: np.ndarray, rate: float) -> bool:
    """Whether a peer that sums about so many products a second, in each channel of x, is worth asking."""
    taps = math.prod(problem.kernel) / math.prod(each(problem, problem.upsample))
    return result.size * taps <= PATIENCE * rate


def has_mode(problem: Problem) -> bool:
    """Whether the padding is one of the modes of ``numpy.convolve`` and ``scipy.signal``."""
    if problem.padding not in ("valid", "same", "full"):
        return False
    if problem.padding != "valid" and problem.boundary != "constant":
        return False
    even = any(extent % 2 == 0 for extent in extents(problem))
    return not (even and problem.padding == "same" and problem.convention == "correlation")


def is_filter(problem: Problem, kind: str) -> bool:
    """Whether this is what libraries call a Gaussian or box filter: a centred kernel without gaps."""
    odd = all(n % 2 for n in problem.kernel)
    return problem.kind == kind and odd and extents(problem) == problem.kernel


def convolution_weights(problem: Problem, kernel: np.ndarray) -> np.ndarray:
    """The kernel as convolution reads it, with zeros between its taps where the problem is dilated."""
    weights = np.zeros(extents(problem), kernel.dtype)
    weights[tuple(slice(None, None, step) for step in each(problem, problem.dilation))] = kernel
    return np.flip(weights) if problem.convention == "correlation" else weights


def pads(problem: Problem) -> Pairs:
    """Samples added before and after each spatial axis."""
    if problem.padding == "same":
        longer = tuple((extent // 2, (extent - 1) // 2) for extent in extents(problem))
        return longer if problem.convention == "convolution" else tuple((a, b) for b, a in longer)
    if isinstance(problem.padding, str):
        return tuple((e - 1, e - 1) if problem.padding == "full" else (0, 0) for e in extents(problem))
    entries: tuple[int | tuple[int, int], ...] = each(problem, problem.padding)
    return tuple((entry, entry) if isinstance(entry, int) else entry for entry in entries)


def centre(problem: Problem) -> Ints:
    """The tap that "same" padding puts on the output's own sample, as correlation counts them."""
    return tuple(before for before, _ in pads(replace(problem, padding="same")))


def finish(problem: Problem, y: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Take the stride's samples, and the type asked for."""
    sampled = last_axes(slice(None, None, step) for step in each(problem, problem.stride))
    return y[sampled].astype(result.dtype, copy=False)


def finish_same(problem: Problem, same: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Finish a "same" result: for "valid" padding, take the part that needs no samples from outside."""
    if problem.padding == "valid":
        sizes = zip(same.shape[-len(problem.kernel) :], centre(problem), extents(problem), strict=True)
        same = same[last_axes(slice(c, n - (extent - 1 - c)) for n, c, extent in sizes)]
    return finish(problem, same, result)


def last_axes(slices: Iterable[slice]) -> tuple[Any, ...]:
    """The index that takes these slices of the last axes."""
    return (..., *slices)
