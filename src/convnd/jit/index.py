"""The index scheme: which sample of the input an output and a tap read, along one axis of any rank; multi-indices."""

from numba import njit

from ..problem import boundary
from .compile import HELPER, OPTIONS


@njit(**OPTIONS)
def input_position(output, tap_position, stride, before):
    """Return ``stride * output + tap_position - before``, with ``tap_position = dilation * tap``."""
    return stride * output + tap_position - before


input_index = njit(**OPTIONS)(boundary.input_index)


@njit(**HELPER)
def start(memory, place, rank):
    """Write the first multi-index to a row of ``memory``."""
    for a in range(rank):
        memory[place * rank + a] = 0


@njit(**HELPER)
def advance(memory, counts, place, rank):
    """Write the multi-index behind one, the last running fastest; counts and place are rows of ``memory``."""
    for back in range(1, rank + 1):
        at = place * rank + rank - back
        memory[at] += 1
        if memory[at] < memory[counts * rank + rank - back]:
            return
        memory[at] = 0


@njit(**HELPER)
def total(memory, counts, rank):
    """Return the product of counts, a row of ``memory``."""
    product = 1
    for a in range(rank):
        product *= memory[counts * rank + a]
    return product
