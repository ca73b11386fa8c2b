"""dask's arrays: a convolution as a graph, with a task for each chunk of outputs and one for each slab that they read.

A slab is what lies between two bounds along one axis of a chunk. Only slabs leave the worker that has the chunk, and
one slab goes to all neighbours that read it.
"""

from __future__ import annotations

import multiprocessing
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import accumulate, pairwise, product
from typing import Any, NamedTuple

import numpy as np

from ..jit.parallel import available, lent
from ..methods.blocks import Block, Plans, between, block, join, line, stand_in
from ..plan import Plan
from ..problem.arguments.parse import as_array, parse
from ..problem.dtypes import is_masked
from ..problem.options import Options, without_mask
from ..problem.recent import once
from ..problem.request import Request

_SLAB = 0.5  # of a chunk, at most; where a block reads more it takes all of the chunk


def convolve(x: Any, kernel: Any, out: Any, options: Options) -> Any:
    """Convolve a dask array as `convnd.convnd` promises: make a graph and compute nothing."""
    import dask.array as da
    from dask.base import tokenize
    from dask.highlevelgraph import HighLevelGraph
    from dask.task_spec import DataNode, Task, TaskRef

    if out is not None:
        raise TypeError(
            f"out must be None where x is a dask array, whose result is lazy, but is a {type(out).__name__}"
        )
    if not isinstance(x._meta, np.ndarray) or is_masked(x._meta):
        kind = type(x._meta).__name__
        raise TypeError(
            f"x has chunks of {kind}, but only numpy arrays are convolved: convert them first, by x.map_blocks"
        )
    unknown = [a for a, lengths in enumerate(x.chunks) if any(n != n for n in lengths)]
    if unknown:
        raise ValueError(f"x has chunks of unknown length along axis {unknown[0]}: call x.compute_chunk_sizes() first")
    kernel = as_array(kernel, "kernel").copy()  # the user's may change meanwhile
    chunked = Chunked(x.dtype, x.chunks, kernel, without_mask(options, "dask"))
    request = chunked.request
    dtype, chunks, dropped = request.result, chunked.output_chunks, request.dropped
    if 0 in request.out_shape:
        return da.zeros(request.out_shape, dtype=dtype, chunks=chunks)
    token = tokenize(x.name, chunked.kernel, options)
    name, slab_name, shared = f"convnd-{token}", f"convnd-slab-{token}", f"convnd-kernel-{token}"
    graph: dict[Any, Any] = {shared: DataNode(shared, chunked)}
    references: dict[Slab, Any] = {}

    def reference(slab: Slab) -> Any:
        key: Any = (x.name, *slab.chunk)
        if slab.axis is not None:
            key, chunk = (slab_name, *slab.chunk, *slab[1:]), TaskRef(key)
            graph[key] = Task(key, _copy_slab, chunk, *slab[1:])
        references[slab] = TaskRef(key)
        return references[slab]

    for index in product(*(range(len(spans)) for spans in chunked.spans)):
        slabs = [references.get(slab) or reference(slab) for slab, _ in chunked.slabs(index)]
        key = (name, *index[:dropped], *index[dropped + 1 :])
        graph[key] = Task(key, _convolve_chunk, TaskRef(shared), index, *slabs)
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[x])
    array: Any = da.Array  # has no types
    return array(layers, name, chunks, meta=np.empty((0,) * len(chunks), dtype))


def _copy_slab(chunk: Any, axis: int, start: int, stop: int) -> np.ndarray:
    """Return a copy of a slab: a view would keep all of its chunk in memory."""
    return np.array(between(chunk, axis, start, stop), order="K")


def _convolve_chunk(chunked: Chunked, index: tuple[int, ...], *slabs: Any) -> np.ndarray:
    """Return a chunk of outputs, computed by the threads that no other task of this process has."""
    asked = chunked.request.workers
    with lent(_threads()) if asked is None else nullcontext(asked) as workers:
        return chunked.convolve(index, slabs, workers)


def _threads() -> int:
    """Return how many threads the tasks of this process may have together."""
    if "distributed" in sys.modules:
        from distributed import get_worker

        try:
            return get_worker().state.nthreads
        except ValueError:  # this is no worker
            pass
    # A process of a pool has as many beside it as there are cores.
    return available() if multiprocessing.parent_process() is None else 1


class Slab(NamedTuple):
    """Samples of a chunk that blocks read: all of them, or those between two bounds along one axis."""

    chunk: tuple[int, ...]
    axis: int | None = None
    start: int = 0
    stop: int = 0


class Stretch(NamedTuple):
    """Neighbouring samples of a chunk along one axis, counted from its first."""

    chunk: int
    inside: slice
    share: float  # of the chunk's samples


@dataclass(frozen=True, eq=False)
class Chunked:
    """A convolution of an array that is cut into chunks. Every chunk of outputs is a block.

    Along a spatial axis an output belongs to the chunk that its window is centred on, and to the outermost where that
    is outside the array. Channels are cut where a chunk and a group begin together. Chunks without outputs are dropped.
    The index of a chunk of outputs has an entry for each axis of ``x``.
    """

    dtype: np.dtype[Any]
    chunks: tuple[tuple[int, ...], ...]  # their lengths along each axis of ``x``
    kernel: np.ndarray
    options: Options

    def __reduce__(self) -> Any:  # workers make the rest from these
        return Chunked, (self.dtype, self.chunks, self.kernel, self.options)

    @once
    def request(self) -> Request:
        """The convolution of the complete array."""
        return parse(stand_in([sum(lengths) for lengths in self.chunks], self.dtype), self.kernel, None, self.options)

    @once
    def spans(self) -> list[list[tuple[int, int]]]:
        """Along each axis of ``x`` the outputs of each chunk of them, along the channel axis the input channels."""
        request, spans = self.request, []
        for a, n in enumerate(request.x.shape):
            bounds = list(accumulate(self.chunks[a], initial=0))
            if a == request.channel_axis:
                firsts = [bound for bound in bounds if bound % (n // request.groups) == 0]
            else:
                axis = request.along(a)
                firsts = [0, *(axis.first_centred(bound, request.is_flipped) for bound in bounds[1:-1]), axis.outputs]
            spans.append([(first, end) for first, end in pairwise(firsts) if first < end] or [(0, 0)])
        return spans

    @property
    def output_chunks(self) -> tuple[tuple[int, ...], ...]:
        """The lengths of the result's chunks along each of its axes."""
        request, channel = self.request, self.request.channel_axis
        lengths = [tuple([end - first for first, end in spans]) for spans in self.spans]
        if channel is not None:
            filters = tuple([n * request.out_channels // request.x.shape[channel] for n in lengths[channel]])
            lengths[channel : channel + 1] = [filters] if request.is_bank else []
        return tuple(lengths)

    def slabs(self, index: Sequence[int]) -> Iterator[tuple[Slab, tuple[slice, ...]]]:
        """Yield the slabs that a chunk of outputs reads, in the order of `convolve`, and what it reads of each."""
        return map(_slab, product(*(along[k] for along, k in zip(self._reading, index, strict=True))))

    def convolve(self, index: Sequence[int], slabs: Sequence[Any], workers: int | None) -> np.ndarray:
        """Return a chunk of outputs, computed from its slabs."""
        stretches = [along[k] for along, k in zip(self._reading, index, strict=True)]
        lengths = [[s.inside.stop - s.inside.start for s in along] for along in stretches]
        boxes = (np.asarray(slab)[inside] for slab, (_, inside) in zip(slabs, self.slabs(index), strict=True))
        box, channel = self._block(index, workers), self.request.channel_axis
        window = join(boxes, lengths, self.dtype)
        return self._plans.convolve(box, window, None, workers, None if channel is None else index[channel])

    @once
    def _plans(self) -> Plans:
        return Plans(Plan)

    @once
    def _reading(self) -> list[list[list[Stretch]]]:
        """Along each axis of ``x`` what each chunk of outputs reads."""
        request, reading = self.request, []
        for a, spans in enumerate(self.spans):
            bounds, axis = list(accumulate(self.chunks[a], initial=0)), request.along(a)
            reads = [line(axis, first, end).slices for first, end in spans]
            reading.append([[s for read in slices for s in _stretches(read, bounds)] for slices in reads])
        return reading

    def _block(self, index: Sequence[int], workers: int | None) -> Block:
        request, channel = self.request._replace(workers=workers), self.request.channel_axis
        outputs = [spans[k] for spans, k in zip(self.spans, index, strict=True)]
        if channel is not None and request.is_bank:  # with the groups that it computes
            (first, end), shape = outputs[channel], list(request.x.shape)
            within, filters = shape[channel] // request.groups, request.out_channels // request.groups
            chosen, shape[channel] = slice(first // within * filters, end // within * filters), end - first
            kernel = request.kernel[chosen] if request.channels_first else request.kernel[..., chosen]
            bias = request.bias if request.bias is None or request.bias.ndim == 0 else request.bias[chosen]
            x = stand_in(shape, request.x.dtype)
            request = request._replace(x=x, kernel=kernel, bias=bias, groups=(end - first) // within)
        return block(request, [span for a, span in enumerate(outputs) if a != request.dropped])


def _stretches(read: slice, bounds: Sequence[int]) -> Iterator[Stretch]:
    """Yield the stretches of chunks, which begin and end at bounds, that a slice reads."""
    for chunk in range(bisect_right(bounds, read.start) - 1, bisect_left(bounds, read.stop)):
        first, end = bounds[chunk], bounds[chunk + 1]
        start, stop = max(first, read.start), min(end, read.stop)
        if start < stop:
            yield Stretch(chunk, slice(start - first, stop - first), (stop - start) / (end - first))


def _slab(stretches: Sequence[Stretch]) -> tuple[Slab, tuple[slice, ...]]:
    """Return the slab that has the samples of a chunk at which stretches along all axes meet, and their place in it."""
    chunk, inside = tuple([along.chunk for along in stretches]), [along.inside for along in stretches]
    shares = [along.share for along in stretches]
    least = min(shares, default=1.0)
    if least > _SLAB:
        return Slab(chunk), tuple(inside)
    axis = shares.index(least)
    slab, inside[axis] = Slab(chunk, axis, inside[axis].start, inside[axis].stop), slice(None)
    return slab, tuple(inside)
