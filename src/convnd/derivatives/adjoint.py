"""The transpose of a convolution, as convolutions.

Output ``o`` reads position ``i`` by tap ``t`` where ``upsample*i = stride*o + dilation*t - before``. Read from its
other end, ``i`` is an output that reads ``o`` by the kernel turned round:

    stride * o = upsample * i + dilation * (K-1-t) - (extent - 1 - before)

So the transpose is a convolution with stride and upsampling exchanged, and so are the channels. What it gives positions
outside the array, the boundary folds onto the samples that supply them. Around a circle there is no outside: where as
many outputs as samples wrap, so does the transpose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..problem import dtypes
from ..problem.axis import Axis
from ..problem.boundary import CONSTANT, WRAP, supplied
from ..problem.request import Request


@dataclass(frozen=True)
class Piece:
    """A box of positions of ``x``, and the convolution that computes the transpose there.

    ``first`` is the box's first position along each spatial axis; ``outside`` the number of the spatial axis that it
    lies outside the array along, None for the array itself. Along later axes it may reach beyond the array.
    """

    request: Request
    first: tuple[int, ...]
    outside: int | None = None


def transposed(request: Request, dtype: np.dtype[Any]) -> list[Piece]:
    """Return the convolutions that make up the transpose of a request, for outputs of a type.

    The first computes the samples of ``x``; there are others where the boundary supplies positions outside from them.
    """
    reads = [_samples_read(axis) for axis in request.axes]
    inside = [(0, axis.length) for axis in request.axes]
    boxes: list[tuple[list[tuple[int, int]], int | None]] = [(inside, None)]
    for a, (axis, (low, end)) in enumerate(zip(request.axes, reads, strict=True)):
        ends = [(low, 0), (axis.length, end)]
        boxes += [([*inside[:a], span, *reads[a + 1 :]], a) for span in ends if span[0] < span[1]]
    turned = _turned(request, dtype)
    pieces = []
    for box, outside in boxes:
        axes = tuple(_transposed_axis(axis, *span) for axis, span in zip(request.axes, box, strict=True))
        pieces.append(Piece(replace(turned, axes=axes), tuple(first for first, _ in box), outside))
    return pieces


def fold(request: Request, piece: Piece, values: np.ndarray, result: np.ndarray) -> None:
    """Add what a piece outside the array has computed to the samples that the boundary supplies it from."""
    assert piece.outside is not None
    for number in reversed(range(piece.outside, len(request.axes))):
        a, axis, target = request.spatial[number], request.axes[number], result
        if number > piece.outside:
            target = np.zeros((*values.shape[:a], axis.length, *values.shape[a + 1 :]), values.dtype)
        _add_along(target, a, axis, piece.first[number], values)
        values = target


def _samples_read(axis: Axis) -> tuple[int, int]:
    """Return the first position that an axis reads from a sample and the one behind the last, those of the array too.

    Beyond an end under "constant" the fill value stands, which is no sample.
    """
    (low, high), (before, after) = axis.read(0, axis.outputs), axis.boundary
    if _is_circle(axis):
        return 0, axis.length
    return 0 if before == CONSTANT else min(0, low), axis.length if after == CONSTANT else max(axis.length, high)


def _is_circle(axis: Axis) -> bool:
    """Return whether outputs and samples are as many, around one circle."""
    return axis.boundary == (WRAP, WRAP) and axis.stride == axis.upsample == 1 and axis.outputs == axis.length


def _transposed_axis(axis: Axis, first: int, end: int) -> Axis:
    """Return the axis of outputs that the transpose's samples ``first`` to ``end`` read."""
    before = axis.extent - 1 - axis.before
    if _is_circle(axis):
        return replace(axis, before=before, after=axis.before)
    whole = Axis(axis.outputs, axis.taps, axis.upsample, axis.dilation, before, upsample=axis.stride)
    return whole.part(first, end)


def _turned(request: Request, dtype: np.dtype[Any]) -> Request:
    """Return the request whose kernel is turned round and whose channels are exchanged, for outputs of a type."""
    kernel, shape, channel = request.kernel.conj(), list(request.out_shape), request.channel_axis
    if channel is not None:
        kernel = _exchanged(request, kernel)
        if not request.is_bank:
            shape.insert(channel, 1)
    result = dtypes.default_result(dtype, kernel.dtype)
    if result == np.float16:  # pieces are added up
        result = np.dtype(np.float32)
    return replace(
        request, x=np.broadcast_to(np.zeros((), dtype), shape), x_dtype=dtype, kernel=kernel,
        is_bank=channel is not None, is_flipped=not request.is_flipped, fill=0,
        working=dtypes.working(dtype, kernel, result, 0), result=result, out=None,
    )  # fmt: skip


def _exchanged(request: Request, kernel: np.ndarray) -> np.ndarray:
    """Return a kernel with input and output channels exchanged, group by group."""
    if not request.is_bank:
        return kernel[:, None] if request.channels_first else kernel[..., None, :]
    if not request.channels_first:
        kernel = np.moveaxis(kernel, [-1, -2], [0, 1])
    out_channels, in_channels, *taps = kernel.shape
    kernel = kernel.reshape(request.groups, out_channels // request.groups, in_channels, *taps).swapaxes(1, 2)
    kernel = kernel.reshape(request.groups * in_channels, out_channels // request.groups, *taps)
    return kernel if request.channels_first else np.moveaxis(kernel, [0, 1], [-1, -2])


def _add_along(result: np.ndarray, a: int, axis: Axis, first: int, values: np.ndarray) -> None:
    """Add ``values`` at positions from ``first`` on along an axis to the samples of ``result`` that supply them."""
    result, values = np.moveaxis(result, a, 0), np.moveaxis(values, a, 0)
    for run in supplied(first, first + len(values), axis.length, axis.boundary):
        piece = values[run.place : run.place + run.length]
        if run.step == 0:
            result[run.source] += piece.sum(axis=0, dtype=result.dtype)
        else:
            low, high = run.span
            result[low:high] += piece[:: run.step]
