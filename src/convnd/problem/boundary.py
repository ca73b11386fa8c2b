"""The boundary modes: one table of the samples that stand outside the array.

Each mode maps a position ``i`` outside ``0..n-1`` to the position whose sample stands there, as in `numpy.pad`, for any
amount of padding. The maps are compiled into the code that gathers tiles. Each end of an axis has a mode of its own,
which maps the positions beyond that end as if both had it: the other end's has no part in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

OUTSIDE = -1  #: the result of a map where the fill value stands


def _constant(i: int, n: int) -> int:
    return OUTSIDE


def _edge(i: int, n: int) -> int:
    return 0 if i < 0 else n - 1


def _reflect(i: int, n: int) -> int:
    if n == 1:
        return 0
    i %= 2 * n - 2  # a b c | b a: the period
    return i if i < n else 2 * n - 2 - i


def _symmetric(i: int, n: int) -> int:
    i %= 2 * n  # a b c | c b a: the period
    return i if i < n else 2 * n - 1 - i


def _wrap(i: int, n: int) -> int:
    return i % n


class Mode(NamedTuple):
    """A boundary mode: the function that maps positions, and the names that other libraries give it."""

    source: Callable[[int, int], int]
    others: tuple[str, ...]


#: The modes; the position of a mode in the table is its code.
MODES = {
    "constant": Mode(_constant, ("zeros", "zero", "fill", "grid-constant", "BORDER_CONSTANT", "constant_values")),
    "edge": Mode(_edge, ("nearest", "replicate", "BORDER_REPLICATE", "clamp", "border", "extend")),
    "reflect": Mode(_reflect, ("mirror", "reflect101", "reflect_101", "BORDER_REFLECT_101", "BORDER_REFLECT101")),
    "symmetric": Mode(_symmetric, ("symm", "half-symmetric", "BORDER_REFLECT", "grid-mirror")),
    "wrap": Mode(_wrap, ("circular", "grid-wrap", "periodic", "BORDER_WRAP", "circ")),
}
CONSTANT, EDGE, REFLECT, SYMMETRIC, WRAP, *_ = range(len(MODES))  # some methods have a case for each
_MAPS = tuple(mode.source for mode in MODES.values())

Ends = tuple[int, int]  # the codes of the modes before and after an axis
FILLED: Ends = (CONSTANT, CONSTANT)


def source_position(i: int, n: int, ends: Ends) -> int:
    """Return the position in ``0..n-1`` whose sample stands at ``i``, or `OUTSIDE` where the fill value does."""
    return i if 0 <= i < n else _MAPS[ends[i >= 0]](i, n)


class Run(NamedTuple):
    """Neighbouring positions at which neighbouring samples stand, or one and the same sample."""

    place: int  # of the first position, counted from the first that was asked for
    length: int
    source: int  # the sample at the first position
    step: int  # from the sample at one position to the sample at the next: 1, -1 or 0

    @property
    def span(self) -> tuple[int, int]:
        """The first of these samples, and the one after the last."""
        last = self.source + self.step * (self.length - 1)
        return min(self.source, last), max(self.source, last) + 1


@lru_cache(maxsize=64)
def supplied(first: int, end: int, n: int, ends: Ends) -> tuple[Run, ...]:
    """Return the samples that stand at the positions ``first`` to ``end``, as runs. The fill value stands at none."""
    runs: list[Run] = []
    position = first
    while position < end:
        source = source_position(position, n, ends)
        length, step = 1, 1
        if 0 <= position < n:
            length = min(end, n) - position
        elif position + 1 < end:
            step = source_position(position + 1, n, ends) - source
            step = step if abs(step) <= 1 else 1
            while position + length < end and source_position(position + length, n, ends) == source + step * length:
                length += 1
        runs.append(Run(position - first, length, source, step))
        position += length
    return tuple(runs)


def picture(mode: str, samples: str = "abcd", beyond: int = 3) -> str:
    """Return a picture of what a mode puts before and after samples, ``c b a | a b c | c b a``; ``k`` is the fill."""
    n, code = len(samples), list(MODES).index(mode)
    sources = [source_position(i, n, (code, code)) for i in range(-beyond, n + beyond)]
    places = ["k" if source == OUTSIDE else samples[source] for source in sources]
    return " | ".join(" ".join(run) for run in (places[:beyond], places[beyond:-beyond], places[-beyond:]))


def described(axes: Mapping[int, Ends]) -> str:
    """Return the names of the boundaries of axes by number: one name where all have it."""
    names = list(MODES)
    if len(different := {mode for ends in axes.values() for mode in ends}) == 1:
        return names[different.pop()]
    words = [
        f"{names[first]} along axis {a}" if first == last else f"{names[first]} before and {names[last]} after axis {a}"
        for a, (first, last) in axes.items()
    ]
    return ", ".join(words)
