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
    """Return the twiddles of a pass, (span, radix - 1) complex numbers as pairs, or (span, radix) of a folded line."""
    frequencies = np.arange(radix) if folded else np.arange(1, radix)
    return turns(np.arange(span)[:, None], frequencies, radix * span, folded).astype(dtype)


def turns(sample: np.ndarray, frequency: np.ndarray, length: int, folded: bool) -> np.ndarray:
    """Return ``exp(-2 pi i n k / N)`` of samples ``n`` and frequencies ``k``, or ``k - 1/4`` where folded, as pairs."""
    quarters = 4 * frequency - 1 if folded else 4 * frequency
    angle = -2 * np.pi * (sample * quarters % (4 * length)) / (4 * length)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def frequencies(length: int) -> np.ndarray:
    """Return the frequency that each place of a transformed line holds."""
    order, weight = np.zeros(1, np.int64), 1
    for radix in factors(length):
        order = (order[:, None] + weight * np.arange(radix)).ravel()
        weight *= radix
    return order
