"""The passes that transform a line: radices, lengths, twiddles, and the order in which frequencies come out."""

from bisect import bisect_left
from functools import lru_cache
from itertools import product

import numpy as np

RADICES = (8, 5, 4, 3, 2)
LONGEST = 2**26  # of fast lengths


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


@lru_cache(maxsize=1)
def _fast_lengths() -> list[int]:
    """Return the lengths that are products of 2, 3 and 5."""
    powers = [[p**k for k in range(27) if p**k <= LONGEST] for p in (2, 3, 5)]
    return sorted(n for n in (a * b * c for a, b, c in product(*powers)) if n <= LONGEST)


def fast_length(least: int, multiple: int = 1) -> int:
    """Return the least fast length, a multiple of ``multiple``, that is not below ``least``."""
    lengths = _fast_lengths()
    return multiple * lengths[bisect_left(lengths, -(-least // multiple))]


def twiddle_table(radix: int, span: int, dtype: str, folded: bool = False) -> np.ndarray:
    """Return the complex numbers that a pass multiplies by, as pairs: for each ``j`` the twiddles of results 1 on.

    Before them stand, for the first pass of a folded line, what shifts the frequencies of its samples by a quarter.
    """
    within = np.arange(span)[:, None]
    quarters = within * (4 * np.arange(1, radix))
    if folded:
        quarters = np.concatenate([-within - span * np.arange(radix), quarters], axis=1)
    return roots(quarters, radix * span).astype(dtype)


def roots(quarters: np.ndarray, length: int) -> np.ndarray:
    """Return ``exp(-2 pi i q / (4 N))`` of whole numbers ``q``, as pairs.

    Angles are at most an eighth of a turn, so that cosines and sines are all but rounded once; quarters are exact.
    """
    angles = quarters / length
    whole = np.rint(angles, out=angles).astype(np.int64)  # quarters of a turn
    angles *= length
    angles -= quarters
    angles *= np.pi / 2 / length
    found = np.empty(quarters.shape, np.complex128)
    np.cos(angles, out=found.real)
    np.sin(angles, out=found.imag)
    found *= np.array([1, -1j, -1, 1j])[whole & 3]
    return found.view(np.float64).reshape(*quarters.shape, 2)


def frequencies(length: int) -> np.ndarray:
    """Return the frequency that each place of a transformed line holds."""
    order, weight = np.zeros(1, np.int64), 1
    for radix in factors(length):
        order = (order[:, None] + weight * np.arange(radix)).ravel()
        weight *= radix
    return order
