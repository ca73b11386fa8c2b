"""The columns of a call from compiled code: an array of int64 on the caller's stack.

The caller writes what it asks for; `check`, `canonical` and `layout` write what that means, `build` reads it. Whatever
is changed here changes the interface of functions that users' caches keep: `symbols.INTERFACE` counts up with it.
"""

from __future__ import annotations

# Written by the caller.
(
    # axes of x, of the kernel; spatial axes; groups
    RANK, KERNEL_RANK, SPATIAL, GROUPS,
    # whether there are channels, on which axis of x; whether the kernel is a bank; whether axes are given
    HAS_CHANNEL, CHANNEL, IS_BANK, HAS_AXES,
    # whether the kernel is flipped; what `PADDING` means: given numbers, "same" or "full"
    IS_FLIPPED, PADDING,
    # addresses of the arrays; planes of x and of the kernel (2 where they are complex); bytes of
    # their real parts, and of a result with both
    X, KERNEL, OUT, X_PLANES, KERNEL_PLANES, STORED, KERNEL_STORED, RESULT, RESULT_BYTES,
    # the fill value's real and imaginary part, as bits of float64, or as a whole number where `IS_WHOLE`
    FILL, FILL_IMAG, IS_WHOLE,
    # bits of float64: the largest magnitude that x can have where whole numbers choose what they are computed in
    LARGEST,
    # whether results are whole numbers; whether they are rounded from a sum beyond 64 bits
    RESULT_IS_WHOLE,
    # how many `WAY_COLUMNS` there are: the types that the sums may be computed in
    WAYS,
    # memory that the caller gave, as many bytes as `BYTES` asked for
    MEMORY,
    # Written by `check`: what is wrong, the axis that the result does not have, whether channels come first
    STATUS, DROPPED, CHANNELS_FIRST,
    # Written by `canonical`: axes of the canonical form; channels; planes that are groups, or channels
    AXES, IN_CHANNELS, FILTERS, GROUP_PLANES, X_CHANNEL_STEP, OUT_CHANNEL_STEP, KERNEL_CHANNEL_STEP, FILTER_STEP,
    KERNEL_FIRST,
    # Written by `layout`: the way; the register tile, the axis that its rows share, how far apart in outputs and taps
    WAY, TILE, ROW_AXIS, SPACING, LAG, BLOCK, ROWS, INSIDE, X_LOW, X_HIGH, OVERLAPS, BYTES,
    # taps of one row and of all, groups of taps of a step, steps
    OUTER_TAPS, SHARED_TAPS, INNER_TAPS, ROW_TAPS, STEPS,
    # where each thing begins in memory, in numbers of 8 bytes
    AXES_AT, BEGINS_AT, RUNS_AT, POSITIONS_AT, CHANNELS_AT, PHASE_AT, PLACES_AT, ORDER_AT, BOUNDS_AT, OFFSETS_AT,
    SUMS_AT, KERNEL_OFFSETS_AT, WORKER_AT, NEXT_AT, WEIGHTS_AT, FILLS_AT, SCRATCH_AT,
    # bytes of a window with what is read behind it; weights of one filter, packed
    WINDOW_BYTES, FILTER_BYTES,
    HEAD,
) = range(75)  # fmt: skip

# Of a type that sums may be computed in, behind the head. The addresses are of C functions that the caller holds: lines
# of x, of the kernel and of results, and the register tiles.
(
    CODE, ITEM, LANES, READ_X, READ_KERNEL, WRITE, WRITE_NEAR, READS_NATIVE, STORES_NATIVE,
    LINE_TILE, ROWS_TILE, LONG_TILE, WAY_COLUMNS,
) = range(13)  # fmt: skip
FLOAT32, FLOAT64, INT64 = range(3)
MOST_WAYS = 3

# Behind those, rows: of axis ``i`` of x, of the kernel and of the result, and of spatial axis ``i``.
(
    X_LENGTH, X_STEP, KERNEL_LENGTH, KERNEL_STEP, OUT_LENGTH, OUT_STEP, AXIS, STRIDE, DILATION, BEFORE, AFTER,
    MODE_BEFORE, MODE_AFTER, ORDER, ROW_COLUMNS,
) = range(15)  # fmt: skip

# Behind ``RANK + 1`` rows, as many of the canonical form, the last axis innermost.
(
    OF_LENGTH, OF_TAPS, OF_STRIDE, OF_DILATION, OF_BEFORE, OF_AFTER, OF_UNIT, OF_MODE_BEFORE, OF_MODE_AFTER,
    OF_X_STEP, OF_OUT_STEP, OF_KERNEL_STEP, OF_OUTPUTS, OF_EXTENT, OF_PHASES, OF_SHAPE, OF_WINDOW,
    OF_PLACES_AT, CANONICAL_COLUMNS,
) = range(19)  # fmt: skip

GIVEN, SAME, FULL = range(3)  # what padding is

ROWS_BEGIN = HEAD + MOST_WAYS * WAY_COLUMNS


def size(rank: int) -> int:
    """Return the numbers of a call with an ``x`` of so many axes."""
    return ROWS_BEGIN + (rank + 2) * (ROW_COLUMNS + CANONICAL_COLUMNS)
