"""How an output is cut into blocks of whole chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..problem.boundary import CONSTANT, WRAP
from ..problem.request import Request
from . import stores

_OWN_BYTES = 2**26  # of the memory allowed, at most: what a convolution takes beside its arrays

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Grid:
    """An output cut into blocks of one shape.

    The blocks follow each other along ``sweep``, the first axis that is cut.
    """

    shape: tuple[int, ...]
    block: tuple[int, ...]

    @property
    def sweep(self) -> int:
        """The axis along which blocks follow each other."""
        cut = [a for a, (length, own) in enumerate(zip(self.shape, self.block, strict=True)) if own < length]
        return cut[0] if cut else 0

    def boxes(self) -> Iterator[Box]:
        """Yield the first output of each block along each axis, and the one behind the last."""
        cuts = zip(self.shape, self.block, strict=True)
        spans = [[(first, min(first + own, length)) for first in range(0, length, own)] for length, own in cuts]
        if not spans:
            yield ()
            return
        along = spans.pop(self.sweep)
        for others in product(*spans):
            for span in along:
                yield (*others[: self.sweep], span, *others[self.sweep :])


def grid(x: Any, out: Any, request: Request, max_memory: int) -> Grid:
    """Return the grid of the largest blocks of whole chunks that the memory allowed holds twice, with what they read.

    The last axes are grown first: what blocks read beyond their own samples is read once along the axis that they
    follow each other along, and anew along others.
    """
    shape = request.out_shape
    channel = request.channel_axis if request.is_bank else None
    chunk = [min(a, b) or 1 for a, b in zip(stores.chunk_shape(out, writing=True), shape, strict=True)]
    if channel is not None:
        chunk[channel] = shape[channel]
    own = list(chunk)
    allowed = max_memory - min(_OWN_BYTES, max_memory // 8)

    def fits(block: Sequence[int]) -> bool:
        return _bytes(x, out, request, Grid(shape, tuple(block))) <= allowed

    if not fits(own):
        taken = _bytes(x, out, request, Grid(shape, tuple(own)))
        raise ValueError(
            f"max_memory is {max_memory} bytes, of which {allowed} are for blocks, but blocks of one chunk of out, "
            f"{tuple(own)}, take {taken} with the samples that they read"
        )
    for a in reversed(range(len(shape) if prod(shape) else 0)):
        chunks = -(-shape[a] // chunk[a])
        most, beyond = 1, chunks + 1  # chunks that fit, and that do not, or are more than there are
        while beyond - most > 1:
            some = (most + beyond) // 2
            if fits([*own[:a], min(some * chunk[a], shape[a]), *own[a + 1 :]]):
                most = some
            else:
                beyond = some
        blocks = -(-chunks // most)
        own[a] = min(-(-chunks // blocks) * chunk[a], shape[a])
    return Grid(shape, tuple(own))


def _bytes(x: Any, out: Any, request: Request, grid: Grid) -> int:
    """Return the bytes that blocks take while one is computed, the next is read and the last is written."""
    read = stores.chunk_shape(x)
    samples = request.x.dtype.itemsize
    for a, length in enumerate(request.x.shape):
        if a == request.channel_axis:
            samples *= length
            continue
        at, axis = a - (a > request.dropped), request.along(a)
        low, high = axis.read(0, grid.block[at])
        most = high - low + (axis.upsample > 1)
        if request.mode == CONSTANT:
            most = min(most, length)
        samples *= most + (min(read[a], length) - 1 if at == grid.sweep else 0)
    # What the other end supplies is read before it is put in its place.
    windows, results = (1 if isinstance(array, np.ndarray) else 2 for array in (x, out))
    windows += 2 * (request.mode == WRAP)
    return windows * samples + results * prod(grid.block) * request.result.itemsize
