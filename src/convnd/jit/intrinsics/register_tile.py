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

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compile import function
from ..machine import CACHE_LINE
from .emit import I64, SCALARS, constant, load, multiply_add, prefetch, splat, store
from .memory import passed


@dataclass(frozen=True)
class RegisterTile:
    """The shape of a register tile: what one compiled routine computes.

    Parameters
    ----------
    dtype : str
        Working type, "float32", "float64" or "int64".
    rows, vectors, lanes : int
        Accumulators: ``rows`` x ``vectors`` vectors of ``lanes`` elements.
    interleaved : bool
        Whether the rows are neighbouring vectors of one line: row ``r``'s vector ``v`` then starts ``r + v*rows``
        vectors from the first.
    across : bool
        Whether the lanes are output channels and the rows neighbouring outputs: a tap then loads vectors of weights
        and spreads one sample of each row.
    runs : tuple of (int, int)
        The runs of rows that a group of taps feeds.
    """

    dtype: str
    rows: int
    vectors: int
    lanes: int
    interleaved: bool
    runs: tuple[tuple[int, int], ...]
    across: bool = False

    @property
    def block(self) -> int:
        """Neighbouring outputs of one line that the tile computes at once."""
        if self.across:
            return self.rows
        return self.vectors * self.lanes * (self.rows if self.interleaved else 1)


@intrinsic(prefer_literal=True)
def register_tile(typingctx, shape, x, offsets, weights, bounds, steps, out, out_row, blocks, ahead, x_row):
    """Run the register tile of the literal `RegisterTile` text ``shape`` over ``blocks`` neighbouring blocks.

    ``x``, ``out`` and the tables are addresses: ``offsets`` counts in bytes, ``weights`` is (taps, rows) or, across
    channels, (taps, vectors * lanes), ``bounds`` (steps, groups + 1). ``steps`` counts outer steps. ``out_row`` and
    ``x_row`` are bytes between neighbouring rows, ``ahead`` those from a block to the rows that memory is asked for;
    interleaved rows need none of the three.
    """
    tile = RegisterTile(**json.loads(shape.literal_value))
    signature = types.void(shape, *[types.intp] * 10)

    def codegen(context, builder, signature, args):
        emit_register_tile(builder, tile, *args[1:])
        return context.get_dummy_value()

    return signature, codegen


def emit_register_tile(b, tile, x, offsets, weights, bounds, steps, out, out_row, blocks, ahead, x_row):
    """Emit the code of a register tile of a shape; the arguments are values, as `register_tile` describes them."""
    size = np.dtype(tile.dtype).itemsize
    scalar = SCALARS[tile.dtype]
    vector = ir.VectorType(scalar, tile.lanes)
    rows, vectors = range(tile.rows), range(tile.vectors)
    spacing = size * tile.lanes * (tile.rows if tile.interleaved else 1)
    filters = tile.vectors * tile.lanes if tile.across else tile.rows  # that a tap has weights for

    def add(address, offset):
        return b.add(address, offset if isinstance(offset, ir.Value) else ir.Constant(I64, offset))

    def scaled(value, factor):
        return b.mul(value, ir.Constant(I64, factor))

    acc = [[cgutils.alloca_once(b, vector) for _ in vectors] for _ in rows]
    with cgutils.for_range(b, blocks, intp=I64) as block:
        start = b.mul(block.index, scaled(x_row, tile.rows) if tile.across else ir.Constant(I64, tile.block * size))
        for r in rows:
            for v in vectors:
                b.store(constant(vector, 0), acc[r][v])
        if not tile.interleaved and not tile.across:
            _prefetch_rows(b, add(add(x, start), ahead), x_row, tile)
        with cgutils.for_range(b, steps, intp=I64) as outer:
            ends = add(bounds, scaled(outer.index, 8 * (len(tile.runs) + 1)))
            for g, (r0, r1) in enumerate(tile.runs):
                first, last = (load(b, add(ends, 8 * (g + side)), I64, 8) for side in (0, 1))
                with cgutils.for_range_slice(b, first, last, ir.Constant(I64, 1), intp=I64) as (tap, _):
                    base = add(add(x, start), load(b, add(offsets, scaled(tap, 8)), I64, 8))
                    weight = add(weights, scaled(tap, filters * size))
                    loaded = [load(b, add(weight if tile.across else base, v * spacing), vector) for v in vectors]
                    for r in range(r0, r1):
                        one = add(base, b.mul(x_row, ir.Constant(I64, r))) if tile.across else add(weight, r * size)
                        spread = splat(b, vector, load(b, one, scalar))
                        for v in vectors:
                            total = multiply_add(b, loaded[v], spread, b.load(acc[r][v], typ=vector))
                            b.store(total, acc[r][v])
        written = b.mul(block.index, scaled(out_row, tile.rows)) if tile.across else start
        for r in rows:
            row = r * tile.lanes * size if tile.interleaved else b.mul(ir.Constant(I64, r), out_row)
            row = add(add(out, written), row)
            for v in vectors:
                store(b, b.load(acc[r][v], typ=vector), add(row, v * spacing))


def _prefetch_rows(b, address, x_row, tile):
    """Ask for the rows that the next tile will read: waiting for memory is what small kernels do most."""
    for r in range(tile.rows):
        row = b.add(address, b.mul(x_row, ir.Constant(I64, r)))
        for line in range(0, tile.block * np.dtype(tile.dtype).itemsize, CACHE_LINE):
            prefetch(b, b.add(row, ir.Constant(I64, line)))


@lru_cache(maxsize=256)
def compile_register_tile(tile: RegisterTile) -> Any:
    """Compile the register tile of one shape."""
    shape = json.dumps(asdict(tile))

    def run_tile(arguments):
        x, offsets, weights, bounds, steps, out, out_row, blocks, ahead, x_row = passed(arguments, 10)
        register_tile(shape, x, offsets, weights, bounds, steps, out, out_row, blocks, ahead, x_row)

    return function(run_tile)


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
