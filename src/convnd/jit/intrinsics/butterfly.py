"""Passes of a Fourier transform across vector lanes: every lane transforms a line of its own.

A line of ``N = r0 * r1 * ...`` complex samples is transformed in place by one pass for each factor ``r`` (decimation
in frequency, after Gentleman and Sande). With ``span`` the product of the factors that follow, a pass takes the samples
``j, j + span, ..., j + (r-1)*span`` of each block of ``r*span``, transforms these ``r`` and turns result ``s`` by the
twiddle ``w^(j*s)``, ``w = exp(-2 pi i / (r*span))``. Frequencies come out in permuted order. The inverse passes undo
them one by one from the last to the first, so nobody ever needs the order: a convolution multiplies spectra
frequency by frequency. Samples are planes of real and imaginary parts, a vector of lanes each.

The first pass of a *folded* line, which holds ``2 N`` real samples (`fourier` says how), shifts every frequency by a
quarter: ``s - 1/4`` takes the place of ``s``.

A pass is an intrinsic: plain loops over the lanes take 2 to 6 times as long (radix 4, float32, 16 lanes, on a Xeon), as
LLVM makes no vectors of loops that read and write the same places.
"""

from math import cos, pi, sin, sqrt

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from .emit import I64, SCALARS, Emitter, behind, constant, load, multiply_add, splat, store


@Emitter
def butterflies(
    b, dtype, lanes, radix, inverse, turned, folded, /, source, source_pitch, source_plane, target, target_pitch,
    target_plane, blocks, span, twiddles,
):  # fmt: skip
    """Run a pass of a radix over so many lanes, or undo the forward pass, times the radix.

    It is ``turned`` where there are twiddles: a span of 1 has none. It is ``folded`` where it is the first pass of a
    folded line, which has a twiddle for result 0 too.

    ``source`` and ``target`` are the addresses of the first sample's real parts, the pitches the bytes from a sample
    of a line to the next, the planes those from real to imaginary parts. ``twiddles`` is the address of ``radix - 1``
    complex numbers for each ``j``, or of ``radix``.
    """
    size, sign = np.dtype(dtype).itemsize, 1 if inverse else -1
    arithmetic = _Complex(b, ir.VectorType(SCALARS[dtype], lanes))
    first_turned = 0 if folded else 1  # result

    def turn(numbers, address):
        if not turned:
            return numbers
        results = numbers[:first_turned]
        for q, number in enumerate(numbers[first_turned:]):
            parts = [load(b, behind(b, address, size * (2 * q + part)), SCALARS[dtype]) for part in (0, 1)]
            twiddle = [splat(b, arithmetic.vector, part) for part in parts]
            results.append(arithmetic.multiply(number, twiddle, conjugate=inverse))
        return results

    def shift(numbers):
        """Shift the frequencies by a quarter, against the sign of the transform."""
        if not folded:
            return numbers
        return [arithmetic.turn(number, q, 4 * radix, -sign) for q, number in enumerate(numbers)]

    with cgutils.for_range(b, blocks, intp=I64) as block:
        first = b.mul(b.mul(block.index, span), ir.Constant(I64, radix))
        with cgutils.for_range(b, span, intp=I64) as within:
            here = b.add(first, within.index)
            places = [behind(b, here, (span, q)) for q in range(radix)]
            address = behind(b, twiddles, (within.index, 2 * size * (radix - first_turned)))
            numbers = [arithmetic.load(behind(b, source, (place, source_pitch)), source_plane) for place in places]
            if inverse:
                numbers = shift(arithmetic.transform(turn(numbers, address), sign))
            else:
                numbers = turn(arithmetic.transform(shift(numbers), sign), address)
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

    def turn(self, x, k, n, sign):
        """Return ``x * exp(sign * 2 pi i k / n)``."""
        b = self.b
        quarters, rest = divmod(4 * k, n)
        for _ in range(quarters % 4):
            x = self.quarter(x, sign)
        if rest == 0:
            return x
        angle = 2 * pi * (rest / (4 * n))
        if 2 * rest == n:  # an eighth of a turn
            half = constant(self.vector, sqrt(0.5))
            a, c = x
            turned = (b.fsub(a, c), b.fadd(a, c)) if sign > 0 else (b.fadd(a, c), b.fsub(c, a))
            return tuple(b.fmul(half, part) for part in turned)
        return self.multiply(x, (constant(self.vector, cos(angle)), constant(self.vector, sign * sin(angle))))

    def transform(self, x, sign):
        """Return the discrete Fourier transform of as many numbers as a radix says: 2, 4 or 8, 3 or 5."""
        n = len(x)
        if n == 1:
            return x
        if n == 2:
            return [self.add(*x), self.subtract(*x)]
        if n in (3, 5):
            return self._odd(x, sign)
        parts = [self.transform(x[c :: n // 2], sign) for c in range(n // 2)]
        results = [None] * n
        for k in (0, 1):
            turned = [self.turn(part[k], c * k, n, sign) for c, part in enumerate(parts)]
            results[k::2] = self.transform(turned, sign)
        return results

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
                even = self.times(cos(2 * pi * k * s / n), sums[k - 1], even)
                sine = sin(2 * pi * k * s / n)
                odd = self.times(sine, differences[k - 1], odd or zero)
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
