"""What other libraries are asked to do for a problem: a call for each of their functions that can do it.

A call returns what ``convnd`` returns, all of it, borders included. It does what a user would have to do each
time: kernels are flipped, spread (dilation) and converted beforehand, x is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from problem_text import Ints, Pairs, Problem

__all__ = ["MODULES", "PEERS", "Call"]

Call = Callable[[], np.ndarray]

NDIMAGE_MODES = {
    "constant": "constant",
    "edge": "nearest",
    "reflect": "mirror",
    "symmetric": "reflect",
    "wrap": "wrap",
}
CV2_BORDERS = {
    "constant": "BORDER_CONSTANT",
    "edge": "BORDER_REPLICATE",
    "reflect": "BORDER_REFLECT_101",
    "symmetric": "BORDER_REFLECT",
}
CV2_DEPTHS = {
    "uint8": "CV_8U",
    "uint16": "CV_16U",
    "int16": "CV_16S",
    "float32": "CV_32F",
    "float64": "CV_64F",
}
CV2_RESULTS = {  # of each type of x, as cv2.filter2D documents them
    "uint8": ("uint8", "int16", "float32", "float64"),
    "uint16": ("uint16", "float32", "float64"),
    "int16": ("int16", "float32", "float64"),
    "float32": ("float32",),
    "float64": ("float64",),
}
TORCH_PADS = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
UNFOLD_LIMIT = 2**31  # bytes; torch copies x once per tap for all types but float32


def numpy_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """``numpy.convolve``: one signal, not shorter than the kernel."""
    if x.ndim > 1 or not _has_mode(problem, result):
        return {}
    weights, mode = _convolution_weights(problem, kernel), str(problem.padding)
    if weights.size > x.size:
        return {}
    return {"numpy.convolve": lambda: _finish(problem, np.convolve(x, weights, mode), result)}  # type: ignore[call-overload]


def scipy_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """``scipy.signal`` by FFT, and ``scipy.ndimage.correlate``: any rank, no channels."""
    from scipy import ndimage, signal

    calls: dict[str, Call] = {}
    if problem.channel_axis is not None:
        return calls
    batch = x.ndim - kernel.ndim
    weights = _convolution_weights(problem, kernel)[(None,) * batch]
    if _has_mode(problem, result):
        work = np.result_type(x, kernel)

        def by_fft(function: Callable[..., np.ndarray]) -> np.ndarray:
            samples = x.astype(work, copy=False)
            return _finish(problem, function(samples, weights, problem.padding, axes=problem.axes), result)

        calls["scipy.fftconvolve"] = lambda: by_fft(signal.fftconvolve)
        calls["scipy.oaconvolve"] = lambda: by_fft(signal.oaconvolve)

    truncates = result.dtype.kind in "iu" and not np.array_equal(weights, np.rint(weights))
    if problem.padding in ("valid", "same") and not truncates and np.float16 not in (x.dtype, result.dtype):
        correlated, mode = np.flip(weights).conj(), NDIMAGE_MODES[problem.boundary]  # it conjugates them
        origin = [0] * batch + [c - n // 2 for c, n in zip(_centre(problem), problem.extents, strict=True)]
        output = np.empty(x.shape, result.dtype) if problem.out else result.dtype

        def correlate() -> np.ndarray:
            filtered = ndimage.correlate(x, correlated, output, mode, origin=origin)
            return _finish(problem, _inside(problem, filtered), result)

        calls["ndimage.correlate"] = correlate
    return calls


def opencv_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """``cv2.filter2D`` and, for its kernels, ``cv2.Sobel``: one image of one channel."""
    import cv2

    one_image = x.ndim == kernel.ndim == 2 and not problem.fortran
    known = problem.boundary in CV2_BORDERS and result.dtype.name in CV2_RESULTS.get(problem.dtype, ())
    if not (one_image and known) or problem.padding not in ("valid", "same"):
        return {}
    depth, border = getattr(cv2, CV2_DEPTHS[result.dtype.name]), getattr(cv2, CV2_BORDERS[problem.boundary])
    weights = np.flip(_convolution_weights(problem, kernel))
    weights = weights.astype("float64" if result.dtype == "float64" else "float32")
    anchor = _centre(problem)[::-1]
    buffer = np.empty(x.shape, result.dtype) if problem.out else None

    def filter2d() -> np.ndarray:
        filtered = cv2.filter2D(x, depth, weights, buffer, anchor, 0, border)
        return _finish(problem, _inside(problem, filtered), result)

    def sobel() -> np.ndarray:
        filtered = cv2.Sobel(x, depth, 1, 0, buffer, len(weights), borderType=border)
        return _finish(problem, _inside(problem, filtered), result)

    calls: dict[str, Call] = {"cv2.filter2D": filter2d}
    if problem.kind == "sobel" and weights.shape == kernel.shape in ((3, 3), (5, 5), (7, 7)):
        calls["cv2.Sobel"] = sobel
    return calls


def torch_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """``torch.nn.functional.conv1d`` to ``conv3d``: batch, channels and groups; floating results."""
    import torch
    from torch.nn import functional

    rank, work = len(problem.kernel), np.result_type(x, kernel)
    unfolded = 0 if work == "float32" else x.size * math.prod(problem.kernel) * work.itemsize
    if rank > 3 or problem.boundary not in TORCH_PADS or unfolded > UNFOLD_LIMIT:
        return {}
    if work.kind not in "fc" or result.dtype.kind not in "fc":
        return {}

    channel = problem.channel_axis
    batch = [a for a in range(x.ndim) if a != channel and a not in problem.axes]
    order = [*batch, *([] if channel is None else [channel]), *problem.axes]
    spatial = [x.shape[a] for a in problem.axes]
    samples = torch.from_numpy(x.transpose(order)).reshape(-1, problem.channels, *spatial)
    if channel is None:
        bank = kernel[None, None]
    elif problem.channels_first:
        bank = kernel if problem.filters else kernel[None]
    else:
        bank = np.moveaxis(kernel, (-1, -2), (0, 1)) if problem.filters else np.moveaxis(kernel, -1, 0)[None]
    if problem.convention == "convolution":
        bank = np.flip(bank, tuple(range(2, bank.ndim)))
    weights = torch.from_numpy(np.ascontiguousarray(bank, work))
    stride, dilation = problem.each(problem.stride), problem.each(problem.dilation)
    pads = _pads(problem)
    before = tuple(b for b, _ in pads)
    in_conv = problem.boundary == "constant" and pads == tuple(zip(before, before, strict=True))
    ends = [n for pair in reversed(pads) for n in pair]
    conv = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]

    def call() -> np.ndarray:
        padded = samples.to(weights.dtype)
        if not in_conv:
            padded = functional.pad(padded, ends, TORCH_PADS[problem.boundary])
        padding = before if in_conv else 0
        y = conv(padded, weights, None, stride, padding, dilation, problem.groups).numpy()
        y = y.reshape(*(x.shape[a] for a in batch), *y.shape[1 if channel is not None else 2 :])
        y = y.transpose(np.argsort(order))
        if channel is not None and not problem.filters:
            y = y.take(0, axis=channel)
        return y.astype(result.dtype, copy=False)

    return {f"torch.conv{rank}d": call}


PEERS = {"numpy": numpy_calls, "scipy": scipy_calls, "opencv": opencv_calls, "torch": torch_calls}
MODULES = {"numpy": "numpy", "scipy": "scipy", "opencv": "cv2", "torch": "torch"}


def _has_mode(problem: Problem, result: np.ndarray) -> bool:
    """Whether the problem is one of the modes of ``numpy.convolve`` and ``scipy.signal``."""
    if problem.channel_axis is not None or result.dtype.kind not in "fc":
        return False
    if problem.padding not in ("valid", "same", "full"):
        return False
    if problem.padding != "valid" and problem.boundary != "constant":
        return False
    even = any(extent % 2 == 0 for extent in problem.extents)
    return not (even and problem.padding == "same" and problem.convention == "correlation")


def _convolution_weights(problem: Problem, kernel: np.ndarray) -> np.ndarray:
    """The kernel as convolution reads it, with zeros between its taps where the problem is dilated."""
    weights = np.zeros(problem.extents, kernel.dtype)
    weights[tuple(slice(None, None, step) for step in problem.each(problem.dilation))] = kernel
    return np.flip(weights) if problem.convention == "correlation" else weights


def _pads(problem: Problem) -> Pairs:
    """Samples added before and after each spatial axis."""
    if problem.padding == "same":
        longer = tuple((extent // 2, (extent - 1) // 2) for extent in problem.extents)
        return longer if problem.convention == "convolution" else tuple((a, b) for b, a in longer)
    if isinstance(problem.padding, str):
        return tuple((e - 1, e - 1) if problem.padding == "full" else (0, 0) for e in problem.extents)
    entries: tuple[int | tuple[int, int], ...] = problem.each(problem.padding)
    return tuple((entry, entry) if isinstance(entry, int) else entry for entry in entries)


def _centre(problem: Problem) -> Ints:
    """The tap that "same" padding puts on the output's own sample, as correlation counts them."""
    return tuple(before for before, _ in _pads(replace(problem, padding="same")))


def _inside(problem: Problem, same: np.ndarray) -> np.ndarray:
    """The part of a "same" result that the problem asks for."""
    if problem.padding == "same":
        return same
    sizes = zip(same.shape[-len(problem.kernel) :], _centre(problem), problem.extents, strict=True)
    inside = [slice(c, n - (extent - 1 - c)) for n, c, extent in sizes]
    return same[(slice(None),) * (same.ndim - len(inside)) + tuple(inside)]


def _finish(problem: Problem, y: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Take the stride's samples, and the type asked for."""
    sampled = tuple(slice(None, None, step) for step in problem.each(problem.stride))
    return y[(slice(None),) * (y.ndim - len(sampled)) + sampled].astype(result.dtype, copy=False)
