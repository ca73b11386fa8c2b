"""The passes that transform a line: their radices, their twiddles, and the order in which frequencies come out."""

from __future__ import annotations

import numpy as np

RADICES = (8, 5, 4, 3, 2)


def factors(length: int) -> tuple[int, ...]:
    """Return the radices of the passes that transform ``length`` samples, or none where 2, 3 and 5 do not divide it."""
    found: list[int] = []
    for radix in RADICES:
        while length % radix == 0:
            length //= radix
            found.append(radix)
    if length > 1:
        return ()
    if 8 in found and 2 in found:  # 8 * 2 = 4 * 4: fewer butterflies of 2
        found.remove(8)
        found.remove(2)
        found += [4, 4]
    return tuple(sorted(found, reverse=True))


def twiddle_table(radix: int, span: int, dtype: str) -> np.ndarray:
    """Return the twiddles of a pass, (span, radix - 1) complex numbers as pairs."""
    j, s = np.arange(span)[:, None], np.arange(1, radix)
    angle = -2 * np.pi * (j * s % (radix * span)) / (radix * span)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(dtype)


def frequencies(length: int) -> np.ndarray:
    """Return the frequency that each place of a transformed line holds."""
    order, weight = np.zeros(1, np.int64), 1
    for radix in factors(length):
        order = (order[:, None] + weight * np.arange(radix)).ravel()
        weight *= radix
    return order
