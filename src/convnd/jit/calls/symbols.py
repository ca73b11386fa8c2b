"""The named symbol by which calls from compiled code find the C functions that they reach.

A user's compiled function is kept on disk by Numba and loaded in other processes, where no address of today holds. It
asks LLVM for a symbol by name, the address of `TABLE`, in which it finds the C functions. A name that is not there
ends the process, so it is there from the import on, with every one that was ever released. The C functions come when
`serve.load` is called: by the import of the module that holds what the overload compiles, `interop.njit_call_1`. Numba
imports that module before it loads what was compiled from it. What few calls need is `parts_1`'s.

With another interface those modules' names change too, and in their places stay modules whose import raises an
`OSError`: Numba takes that for a missing file and compiles the user's function anew. Where Numba did not, the former
symbol's empty table would make callers raise an error.
"""

import llvmlite.binding as llvm
import numpy as np

INTERFACE = 1  #: of `columns`: the number in the symbol's name
SYMBOL = f"convnd_calls_{INTERFACE}"
(
    GATHER, RUN_TILE, RUN_LINE, RUN_TASKS, CHECK, LAY_OUT, RUN, SCALE_SINGLE, SCALE_DOUBLE, LAY_OUT_PARTS, RUN_PARTS,
    LARGEST_SINGLE, LARGEST_DOUBLE, FUNCTIONS,
) = range(14)  # fmt: skip

TABLE = np.zeros(FUNCTIONS, np.int64)
#: Tables of interfaces that were released before: no function is in them, and callers raise an error.
_FORMER = {f"convnd_calls_{number}": np.zeros(FUNCTIONS, np.int64) for number in range(1, INTERFACE)}


def register() -> None:
    """Give LLVM the addresses of the tables of this interface and of those before it."""
    for name, table in {**_FORMER, SYMBOL: TABLE}.items():
        llvm.add_symbol(name, table.ctypes.data)
