"""Tiles that a method leaves, because it cannot keep what is promised there, are summed directly."""

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from ..jit import tables as t
from ..jit.lines import compile_marking_writer, compile_reader
from ..problem.canonical import Kernel, Problem
from ..problem.dtypes import is_integer
from . import direct
from .separable.factors import Factor, structure
from .separable.plan import plan as separable_plan
from .sparse import SearchedPlan
from .tiling.ends import PartedPlan
from .tiling.tables import Columns, distinct
from .transforms import fft
from .transforms.transform import TransformPlan
from .transforms.windows import layout_of, prepared

_FEW = 1 / 8  #: of the tiles, up to which their direct sums take less time than all tiles once more
_SHORT = 128  #: taps of all axes, up to which NaN is found axis by axis


def run(
    own: Any, x: np.ndarray, weights: Any, fills: np.ndarray, out: np.ndarray, workers: int | None,
    columns: Columns | None = None,
) -> None:  # fmt: skip
    """Run a method's plan on arrays, then direct sums of the tiles that it leaves, by the parameters of `DirectPlan`.

    Where many tiles have NaN, it counts as 0 at first. Another convolution tells then which windows hold NaN.
    """
    if isinstance(own, PartedPlan):
        for part, packed, place in own.calls(weights, out):
            run(part, x, packed, fills, out, workers, place)
        return
    columns = columns or {}
    flags = own(x, weights, fills, out, workers, columns=columns)
    if flags is None or not flags.any():
        return
    problem, many = own.problem, np.count_nonzero(flags) > _FEW * len(flags)
    marks = many and isinstance(own, (TransformPlan, SearchedPlan)) and _marks(problem, workers)
    if marks:
        reader = compile_reader(problem.stored, own.working, "zero")
        reading = {**columns, t.READ: reader, t.READ_LINES: 0}
        flags = own(x, weights, fills, out, workers, reading)
    tiles = distinct(np.flatnonzero(flags) // problem.groups)
    if len(tiles):
        plan = direct.plan(replace(problem, pattern=b"", keeps_kernel=True))
        packed = plan.prepare(weights.kernel, workers)
        # Results that are added to out must not be added again in the tiles that are done.
        one_by_one = problem.updates or 2 * len(tiles) < prod(own.tasks.grid)
        for region in [own.tasks.region(int(tile)) for tile in tiles] if one_by_one else [None]:
            plan(x, packed, fills, out, workers, region, columns)
    if marks:
        marking, ones = marks
        write = compile_marking_writer(marking.problem.working, problem.result)
        own_fills = np.isnan(fills).astype(marking.problem.working)
        marking(x, ones, own_fills, out, workers, {**columns, t.WRITE: write})


def _marks(problem: Problem, workers: int | None) -> tuple[Any, Any] | None:
    """Return the plan that writes NaN to the outputs of a problem whose windows hold it, and its weights, or None."""
    if problem.nan != "kept" or problem.updates or problem.in_channels > 1 or is_integer(np.dtype(problem.stored)):
        return None  # whole numbers hold no NaN: where tiles of them are left, a weight or the fill value is not finite
    alone = replace(problem, pattern=b"", nan="alone", kernel_order=())
    axes = [a for a, axis in enumerate(problem.axes) if axis.taps > 1]
    box = [Factor((a,), np.ones((1, 1, problem.axes[a].taps)), (p - 1, 0)) for p, a in enumerate(axes)]
    box[-1:] = [replace(box[-1], channel=filter_) for filter_ in range(problem.out_channels)]
    ones = np.ones((problem.groups, problem.out_channels, problem.taps))
    if 1 in (problem.groups, problem.out_channels) and sum(axis.taps for axis in problem.axes) <= _SHORT:
        own = separable_plan(alone, structure(box))
        return own, own.prepare(ones, box)
    alone = replace(alone, working="float64", accumulated="float64")  # errors stay far below 1
    return fft.prepare(alone, Kernel(ones), (), workers) if layout_of(prepared(alone)) else None
