"""Lines in parts: the outputs inside x, which tiles read in place, and those of either end.

Where x is padded, the windows at the ends of each line are gathered. A register tile along the line would compute a
whole block there for a few outputs. As problems of their own the ends are cut in the way that suits them: their vectors
lie along another axis, or many short lines run as one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ...jit import tables as t
from ...problem.canonical import Problem
from .. import tuning
from .layout import best
from .likeness import representative, turned
from .tables import Columns

_MOST_LINES = 16  # that an output reads, at most: more, far apart, wait for memory longer than gathering takes
_CROWDED = 2048  # bytes: lines that lie a multiple of it apart compete for few sets of a cache: each is read again


class Part(NamedTuple):
    """The problem of some outputs of each line, and how many bytes behind the first output they begin."""

    problem: Problem
    offset: int


@dataclass(frozen=True)
class PartedPlan:
    """Plans of the parts of all lines, most outputs first, and how many bytes behind the first output they begin."""

    parts: tuple[Any, ...]
    offsets: tuple[int, ...]

    def __getattr__(self, name: str) -> Any:
        """Return what the plan of most outputs says of itself."""
        return getattr(self.parts[0], name)

    @property
    def flops(self) -> int:
        """Operations of a call."""
        return sum(own.flops for own in self.parts)

    @property
    def weight_bytes(self) -> int:
        """Bytes that the packed weights take, of each part its own."""
        return sum(own.weight_bytes for own in self.parts)

    def describe(self) -> list[str]:
        """Say what runs."""
        ends = sum(own.problem.outputs for own in self.parts[1:])
        return [*self.parts[0].describe(), f"ends      {ends} outputs that read beyond lines, by themselves"]

    def calls(self, weights: Sequence[Any], out: np.ndarray) -> Iterator[tuple[Any, Any, Columns]]:
        """Yield the plan of each part, its weights, and the columns that say where it writes."""
        for own, packed, offset in zip(self.parts, weights, self.offsets, strict=True):
            yield own, packed, {t.OUT: out.ctypes.data + offset}


def lines_in_parts(problem: Problem) -> tuple[Part, ...]:
    """Return the parts of a problem's lines, the one inside x first, or none: x is not padded, or not read in place."""
    *others, last = problem.axes
    is_plain = problem.reads_inside and problem.stores_inside and not (problem.is_upsampled or problem.depthwise)
    if not (is_plain and others) or problem.x_steps[-2] % _CROWDED == 0:
        return ()
    first, end = last.inside
    spans = [(low, high) for low, high in ((first, end), (0, first), (end, last.outputs)) if low < high]
    return tuple([_part(problem, *span) for span in spans]) if first < end and len(spans) > 1 else ()


@tuning.remembered(256)
def parted(problem: Problem) -> tuple[tuple[Part, ...], float]:
    """Return the parts of a turned problem's lines, and their estimated cycles; none where they save no time."""
    parts = lines_in_parts(problem) if tuning.is_far(problem) else ()
    if not parts or prod([axis.taps for axis in problem.axes[:-1]]) > _MOST_LINES:
        return (), 0
    (layout, cycles), *ends = [best(representative(turned(own))) for own, _ in parts]
    cycles += sum(cost for _, cost in ends) + tuning.TUNING.part_cycles * len(parts)
    return (parts, cycles) if layout.way.inside and cycles < best(representative(problem))[1] else ((), 0)


def _part(problem: Problem, first: int, end: int) -> Part:
    axes = (*problem.axes[:-1], problem.axes[-1].part(first, end))
    return Part(replace(problem, axes=axes), first * problem.out_steps[-1])
