"""The register tile: rows x vectors of outputs, summed in registers.

The register tile computes ``rows x vectors`` vectors of outputs in registers. It knows nothing of axes, only of
taps: each a byte offset from the tile's first sample, and the run ``r0..r1`` of rows that it feeds::

    for each block of outputs
        for each part of the taps                                            (if many: outside a few blocks)
            for each outer step z of the part
                for each group g of taps that feed the same run r0..r1       (unrolled)
                    for each tap t of the group
                        load the vectors at x + offset[t]
                        for r in r0..r1:  acc[r] += weight[t, r] * vectors   (fused multiply-adds)
            add the part's sums to those before them

The sums of a part are added to those of the parts before it, and of `TOGETHER` parts to what is stored: the rounding
errors of a sum grow with the square root of how many numbers it adds one after the other. Where rows share taps a row
may end its parts later than the row before it, by taps that feed them all.

Where taps come in lines, one sample after the other, a tile may *slide*: half of its vectors, or all but the last, are
loaded once for as many taps as there are lanes, and shifted in registers. Nearly all loads would lie across two cache
lines. Such a load takes a processor as long as two to four multiplications.

Across channels the roles change: the vectors are weights, of neighbouring output channels, and each row spreads its
one sample of the tap, ``acc[r] += x[r, offset[t]] * weight[t]``. Depthwise, each row has a sample for each lane.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils

from ..machine import CACHE_LINE
from ..tables import TOGETHER
from .emit import (
    I32,
    I64,
    SCALARS,
    Emitter,
    add,
    behind,
    call,
    constant,
    in_order,
    load,
    multiply_add,
    prefetch,
    splat,
    store,
)

_NEAR_BLOCKS = 8  # blocks that sum a part of the taps in turn, while its weights are in the nearest cache


class RegisterTile(NamedTuple):
    """The shape of a register tile: what one compiled routine computes, ``rows`` x ``vectors`` vectors of ``lanes``."""

    dtype: str  # the working type, a key of `emit.SCALARS`
    rows: int
    vectors: int
    lanes: int
    interleaved: bool  # rows are neighbouring vectors of one line: row r's vector v starts r + v*rows from the first
    runs: tuple[tuple[int, int], ...]  # of rows, that a group of taps feeds
    across: bool = False  # lanes are output channels, rows neighbouring outputs: a tap spreads a sample of each row
    parts: str = "one"  # of the sums, or "many", which rows end together, or "staggered"
    depthwise: bool = False  # across channels: each has samples of its own, which lie beside each other
    slides: int = 0  # vectors, of 64 bytes, that are shifted where taps come in lines

    @property
    def columns(self) -> int:
        """Numbers of an outer step's bounds: of its groups, and behind them of rows that end it one after the other."""
        return len(self.runs) + (self.rows if self.parts == "staggered" else 1)

    @property
    def block(self) -> int:
        """Neighbouring outputs of one line that the tile computes at once."""
        if self.across:
            return self.rows
        return self.vectors * self.lanes * (self.rows if self.interleaved else 1)


@Emitter
def register_tile(b, shape, /, x, offsets, weights, bounds, parts, out, out_row, blocks, ahead, x_row, line):
    """Run the register tile of a `RegisterTile` over ``blocks`` neighbouring blocks.

    ``x``, ``out`` and the tables are addresses: ``offsets`` counts in bytes, ``weights`` is (taps, rows) or, across
    channels, (taps, vectors * lanes), ``bounds`` (outer steps, `RegisterTile.columns`). ``parts`` are how many there
    are, 0, and the outer steps up to the end of each. ``out_row`` and ``x_row`` are bytes between neighbouring rows,
    ``ahead`` those from a block to the rows that memory is asked for, across channels to the next block; interleaved
    rows need none of the three. ``line`` are the taps of a line of a tile that slides.
    """
    tile = RegisterTile(*shape)
    size = np.dtype(tile.dtype).itemsize
    scalar = SCALARS[tile.dtype]
    vector = ir.VectorType(scalar, tile.lanes)
    rows, vectors = range(tile.rows), range(tile.vectors)
    spacing = size * tile.lanes * (tile.rows if tile.interleaved else 1)
    filters = tile.vectors * tile.lanes if tile.across else tile.rows  # that a tap has weights for
    step_x = ahead if tile.across else tile.block * size
    step_out = b.mul(out_row, ir.Constant(I64, tile.rows)) if tile.across else tile.block * size
    acc = [[cgutils.alloca_once(b, vector) for _ in vectors] for _ in rows]
    zero, one, most = (ir.Constant(I64, number) for number in (0, 1, TOGETHER - 1))
    near = _NEAR_BLOCKS if tile.parts == "many" else 1
    if tile.parts != "one":
        held = b.ptrtoint(cgutils.alloca_once(b, ir.ArrayType(vector, near * tile.rows * tile.vectors)), I64)
        last_part = b.sub(load(b, parts, I64, 8), one)

    def clear(some):
        for r in some:
            for v in vectors:
                b.store(constant(vector, 0), acc[r][v])

    def store_sums(some, place_of):
        for r in some:
            for v in vectors:
                store(b, b.load(acc[r][v], typ=vector), place_of(r, v))

    def add_to_sums(some, place_of):
        for r in some:
            for v in vectors:
                b.store(add(b, load(b, place_of(r, v), vector), b.load(acc[r][v], typ=vector)), acc[r][v])

    def in_register(address):
        """Return an address that LLVM keeps in one register: a Zen 5 waits longer for stores to the sum of two."""
        return b.asm(ir.FunctionType(I64, [I64]), "", "=r,0", [address], True)

    def sum_taps(start, ends, group, r0, r1):
        first, last = (load(b, behind(b, ends, 8 * (group + side)), I64, 8) for side in (0, 1))
        if tile.slides:
            slide(start, first, last, r0, r1)
            return
        with cgutils.for_range_slice(b, first, last, one, intp=I64) as (tap, _):
            base = behind(b, start, load(b, behind(b, offsets, (tap, 8)), I64, 8))
            lines = behind(b, weights, (tap, filters * size)) if tile.across else base
            add_tap(base, tap, [load(b, behind(b, lines, v * spacing), vector) for v in vectors], r0, r1)

    def add_tap(base, tap, loaded, r0, r1):
        weight = behind(b, weights, (tap, filters * size))
        for r in range(r0, r1):
            place = behind(b, base, (x_row, r)) if tile.across else behind(b, weight, r * size)
            spread = load(b, place, vector) if tile.depthwise else splat(b, vector, load(b, place, scalar))
            for v in vectors:
                total = multiply_add(b, loaded[v], spread, b.load(acc[r][v], typ=vector))
                b.store(in_order(b, total) if tile.across else total, acc[r][v])

    def slide(start, first, last, r0, r1):
        with cgutils.for_range_slice(b, first, last, line, intp=I64) as (begin, _):
            end = lower(b.add(begin, line), last)
            with cgutils.for_range_slice(b, begin, end, ir.Constant(I64, tile.lanes), intp=I64) as (tap, _):
                slide_taps(start, tap, lower(b.add(tap, ir.Constant(I64, tile.lanes)), end), r0, r1)

    def slide_taps(start, first, end, r0, r1):
        """Add the sums of at most as many taps as a vector has lanes."""
        base = behind(b, start, load(b, behind(b, offsets, (first, 8)), I64, 8))
        held = [load(b, behind(b, base, v * spacing), vector) for v in vectors]
        following = held[1:]
        if tile.interleaved:
            following = [load(b, behind(b, base, v * spacing + tile.lanes * size), vector) for v in range(tile.slides)]
        add_tap(base, first, held, r0, r1)
        kind, lane_type = ("ps", I32) if size == 4 else ("pd", I64)
        from_lanes = cgutils.alloca_once(b, ir.VectorType(lane_type, tile.lanes))  # of two vectors, one after the other
        b.store(ir.Constant(ir.VectorType(lane_type, tile.lanes), [*range(1, tile.lanes + 1)]), from_lanes)
        with cgutils.for_range_slice(b, b.add(first, one), end, one, intp=I64) as (tap, _):
            lanes, place = b.load(from_lanes), behind(b, base, (b.sub(tap, first), size))
            samples = [
                call(b, f"llvm.x86.avx512.vpermi2var.{kind}.512", vector, held[v], lanes, following[v])
                if v < tile.slides
                else load(b, behind(b, place, v * spacing), vector)
                for v in vectors
            ]
            add_tap(place, tap, samples, r0, r1)
            b.store(b.add(lanes, constant(lanes.type, 1)), from_lanes)

    def lower(number, most):
        return b.select(b.icmp_signed("<", number, most), number, most)

    def sum_steps(start, begin, end):
        with cgutils.for_range_slice(b, begin, end, one, intp=I64) as (outer, _):
            ends = behind(b, bounds, (outer, 8 * tile.columns))
            for g, (r0, r1) in enumerate(tile.runs):
                sum_taps(start, ends, g, r0, r1)

    def end_part(some, part, in_out, in_held):
        """Add the sums of some rows to those held, and these to what is stored where no more are added to them."""
        nth = b.and_(part, most)
        with b.if_then(b.icmp_unsigned("!=", nth, zero)):
            add_to_sums(some, in_held)
        is_complete = b.or_(b.icmp_unsigned("==", part, last_part), b.icmp_unsigned("==", nth, most))
        with b.if_else(is_complete) as (complete, partial):
            with complete:
                with b.if_then(b.icmp_unsigned(">", part, most)):
                    add_to_sums(some, in_out)
                store_sums(some, in_out)
            with partial:
                store_sums(some, in_held)

    def sum_part(start, part, in_out, in_held):
        begin, end = (load(b, behind(b, parts, (part, 8), 8 + side), I64, 8) for side in (0, 8))
        sum_steps(start, begin, end)
        for some in [[r] for r in rows] if tile.parts == "staggered" else [rows]:
            end_part(some, part, in_out, in_held)
            clear(some)
            if some[-1] < tile.rows - 1:  # taps that all rows share, up to where the next one ends its part
                last_step = behind(b, bounds, (b.sub(end, one), 8 * tile.columns))
                sum_taps(start, last_step, len(tile.runs) + some[-1], 0, tile.rows)

    def ask_for_lines(start, target, is_first):
        """Ask memory for the rows ahead, if any, and for the places of this block's results.

        The places of a single line are asked for even where no rows are ahead.
        """
        lines, is_line = range(0, tile.block * size, CACHE_LINE), tile.rows == 1 or tile.interleaved
        if is_line:
            with b.if_then(is_first):
                for line in lines:
                    prefetch(b, behind(b, target, line), writes=True)
        if tile.interleaved:
            return
        with b.if_then(b.and_(b.icmp_signed("!=", ahead, zero), is_first)):
            for r in rows:
                for line in lines:
                    prefetch(b, behind(b, start, ahead, (x_row, r), line))
                    if not is_line:
                        prefetch(b, behind(b, target, (out_row, r), line), writes=True)

    def sum_block(block, nth, part=None):
        """Compute a block, or where there are many parts what one adds to it, the ``nth`` of the near blocks."""
        start = behind(b, x, (block, step_x))
        target = in_register(behind(b, out, (block, step_out)))

        def in_out(r, v):
            return behind(b, target, r * tile.lanes * size if tile.interleaved else (out_row, r), v * spacing)

        def in_held(r, v):
            return behind(
                b, held, (nth, tile.rows * tile.vectors * tile.lanes * size), tile.lanes * size * (r * tile.vectors + v)
            )

        clear(rows)
        if not tile.across:  # waiting for memory is what small kernels do most
            ask_for_lines(start, target, b.icmp_signed("==", part or zero, zero))
        if tile.parts == "one":
            sum_steps(start, zero, load(b, behind(b, parts, 16), I64, 8))
            store_sums(rows, in_out)
        elif tile.parts == "many":
            sum_part(start, part, in_out, in_held)
        else:
            with cgutils.for_range(b, b.add(last_part, one), intp=I64) as loop:
                sum_part(start, loop.index, in_out, in_held)

    with cgutils.for_range_slice(b, zero, blocks, ir.Constant(I64, near), intp=I64) as (first, _):
        if tile.parts == "many":
            rest, most_near = b.sub(blocks, first), ir.Constant(I64, near)
            count = b.select(b.icmp_signed("<", rest, most_near), rest, most_near)
            parts_there = b.add(last_part, one)
            with cgutils.for_range(b, parts_there, intp=I64) as part, cgutils.for_range(b, count, intp=I64) as nth:
                sum_block(b.add(first, nth.index), nth.index, part.index)
        else:
            sum_block(first, zero)


@njit(error_model="numpy")
def plain_tile(x, offsets, weights, bounds, parts, out, tile_rows, runs):
    """Compute what the register tile does, row by row: the same sums in the same order, by plain Numba.

    ``x`` and ``out`` are arrays of samples, ``out`` with ``tile_rows`` rows; ``offsets`` count samples. Multiply-adds
    are not fused. Parts are staggered where ``bounds`` has more columns than groups have.
    """
    groups, zero = len(runs), out.dtype.type(0)
    for row in range(tile_rows):
        for o in range(out.shape[1]):
            total, held, acc = zero, zero, zero
            for part in range(parts[0]):
                for step in range(parts[part + 1], parts[part + 2]):
                    for group in range(groups):
                        if runs[group][0] <= row < runs[group][1]:
                            for tap in range(bounds[step, group], bounds[step, group + 1]):
                                acc += x[offsets[tap] + o] * weights[tap, row]
                ends = bounds[parts[part + 2] - 1, groups:]
                own_end = ends[min(row, len(ends) - 1)]
                for tap in range(ends[0], own_end):
                    acc += x[offsets[tap] + o] * weights[tap, row]
                held, acc = held + acc, zero
                if part % TOGETHER == TOGETHER - 1 or part == parts[0] - 1:
                    total, held = total + held, zero
                for tap in range(own_end, ends[-1]):
                    acc += x[offsets[tap] + o] * weights[tap, row]
            out[row, o] = total
