"""A pass of sums along one axis over a tile, moving or folded ones, in the place of the register tile's.

Along the last axis, lines are transposed block by block: lanes of vectors are then neighbouring lines.
"""

from numba import njit

from .. import tables as t
from ..compile import HELPER
from ..gather import ROWS_AHEAD, arrays
from ..index import advance, start, total
from ..intrinsics.memory import ask_for, call, passed, run
from ..tiles import carried


@njit(**HELPER)
def _sum_along(source, step, target, target_step, first, outputs, blocks, job, table, memory, ends):
    """Sum along an axis, for lines of so many blocks: for each phase of the taps, and period by period."""
    spacing, taps, period = table[job + t.ROW_SPACING], table[job + t.SUM_TAPS], table[job + t.SUM_PERIOD]
    weight = table[job + t.WEIGHTS] + memory[t.WEIGHTS_BEHIND * table[job + t.RANK]]
    for phase in range(min(spacing, outputs)):
        place, end = phase, (first + phase) // spacing % period  # lines of the first period that are behind
        while place < outputs:
            left = period - end
            count = min(left, -((place - outputs) // spacing))
            run(
                table[job + t.TILE_FUNCTION],
                (
                    source + place * step, spacing * step, target + place * target_step, spacing * target_step,
                    count, left, taps, blocks, weight, ends,
                ),
            )  # fmt: skip
            place, end = place + count * spacing, 0


@njit(**HELPER)
def _sum_lines(source, target, pitch, job, table, memory, ends, results):
    """Sum along an axis that is not the last."""
    rank, along = table[job + t.RANK], table[job + t.SUM_AXIS]
    axis, last = table[job + t.AXES] + along * t.AXIS_COLUMNS, table[job + t.AXES] + (rank - 1) * t.AXIS_COLUMNS
    first, outputs = memory[t.ORIGIN * rank + along], memory[t.CARRIED * rank + along]
    out_step, block, item = table[last + t.OUT_STEP], table[job + t.BLOCK], table[job + t.ITEM]
    done, length, power = 0, memory[t.CARRIED * rank + rank - 1], memory[t.EXPONENT * rank]
    while done < length:
        size = length - done
        write, step = target, table[axis + t.OUT_STEP]
        writes_out = table[job + t.WRITES_OUT] != 0 and size >= block and power == 0
        if writes_out:
            size = size // block * block
        else:
            size = min(size, table[job + t.PIECES] * block)
            write, step = results, -(-size // block) * block * item
        _sum_along(
            source, table[axis + pitch], write, step, first, outputs, -(-size // block), job, table, memory, ends
        )
        if power != 0:
            run(table[job + t.SCALE], (results, outputs * step, -power, ends))
        if not writes_out:
            for k in range(outputs):
                to = target + k * table[axis + t.OUT_STEP]
                beside = table[job + t.FILLS] + table[job + t.BESIDE_FILLS]
                call(table[job + t.WRITE], (results + k * step, to, size, out_step, beside))
        source += size * item
        target += size * out_step
        done += size


@njit(**HELPER)
def _sum_rows(source, target, row_step, out_row, rows, job, table, memory, ends, columns):
    """Sum along the last axis, for neighbouring lines of so many rows, piece by piece."""
    rank, lanes, item = table[job + t.RANK], table[job + t.LANES], table[job + t.ITEM]
    last = table[job + t.AXES] + (rank - 1) * t.AXIS_COLUMNS
    outputs, frame = memory[t.CARRIED * rank + rank - 1], table[job + t.ROWS] * item
    turn, first, out_step = table[job + t.TRANSPOSE], memory[t.ORIGIN * rank + rank - 1], table[last + t.OUT_STEP]
    writes_out = table[job + t.WRITES_OUT] != 0 and memory[t.EXPONENT * rank] == 0
    for done in range(0, outputs, table[job + t.PIECES] * lanes):
        count = min(table[job + t.PIECES] * lanes, outputs - done)
        squares, out_squares = -(-(count + table[last + t.REACH]) // lanes), -(-count // lanes)
        for row in range(0, table[job + t.ROWS], lanes):
            lines = source + row * row_step + done * item
            run(turn, (lines, row_step, lanes * item, columns + row * item, frame, lanes * frame, squares))
        _sum_along(columns, frame, columns, frame, first + done, count, 1, job, table, memory, ends)
        results = columns + squares * lanes * frame
        for row in range(0, rows, lanes):
            lines, write = min(lanes, rows - row), target + row * out_row + done * out_step
            whole = count // lanes if writes_out and lines == lanes else 0  # squares that are turned into their place
            turned = columns + row * item
            run(turn, (turned, frame, lanes * frame, write, out_row, lanes * item, whole))
            if whole * lanes < count:
                turned += whole * lanes * frame
                pitch = out_squares * lanes * item
                run(turn, (turned, frame, lanes * frame, results, pitch, lanes * item, out_squares - whole))
                _store_lines(results, pitch, write, out_row, lines, whole * lanes, count, job, table, memory, ends)


@njit(**HELPER)
def _store_lines(results, pitch, target, out_row, lines, done, outputs, job, table, memory, ends):
    """Write the results of neighbouring lines, but for the first outputs, which are ``done``."""
    rank, lanes = table[job + t.RANK], table[job + t.LANES]
    out_step = table[table[job + t.AXES] + (rank - 1) * t.AXIS_COLUMNS + t.OUT_STEP]
    beside = table[job + t.FILLS] + table[job + t.BESIDE_FILLS]
    if memory[t.EXPONENT * rank] != 0:
        run(table[job + t.SCALE], (results, lanes * pitch, -memory[t.EXPONENT * rank], ends))
    for line in range(lines):
        write = target + line * out_row + done * out_step
        if line + ROWS_AHEAD < lines:
            ask_for(write + ROWS_AHEAD * out_row, (outputs - done) * abs(out_step))
        call(table[job + t.WRITE], (results + line * pitch, write, outputs - done, out_step, beside))


def sum_tile(arguments):
    """Sum along an axis over a tile, and store the results: a C function with the arguments of `tiles.run_tile`."""
    table_address, memory_address, job, group, _, samples, reads_x, results, out = passed(arguments, 9)
    table, memory = arrays(table_address, memory_address)
    rank, axes, along = table[job + t.RANK], table[job + t.AXES], table[job + t.SUM_AXIS]
    pitch = t.PITCH if reads_x == 0 else t.X_STEP
    out += table[table[job + t.OUT_CHANNELS] + group * table[job + t.GROUP_FILTERS]]
    row_axis = rank - 2 if along == rank - 1 else -1
    for a in range(rank):
        outputs = carried(memory[t.OUTPUTS * rank + a], axes + a * t.AXIS_COLUMNS, table)
        memory[t.CARRIED * rank + a] = outputs
        if a == row_axis:
            outputs = -(-outputs // table[job + t.ROWS])
        memory[t.STARTS * rank + a] = 1 if a in (along, rank - 1) else outputs
    ends, beside = results, results + table[job + t.SUM_ENDS]
    start(memory, t.PLACE, rank)
    for _ in range(total(memory, t.STARTS, rank)):
        source, target, rows, row_step, out_row = samples, out, 1, 0, 0
        for a in range(rank):
            axis, here = axes + a * t.AXIS_COLUMNS, memory[t.PLACE * rank + a]
            if a == row_axis:
                here *= table[job + t.ROWS]
                rows = min(table[job + t.ROWS], memory[t.CARRIED * rank + a] - here)
                row_step, out_row = table[axis + pitch], table[axis + t.OUT_STEP]
            source += here * table[axis + pitch]
            target += here * table[axis + t.OUT_STEP]
        if along == rank - 1:
            _sum_rows(source, target, row_step, out_row, rows, job, table, memory, ends, beside)
        else:
            _sum_lines(source, target, pitch, job, table, memory, ends, beside)
        advance(memory, t.STARTS, t.PLACE, rank)
