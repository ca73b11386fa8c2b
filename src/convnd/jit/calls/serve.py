"""The C function that calls from compiled code reach: it checks, lays out and runs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

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
from .symbols import GATHER, SERVE, TABLE

CHECK, LAY_OUT, RUN = range(3)  # what the C function is asked to do


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
    TABLE[GATHER:] = [own.address for own in functions[1:]]
    TABLE[SERVE] = functions[0].address
    return functions
