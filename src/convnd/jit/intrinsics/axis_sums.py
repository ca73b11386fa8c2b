"""Sums along one axis in fewer operations than a multiplication for each tap.

*Moving sums* add up neighbours of equal weight, in three additions, however many they are. The positions of an axis are
cut into blocks of as many as are summed. A window of neighbours ends one block and begins the next, so that its sum is
one of the block's ends and one of the next block's beginnings (van Herk, 1992, and Gil and Werman, 1993, do so for the
largest sample). Nothing is subtracted: errors are as small as those of plain sums, and NaN and infinity stay in their
windows.

*Folded sums* are those of symmetric weights: two samples of equal weight are added before they are multiplied, and
subtracted where the weights have opposite signs. That halves the multiplications; a processor adds beside them.
"""

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from .emit import I64, SCALARS, Emitter, add, behind, constant, load, multiply, multiply_add, splat, store, subtract


@Emitter
def moving_sums(
    b, dtype, lanes, vectors, /, source, source_step, target, target_step, count, left, taps, blocks, weight, ends
):
    """Sum ``taps`` neighbours for each of ``count`` lines of outputs whose windows begin in one block.

    ``left`` lines of the source are left in that block. Lines are ``blocks`` times so many vectors long, the steps
    the bytes between neighbouring ones. ``weight`` is the address of the sums' factor, ``ends`` that of a line of
    vectors for each tap. The sums may take the place of the source.
    """
    size = np.dtype(dtype).itemsize * lanes
    vector = ir.VectorType(SCALARS[dtype], lanes)
    total = [cgutils.alloca_once(b, vector) for _ in range(vectors)]
    factor = splat(b, vector, load(b, weight, SCALARS[dtype]))
    one, last = ir.Constant(I64, 1), b.sub(taps, ir.Constant(I64, 1))

    def clear():
        for own in total:
            b.store(constant(vector, 0), own)

    def add_line(first, line):
        for v, own in enumerate(total):
            sample = load(b, behind(b, first, (source_step, line), v * size), vector)
            b.store(add(b, b.load(own, typ=vector), sample), own)

    def finish(write, line):
        for v, own in enumerate(total):
            end = load(b, behind(b, ends, (line, vectors * size), v * size), vector)
            both = multiply(b, add(b, end, b.load(own, typ=vector)), factor)
            store(b, both, behind(b, write, (target_step, line), v * size))

    with cgutils.for_range(b, blocks, intp=I64) as block:
        first, write = (behind(b, own, (block.index, vectors * size)) for own in (source, target))
        clear()
        with cgutils.for_range(b, left, intp=I64) as back:
            line = b.sub(b.sub(left, back.index), one)
            add_line(first, line)
            for v, own in enumerate(total):
                store(b, b.load(own, typ=vector), behind(b, ends, (line, vectors * size), v * size))
        clear()
        with cgutils.for_range_slice(b, left, taps, one, intp=I64) as (line, _):
            add_line(first, line)
        finish(write, ir.Constant(I64, 0))
        with cgutils.for_range_slice(b, one, count, one, intp=I64) as (line, _):
            add_line(first, b.add(line, last))
            finish(write, line)


@Emitter
def folded_sums(
    b, dtype, lanes, rows, is_odd, /, source, source_step, target, target_step, count, _, taps, blocks, weights, _ends
):
    """Sum ``taps`` neighbours with symmetric weights for each of ``count`` lines of outputs.

    ``weights`` is the address of the weights of the first taps, up to the middle one. The other arguments are those of
    `moving_sums`, with blocks of one vector. ``rows`` lines are computed at once. Each step takes one pair of samples
    of every line's window, the outermost first. All lines but one had a neighbour's sample of the pair in the step
    before: a step reads two new samples.
    """
    size = np.dtype(dtype).itemsize
    scalar = SCALARS[dtype]
    vector = ir.VectorType(scalar, lanes)
    zero, one, two, at_once = (ir.Constant(I64, number) for number in (0, 1, 2, rows))
    pairs, middle = b.sdiv(taps, two), b.srem(taps, two)
    acc, near, far = ([cgutils.alloca_once(b, vector) for _ in range(rows)] for _ in range(3))

    def value(own):
        return b.load(own, typ=vector)

    def sum_lines(first, write, line, some):
        """Compute ``some`` neighbouring lines."""
        low, last = behind(b, first, (source_step, line)), some - 1
        high = behind(b, low, (source_step, b.sub(taps, one)))
        for r in range(some):
            b.store(constant(vector, 0), acc[r])
            if r < last:
                b.store(load(b, behind(b, low, (source_step, r)), vector), near[r])
            if r > 0:
                b.store(load(b, behind(b, high, (source_step, r)), vector), far[r])
        with cgutils.for_range(b, pairs, intp=I64) as pair:
            next_low = behind(b, low, (source_step, behind(b, pair.index, last)))
            b.store(load(b, next_low, vector), near[last])
            b.store(load(b, b.sub(high, b.mul(source_step, pair.index)), vector), far[0])
            weight = splat(b, vector, load(b, behind(b, weights, (pair.index, size)), scalar))
            for r in range(some):
                both = (subtract if is_odd else add)(b, value(near[r]), value(far[r]))
                b.store(multiply_add(b, both, weight, value(acc[r])), acc[r])
            for r in range(last):
                b.store(value(near[r + 1]), near[r])
            for r in range(last, 0, -1):
                b.store(value(far[r - 1]), far[r])
        with b.if_then(b.icmp_signed("!=", middle, zero)):
            weight = splat(b, vector, load(b, behind(b, weights, (pairs, size)), scalar))
            for r in range(some):
                sample = load(b, behind(b, low, (source_step, behind(b, pairs, r))), vector)
                b.store(multiply_add(b, sample, weight, value(acc[r])), acc[r])
        for r in range(some):
            store(b, value(acc[r]), behind(b, write, (target_step, behind(b, line, r))))

    def sum_blocks(line, some):
        with cgutils.for_range(b, blocks, intp=I64) as block:
            first, write = (behind(b, own, (block.index, lanes * size)) for own in (source, target))
            sum_lines(first, write, line, some)

    # The last group ends with the last line, so that some lines are computed twice. Where sums take the place of the
    # source that cannot be: the lines that are left are computed one by one.
    last_line = b.sub(count, at_once)
    may_repeat = b.and_(b.icmp_signed("!=", source, target), b.icmp_signed(">=", last_line, zero))
    whole = b.select(may_repeat, count, b.sub(count, b.srem(count, at_once)))
    with cgutils.for_range_slice(b, zero, whole, at_once, intp=I64) as (line, _):
        sum_blocks(b.select(b.icmp_signed("<", line, last_line), line, last_line), rows)
    with cgutils.for_range_slice(b, whole, count, one, intp=I64) as (line, _):
        sum_blocks(line, 1)
