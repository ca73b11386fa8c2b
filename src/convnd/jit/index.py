"""The index scheme: which sample of the input an output and a tap read, along one axis of any rank."""

from numba import njit

from ..problem import boundary
from .compile import OPTIONS


@njit(**OPTIONS)
def input_position(output, tap_position, stride, before):
    """Return ``stride * output + tap_position - before``, with ``tap_position = dilation * tap``."""
    return stride * output + tap_position - before


input_index = njit(**OPTIONS)(boundary.input_index)
