"""A pass of a register tile: what it sums, and its layout for compiled code."""

from collections.abc import Hashable, Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from ...jit import tables as t
from ...jit.compile import function
from ...jit.intrinsics.register_tile import register_tile
from ...jit.intrinsics.scaling import scale_of
from ...jit.intrinsics.transpose import transpose, turn_lines, write_lines
from ...jit.machine import CACHE_LINE
from ...jit.tiles import run_channels, run_frames, run_rows, run_tile
from ...problem.axis import Branch
from ...problem.canonical import Problem
from .. import tuning
from .costs import Way
from .layout import frame, round_up
from .tables import (
    Builder,
    Columns,
    dense_pitches,
    phase_table,
    writer,
)
from .taps import Taps, Window, counted, filter_blocks, tap_offsets, taps_of
from .weights import copies, pack

_ENDLESS = 2**40  # taps of a line where all taps of a group are one


class Sums(NamedTuple):
    """What a pass of a register tile sums, whatever the lengths of the axes."""

    like: Problem
    way: Way
    taps: list[Taps]  # of each phase
    shifts: list[tuple[int, ...]]  # of each phase, from the first position of a window to that of its first tap
    bounds: list[tuple[int, int]]  # of each phase, the addresses of those of its taps and of its parts
    blocks: int  # of a group's weights, of all phases
    columns: Columns
    packing: Hashable  # what the order of packed weights depends on


@tuning.remembered(256)
def sums_of(problem: Problem, way: Way) -> Sums:
    """Return what a pass sums; the problem may be the `representative`."""
    tile, sharing, axes, item = way.tile, way.sharing, problem.axes, np.dtype(problem.working).itemsize
    along = problem.in_kernel_order(axes)
    shared = sharing if sharing.axis is None else sharing._replace(axis=problem.kernel_axes.index(sharing.axis))
    branches = [axis.branches or (Branch(range(axis.taps), 0, 0),) for axis in along]
    taps, shifts, packing = [], [], list[Hashable]([problem.pattern, sharing])
    for phase in product(*branches):
        about = tuple([(len(own.taps), axis.stride, axis.dilation) for own, axis in zip(phase, along, strict=True)])
        own = about, (problem.in_channels, *[axis.taps for axis in along]), shared
        packing.append((*own, tile.runs))
        taps.append(counted(taps_of(*own, tile), problem.pattern))
        shifts.append(tuple([b.shift for b in phase]))
    row_axis = sharing.axis if sharing.axis is not None and not tile.interleaved else -1
    blocks = filter_blocks(problem.branch_channels, sharing)
    columns = {
        t.FRAME: frame(problem, way), t.ITEM: item,
        t.RUN_TILE: function(run_tile), t.RUN_LINE: function(run_channels if tile.across else run_rows),
        t.TILE_FUNCTION: register_tile.compile(tile),
        t.SCALE: 0 if problem.updates else scale_of(problem.working),  # a tile is added to what out holds once
        t.PHASE_BLOCKS: blocks, t.PHASE_FILTERS: problem.branch_channels,
        t.ROWS: sharing.rows if sharing.channels or row_axis >= 0 else 1, t.ROW_AXIS: row_axis,
        t.ROW_SPACING: axes[row_axis].tap_spacing, t.BLOCK: tile.block,
        t.BLOCK_FILTERS: sharing.rows if sharing.channels else 1, t.BLOCKS: len(taps) * blocks,
        t.TASK_BLOCKS: len(taps) * blocks, t.GROUP_TASKS: 1,
        t.WEIGHTS_BLOCK: max(len(own.source) for own in taps) * sharing.rows * item, t.FLAT: way.flat,
        t.BESIDE_FILLS: item * problem.groups * problem.read_channels,
    }  # fmt: skip
    if tile.across:
        columns |= {
            t.LANES: tile.lanes, t.TRANSPOSE: transpose.compile(problem.working, tile.lanes),
            t.WRITE_LANES: turn_lines.compile(problem.working, tile.lanes) if problem.stores_inside else 0,
        }  # fmt: skip
    if way.flat and problem.stores_inside:
        columns[t.WRITE_LINES] = write_lines.compile(problem.working, tile.lanes)
    bounds = [(own.bounds.ctypes.data, own.parts.ctypes.data) for own in taps]
    return Sums(problem, way, taps, shifts, bounds, len(taps) * blocks, columns, tuple(packing))


class TilePass(NamedTuple):
    """One pass of a register tile over the windows of tiles, laid out for compiled code.

    ``window_bytes`` have room for the vectors and rows that are read behind the window and dropped. ``pitches`` are
    the bytes between neighbours along each axis of a window, of the last those between what neighbouring outputs read.
    """

    sums: Sums
    columns: Columns
    pitches: list[int]
    window_bytes: int
    results_bytes: int

    def pack(self, kernel: np.ndarray, workers: int | None, exponent: int) -> np.ndarray:
        """Return the filters ``(groups, C_out, C_in * taps)`` as the register tile reads them, in `weights.copies`."""
        own = copies(kernel.reshape(-1, self.sums.like.out_channels, kernel.shape[-1]), exponent)
        packed = pack(own.reshape(-1, *own.shape[2:]), self.sums.taps, self.sums.way.sharing, workers)
        return packed.reshape(*own.shape[:2], *packed.shape[1:])

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights of a group."""
        return int(self.sums.columns[t.WEIGHTS_BLOCK]) * self.sums.blocks


def lay_out_pass(
    builder: Builder, sums: Sums, problem: Problem, shape: Sequence[int], windows: Sequence[Window],
    x_steps: Sequence[int], x_channels: Sequence[int], out_step: int, out_channels: Sequence[int],
) -> TilePass:  # fmt: skip
    """Lay out the pass that turns the windows of a tile, of such a shape, into its outputs.

    ``x_steps`` and the offsets of a group's ``x_channels`` count where x is read in place. ``out_step`` is that along
    the last axis, ``out_channels`` are offsets. Steps and lengths that the problem itself has do not count.
    """
    (tile, sharing, flat, *_), like, fixed = sums.way, sums.like, sums.columns
    line_taps = problem.axes[-1].taps
    item, together, row_axis, block = fixed[t.ITEM], fixed[t.FRAME], fixed[t.ROW_AXIS], fixed[t.BLOCK]
    pitches = dense_pitches(windows, item * together)
    window_bytes = pitches[0] * windows[0].length  # of channels that lie together
    channel_pitch = window_bytes if together == 1 else item
    channels = range(0, len(x_channels) * channel_pitch, channel_pitch), x_channels
    ordered, phases = problem.in_kernel_order, []
    lines = ordered(windows), ordered(pitches), ordered(x_steps)
    for own, shifts, bounds in zip(sums.taps, sums.shifts, sums.bounds, strict=True):
        place = tap_offsets(own, shifts, *lines, channels)
        places = builder.address(place)
        phases.append((places, places + place.nbytes // 2, *bounds))
    channel_steps = {b - a for a, b in pairwise(out_channels[: like.branch_channels])}
    channel_step = max(channel_steps, default=0)
    length, pitch = 1, 1  # of the line that the register tile runs along
    for a in range(len(shape) - 1, len(shape) - 2 - flat, -1):
        length, pitch = length + (shape[a] - 1) * pitch, pitches[a - 1] // pitches[-1]
    pieces = -(-length // block)  # of several axes' lines, taken apart when stored
    if flat == 0:
        # Those of a tile across channels are transposed, line by line: the longer the better.
        most = tuning.TUNING.results_bytes * (4 if tile.across else 1)
        pieces = min(pieces, max(1, most // (sharing.rows * block * item)))
    columns = {
        **fixed, t.CHANNEL_PITCH: channel_pitch, t.PHASES: builder.add(phase_table(problem, phases)), t.PIECES: pieces,
        t.X_ROW: x_steps[row_axis] * problem.axes[row_axis].stride if row_axis >= 0 and like.reads_native else 0,
        t.LINE_TAPS: _ENDLESS if tile.interleaved or like.weights == line_taps else line_taps,
        t.CHANNEL_STEP: channel_step,
        t.WRITES_OUT: like.stores_inside and flat == 0 and len(channel_steps) <= 1,
    }  # fmt: skip
    # The last vectors and the rows that do not exist read behind the window.
    if tile.across:
        near = len(channel_steps) == 1 and abs(channel_step) < abs(out_step)
        neighbours = channel_step == np.dtype(like.result).itemsize if near else like.results_near
        runs_frames = (
            like.stores_inside and not sums.way.inside and len(shape) > 1
            and shape[-1] <= block and shape[-2] * sharing.rows * block * item <= most
        )  # fmt: skip
        if runs_frames:
            pieces = shape[-2]
            columns |= {t.RUN_LINE: function(run_frames), t.LINES_TOGETHER: 1}
        results_bytes = 2 * sharing.rows * round_up(pieces * block, tile.lanes) * item
        columns |= {
            t.WRITE: writer(like, like.accumulated, neighbours),
            t.CHANNELS_NEAR: near, t.WRITES_OUT: like.stores_native and channel_step == item,
        }  # fmt: skip
        beyond = max(tile.rows * pitches[-1] * problem.axes[-1].stride, tile.lanes * sharing.rows * item)
    else:
        results_bytes, beyond = pieces * sharing.rows * block * item, 2 * tile.rows * block * item
        if row_axis >= 0:
            beyond += -shape[row_axis] % (tile.rows * fixed[t.ROW_SPACING]) * pitches[row_axis]
    window_bytes = round_up(-(-len(x_channels) // together) * window_bytes + beyond, CACHE_LINE)
    if windows[-1].is_dense:
        pitches[-1] *= problem.axes[-1].stride
    return TilePass(sums, columns, pitches, window_bytes, results_bytes)
