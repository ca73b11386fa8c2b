"""The transpose of a convolution, as convolutions.

Output ``o`` reads position ``i`` by tap ``t`` where ``upsample*i = stride*o + dilation*t - before``. Read from its
other end, ``i`` is an output that reads ``o`` by the kernel turned round:

    stride * o = upsample * i + dilation * (K-1-t) - (extent - 1 - before)

So the transpose is a convolution with stride and upsampling exchanged, and so are the channels. It is computed for all
positions that are read from a sample; what it gives those outside the array, the boundary folds onto the samples that
supply them. Around a circle there is no outside: where as many outputs as samples wrap, so does the transpose.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..methods import tuning
from ..problem import dtypes
from ..problem.axis import Axis
from ..problem.boundary import CONSTANT, WRAP, Ends, input_index
from ..problem.request import Request

Box = Sequence[tuple[int, int]]


def boxes(request: Request) -> list[Box]:
    """Return the positions of the transpose in boxes, each the first and the one behind the last along each axis.

    One box has all positions. Where the array is large, it is a box of its own, the first, so that memory beside it
    is needed for the few positions outside alone.
    """
    read, inside = [_positions_read(axis) for axis in request.axes], [(0, axis.length) for axis in request.axes]
    samples, positions = (prod(end - low for low, end in own) for own in (inside, read))
    if request.x.size < tuning.TUNING.large_adjoint or positions > tuning.TUNING.adjoint_growth * samples:
        return [read]
    return [inside, *_around(inside, read)]


def transposed(request: Request, dtype: np.dtype[Any], box: Box) -> Request:
    """Return the convolution that makes up the transpose of a request, in a box of positions, for outputs of a type.

    Its kernel is turned round, and its channels are exchanged.
    """
    kernel, shape, channel = request.kernel.conj(), list(request.out_shape), request.channel_axis
    if channel is not None:
        kernel = _exchanged(request, kernel)
        if not request.is_bank:
            shape.insert(channel, 1)
    result = dtypes.default_result(dtype, kernel.dtype)
    if result == np.float16:  # what is folded is added up
        result = np.dtype(np.float32)
    return request._replace(
        x=np.broadcast_to(np.zeros((), dtype), shape), x_dtype=dtype, kernel=kernel,
        axes=tuple(_transposed_axis(axis, *own) for axis, own in zip(request.axes, box, strict=True)),
        is_bank=channel is not None, is_flipped=not request.is_flipped, fill=0, nan_policy="propagate",
        working=dtypes.working(dtype, kernel, result, 0), scale=1.0, result=result, out=None,
    )  # fmt: skip


def fold(request: Request, box: Box, sums: np.ndarray, others: np.ndarray | None) -> np.ndarray:
    """Add the sums at a box's positions outside the array to those of the samples that the boundary puts there.

    Return the sums of the array: a part of ``sums`` where the box has the array, else ``others``.
    """
    for a, axis, (low, end) in zip(request.spatial, request.axes, box, strict=True):
        along = sums.swapaxes(0, a)
        if low <= 0 < end:
            inside = along[-low : axis.length - low]
        else:
            assert others is not None
            inside = others.swapaxes(0, a)
        for first, behind in (low, min(end, 0)), (max(low, axis.length), end):
            for place, count, source, step in _supplied(first, behind, axis.length, axis.boundary):
                values = along[first - low + place :][:count]
                if step == 0:
                    inside[source] += _total(values)
                else:
                    least = min(source, source + step * (count - 1))
                    inside[least : least + count] += values[::step]
        sums = inside.swapaxes(0, a)
    return sums


@lru_cache(maxsize=64)
def _supplied(first: int, end: int, length: int, ends: Ends) -> list[tuple[int, int, int, int]]:
    """Return the samples that the boundary puts at neighbouring positions outside the array, as runs.

    A run is its place, counted from the first position, how many samples it has, the first of them, and the step from
    one to the next: 1, -1, or 0 where one sample stands at all its positions.
    """
    sources = [input_index(position, length, 1, *ends) for position in range(first, end)]
    runs, place = [], 0
    while place < len(sources):
        source, count, step = sources[place], 1, 1
        if place + 1 < len(sources) and abs(sources[place + 1] - source) <= 1:
            step = sources[place + 1] - source
        while place + count < len(sources) and sources[place + count] == source + step * count:
            count += 1
        runs.append((place, count, source, step))
        place += count
    return runs


def sum_inside(request: Request, y: np.ndarray, sums: np.ndarray) -> None:
    """Sum anew what a transpose sums of zeros outside ``y`` too, without these zeros: infinity times 0 is NaN."""
    kinds, axes, groups = (y.dtype.kind, request.kernel.dtype.kind), request.axes, request.groups
    if kinds.count("c") == 1:  # each plane alone: NumPy would give the other factor an imaginary part of 0
        for part in "real", "imag":
            plane = request._replace(kernel=getattr(request.kernel, part)) if kinds[1] == "c" else request
            sum_inside(plane, getattr(y, part) if kinds[0] == "c" else y, getattr(sums, part))
        return
    rank, channel, weights = len(axes), request.channel_axis, request.kernel
    if channel is None:
        y, sums, weights, channel = y[..., None], sums[..., None], weights[..., None, None], -1
    else:
        weights = np.moveaxis(weights, [0, 1] if request.channels_first else [-1, -2], [-2, -1])
    if request.is_flipped:
        weights = np.flip(weights, tuple(range(rank)))
    y, sums = (np.moveaxis(array, [*request.spatial, channel], [*range(rank), -1]) for array in (y, sums))
    y = y.reshape(*y.shape[:-1], groups, weights.shape[-1])
    for box in _around([_inside(axis) for axis in axes], [(0, axis.outputs) for axis in axes]):
        target = sums[tuple(slice(*ends) for ends in box)]
        target[...] = 0
        for terms in product(*(_terms(axis, *ends) for axis, ends in zip(axes, box, strict=True))):
            tap, outputs, samples = zip(*terms, strict=True)
            filters = weights[tap].reshape(groups, -1, weights.shape[-1])
            products = np.einsum("...gi,goi->...go", y[np.ix_(*samples)], filters)
            target[np.ix_(*outputs)] += products.reshape(*products.shape[:-2], sums.shape[-1])


def _around(inside: Box, whole: Box) -> list[Box]:
    """Return the boxes that make up what is in one box and not in another inside it."""
    return [
        [*whole[:a], own, *inside[a + 1 :]]
        for a, (low, end) in enumerate(whole)
        for own in ((low, inside[a][0]), (inside[a][1], end))
        if own[0] < own[1]
    ]


def _inside(axis: Axis) -> tuple[int, int]:
    """Return the first output that reads nothing outside the samples, and the one behind the last of them."""
    if axis.boundary == (WRAP, WRAP):
        return 0, axis.outputs
    first, end = axis.inside
    first = min(first, axis.outputs)
    return first, max(first, end)


def _terms(axis: Axis, first: int, end: int) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """Return each tap by which outputs ``first`` to ``end`` read samples, these outputs from 0 on, and the samples."""
    found, outputs = [], np.arange(end - first)
    for tap in range(axis.taps):
        samples, behind = axis.reads(tap, outputs + first)
        if axis.boundary == (WRAP, WRAP):
            samples %= axis.length
        there = (behind == 0) & (samples >= 0) & (samples < axis.length)
        if there.any():
            found.append((tap, outputs[there], samples[there]))
    return found


def _total(values: np.ndarray) -> np.ndarray:
    """Return the sum along the first axis: one half is added to the other until a single entry is left.

    NumPy adds in an order that depends on the layout of memory, which would give a line other bits than in a batch.
    """
    while len(values) > 1:
        half = len(values) // 2
        values = np.concatenate([values[:half] + values[half : 2 * half], values[2 * half :]])
    return values[0]


def _positions_read(axis: Axis) -> tuple[int, int]:
    """Return the first position of the array, or read from a sample, and the one behind the last such position.

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
