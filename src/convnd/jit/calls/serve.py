"""The C functions that calls from compiled code reach: they check, lay out and run."""

from __future__ import annotations

from functools import lru_cache

from .. import tables as t
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
from .symbols import GATHER, RUN_LINE, RUN_TASKS, RUN_TILE, TABLE


def _check(address, functions):
    """Check the call whose columns lie at an address."""
    d = indices_at(address)
    d[c.STATUS] = check(d)


def _lay_out(address, functions):
    """Lay out a call that has been checked."""
    d = indices_at(address)
    canonicalize(d)
    lay_out(d, address)


def _run(address, functions):
    """Run a call that is laid out, in the memory that it has been given."""
    d, own = indices_at(address), indices_at(functions)
    d[t.GATHER], d[t.RUN_TILE], d[t.RUN_LINE] = own[GATHER], own[RUN_TILE], own[RUN_LINE]
    base = build(d)
    call(own[RUN_TASKS], (base, base + 8 * d[c.WORKER_AT], base + 8 * d[c.SCRATCH_AT]))


@lru_cache(maxsize=1)
def load() -> None:
    """Compile the C functions, or load them from the cache, and put their addresses into the table."""
    with within_compilation():
        TABLE[:] = [function(own) for own in (gather, run_tile, run_rows, convolve_directly, _check, _lay_out, _run)]
