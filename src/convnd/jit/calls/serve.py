"""The C function that calls from compiled code reach: it checks, lays out and runs."""

from __future__ import annotations

from functools import lru_cache

from ..compile import function, within_compilation
from ..gather import gather
from ..intrinsics.memory import call, indices_at
from ..kernels import convolve_directly
from ..tiles import run_rows, run_tile
from . import columns as c
from .build import build
from .canonical import canonicalize
from .check import check
from .layout import lay_out
from .symbols import GATHER, RUN_TASKS, SERVE, TABLE

CHECK, LAY_OUT, RUN = range(3)  # what the C function is asked to do


def _serve(columns, functions, wanted):
    """Check, lay out or run the call whose columns lie at an address."""
    d = indices_at(columns)
    if wanted == CHECK:
        d[c.STATUS] = check(d)
    elif wanted == LAY_OUT:
        canonicalize(d)
        lay_out(columns)
    else:
        table = build(d, indices_at(functions))
        arguments = table, table + 8 * d[c.WORKER_AT], table + 8 * d[c.SCRATCH_AT]
        call(indices_at(functions)[RUN_TASKS], arguments)


@lru_cache(maxsize=1)
def load() -> None:
    """Compile the C functions, or load them from the cache, and put them into the table."""
    with within_compilation():
        serve, *others = (function(own) for own in (_serve, gather, run_tile, run_rows, convolve_directly))
    TABLE[GATHER:] = others
    TABLE[SERVE] = serve
