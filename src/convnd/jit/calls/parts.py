"""Calls that are several: the branches of an upsampled x, or the passes of an outer product.

The outputs of a branch sum the same taps: it is a plain call in places of the result. `problem.axis.polyphase` says the
same in Python.
"""

from math import gcd

from numba import njit

from .. import tables as t
from ..compile import HELPER
from ..intrinsics.memory import call, indices_at, moved
from ..machine import CACHE_LINE
from . import columns as c
from .check import kernel_row, out_row, row
from .passes import count_slabs, factor, find_passes, is_in_range, restrict, write_pass
from .symbols import LARGEST_DOUBLE, LARGEST_SINGLE, LAY_OUT, RUN


@njit(**HELPER)
def _count_branches(d):
    """Return the number of branches of a call, 0 where x is not upsampled."""
    count, is_upsampled = 1, False
    for i in range(d[c.SPATIAL]):
        own = row(d, i)
        up = own[c.UPSAMPLE]
        count *= min(up // gcd(own[c.STRIDE], up), out_row(d, own[c.AXIS])[c.OUT_LENGTH])
        is_upsampled |= up != 1
    return count if is_upsampled else 0


@njit(**HELPER)
def _write_branch(d, number):
    """Turn a call that has been checked into one of its branches, of which some sum no taps at all."""
    for i in range(d[c.SPATIAL]):
        own, kernel = row(d, i), kernel_row(d, i)
        x, out = row(d, own[c.AXIS]), out_row(d, own[c.AXIS])
        up, stride, dilation, taps = own[c.UPSAMPLE], own[c.STRIDE], own[c.DILATION], kernel[c.KERNEL_LENGTH]
        shared, common = gcd(dilation, up), gcd(stride, up)
        apart, step = up // common, up // shared  # from one output to the next, and from one tap
        count = min(apart, out[c.OUT_LENGTH])
        first = number % count
        number //= count
        position, tap = stride * first - own[c.BEFORE], 0
        while tap < taps and (position + dilation * tap) % up != 0:
            tap += 1
        found = (taps - tap + step - 1) // step
        if found == 0:
            d[c.IS_EMPTY], tap, found = 1, 0, 1
        reach, outputs = dilation // shared * (found - 1), (out[c.OUT_LENGTH] - first + apart - 1) // apart
        begin = taps - 1 - tap - (found - 1) * step if d[c.IS_FLIPPED] != 0 else tap
        d[c.KERNEL] += begin * kernel[c.KERNEL_STEP]
        kernel[c.KERNEL_LENGTH] = found
        kernel[c.KERNEL_STEP] *= step
        d[t.OUT] += first * out[c.OUT_STEP]
        out[c.OUT_LENGTH] = outputs
        out[c.OUT_STEP] *= apart
        own[c.STRIDE], own[c.DILATION] = stride // common, dilation // shared
        own[c.BEFORE] = -((position + dilation * tap) // up)
        own[c.AFTER] = own[c.STRIDE] * (outputs - 1) + reach + 1 - own[c.BEFORE] - x[c.X_LENGTH]


@njit(**HELPER)
def _part_of(d):
    """Return a copy of a call, of which a part is made, behind the call."""
    part = moved(d, d[c.CALL_SIZE])
    for k in range(d[c.CALL_SIZE]):
        part[k] = d[k]
    return part


def lay_out_parts(address, functions):
    """Lay out a call that has been checked: all its parts, for which it has memory in common: a C function."""
    d, lay_out_part = indices_at(address), indices_at(functions)[LAY_OUT]
    part, place = moved(d, d[c.CALL_SIZE]), address + 8 * d[c.CALL_SIZE]
    branches = _count_branches(d)
    if branches == 0:
        call(lay_out_part, (address, functions))
        if d[c.METHOD] != c.DIRECT:
            find_passes(d)
    for number in range(branches):
        _write_branch(_part_of(d), number)
        call(lay_out_part, (place, functions))
        d[c.OVERLAPS], d[c.BYTES] = d[c.OVERLAPS] | part[c.OVERLAPS], max(d[c.BYTES], part[c.BYTES])
    if d[c.PASSES] == 0:
        return
    for which in range(2 * d[c.PASSES] + 2):  # those of the first slab and of the last, and their direct sums
        number = which // 2
        restrict(_part_of(d), which % 2 * (count_slabs(d) - 1))
        if number < d[c.PASSES]:
            write_pass(part, number, place, place)  # in place of addresses that are not there yet
        call(lay_out_part, (place, functions))
        d[c.BYTES] = max(d[c.BYTES], part[c.BYTES])
    d[c.BYTES] += d[c.LINES_BYTES] + 2 * d[c.BUFFER_BYTES] + 2 * CACHE_LINE


def run_parts(address, functions):
    """Run a call that is laid out, in the memory that it has been given: a C function."""
    d, own = indices_at(address), indices_at(functions)
    lay_out_part, run_part = own[LAY_OUT], own[RUN]
    search = own[LARGEST_SINGLE if d[c.HEAD + c.ITEM] == 4 else LARGEST_DOUBLE]
    part, place = moved(d, d[c.CALL_SIZE]), address + 8 * d[c.CALL_SIZE]
    branches, lines = _count_branches(d), -(-d[c.MEMORY] // CACHE_LINE) * CACHE_LINE
    for number in range(branches):
        _write_branch(_part_of(d), number)
        call(lay_out_part, (place, functions))
        call(run_part, (place, functions))
    if branches > 0:
        return
    if d[c.PASSES] == 0 or not factor(d, lines):
        if d[c.STATUS] == 0:
            call(run_part, (address, functions))
        return
    buffers = lines + -(-d[c.LINES_BYTES] // CACHE_LINE) * CACHE_LINE
    d[c.MEMORY] = buffers + 2 * d[c.BUFFER_BYTES]
    for slab in range(count_slabs(d)):
        for number in range(d[c.PASSES]):
            restrict(_part_of(d), slab)
            write_pass(part, number, lines, buffers)
            call(lay_out_part, (place, functions))
            call(run_part, (place, functions))
            if number == 0 and not is_in_range(d, part, place, search):
                restrict(_part_of(d), slab)
                call(lay_out_part, (place, functions))
                call(run_part, (place, functions))
                break
