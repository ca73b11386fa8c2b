"""The boundary modes: one table of the samples that stand outside the array.

Each mode maps a position ``i`` outside ``0..n-1`` to the position whose sample stands there, as in `numpy.pad`, for any
amount of padding: `input_index`, which is compiled for tiles. Each end of an axis has a mode of its own, which maps the
positions beyond that end as if both ends had it.
"""

from collections.abc import Mapping

OUTSIDE = -1  #: the index where the fill value stands

#: The modes, each with the names that other libraries give it; the position of a mode in the table is its code.
MODES = {
    "constant": ("zeros", "zero", "fill", "grid-constant", "BORDER_CONSTANT", "constant_values"),
    "edge": ("nearest", "replicate", "BORDER_REPLICATE", "clamp", "border", "extend"),
    "reflect": ("mirror", "reflect101", "reflect_101", "BORDER_REFLECT_101", "BORDER_REFLECT101"),
    "symmetric": ("symm", "half-symmetric", "BORDER_REFLECT", "grid-mirror"),
    "wrap": ("circular", "grid-wrap", "periodic", "BORDER_WRAP", "circ"),
}
CONSTANT, EDGE, REFLECT, SYMMETRIC, WRAP, *_ = range(len(MODES))  # some methods have a case for each

Ends = tuple[int, int]  # the codes of the modes before and after an axis
FILLED: Ends = (CONSTANT, CONSTANT)


def input_index(position: int, length: int, unit: int, before: int, after: int) -> int:
    """Return the index that supplies a position inside ``0..length-1`` or outside, `OUTSIDE` for the fill value.

    ``before`` and ``after`` are the modes of both ends; ``unit`` neighbouring positions move together.
    """
    if 0 <= position < length:
        return position
    boundary = before if position < 0 else after
    if boundary == CONSTANT:
        return OUTSIDE
    index, count = position // unit, length // unit
    if boundary == EDGE:
        index = 0 if index < 0 else count - 1
    elif boundary == WRAP or count == 1:
        index %= count
    else:
        repeated = 1 if boundary == SYMMETRIC else 0  # whether the outermost sample is mirrored too
        period = 2 * (count - 1 + repeated)
        index %= period
        index = min(index, period - repeated - index)
    return index * unit + position % unit


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
