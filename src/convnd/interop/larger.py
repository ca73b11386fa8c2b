"""Arrays that no memory holds: the public call that gives control of how they are cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..problem.messages import shown
from ..problem.options import options_of
from .blockwise import convolve_blockwise
from .elsewhere import MAX_MEMORY, bytes_of, reporting


def blockwise(
    x: Any,
    kernel: Any,
    out: Any,
    *,
    max_memory: int | str = MAX_MEMORY,
    progress: bool | Callable[[int, int], object] | None = None,
    resume: bool = False,
    **options: Any,
) -> Any:
    """Convolve an array that no memory holds, block by block.

    ``convnd(x, kernel, out=out)`` does the same with the defaults where `x` or `out` is not in memory. Blocks are whole
    chunks (or shards) of `out`. While one is computed the next is read and the last is written.

    Parameters
    ----------
    x : array_like
        Whatever has ``shape``, ``dtype`` and ``__getitem__``: an array of zarr, h5py or TensorStore, a memory map.
    kernel : array_like
        The weights.
    out : array
        Where the result goes: whatever has ``shape``, ``dtype`` and ``__setitem__``. Its dtype is the result's. It must
        not overlap `x`.
    max_memory : int or str, optional
        What blocks, the samples that they read and the convolution itself may take, in bytes or as a text such as
        "500 MB" or "2 GiB". Packages that read and write take some of their own beside it.
    progress : bool or callable, optional
        True shows a bar (tqdm); a function is called with the number of blocks done, and of all, after each.
    resume : bool, optional
        Record finished blocks in a file beside `out`, whose name ends in ".convnd", and do not compute again those that
        an interrupted run of the same job has recorded and `out` still holds. `out` must be kept in a local file or
        folder and be opened as that run left it. The record is removed when all is done.
    **options
        Those of `convnd`. The same method computes every block.

    Returns
    -------
    array
        `out`.

    Raises
    ------
    TypeError, ValueError
        As in `convnd`, and where `max_memory` does not hold a block of one chunk.

    Notes
    -----
    Whatever the blocks are, ``method="direct"`` gives the bits of a call in memory; other methods round as they do.

    Under ``nan_policy="raise"`` blocks before the first NaN have been written.

    The record protects against a process that ends at any moment, as what was handed to the operating system survives
    it. A job is told from others by shapes, types, kernel, options and blocks, not by the samples of `x`.

    Examples
    --------
    >>> import numpy as np
    >>> import convnd
    >>> x, out = np.ones((60, 50, 50), np.float32), np.empty((60, 50, 50), np.float32)
    >>> y = convnd.blockwise(x, np.ones((3, 3, 3)) / 27, out, max_memory="200 kB", padding="same", boundary="edge")
    >>> y is out, float(y.min().round(6)), float(y.max().round(6))
    (True, 1.0, 1.0)
    """
    given, most = options_of(options), bytes_of(max_memory)
    if not isinstance(resume, bool):
        raise TypeError(f"resume must be True or False, but is {shown(resume)}")
    if out is None:
        raise TypeError("out must be an array to write the result to, but is None")
    with reporting(progress) as report:
        return convolve_blockwise(x, kernel, out, given, most, report, resume)
