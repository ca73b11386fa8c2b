"""Work on whole arrays, slab by slab of the result: memory beside the arrays is bounded."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..jit import tables as t
from ..jit.compile import function
from ..jit.passes import BLOCK, compile_truncation, run_lines
from ..problem import dtypes
from ..problem.axis import Axis
from ..problem.recent import Recent
from ..problem.request import Request, memory_order
from . import tuning
from .blocks import Block, block
from .tiling.tables import Builder, Tasks

_MOST = 2**24  # bytes of a slab's samples, however far its windows reach
_SERIAL = 2**18  # elements that are worth a thread
_FEW = 2**15  # elements, up to which NumPy converts them before a compiled pass has begun
_PLANS = 32  # for slabs of different shapes


class Slabs:
    """The slabs of a request's result, plans that run on them, and memory that is kept from one to the next.

    Of each slab there are its place in the result and what it reads. ``plan`` makes of a request a function that
    convolves an array into another, with a mask.
    """

    def __init__(self, request: Request, plan: Callable[[Request], Any]) -> None:
        # The dots are for results of no axes, of which NumPy would give a scalar.
        self.all: list[tuple[tuple[Any, ...], Block]] = [
            ((*(slice(*span) for span in box), ...), block(request, box)) for box in _boxes(request)
        ]
        self._plan, self._plans = plan, Recent[Any](_PLANS)

    def run(
        self, request: Request, axes: tuple[Axis, ...], x: np.ndarray, out: np.ndarray, mask: np.ndarray | None = None
    ) -> None:
        """Run a request along axes of its own."""
        key = id(request), axes, x.shape, x.strides
        plan = self._plans.of(key, lambda: self._plan(request._replace(x=x, x_dtype=x.dtype, axes=axes)))
        plan(x, out, mask)

    def memory(self) -> Callable[[np.ndarray, str, np.dtype[Any]], np.ndarray]:
        """Return a function that gives arrays like others by name; while the shape is the same, the same one.

        New pages cost more than what is written to them.
        """
        kept: dict[str, np.ndarray] = {}

        def like(array: np.ndarray, name: str, dtype: np.dtype[Any]) -> np.ndarray:
            if name not in kept or kept[name].shape != array.shape:
                kept[name] = np.empty_like(array, dtype)
            return kept[name]

        return like


def stored_as(request: Request, native: np.dtype[Any]) -> Request:
    """Return the request that converts sums of a type to the results of a request: it rounds and saturates them."""
    working = "int64" if dtypes.is_integer(native) else dtypes.real(native).name
    return request._replace(
        kernel=np.ones((), native), working=working, spatial=(), axes=(), channel_axis=None, is_bank=False, groups=1,
        method="direct", fill=0, nan_policy="propagate", nan="kept", held=None,
    )  # fmt: skip


def _boxes(request: Request) -> Iterator[tuple[tuple[int, int], ...]]:
    """Yield the boxes that a result is computed in. How an item of a batch is cut does not depend on the others."""
    sizes = [size for a, size in enumerate(_sizes(request)) if a != request.dropped]
    if request.is_bank and request.channel_axis is not None:
        sizes[request.channel_axis] = request.out_channels
    along = []
    for size, outputs in zip(sizes, request.out_shape, strict=True):
        size = -(-outputs // -(-outputs // size))  # all of one size, in place of a small last one
        along.append([(first, min(first + size, outputs)) for first in range(0, outputs, size)])
    yield from product(*along)


def _sizes(request: Request) -> list[int]:
    """Return the outputs of a slab along each axis of ``x``."""
    x, channel, order = request.x, request.channel_axis, memory_order(request.x)
    along = [request.along(a) for a in range(x.ndim)]
    sizes = [axis.outputs if a in request.spatial else 1 for a, axis in enumerate(along)]
    channels = 1 if channel is None else max(x.shape[channel], request.out_channels)

    def count() -> int:
        """Return the samples of a slab, or its outputs where they are more."""
        reads = [axis.read(0, n) for axis, n in zip(along, sizes, strict=True)]
        return channels * max(prod(high - low for low, high in reads), prod(sizes))

    wanted = tuning.TUNING.slab_samples
    for limit, extents in (wanted, tuning.TUNING.slab_extents), (_MOST // x.itemsize, 0):
        for a in order:
            if a in request.spatial and (total := count()) > limit:
                least = min(sizes[a], extents * along[a].extent // along[a].stride + 1)
                sizes[a] = max(least, sizes[a] * limit // total)
                if sizes[a] > least:
                    break
    for a in reversed(order):
        if a != channel and a not in request.spatial:
            sizes[a] = min(x.shape[a], max(1, wanted // count()))
    return sizes


def over_lines(
    compile_pass: Callable[[tuple[int, ...]], int], operands: Sequence[np.ndarray], beside: np.ndarray,
    workers: int | None,
) -> None:  # fmt: skip
    """Run a pass of `jit.passes` over the lines of three arrays, or of fewer, that broadcast to the first's shape.

    ``compile_pass`` takes the bytes between neighbours along the lines of each.
    """
    shape = operands[0].shape
    steps = [(own if own.shape == shape else np.broadcast_to(own, shape)).strides for own in operands]
    tasks, along, useful = _line_tasks(shape, tuple(steps), tuple([own.itemsize for own in operands]))
    columns = dict(zip((t.BESIDE, t.FIRST, t.SECOND, t.THIRD), (beside, *operands), strict=False))
    tasks.run({t.LINE_FUNCTION: compile_pass(along), **columns}, workers, useful)


def truncate(sums: np.ndarray, out: np.ndarray, number: float, divides: bool, workers: int | None) -> None:
    """Write doubles, times a number or divided by it, to whole numbers as C converts them; ``sums`` may be changed."""
    kind, size = out.dtype.kind, out.dtype.itemsize
    is_large = out.size > _FEW or (kind, size) == ("u", 4)  # to which NumPy converts negative numbers in another way
    if is_large and kind in "iu" and size < 8:
        over_lines(partial(compile_truncation, out.dtype.str, divides), [out, sums], np.array([number]), workers)
        return
    (np.divide if divides else np.multiply)(sums, number, out=sums)
    with np.errstate(invalid="ignore"):
        out[...] = (np.trunc(sums) if kind == "b" else sums).astype(out.dtype)


@lru_cache(maxsize=64)
def _line_tasks(
    shape: tuple[int, ...], steps: tuple[tuple[int, ...], ...], items: tuple[int, ...]
) -> tuple[Tasks, tuple[int, ...], int]:
    """Return the tasks of lines of arrays, the bytes between neighbours along them where these are near, and workers.

    The arrays have a common shape, and items of so many bytes.
    """
    absent = [(0,) * len(shape)] * (3 - len(steps))
    axes = _in_few_lines([*zip(shape, *steps, *absent, strict=True)])
    *outer, length = [n for n, *_ in axes]
    along = tuple(axes[-1][1:])
    is_near = all(step in (0, item) for step, item in zip(along, items, strict=False)) and along[0] > 0
    lines, blocks, together = prod(outer), -(-length // BLOCK), max(1, BLOCK // length)
    builder = Builder(columns=t.LINES_COLUMNS)
    builder.set({
        t.RUN_TASKS: function(run_lines), t.RANK: len(axes), t.TASKS: blocks * -(-lines // together),
        t.LENGTHS: builder.add([n for n, *_ in axes] + [step for _, *own in axes for step in own]),
        t.LINE_COUNT: lines, t.LINE_BLOCKS: blocks, t.TASK_LINES: together,
    })  # fmt: skip
    return builder.tasks([range(2)]), along if is_near else (), lines * length // _SERIAL + 1


def _in_few_lines(axes: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """Return axes, each a length and the steps of the arrays, in memory order, and as few as can be."""
    kept: list[Sequence[int]] = []
    for n, *steps in sorted(axes, key=lambda axis: -abs(axis[1])):
        if n == 1:
            continue
        if kept and list(kept[-1][1:]) == [n * step for step in steps]:
            kept[-1] = (n * kept[-1][0], *steps)
        else:
            kept.append((n, *steps))
    return kept or [(1, 0, 0, 0)]
