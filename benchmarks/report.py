"""A benchmark's figures, and how they are written: lines of a table, JSON, a plot, the section of a page in `docs`."""

import json
import math
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import groupby
from pathlib import Path
from textwrap import fill
from typing import Any

import llvmlite.binding
import numba

from convnd.problem_text import Problem

__all__ = ["COLUMNS", "Row", "losses", "markdown", "write_bars", "write_json", "write_plot", "write_section"]

COLUMNS = {  # headings and their widths on a terminal; the first is as wide as the longest problem
    "problem": 0,
    "method": 9,
    "ms": 6,
    "GFLOP/s": 7,
    "of mm": 6,
    "GB/s": 6,
    "of copy": 7,
    "best peer": 23,
    "its ms": 6,
    "peer/ours": 9,
    "target": 0,
}
BEGIN, END = "<!-- benchmark:begin -->\n", "<!-- benchmark:end -->"
LIBRARIES = {
    "SciPy": "scipy.",
    "OpenCV": "cv2.",
    "PyTorch": "torch.",
}  # and what the names of their functions begin with
WON, LOST = "#0072b2", "#d55e00"  # colours that everyone can tell apart


@dataclass(frozen=True)
class Row:
    """The figures of one problem.

    Attributes
    ----------
    section : str
        The title above the problem in its file.
    method : str
        The method that ``convnd`` chose.
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
    section: str
    method: str
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
        return [str(self.problem), self.method, *ours, *peer, target]


def losses(rows: Sequence[Row]) -> list[str]:
    """Say every loss, every missed target and every peer left out."""
    lines = [f"Loss: {r.problem}: {r.peer} takes {r.ratios['peer']:.2f} of our time." for r in rows if r.lost]
    lines += [f"Target missed: {r.problem}: {r.missed}." for r in rows if r.missed]
    lines += [f"Not timed: {r.problem}: {name} {why}." for r in rows for name, why in r.rejected.items()]
    return lines or ["No losses, no target missed."]


def machine() -> dict[str, Any]:
    """Describe what the figures depend on: processor, threads, versions of what was imported."""
    features = llvmlite.binding.get_host_cpu_features()
    packages = ("convnd", "numba", "numpy", "scipy", "cv2", "torch", "jax", "SimpleITK", "dask_image")
    return {
        "cpu": llvmlite.binding.get_host_cpu_name(),
        "vectors": [name for name in ("avx2", "avx512f", "neon", "sve") if features.get(name)],
        "threads": numba.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in packages if name in sys.modules},
    }


def _version(package: str) -> str:
    """The version that a module tells, or else the one it was installed as."""
    return str(getattr(sys.modules[package], "__version__", None) or metadata.version(package.replace("_", "-")))


def write_json(path: Path, figures: Sequence[dict[str, Any]]) -> None:
    """Keep figures, a dictionary for each row, beside what they depend on."""
    document = {"machine": machine(), "rows": [{**row, "problem": str(row["problem"])} for row in figures]}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def write_plot(path: Path, rows: Sequence[Row]) -> None:
    """Draw the time of the best peer / ours, a line for each problem that has one."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator

    shown = [row for row in rows if row.peer]
    ratios = [row.ratios["peer"] for row in shown]
    figure = Figure(figsize=(10, 1.3 + 0.21 * len(shown)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(1, color="black", linewidth=1)
    for y, (row, ratio) in enumerate(zip(shown, ratios, strict=True)):
        colour = LOST if row.lost else WON
        axes.plot([1, ratio], [y, y], color=colour, linewidth=2, alpha=0.4)
        axes.plot(ratio, y, "o", color=colour, markersize=5)
        axes.text(1.01, y, f"{ratio:.2g}  {row.peer}", transform=axes.get_yaxis_transform(), va="center", size=7)
        if y and row.section != shown[y - 1].section:
            axes.axhline(y - 0.5, color="lightgrey", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axes.xaxis.set_minor_locator(LogLocator(subs=()))
    axes.set_yticks(range(len(shown)), [str(row.problem) for row in shown], family="monospace", size=7)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel("time of the fastest peer (on the right) / ours; orange: it is faster")
    axes.grid(axis="x", color="lightgrey", linewidth=0.5)
    figure.savefig(path, dpi=150)


def write_bars(path: Path, rows: Sequence[Row]) -> None:
    """Draw a bar for each library: the geometric mean of its time / ours, and the smallest and the largest of them."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator

    figure = Figure(figsize=(7.2, 1.8), layout="constrained")
    axes = figure.subplots()
    for y, (name, begins) in enumerate(LIBRARIES.items()):
        ratios = []
        for row in rows:
            own = [ms for peer, ms in row.ms.items() if peer.startswith(begins) and peer != "torch.mm"]
            ratios += [min(own) / row.ms["convnd"]] if own else []
        if ratios:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            axes.barh(y, mean - 1, left=1, height=0.6, color=WON if mean > 1 else LOST)
            axes.plot([min(ratios), max(ratios)], [y, y], "|-", color="black", linewidth=1, markersize=8)
            text = f"{name}: {mean:.1f} times our time in {len(ratios)} problems"
            axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axes.xaxis.set_minor_locator(LogLocator(subs=()))
    axes.set(
        yticks=[], ylim=(len(LIBRARIES) - 0.5, -0.5), xlabel="their time / ours (bar: geometric mean; line: range)"
    )
    figure.savefig(path, dpi=100)


def markdown(rows: Sequence[Row], method: str) -> str:
    """Give the page's section: a table for each section of problems, what was lost, machine and method.

    Targets are the project's own: the page has none.
    """
    about = machine()
    host = f"{about.pop('cpu')} ({', '.join(about.pop('vectors'))}), {about.pop('threads')} threads"
    versions = ", ".join(f"{name} {value}" for name, value in about.items())
    lines = []
    for section, members in groupby(rows, key=lambda row: row.section):
        lines += [f"**{section}**", ""] if section else []
        lines += [*_table(members), ""]
    lost = [f"- {row.peer} takes {row.ratios['peer']:.2f} of our time: `{row.problem}`." for row in rows if row.lost]
    lines += [*lost, "", f"{host}; {versions}.", "", fill(method, 118)]
    return "\n".join(lines) + "\n"


def _table(rows: Iterable[Row]) -> list[str]:
    shown = [name for name in COLUMNS if name != "target"]
    rule = ["---" if name in ("problem", "method", "best peer") else "---:" for name in shown]
    body = [[f"`{problem}`", *cells] for problem, *cells, _ in (row.cells() for row in rows)]
    return [f"| {' | '.join(cells)} |" for cells in [shown, rule, *body]]


def write_section(path: Path, section: str) -> None:
    """Put the section between the file's markers."""
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{path} has no lines {BEGIN.strip()} and {END}")
    path.write_text(before + begin + section + end + after, encoding="utf-8")
