"""The C function that calls from compiled code reach, and the named symbol by which they find it.

A user's compiled function is kept on disk by Numba and loaded in other processes, where no address of today holds. It
asks LLVM for a symbol by name, the address of `_TABLE`, in which it finds the C functions. A name that is not there
ends the process, so it is there from the import on, with every one that was ever released. The C functions come when
`load` is called: by the import of the module that holds what the overload compiles, `interop.njit_call_1`. Numba
imports that module before it loads what was compiled from it.

With another interface that module's name changes too, and in its place stays a module whose import raises an `OSError`:
Numba takes that for a missing file and compiles the user's function anew. Where Numba did not, the former symbol's
empty table would make callers raise an error.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from ..compile import function, within_compilation
from ..gather import compile_gather
from ..intrinsics.memory import indices_at
from ..kernels import run_tasks
from ..tiles import compile_line, compile_tile
from . import columns as c
from .build import build
from .canonical import canonicalize
from .check import check
from .layout import lay_out

INTERFACE = 1  #: of `columns`: the number in the symbol's name
SYMBOL = f"convnd_calls_{INTERFACE}"
CHECK, LAY_OUT, RUN = range(3)  # what the C function is asked to do
SERVE, GATHER, RUN_TILE, RUN_LINE, FUNCTIONS = range(5)

_TABLE = np.zeros(FUNCTIONS, np.int64)
#: Tables of interfaces that were released before: no function is in them, and callers raise an error.
_FORMER = {f"convnd_calls_{number}": np.zeros(FUNCTIONS, np.int64) for number in range(1, INTERFACE)}


def register() -> None:
    """Give LLVM the addresses of the tables of this interface and of those before it."""
    for name, table in {**_FORMER, SYMBOL: _TABLE}.items():
        llvm.add_symbol(name, table.ctypes.data)


def _serve(call, functions, wanted):
    """Check, lay out or run the call whose columns lie at an address."""
    d = indices_at(call)
    if wanted == CHECK:
        d[c.STATUS] = check(d)
    elif wanted == LAY_OUT:
        canonicalize(d)
        lay_out(call)
    else:
        table = build(d, indices_at(functions))
        run_tasks(d[c.AXES], table, table + 8 * d[c.WORKER_AT], table + 8 * d[c.SCRATCH_AT])


@lru_cache(maxsize=1)
def load() -> Any:
    """Compile the C functions, or load them from the cache, and put them into the table."""
    with within_compilation():
        functions = function(_serve), compile_gather(), compile_tile(), compile_line(False)
    _TABLE[GATHER:] = [own.address for own in functions[1:]]
    _TABLE[SERVE] = functions[0].address
    return functions
