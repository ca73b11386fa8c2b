"""Samples between an array's lines and the lanes of vectors: transpositions, and lines that may be short."""

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from ..tables import FILL_VALUE, UNREAD
from .emit import (
    I64,
    SCALARS,
    Emitter,
    behind,
    chosen,
    constant,
    first_of_chunk,
    lanes_between,
    load,
    load_lanes,
    prefetch,
    splat,
    store,
    store_first,
)

_LINES_AHEAD = 4  # that memory is asked for: lines of a plane are gathered sooner than they come by themselves


def _transposed(b, rows):
    """Return the columns of as many vectors as one has lanes: blocks beside the diagonal change places, 1, 2, 4 ..."""
    rows, n, half = list(rows), len(rows), 1
    while half < n:
        for r in (r for r in range(n) if not r & half):
            x, y = rows[r], rows[r + half]
            rows[r] = chosen(b, x, y, [c if not c & half else c - half + n for c in range(n)])
            rows[r + half] = chosen(b, x, y, [c + half if not c & half else c + n for c in range(n)])
        half *= 2
    return rows


@Emitter
def transpose(b, dtype, lanes, /, source, source_pitch, source_step, target, target_pitch, target_step, count):
    """Transpose ``count`` square blocks of ``lanes`` x ``lanes`` samples.

    The pitches are bytes between the rows of a block, the steps those from a block to the next.
    """
    vector = ir.VectorType(SCALARS[dtype], lanes)
    with cgutils.for_range(b, count, intp=I64) as block:
        first = behind(b, source, (block.index, source_step))
        rows = [load(b, behind(b, first, (source_pitch, r)), vector) for r in range(lanes)]
        first = behind(b, target, (block.index, target_step))
        for r, row in enumerate(_transposed(b, rows)):
            store(b, row, behind(b, first, (target_pitch, r)))


@Emitter
def gather_lines(b, dtype, lanes, /, source, offsets, rows, target, pitch, width, low, high, fill):
    """Copy ``rows`` lines of x to a window, ``width`` positions each, of which ``low`` to ``high - 1`` lie in x.

    ``source`` is where position 0 would lie in x, ``offsets`` are those of the lines, `FILL_VALUE`, or `UNREAD`.
    Positions outside x get the value at the address ``fill``; lines that are not read are left as they are.
    """
    scalar, size = SCALARS[dtype], np.dtype(dtype).itemsize
    other = splat(b, ir.VectorType(scalar, lanes), load(b, fill, scalar))
    zero, inside = ir.Constant(I64, 0), b.sub(high, low)
    all_chunks = b.sdiv(b.add(width, ir.Constant(I64, lanes - 1)), ir.Constant(I64, lanes))
    with cgutils.for_range(b, rows, intp=I64) as row:
        offset = load(b, behind(b, offsets, (row.index, 8)), I64, 8)
        is_outside = b.icmp_signed("<=", offset, ir.Constant(I64, FILL_VALUE))
        chunks = b.select(b.icmp_signed("==", offset, ir.Constant(I64, UNREAD)), zero, all_chunks)
        offset, count = b.select(is_outside, zero, offset), b.select(is_outside, zero, inside)
        line, ahead = behind(b, target, (row.index, pitch)), behind(b, row.index, _LINES_AHEAD)
        ahead = b.select(b.icmp_signed("<", ahead, rows), ahead, row.index)
        ahead = behind(b, source, load(b, behind(b, offsets, (ahead, 8)), I64, 8))
        with cgutils.for_range(b, chunks, intp=I64) as chunk:
            first = first_of_chunk(b, chunk.index, lanes, width)
            prefetch(b, behind(b, ahead, (first, size)))
            place, to = behind(b, source, offset, (first, size)), behind(b, line, (first, size))
            begin, last = b.sub(first, low), b.sub(count, ir.Constant(I64, lanes))
            is_inside = b.and_(b.icmp_signed(">=", begin, zero), b.icmp_signed("<=", begin, last))
            with b.if_else(is_inside, likely=True) as (whole, at_an_end):
                with whole:
                    store(b, load(b, place, other.type), to)
                with at_an_end:
                    samples = load_lanes(b, place, lanes_between(b, lanes, begin, count), other)
                    store_first(b, samples, to, b.sub(width, first))


@Emitter
def gather_frames(b, dtype, lanes, /, source, offsets, rows, target, pitch, width, low, high, fills, channels):
    """Copy what `gather_lines` does of so many channels as lanes, to a window that has theirs beside each other.

    There are fill values for each; ``channels`` is where their offsets lie, of which that of the first is in
    ``source``. What is written behind a line is not read, or written again.
    """
    vector, size = ir.VectorType(SCALARS[dtype], lanes), np.dtype(dtype).itemsize
    zero, most, frame = (ir.Constant(I64, number) for number in (0, lanes - 1, lanes * size))
    fill, apart = load(b, fills, vector), [load(b, behind(b, channels, 8 * n), I64, 8) for n in range(lanes)]
    planes = [b.add(source, b.sub(own, apart[0])) for own in apart]
    with cgutils.for_range(b, rows, intp=I64) as row:
        offset, line = load(b, behind(b, offsets, (row.index, 8)), I64, 8), behind(b, target, (row.index, pitch))
        is_outside = b.icmp_signed("<=", offset, ir.Constant(I64, FILL_VALUE))
        end = b.select(b.icmp_signed("==", offset, ir.Constant(I64, UNREAD)), zero, width)
        first, behind_last = (b.select(is_outside, place, own) for place, own in ((end, low), (end, high)))
        count = b.sub(behind_last, first)
        with cgutils.for_range(b, b.sdiv(b.add(count, most), ir.Constant(I64, lanes)), intp=I64) as chunk:
            done = b.mul(chunk.index, ir.Constant(I64, lanes))
            there, place = lanes_between(b, lanes, zero, b.sub(count, done)), b.add(first, done)
            samples = [
                load_lanes(b, behind(b, own, offset, (place, size)), there, constant(vector, 0)) for own in planes
            ]
            for n, frames in enumerate(_transposed(b, samples)):
                store(b, frames, behind(b, line, (place, frame), n * lanes * size))
        for begin, stop in (zero, first), (behind_last, end):
            with cgutils.for_range_slice(b, begin, stop, ir.Constant(I64, 1), intp=I64) as (place, _):
                store(b, fill, behind(b, line, (place, frame)))


@Emitter
def write_lines(b, dtype, lanes, /, source, pitch, target, step, rows, width):
    """Copy ``rows`` lines of ``width`` samples each, which lie ``pitch`` bytes apart and then ``step``."""
    vector, size = ir.VectorType(SCALARS[dtype], lanes), np.dtype(dtype).itemsize
    chunks = b.sdiv(b.add(width, ir.Constant(I64, lanes - 1)), ir.Constant(I64, lanes))
    with cgutils.for_range(b, rows, intp=I64) as row, cgutils.for_range(b, chunks, intp=I64) as chunk:
        first = first_of_chunk(b, chunk.index, lanes, width)
        there = lanes_between(b, lanes, ir.Constant(I64, 0), b.sub(width, first))
        samples = load_lanes(b, behind(b, source, (row.index, pitch), (first, size)), there, constant(vector, 0))
        store_first(b, samples, behind(b, target, (row.index, step), (first, size)), b.sub(width, first))


@Emitter
def turn_lines(b, dtype, lanes, /, source, source_pitch, target, target_pitch, count, length):
    """Copy ``count`` lines of ``length`` samples to ``length`` lines of ``count``; pitches are bytes between lines."""
    vector, size = ir.VectorType(SCALARS[dtype], lanes), np.dtype(dtype).itemsize
    zero, most = (ir.Constant(I64, number) for number in (0, lanes - 1))

    def blocks(number):
        return b.sdiv(b.add(number, most), ir.Constant(I64, lanes))

    def lines(start, pitch, there):
        """Return the addresses of as many lines as are there, and of the last one in place of others."""
        places = [start]
        for r in range(1, lanes):
            is_there = b.icmp_signed("<", ir.Constant(I64, r), there)
            places.append(b.add(places[-1], b.select(is_there, pitch, zero)))
        return places

    with cgutils.for_range(b, blocks(length), intp=I64) as c, cgutils.for_range(b, blocks(count), intp=I64) as r:
        row, column = first_of_chunk(b, r.index, lanes, count), first_of_chunk(b, c.index, lanes, length)
        rows, columns = b.sub(count, row), b.sub(length, column)
        of_columns = lanes_between(b, lanes, zero, columns)
        sources = lines(behind(b, source, (row, source_pitch), (column, size)), source_pitch, rows)
        targets = lines(behind(b, target, (column, target_pitch), (row, size)), target_pitch, columns)
        turned = _transposed(b, [load_lanes(b, place, of_columns, constant(vector, 0)) for place in sources])
        for own, place in reversed([*zip(turned, targets, strict=True)]):  # what the last line has is stored last
            store_first(b, own, place, rows)
