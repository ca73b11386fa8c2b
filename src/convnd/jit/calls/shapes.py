"""The register tiles of calls from compiled code: one for any kernel along rows, along long lines, along short ones."""

from __future__ import annotations

from ..machine import VECTOR_REGISTERS

LINE, ROWS, LONG = range(3)
SHARED_ROWS = 6
ROW_VECTORS = LONG_VECTORS = (VECTOR_REGISTERS - 1) // (SHARED_ROWS + 1)
LINE_VECTORS = 4
#: Every run of rows that a tap can feed, in the order of `taps.run_number`.
ALL_RUNS = tuple((first, end) for first in range(SHARED_ROWS) for end in range(first + 1, SHARED_ROWS + 1))
RUNS = len(ALL_RUNS)
