"""Tensors of torch and arrays of JAX in the CPU's memory: one in gives one of its kind out."""

import sys
from typing import Any

import numpy as np

from ..plan import convolve
from ..problem import dtypes
from ..problem.arguments.parse import as_array
from ..problem.options import Options
from ..problem.result import result_type


@np.errstate(all="ignore")  # results may overflow the type that JAX has
def convolve_tensors(x: Any, kernel: Any, out: Any, options: Options, library: str) -> Any:
    """Convolve a tensor of a library, or into one.

    Nothing is copied but what JAX copies, because nobody may write to its arrays.
    """
    if library == "jax" and out is None:
        own = result_type(as_array(x, "x").dtype, as_array(kernel, "kernel").dtype, options.dtype, None)
        options = for_jax(options, own)
    target = np.asarray(out) if library_of(out) == "torch" else out
    result = convolve(x, kernel, target, options)
    if out is not None:
        return out
    return sys.modules["torch"].from_numpy(result) if library == "torch" else sys.modules["jax"].numpy.asarray(result)


def for_jax(options: Options, result: np.dtype[Any]) -> Options:
    """Return options whose result has a type of JAX, which has none of 64 bits where these are switched off.

    A floating type that is asked for stays: it says how precisely to compute, and JAX rounds what comes of it.
    """
    if options.dtype is not None and not dtypes.is_integer(result):
        return options
    return options._replace(dtype=sys.modules["jax"].dtypes.canonicalize_dtype(result))


def library_of(value: Any) -> str | None:
    """Return "torch" for a tensor of torch, "jax" for an array of JAX, else None; neither library is imported."""
    for kind in type(value).__mro__:
        if kind.__name__ == "Tensor" and kind.__module__ == "torch":
            return "torch"
        if kind.__name__.endswith("Array") and kind.__module__ == "jax":
            return "jax"
    return None
