"""Which windows the FFT method transforms: lengths, dimensions, memory, and the cost model.

A pure function of the problem and of constants that were measured once; never of the size of a batch, so that an item
alone has the bits that it has among others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from math import gcd, log2, prod

import numpy as np

from ...jit.machine import VECTOR_BYTES
from ...jit.parallel import available
from ...jit.transforms.radices import LONGEST, factors, fast_length
from ...problem.axis import Axis
from ...problem.boundary import FILLED
from ...problem.canonical import Problem, merged, reordered
from .. import tuning
from ..tiling.costs import gather_cycles
from ..tiling.layout import window_length
from ..tiling.likeness import representative
from ..tiling.ways import lanes_of
from .spectral_layout import SpectralLayout

_TILES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
_PASS_CYCLES = {2: 4.0, 3: 5.0, 4: 5.0, 5: 8.0, 8: 7.0}  # of a complex vector
_OCTAVE_CYCLES = 7 / 3  # of a complex vector for each factor 2 of the length, at least
_KERNELS = 32  # in whose memory transforms of such a kernel may take place
_MOST_GROWTH = 64  # of a kernel's memory, where that is what takes more than tiles should
_CHOICES = (24, 16, 9, 4)  # lengths to choose from along each axis, by the number of axes
_RANKED = 32  # layouts that problems which are alike choose from
_MOVES = 3  # times that all a gradient holds moves between caches, for each tile
_LEAST_LANES = 4
_MUCH_LONGER = 8  # times a short last axis, that another one takes its place
_SHORT = 64  # samples of a last axis that another one may take the place of


def transform_type(problem: Problem) -> str:
    """Return the type of the transforms: whole numbers need the mantissa of a double."""
    return "float32" if problem.working == "float32" and not problem.exact else "float64"


def prepared(problem: Problem) -> Problem:
    """Return a problem whose last axis makes long lines.

    Frames stay apart from the axis of the kernel, so that the items of a batch do not share rounding errors.
    """
    problem = merged(problem, most_interleaved=0)
    return reordered(problem, _order(problem.axes))


def _order(axes: Sequence[Axis]) -> list[int]:
    """Return the order of a merged problem's axes: the last has taps, and a short last one goes elsewhere."""
    order = sorted(range(len(axes)), key=lambda a: axes[a].taps > 1)
    longest, last = max(order, key=lambda a: axes[a].length if axes[a].taps > 1 else 0), axes[order[-1]]
    if axes[longest].taps > 1 and last.length < min(_SHORT, axes[longest].length // _MUCH_LONGER):
        order.remove(longest)
        order.append(longest)
    return order


def layouts(problem: Problem) -> Iterator[SpectralLayout]:
    """Yield the ways to cut a prepared problem."""
    transformed = _transformed(problem)
    most = _CHOICES[min(len(transformed), len(_CHOICES)) - 1]
    choices = [_lengths(problem, a, most) if a in transformed else [1] for a in range(len(problem.axes))]
    for shape in product(*choices):
        yield _layout(problem, shape)


def _transformed(problem: Problem) -> tuple[int, ...]:
    return tuple([a for a, axis in enumerate(problem.axes) if axis.taps > 1])


def _layout(problem: Problem, shape: tuple[int, ...]) -> SpectralLayout:
    """Return the layout of windows of so many outputs along each axis."""
    transformed, few = _transformed(problem), lanes_of(transform_type(problem))
    lengths = [_length(problem, a, n) if a in transformed else 1 for a, n in enumerate(shape)]
    if len(transformed) > 1:
        rows = prod(lengths[:-1])
        while few > _LEAST_LANES and few // 2 >= rows:  # lanes that rows fill
            few //= 2
        # Slabs of so many rows do not go beyond a plane.
        folded = transformed[0]
        lengths[folded] = fast_length(lengths[folded], few // gcd(few, rows // lengths[folded]))
    return SpectralLayout(shape, tuple(lengths), transformed, len(transformed) == 1, few)


def _length(problem: Problem, a: int, outputs: int) -> int:
    """Return the length of a transform along an axis, 0 where it is too long for any.

    A sample of the first transform is two of the window.
    """
    transformed = _transformed(problem)
    multiple = 256 if len(transformed) == 1 else 1
    samples = _samples(problem.axes[a], outputs, problem.fills_zeros)
    samples = max(2, -(-samples // (2 if a == transformed[0] else 1)))  # one sample has no pass
    return 0 if samples > multiple * LONGEST else fast_length(samples, multiple)


def _lengths(problem: Problem, a: int, most: int) -> list[int]:
    """Return outputs of a window along an axis: the more the fewer samples of a transform for each."""
    found: list[tuple[int, int]] = []
    for tiles in reversed(_TILES):
        outputs = -(-problem.axes[a].outputs // tiles)
        length = _length(problem, a, outputs)
        if length == 0:
            break
        if found and length == found[-1][1]:
            found[-1] = outputs, length
        elif not found or length / outputs < found[-1][1] / found[-1][0]:
            found.append((outputs, length))
    if len(found) > most:
        found = [found[n * (len(found) - 1) // (most - 1)] for n in range(most)]
    return [outputs for outputs, _ in found]


def _samples(axis: Axis, outputs: int, fills_zeros: bool) -> int:
    """Return the samples that a transform of so many outputs needs, fewer than their window's where these are zeros.

    A transform goes round: a position behind its end is one at its beginning. Nothing is lost where both are zeros.
    """
    samples = window_length(axis, outputs)
    goes_round = fills_zeros and axis.boundary == FILLED and outputs == axis.outputs
    if not goes_round or axis.stride > 1 or axis.dilation > outputs:
        return samples
    return min(samples, max(axis.before + axis.length, samples - axis.before, axis.extent, outputs))


def cycles(problem: Problem, layout: SpectralLayout, gradient: bool = False) -> float:
    """Estimate the cycles of one core for one tile and group. The constants were fitted to timings of single tiles.

    A gradient holds the tiles of all channels and the sums of their products at once.
    """
    item = np.dtype(transform_type(problem)).itemsize
    plane = layout.rows * layout.row
    vectors = plane / layout.lanes
    samples = prod(window_length(a, n) for a, n in zip(problem.axes, layout.shape, strict=True))
    line = window_length(problem.axes[-1], layout.shape[-1])
    copied = problem.in_channels * samples / line * gather_cycles(line)
    outputs = prod(layout.shape)
    copied += problem.out_channels * outputs / layout.shape[-1] * gather_cycles(layout.shape[-1])
    of_spectra = tuning.TUNING.product_cycles
    if 2 * plane * item * filters(problem) > tuning.TUNING.near_bytes:  # they come from the next level
        of_spectra = max(of_spectra, 2 * layout.lanes * item / tuning.TUNING.far_bytes)
    multiplied = problem.in_channels * problem.out_channels * vectors * of_spectra
    transforms = problem.in_channels + problem.out_channels
    held = 2 * plane * item * (transforms + problem.in_channels * problem.out_channels) if gradient else 0
    return copied + multiplied + transforms * _transform_cycles(layout, item) + _MOVES * tuning.far_cycles(held)


@tuning.remembered(256)
def least_cycles(problem: Problem) -> float:
    """Return cycles that all threads together take at least, whatever the windows."""
    extents, samples, dimensions = 1, float(problem.groups), 0
    for axis in problem.axes:
        outputs = axis.outputs
        if axis.taps > 1:
            extents, dimensions = extents * axis.extent, dimensions + 1
            outputs += axis.extent - 1
        samples *= outputs
    working = transform_type(problem)
    lanes, tuned, channels = lanes_of(working), tuning.TUNING, problem.in_channels + problem.out_channels
    least = 2 * lanes**2  # samples of a plane
    passes = dimensions * tuned.slab_cycles + _OCTAVE_CYCLES * log2(extents)
    of_spectra = tuned.product_cycles
    if 2 * least * np.dtype(working).itemsize * filters(problem) > tuned.near_bytes:
        of_spectra = max(of_spectra, 2 * VECTOR_BYTES / tuned.far_bytes)
    vectors = channels * passes + problem.in_channels * problem.out_channels * of_spectra
    cycles = samples * (vectors / (2 * lanes) + channels * tuned.gather_cycles)
    return (cycles + filters(problem) * least / lanes * passes / 2) / available()


def _transform_cycles(layout: SpectralLayout, item: int) -> float:
    plane = layout.rows * layout.row
    total = 0.0
    for length, _, _ in layout.dimensions:
        total += plane / layout.lanes * (tuning.TUNING.slab_cycles + sum(_PASS_CYCLES[r] for r in factors(length)))
        if 2 * plane * item > tuning.TUNING.near_bytes:
            total += 4 * plane * item / tuning.TUNING.far_bytes
    return total


def tiles(problem: Problem, layout: SpectralLayout) -> list[int]:
    """Return the tiles along each axis."""
    return [-(-axis.outputs // n) for axis, n in zip(problem.axes, layout.shape, strict=True)]


def memory(problem: Problem, layout: SpectralLayout, gradient: bool = False) -> int:
    """Return the bytes of every thread's tile and of the spectra; of a gradient every thread has its own."""
    item = np.dtype(transform_type(problem)).itemsize
    channels, slabs = max(problem.in_channels, problem.out_channels), problem.in_channels + 1
    spectra = filters(problem) * layout.slabs
    if gradient:
        channels = problem.in_channels + problem.out_channels
        slabs, spectra = channels + 1 + problem.in_channels * problem.out_channels * layout.slabs, 0
    tiles = available() * (channels * layout.rows * layout.row + slabs * layout.slab)
    return 2 * item * (tiles + spectra * layout.slab)


def elapsed(problem: Problem, layout: SpectralLayout, batch: bool, gradient: bool = False) -> float:
    """Estimate the cycles that all threads together take, for one item of a batch or for all."""
    counts = tiles(problem, layout)
    tasks = problem.groups * prod(n for a, n in enumerate(counts) if batch or a in layout.transformed)
    spectra = filters(problem) * _transform_cycles(layout, np.dtype(transform_type(problem)).itemsize) / 2
    threads = available()
    rounds = -(-tasks // threads) if tasks < 8 * threads else tasks / threads
    return cycles(problem, layout, gradient) * rounds + spectra / min(threads, filters(problem))


@tuning.remembered(256)
def layout_of(problem: Problem, gradient: bool = False) -> SpectralLayout | None:
    """Return the layout of a prepared problem that takes least time, of those that are best for its representative.

    A batch has no say in it, nor in a result's rounding.
    """
    alone = replace(problem, axes=tuple([Axis(1) if axis.is_batch else axis for axis in problem.axes]))
    like, sizes = representative(alone), [axis.outputs for axis in alone.axes]
    counts = [tiles(like, layout) for layout in ranked(like, gradient)]
    cut = [_layout(problem, tuple([-(-n // k) for n, k in zip(sizes, own, strict=True)])) for own in counts]
    return min(cut, key=lambda layout: elapsed(problem, layout, False, gradient), default=None)


@tuning.remembered(256)
def ranked(problem: Problem, gradient: bool = False) -> list[SpectralLayout]:
    """Return some layouts of a prepared problem, or of its gradient by the kernel: those whose items take least time.

    There is none where no axis has taps, or where the spectra of many filters would not fit.
    """
    if all(axis.taps == 1 for axis in problem.axes):
        return []
    # Room for a kernel that is itself large: tiles that are little more than it compute few outputs each.
    most = max(tuning.TUNING.memory_bytes, _KERNELS * problem.taps * np.dtype(problem.working).itemsize)
    found = list(layouts(problem))
    fitting = [layout for layout in found if memory(problem, layout, gradient) <= most]
    if not fitting:
        most = _MOST_GROWTH * filters(problem) * problem.taps * np.dtype(problem.working).itemsize
        smallest = sorted(found, key=lambda layout: memory(problem, layout, gradient))[:1]
        return [layout for layout in smallest if memory(problem, layout, gradient) <= most]
    return sorted(fitting, key=lambda layout: elapsed(problem, layout, False, gradient))[:_RANKED]


def filters(problem: Problem) -> int:
    """Return the number of filters, of every group and both channels."""
    return problem.groups * problem.out_channels * problem.in_channels
