"""The cost model of the direct method, and the layout that it finds best."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from ..jit.intrinsics.register_tile import RegisterTile
from ..jit.machine import vector_bytes
from ..problem.canonical import Problem
from . import tuning
from .layout import Layout, frame, layouts, line_length, most_outputs, shared_axis, window_length
from .taps import Sharing, filter_blocks, shared_runs


@tuning.remembered(256)
def best(problem: Problem) -> tuple[Layout, float]:
    """Return the layout of least cost, and that cost in cycles of one core."""
    costs = ((layout, cycles(problem, layout)) for layout in layouts(problem, most_outputs(problem)))
    return min(costs, key=lambda choice: choice[1])


def best_of_tile(problem: Problem, inside: bool) -> tuple[Layout, float]:
    """Return the layout of least cost of a problem that is one tile, and the cycles of its routine.

    ``inside`` says whether the routine may read ``x`` itself, whose lines do not run as one.
    """
    outputs = tuple(axis.outputs for axis in problem.axes)
    choices = (
        replace(layout, shape=outputs)
        for layout in layouts(problem, prod(outputs))
        if not (layout.inside or (inside and layout.flat))
    )
    return min(((layout, routine_cycles(problem, layout)) for layout in choices), key=lambda choice: choice[1])


def cycles(problem: Problem, layout: Layout) -> float:
    """Estimate the cycles of one core for the whole problem."""
    routine = routine_cycles(problem, layout)
    tiles = prod(max(1.0, axis.outputs / n) for axis, n in zip(problem.axes, layout.shape, strict=True))
    lengths = [window_length(a, outputs) for a, outputs in zip(problem.axes, layout.shape, strict=True)]
    together = frame(problem, layout)
    lines = problem.groups * problem.in_channels // together * prod(lengths[:-1]) * tiles
    if not layout.inside:
        return routine + lines * gather_cycles(lengths[-1] * together)
    # The ends of lines alone, each a block; the last block of the rest is a tile's too.
    last = problem.axes[-1]
    ends = (last.before > 0) + (last.after > 0)
    share = ends * min(1.0, layout.shape[-1] / last.outputs)
    blocks = 1 + ends * layout.tile.block / max(last.outputs, layout.tile.block)
    return routine * blocks + share * lines * gather_cycles((layout.tile.block + last.extent) * together)


def gather_cycles(length: float) -> float:
    """Estimate the cycles of gathering, or storing, a line."""
    return tuning.TUNING.gather_line_cycles + tuning.TUNING.gather_cycles * length


def routine_cycles(problem: Problem, layout: Layout) -> float:
    """Estimate the cycles that one core spends in the routine.

    A core starts two multiply-adds and two loads of a vector in a cycle; a vector that crosses a cache line, as
    most do, loads twice. The other constants were fitted to timings of single tiles (AMD Zen 5, AVX-512).
    """
    tile, sharing = layout.tile, layout.sharing
    block = _block_cycles_across(problem, tile) if tile.across else _block_cycles(problem, tile, sharing)
    last = len(problem.axes) - 1
    blocks = 1.0
    for a, (along, outputs) in enumerate(zip(problem.axes, layout.shape, strict=True)):
        if a == last - layout.flat:  # the line, in as many blocks as all tiles together need
            blocks *= _pieces(along.outputs, outputs, tile.block, line_length(problem, layout))
        elif a < last - layout.flat:
            blocks *= _pieces(along.outputs, outputs, tile.rows if a == sharing.axis else 1, outputs)
    blocks *= problem.branches * filter_blocks(problem.branch_channels, sharing)
    return block * blocks * problem.groups


def _block_cycles(problem: Problem, tile: RegisterTile, sharing: Sharing) -> float:
    axis = shared_axis(problem, sharing)
    other_taps = problem.in_channels * problem.taps // (axis.taps if axis else 1)
    block: float = 12 + 2 * tile.rows * tile.vectors + 2 * len(tile.runs) * (problem.in_channels if axis else 1)
    runs = shared_runs(axis, sharing)
    # Every line of the window that the block reads comes from the second level once.
    beside = other_taps if tile.interleaved else other_taps // problem.axes[-1].taps * sum(runs.values())
    block += (1 if sharing.channels else 3) * beside * tile.vectors * (tile.rows if tile.interleaved else 1)
    for (r0, r1), count in runs.items():
        loads = (2 * tile.vectors + (r1 - r0) + 1) / 2
        block += count * other_taps * (max((r1 - r0) * tile.vectors / 2, loads) + 0.3)
    return block


def _block_cycles_across(problem: Problem, tile: RegisterTile) -> float:
    """Estimate those of a tile across channels: its weights come from the second level, its sums wait for each other.

    Spreading a sample takes a little more than a load, for its address; the results are transposed.
    """
    taps, sums = problem.in_channels * problem.taps, tile.rows * tile.vectors
    loads, weights = (1.3 * tile.rows + tile.vectors) / 2, tile.vectors * vector_bytes() / 28
    block = taps * (max(sums / 2, loads, weights, 4) + 0.7) + taps // problem.axes[-1].taps
    return block + 12 + (2 + 0.2 * tile.lanes) * sums


def _pieces(outputs: int, tile: int, size: int, length: int) -> int:
    """Return the pieces of ``size`` that cover an axis tile by tile, where a full tile is ``length`` long."""
    tile = min(tile, outputs)
    whole, rest = divmod(outputs, tile)
    return whole * -(-length // size) + -(-(rest * length) // (tile * size))
