"""Passes of a Fourier transform across vector lanes: every lane transforms a line of its own.

A line of ``N = r0 * r1 * ...`` complex samples is transformed in place by one pass for each factor ``r`` (decimation
in frequency, after Gentleman and Sande). With ``span`` the product of the factors that follow, a pass takes the samples
``j, j + span, ..., j + (r-1)*span`` of each block of ``r*span``, transforms these ``r`` and turns result ``s`` by the
twiddle ``w^(j*s)``, ``w = exp(-2 pi i / (r*span))``. Frequencies come out in permuted order. The inverse passes undo
them one by one from the last to the first, so nobody ever needs the order: a convolution multiplies spectra
frequency by frequency. Samples are planes of real and imaginary parts, a vector of lanes each.

The first pass of a *folded* line, which holds ``2 N`` real samples (`fourier` says how), shifts every frequency by a
quarter: it multiplies sample ``n`` by ``w^(-n/4)``, ``w = exp(-2 pi i / N)``, and ``s - 1/4`` takes the place of ``s``.

A pass is an intrinsic: plain loops over the lanes take 2 to 6 times as long (radix 4, float32, 16 lanes, on a Xeon), as
LLVM makes no vectors of loops that read and write the same places.
"""

from math import sqrt

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from .emit import I64, SCALARS, Emitter, behind, constant, load, multiply_add, splat, store

#: Cosines and sines of whole parts of a turn, ``2 pi k / n`` for ``k`` from 1 to ``n // 2``.
_TURNS = {
    3: [(-0.5, 0.86602540378443864676)],
    5: [(0.30901699437494742410, 0.95105651629515357212), (-0.80901699437494742410, 0.58778525229247312917)],
}


@Emitter
def butterflies(
    b, dtype, lanes, radix, inverse, turned, folded, /, source, source_pitch, source_plane, target, target_pitch,
    target_plane, blocks, span, twiddles,
):  # fmt: skip
    """Run a pass of a radix over so many lanes, or undo the forward pass, times the radix.

    It is ``turned`` where there are twiddles: a span of 1 has none. It is ``folded`` where it is the first pass of a
    folded line.

    ``source`` and ``target`` are the addresses of the first sample's real parts, the pitches the bytes from a sample
    of a line to the next, the planes those from real to imaginary parts. ``twiddles`` is the address of
    `twiddle_table`'s rows, one for each ``j``.
    """
    size, sign = np.dtype(dtype).itemsize, 1 if inverse else -1
    arithmetic = _Complex(b, ir.VectorType(SCALARS[dtype], lanes))
    shifts = radix if folded else 0

    def multiply(numbers, address, first):
        """Multiply numbers by those of a row from the ``first`` one on."""
        results = []
        for q, number in enumerate(numbers, first):
            parts = [load(b, behind(b, address, size * (2 * q + part)), SCALARS[dtype]) for part in (0, 1)]
            factor = [splat(b, arithmetic.vector, part) for part in parts]
            results.append(arithmetic.multiply(number, factor, conjugate=inverse))
        return results

    def turn(numbers, address):
        return [numbers[0], *multiply(numbers[1:], address, shifts)] if turned else numbers

    def shift(numbers, address):
        return multiply(numbers, address, 0) if folded else numbers

    with cgutils.for_range(b, blocks, intp=I64) as block:
        first = b.mul(b.mul(block.index, span), ir.Constant(I64, radix))
        with cgutils.for_range(b, span, intp=I64) as within:
            here = b.add(first, within.index)
            places = [behind(b, here, (span, q)) for q in range(radix)]
            address = behind(b, twiddles, (within.index, 2 * size * (shifts + radix - 1)))
            numbers = [arithmetic.load(behind(b, source, (place, source_pitch)), source_plane) for place in places]
            if inverse:
                numbers = shift(arithmetic.transform(turn(numbers, address), sign), address)
            else:
                numbers = turn(arithmetic.transform(shift(numbers, address), sign), address)
            for place, number in zip(places, numbers, strict=True):
                arithmetic.store(number, behind(b, target, (place, target_pitch)), target_plane)


class _Complex:
    """Arithmetic of pairs of vectors, real and imaginary parts."""

    def __init__(self, b, vector):
        self.b, self.vector = b, vector

    def load(self, address, plane):
        return tuple(load(self.b, part, self.vector) for part in (address, behind(self.b, address, plane)))

    def store(self, number, address, plane):
        for part, where in zip(number, (address, behind(self.b, address, plane)), strict=True):
            store(self.b, part, where)

    def add(self, x, y):
        return tuple(self.b.fadd(p, q) for p, q in zip(x, y, strict=True))

    def subtract(self, x, y):
        return tuple(self.b.fsub(p, q) for p, q in zip(x, y, strict=True))

    def multiply(self, x, w, conjugate=False):
        (a, c), (u, v) = x, w
        b, minus = self.b, self.b.fneg
        if conjugate:
            return multiply_add(b, a, u, b.fmul(c, v)), multiply_add(b, c, u, minus(b.fmul(a, v)))
        return multiply_add(b, a, u, minus(b.fmul(c, v))), multiply_add(b, a, v, b.fmul(c, u))

    def times(self, factor, x, plus):
        """Return ``factor * x + plus``, for a real constant."""
        factor = constant(self.vector, factor)
        return tuple(multiply_add(self.b, factor, p, q) for p, q in zip(x, plus, strict=True))

    def quarter(self, x, sign):
        """Return ``x`` times ``sign * i``."""
        return (self.b.fneg(x[1]), x[0]) if sign > 0 else (x[1], self.b.fneg(x[0]))

    def add_turned(self, x, y, eighths, sign):
        """Return ``x`` plus and minus ``y * exp(sign * 2 pi i eighths / 8)``."""
        b = self.b
        if eighths >= 2:
            y = self.quarter(y, sign)
        if eighths % 2 == 0:
            return self.add(x, y), self.subtract(x, y)
        a, c = y
        turned = (b.fsub(a, c), b.fadd(a, c)) if sign > 0 else (b.fadd(a, c), b.fsub(c, a))
        return self.times(sqrt(0.5), turned, x), self.times(-sqrt(0.5), turned, x)

    def transform(self, x, sign):
        """Return the discrete Fourier transform of as many numbers as a radix says: 2, 4 or 8, 3 or 5."""
        n = len(x)
        if n == 1:
            return x
        if n in _TURNS:
            return self._odd(x, sign)
        even, odd = self.transform(x[::2], sign), self.transform(x[1::2], sign)
        pairs = [self.add_turned(p, q, 8 // n * k, sign) for k, (p, q) in enumerate(zip(even, odd, strict=True))]
        return [plus for plus, _ in pairs] + [minus for _, minus in pairs]

    def _odd(self, x, sign):
        """Transform an odd number of samples by their sums and differences across the middle."""
        n = len(x)
        sums = [self.add(x[k], x[n - k]) for k in range(1, n // 2 + 1)]
        differences = [self.quarter(self.subtract(x[k], x[n - k]), sign) for k in range(1, n // 2 + 1)]
        total = x[0]
        for pair in sums:
            total = self.add(total, pair)
        results = [total] + [None] * (n - 1)
        zero = (constant(self.vector, 0.0),) * 2
        for s in range(1, n // 2 + 1):
            even, odd = x[0], None
            for k in range(1, n // 2 + 1):
                turn = k * s % n
                cosine, sine = _TURNS[n][min(turn, n - turn) - 1]
                even = self.times(cosine, sums[k - 1], even)
                odd = self.times(sine if 2 * turn < n else -sine, differences[k - 1], odd or zero)
            results[s], results[n - s] = self.add(even, odd), self.subtract(even, odd)
        return results


@Emitter
def products(b, dtype, lanes, accumulate, conjugate, /, source, table, target, count):
    """Multiply ``count`` samples by those of a table, frequency by frequency: ``target = source * table``.

    All three are slabs: a vector of real parts, then one of imaginary parts, for each sample. ``conjugate`` takes the
    table's conjugates, ``accumulate`` adds to what the target holds.
    """
    arithmetic, plane = _Complex(b, ir.VectorType(SCALARS[dtype], lanes)), lanes * np.dtype(dtype).itemsize
    with cgutils.for_range(b, count, intp=I64) as sample:
        read, weight, write = (behind(b, address, (sample.index, 2 * plane)) for address in (source, table, target))
        number = arithmetic.multiply(arithmetic.load(read, plane), arithmetic.load(weight, plane), conjugate)
        if accumulate:
            number = arithmetic.add(number, arithmetic.load(write, plane))
        arithmetic.store(number, write, plane)
