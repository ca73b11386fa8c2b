"""How good is the choice of method? The time of "auto" / that of the best method by name, over a grid of problems.

    python benchmarks/choice.py                               the whole grid
    python benchmarks/choice.py "float32 9000 * 33 same"      these problems
    python benchmarks/choice.py --json choice.json            keep all figures

It prints each ratio, their geometric mean and the worst; the exit status is 1 where either is above its limit. What is
above it is timed again a few times, and the fastest call of all counts.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import timing
from convnd import convnd, plan
from convnd.problem_text import Problem, parse
from geometry import Call
from report import write_json

METHODS = ("direct", "separable", "fft")
LENGTHS = {  # of x along each axis, and of the kernel
    1: ((300, 3_000, 30_000, 300_000, 3_000_000), (3, 15, 65, 255, 1023, 8191)),
    2: ((20, 64, 200, 600, 2000), (3, 7, 15, 31, 101, 301)),
    3: ((8, 24, 64, 160), (3, 5, 9, 15, 31)),
}
LARGEST = 10**11  # products; direct summation takes most of a second for them
MEAN_LIMIT, WORST_LIMIT = 1.10, 1.35
AGAIN = 4  # times that a problem above the limit is timed again, as other work on the machine makes most of these


def grid() -> Iterator[Problem]:
    """Give problems from hundreds of samples to millions, with kernels that are products of 1-D ones and others."""
    for rank, (lengths, sizes) in LENGTHS.items():
        for n in lengths:
            for size in sizes:
                if size <= n and (n * size) ** rank <= LARGEST:
                    for kind in ("", "gaussian") if rank > 1 else ("",):
                        yield parse(f"float32 {'x'.join([str(n)] * rank)} * {kind}{'x'.join([str(size)] * rank)} same")


def by_method(problem: Problem, x: np.ndarray, kernel: np.ndarray) -> dict[str, Call]:
    """Give the calls of "auto" and of the methods that the problem allows, by name."""
    keywords = problem.keywords()

    def call(method: str) -> Call:
        return lambda: convnd(x, kernel, **{**keywords, "method": method})

    calls = {"auto": call("auto")}
    for method in METHODS:
        with suppress(ValueError):  # not one for this kernel
            plan(x, kernel, **{**keywords, "method": method})
            calls[method] = call(method)
    return calls


def measure(problem: Problem, seconds: float) -> dict[str, Any]:
    """Time "auto" and the methods by name."""
    x, kernel = problem.arrays()
    calls = by_method(problem, x, kernel)
    for call in calls.values():
        call()
    named = calls.keys() - {"auto"}
    ms = dict.fromkeys(calls, math.inf)
    for _ in range(1 + AGAIN):
        latest = timing.time_in_turns(calls, named, seconds)
        ms = {name: min(ms[name], latest[name]) for name in calls}
        best = min(named, key=ms.__getitem__)
        if ms["auto"] <= WORST_LIMIT * ms[best]:
            break
    chosen = plan(x, kernel, **problem.keywords()).method
    return {"problem": problem, "method": chosen, "best": best, "ratio": ms["auto"] / ms[best], "ms": ms}


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    option = parser.add_argument
    option("problems", nargs="*", metavar="PROBLEM", help="a problem (see convnd.problem_text); default: the grid")
    option("--seconds", type=float, default=1, help="time for each problem (default: %(default)s)")
    option("--json", type=Path, metavar="OUT", help="write all figures here")
    args = parser.parse_args(argv)
    rows = []
    for problem in map(parse, args.problems) if args.problems else grid():
        rows.append(measure(problem, args.seconds))
        print_row(rows[-1])

    ratios = [row["ratio"] for row in rows]
    mean, worst = math.exp(sum(map(math.log, ratios)) / len(ratios)), max(rows, key=lambda row: row["ratio"])
    print(f"geometric mean {mean:.3f} (limit {MEAN_LIMIT}); worst {worst['ratio']:.2f} (limit {WORST_LIMIT}):")
    print_row(worst)
    if args.json:
        write_json(args.json, rows)
    return int(mean > MEAN_LIMIT or worst["ratio"] > WORST_LIMIT)


def print_row(row: dict[str, Any]) -> None:
    """Print a line: the ratio, the problem, what was chosen and what is best."""
    times = ", ".join(f"{name} {ms:.3g}" for name, ms in row["ms"].items())
    print(f"{row['ratio']:.2f}  {row['problem']}  chose {row['method']}, best {row['best']} (ms: {times})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
