"""Tensors of torch and arrays of JAX in the CPU's memory: one in gives one of its kind out."""

import sys
from typing import Any

import numpy as np

from ..plan import convolve
from ..problem import dtypes
from ..problem.options import Options


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor of torch or an array of JAX, without importing either."""
    return _library(value) is not None


def convolve_tensors(x: Any, kernel: Any, out: Any, options: Options) -> Any:
    """Convolve a tensor, or into one; nothing is copied but what JAX, whose arrays nobody may write to, copies."""
    library = _library(x) or _library(out)
    if library == "jax" and options.dtype is None:
        options = options._replace(dtype=_jax_type(x, kernel))
    target = np.asarray(out) if _library(out) == "torch" else out
    result = convolve(x, kernel, target, options)
    if out is not None:
        return out
    return sys.modules["torch"].from_numpy(result) if library == "torch" else sys.modules["jax"].numpy.asarray(result)


def _library(value: Any) -> str | None:
    for kind in type(value).__mro__:
        if kind.__name__ == "Tensor" and kind.__module__ == "torch":
            return "torch"
        if kind.__name__.endswith("Array") and kind.__module__ == "jax":
            return "jax"
    return None


def _jax_type(x: Any, kernel: Any) -> Any:
    """Return the type of a JAX result: with 64 bits switched off, as they are by default, JAX has none of them."""
    result = dtypes.default_result(np.asarray(x).dtype, np.asarray(kernel).dtype)
    return sys.modules["jax"].dtypes.canonicalize_dtype(result)
