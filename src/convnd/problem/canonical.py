"""From a request in the user's terms to a problem in canonical form.

In canonical form the axes are ordered by memory (the contiguous one last), batch axes are axes of one tap, the kernel
is unflipped, and complex numbers are planes of real ones; each method merges the axes that it does not tell apart.
A problem says nothing of addresses and values: two calls that differ in these alone share one plan.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, TypeVar

import numpy as np

from . import dtypes, memory
from .axis import Axis, polyphase
from .recent import Recent
from .request import Request, Traits, memory_order

_SURPLUS = 2**12  # outputs that compiled code computes behind the last and drops, at most
MOST_KEPT = 2**16  #: bytes of a kernel that is remembered
_MADE = 64  # things made of a kernel that it remembers
_INTERLEAVED = 16  # samples of a frame, at most, for frames to run as one line: taps lie that far apart

T = TypeVar("T")
Levels = tuple[tuple[int, int], ...]


@dataclass  # nobody writes to one; frozen, it takes three times as long to make
class Problem:
    """A convolution in canonical form. Steps are in bytes; channel levels are nested ``(count, step)``."""

    axes: tuple[Axis, ...]
    x_steps: tuple[int, ...]
    out_steps: tuple[int, ...]
    groups: int
    in_channels: int  # of one group
    out_channels: int  # of one group, of every branch
    x_channel_steps: Levels
    out_channel_steps: Levels
    fills_zeros: bool  # whether the fill value is 0
    stored: str  # the type of x's real parts in memory
    working: str  # the type of the arithmetic
    accumulated: str  # the same, "uint64" where the sums of "int64" arithmetic are unsigned
    result: str  # the type of the result's real parts in memory
    exact: bool  # whether the sums are of whole numbers
    nan: str  # what NaN in x counts as, as `lines.compile_reader` has it
    updates: bool  # whether results are added to a bias and a multiple of what out holds
    kernel_order: tuple[int, ...] = ()  # the axes in the kernel's order, in which taps are summed; () as they are here
    pattern: bytes = b""  # which of a filter's weights (C_in, taps) count, as bool, where the others' taps are left out
    depthwise: bool = False  # whether each output channel of a group reads an input channel of its own, and that alone
    scaled_in: str = ""  # the floating type in which sums are multiplied by one number before they are stored
    keeps_kernel: bool = True  # whether weights that are packed may be used again

    def __post_init__(self) -> None:
        """Compute what every new shape asks for, its hash among it."""
        axes, last_step = self.axes, self.out_steps[-1]
        self._hash = hash((*vars(self).values(),))
        stored, sums, result = np.dtype(self.stored), np.dtype(self.accumulated), np.dtype(self.result)
        #: Taps of an output in one input channel, and weights of a filter that count.
        self.taps = prod([axis.taps for axis in axes])
        self.weights = self.pattern.count(1) or self.in_channels * self.taps
        #: Input channels that all filters of a group read together.
        self.read_channels = self.out_channels if self.depthwise else self.in_channels
        #: The axes in the order in which the kernel has them.
        self.kernel_axes = self.kernel_order or (*range(len(axes)),)
        #: Whether an axis has branches, if only one; the branches of all together, and output channels of each.
        self.is_upsampled = any(axis.branches for axis in axes)
        self.branches = prod([len(axis.branches) or 1 for axis in axes])
        self.branch_channels = self.out_channels // self.branches
        #: Outputs of every channel together.
        self.outputs = self.groups * self.out_channels * prod([axis.outputs for axis in axes])
        #: Bytes of a real part of ``x``, and of ``x`` and the result.
        self.stored_bytes = stored.itemsize
        samples = self.groups * self.read_channels * prod([axis.length for axis in axes])
        self.moved_bytes = samples * stored.itemsize + self.outputs * result.itemsize
        #: Whether results are neighbours along the last axis.
        self.results_near = last_step == result.itemsize
        #: Whether compiled code can write results as it computes them, and by vectors along the last axis.
        self.stores_native = not (self.updates or self.scaled_in) and self.nan != "alone" and result == sums
        self.stores_inside = self.stores_native and last_step == sums.itemsize
        #: Whether windows must be finite: NaN and infinity reach outputs by weights of zero too.
        self.is_searched = self.pattern != b"" and not self.exact
        #: Whether the addresses that compiled code computes, also of positions outside ``x``, fit 64 bits.
        reached = [axis.stride * 2 * (axis.outputs + _SURPLUS) + axis.extent for axis in axes]
        self.reads_near = sum([n * abs(step) for n, step in zip(reached, self.x_steps, strict=True)]) < 2**62
        #: Whether compiled code can read samples of the array as it is, and by vectors along the last axis.
        is_kept = self.nan == "kept" and not self.is_searched and stored == np.dtype(self.working)
        self.reads_native = is_kept and self.reads_near
        self.reads_inside = self.reads_native and axes[-1].stride == 1 and self.x_steps[-1] == stored.itemsize

    def __hash__(self) -> int:
        return self._hash

    def in_kernel_order(self, along: Sequence[T]) -> list[T]:
        """Return what each axis has, in the order in which the kernel has the axes."""
        return [along[a] for a in self.kernel_order] if self.kernel_order else list(along)

    def bounds(self, x: np.ndarray) -> tuple[int, int]:
        """Return the addresses of the first and the last real part that may be read around ``x``."""
        low, high = memory.around(x)
        return low, high - self.stored_bytes


def canonical(request: Request, out: np.ndarray | Traits, keeps_kernel: bool = True) -> Problem:
    """Return the canonical form of a request whose result goes to ``out``."""
    x, channel, groups = request.x, request.channel_axis, request.groups
    kept = [a for a in memory_order(x) if a != channel]
    axes = [polyphase(request.along(a).plain) for a in kept]
    x_steps = [x.strides[a] for a in kept]
    out_steps = [out.strides[a - (a > request.dropped)] for a in kept]
    in_channels, out_channels, x_step, out_step = 1, request.out_channels // groups, 0, 0
    if channel is not None:
        in_channels, x_step = x.shape[channel] // groups, x.strides[channel]
        out_step = out.strides[channel] if request.is_bank else 0
    x_levels = [(groups, x_step * in_channels), (in_channels, x_step)]
    out_levels = [(groups, out_step * out_channels)]
    for position, axis in enumerate(axes):  # the branches of an upsampled axis take turns
        if axis.branches:
            count = len(axis.branches)
            out_levels.append((count, out_steps[position]))
            out_steps[position] *= count
    out_levels.append((out_channels, out_step))
    out_channels *= prod(count for count, _ in out_levels[1:-1])
    x_part, out_part = x.itemsize // 2, out.itemsize // 2
    if request.kernel.dtype.kind == "c":  # sums over the planes of x, into the planes of the result
        if x.dtype.kind == "c":
            x_levels.append((2, x_part))
            in_channels *= 2
        out_levels.append((2, out_part))
        out_channels *= 2
    elif request.divides_planes:  # the planes are groups, which have fill values of their own
        x_levels.insert(0, (2, x_part))
        out_levels.insert(0, (2, out_part))
        groups *= 2
    elif x.dtype.kind == "c":  # the planes are a batch
        axes.append(Axis(2))
        x_steps.append(x_part)
        out_steps.append(out_part)
    if not axes:
        axes, x_steps, out_steps = [Axis(1)], [0], [0]
    is_unsigned = request.working == "int64" and dtypes.default_result(x.dtype, request.kernel.dtype).kind == "u"
    is_exact = request.working in dtypes.SHORT or dtypes.sums_exactly(x.dtype, request.kernel.dtype)
    scaled_in = "" if request.scale == 1 else dtypes.working(x.dtype, request.kernel, request.result, request.fill)
    return Problem(
        tuple(axes), tuple(x_steps), tuple(out_steps), groups, in_channels, out_channels,
        tuple(x_levels), tuple(out_levels), request.fill == 0,
        dtypes.real(x.dtype).str, request.working, "uint64" if is_unsigned else request.working,
        dtypes.real(out.dtype).str, is_exact,
        request.nan, request.updates, scaled_in=scaled_in, keeps_kernel=keeps_kernel,
    )  # fmt: skip


@lru_cache(maxsize=256)
def merged(problem: Problem, most_interleaved: int = _INTERLEAVED) -> Problem:
    """Return a problem whose axes memory and arithmetic tell apart.

    Batch axes are merged into the axis outside them where memory is contiguous, and dropped where they have length 1.
    Into an axis of the kernel go at most ``most_interleaved`` samples of a frame; frames of so few samples that cannot
    are planes, outside all other axes.
    """
    if not any(axis.is_batch for axis in problem.axes):
        return problem
    kept: list[tuple[Axis, int, int]] = []
    for axis, x_step, out_step in reversed(list(zip(problem.axes, problem.x_steps, problem.out_steps, strict=True))):
        if axis.is_batch and axis.length == 1:
            continue
        if kept and axis.stride == 1 and kept[-1][0].is_batch:
            inner, x_inner, out_inner = kept[-1]
            near = axis.is_batch or (inner.length <= most_interleaved and not axis.branches)
            if near and (x_step, out_step) == (inner.length * x_inner, inner.length * out_inner):
                kept[-1] = (axis.merged_with(inner), x_inner, out_inner)
                continue
        kept.append((axis, x_step, out_step))
    if len(kept) > 1 and kept[0][0].is_batch and kept[0][0].length <= most_interleaved:
        kept.append(kept.pop(0))
    axes, x_steps, out_steps = zip(*reversed(kept or [(Axis(1), 0, 0)]), strict=True)
    if (axes, x_steps, out_steps) == (problem.axes, problem.x_steps, problem.out_steps):
        return problem
    return replace(problem, axes=axes, x_steps=x_steps, out_steps=out_steps)


def reordered(problem: Problem, order: Sequence[int]) -> Problem:
    """Return a problem with its axes in another order. The kernel's, and the order of its taps, stay as they are."""
    return replace(
        problem,
        axes=tuple([problem.axes[a] for a in order]),
        x_steps=tuple([problem.x_steps[a] for a in order]),
        out_steps=tuple([problem.out_steps[a] for a in order]),
        kernel_order=tuple([order.index(a) for a in problem.kernel_axes]),
    )


def canonical_filters(request: Request, kernel: np.ndarray) -> np.ndarray:
    """Return a view of an array of the kernel's shape as ``(C_out, C_in, *K)``, unflipped, K in canonical order."""
    spatial = request.kernel_spatial
    if request.is_flipped:
        flipped = [slice(None, None, -1 if a in spatial else 1) for a in range(kernel.ndim)]
        kernel = kernel[tuple(flipped) or ...]  # of no axes () would give a scalar
    position = dict(zip(request.spatial, spatial, strict=True))
    in_order = [position[a] for a in memory_order(request.x) if a in position]
    if request.channel_axis is None:
        return kernel.transpose(in_order)[None, None]
    if not request.is_bank:
        (channels,) = set(range(kernel.ndim)) - set(spatial)
        return kernel.transpose([channels, *in_order])[None]
    bank = [0, 1] if request.channels_first else [kernel.ndim - 1, kernel.ndim - 2]
    return kernel.transpose(bank + in_order)


def canonical_axes(request: Request) -> list[Axis]:
    """Return the spatial axes in canonical order, those that are upsampled as branches."""
    return [polyphase(request.along(a).plain) for a in memory_order(request.x) if a in request.spatial]


class Kernel:
    """A canonical kernel, and what methods have made of it: choices, factors, packed weights."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights
        #: Returns for a key what is made of the kernel by a function, now or at an earlier call.
        self.of = Recent[Any](_MADE).of


_KERNELS: Recent[Kernel] = Recent(64)


def kernel_of(request: Request, problem: Problem) -> Kernel:
    """Return the canonical kernel of a request, for a small kernel that of the last one with the same bits."""
    if request.kernel.nbytes > MOST_KEPT:
        return Kernel(canonical_kernel(request))
    x, kernel = request.x, request.kernel
    key = (
        kernel.tobytes(), kernel.shape, kernel.dtype, x.dtype, memory_order(x), request.spatial,
        problem.axes if problem.is_upsampled else (), request.channel_axis, request.channels_first, request.is_bank,
        request.groups, request.is_flipped, request.fill, request.working, request.method, request.held,
    )  # fmt: skip
    return _KERNELS.get(key) or _KERNELS.add(key, Kernel(canonical_kernel(request)))


def canonical_kernel(request: Request) -> np.ndarray:
    """Return the kernel as ``(groups, branches * C_out, C_in * taps)`` real weights.

    The taps are in the order of the canonical axes; a branch that has fewer than others has zeros behind them. The
    array may share memory with the kernel.
    """
    kernel, working, filters = request.kernel, request.working, canonical_filters(request, request.kernel)
    if kernel.dtype.kind != "c":
        filters = filters if request.scale == 1 else np.rint(filters / np.float64(request.scale))
        weights, planes = filters.astype(working, copy=False), 1
    else:
        # (a + ib)(x + iy) = (ax - by) + i(bx + ay): two output planes, over the planes that x has.
        real, imaginary = filters.real.astype(working), filters.imag.astype(working)
        used = 2 if request.x.dtype.kind == "c" else 1
        parts = [[real, -imaginary], [imaginary, real]]
        weights, planes = np.stack([np.stack(part[:used], axis=2) for part in parts], axis=1), 2
    shape = request.groups, request.out_channels // request.groups * planes, -1
    if any(axis.upsample > 1 for axis in request.axes):
        weights = _branched(weights.reshape(*shape, *weights.shape[-len(request.axes) :]), canonical_axes(request))
    else:
        weights = np.ascontiguousarray(weights.reshape(shape))
    return np.concatenate([weights, weights]) if request.divides_planes else weights


def _branched(weights: np.ndarray, axes: list[Axis]) -> np.ndarray:
    """Return filters ``(groups, C_out, C_in, *K)`` branch by branch, ``(groups, branches * C_out, C_in * taps)``."""
    groups, filters, channels = weights.shape[:3]
    branches = prod(len(axis.branches) or 1 for axis in axes)
    ours = np.zeros((groups, branches, filters, channels, *(axis.taps for axis in axes)), weights.dtype)
    for number, (taps, there) in enumerate(branch_weights(axes)):
        ours[:, number][there] = weights[taps]
    return ours.reshape(groups, branches * filters, -1)


def branch_weights(axes: list[Axis]) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Yield for each branch of a problem where its weights are in the kernel, and in canonical form."""
    for branch in product(*([own.weights for own in axis.branches] or [(slice(None), slice(None))] for axis in axes)):
        yield (..., *(taps for taps, _ in branch)), (..., *(there for _, there in branch))


def fills(request: Request, problem: Problem) -> np.ndarray:
    """Return the fill values of every input channel, in the working type."""
    planes, rows = [request.fill.real, request.fill.imag], problem.groups * problem.in_channels
    if request.divides_planes:
        values = [plane for plane in planes for _ in range(rows // 2)]
    elif request.x.dtype.kind == request.kernel.dtype.kind == "c":
        values = planes * (rows // 2)
    else:
        values = planes[:1] * rows
    if problem.updates:
        values += [request.beta.real, 0 if request.bias is None else request.bias.item()]
    if problem.working == "int64":  # modulo 2^64
        return np.array([int(value) & (2**64 - 1) for value in values], np.uint64).view(np.int64)
    own = np.array(values, problem.working)
    if problem.scaled_in:  # writers read it behind the fill values
        own = np.concatenate([own, np.array([request.scale], problem.scaled_in).view(own.dtype)])
    return own
