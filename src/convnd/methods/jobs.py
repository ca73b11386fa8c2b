"""A problem laid out for compiled code: what every method's tasks need, and the call itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from time import perf_counter
from typing import Any

import numpy as np

from ..jit import threads
from ..jit.gather import AXIS, RUN_FIELDS, compile_extreme, compile_gather
from ..jit.machine import CACHE_LINE
from ..jit.tiles import compile_store
from ..problem.axis import Window
from ..problem.canonical import Levels, Problem
from ..problem.dtypes import bits
from .layout import distinct, round_up

_SLICE = 0.1  #: seconds after which a long call looks for signals
_SHORT = 6000  #: work of a slice to begin with, in that which is enough for one thread

Region = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Geometry:
    """The axes of a problem and its tiles as compiled code sees them.

    ``values`` are the fields that every job has; ``tables`` and ``routines`` are kept alive, since they hold their
    addresses.
    """

    axes: np.ndarray
    values: dict[str, int]
    tables: tuple[np.ndarray, ...]
    routines: tuple[Any, ...]

    def job(self, dtype: np.dtype[Any], values: dict[str, Any]) -> np.ndarray:
        """Return a job record with these values and ours."""
        job = np.zeros(1, dtype)
        for name, value in {**self.values, **values}.items():
            job[name] = value
        return job

    def region(self, tile: int) -> Region:
        """Return the outputs of a tile, by its number."""
        place = np.unravel_index(tile, self.axes["tiles"])
        starts = self.axes["first_tile"] + np.array(place)
        return [(int(self.tables[0][start]), int(self.tables[0][start + 1])) for start in starts]

    def restricted(self, region: Region) -> tuple[np.ndarray, np.ndarray]:
        """Return the axes and the tiles' first outputs of what lies in a region."""
        axes = self.axes.copy()
        begins: list[np.ndarray] = []
        for axis, (first, end) in zip(axes, region, strict=True):
            tiles = self.tables[0][axis["first_tile"] : axis["first_tile"] + axis["tiles"] + 1]
            axis["first_tile"] = sum(len(own) for own in begins)
            begins.append(distinct(np.clip(tiles, first, end)))
            axis["tiles"] = len(begins[-1]) - 1
        return axes, np.concatenate(begins)


def geometry(
    problem: Problem,
    working: str,
    windows: Sequence[Window],
    begins: Sequence[np.ndarray],
    pitches: Sequence[int] | None = None,
    whole: bool = False,
    frame: int = 1,
    ranged: bool = False,
) -> Geometry:
    """Lay out a problem.

    Parameters
    ----------
    problem : Problem
        What is computed.
    working : str
        The type of the windows.
    windows : sequence of Window
        The window of a full tile along each axis.
    begins : sequence of ndarray
        The first output of every tile along each axis, and the number of outputs behind them.
    pitches : sequence of int, optional
        Bytes between neighbours of the gathered window along each axis; by default it is dense.
    whole : bool
        Whether results are whole numbers but for rounding.
    frame : int
        Channels that are gathered together, sample by sample.
    ranged : bool
        Whether the method looks for the largest magnitude of a window.
    """
    lengths = [len(w.positions) for w in windows]
    item = np.dtype(working).itemsize
    pitches = pitches or dense_pitches(windows, item * frame)
    axes = np.zeros(len(lengths), AXIS)
    for a, axis in enumerate(problem.axes):
        axes[a] = (
            axis.length, axis.stride, axis.before, axis.extent - 1, axis.unit,
            problem.x_steps[a], problem.out_steps[a], len(begins[a]) - 1, sum(map(len, begins[:a])),
            lengths[a], sum(lengths[:a]), pitches[a], 0, 0,
        )  # fmt: skip
    positions, all_begins = np.concatenate([w.positions for w in windows]), np.concatenate(begins)
    x_channels, out_channels = offsets(problem.x_channel_steps), offsets(problem.out_channel_steps)
    line_runs = windows[-1].runs
    stored = problem.accumulated if working == problem.working else working
    routines = [
        compile_gather(problem.stored, working, frame > 1, problem.nans),
        compile_store(stored, problem.result, whole, problem.normalises),
    ]
    if ranged or problem.normalises:
        routines.append(compile_extreme(working, "umax" if ranged else "umin"))
    runs_at = 8 * sum(lengths)
    values = {
        "begins": all_begins.ctypes.data, "positions": positions.ctypes.data,
        "x_channels": x_channels.ctypes.data, "out_channels": out_channels.ctypes.data,
        "gather": routines[0].address, "frame": frame, "mode": problem.mode, "fill_period": problem.fill_period,
        "item": item, "in_channels": problem.in_channels,
        "line_runs": line_runs.ctypes.data, "line_run_count": len(line_runs),
        "store": routines[1].address, "row_axis": -1, "extreme": routines[2].address if len(routines) > 2 else 0,
        "one": bits(1.0, working) if problem.normalises and not ranged else 0,
        "samples_bytes": problem.in_channels * prod(lengths) * item,
        "groups": problem.groups, "out_per_group": problem.out_channels,
        "runs_at": runs_at, "window_at": round_up(runs_at + 8 * 2 * RUN_FIELDS * lengths[-1], CACHE_LINE),
    }  # fmt: skip
    return Geometry(axes, values, (all_begins, positions, x_channels, out_channels, line_runs), tuple(routines))


def dense_pitches(windows: Sequence[Window], item: int) -> list[int]:
    """Return the bytes between neighbours along each axis of a dense window."""
    lengths = [len(w.positions) for w in windows]
    return [item * prod(lengths[a + 1 :]) for a in range(len(lengths))]


def branch_records(problem: Problem, tables: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Return the records of a problem's branches: `tiles.BRANCH_FIELDS` of each, and its missing outputs."""
    fewer = product(*([axis.outputs - b.outputs for b in axis.branches] or [0] for axis in problem.axes))
    return np.array([(*fields, *few) for fields, few in zip(tables, fewer, strict=True)], np.int64)


def run(
    job: np.ndarray,
    axes: np.ndarray,
    worker: Any,
    arrays: dict[str, np.ndarray],
    wanted: int | None,
    useful: int,
) -> None:
    """Run a job's tasks in as many threads as are wanted and useful.

    Parameters
    ----------
    job, axes : ndarray
        The records.
    worker : compiled function
        What each thread runs.
    arrays : dict
        Arrays whose addresses the job takes, by name; the scratch is added.
    wanted, useful : int
        As in `threads.team_size`.
    """
    job, tasks = job.copy(), int(job["tasks"][0])
    count = min(threads.team_size(wanted, useful), tasks)
    arrays["scratch"] = np.empty(count * int(job["scratch_bytes"][0]), np.uint8)
    arrays["next_task"] = next_task = np.zeros(1, np.int64)
    for name, array in arrays.items():
        job[name] = array.ctypes.data
    done, step = 0, max(count, tasks * count * _SHORT // useful)
    while done < tasks:  # a signal's handler runs between
        begin = perf_counter()
        job["tasks"] = done = min(tasks, done + step)
        threads.run_workers(count, worker, job, axes)
        next_task[0] = done
        step = max(count, int(step * min(4.0, _SLICE / (perf_counter() - begin))))


def offsets(levels: Levels) -> np.ndarray:
    """Return the byte offsets of nested ``(count, step)`` levels, the last running fastest."""
    places = np.zeros(1, np.int64)
    for count, step in levels:
        places = (places[:, None] + np.arange(count, dtype=np.int64) * step).ravel()
    return places
