"""Lines in parts: the outputs inside x, which tiles read in place, and those of either end.

Where x is padded, the windows at the ends of each line are gathered. A register tile along the line would compute a
whole block there for a few outputs. As problems of their own the ends are cut in the way that suits them: their vectors
lie along another axis, or many short lines run as one.
"""

from dataclasses import replace
from math import prod
from typing import NamedTuple

from ...problem.canonical import Problem
from .. import tuning
from .layout import best
from .likeness import representative, turned

_MOST_LINES = 16  # that an output reads, at most: more, far apart, wait for memory longer than gathering takes
_CROWDED = 2048  # bytes: lines that lie a multiple of it apart compete for few sets of a cache: each is read again


class Part(NamedTuple):
    """The problem of some outputs of each line, and how many bytes behind the first output they begin."""

    problem: Problem
    offset: int


@tuning.remembered(256)
def parted(problem: Problem) -> tuple[tuple[Part, ...], float]:
    """Return the parts of a turned problem's lines, and their estimated cycles; none where they save no time."""
    *others, last = problem.axes
    is_plain = problem.reads_inside and problem.stores_inside and not (problem.is_upsampled or problem.depthwise)
    if not (is_plain and others and tuning.is_far(problem)):
        return (), 0
    first, end = last.inside
    spans = [(low, high) for low, high in ((first, end), (0, first), (end, last.outputs)) if low < high]
    is_crowded = prod([axis.taps for axis in others]) > _MOST_LINES or problem.x_steps[-2] % _CROWDED == 0
    if is_crowded or first >= end or len(spans) == 1:
        return (), 0
    parts = tuple([_part(problem, *span) for span in spans])
    (layout, cycles), *ends = [best(representative(turned(own))) for own, _ in parts]
    cycles += sum(cost for _, cost in ends) + tuning.TUNING.part_cycles * len(parts)
    return (parts, cycles) if layout.way.inside and cycles < best(representative(problem))[1] else ((), 0)


def _part(problem: Problem, first: int, end: int) -> Part:
    axes = (*problem.axes[:-1], problem.axes[-1].part(first, end))
    return Part(replace(problem, axes=axes), first * problem.out_steps[-1])
