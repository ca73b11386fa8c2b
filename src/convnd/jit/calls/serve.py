"""The C functions that calls from compiled code reach: they check, lay out and run."""

from functools import lru_cache

from ..compile import function, within_compilation
from ..gather import gather
from ..intrinsics.scaling import scale_of
from ..kernels import convolve_tiles
from ..lines import compile_largest
from ..tiles import run_rows, run_tile
from .build import run_part
from .check import check
from .layout import lay_out_part
from .parts import lay_out_parts, run_parts
from .symbols import LAY_OUT_PARTS, TABLE


@lru_cache(maxsize=1)
def load() -> None:
    """Compile the C functions, or load them from the cache, and put their addresses into the table."""
    with within_compilation():
        plain = gather, run_tile, run_rows, convolve_tiles, check, lay_out_part, run_part
        scales = [scale_of(working) for working in ("float32", "float64")]
        TABLE[:LAY_OUT_PARTS] = [*[function(own) for own in plain], *scales]


@lru_cache(maxsize=1)
def load_parts() -> None:
    """Compile or load the C functions of calls that have parts, and put their addresses into the table."""
    with within_compilation():
        searches = [compile_largest(working, counts_nan=False) for working in ("float32", "float64")]
        TABLE[LAY_OUT_PARTS:] = [*[function(own) for own in (lay_out_parts, run_parts)], *searches]
