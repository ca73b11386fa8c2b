"""A benchmark's figures, and the ways to write them down: lines of a table, JSON, the README's section."""

from __future__ import annotations

import json
import math
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba

from problem_text import Problem

__all__ = ["COLUMNS", "Row", "losses", "markdown", "write_json", "write_section"]

COLUMNS = {  # headings and their widths on a terminal; the first is as wide as the longest problem
    "problem": 0,
    "ms": 6,
    "GFLOP/s": 7,
    "of mm": 6,
    "GB/s": 6,
    "of copy": 7,
    "best peer": 17,
    "its ms": 6,
    "peer/ours": 9,
    "target": 0,
}
BEGIN, END = "<!-- benchmark:begin -->\n", "<!-- benchmark:end -->"


@dataclass(frozen=True)
class Row:
    """The figures of one problem.

    Attributes
    ----------
    targets, ratios : dict
        By name (``"peer"``, ``"mm"``, ``"copy"``, ``"float32"``): the least ratio wanted; the one found.
    ms : dict
        The fastest call of ``"convnd"``, of each peer, and of the limits ``"torch.mm"`` and ``"copy"``.
    gflops, gbs : float
        What ``convnd`` reaches.
    peer : str, optional
        The fastest peer.
    rejected : dict
        Peers that were not timed, as they compute something else, and how their results differ.
    """

    problem: Problem
    targets: dict[str, float]
    ms: dict[str, float]
    gflops: float
    gbs: float
    peer: str | None
    ratios: dict[str, float]
    rejected: dict[str, str]

    @property
    def lost(self) -> bool:
        """Whether a peer is faster."""
        return self.ratios.get("peer", math.inf) < 1

    @property
    def missed(self) -> str:
        """The targets missed, in words; one that could not be measured is among them."""
        found = {name: self.ratios.get(name, math.nan) for name in self.targets}
        misses = {name: least for name, least in self.targets.items() if not found[name] >= least}
        return "; ".join(f"{name} {found[name]:.2f}, not {least:g}" for name, least in misses.items())

    def cells(self) -> list[str]:
        """Give the row's entries under ``COLUMNS``."""
        of = {name: f"{ratio:.0%}" for name, ratio in self.ratios.items()}
        ms = {name: f"{fastest:.3g}" for name, fastest in self.ms.items()}
        ours = [ms["convnd"], f"{self.gflops:.0f}", of.get("mm", "-"), f"{self.gbs:.1f}", of.get("copy", "-")]
        peer = ["-", "-", "-"]
        if self.peer:
            peer = [self.peer, ms[self.peer], f"{self.ratios['peer']:.2f}" + " LOSS" * self.lost]
        target = f"MISSED: {self.missed}" if self.missed else "met" if self.targets else "-"
        return [str(self.problem), *ours, *peer, target]


def losses(rows: Sequence[Row]) -> list[str]:
    """Say every loss, every missed target and every peer left out."""
    lines = [f"Loss: {r.problem}: {r.peer} takes {r.ratios['peer']:.2f} of our time." for r in rows if r.lost]
    lines += [f"Target missed: {r.problem}: {r.missed}." for r in rows if r.missed]
    lines += [f"Not timed: {r.problem}: {name} {why}." for r in rows for name, why in r.rejected.items()]
    return lines or ["No losses, no target missed."]


def machine() -> dict[str, Any]:
    """Describe what the figures depend on: processor, threads, versions of what was imported."""
    features = llvmlite.binding.get_host_cpu_features()
    packages = ("convnd", "numba", "numpy", "scipy", "cv2", "torch")
    return {
        "cpu": llvmlite.binding.get_host_cpu_name(),
        "vectors": [name for name in ("avx2", "avx512f", "neon", "sve") if features.get(name)],
        "threads": numba.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: sys.modules[name].__version__ for name in packages if name in sys.modules},
    }


def write_json(path: Path, rows: Sequence[Row]) -> None:
    """Keep all figures, each row with its problem as text."""
    figures = [{**vars(row), "problem": str(row.problem)} for row in rows]
    path.write_text(json.dumps({"machine": machine(), "rows": figures}, indent=1) + "\n", encoding="utf-8")


def markdown(rows: Sequence[Row], method: str) -> str:
    """Give the README's section: table, losses, machine and method."""
    about = machine()
    host = f"{about.pop('cpu')} ({', '.join(about.pop('vectors'))}), {about.pop('threads')} threads"
    versions = ", ".join(f"{name} {value}" for name, value in about.items())
    rule = ["---" if name in ("problem", "best peer", "target") else "---:" for name in COLUMNS]
    table = [list(COLUMNS), rule, *(row.cells() for row in rows)]
    for cells in table[2:]:
        cells[0] = f"`{cells[0]}`"
    lines = [f"| {' | '.join(cells)} |" for cells in table]
    lines += ["", *(f"- {line}" for line in losses(rows)), "", f"{host}; {versions}.", "", method]
    return "\n".join(lines) + "\n"


def write_section(path: Path, section: str) -> None:
    """Put the section between the file's markers."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has no lines {BEGIN.strip()} and {END}")
    path.write_text(before + begin + section + end + after, encoding="utf-8")
