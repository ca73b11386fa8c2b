"""What methods that transform windows share: transformed filters, and tiles that the direct method has to do."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ...jit import tables as t
from ...jit.compile import function
from ...problem.canonical import Problem
from ...problem.dtypes import bits
from ..tiling.tables import Columns, Tasks


class Transformed(NamedTuple):
    """A kernel, its transformed filters, and the bits of the magnitudes between which samples must lie.

    The filters were transformed times 2 to a ``power``.
    """

    kernel: np.ndarray
    filters: np.ndarray
    least: int
    most: int
    power: int = 0


@dataclass(frozen=True)
class TransformPlan:
    """All of a problem that does not depend on the arrays' contents and addresses, laid out for compiled code."""

    problem: Problem
    layout: Any  # the method's
    working: str
    workers: int
    tasks: Tasks
    filter_tasks: Tasks
    flops: int  # of a call, the filters' transforms not counted
    weight_bytes: int  # that the transformed filters take
    text: list[str]

    def describe(self) -> list[str]:
        """Say what runs."""
        return self.text

    def kernel_columns(self, weights: Transformed, fills: np.ndarray) -> list[Columns]:
        """Return the columns of each job that depend on the kernel's values or on the fill values."""
        power = {t.FILTER_POWER: weights.power} if weights.power else {}  # by the FFT, whose tables have the column
        return [{t.WEIGHTS: weights.filters.ctypes.data, t.LEAST: weights.least, t.MOST: weights.most, **power}]

    def __call__(
        self, x: np.ndarray, weights: Transformed, fills: np.ndarray, out: np.ndarray, workers: int | None,
        columns: Columns | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Convolve ``x`` into ``out`` by the parameters of `DirectPlan`; return which tiles are left."""
        table = self.tasks.table
        flags = np.zeros(int(table[t.TASKS] // table[t.GROUP_TASKS]), np.int64)
        own: Columns = {t.X: x, t.OUT: out, t.FILLS: fills.astype(self.working), t.FLAGS: flags}
        own = {**own, **self.kernel_columns(weights, fills)[0], **(columns or {})}
        self.tasks.run(own, workers, self.workers)
        return flags


def tasks_of(
    tasks: Tasks, convolve: Callable[..., None], transform: Callable[..., None], filters: int
) -> tuple[Tasks, Tasks]:
    """Return the tasks of tiles and those of so many filters, whose C functions read one table."""
    filter_table = tasks.table.copy()
    tasks.table[t.RUN_TASKS] = function(convolve)
    filter_table[t.RUN_TASKS], filter_table[t.TASKS] = function(transform), filters
    return tasks, replace(tasks, table=filter_table, begins=(range(filters + 1),))


def bits_between(least: float, most: float, working: str) -> tuple[int, int]:
    """Return the bits of the least and the most magnitude of samples; where there is none between, of no sample."""
    return (bits(least, working), bits(most, working)) if least <= most < np.inf else (1, 0)
