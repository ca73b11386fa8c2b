"""The columns of a call from compiled code: an array of int64 on the caller's stack.

It begins with the columns of a job (`tables`), and is copied to where the table of that job is built. The caller writes
what it asks for; `check`, `canonical` and `layout` write what that means, `build` reads it. Whatever is changed here
changes the interface of functions that users' caches keep: `symbols.INTERFACE` counts up with it.
"""

from .. import tables as t
from ..machine import VECTOR_REGISTERS

# Written by the caller, with a job's ``X``, ``OUT``, ``STORED``, ``AXES`` and what is the same in all calls.
(
    # axes of x, of the kernel; spatial axes; groups; numbers of the call
    X_RANK, KERNEL_RANK, SPATIAL, GROUPS, CALL_SIZE,
    # whether there are channels, on which axis of x; whether the kernel is a bank; whether axes are given
    HAS_CHANNEL, CHANNEL, IS_BANK, HAS_AXES,
    # whether the kernel is flipped; what `PADDING` means: given numbers, "same" or "full"
    IS_FLIPPED, PADDING,
    # what `METHOD` means: direct, separable where that is faster, or separable
    METHOD,
    # address of the kernel; planes of x and of the kernel (2 where they are complex); bytes of the kernel's and of the
    # result's real parts, and of a result with both
    KERNEL, X_PLANES, KERNEL_PLANES, KERNEL_STORED, RESULT, RESULT_BYTES,
    # the fill value's real and imaginary part, as bits of float64, or as a whole number where `IS_WHOLE`
    FILL, FILL_IMAG, IS_WHOLE,
    # the largest magnitude that x can have where whole numbers choose what they are computed in, as bits of float64; or
    # that results of a first pass may have, as bits of their type
    LARGEST,
    # how many `WAY_COLUMNS` there are: the types that the sums may be computed in
    WAYS,
    # memory that the caller gave, as many bytes as `BYTES` asked for
    MEMORY,
    # Written by `check`: what is wrong, the axis that the result does not have, whether channels come first
    STATUS, DROPPED, CHANNELS_FIRST,
    # Written by `branches`: whether nothing is summed
    IS_EMPTY,
    # Written by `passes`: how many there are, 0 where x is summed directly; outputs of a slab; bytes of a buffer, and
    # of the lines and what finds them
    PASSES, SLAB, BUFFER_BYTES, LINES_BYTES,
    # Written by `canonical`: planes that are groups, or channels; the steps of channels; the kernel's first sample
    GROUP_PLANES, SUMMED_PLANES, X_CHANNEL_STEP, OUT_CHANNEL_STEP, KERNEL_CHANNEL_STEP, FILTER_STEP, KERNEL_FIRST,
    # Written by `layout`: the way; the axis along which the register tile's rows share taps, or -1, and the taps from
    # one row to the next; whether out overlaps x or the kernel; bytes of memory; the taps of all rows; how often their
    # groups repeat, and into how many parts sums are divided, at most
    WAY, SHARED, LAG, OVERLAPS, BYTES, TAPS, STEPS, PARTS,
    # where each thing begins in memory, in numbers of 8 bytes
    BEGINS_AT, POSITIONS_AT, PLACES_AT, ORDER_AT, BOUNDS_AT, PARTS_AT, OFFSETS_AT, SOURCE_AT, SUMS_AT, WORKER_AT,
    SCRATCH_AT,
    HEAD,
) = range(t.JOB_COLUMNS, t.JOB_COLUMNS + 59)  # fmt: skip

# Of a type that sums may be computed in, behind the head. The addresses are of C functions that the caller holds: lines
# of x, several at once where x has this type; lines of the kernel and of results; the register tiles; lines of what the
# caller neither reads nor writes.
(
    CODE, ITEM, LANES, READ_X, READ_AT_ONCE, READ_KERNEL, WRITE, WRITE_NEAR, READS_NATIVE, STORES_NATIVE,
    LINE_TILE, ROWS_TILE, LONG_TILE, READ_WORKING, WRITE_WORKING, WAY_COLUMNS,
) = range(16)  # fmt: skip
FLOAT32, FLOAT64, INT64 = range(3)
MOST_WAYS = 3

# Behind those, rows: of axis ``i`` of x, of the kernel and of the result, and of spatial axis ``i``.
(
    X_LENGTH, X_STEP, KERNEL_LENGTH, KERNEL_STEP, OUT_LENGTH, OUT_STEP, AXIS, STRIDE, DILATION, UPSAMPLE, BEFORE, AFTER,
    MODE_BEFORE, MODE_AFTER, ORDER, ROW_COLUMNS,
) = range(16)  # fmt: skip

GIVEN, SAME, FULL = range(3)  # what padding is
DIRECT, AUTO, SEPARABLE = range(3)  # what the method is

ROWS_BEGIN = HEAD + MOST_WAYS * WAY_COLUMNS

# The register tiles: one for any kernel along rows, one along long lines, one along short ones.
SHARED_ROWS = 4
ROW_VECTORS = LONG_VECTORS = min(4, (VECTOR_REGISTERS - 1) // (SHARED_ROWS + 1))
LINE_VECTORS = 4
#: Every run of rows that a tap can feed, in the order of `taps.run_number`.
ALL_RUNS = tuple((first, end) for first in range(SHARED_ROWS) for end in range(first + 1, SHARED_ROWS + 1))
RUN_COUNT = len(ALL_RUNS)


def size(rank: int) -> int:
    """Return the numbers of a call with an ``x`` of so many axes, whose canonical form's axes are the last.

    Behind them as many more describe a part of the call.
    """
    return ROWS_BEGIN + (rank + 2) * (ROW_COLUMNS + t.AXIS_COLUMNS)
