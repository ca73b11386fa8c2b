"""The tables of a problem for compiled code: what every method's tasks need, and the call itself."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from math import prod
from typing import Any

import numpy as np

from ...jit import tables as t
from ...jit.calls.taps import write_begins
from ...jit.compile import function, plain
from ...jit.gather import gather
from ...jit.intrinsics.transpose import gather_frames, gather_lines, turn_lines
from ...jit.lines import compile_largest, compile_reader, compile_updating_writer, compile_writer
from ...jit.machine import CACHE_LINE
from ...jit.parallel import compile_kernel, run_tasks
from ...problem.axis import Axis
from ...problem.canonical import Levels, Problem
from ...problem.recent import once
from .. import tuning
from .layout import frame_of_x, round_up
from .taps import Window
from .ways import lanes_of

Region = Sequence[tuple[int, int]]
Columns = Mapping[int, Any]
_LONG_ROW = 1024  # bytes of a window's row, to which two cache lines more make little difference
_MOST_SPACING = 8  # samples from one to the next that are read by vectors
_OTHERS = [0] * (t.AXIS_COLUMNS - t.PITCH)  # columns of an axis that few have


class Builder:
    """A table in the making: jobs first, then what they point to."""

    def __init__(self, jobs: int = 1, columns: int = t.JOB_COLUMNS) -> None:
        self._columns, self._numbers = columns, array("q", bytes(8 * jobs * columns))
        self._kept: list[np.ndarray] = []

    def add(self, values: np.ndarray | Sequence[int]) -> int:
        """Add whole numbers, those of an array in int64, and return their place."""
        place = len(self._numbers)
        if isinstance(values, np.ndarray):
            self._numbers.frombytes(values.tobytes())
        else:
            self._numbers.extend(values)
        return place

    def address(self, values: np.ndarray) -> int:
        """Return the address of an array, which the tasks keep alive."""
        self._kept.append(values)
        address: int = values.__array_interface__["data"][0]  # `ctypes` takes longer
        return address

    def set(self, columns: Columns, job: int = 0) -> None:
        """Set columns of a job."""
        first, numbers = job * self._columns, self._numbers
        for column, value in columns.items():
            numbers[first + column] = value

    def table(self) -> np.ndarray:
        """Return the table."""
        self._numbers[t.SIZE] = len(self._numbers)
        return np.array(self._numbers)

    def tasks(self, begins: Sequence[Sequence[int]]) -> Tasks:
        """Return the tasks of the table, on tiles that begin at these outputs."""
        return Tasks(self.table(), tuple(begins), tuple(self._kept))


@dataclass(frozen=True)
class Tasks:
    """The tasks of a problem: one for each tile of a grid, each group, and each part of a group's output channels."""

    table: np.ndarray  # but for the addresses of a call
    begins: tuple[Sequence[int], ...]  # the first output of every tile along each axis, and the number behind them
    kept: tuple[np.ndarray, ...]  # what the table holds addresses of

    @once
    def grid(self) -> tuple[int, ...]:
        """The number of tiles along each axis."""
        return tuple(len(own) - 1 for own in self.begins)

    @property
    def scratch_bytes(self) -> int:
        """Bytes that a thread takes beside the arrays."""
        return int(self.table[t.SCRATCH_BYTES])

    def region(self, tile: int) -> Region:
        """Return the outputs of a tile, by its number."""
        place = np.unravel_index(tile, self.grid)
        return [(own[k], own[k + 1]) for own, k in zip(self.begins, map(int, place), strict=True)]

    def restricted(self, region: Region) -> Tasks:
        """Return the tasks of the outputs in a region alone."""
        begins, table, size = [], self.table.copy(), len(self.table)
        for a, (own, (first, end)) in enumerate(zip(self.begins, region, strict=True)):
            begins.append([*dict.fromkeys(min(max(begin, first), end) for begin in own)])
            axis = int(table[t.AXES]) + a * t.AXIS_COLUMNS
            table[axis + t.BEGINS], table[axis + t.TILES] = size, len(begins[-1]) - 1
            size += len(begins[-1])
        tiles = prod(len(own) - 1 for own in begins)
        table[t.TASKS] = tiles * (int(table[t.TASKS]) // prod(self.grid))
        table[t.SIZE] = size
        return replace(self, table=np.concatenate([table, *begins], dtype=np.int64), begins=tuple(begins))

    def compile(self, workers: int | None, useful: int) -> None:
        """Compile the kernel function that `run` calls, ahead of it."""
        compile_kernel(len(self.grid), int(self.table[t.TASKS]), workers, useful)

    def run(self, columns: Columns, workers: int | None, useful: int, jobs: Sequence[Columns] = ()) -> None:
        """Run the tasks in as many threads as are wanted and useful, as `parallel.team_size` has it.

        ``columns`` are of the first job, ``jobs`` of those behind it: whole numbers, or arrays, whose addresses count.
        """
        table = self.table.copy()
        for job, own in enumerate((columns, *jobs)):
            for column, value in own.items():
                table[job * t.JOB_COLUMNS + column] = value.ctypes.data if isinstance(value, np.ndarray) else value
        run_tasks(table, self.grid, workers, useful)


def dense_pitches(windows: Sequence[Window], item: int) -> list[int]:
    """Return the bytes between neighbours along each axis of a dense window.

    Long rows begin with a cache line. They are an odd number of lines apart, so that they share no set of a cache.
    """
    pitches = [item] * len(windows)
    for a in range(len(windows) - 1, 0, -1):
        pitches[a - 1] = pitches[a] * windows[a].length
        if a == len(windows) - 1 and pitches[a - 1] >= _LONG_ROW and CACHE_LINE % item == 0:
            pitches[a - 1] = round_up(pitches[a - 1] + CACHE_LINE, 2 * CACHE_LINE) - CACHE_LINE
    return pitches


def add_axes(
    builder: Builder, problem: Problem, windows: Sequence[Window], begins: Sequence[Sequence[int]]
) -> tuple[list[list[int]], dict[int, int]]:
    """Return the numbers of each of a problem's axes, and the columns of a job that describe its windows.

    ``windows`` are those of a full tile along each axis, ``begins`` the first output of every tile and the number
    behind them.
    """
    rows, rank, at = [], len(windows), t.MEMORY_ROWS * len(windows)
    for a, axis in enumerate(problem.axes):
        window = windows[a]
        there = range(window.length) if window.is_dense else window.positions
        positions = builder.add(there) if a < rank - 1 else 0
        rows.append([  # in the order of their columns
            axis.length, axis.stride, axis.before, axis.extent - 1, axis.unit, *axis.boundary, problem.x_steps[a],
            problem.out_steps[a], len(begins[a]) - 1, builder.add(begins[a]), window.length, positions, at,
            *_OTHERS,
        ])  # fmt: skip
        at += window.length
    runs = windows[-1].runs
    return rows, {
        t.RANK: rank, t.RUNS: builder.add([*chain(*runs)]), t.RUN_COUNT: len(runs),
        t.X_CHANNELS: builder.add(offsets(problem.x_channel_steps)),
        t.OUT_CHANNELS: builder.add(offsets(problem.out_channel_steps)),
        t.IN_CHANNELS: problem.read_channels, t.GROUPS: problem.groups, t.GROUP_FILTERS: problem.out_channels,
        t.STORED: problem.stored_bytes, t.FRAME: 1, t.PASSES: 1,
        t.NUMBERS: at + t.SEGMENT * 4 * len(runs),
    }  # fmt: skip


def axis_rows(axes: Sequence[Sequence[int]], pitches: Sequence[int]) -> list[int]:
    """Return the numbers of axes, with the bytes between neighbours of a gathered window along each."""
    rows: list[int] = []
    for row, pitch in zip(axes, pitches, strict=True):
        rows += row
        rows[t.PITCH - t.AXIS_COLUMNS] = pitch
    return rows


@tuning.remembered(256)
def functions(
    problem: Problem, working: str, spacing: int, is_whole: bool = False, ranged: bool = False
) -> Columns:  # fmt: skip
    """Return the columns of a job that depend on dtypes alone, and on the ``spacing`` of samples in x.

    ``working`` is that of windows and results. ``is_whole`` says whether results are whole numbers but for rounding,
    ``ranged`` whether the method looks for the largest magnitude of a window.
    """
    computed = problem.accumulated if working == problem.working else working
    stored, native = np.dtype(problem.stored), np.dtype(working)
    is_near = problem.nan == "kept" and stored == native and problem.x_steps[-1] == native.itemsize
    reads_lines, lanes = is_near and len(problem.axes) > 1, lanes_of(working)
    if problem.depthwise:
        lines = gather_frames.compile(working, problem.read_channels) if reads_lines else 0
    else:
        lines = gather_lines.compile(working, lanes) if reads_lines else 0
    return {
        t.READ_LINES: lines,
        t.GATHER: function(gather), t.READ: compile_reader(problem.stored, working, problem.nan, spacing),
        t.WRITE: writer(problem, computed, problem.results_near, is_whole),
        t.LARGEST: compile_largest(working) if ranged else 0, t.ITEM: np.dtype(working).itemsize,
    }  # fmt: skip


def spacing_of(problem: Problem, windows: Sequence[Window]) -> int:
    """Return how many samples apart in x neighbours on a line of a window lie, or 1 where vectors cannot read them."""
    spacing, rest = divmod(windows[-1].runs[0][3] * problem.x_steps[-1], problem.stored_bytes)
    is_frame = problem.depthwise or frame_of_x(problem) > 1  # whose channels are read one after the other
    return spacing if rest == 0 and 0 < abs(spacing) <= _MOST_SPACING and not is_frame else 1


def frames(problem: Problem, working: str) -> Columns:
    """Return the columns of a job whose windows have lines of a channel, where the channels of x are neighbours."""
    together = frame_of_x(problem)
    if together == 1 or problem.nan != "kept" or np.dtype(problem.stored) != np.dtype(working):
        return {}
    return {t.FRAME: together, t.READ_FRAMES: turn_lines.compile(working, lanes_of(working))}


def writer(problem: Problem, computed: str, near: bool, is_whole: bool = False) -> int:
    """Return the C function that writes lines of results, or adds them to what is there."""
    if problem.updates:
        return compile_updating_writer(computed)
    return compile_writer(computed, problem.result, near, is_whole, problem.scaled_in)


def window_columns(columns: Columns, window_bytes: int, results_bytes: int = 0) -> Columns:
    """Return the columns that say where windows and results lie in a worker's scratch."""
    results_at = round_up(window_bytes, CACHE_LINE)
    return {
        **columns, t.WINDOW_AT: 0, t.RESULTS_AT: results_at,
        t.SCRATCH_BYTES: round_up(results_at + results_bytes, CACHE_LINE),
    }  # fmt: skip


def phase_table(problem: Problem, tables: Sequence[tuple[int, ...]]) -> list[int]:
    """Return the table of a problem's phases: `tables.PHASE_COLUMNS` of each, and its missing outputs."""
    if len(tables) == 1:
        return [*tables[0], *[0] * len(problem.axes)]
    along = problem.in_kernel_order(problem.axes)
    fewer = product(*([axis.outputs - b.outputs for b in axis.branches] or [0] for axis in along))
    places = [problem.kernel_axes.index(a) for a in range(len(along))]
    return [n for own, few in zip(tables, fewer, strict=True) for n in (*own, *[few[k] for k in places])]


def offsets(levels: Levels) -> list[int]:
    """Return the byte offsets of nested ``(count, step)`` levels, the last running fastest."""
    places = [0]
    for count, step in levels:
        if count > 1:
            places = [place + k * step for place in places for k in range(count)]
    return places


def tile_begins(axis: Axis, size: int, border: int) -> list[int]:
    """Return what `write_begins` says of an axis: tiles of equal size, thin ones where ``border`` is above 0."""
    begins = [0] * (axis.outputs // size + 5)
    outside = axis.length, axis.before, axis.extent
    tiles = plain(write_begins)(*outside, axis.stride, axis.outputs, size, border, begins)
    return begins[: tiles + 1]


def distinct(values: np.ndarray) -> np.ndarray:
    """Return the values of a sorted array, each once.

    `numpy.unique` imports a module when first called: a child that is forked meanwhile would wait for it for ever.
    """
    return values[np.diff(values, prepend=values[:1] - 1) > 0]


def even_begins(axis: Axis, size: int) -> list[int]:
    """Return what `tile_begins` does, for tiles of ``size`` outputs, of which the last may have fewer."""
    return [*range(0, axis.outputs, size), axis.outputs]
