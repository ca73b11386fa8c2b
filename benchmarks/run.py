"""Time ``convnd`` beside other libraries, in turns, in one run.

    python benchmarks/run.py                                  every line of problems.txt
    python benchmarks/run.py "float32 3500x3500 * 9x9 same"   this problem (see convnd.problem_text)
    python benchmarks/run.py --file benchmarks/layers.txt     layers of the shapes that oneDNN tests
    python benchmarks/run.py --json figures.json --plot figures.png --page    keep and draw all figures,
                                                              write the tables of docs/explanation/speed.md

A line may end with targets, as in ``float32 3500x3500 * 9x9 same | peer>=2.5 mm>=0.55``. They are ratios:

    peer       time of the fastest peer / ours
    mm         our GFLOP/s / those of ``torch.mm`` (float32)
    copy       our GB/s / those of a parallel copy of x
    float32    our GFLOP/s / ours for the same problem in float32, which stands on a line above

A line ``## Audio`` begins a section of the tables; other lines that begin with ``#`` are comments.
"""

import os

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before the peers' threads, which otherwise wait on our cores

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

import peers
import timing
from convnd import convnd, plan
from convnd.problem_text import Problem, parse
from geometry import flops
from report import COLUMNS, Row, losses, markdown, write_bars, write_json, write_plot, write_section

HERE = Path(__file__).parent
TARGETS = ("peer", "mm", "copy", "float32")
MM_SIZE = 2048

METHOD = f"""\
{timing.METHOD} Threads that wait sleep. The machine's own limits have their
turns in the same rounds: `torch.mm` ({MM_SIZE}² float32) and a parallel copy of x.
{peers.METHOD} GFLOP/s counts two operations for each tap of each output, whatever
the method; GB/s counts the bytes of x and of the result."""


class Line(NamedTuple):
    """A problem, the ratios wanted of it, and the title above it."""

    problem: Problem
    targets: dict[str, float]
    section: str = ""


def read_lines(lines: Iterable[str]) -> list[Line]:
    """Read problems and their targets, without comments and empty lines."""
    work, section = [], ""
    for line in lines:
        if line.startswith("## "):
            section = line.removeprefix("## ").strip()
        text, _, wanted = line.partition("#")[0].partition("|")
        if not text.strip():
            continue
        targets = {}
        for word in wanted.split():
            match = re.fullmatch(rf"({'|'.join(TARGETS)})>=(\d+(?:\.\d+)?)", word)
            if match is None:
                raise ValueError(f"target {word!r}: expected one of {', '.join(TARGETS)}, as in peer>=1.5")
            targets[match[1]] = float(match[2])
        work.append(Line(parse(text), targets, section))
    return work


def measure(line: Line, names: Iterable[str] = (), seconds: float = 5, earlier: Sequence[Row] = ()) -> Row:
    """Check and time one problem beside these libraries; a ``float32`` target refers to ``earlier`` rows."""
    problem = line.problem
    x, kernel = problem.arrays()
    keywords = problem.keywords()
    method = plan(x, kernel, **keywords).method
    result = convnd(x, kernel, **keywords)
    if problem.out:
        keywords["out"] = np.empty_like(result)

    rivals, rejected = peers.agreeing(names, problem, x, kernel, result)
    others = {"convnd": lambda: convnd(x, kernel, **keywords), **limits(x)}
    for call in others.values():
        call()
    ms = timing.time_in_turns({**others, **rivals}, rivals, seconds)
    peer = min(rivals, key=ms.__getitem__, default=None)
    gflops = flops(problem, result.size) / ms["convnd"] / 1e6
    gbs = (x.nbytes + result.nbytes) / ms["convnd"] / 1e6
    ratios = {"copy": gbs / (2 * x.nbytes / ms["copy"] / 1e6)}
    if "torch.mm" in ms and method == "direct":  # the others do less than two operations for each tap
        ratios["mm"] = gflops / (2 * MM_SIZE**3 / ms["torch.mm"] / 1e6)
    if peer:
        ratios["peer"] = ms[peer] / ms["convnd"]
    twin = replace(problem, dtype="float32")
    for row in earlier:
        if row.problem == twin != problem:
            ratios["float32"] = gflops / row.gflops
    return Row(*line, method, ms, gflops, gbs, peer, ratios, rejected)


def limits(x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Give calls that show what the machine can do: a parallel copy of x, and a product of matrices."""
    source = x.ravel(order="K").view(np.uint8)
    target = np.zeros_like(source)
    calls: dict[str, Callable[[], Any]] = {"copy": lambda: parallel_copy(source, target)}
    if find_spec("torch"):
        import torch

        a, b = torch.rand(2, MM_SIZE, MM_SIZE)
        c = torch.empty_like(a)
        calls["torch.mm"] = lambda: torch.mm(a, b, out=c)
    return calls


@numba.njit(parallel=True)
def parallel_copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy an array, each thread a part of it."""
    target[:] = source


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; the exit status is 1 where a peer computes something else than we do."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    option = parser.add_argument
    option("problems", nargs="*", metavar="PROBLEM", help="a problem, with or without targets")
    option("--file", type=Path, help="problems, one a line (default: problems.txt beside this file)")
    option("--peers", default=",".join(peers.PEERS), help="libraries, by commas (default: %(default)s)")
    option("--seconds", type=float, default=5, help="time for each problem (default: %(default)s)")
    option("--json", type=Path, metavar="OUT", help="write all figures here")
    option("--plot", type=Path, metavar="OUT", help="draw the ratios to the best peers here")
    option("--bars", type=Path, metavar="OUT", help="draw a bar for each library here")
    option("--page", action="store_true", help="write the tables into docs/explanation/speed.md")
    args = parser.parse_args(argv)
    names = [name for name in args.peers.split(",") if name]
    if unknown := set(names) - peers.PEERS.keys():
        parser.error(f"--peers: {', '.join(sorted(unknown))} is not one of {', '.join(peers.PEERS)}")
    try:
        lines = list(args.problems)
        if args.file or not lines:
            lines += (args.file or HERE / "problems.txt").read_text(encoding="utf-8").splitlines()
        work = read_lines(lines)
    except (OSError, ValueError) as error:
        parser.error(str(error))

    timing.reuse_memory()
    peers.set_threads(numba.get_num_threads())
    names = peers.installed(names)
    widths = [max(len(str(line.problem)) for line in work), *list(COLUMNS.values())[1:]]
    print_line(list(COLUMNS), widths)
    rows: list[Row] = []
    for line in work:
        rows.append(measure(line, names, args.seconds, rows))
        print_line(rows[-1].cells(), widths)
    print("", *losses(rows), sep="\n")
    if args.json:
        write_json(args.json, [vars(row) for row in rows])
    if args.plot:
        write_plot(args.plot, rows)
    if args.bars:
        write_bars(args.bars, rows)
    if args.page:
        write_section(
            HERE.parent / "docs" / "explanation" / "speed.md", markdown(rows, METHOD.format(seconds=args.seconds))
        )
    return int(any(row.rejected for row in rows))


def print_line(cells: Sequence[str], widths: Sequence[int]) -> None:
    """Print a line of the table."""
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
