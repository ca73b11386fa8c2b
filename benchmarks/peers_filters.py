"""Peers that filter signals, images and volumes: one kernel for everything, no channels."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numba
import numpy as np

from convnd.problem_text import Problem, gaussian_sigma
from geometry import (
    Call,
    affordable,
    centre,
    convolution_weights,
    extents,
    finish,
    finish_same,
    has_mode,
    is_filter,
    is_upsampled,
    pads,
)

__all__ = ["APPROXIMATELY", "dask_calls", "numpy_calls", "opencv_calls", "scipy_calls", "simpleitk_calls"]

APPROXIMATELY = "≈ "  # begins the names of functions whose kernel or borders are not quite those asked for

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
ITK_BOUNDARIES = {"constant": "ZERO_PAD", "edge": "ZERO_FLUX_NEUMANN_PAD", "wrap": "PERIODIC_PAD"}


def numpy_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """``numpy.convolve``: one signal, not shorter than the kernel."""
    if x.ndim > 1 or problem.channel_axis is not None or result.dtype.kind not in "fc" or not has_mode(problem):
        return {}
    weights, mode = convolution_weights(problem, kernel), str(problem.padding)
    if weights.size > x.size or not affordable(problem, result, 5e9):
        return {}
    return {"numpy.convolve": lambda: finish(problem, np.convolve(x, weights, mode), result)}  # type: ignore[call-overload]


def scipy_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """``scipy.signal`` by FFT, on an x padded by NumPy where it does not know the borders; ``scipy.ndimage``.

    Upsampled signals by ``scipy.signal.upfirdn``.
    """
    from scipy import ndimage

    if problem.channel_axis is not None:
        return {}
    if is_upsampled(problem):
        return _upfirdn(problem, x, kernel, result)
    calls = _by_fft(problem, x, kernel, result) if result.dtype.kind in "fc" else {}
    arguments = _ndimage_arguments(problem, x, kernel, result)
    output = np.empty(x.shape, result.dtype) if problem.out else result.dtype

    def call(function: Callable[..., np.ndarray], keywords: dict[str, Any]) -> Call:
        return lambda: finish_same(problem, function(x, output=output, **keywords), result)

    for name, keywords in arguments.items():
        calls[f"ndimage.{name}"] = call(getattr(ndimage, name), keywords)
    return calls


def _upfirdn(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    from scipy import signal

    whole = problem.padding == "full" and problem.boundary == "constant"
    if kernel.ndim != 1 or not whole or result.dtype.kind not in "fc" or not affordable(problem, result, 5e8):
        return {}
    weights, (up,), (down,) = convolution_weights(problem, kernel), problem.upsample, problem.stride
    return {"scipy.upfirdn": lambda: signal.upfirdn(weights, x, up, down).astype(result.dtype, copy=False)}


def _by_fft(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    from scipy import fft, signal

    batch, work = x.ndim - kernel.ndim, np.result_type(x, kernel)
    weights = convolution_weights(problem, kernel)[(None,) * batch]
    mode = problem.padding if has_mode(problem) else "valid"
    widths = None if mode == problem.padding else [(0, 0)] * batch + list(pads(problem))

    def call(function: Callable[..., np.ndarray]) -> np.ndarray:
        samples = x.astype(work, copy=False)
        if widths:
            samples = np.pad(samples, widths, problem.boundary)
        with fft.set_workers(numba.get_num_threads()):
            return finish(problem, function(samples, weights, mode, axes=problem.spatial), result)

    return {
        "scipy.fftconvolve": lambda: call(signal.fftconvolve),
        "scipy.oaconvolve": lambda: call(signal.oaconvolve),
    }


def _ndimage_arguments(
    problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray
) -> dict[str, dict[str, Any]]:
    """The functions of ``scipy.ndimage`` that can do it, and their arguments; the same in ``dask_image``."""
    arguments: dict[str, dict[str, Any]] = {}
    if problem.padding not in ("valid", "same") or np.float16 in (x.dtype, result.dtype):
        return arguments
    batch, mode = x.ndim - kernel.ndim, NDIMAGE_MODES[problem.boundary]
    weights = convolution_weights(problem, kernel)[(None,) * batch]
    truncates = result.dtype.kind in "iu" and not np.array_equal(weights, np.rint(weights))
    if affordable(problem, result, 1e9) and not truncates:
        origin = [0] * batch + [c - n // 2 for c, n in zip(centre(problem), extents(problem), strict=True)]
        correlated = np.flip(weights).conj()  # it conjugates them
        arguments["correlate"] = {"weights": correlated, "mode": mode, "origin": origin}
    if is_filter(problem, "gaussian") and not truncates:
        sigmas = [0.0] * batch + [gaussian_sigma(n) for n in problem.kernel]
        arguments["gaussian_filter"] = {"sigma": sigmas, "mode": mode, "truncate": 4}
    if is_filter(problem, "box") and not truncates:
        arguments["uniform_filter"] = {"size": [1] * batch + list(problem.kernel), "mode": mode}
    return arguments


def dask_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """``dask_image.ndfilters``: ``scipy.ndimage`` on as many parts of the first axis as there are threads."""
    if problem.channel_axis is not None or result.dtype != x.dtype or x.dtype.kind == "c":
        return {}
    if problem.boundary == "wrap":  # its parts would wrap around, not x
        return {}
    array, filters = import_module("dask.array"), import_module("dask_image.ndfilters")
    threads = numba.get_num_threads()
    parts = array.from_array(x, chunks=(-(-len(x) // threads), *x.shape[1:]))

    def call(function: Callable[..., Any], keywords: dict[str, Any]) -> Call:
        def compute() -> np.ndarray:
            filtered = function(parts, **keywords).compute(scheduler="threads", num_workers=threads)
            return finish_same(problem, filtered, result)

        return compute

    arguments = _ndimage_arguments(problem, x, kernel, result)
    return {f"dask_image.{name}": call(getattr(filters, name), keywords) for name, keywords in arguments.items()}


def opencv_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """``cv2.filter2D`` and what knows its kernel by name: an image of one channel.

    A signal could pass for an image of one row; nobody's sound does.
    """
    import cv2

    known = problem.boundary in CV2_BORDERS and result.dtype.name in CV2_RESULTS.get(problem.dtype, ())
    if not known or problem.padding not in ("valid", "same") or problem.channel_axis is not None:
        return {}
    if problem.fortran or x.ndim != 2:
        return {}
    window = (1,) * (2 - kernel.ndim)
    depth, border = getattr(cv2, CV2_DEPTHS[result.dtype.name]), getattr(cv2, CV2_BORDERS[problem.boundary])
    weights = np.flip(convolution_weights(problem, kernel)).reshape(window + extents(problem))
    weights = weights.astype("float64" if result.dtype == "float64" else "float32")
    size = weights.shape[::-1]  # OpenCV's order: columns, rows
    anchor = ((0,) * len(window) + centre(problem))[::-1]
    buffer = np.empty(x.shape, result.dtype) if problem.out else None

    def call(function: Callable[..., np.ndarray], *arguments: Any, **keywords: Any) -> Call:
        def filtered() -> np.ndarray:
            y = function(x, *arguments, dst=buffer, borderType=border, **keywords)
            return finish_same(problem, y, result)

        return filtered

    calls = {"cv2.filter2D": call(cv2.filter2D, depth, weights, anchor=anchor)}
    if problem.kind == "sobel" and weights.shape == kernel.shape in ((3, 3), (5, 5), (7, 7)):
        calls["cv2.Sobel"] = call(cv2.Sobel, depth, 1, 0, ksize=len(weights))
    if is_filter(problem, "gaussian") and result.dtype == x.dtype:
        sigma_x, sigma_y = map(gaussian_sigma, size)
        calls["cv2.GaussianBlur"] = call(cv2.GaussianBlur, size, sigmaX=sigma_x, sigmaY=sigma_y)
    if is_filter(problem, "box") and result.dtype == x.dtype:
        calls["cv2.blur"] = call(cv2.blur, size)
    return calls


def simpleitk_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """SimpleITK's convolutions, and its smoothing filters, which have borders and Gaussians of their own."""
    if problem.channel_axis is not None or not x.ndim == kernel.ndim in (2, 3):
        return {}
    floating = problem.dtype in ("float32", "float64") and x.dtype == kernel.dtype == result.dtype
    if not floating or problem.padding not in ("valid", "same"):
        return {}
    itk = import_module("SimpleITK")
    image = itk.GetImageFromArray(x)

    latest: list[Any] = [None]  # a view does not keep its image alive

    def call(function: Callable[..., Any], *arguments: Any) -> Call:
        def filtered() -> np.ndarray:
            latest[0] = function(image, *arguments)
            return finish_same(problem, itk.GetArrayViewFromImage(latest[0]), result)

        return filtered

    calls: dict[str, Call] = {}
    centred = centre(problem) == tuple((n - 1) // 2 for n in extents(problem))
    if centred and problem.boundary in ITK_BOUNDARIES:
        weights = itk.GetImageFromArray(convolution_weights(problem, kernel))
        boundary = getattr(itk.ConvolutionImageFilter, ITK_BOUNDARIES[problem.boundary])
        arguments = (weights, False, boundary, itk.ConvolutionImageFilter.SAME)
        calls["sitk.FFTConvolution"] = call(itk.FFTConvolution, *arguments)
        if affordable(problem, result, 4e8):
            calls["sitk.Convolution"] = call(itk.Convolution, *arguments)
    for name, smoothing in _itk_smoothing(problem, result).items():
        calls[f"{APPROXIMATELY}sitk.{name}"] = call(getattr(itk, name), *smoothing)
    return calls


def _itk_smoothing(problem: Problem, result: np.ndarray) -> dict[str, tuple[Any, ...]]:
    """ITK's filters for Gaussian and box kernels, and their arguments, where borders are not everything."""
    if any(n <= 2 * extent for n, extent in zip(result.shape, extents(problem), strict=True)):
        return {}
    lengths = problem.kernel[::-1]  # ITK's order
    sigmas = [gaussian_sigma(n) for n in lengths]
    if is_filter(problem, "gaussian") and min(sigmas) >= 2.5:  # smaller ones are visibly not the same
        variances, error = [sigma**2 for sigma in sigmas], 0.01  # the error of its sum that is its default
        return {
            "DiscreteGaussian": (variances, max(lengths), error, False),
            "SmoothingRecursiveGaussian": (sigmas, False),
        }
    return {"BoxMean": ([n // 2 for n in lengths],)} if is_filter(problem, "box") else {}
