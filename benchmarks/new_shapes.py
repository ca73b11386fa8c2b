"""Calls of shapes that were not seen before, beside the peers: a folder of images that differ in size.

    python benchmarks/new_shapes.py                     all kinds of work, as a table
    python benchmarks/new_shapes.py --kinds 2-D --json new_shapes.json

Each kind of work has random sizes. The first `WARM` shapes are not timed: they compile what the kind needs. Of every
later shape, our first call is timed, and the second call of each peer, for which the first one did what it does once.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numba
import numpy as np

import peers
from convnd import convnd
from convnd.problem_text import parse
from report import write_json

KINDS = {  # the text of a problem, and from which size to which each of its lengths is drawn
    "1-D * 31": ("float32 {} * 31 same", (2000, 3000), 1),
    "2-D * 3x3": ("float32 {}x{} * 3x3 same", (200, 400), 2),
    "2-D * 7x7": ("float32 {}x{} * 7x7 same", (200, 400), 2),
    "2-D * Gaussian 17x17": ("float32 {}x{} * gaussian17x17 same", (200, 400), 2),
    "2-D * 15x15": ("float32 {}x{} * 15x15 same", (200, 400), 2),
    "colours * Gaussian 17x17": ("uint8 {}x{}x3 * gaussian17x17 -> uint8 same reflect axes0,1", (150, 420), 2),
    "3-D * 3x3x3": ("float32 {}x{}x{} * 3x3x3 same", (40, 60), 3),
    "layer 32 -> 32": ("float32 1x32c{}x{} * 32c3x3 pad1 axes2,3 correlation", (40, 70), 2),
}
PEERS = ("numpy", "scipy", "opencv", "torch")
WARM, TIMED = 20, 40


def milliseconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Time one call; give its result too."""
    start = time.perf_counter()
    result = call()
    return 1e3 * (time.perf_counter() - start), result


def measure(kind: str, seed: int) -> dict[str, list[float]]:
    """Time a kind of work: the milliseconds of each shape, of every library that took part in all of them."""
    text, (low, high), rank = KINDS[kind]
    rng = np.random.default_rng(seed)
    times: dict[str, list[float]] = {}
    for number in range(WARM + TIMED):
        problem = parse(text.format(*rng.integers(low, high, rank)))
        (x, kernel), keywords = problem.arrays(), problem.keywords()
        ours, result = milliseconds(lambda: convnd(x, kernel, **keywords))  # noqa: B023 - called at once
        if number < WARM:
            continue
        times.setdefault("convnd", []).append(ours)
        for name, call in peers.agreeing(peers.installed(PEERS), problem, x, kernel, result)[0].items():
            times.setdefault(name, []).append(milliseconds(call)[0])
    return {name: own for name, own in times.items() if len(own) == TIMED}


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    option = parser.add_argument
    option("--kinds", nargs="+", default=[""], metavar="TEXT", help="those whose name holds a text (default: all)")
    option("--seed", type=int, default=0, help="of the sizes (default: %(default)s)")
    option("--json", type=Path, metavar="OUT", help="write all figures here")
    args = parser.parse_args(argv)
    peers.set_threads(numba.get_num_threads())
    found, ratios = {}, []
    print(f"{'medians in ms':24} {'convnd':>8} {'best peer':>10}  peer / convnd")
    for kind in KINDS:
        if not any(text in kind for text in args.kinds):
            continue
        found[kind] = measure(kind, args.seed)
        medians = {name: median(own) for name, own in found[kind].items()}
        ours = medians.pop("convnd")
        if not medians:
            print(f"{kind:24} {ours:8.3f} {'-':>10}")
            continue
        best = min(medians, key=medians.__getitem__)
        ratios.append(medians[best] / ours)
        others = ", ".join(f"{name} {ms:.3g}" for name, ms in sorted(medians.items(), key=lambda own: own[1]))
        print(f"{kind:24} {ours:8.3f} {medians[best]:10.3f}  {ratios[-1]:.2f}  ({others})", flush=True)
    if ratios:
        print(f"geometric mean of best peer / convnd: {math.exp(math.fsum(map(math.log, ratios)) / len(ratios)):.2f}")
    if args.json:
        write_json(args.json, [{"kind": kind, "ms": own} for kind, own in found.items()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
