"""Arrays that are not in memory: who convolves them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..plan import convolve
from ..problem.messages import shown
from ..problem.options import Options
from . import labelled, lazy
from .blockwise import Report, convolve_blockwise
from .stores import is_stored, is_writeable

MAX_MEMORY = "1 GiB"  #: that blocks may take where the user does not say
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def convolve_elsewhere(x: Any, kernel: Any, out: Any, options: Options) -> Any:
    """Convolve an array that is not in memory, or into one; return None where `x` and `out` are NumPy's matter."""
    if is_a(x, "xarray", "DataArray"):
        return labelled.convolve(x, kernel, out, options, convolve_any)
    if is_a(x, "dask", "Array"):
        return lazy.convolve(x, kernel, out, options)
    foreign_out = out is not None and not isinstance(out, np.ndarray) and is_writeable(out)
    if foreign_out or is_stored(x):
        return convolve_blockwise(x, kernel, out, options, bytes_of(MAX_MEMORY), _no_report)
    return None


def convolve_any(x: Any, kernel: Any, out: Any, options: Options) -> Any:
    """Convolve any array."""
    result = convolve_elsewhere(x, kernel, out, options)
    return convolve(x, kernel, out, options) if result is None else result


def is_a(value: Any, library: str, name: str) -> bool:
    """Return whether a value is of a library's type, without importing the library."""
    return any(kind.__name__ == name and kind.__module__.partition(".")[0] == library for kind in type(value).__mro__)


def bytes_of(memory: Any) -> int:
    """Return ``max_memory`` in bytes: a whole number of them, or a text such as "500 MB"."""
    if isinstance(memory, (int, np.integer)) and not isinstance(memory, bool):
        size = float(memory)
    elif isinstance(memory, str):
        match = re.fullmatch(r"\s*(\d+\.?\d*)\s*([kmgt]?i?)b?\s*", memory.lower())
        if match is None or match[2] not in _UNITS:
            raise ValueError(f'max_memory must be bytes or a text such as "500 MB" or "2 GiB", but is {shown(memory)}')
        size = float(match[1]) * _UNITS[match[2]]
    else:
        raise TypeError(f"max_memory must be a whole number of bytes or a text, but is {shown(memory)}")
    if size < 1:
        raise ValueError(f"max_memory must be at least a byte, but is {shown(memory)}")
    return int(size)


@contextmanager
def reporting(progress: Any) -> Iterator[Report]:
    """Give what tells a user's ``progress`` of the blocks done and of all: a bar of tqdm's for True."""
    if progress is None or progress is False:
        yield _no_report
    elif callable(progress):
        yield progress
    elif progress is True:
        from tqdm.auto import tqdm

        with tqdm(desc="convnd", unit="block") as bar:

            def show(done: int, total: int) -> None:
                if bar.total is None:  # what an earlier run has done says nothing of this one's speed
                    bar.reset(total)
                    bar.initial = bar.n = done
                bar.update(done - bar.n)

            yield show
    else:
        raise TypeError(f"progress must be True, False or callable, but is {shown(progress)}")


def _no_report(done: int, total: int) -> None:
    pass
