"""What stands outside the array: one table of boundary modes.

Each mode maps a position ``i`` outside ``0..n-1`` to the position that supplies its value, as ``numpy.pad``
does for any amount of padding. The maps are compiled with the routines that gather tiles.
"""

from __future__ import annotations

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


def suggestion(name: str) -> str | None:
    """Return our name of another library's boundary mode, or None where there is none."""
    for mode, others in MODES.items():
        if name.lower() == mode or name.lower() in (other.lower() for other in others):
            return mode
    return None
