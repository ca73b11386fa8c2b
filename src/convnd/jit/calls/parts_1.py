"""What is compiled into users' functions for calls that have parts. It is loaded as `interop.njit_call_1` is."""

from numba import njit

from . import serve, symbols

serve.load_parts()


@njit
def steps_of_parts():
    """Return which C functions lay a call out and run it."""
    return symbols.LAY_OUT_PARTS, symbols.RUN_PARTS
