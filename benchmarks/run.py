"""Time ``convnd`` beside other libraries, in turns, in one run.

    python benchmarks/run.py                                  every line of problems.txt
    python benchmarks/run.py "float32 3500x3500 * 9x9 same"   this problem (see problem_text.py)
    python benchmarks/run.py --json figures.json --readme     keep all figures, write the README's table

A line may end with targets, as in ``float32 3500x3500 * 9x9 same | peer>=2.5 mm>=0.55``. They are ratios:

    peer       time of the fastest peer / ours
    mm         our GFLOP/s / those of ``torch.mm`` (float32)
    copy       our GB/s / those of a parallel copy of x
    float32    our GFLOP/s / ours for the same problem in float32, which stands on a line above
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import numpy as np

from convnd import convnd
from peers import MODULES, PEERS, Call
from problem_text import Problem, parse
from report import COLUMNS, Row, losses, markdown, write_json, write_section

HERE = Path(__file__).parent
TARGETS = ("peer", "mm", "copy", "float32")
MM_SIZE = 2048
PAUSE = 0.01  # seconds before each turn, in which the last one's threads fall asleep
TURN = 0.05  # seconds; a shorter call is repeated
ROUNDS = 3  # at least
BEHIND = 4  # a peer this many times slower than the fastest one takes part in the first round only

METHOD = f"""\
Measured in one run. In each round every library has its turn: calls for {1e3 * TURN:g} ms, one at least.
Rounds go on for {{seconds:g}} s, {ROUNDS} at least, and the fastest call counts; a peer {BEHIND} times slower
than the fastest one leaves after the first round. The machine's own limits have their turns in the same
rounds: `torch.mm` ({MM_SIZE}² float32) and a parallel copy of x. A peer is timed where its whole result,
borders included, agrees with ours. GFLOP/s counts two operations for each tap of each output; GB/s counts the
bytes of x and of the result."""


def read_lines(lines: Iterable[str]) -> list[tuple[Problem, dict[str, float]]]:
    """Read problems and their targets, without comments (``#``) and empty lines."""
    work = []
    for line in lines:
        text, _, wanted = line.partition("#")[0].partition("|")
        if not text.strip():
            continue
        targets = {}
        for word in wanted.split():
            match = re.fullmatch(rf"({'|'.join(TARGETS)})>=(\d+(?:\.\d+)?)", word)
            if match is None:
                raise ValueError(f"target {word!r}: expected one of {', '.join(TARGETS)}, as in peer>=1.5")
            targets[match[1]] = float(match[2])
        work.append((parse(text), targets))
    return work


def measure(
    problem: Problem,
    targets: dict[str, float],
    peers: Iterable[str] = (),
    seconds: float = 5,
    earlier: Sequence[Row] = (),
) -> Row:
    """Check and time one problem; ``earlier`` has the rows that a ``float32`` target refers to."""
    x, kernel = problem.arrays()
    keywords = problem.keywords()
    result = convnd(x, kernel, **keywords)
    if problem.out:
        keywords["out"] = np.empty_like(result)

    rivals: dict[str, Call] = {}
    for name in peers:
        rivals |= PEERS[name](problem, x, kernel, result)
    allowed = tolerance(problem, x, kernel, result)
    differences = {name: difference(call(), result, allowed) for name, call in rivals.items()}
    rejected = {name: words for name, words in differences.items() if words}
    for name in rejected:
        del rivals[name]

    calls = {"convnd": lambda: convnd(x, kernel, **keywords), **rivals, **limits(x)}
    ms = time_in_turns(calls, rivals, seconds)
    peer = min(rivals, key=ms.__getitem__, default=None)
    gflops = problem.flops(result.size) / ms["convnd"] / 1e6
    gbs = (x.nbytes + result.nbytes) / ms["convnd"] / 1e6
    ratios = {"copy": gbs / (2 * x.nbytes / ms["copy"] / 1e6)}
    if "torch.mm" in ms:
        ratios["mm"] = gflops / (2 * MM_SIZE**3 / ms["torch.mm"] / 1e6)
    if peer:
        ratios["peer"] = ms[peer] / ms["convnd"]
    twin = replace(problem, dtype="float32")
    for row in earlier:
        if row.problem == twin != problem:
            ratios["float32"] = gflops / row.gflops
    return Row(problem, targets, ms, gflops, gbs, peer, ratios, rejected)


def tolerance(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> float:
    """Say how much a peer's result may differ from ours.

    Integers: 1, as a sum half way between two of them may be rounded either way. Floating: 64 roundings of
    the largest sum that the weights of one filter allow.
    """
    if result.dtype.kind in "iu":
        return 1.0
    bank_axis = None if problem.filters is None else 0 if problem.channels_first else kernel.ndim - 1
    taps = tuple(axis for axis in range(kernel.ndim) if axis != bank_axis)
    largest = float(np.abs(kernel).sum(axis=taps).max()) * float(np.abs(x).max())
    types = (result.dtype, np.result_type(x, kernel))
    return 64 * largest * max(float(np.finfo(dtype).eps) for dtype in types if dtype.kind in "fc")


def difference(theirs: np.ndarray, ours: np.ndarray, allowed: float) -> str:
    """Say how a peer's result differs from ours; empty where it does not."""
    if theirs.shape != ours.shape or theirs.dtype != ours.dtype:
        return f"gives {theirs.dtype} {theirs.shape}, not {ours.dtype} {ours.shape}"
    error = np.abs(np.subtract(theirs, ours, dtype=np.result_type(ours, np.float64))).max(initial=0)
    return "" if error <= allowed else f"differs by {error:.2g}, more than {allowed:.2g}"


def limits(x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Give calls that show what the machine can do: a parallel copy of x, and a product of matrices."""
    source = x.ravel(order="K").view(np.uint8)
    target = np.zeros_like(source)
    calls: dict[str, Callable[[], Any]] = {"copy": lambda: parallel_copy(source, target)}
    if importlib.util.find_spec("torch"):
        import torch

        a, b = torch.rand(2, MM_SIZE, MM_SIZE)
        c = torch.empty_like(a)
        calls["torch.mm"] = lambda: torch.mm(a, b, out=c)
    return calls


@numba.njit(parallel=True)
def parallel_copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy an array, each thread a part of it."""
    target[:] = source


def time_in_turns(calls: dict[str, Callable[[], Any]], rivals: Iterable[str], seconds: float) -> dict[str, float]:
    """Give the milliseconds of each call's fastest run, all of them taking turns for so many seconds."""
    for call in calls.values():
        call()
    best = dict.fromkeys(calls, math.inf)
    begin, rounds = time.perf_counter(), 0
    while rounds < ROUNDS or time.perf_counter() - begin < seconds:
        limit = BEHIND * min((best[name] for name in rivals), default=math.inf)
        for name, call in calls.items():
            if name not in rivals or best[name] <= limit:
                time.sleep(PAUSE)
                best[name] = min(best[name], turn(call))
        rounds += 1
    return {name: 1e3 * fastest for name, fastest in best.items()}


def turn(call: Callable[[], Any]) -> float:
    """Give the seconds of the fastest of a few calls in a row. Releasing the result is not counted."""
    fastest, end = math.inf, time.perf_counter() + TURN
    while True:
        start = time.perf_counter()
        result = call()
        stop = time.perf_counter()
        del result
        fastest = min(fastest, stop - start)
        if stop > end:
            return fastest


def set_threads(threads: int) -> None:
    """Let the peers use as many threads as we do."""
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
    if importlib.util.find_spec("cv2"):
        import cv2

        cv2.setNumThreads(threads)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; the exit status is 1 where a peer computes something else than we do."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    option = parser.add_argument
    option("problems", nargs="*", metavar="PROBLEM", help="a problem, with or without targets")
    option("--file", type=Path, help="problems, one a line (default: problems.txt beside this file)")
    option("--peers", default=",".join(PEERS), help="libraries, by commas (default: %(default)s)")
    option("--seconds", type=float, default=5, help="time for each problem (default: %(default)s)")
    option("--json", type=Path, metavar="OUT", help="write all figures here")
    option("--readme", action="store_true", help="write the table into README.md")
    args = parser.parse_args(argv)
    peers = [name for name in args.peers.split(",") if name]
    if unknown := set(peers) - PEERS.keys():
        parser.error(f"--peers: {', '.join(sorted(unknown))} is not one of {', '.join(PEERS)}")
    try:
        lines = list(args.problems)
        if args.file or not lines:
            lines += (args.file or HERE / "problems.txt").read_text(encoding="utf-8").splitlines()
        work = read_lines(lines)
    except (OSError, ValueError) as error:
        parser.error(str(error))

    set_threads(numba.get_num_threads())
    peers = [name for name in peers if importlib.util.find_spec(MODULES[name])]
    widths = [max(len(str(problem)) for problem, _ in work), *list(COLUMNS.values())[1:]]
    print_line(list(COLUMNS), widths)
    rows: list[Row] = []
    for problem, targets in work:
        rows.append(measure(problem, targets, peers, args.seconds, rows))
        print_line(rows[-1].cells(), widths)
    print("", *losses(rows), sep="\n")
    if args.json:
        write_json(args.json, rows)
    if args.readme:
        write_section(HERE.parent / "README.md", markdown(rows, METHOD.format(seconds=args.seconds)))
    return int(any(row.rejected for row in rows))


def print_line(cells: Sequence[str], widths: Sequence[int]) -> None:
    """Print a line of the table."""
    print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
