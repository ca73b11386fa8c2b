"""Compilation ahead of the calls that need it."""

from collections.abc import Iterable
from itertools import product
from typing import Any

import numpy as np

from .api import plan
from .problem.arguments.calls import explained
from .problem.arguments.messages import shown
from .problem.arguments.spatial import MOST_SPATIAL
from .problem.arguments.values import listed, whole
from .problem.request import imagined
from .problem.result import named_type

_LENGTHS = {1: 2_000_000, 2: 1_500, 3: 150}  # arrays of each rank that are large enough for all threads
_SAMPLES = 40**4  # in an array of more axes


@explained
def warmup(
    ranks: Iterable[int] = (1, 2, 3),
    dtypes: Iterable[Any] = ("float32",),
    taps: Iterable[int] = (3, 5, 9),
    methods: Iterable[str] = ("direct", "separable", "fft"),
) -> None:
    """Compile ahead what convolutions need, so that no first call waits for it.

    Compiled code is kept in the folder of Numba's disk cache, where there is one: a fresh process then loads it in
    less than half a second. The code that a call needs also depends on the sizes of its arrays. This function covers
    large arrays in C order, kernels of odd lengths and "same" padding; a plan of any other problem compiles what is
    missing.

    Parameters
    ----------
    ranks : iterable of int, optional
        Numbers of spatial axes.
    dtypes : iterable of dtype, optional
        Types of ``x``. The kernel is float32 for whole numbers and of the same type as ``x`` otherwise.
    taps : iterable of int, optional
        Lengths of the kernel along every axis.
    methods : iterable of str, optional
        Names of methods, as in `convnd`.

    Raises
    ------
    TypeError, ValueError
        Where `convnd` raises them: for unknown names, types that are not numeric and numbers out of range.

    Examples
    --------
    >>> import convnd
    >>> convnd.warmup(ranks=[1], dtypes=["float64"], taps=[5], methods=["direct"])
    """
    ranks = [whole(rank, "ranks", 1) for rank in listed(ranks, "ranks")]
    taps = [whole(length, "taps", 1) for length in listed(taps, "taps")]
    types, methods = [named_type(dtype, "dtypes") for dtype in listed(dtypes, "dtypes")], listed(methods, "methods")
    if max(ranks, default=1) > MOST_SPATIAL:
        raise ValueError(f"ranks must be at most {MOST_SPATIAL}, but are {shown(ranks)}")
    for dtype, rank, length, method in product(types, ranks, taps, methods):
        x = imagined((_LENGTHS.get(rank, max(2, int(_SAMPLES ** (1 / rank)))),) * rank, dtype)
        weight = np.full((), 0.5, dtype if dtype.kind in "fc" else np.float32)
        # Equal weights of samples of 8 bits may be summed in 16 bits, by other code than most kernels need. With a fill
        # value that is no whole number they are not.
        fill = 0.5 if dtype.kind in "biu" else 0
        plan(x, np.broadcast_to(weight, (length,) * rank), padding="same", method=method, fill_value=fill)
