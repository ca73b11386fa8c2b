"""Which windows the FFT method transforms: lengths, dimensions, memory, and the cost model.

A pure function of the problem and of constants that were measured once; never of the size of a batch, so that an item
alone has the bits that it has among others.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import log2, prod

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
from .spectral_layout import Numbers, SpectralLayout

_TILES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192)
_PASS_CYCLES = {2: 4.0, 3: 5.0, 4: 5.0, 5: 8.0, 8: 7.0}  # of a complex vector
_OCTAVE_CYCLES = 7 / 3  # of a complex vector for each factor 2 of the length, at least
_SHARED_BYTES = 2**23  # of spectra, beyond which processes on other cores are felt in the third cache
_SHARED_RATE = 6.0  # bytes that a core moves in a cycle then
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


def layouts(problem: Problem, shape: np.ndarray) -> SpectralLayout:
    """Return the ways to cut a prepared problem into windows of so many outputs: (axes, ways)."""
    transformed, most = _transformed(problem), lanes_of(transform_type(problem))
    lanes, lengths = np.full(shape.shape[1], most), np.ones_like(shape)
    for a in transformed:
        lengths[a] = _each(partial(_length, problem, a), shape[a])
    if len(transformed) == 1:
        rows = _each(_rows_of_line, lengths[-1])
        return SpectralLayout(tuple(shape), tuple(lengths), transformed, (rows, lengths[-1] // rows), lanes)
    rows, folded = prod(lengths[:-1]), lengths[transformed[0]]
    while most > _LEAST_LANES:  # lanes that rows fill
        most //= 2
        lanes[most >= rows] = most
    # Slabs of so many rows do not go beyond a plane.
    multiples = lanes // np.gcd(lanes, rows // folded)
    for multiple in set(multiples.tolist()):
        own = multiples == multiple
        folded[own] = _each(partial(fast_length, multiple=multiple), folded[own])
    return SpectralLayout(tuple(shape), tuple(lengths), transformed, (), lanes)


def _each(function: Callable[[int], float], numbers: Numbers) -> Numbers:
    """Return what a function returns for each of many numbers, or for one."""
    if isinstance(numbers, int):
        return function(numbers)
    different, places = np.unique(numbers, return_inverse=True)
    return np.array([function(number) for number in different.tolist()])[places]


def _rows_of_line(length: int) -> int:
    """Return the smaller of two factors of a multiple of 256, which are multiples of 16 and of like size."""
    return 16 * max(d for d in range(1, int((length // 256) ** 0.5) + 1) if (length // 256) % d == 0)


def _transformed(problem: Problem) -> tuple[int, ...]:
    return tuple([a for a, axis in enumerate(problem.axes) if axis.taps > 1])


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


def cycles(problem: Problem, layout: SpectralLayout, gradient: bool = False) -> Numbers:
    """Estimate the cycles of one core for one tile and group. The constants were fitted to timings of single tiles.

    A gradient holds the tiles of all channels and the sums of their products at once.
    """
    item = np.dtype(transform_type(problem)).itemsize
    plane = layout.rows * layout.row
    vectors = plane / layout.lanes
    along = [_each(partial(window_length, axis), n) for axis, n in zip(problem.axes, layout.shape, strict=True)]
    copied = problem.in_channels * prod(along) / along[-1] * gather_cycles(along[-1])
    outputs = prod(layout.shape)
    copied += problem.out_channels * outputs / layout.shape[-1] * gather_cycles(layout.shape[-1])
    near = tuning.TUNING.product_cycles
    size, rate = 2 * plane * item * filters(problem), tuning.TUNING.far_bytes  # of spectra, which every tile reads
    rates = np.where(size > _SHARED_BYTES, min(rate, _SHARED_RATE), rate)
    far = np.maximum(near, 2 * layout.lanes * item / rates)  # where they come from the next level
    of_spectra = np.where(size > tuning.TUNING.near_bytes, far, near)
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


def _transform_cycles(layout: SpectralLayout, item: int) -> Numbers:
    plane = layout.rows * layout.row
    beyond = np.where(2 * plane * item > tuning.TUNING.near_bytes, 4 * plane * item / tuning.TUNING.far_bytes, 0.0)
    total = 0.0
    for length, _, _ in layout.dimensions:
        total += plane / layout.lanes * (tuning.TUNING.slab_cycles + _each(_pass_cycles, length)) + beyond
    return total


def _pass_cycles(length: int) -> float:
    return sum(_PASS_CYCLES[radix] for radix in factors(length))


def tiles(problem: Problem, layout: SpectralLayout) -> list[Numbers]:
    """Return the tiles along each axis."""
    return [-(-axis.outputs // n) for axis, n in zip(problem.axes, layout.shape, strict=True)]


def memory(problem: Problem, layout: SpectralLayout, gradient: bool = False) -> Numbers:
    """Return the bytes of every thread's tile and of the spectra; of a gradient every thread has its own."""
    item = np.dtype(transform_type(problem)).itemsize
    channels, slabs = max(problem.in_channels, problem.out_channels), problem.in_channels + 1
    spectra = filters(problem) * layout.slabs
    if gradient:
        channels = problem.in_channels + problem.out_channels
        slabs, spectra = channels + 1 + problem.in_channels * problem.out_channels * layout.slabs, 0
    tiles = available() * (channels * layout.rows * layout.row + slabs * layout.slab)
    return 2 * item * (tiles + spectra * layout.slab)


def elapsed(problem: Problem, layout: SpectralLayout, gradient: bool = False, workers: int = 0) -> Numbers:
    """Estimate the cycles that so many workers take for a problem, or if 0 those that all threads take for an item."""
    counts, threads = tiles(problem, layout), workers or available()
    tasks = problem.groups * prod(n for a, n in enumerate(counts) if workers or a in layout.transformed)
    spectra = filters(problem) * _transform_cycles(layout, np.dtype(transform_type(problem)).itemsize) / 2
    rounds = np.where(tasks < 8 * threads, -(-tasks // threads), tasks / threads)
    return cycles(problem, layout, gradient) * rounds + spectra / min(threads, filters(problem))


@tuning.remembered(256)
def layout_of(problem: Problem, gradient: bool = False) -> SpectralLayout | None:
    """Return the layout of a prepared problem that takes least time, of those that are best for its representative.

    A batch has no say in it, nor in a result's rounding.
    """
    alone = replace(problem, axes=tuple([Axis(1) if axis.is_batch else axis for axis in problem.axes]))
    counts = ranked(representative(alone), gradient)
    if counts.size == 0:
        return None
    cut = layouts(problem, -(-np.array([[axis.outputs] for axis in alone.axes]) // counts))
    return cut.nth(int(np.argmin(elapsed(problem, cut, gradient))))


@tuning.remembered(256)
def ranked(problem: Problem, gradient: bool = False) -> np.ndarray:
    """Return tiles along each axis, (axes, ways), of some ways to cut a prepared problem whose items take least time.

    With ``gradient`` they are ways to cut it for the gradient by its kernel. There is none where no axis has taps, or
    where the spectra of many filters would not fit.
    """
    transformed = _transformed(problem)
    most = _CHOICES[min(len(transformed), len(_CHOICES)) - 1]
    choices = [_lengths(problem, a, most) if a in transformed else [1] for a in range(len(problem.axes))]
    if not transformed or not all(choices):
        return np.zeros((len(problem.axes), 0), np.int64)
    found = layouts(problem, np.array([own.ravel() for own in np.meshgrid(*choices, indexing="ij")]))
    item, room = np.dtype(problem.working).itemsize, memory(problem, found, gradient)
    # Room for a kernel that is itself large: tiles that are little more than it compute few outputs each.
    best = np.flatnonzero(room <= max(tuning.TUNING.memory_bytes, _KERNELS * problem.taps * item))
    if best.size:
        times = elapsed(problem, found, gradient)[best]
        best = best[np.argsort(times, kind="stable")[:_RANKED]]
    elif room.min() <= _MOST_GROWTH * filters(problem) * problem.taps * item:
        best = np.array([np.argmin(room)])
    return np.array(tiles(problem, found))[:, best]


def filters(problem: Problem) -> int:
    """Return the number of filters, of every group and both channels."""
    return problem.groups * problem.out_channels * problem.in_channels
