"""dask arrays: a convolution as a graph of one task for each chunk of outputs, and of the slabs that they read.

Only the slabs of a chunk leave the worker that holds it, and each goes to all of its neighbours that read it.
"""

from __future__ import annotations

import multiprocessing
import sys
from contextlib import nullcontext
from itertools import product
from typing import Any

import numpy as np

from ..jit.threads import available, lent
from ..problem.arguments import parse
from ..problem.dtypes import is_masked
from ..problem.options import Options
from .blocks import stand_in
from .chunked import Chunked, Slab


def convolve(x: Any, kernel: Any, out: Any, options: Options) -> Any:
    """Do what `convnd.convnd` promises of a dask array: nothing is computed but the graph."""
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
    request = parse(stand_in(x.shape, x.dtype), kernel, None, options)
    chunked = Chunked(x.shape, x.dtype, x.chunks, request.kernel.copy(), options)  # the user's may change meanwhile
    dtype, chunks = request.result, chunked.output_chunks
    if 0 in request.out_shape:
        return da.zeros(request.out_shape, dtype=dtype, chunks=chunks)
    token = tokenize(x.name, chunked.kernel, options)
    name, slab_name, shared = f"convnd-{token}", f"convnd-slab-{token}", f"convnd-kernel-{token}"
    graph: dict[Any, Any] = {shared: DataNode(shared, chunked)}
    references: dict[Slab, Any] = {}

    def reference(slab: Slab) -> Any:
        whole = key = (x.name, *slab.chunk)
        if slab.axis is not None:
            key = (slab_name, *slab.chunk, slab.axis, slab.start, slab.stop)
            graph[key] = Task(key, _copy_slab, TaskRef(whole), slab.inside)
        references[slab] = TaskRef(key)
        return references[slab]

    for index in product(*(range(len(lengths)) for lengths in chunks)):
        pieces = [references.get(slab) or reference(slab) for slab in chunked.slabs(index)]
        key = (name, *index)
        graph[key] = Task(key, _convolve_chunk, TaskRef(shared), index, *pieces)
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[x])
    array: Any = da.Array  # has no types
    return array(layers, name, chunks, meta=np.empty((0,) * len(chunks), dtype))


def _copy_slab(chunk: Any, inside: tuple[slice, ...]) -> np.ndarray:
    """Return a copy of a slab: a view would keep all of its chunk in memory."""
    return np.array(chunk[inside], order="K")


def _convolve_chunk(chunked: Chunked, index: tuple[int, ...], *pieces: Any) -> np.ndarray:
    """Return a chunk of outputs, computed by the threads that no other task of this process holds."""
    asked = chunked.request.workers
    with lent(_threads()) if asked is None else nullcontext(asked) as workers:
        return chunked.convolve(index, pieces, workers)


def _threads() -> int:
    """Return how many threads the tasks of this process may hold together."""
    if "distributed" in sys.modules:
        from distributed import get_worker

        try:
            return get_worker().state.nthreads
        except ValueError:  # this is no worker
            pass
    # A process of a pool has as many beside it as there are cores.
    return available() if multiprocessing.parent_process() is None else 1
