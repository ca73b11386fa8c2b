"""Kernels of many zeros: direct sums leave their taps out.

A zero makes NaN of NaN and infinity: tiles of floating samples that hold any are left to all taps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..jit import tables as t
from ..problem.canonical import Problem
from ..problem.dtypes import bits
from . import direct, tuning
from .tiling.likeness import representative, turned
from .tiling.tables import Columns

_MOST = 0.5  #: of the weights, that may count: sums of neighbouring outputs share what they read for all taps
_CLEARLY = 0.9  #: of the time of all taps, that the others may take


def without_zeros(problem: Problem, kernel: np.ndarray) -> Problem:
    """Return a problem that leaves out the taps at which a canonical kernel is zero, where that saves time."""
    most = _MOST * kernel.shape[-1]
    if problem.is_upsampled or np.count_nonzero(kernel[0, 0]) > most:  # most kernels need no look at all filters
        return problem
    counts = np.asarray(kernel.any(axis=(0, 1)))
    if not 0 < np.count_nonzero(counts) <= most:
        return problem
    sparse = replace(problem, pattern=counts.tobytes())
    all_taps, fewer = (direct.estimate(representative(own), ()) for own in (problem, sparse))
    return sparse if all_taps >= tuning.TUNING.looking_ms and fewer < _CLEARLY * all_taps else problem


class Sparse(NamedTuple):
    """A canonical kernel, and the weights that count as the register tile reads them."""

    kernel: np.ndarray
    packed: np.ndarray


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


def prepare(problem: Problem, kernel: np.ndarray, workers: int | None) -> tuple[Any, Any]:
    """Return the direct plan of a problem, and its kernel ready for it."""
    own = direct.plan(turned(without_zeros(problem, kernel)))
    packed = own.prepare(kernel, workers)
    if own.problem.is_searched:
        return SearchedPlan(own, own.problem.working), Sparse(kernel, packed)
    return own, packed
