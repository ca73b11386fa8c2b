"""Arrays that are not in memory: who convolves them."""

from __future__ import annotations

from typing import Any

from . import labelled, lazy
from .arguments import Options
from .calls import convolve


def convolve_elsewhere(x: Any, kernel: Any, out: Any, options: Options) -> Any:
    """Convolve an array of a library that has its own; return None where it is none."""
    if is_a(x, "xarray", "DataArray"):
        return labelled.convolve(x, kernel, out, options, convolve_any)
    if is_a(x, "dask", "Array"):
        return lazy.convolve(x, kernel, out, options)
    return None


def convolve_any(x: Any, kernel: Any, out: Any, options: Options) -> Any:
    """Convolve any array."""
    return convolve(x, kernel, out, options, convolve_elsewhere)


def is_a(value: Any, library: str, name: str) -> bool:
    """Return whether a value is of a library's type, without importing the library."""
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == library for kind in type(value).__mro__)
