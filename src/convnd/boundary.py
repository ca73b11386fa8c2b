"""What stands outside the array: one table of boundary modes.

Each mode maps a position ``i`` outside ``0..n-1`` to the position that supplies its value, as ``numpy.pad``
does for any amount of padding. The maps are compiled with the routines that gather tiles.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

OUTSIDE = -1  #: what a map returns for the fill value

#: The modes in the order of their codes, each with the names that other libraries give it.
MODES: dict[str, tuple[str, ...]] = {
    "constant": ("zeros", "zero", "fill", "grid-constant", "BORDER_CONSTANT", "constant_values"),
    "edge": ("nearest", "replicate", "BORDER_REPLICATE", "clamp", "border"),
    "reflect": ("mirror", "reflect101", "reflect_101", "BORDER_REFLECT_101", "BORDER_REFLECT101"),
    "symmetric": ("symm", "half-symmetric", "BORDER_REFLECT", "grid-mirror"),
    "wrap": ("circular", "grid-wrap", "periodic", "BORDER_WRAP", "circ"),
}
CONSTANT, EDGE, REFLECT, SYMMETRIC, WRAP = range(len(MODES))


def source_position(i: int, n: int, mode: int) -> int:
    """Return the position in ``0..n-1`` that supplies position ``i``, or `OUTSIDE` for the fill value."""
    if 0 <= i < n:
        return i
    if mode == CONSTANT:
        return OUTSIDE
    if mode == EDGE:
        return 0 if i < 0 else n - 1
    if mode == WRAP:
        return i % n
    if mode == SYMMETRIC:  # a b c | c b a: the period is 2n
        i %= 2 * n
        return i if i < n else 2 * n - 1 - i
    if n == 1:
        return 0
    i %= 2 * n - 2  # reflect, a b c | b a: the period is 2n - 2
    return i if i < n else 2 * n - 2 - i


class Run(NamedTuple):
    """Neighbouring positions that neighbouring samples supply, or one sample."""

    place: int  # of the first of them, among all that were asked for
    length: int
    source: int  # of the first of them
    step: int  # from the source of one to that of the next: 1, -1 or 0

    @property
    def span(self) -> tuple[int, int]:
        """The first of the samples that supply it, and the one behind the last."""
        last = self.source + self.step * (self.length - 1)
        return min(self.source, last), max(self.source, last) + 1


@lru_cache(maxsize=64)
def supplied(first: int, end: int, n: int, mode: int) -> tuple[Run, ...]:
    """Return what supplies the positions ``first`` to ``end``, under a mode that supplies them from samples."""
    runs: list[Run] = []
    position = first
    while position < end:
        source = source_position(position, n, mode)
        length, step = 1, 1
        if 0 <= position < n:
            length = min(end, n) - position
        elif position + 1 < end:
            step = source_position(position + 1, n, mode) - source
            step = step if abs(step) <= 1 else 1
            while position + length < end and source_position(position + length, n, mode) == source + step * length:
                length += 1
        runs.append(Run(position - first, length, source, step))
        position += length
    return tuple(runs)


def suggestion(name: str) -> str | None:
    """Return our name of another library's boundary mode, or None where there is none."""
    for mode, others in MODES.items():
        if name.lower() == mode or name.lower() in (other.lower() for other in others):
            return mode
    return None
