"""Time against the size of the kernel, in 1-D, 2-D and 3-D, and where "auto" changes method.

    python benchmarks/crossover.py --plot crossover.png --json crossover.json
    python benchmarks/crossover.py --ranks 2 --seconds 0.3        images only, in haste

The methods by name, "auto", SciPy's functions and OpenCV's take turns at each size; what STYLES has is timed and drawn.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numba

import peers
import timing
from choice import by_method
from convnd import plan
from convnd.problem_text import parse
from report import write_json

SHAPES = {1: "1000000", 2: "1000x1000", 3: "100x100x100"}
SIZES = {  # of the kernel along each axis
    1: (3, 7, 15, 31, 63, 127, 255, 511, 1023, 2047, 4095, 8191, 16383),
    2: (3, 5, 7, 9, 11, 15, 19, 25, 33, 45, 61, 85, 121),
    3: (3, 5, 7, 9, 11, 13, 15, 19, 23, 29, 35),
}
PEERS = ("scipy", "opencv")
STYLES: dict[str, dict[str, Any]] = {
    "auto": {"color": "black", "linewidth": 5, "alpha": 0.3},
    "direct": {"color": "#0072b2"},
    "fft": {"color": "#d55e00"},
    "scipy.fftconvolve": {"color": "#009e73", "linestyle": "--"},
    "scipy.oaconvolve": {"color": "#56b4e9", "linestyle": "--"},
    "ndimage.correlate": {"color": "#e69f00", "linestyle": ":"},
    "cv2.filter2D": {"color": "#cc79a7", "linestyle": "-."},
}


def measure(rank: int, seconds: float) -> list[dict[str, Any]]:
    """Time one rank's sizes, and print them; give a dictionary for each."""
    rows: list[dict[str, Any]] = []
    for size in SIZES[rank]:
        problem = parse(f"float32 {SHAPES[rank]} * {'x'.join([str(size)] * rank)} same")
        x, kernel = problem.arrays()
        calls = by_method(problem, x, kernel)
        calls |= peers.agreeing(peers.installed(PEERS), problem, x, kernel, calls["auto"]())[0]
        calls = {name: call for name, call in calls.items() if name in STYLES}
        for call in calls.values():
            call()
        ms = timing.time_in_turns(calls, calls, seconds)
        method = plan(x, kernel, **problem.keywords()).method
        times = ", ".join(f"{name} {ms[name]:.3g}" for name in sorted(ms, key=ms.__getitem__))
        print(f"{problem}  auto: {method} (ms: {times})", flush=True)
        rows.append({"problem": problem, "size": size, "method": method, "ms": ms})
    return rows


def draw(path: Path, panels: dict[int, list[dict[str, Any]]]) -> None:
    """Draw a panel for each rank; a vertical line stands where "auto" changes method."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(5 * len(panels), 4.5), layout="constrained")
    for axes, (rank, rows) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name, style in STYLES.items():
            timed = [row for row in rows if name in row["ms"]]
            if timed:
                sizes, ms = [row["size"] for row in timed], [row["ms"][name] for row in timed]
                axes.plot(sizes, ms, label=name, marker="." if name != "auto" else "", **style)
        for row, later in pairwise(rows):
            if row["method"] != later["method"]:
                between = (row["size"] * later["size"]) ** 0.5
                axes.axvline(between, color="black", linewidth=0.8)
                words = f"auto: {row['method']} | {later['method']}"
                axes.text(between, 1.01, words, transform=axes.get_xaxis_transform(), ha="center", size=8)
        ticks = [row["size"] for row in rows][:: 1 if len(rows) < 12 else 2]
        axes.set(xscale="log", yscale="log", xlabel="samples of the kernel along each axis")
        axes.set_xticks(ticks, [str(size) for size in ticks], size=8)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(f"{rank}-D: float32 {SHAPES[rank]}", pad=18)
        axes.grid(color="lightgrey", linewidth=0.5)
        axes.legend(fontsize=8)
    figure.axes[0].set_ylabel("ms")
    figure.savefig(path, dpi=150)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    option = parser.add_argument
    option("--ranks", type=int, nargs="+", choices=SIZES, default=list(SIZES), help="default: all")
    option("--seconds", type=float, default=2, help="time for each size (default: %(default)s)")
    option("--json", type=Path, metavar="OUT", help="write all figures here")
    option("--plot", type=Path, metavar="OUT", help="draw them here")
    args = parser.parse_args(argv)
    peers.set_threads(numba.get_num_threads())
    panels = {rank: measure(rank, args.seconds) for rank in args.ranks}
    if args.json:
        write_json(args.json, [row for rows in panels.values() for row in rows])
    if args.plot:
        draw(args.plot, panels)
    return 0


if __name__ == "__main__":
    sys.exit(main())
