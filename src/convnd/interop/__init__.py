"""Arrays of other kinds than NumPy's, arrays that memory does not hold, and streams."""

from typing import Any

import numpy as np

from ..plan import convolve
from ..problem.options import Options
from . import blockwise, dask, storage, tensors, xarray


def convolve_any(x: Any, kernel: Any, out: Any, options: Options) -> Any:
    """Convolve an array of any kind, into one of any kind."""
    if _is_a(x, "xarray", "DataArray"):
        numbered = xarray.numbered(x, kernel, options)
        return xarray.named(x, kernel, numbered, convolve_any(x.data, kernel, out, numbered))
    if _is_a(x, "dask", "Array"):
        return dask.convolve(x, kernel, out, options)
    if library := tensors.library_of(x) or tensors.library_of(out):
        return tensors.convolve_tensors(x, kernel, out, options, library)
    if storage.is_stored(x) or (not isinstance(out, np.ndarray) and storage.is_writeable(out)):
        return blockwise.convolve(x, kernel, out, options)
    return convolve(x, kernel, out, options)


def _is_a(value: Any, library: str, name: str) -> bool:
    """Return whether a value is of a library's type, without importing the library."""
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == library for kind in type(value).__mro__)
