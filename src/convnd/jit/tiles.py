"""The register tile run over a tile of the output: where it reads, and where its results are stored.

Where a tile's window lies inside an array that the register tile can read as it is, the tile is pointed at the array,
and nothing is gathered. These functions have no rank and no dtype: they are compiled once, as C functions whose
addresses stand in the table.
"""

from numba import njit

from . import tables as t
from .compile import HELPER
from .gather import arrays
from .index import advance, start, total
from .intrinsics.memory import call, indices_at, passed, run


@njit(**HELPER)
def carried(outputs, axis, table):
    """Return what a pass computes along an axis: outputs, or as many positions as later passes need for them."""
    return outputs if table[axis + t.KEPT] == 0 else min(table[axis + t.KEPT], outputs + table[axis + t.HALO])


@njit(**HELPER)
def window_in_x(group, table, memory):
    """Return the address of the tile's first sample in x, or 0 where the register tile reads more than lies there."""
    if table[t.READS_X] == 0:
        return 0
    rank = table[t.RANK]
    first, low, high = table[t.X], table[t.CHANNELS_LOW], table[t.CHANNELS_HIGH]
    for a in range(rank):
        axis, outputs = table[t.AXES] + a * t.AXIS_COLUMNS, memory[t.OUTPUTS * rank + a]
        stride, x_step = table[axis + t.STRIDE], table[axis + t.X_STEP]
        start = stride * memory[t.ORIGIN * rank + a] - table[axis + t.BEFORE]
        span = stride * (outputs - 1) + table[axis + t.REACH]
        if start < 0 or start + span >= table[axis + t.LENGTH]:
            return 0
        if a == table[t.ROW_AXIS]:  # the rows that do not exist are computed and dropped
            span += stride * (-outputs % (table[t.ROWS] * table[t.ROW_SPACING]))
        if a == rank - 1:  # so is what the last block has beyond the line
            span += stride * (-carried(outputs, axis, table) % table[t.BLOCK])
        first += start * x_step
        if x_step < 0:
            low += span * x_step
        else:
            high += span * x_step
    if first + low < table[t.X_LOW] or first + high > table[t.X_HIGH]:
        return 0
    return first + table[table[t.X_CHANNELS] + group * table[t.IN_CHANNELS]]


@njit(**HELPER)
def store(results, results_step, target, row_step, rows, channel, length, job, table, memory):
    """Write the rows of results that exist, line by line, as the result's dtype."""
    rank = table[job + t.RANK]
    axes, channels = table[job + t.AXES], table[job + t.OUT_CHANNELS] + channel
    out_step = table[axes + (rank - 1) * t.AXIS_COLUMNS + t.OUT_STEP]
    lines, beside = total(memory, t.LINES, rank), table[job + t.FILLS] + table[job + t.BESIDE_FILLS]
    at, near = t.LINES * rank + rank - 2, 1
    if lines > 1 and table[job + t.WRITE_LINES] != 0:  # those along the axis before the last are written at once
        near = memory[at]
        memory[at] = 1
    before = axes + (rank - 2) * t.AXIS_COLUMNS
    for row in range(rows):
        write = target + (row * row_step if table[job + t.ROW_AXIS] >= 0 else table[channels + row] - table[channels])
        if lines == 1:
            call(table[job + t.WRITE], (results + row * results_step, write, length, out_step, beside))
            continue
        start(memory, t.LINE_PLACE, rank)
        for _ in range(lines // near):
            source, to = results + row * results_step, write
            for a in range(rank - 1):
                axis, place = axes + a * t.AXIS_COLUMNS, memory[t.LINE_PLACE * rank + a]
                source += place * table[axis + t.PITCH]
                to += place * table[axis + t.OUT_STEP]
            if table[job + t.WRITE_LINES] != 0:
                pitch, step = table[before + t.PITCH], table[before + t.OUT_STEP]
                run(table[job + t.WRITE_LINES], (source, pitch, to, step, near, length))
            else:
                call(table[job + t.WRITE], (source, to, length, out_step, beside))
            advance(memory, t.LINES, t.LINE_PLACE, rank)
    if lines > 1 and table[job + t.WRITE_LINES] != 0:
        memory[at] = near


def run_rows(arguments):
    """Run the register tile along a line of several rows, block by block, and store its results."""
    (
        table_address, memory_address, job, source, step, target, row_step, rows, channel, length, offsets, bounds,
        parts, weights, ahead, results,
    ) = passed(arguments, 16)  # fmt: skip
    table, memory = arrays(table_address, memory_address)
    last = table[job + t.RANK] - 1
    out_step = table[table[job + t.AXES] + last * t.AXIS_COLUMNS + t.OUT_STEP]
    block, item = table[job + t.BLOCK], table[job + t.ITEM]
    power = memory[t.EXPONENT * (last + 1)]
    may_write = table[job + t.WRITES_OUT] != 0 and rows == table[job + t.ROWS] and power == 0
    done = 0
    while done < length:
        count = length - done
        if may_write and count < block <= length:  # the last block ends with the line: some outputs are computed twice
            done, count = length - block, block
        write, write_step = target + done * out_step, row_step
        writes_out = may_write and count >= block
        if writes_out:
            count = count // block * block
        else:
            count = min(count, table[job + t.PIECES] * block)
            write, write_step = results, -(-count // block) * block * item
        run(
            table[job + t.TILE_FUNCTION],
            (
                source + done * step, offsets, weights, bounds, parts, write, write_step, -(-count // block), ahead,
                table[job + t.X_ROW], table[job + t.LINE_TAPS],
            ),
        )  # fmt: skip
        if power != 0:
            run(table[job + t.SCALE], (results, rows * write_step, -power, memory_address))
        if not writes_out:
            line = memory[t.CARRIED * (last + 1) + last] if table[job + t.FLAT] > 0 else count
            store(results, write_step, target + done * out_step, row_step, rows, channel, line, job, table, memory)
        done += count


def run_channels(arguments):
    """Run a register tile whose lanes are output channels along a line, and store its results."""
    (
        table_address, memory_address, job, source, step, target, row_step, filters, channel, length, offsets, bounds,
        parts, weights, _, results,
    ) = passed(arguments, 16)  # fmt: skip
    table, memory = arrays(table_address, memory_address)
    out_step = table[table[job + t.AXES] + (table[job + t.RANK] - 1) * t.AXIS_COLUMNS + t.OUT_STEP]
    lanes, block, item = table[job + t.LANES], table[job + t.BLOCK], table[job + t.ITEM]
    frame = table[job + t.ROWS] * item  # the results of one output
    near = table[job + t.CHANNELS_NEAR] != 0
    power = memory[t.EXPONENT * table[job + t.RANK]]
    may_write = table[job + t.WRITES_OUT] != 0 and near and filters == table[job + t.ROWS] and power == 0
    done = 0
    while done < length:
        count = min(length - done, table[job + t.PIECES] * block)
        writes_out = may_write and count >= block
        if writes_out:
            count = count // block * block
        first, write = source + done * step, target + done * out_step
        to, to_step = (write, out_step) if writes_out else (results, frame)
        arguments = (first, offsets, weights, bounds, parts, to, to_step, -(-count // block), step * block, step, 0)
        run(table[job + t.TILE_FUNCTION], arguments)
        if power != 0:
            run(table[job + t.SCALE], (results, -(-count // block) * block * frame, -power, memory_address))
        if not writes_out and near:
            for k in range(count):
                call(
                    table[job + t.WRITE],
                    (
                        results + k * frame, write + k * out_step, filters, table[job + t.CHANNEL_STEP],
                        table[job + t.FILLS] + table[job + t.BESIDE_FILLS],
                    ),
                )  # fmt: skip
        elif not writes_out and table[job + t.WRITE_LANES] != 0:
            run(table[job + t.WRITE_LANES], (results, frame, write, table[job + t.CHANNEL_STEP], count, filters))
        elif not writes_out:
            squares = -(-table[job + t.PIECES] * block // lanes)
            columns, pitch = results + squares * lanes * frame, squares * lanes * item
            for first_lane in range(0, table[job + t.ROWS], lanes):
                run(
                    table[job + t.TRANSPOSE],
                    (
                        results + first_lane * item, frame, lanes * frame,
                        columns + first_lane * pitch, pitch, lanes * item, -(-count // lanes),
                    ),
                )  # fmt: skip
            store(columns, pitch, write, row_step, filters, channel, count, job, table, memory)
        done += count


def run_frames(arguments):
    """Run a register tile whose lanes are channels along all lines of a window, each a block, and store its results."""
    (
        table_address, memory_address, job, source, step, target, _, filters, _, length, offsets, bounds,
        parts, weights, _, results,
    ) = passed(arguments, 16)  # fmt: skip
    table, memory = arrays(table_address, memory_address)
    rank = table[job + t.RANK]
    before = table[job + t.AXES] + (rank - 2) * t.AXIS_COLUMNS
    block, frame, lines = table[job + t.BLOCK], table[job + t.ROWS] * table[job + t.ITEM], total(memory, t.LINES, rank)
    pitch, first = table[before + t.PITCH], 0
    while first < lines:  # those that sum the same taps together
        count = lines - first
        if table[job + t.BORDERS] != 0:
            at = table[job + t.BORDERS] + 2 * (memory[t.ORIGIN * rank + rank - 2] + first)
            bounds, parts, count = table[at], table[at + 1], 1
            while first + count < lines and table[at + 2 * count] == bounds:
                count += 1
        to = results + first * block * frame
        arguments = (source + first * pitch, offsets, weights, bounds, parts, to, frame, count, pitch, step, 0)
        run(table[job + t.TILE_FUNCTION], arguments)
        first += count
    power = memory[t.EXPONENT * rank]
    if power != 0:
        run(table[job + t.SCALE], (results, lines * block * frame, -power, memory_address))
    out_step = table[before + t.OUT_STEP]
    if length == block and out_step == length * table[job + t.ITEM]:  # one line in both
        length, lines = length * lines, 1
    for line in range(lines):
        read, write = results + line * block * frame, target + line * out_step
        run(table[job + t.WRITE_LANES], (read, frame, write, table[job + t.CHANNEL_STEP], length, filters))


@njit(**HELPER)
def _count_outputs(phase, job, table, memory):
    """Write the outputs of a phase in a tile, where the register tile starts, and the lines of a run of several axes.

    Return the length of the line that the register tile runs along.
    """
    rank, axes = table[job + t.RANK], table[job + t.AXES]
    last_pitch = table[axes + (rank - 1) * t.AXIS_COLUMNS + t.PITCH]
    length = 1
    for a in range(rank):
        axis = axes + a * t.AXIS_COLUMNS
        outputs = carried(memory[t.OUTPUTS * rank + a], axis, table)
        if memory[t.TILE * rank + a] + 1 == table[axis + t.TILES]:
            outputs -= table[phase + t.PHASE_COLUMNS + a]
        runs_on = a >= rank - 1 - table[job + t.FLAT]
        memory[t.CARRIED * rank + a] = outputs
        memory[t.LINES * rank + a] = outputs if runs_on and a < rank - 1 else 1
        if runs_on:
            length += (outputs - 1) * (table[axis + t.PITCH] // last_pitch)
            outputs = 1
        elif a == rank - 2 and table[job + t.LINES_TOGETHER] != 0:
            memory[t.LINES * rank + a], outputs = outputs, 1
        if a == table[job + t.ROW_AXIS]:
            spacing = table[job + t.ROW_SPACING]
            outputs = -(-outputs // (table[job + t.ROWS] * spacing)) * spacing
        memory[t.STARTS * rank + a] = outputs
    return length


def run_tile(arguments):
    """Run the register tile over a tile, for one part of a group's blocks of weights, and store its results."""
    table_address, memory_address, job, group, part, samples, reads_x, results, out = passed(arguments, 9)
    table, memory = arrays(table_address, memory_address)
    rank, axes = table[job + t.RANK], table[job + t.AXES]
    pitch = t.PITCH if reads_x == 0 else t.X_STEP
    last, row_axis = axes + (rank - 1) * t.AXIS_COLUMNS, table[job + t.ROW_AXIS]
    spacing, most_rows = table[job + t.ROW_SPACING], table[job + t.ROWS]
    step = table[last + pitch] * (table[last + t.STRIDE] if reads_x != 0 else 1)  # along the line
    ahead = table[job + t.AHEAD] if reads_x != 0 else 0
    first_block = part * table[job + t.TASK_BLOCKS]
    for block in range(first_block, min(table[job + t.BLOCKS], first_block + table[job + t.TASK_BLOCKS])):
        number = block // table[job + t.PHASE_BLOCKS]
        phase = table[job + t.PHASES] + number * (t.PHASE_COLUMNS + rank)
        length = _count_outputs(phase, job, table, memory)
        filters = block % table[job + t.PHASE_BLOCKS] * table[job + t.BLOCK_FILTERS]
        channel = group * table[job + t.GROUP_FILTERS] + number * table[job + t.PHASE_FILTERS] + filters
        weights = table[job + t.WEIGHTS] + memory[t.WEIGHTS_BEHIND * rank]
        weights += (group * table[job + t.BLOCKS] + block) * table[job + t.WEIGHTS_BLOCK]
        if table[job + t.PACKING] != 0:
            packing, number_of_all = table[job + t.PACKING], group * table[job + t.BLOCKS] + block
            weights = results - table[job + t.RESULTS_AT] + table[job + t.PACKED_AT]
            behind = weights + table[job + t.WEIGHTS_BLOCK]
            call(indices_at(packing)[t.RUN_LINE], (packing, number_of_all, weights, behind))
        is_written = table[job + t.WRITES_OUT] != 0 and length >= table[job + t.BLOCK]
        start(memory, t.PLACE, rank)
        for _ in range(total(memory, t.STARTS, rank)):
            source, target = samples, out + table[table[job + t.OUT_CHANNELS] + channel]
            rows = min(table[job + t.PHASE_FILTERS] - filters, table[job + t.BLOCK_FILTERS])
            row_step = table[job + t.CHANNEL_STEP]
            bounds, parts = table[phase + 2], table[phase + 3]
            for a in range(rank):
                axis, here = axes + a * t.AXIS_COLUMNS, memory[t.PLACE * rank + a]
                if a == rank - 2 and table[job + t.BORDERS] != 0:
                    at = table[job + t.BORDERS] + 2 * (memory[t.ORIGIN * rank + a] + here)
                    bounds, parts = table[at], table[at + 1]
                if a == row_axis:
                    here = here // spacing * spacing * most_rows + here % spacing
                    rows = min(most_rows, -(-(memory[t.CARRIED * rank + a] - here) // spacing))
                    if is_written and here >= (most_rows - rows) * spacing:  # the last rows end with the tile
                        here, rows = here - (most_rows - rows) * spacing, most_rows
                    row_step = spacing * table[axis + t.OUT_STEP]
                source += here * table[axis + pitch] * (table[axis + t.STRIDE] if reads_x != 0 else 1)
                target += here * table[axis + t.OUT_STEP]
            if rows > 0:
                run(
                    table[job + t.RUN_LINE],
                    (
                        table_address, memory_address, job, source, step, target, row_step, rows,
                        channel, length, table[phase + (1 if reads_x != 0 else 0)], bounds, parts, weights, ahead,
                        results,
                    ),
                )  # fmt: skip
            advance(memory, t.STARTS, t.PLACE, rank)
