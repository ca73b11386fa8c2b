"""Tensors of torch and arrays of JAX in the CPU's memory: one in gives one of its kind out."""

import sys
from typing import Any

import numpy as np

from ..plan import convolve
from ..problem import dtypes
from ..problem.options import Options


def convolve_tensors(x: Any, kernel: Any, out: Any, options: Options, library: str) -> Any:
    """Convolve a tensor of a library, or into one.

    Nothing is copied but what JAX copies, because nobody may write to its arrays.
    """
    if library == "jax" and options.dtype is None:  # JAX has no types of 64 bits where they are switched off
        result_type = dtypes.default_result(np.asarray(x).dtype, np.asarray(kernel).dtype)
        options = options._replace(dtype=sys.modules["jax"].dtypes.canonicalize_dtype(result_type))
    target = np.asarray(out) if library_of(out) == "torch" else out
    result = convolve(x, kernel, target, options)
    if out is not None:
        return out
    return sys.modules["torch"].from_numpy(result) if library == "torch" else sys.modules["jax"].numpy.asarray(result)


def library_of(value: Any) -> str | None:
    """Return "torch" for a tensor of torch, "jax" for an array of JAX, else None; neither library is imported."""
    for kind in type(value).__mro__:
        if kind.__name__ == "Tensor" and kind.__module__ == "torch":
            return "torch"
        if kind.__name__.endswith("Array") and kind.__module__ == "jax":
            return "jax"
    return None
