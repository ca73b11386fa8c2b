"""What calls of convnd cost, for ``freeze.py``: two folders of sources in turns, and what first calls take.

The sources are imported by processes that run this file by itself. They print figures: of turns, steps or moves.
"""

import importlib
import json
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import numpy as np

import timing

__all__ = ["first", "speed"]

HERE = Path(__file__).parent
PLANNED = " (plan)"  # a row that is timed by a plan made before
SECONDS, LEAST_ROUNDS = 2.0, 3  # of turns for each row
FIRST = {  # the calls of processes
    "2-D": {
        "first call, 2-D": "float32 300x400 * 3x3 same",
        "then another rank": "float32 3000 * 9 same",
        "then another dtype": "float64 300x400 * 3x3 same",
        "then another tile": "float32 300x400 * 9x9 same",
    },
    "1-D": {"first call, 1-D": "float32 100000 * 101 same"},
    "3-D": {"first call, 3-D": "float32 64x64x64 * 3x3x3 same"},
}
PROCESSES = 4  # of which the fastest counts


def problem(text: str) -> Any:
    """Read a problem's text form by the module of these sources that does so."""
    import convnd

    (package,) = map(Path, convnd.__path__)
    (path,) = package.rglob("problem_text.py")
    module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
    return importlib.import_module(module).parse(text)


def environment(sources: Path, folder: str) -> dict[str, str]:
    """Give the environment of a process that imports these sources and keeps what it compiles in a folder."""
    if not (sources / "convnd" / "__init__.py").is_file():
        raise FileNotFoundError(f"{sources} has no package convnd")
    own = {"PYTHONPATH": str(sources.resolve()), "NUMBA_CACHE_DIR": folder}
    own["GOMP_SPINCOUNT"] = "1000"  # threads of the process whose turn it is not must not hold cores
    return {**os.environ, **own, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "PYTHONDONTWRITEBYTECODE": ""}


def answer_turns(_: Sequence[str]) -> None:
    """Answer lines by the milliseconds of a call's turn: a line names a row, an empty one stands for the last."""
    from convnd import convnd, plan

    timing.reuse_memory()
    call: Callable[[], Any] = int
    for row in map(str.strip, sys.stdin):
        if row:
            call = int  # let go of the last arrays
            given = problem(row.removesuffix(PLANNED))
            (x, kernel), keywords = given.arrays(), given.keywords()
            call = partial(convnd, x, kernel, **keywords)
            if given.out:
                call = partial(call, out=np.empty_like(call()))
            elif row.endswith(PLANNED):
                call = partial(plan(x, kernel, **keywords), x)
            call()
        time.sleep(timing.PAUSE)
        print(1e3 * timing.turn(call), flush=True)


def rows_of(lines: Sequence[str], wanted: str) -> Iterator[tuple[str, str]]:
    """Give the sections and rows of problems.txt that are wanted; small ones twice, the second by a plan."""
    section = ""
    for line in lines:
        if line.startswith("## "):
            section = re.split("[:,]", line.removeprefix("## "))[0].strip()
        text = " ".join(re.split("[#|]", line)[0].split())
        for row in (text, text + PLANNED)[: 2 if section == "Small" else 1]:
            if text and re.search(wanted, f"{section}: {row}"):
                yield section, row


def speed(sources: Sequence[Path], wanted: str, rounds: int) -> dict[str, Any]:
    """Time both sources in turns; print and give the figures of each row, and of each section."""
    rows = [*rows_of((HERE / "problems.txt").read_text(encoding="utf-8").splitlines(), wanted)]
    ratios: dict[str, dict[str, float]] = {}
    figures: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        folders = [stack.enter_context(tempfile.TemporaryDirectory()) for _ in range(2)]
        command = [sys.executable, __file__, "turns"]
        trees = [
            stack.enter_context(Popen(command, env=environment(*own), stdin=PIPE, stdout=PIPE, text=True))
            for own in zip(sources, folders)
        ]

        def ask(tree: Popen[str], row: str = "") -> float:
            assert tree.stdin and tree.stdout
            print(row, file=tree.stdin, flush=True)
            return float(tree.stdout.readline())

        for section, row in rows:
            best = [ask(tree, row) for tree in trees]
            end = time.perf_counter() + SECONDS
            for number in range(rounds):
                if number >= LEAST_ROUNDS and time.perf_counter() > end:
                    break
                for i in (0, 1) if number % 2 else (1, 0):
                    best[i] = min(best[i], ask(trees[i]))
            figures[row] = {"old": float(f"{best[0]:.5g}"), "new": float(f"{best[1]:.5g}")}
            for group in (section, "all"):
                ratios.setdefault(group, {})[row] = best[0] / best[1]
            print(f"{row:66} {best[0]:9.4g} ms {best[1]:9.4g} ms  old/new {best[0] / best[1]:.3f}", flush=True)
    summary = {}
    for group in sorted(ratios, key="all".__eq__):  # which comes last
        found = ratios[group]
        mean, worst = math.exp(math.fsum(map(math.log, found.values())) / len(found)), min(found, key=found.__getitem__)
        summary[group] = {"mean": round(mean, 4), "worst": round(found[worst], 4)}
        print(f"{group:10} geometric mean of old/new {mean:.3f}, worst {found[worst]:.3f} ({worst})")
    return {"rows": figures, "old/new": summary}


def processor_seconds(command: Sequence[str], own: dict[str, str]) -> tuple[float, str]:
    """Give the processor's seconds, of user and system, that a process takes, and what it prints."""
    process = Popen(command, env=own, stdout=PIPE, text=True)
    assert process.stdout
    with process.stdout as output:
        text = output.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, text


def answer_steps(rows: Sequence[str]) -> None:
    """Print the processor's seconds of one call after the other."""
    import resource  # not there on Windows

    from convnd import convnd

    def spent() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    for given in [problem(row) for row in rows]:
        (x, kernel), keywords = given.arrays(), given.keywords()
        begin = spent()
        convnd(x, kernel, **keywords)
        print(spent() - begin)


def answer_moves(_: Sequence[str]) -> None:
    """Print how many of our files a call visits, and how often a function of one calls a function of another."""
    import convnd

    package = str(Path(*convnd.__path__)) + os.sep

    def visits(call: Callable[[], Any]) -> dict[str, int]:
        files, moves = set(), 0

        def watch(frame: Any, event: str, _: Any) -> None:
            nonlocal moves
            file, caller = frame.f_code.co_filename, frame.f_back
            if event == "call" and file.startswith(package):
                files.add(file)
                if caller is not None and caller.f_code.co_filename.startswith(package):
                    moves += caller.f_code.co_filename != file

        sys.setprofile(watch)
        call()
        sys.setprofile(None)
        return {"files": len(files), "moves": moves}

    def call(*shape: int, taps: tuple[int, ...]) -> Callable[[], Any]:
        return partial(convnd.convnd, np.ones(shape, np.float32), np.ones(taps, np.float32), padding="same")

    remembered = call(64, taps=(5,))
    for warm in (remembered, remembered, call(303, 401, taps=(3, 3)), call(302, 402, taps=(3, 3))):
        warm()
    print(json.dumps({"remembered call": visits(remembered), "new shape": visits(call(300, 400, taps=(3, 3)))}))


def first(sources: Path) -> dict[str, Any]:
    """Measure first calls with an empty and with a filled disk cache, the import, and moves between our files."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as bytecode:

        def run(*arguments: str, cache: str = bytecode) -> tuple[float, str]:
            own = {**environment(sources, bytecode), "NUMBA_CACHE_DIR": cache}
            return processor_seconds([sys.executable, *arguments], own)

        moves: dict[str, dict[str, int]] = json.loads(run(__file__, "moves")[1])
        imports = [f"import {names}" for names in ("numba", "numba, convnd")]
        numba, ours = (min(run("-c", code)[0] for _ in range(PROCESSES)) for code in imports)
        for process, _ in product(FIRST.items(), range(PROCESSES)):
            with tempfile.TemporaryDirectory() as cache:
                for column in range(2):
                    total, text = run(__file__, "steps", *process[1].values(), cache=cache)
                    found = dict(zip(process[1], map(float, text.split())), **{f"whole process, {process[0]}": total})
                    for name, figure in found.items():
                        best = seconds.setdefault(name, [math.inf, math.inf])
                        best[column] = min(best[column], round(figure, 3))
    print(f"import {ours - numba:.3f} s beyond numba's {numba:.3f} s")
    print(f"{'processor seconds':24} empty cache  filled cache")
    for name, (empty, filled) in seconds.items():
        print(f"{name:24} {empty:11.3f} {filled:13.3f}")
    for name, counts in moves.items():
        print(f"{name}: {counts['files']} of our files, {counts['moves']} moves between them")
    return {"import": round(ours - numba, 3), "empty and filled cache": seconds, "calls": moves}


if __name__ == "__main__":
    what, *rows = sys.argv[1:]
    {"turns": answer_turns, "steps": answer_steps, "moves": answer_moves}[what](rows)
