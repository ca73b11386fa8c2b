"""What other libraries are asked to do for a problem: a call for each of their functions that can do it.

A call returns what ``convnd`` returns, all of it, borders included. It does what a user would have to do each
time: kernels are flipped, spread (dilation) and converted beforehand, x is not. Where a library has arrays of its
own (torch, jax, SimpleITK, dask), x is one of them. Calls that would take seconds are left out.
"""

import os
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec

import numpy as np

from convnd.problem_text import Problem
from geometry import PATIENCE, Call, channels_first, extents, is_for_peers, is_upsampled, last_axes
from peers_filters import APPROXIMATELY, dask_calls, numpy_calls, opencv_calls, scipy_calls, simpleitk_calls
from peers_layers import jax_calls, torch_calls

__all__ = ["APPROXIMATELY", "METHOD", "MODULES", "PEERS", "agreeing", "installed", "set_threads"]

PEERS = {
    "numpy": numpy_calls,
    "scipy": scipy_calls,
    "opencv": opencv_calls,
    "torch": torch_calls,
    "jax": jax_calls,
    "simpleitk": simpleitk_calls,
    "dask": dask_calls,
}
MODULES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "opencv": "cv2",
    "torch": "torch",
    "jax": "jax",
    "simpleitk": "SimpleITK",
    "dask": "dask_image",
}
UPSAMPLING = ("scipy", "torch", "jax")  # those that put zeros between samples
LOOSE = 0.05  # of the result's root mean square

METHOD = f"""\
A peer is timed where its whole result, borders included, agrees with ours. Those marked {APPROXIMATELY.strip()} have a
kernel or borders of their own: away from the borders they differ by less than {LOOSE:.0%} of the result (root mean
squares). All have x in their own kind of array beforehand, and as many threads as we do, as far as they can use
them. Sums that would take a peer some {PATIENCE} s are left out."""


def installed(names: Iterable[str]) -> list[str]:
    """Those of the libraries that are here."""
    return [name for name in names if find_spec(MODULES[name])]


def set_threads(threads: int) -> None:
    """Let the peers use as many threads as we do; SciPy and dask are told at each call."""
    os.environ["NPROC"] = str(threads)  # read by jax when it starts
    if find_spec("torch"):
        import_module("torch").set_num_threads(threads)
    if find_spec("cv2"):
        import_module("cv2").setNumThreads(threads)
    if find_spec("SimpleITK"):
        import_module("SimpleITK").ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def agreeing(
    names: Iterable[str], problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray
) -> tuple[dict[str, Call], dict[str, str]]:
    """Give the libraries' calls that compute ``result``, and what is wrong with the others. Each has run once."""
    calls: dict[str, Call] = {}
    if not is_for_peers(problem):
        return calls, {}
    for name in names:
        if is_upsampled(problem) and name not in UPSAMPLING:
            continue
        calls |= PEERS[name](problem, x, kernel, result)
    allowed = tolerance(problem, x, kernel, result)
    wrong = {}
    for name, call in calls.items():
        loose = name.startswith(APPROXIMATELY)
        wrong[name] = loose_difference(problem, call(), result) if loose else difference(call(), result, allowed)
    rejected = {name: words for name, words in wrong.items() if words}
    return {name: call for name, call in calls.items() if name not in rejected}, rejected


def tolerance(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> float:
    """Say how much a peer's result may differ from ours.

    Integers: 1, as a sum half way between two of them may be rounded either way. Floating: 64 roundings of
    the largest sum that the weights of one filter allow.
    """
    if result.dtype.kind in "iu":
        return 1.0
    bank_axis = None if problem.filters is None else 0 if channels_first(problem) else kernel.ndim - 1
    taps = tuple(axis for axis in range(kernel.ndim) if axis != bank_axis)
    largest = float(np.abs(kernel).sum(axis=taps).max()) * float(np.abs(x).max())
    types = (result.dtype, np.result_type(x, kernel))
    return 64 * largest * max(float(np.finfo(dtype).eps) for dtype in types if dtype.kind in "fc")


def difference(theirs: np.ndarray, ours: np.ndarray, allowed: float) -> str:
    """Say how a peer's result differs from ours; empty where it does not."""
    if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
        return f"gives {theirs.dtype} {theirs.shape}, not {ours.dtype} {ours.shape}"
    error = np.abs(np.subtract(theirs, ours, dtype=np.result_type(ours, np.float64))).max(initial=0)
    return "" if error <= allowed else f"differs by {error:.2g}, more than {allowed:.2g}"


def loose_difference(problem: Problem, theirs: np.ndarray, ours: np.ndarray) -> str:
    """Say where a result that need only be like ours is not, a kernel's width away from the borders."""
    inner = last_axes(slice(extent, -extent) for extent in extents(problem))
    error = np.sqrt(np.mean((theirs[inner] - ours[inner]) ** 2) / np.mean(ours[inner] ** 2))
    return "" if error <= LOOSE else f"differs by {error:.0%} (root mean squares), more than {LOOSE:.0%}"
