"""What is compiled into users' functions for calls that have parts. It is loaded as `interop.njit_call_1` is."""

import numpy as np
from numba import njit

from ..intrinsics.embedded import address_of, symbol_address
from ..intrinsics.memory import call, indices_at
from . import columns as c
from . import serve, symbols
from .check import MESSAGES

serve.load_parts()

_SYMBOL, _LAY_OUT, _RUN = symbols.SYMBOL, symbols.LAY_OUT_PARTS, symbols.RUN_PARTS
_STATUS, _MEMORY, _BYTES = c.STATUS, c.MEMORY, c.BYTES


@njit
def lay_out_parts(d):
    """Lay out a call whose result has memory."""
    functions = symbol_address(_SYMBOL)
    call(indices_at(functions)[_LAY_OUT], (address_of(d), functions))


@njit
def run_parts(d):
    """Run a call that is laid out."""
    functions, memory = symbol_address(_SYMBOL), np.empty(d[_BYTES], np.uint8)
    d[_MEMORY] = np.int64(memory.ctypes.data)
    call(indices_at(functions)[_RUN], (address_of(d), functions))
    d[_MEMORY] = memory.size  # the memory is there until here
    if d[_STATUS] != 0:
        raise ValueError(MESSAGES[d[_STATUS]])
