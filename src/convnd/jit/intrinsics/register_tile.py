"""The register tile: rows x vectors of outputs, summed in registers.

The register tile computes ``rows x vectors`` vectors of outputs in registers. It knows nothing of axes, only of
taps: each a byte offset from the tile's first sample, and the run ``r0..r1`` of rows that it feeds::

    for each block of outputs
        for each outer step z
            for each group g of taps that feed the same run r0..r1       (unrolled)
                for each tap t of the group
                    load the vectors at x + offset[t]
                    for r in r0..r1:  acc[r] += weight[t, r] * vectors   (fused multiply-adds)
        store the vectors

Across channels the roles change: the vectors are weights, of neighbouring output channels, and each row spreads its
one sample of the tap, ``acc[r] += x[r, offset[t]] * weight[t]``.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit
from numba.core import cgutils

from ..machine import CACHE_LINE
from .emit import I64, SCALARS, Emitter, behind, constant, load, multiply_add, prefetch, splat, store


class RegisterTile(NamedTuple):
    """The shape of a register tile: what one compiled routine computes, ``rows`` x ``vectors`` vectors of ``lanes``."""

    dtype: str  # the working type, "float32", "float64" or "int64"
    rows: int
    vectors: int
    lanes: int
    interleaved: bool  # rows are neighbouring vectors of one line: row r's vector v starts r + v*rows from the first
    runs: tuple[tuple[int, int], ...]  # of rows, that a group of taps feeds
    across: bool = False  # lanes are output channels, rows neighbouring outputs: a tap spreads a sample of each row

    @property
    def block(self) -> int:
        """Neighbouring outputs of one line that the tile computes at once."""
        if self.across:
            return self.rows
        return self.vectors * self.lanes * (self.rows if self.interleaved else 1)


@Emitter
def register_tile(b, shape, /, x, offsets, weights, bounds, steps, out, out_row, blocks, ahead, x_row):
    """Run the register tile of a `RegisterTile` over ``blocks`` neighbouring blocks.

    ``x``, ``out`` and the tables are addresses: ``offsets`` counts in bytes, ``weights`` is (taps, rows) or, across
    channels, (taps, vectors * lanes), ``bounds`` (steps, groups + 1). ``steps`` counts outer steps. ``out_row`` and
    ``x_row`` are bytes between neighbouring rows, ``ahead`` those from a block to the rows that memory is asked for;
    interleaved rows need none of the three.
    """
    tile = RegisterTile(*shape)
    size = np.dtype(tile.dtype).itemsize
    scalar = SCALARS[tile.dtype]
    vector = ir.VectorType(scalar, tile.lanes)
    rows, vectors = range(tile.rows), range(tile.vectors)
    spacing = size * tile.lanes * (tile.rows if tile.interleaved else 1)
    filters = tile.vectors * tile.lanes if tile.across else tile.rows  # that a tap has weights for
    step_x, step_out = (
        b.mul(row, ir.Constant(I64, tile.rows)) if tile.across else tile.block * size for row in (x_row, out_row)
    )
    acc = [[cgutils.alloca_once(b, vector) for _ in vectors] for _ in rows]
    with cgutils.for_range(b, blocks, intp=I64) as block:
        start = behind(b, x, (block.index, step_x))
        for r in rows:
            for v in vectors:
                b.store(constant(vector, 0), acc[r][v])
        if not tile.interleaved and not tile.across:  # waiting for memory is what small kernels do most
            with b.if_then(b.icmp_signed("!=", ahead, ir.Constant(I64, 0))):
                for r in rows:
                    for line in range(0, tile.block * size, CACHE_LINE):
                        prefetch(b, behind(b, start, ahead, (x_row, r), line))
                        prefetch(b, behind(b, out, (block.index, step_out), (out_row, r), line), writes=True)
        with cgutils.for_range(b, steps, intp=I64) as outer:
            ends = behind(b, bounds, (outer.index, 8 * (len(tile.runs) + 1)))
            for g, (r0, r1) in enumerate(tile.runs):
                first, last = (load(b, behind(b, ends, 8 * (g + side)), I64, 8) for side in (0, 1))
                with cgutils.for_range_slice(b, first, last, ir.Constant(I64, 1), intp=I64) as (tap, _):
                    base = behind(b, start, load(b, behind(b, offsets, (tap, 8)), I64, 8))
                    weight = behind(b, weights, (tap, filters * size))
                    lines = weight if tile.across else base
                    loaded = [load(b, behind(b, lines, v * spacing), vector) for v in vectors]
                    for r in range(r0, r1):
                        one = behind(b, base, (x_row, r)) if tile.across else behind(b, weight, r * size)
                        spread = splat(b, vector, load(b, one, scalar))
                        for v in vectors:
                            total = multiply_add(b, loaded[v], spread, b.load(acc[r][v], typ=vector))
                            b.store(total, acc[r][v])
        for r in rows:
            row = r * tile.lanes * size if tile.interleaved else (out_row, r)
            for v in vectors:
                place = behind(b, out, (block.index, step_out), row, v * spacing)
                store(b, b.load(acc[r][v], typ=vector), place)


@njit(error_model="numpy")
def plain_tile(x, offsets, weights, bounds, out, tile_rows, runs):
    """Compute what the register tile does, row by row: the same sums in the same order, by plain Numba.

    ``x`` and ``out`` are arrays of samples, ``out`` with ``tile_rows`` rows; ``offsets`` count samples. Multiply-adds
    are not fused.
    """
    for row in range(tile_rows):
        for o in range(out.shape[1]):
            total = out.dtype.type(0)
            for step in range(len(bounds)):
                for group in range(len(runs)):
                    if runs[group][0] <= row < runs[group][1]:
                        for tap in range(bounds[step, group], bounds[step, group + 1]):
                            total += x[offsets[tap] + o] * weights[tap, row]
            out[row, o] = total
