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

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import cos, pi, sin, sqrt
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compile import function
from .emit import I64, POINTER, SCALARS, constant, declare, splat
from .memory import passed


@dataclass(frozen=True)
class Pass:
    """What one compiled pass does.

    Parameters
    ----------
    dtype : str
        "float32" or "float64".
    lanes : int
        Lines that are transformed at once.
    radix : int
        The factor ``r``.
    inverse : bool
        Whether it undoes the forward pass, times ``r``.
    turned : bool
        Whether there are twiddles: a span of 1 has none.
    folded : bool
        Whether it is the first pass of a folded line; it has a twiddle for result 0 too.
    """

    dtype: str
    lanes: int
    radix: int
    inverse: bool
    turned: bool
    folded: bool = False


@intrinsic(prefer_literal=True)
def butterflies(
    typingctx, shape, source, source_pitch, source_plane, target, target_pitch, target_plane, blocks, span, twiddles
):
    """Run the pass of the literal `Pass` text ``shape``.

    ``source`` and ``target`` are the addresses of the first sample's real parts, the pitches the bytes from a sample
    of a line to the next, the planes those from real to imaginary parts. ``twiddles`` is the address of ``radix - 1``
    complex numbers for each ``j``, or of ``radix``.
    """
    wanted = Pass(**json.loads(shape.literal_value))
    signature = types.void(shape, *[types.intp] * 9)

    def codegen(context, builder, signature, args):
        _emit_pass(builder, wanted, *args[1:])
        return context.get_dummy_value()

    return signature, codegen


def _emit_pass(
    b, wanted, source, source_pitch, source_plane, target, target_pitch, target_plane, blocks, span, twiddles
):
    scalar = SCALARS[wanted.dtype]
    size = np.dtype(wanted.dtype).itemsize
    radix, sign = range(wanted.radix), 1 if wanted.inverse else -1
    arithmetic = _Complex(b, ir.VectorType(scalar, wanted.lanes), size)
    first_turned = 0 if wanted.folded else 1  # result

    def turn(number, q, address):
        if not wanted.turned or q < first_turned:
            return number
        place = 2 * (q - first_turned)
        parts = [
            b.load(b.inttoptr(b.add(address, ir.Constant(I64, size * (place + part))), POINTER), typ=scalar)
            for part in (0, 1)
        ]
        return arithmetic.multiply(
            number, tuple(splat(b, arithmetic.vector, part) for part in parts), conjugate=wanted.inverse
        )

    def shift(numbers):
        """Shift the frequencies by a quarter, against the sign of the transform."""
        if not wanted.folded:
            return numbers
        return [arithmetic.turn(number, q, 4 * wanted.radix, -sign) for q, number in enumerate(numbers)]

    with cgutils.for_range(b, blocks, intp=I64) as block:
        first = b.mul(b.mul(block.index, span), ir.Constant(I64, wanted.radix))
        with cgutils.for_range(b, span, intp=I64) as within:
            here = b.add(first, within.index)
            places = [b.add(here, b.mul(span, ir.Constant(I64, q))) for q in radix]
            address = b.add(twiddles, b.mul(within.index, ir.Constant(I64, 2 * size * (wanted.radix - first_turned))))
            numbers = [arithmetic.load(b.add(source, b.mul(place, source_pitch)), source_plane) for place in places]
            if wanted.inverse:
                numbers = [turn(number, q, address) for q, number in enumerate(numbers)]
                numbers = shift(arithmetic.transform(numbers, sign))
            else:
                numbers = arithmetic.transform(shift(numbers), sign)
                numbers = [turn(number, q, address) for q, number in enumerate(numbers)]
            for place, number in zip(places, numbers, strict=True):
                arithmetic.store(number, b.add(target, b.mul(place, target_pitch)), target_plane)


class _Complex:
    """Arithmetic of pairs of vectors, real and imaginary parts."""

    def __init__(self, b, vector, size):
        self.b, self.vector = b, vector
        self.fma = declare(b, f"llvm.fmuladd.v{vector.count}f{8 * size}", vector, [vector] * 3)

    def load(self, address, plane):
        b = self.b
        parts = (address, b.add(address, plane))
        return tuple(b.load(b.inttoptr(part, POINTER), typ=self.vector, align=1) for part in parts)

    def store(self, number, address, plane):
        b = self.b
        for part, where in zip(number, (address, b.add(address, plane)), strict=True):
            b.store(part, b.inttoptr(where, POINTER), align=1)

    def add(self, x, y):
        return tuple(self.b.fadd(p, q) for p, q in zip(x, y, strict=True))

    def subtract(self, x, y):
        return tuple(self.b.fsub(p, q) for p, q in zip(x, y, strict=True))

    def multiply(self, x, w, conjugate=False):
        (a, c), (u, v) = x, w
        b, minus = self.b, self.b.fneg
        if conjugate:
            return b.call(self.fma, [a, u, b.fmul(c, v)]), b.call(self.fma, [c, u, minus(b.fmul(a, v))])
        return b.call(self.fma, [a, u, minus(b.fmul(c, v))]), b.call(self.fma, [a, v, b.fmul(c, u)])

    def times(self, factor, x, plus):
        """Return ``factor * x + plus``, for a real constant."""
        factor = constant(self.vector, factor)
        return tuple(self.b.call(self.fma, [factor, p, q]) for p, q in zip(x, plus, strict=True))

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


@lru_cache(maxsize=64)
def compile_pass(wanted: Pass) -> Any:
    """Compile one pass."""
    shape = json.dumps(asdict(wanted))

    def run_pass(arguments):
        source, source_pitch, source_plane, target, target_pitch, target_plane, blocks, span, twiddles = passed(
            arguments, 9
        )
        butterflies(
            shape, source, source_pitch, source_plane, target, target_pitch, target_plane, blocks, span, twiddles
        )

    return function(run_pass)


@intrinsic(prefer_literal=True)
def products(typingctx, dtype, lanes, accumulate, conjugate, source, table, target, count):
    """Multiply ``count`` samples by those of a table, frequency by frequency: ``target = source * table``.

    All three are slabs: a vector of real parts, then one of imaginary parts, for each sample. The literal
    ``conjugate`` takes the table's conjugates, ``accumulate`` adds to what the target holds.
    """
    scalar, size = SCALARS[dtype.literal_value], np.dtype(dtype.literal_value).itemsize
    signature = types.void(dtype, lanes, accumulate, conjugate, *[types.intp] * 4)
    adds, conjugates = bool(accumulate.literal_value), bool(conjugate.literal_value)
    plane = lanes.literal_value * size

    def codegen(context, b, signature, args):
        arithmetic = _Complex(b, ir.VectorType(scalar, lanes.literal_value), size)
        step = ir.Constant(I64, plane)
        with cgutils.for_range(b, args[7], intp=I64) as sample:
            offset = b.mul(sample.index, ir.Constant(I64, 2 * plane))
            source, table, target = (b.add(address, offset) for address in args[4:7])
            number = arithmetic.multiply(arithmetic.load(source, step), arithmetic.load(table, step), conjugates)
            if adds:
                number = arithmetic.add(number, arithmetic.load(target, step))
            arithmetic.store(number, target, step)
        return context.get_dummy_value()

    return signature, codegen


@lru_cache(maxsize=16)
def compile_product(dtype: str, lanes: int, accumulate: bool, conjugate: bool) -> Any:
    """Compile a product of slabs."""
    adds, conjugates = int(accumulate), int(conjugate)

    def multiply(source, table, target, count):
        products(dtype, lanes, adds, conjugates, source, table, target, count)

    return function(multiply)
