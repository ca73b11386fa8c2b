"""The parts of a call whose kernel is an outer product of lines: one pass along each axis, from buffer to buffer.

`methods.separable` says the same in Python, for sums of such products too. The outputs along the outermost axis are
divided into slabs, so that buffers stay in the caches. The first pass reads x with all of its padding.
"""

import math

import numpy as np
from numba import njit

from .. import tables as t
from ..compile import HELPER
from ..intrinsics.memory import call, doubles_at, indices_at, moved, words_at
from . import columns as c
from .check import NOT_SEPARABLE, kernel_row, out_row, row

_BUFFER_BYTES, _MOST_BYTES = 512 * 1024, 32 * 2**20  # of a buffer: where slabs can be so thin; at most
_LEAST_WORK = 1e6  # taps of all outputs, from which on passes may be faster
_PASS_TAPS, _LINE_TAPS = 13, 1.5  # taps that take as long as a pass, and as a tap of its line
_SINGLE, _DOUBLE = ((float(own.max), float(own.eps)) for own in (np.finfo(np.float32), np.finfo(np.float64)))
_GROWTH = 64.0  # as `methods.separable.factors.most_magnitude` has it


@njit(**HELPER)
def _spatial(d, place):
    """Return the spatial axis at a place in the order of memory, -1 where a batch axis is, and its taps."""
    for i in range(d[c.SPATIAL]):
        if row(d, i)[c.AXIS] == row(d, place)[c.ORDER]:
            return i, kernel_row(d, i)[c.KERNEL_LENGTH]
    return -1, 1


@njit(**HELPER)
def find_passes(d):
    """Write how many passes a call may take, 0 where it is to sum directly, and how it is divided then."""
    passes, lines, product, d[c.PASSES] = 0, 0, 1, 0
    for i in range(d[c.SPATIAL]):
        taps = kernel_row(d, i)[c.KERNEL_LENGTH]
        if row(d, i)[c.UPSAMPLE] != 1 or (d[c.METHOD] == c.AUTO and row(d, i)[c.STRIDE] != 1):
            return
        if taps > 1:
            passes, lines, product = passes + 1, lines + taps, product * taps
    work = 1.0 * product
    for a in range(d[c.X_RANK]):
        work *= row(d, a)[c.OUT_LENGTH]
    is_faster = work >= _LEAST_WORK and product > _PASS_TAPS * passes + _LINE_TAPS * lines
    if passes < 2 or (d[c.METHOD] == c.AUTO and not is_faster):
        return
    width = 1.0 * d[c.HEAD + c.ITEM] * d[c.X_PLANES]
    for place in range(1, d[c.X_RANK]):
        (i, taps), own = _spatial(d, place), out_row(d, row(d, place)[c.ORDER])
        width *= _padded(row(d, i), taps, own[c.OUT_LENGTH]) if i >= 0 else own[c.OUT_LENGTH]
    if width > _MOST_BYTES:
        return
    outputs, sample = out_row(d, row(d, 0)[c.ORDER])[c.OUT_LENGTH], int(width)
    slabs = -(-outputs // max(1, _BUFFER_BYTES // sample))
    d[c.PASSES], d[c.SLAB] = passes, -(-outputs // slabs)
    d[c.BUFFER_BYTES], d[c.LINES_BYTES] = -(-sample * d[c.SLAB] // 64) * 64, 8 * lines + 16 * product


@njit(**HELPER)
def _padded(own, taps, outputs):
    """Return how many positions so many outputs read along a spatial axis, or outputs where it has no pass."""
    return own[c.STRIDE] * (outputs - 1) + own[c.DILATION] * (taps - 1) + 1 if taps > 1 else outputs


@njit(**HELPER)
def _read_kernel(d, place, weights):
    """Read the kernel's weights, unflipped and in the order of memory, by a place for one of the working type."""
    count, read = 1, d[c.HEAD + c.READ_KERNEL]
    for i in range(d[c.SPATIAL]):
        count *= kernel_row(d, i)[c.KERNEL_LENGTH]
    for k in range(count):
        rest, source = k, d[c.KERNEL]
        for back in range(1, d[c.X_RANK] + 1):
            i, taps = _spatial(d, d[c.X_RANK] - back)
            if i >= 0:
                tap, rest = rest % taps, rest // taps
                source += (taps - 1 - tap if d[c.IS_FLIPPED] != 0 else tap) * kernel_row(d, i)[c.KERNEL_STEP]
        call(read, (source, place, 1, 0, 0))
        if d[c.HEAD + c.ITEM] == 4:
            weights[k] = np.uint32(words_at(place)[0]).view(np.float32)
        else:
            weights[k] = doubles_at(place)[0]
    return count


@njit(**HELPER)
def _summed(matrix, first, step, line, count):
    """Return the sum of products of a line and of as many entries of a matrix, a step apart."""
    total = 0.0
    for begin in range(min(count, t.SUMMED_APART)):
        part = 0.0
        for k in range(begin, count, t.SUMMED_APART):
            part += matrix[first + k * step] * line[k]
        total += part
    return total


@njit(**HELPER)
def _split(matrix, height, width, limit, column, line):
    """Find the column and the row whose product a matrix is, and leave the row in its place; return whether it is one.

    It does what `methods.separable.factors` does, in the same order: bits depend on it.
    """
    place, most = 0, 0.0
    for k in range(height * width):
        if abs(matrix[k]) > most:
            place, most = k, abs(matrix[k])
    first, pivot = place // width * width, matrix[place]
    for j in range(width):
        line[j] = matrix[first + j] / pivot
    squares = _summed(line, 0, 1, line, width)
    for i in range(height):
        column[i] = _summed(matrix, i * width, 1, line, width) / squares
    total, residual, scale = _summed(column, 0, 1, column, height), 0.0, 0.0
    for j in range(width):
        line[j] = _summed(matrix, j, width, column, height) / total
        for i in range(height):
            residual += abs(matrix[i * width + j] - column[i] * line[j])
    for i in range(height):
        scale += abs(column[i])
    for i in range(height):
        column[i] /= scale
    for j in range(width):
        matrix[j] = line[j] * scale
    return residual <= limit


@njit(**HELPER)
def _store(d, source, count, place):
    """Store weights in the working type; the place may be their own."""
    for k in range(count):
        if d[c.HEAD + c.ITEM] == 4:
            words_at(place)[k] = np.float32(source[k]).view(np.uint32)
        else:
            doubles_at(place)[k] = source[k]


@njit(**HELPER)
def factor(d, place):
    """Write to a place the lines whose outer product the kernel is, eight bytes for each tap; return whether it is one.

    Write also the largest magnitude that results of the first pass may have.
    """
    product = 1
    for i in range(d[c.SPATIAL]):
        product *= kernel_row(d, i)[c.KERNEL_LENGTH]
    line = place + d[c.LINES_BYTES] - 8 * product
    matrix, most, total = doubles_at(line - 8 * product), 0.0, 0.0
    count = _read_kernel(d, place, matrix)
    for k in range(count):
        most = max(most, abs(matrix[k]))
        total += abs(matrix[k])
    if not 0 < most < np.inf or total != total:
        return False
    largest, epsilon = _SINGLE if d[c.HEAD + c.ITEM] == 4 else _DOUBLE
    _store(d, (largest / (_GROWTH * max(1.0, total)),), 1, place)
    d[c.LARGEST] = words_at(place)[0] if d[c.HEAD + c.ITEM] == 4 else indices_at(place)[0]
    exponent, total = math.frexp(most)[1], 0.0
    for k in range(count):
        matrix[k] = math.ldexp(matrix[k], -exponent)
        total += abs(matrix[k])
    found = 0
    for at in range(d[c.X_RANK]):
        _, taps = _spatial(d, at)
        if taps > 1:
            found += 1
            count //= taps
            if found == d[c.PASSES]:
                for k in range(taps):
                    matrix[k] = math.ldexp(matrix[k], exponent)
                _store(d, matrix, taps, place)
            elif _split(matrix, taps, count, 2 * epsilon * total, doubles_at(place), doubles_at(line)):
                _store(d, doubles_at(place), taps, place)
            else:
                d[c.STATUS] = NOT_SEPARABLE if d[c.METHOD] == c.SEPARABLE else 0
                return False
            place += 8 * taps
    return True


@njit(**HELPER)
def count_slabs(d):
    """Return the number of slabs."""
    return -(-out_row(d, row(d, 0)[c.ORDER])[c.OUT_LENGTH] // d[c.SLAB])


@njit(**HELPER)
def restrict(d, number):
    """Turn a call into the one for a slab of its outputs."""
    a = row(d, 0)[c.ORDER]
    (i, taps), x, out = _spatial(d, 0), row(d, a), out_row(d, a)
    first = number * d[c.SLAB]
    count = min(d[c.SLAB], out[c.OUT_LENGTH] - first)
    if i < 0:
        d[t.X] += first * x[c.X_STEP]
        x[c.X_LENGTH] = count
    else:
        own = row(d, i)
        own[c.BEFORE] -= own[c.STRIDE] * first
        reach = own[c.DILATION] * (taps - 1)
        own[c.AFTER] = own[c.STRIDE] * (count - 1) + reach + 1 - own[c.BEFORE] - x[c.X_LENGTH]
    d[t.OUT] += first * out[c.OUT_STEP]
    out[c.OUT_LENGTH] = count


@njit(**HELPER)
def write_pass(d, number, lines, buffers):
    """Turn a call into one of its passes, by the addresses of the lines and of two buffers."""
    way, last = moved(d, c.HEAD), d[c.PASSES] - 1
    sample = way[c.ITEM] * d[c.X_PLANES]
    source, target, axis = sample, sample, last  # steps of the buffers; the pass of an axis
    for back in range(1, d[c.X_RANK] + 1):
        a = row(d, d[c.X_RANK] - back)[c.ORDER]
        (i, taps), x, out = _spatial(d, d[c.X_RANK] - back), row(d, a), out_row(d, a)
        outputs = out[c.OUT_LENGTH]
        padded = _padded(row(d, i), taps, outputs) if i >= 0 else outputs
        if number > 0:
            x[c.X_LENGTH], x[c.X_STEP] = padded if axis >= number else outputs, source
            source *= x[c.X_LENGTH]
        if number < last:
            out[c.OUT_LENGTH], out[c.OUT_STEP] = padded if axis > number else outputs, target
            target *= out[c.OUT_LENGTH]
        if i < 0:
            continue
        own, kernel = row(d, i), kernel_row(d, i)
        kernel[c.KERNEL_STEP] = way[c.ITEM]
        if number > 0:
            own[c.BEFORE] = own[c.AFTER] = 0
        if taps > 1 and axis != number:
            kernel[c.KERNEL_LENGTH] = own[c.STRIDE] = own[c.DILATION] = 1
            own[c.AFTER] = padded - own[c.BEFORE] - x[c.X_LENGTH] if number == 0 else 0
        elif number > 0 and taps == 1:
            own[c.STRIDE] = 1
        if taps > 1:
            lines += 8 * taps if axis < number else 0
            axis -= 1
    d[c.KERNEL], d[c.KERNEL_STORED], d[c.IS_FLIPPED], way[c.READ_KERNEL] = lines, way[c.ITEM], 0, way[c.READ_WORKING]
    if number > 0:
        d[t.X], d[t.STORED] = buffers + (number - 1) % 2 * d[c.BUFFER_BYTES], way[c.ITEM]
        d[c.FILL] = d[c.FILL_IMAG] = 0
        way[c.READ_X], way[c.READS_NATIVE] = way[c.READ_WORKING], 1
    if number < last:
        d[t.OUT], d[c.RESULT], d[c.RESULT_BYTES] = buffers + number % 2 * d[c.BUFFER_BYTES], way[c.ITEM], sample
        way[c.WRITE] = way[c.WRITE_NEAR] = way[c.WRITE_WORKING]
        way[c.STORES_NATIVE] = 1


@njit(**HELPER)
def is_in_range(d, part, place, search):
    """Return whether no result of the first pass but NaN, which lines pass on rightly, is larger than sums may be.

    ``place`` is the address of the ``part`` that has run, ``search`` the C function that finds the largest magnitude.
    """
    count = d[c.X_PLANES]
    for a in range(d[c.X_RANK]):
        count *= row(part, a)[c.OUT_LENGTH]
    call(search, (part[t.OUT], place + 8 * c.BYTES, count))
    return part[c.BYTES] <= d[c.LARGEST]
