"""How a gradient by dot products is cut: tiles of outputs, and the lines that are multiplied at once."""

from collections.abc import Mapping
from itertools import product
from math import prod

import numpy as np

from ..jit.machine import VECTOR_REGISTERS, VECTORS_MULTIPLIED
from ..methods import tuning
from ..methods.tiling.layout import round_up, window_length
from ..problem.canonical import Problem

_FEW_TAPS = 64  # of all channels, for which dot products of lines take less time than to turn y


def tile_shape(problem: Problem, filters: int, most: int) -> list[int]:
    """Return the outputs of a tile along each axis, at most so many.

    All of y is used for each few lines of the window: y fits the second cache, a window is a few times as large.
    """
    axes, last, shape = problem.axes, len(problem.axes) - 1, [axis.outputs for axis in problem.axes]
    largest = tuning.TUNING.window_bytes // np.dtype(problem.working).itemsize

    def is_small() -> bool:
        read = [window_length(axis, n) for axis, n in zip(axes, shape, strict=True)]
        amid = prod(-(-n // len(axis.reading.phases())) for axis, n in zip(axes, read, strict=True))  # places of y
        is_near = filters * amid <= largest and problem.in_channels * prod(read) <= tuning.TUNING.rolling * largest
        return is_near and prod(shape) <= most

    def halo(a: int) -> float:  # what half the outputs would read twice, and what a line costs
        return (axes[a].extent - 1 + (tuning.TUNING.line_price if a == last else 0)) / (axes[a].stride * shape[a])

    while not is_small() and prod(shape) > 1:
        a = min((a for a in range(last + 1) if shape[a] > 1), key=halo)
        shape[a] = -(-shape[a] // 2)
    return shape


def suits_filters(filters: int, taps: int, lanes: int) -> bool:
    """Return whether vectors of filters pay: few of their lanes are empty, and taps are worth turning y for."""
    return taps > _FEW_TAPS and 4 * filters > 3 * round_up(filters, lanes)


def block_of_filters(filters: int, taps: int, lanes: int) -> tuple[int, int]:
    """Return of how many taps, and vectors of filters, the products are summed in registers in the fewest cycles."""
    choices = []
    for rows, vectors in product(range(1, VECTOR_REGISTERS), range(1, VECTOR_REGISTERS)):
        if rows * vectors + vectors < VECTOR_REGISTERS:
            blocks = -(-taps // rows) * -(-filters // (vectors * lanes))
            cycles = max(rows * vectors / VECTORS_MULTIPLIED, (rows + vectors + 1) / 2, 4) + 0.5
            choices.append((blocks * cycles, -vectors, rows, vectors))
    return min(choices)[2:]


def block_of(problem: Problem, filters: int, shifts: Mapping[int, float]) -> tuple[int, int, int, int, int]:
    """Return how many lines of y and how many taps are multiplied at once, in registers, in the fewest cycles.

    The lines belong to several filters, or that of one is shifted along one of the axes ``shifts``: then each
    multiplies what a tap reads by the outputs that the tap ``step`` further on joins to it, and a line is longer by the
    share that ``shifts`` has for one such tap. Return the filters, the shifted lines of one, the taps, the axis and the
    step.
    """
    choices, taps = [], problem.in_channels * problem.taps
    for lines, columns in product(range(1, 7), range(1, 13)):
        for axis, shifted in [(0, 1), *((a, lines) for a in shifts)]:
            step, own = columns if shifted > 1 and axis == len(problem.axes) - 1 else 1, problem.axes[axis].taps
            bases = step * (own // (shifted * step)) + min(step, own % (shifted * step))
            blocks = -(-filters * shifted // lines) * -(-taps // own * bases // columns)
            if (lines + 1) * columns < VECTOR_REGISTERS:
                cycles = lines * columns / 2 + 0.4 * (lines + columns)
                longer = 1 + shifts.get(axis, 0) * (shifted - 1) * step
                choices.append((blocks * cycles * longer, lines // shifted, shifted, columns, axis, step))
    return min(choices)[1:]
