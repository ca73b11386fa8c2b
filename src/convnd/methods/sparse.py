"""Kernels of many zeros: direct sums leave their taps out.

A zero makes NaN of NaN and infinity: tiles of floating samples that hold any are left to all taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..jit import tables as t
from ..problem.canonical import Kernel, Problem
from ..problem.dtypes import bits
from . import direct, tuning
from .separable.factors import Factor
from .tiling.tables import Columns

_MOST = 0.5  #: of the weights, that may count: sums of neighbouring outputs share what they read for all taps
_CLEARLY = 0.9  #: of the time of all taps, that the others may take


def pattern_of(like: Problem, kernel: np.ndarray) -> bytes:
    """Return which taps count, where leaving out those at which a canonical kernel is zero saves time, else nothing."""
    most = _MOST * kernel.shape[-1]
    if like.is_upsampled or np.count_nonzero(kernel[0, 0]) > most:  # most kernels need no look at all filters
        return b""
    counts = np.asarray(kernel.any(axis=(0, 1)))
    if not 0 < np.count_nonzero(counts) <= most:
        return b""
    pattern = counts.tobytes()
    all_taps, fewer = (direct.estimate(own, ()) for own in (like, replace(like, pattern=pattern)))
    return pattern if all_taps >= tuning.TUNING.looking_ms and fewer < _CLEARLY * all_taps else b""


class Sparse(NamedTuple):
    """A canonical kernel, and the weights that count as the register tile reads them."""

    kernel: np.ndarray
    packed: Any


@dataclass(frozen=True)
class SearchedPlan:
    """A direct plan whose tiles must be finite."""

    sparse: direct.DirectPlan
    working: str

    def __getattr__(self, name: str) -> Any:
        """Return what the plan of most tiles says of itself."""
        return getattr(self.sparse, name)

    def __call__(
        self, x: np.ndarray, weights: Sparse, fills: np.ndarray, out: np.ndarray, workers: int | None,
        columns: Columns | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Convolve ``x`` into ``out`` by the parameters of `DirectPlan`; return which tiles are left."""
        table = self.sparse.tasks.table
        flags = np.zeros(int(table[t.TASKS] // table[t.GROUP_TASKS]), np.int64)
        most = bits(float(np.finfo(self.working).max), self.working)
        own = {t.FLAGS: flags, t.MOST: most, **(columns or {})}
        self.sparse(x, weights.packed, fills, out, workers, columns=own)
        return flags


def prepare(
    problem: Problem, kernel: Kernel, factors: Sequence[Factor], workers: int | None
) -> tuple[Any, Any]:  # fmt: skip
    """Return the direct plan of a problem, which may leave taps out, and its kernel ready for it."""
    own, packed = direct.prepare(problem, kernel, factors, workers)
    if isinstance(own, direct.DirectPlan) and own.problem.is_searched:
        return SearchedPlan(own, own.problem.working), Sparse(kernel.weights, packed)
    return own, packed
