"""Measure what a fresh process pays: its first call, with and without a disk cache, and the memory of a call.

    python benchmarks/cold.py                       everything, with some 2.2 GiB of memory
    python benchmarks/cold.py --memory              the memory of the volumes only
    python benchmarks/cold.py --first PROBLEM ...   the first calls of these problems (see convnd.problem_text)

Each figure comes from processes of its own, with a disk cache of its own. The exit status is 1 where a limit is missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convnd.problem_text import Problem, parse
from geometry import extents

FIRST = (
    "float32 100000 * 101 same",
    "float32 512x512 * 5x5 same edge",
    "float32 64x64x64 * 3x3x3 same",
    "float32 512x512 * 41x41 same",
    "uint8 512x512 * 5x5 -> uint8 same",
    "float32 1x16c32x32 * 16c3x3 pad1 axes2,3",
)
VOLUMES = (  # 1 GiB
    "float32 512x512x1024 * 3x3x3 same",
    "float32 512x512x1024 * 5x5x5 same",
)
IMPORT_LIMIT, COLD_LIMIT, CACHED_LIMIT = 0.15, 1.0, 0.2  # seconds
MEMORY_LIMIT = 64  # MiB


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--first", nargs="*", metavar="PROBLEM", help="measure the import, and first calls of these")
    parser.add_argument("--memory", nargs="*", metavar="PROBLEM", help="measure the memory of these")
    parser.add_argument("--child", metavar="PROBLEM", help=argparse.SUPPRESS)
    parser.add_argument("--loaded", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        print(json.dumps(measure_call(parse(args.child), args.loaded)))
        return 0
    everything = args.first is None and args.memory is None
    missed = False
    if everything or args.first is not None:
        missed |= importing()
        for problem in [parse(text) for text in args.first or FIRST]:
            missed |= first_calls(problem)
    if everything or args.memory is not None:
        for problem in [parse(text) for text in args.memory or VOLUMES]:
            missed |= memory(problem)
    return int(missed)


def first_calls(problem: Problem) -> bool:
    """Print the first call of three processes that share a disk cache, empty at first; True where a limit is missed."""
    with tempfile.TemporaryDirectory() as cache:
        print(problem)
        missed, before = False, None
        for process, limit in enumerate((COLD_LIMIT, CACHED_LIMIT, CACHED_LIMIT), 1):
            figures = in_fresh_process(problem, cache)
            files = {path: path.stat().st_size for path in Path(cache).rglob("*") if path.is_file()}
            slow, grew = figures["call"] > limit, before is not None and files != before
            print(
                f"  process {process}: first call {figures['call']:.3f} s ({'MISSED' if slow else 'met'}: {limit} s); "
                f"cache {len(files)} files, {sum(files.values()) / 2**10:.0f} KiB" + " (CHANGED)" * grew,
                flush=True,
            )
            missed, before = missed or slow or grew, files
    return missed


def importing() -> bool:
    """Print the seconds that importing takes beyond Numba, in the fastest of a few processes; True where too many."""
    code = "import time, numba; start = time.perf_counter(); import convnd; print(time.perf_counter() - start)"
    command = [sys.executable, "-c", code]
    seconds = min(float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout) for _ in range(5))
    missed = seconds > IMPORT_LIMIT
    print(f"import {seconds:.3f} s beyond numba's ({'MISSED' if missed else 'met'}: {IMPORT_LIMIT} s)", flush=True)
    return missed


def memory(problem: Problem) -> bool:
    """Print the memory of a call beside its arrays; True where that is too much.

    The call follows one of a single output, so that Numba is loaded; a process before it has filled the disk cache.
    """
    with tempfile.TemporaryDirectory() as cache:
        in_fresh_process(problem, cache)
        first, later = (in_fresh_process(problem, cache, *options)["beside"] for options in ((), ("--loaded",)))
    missed = later > MEMORY_LIMIT
    verdict = f"{'MISSED' if missed else 'met'}: {MEMORY_LIMIT} MiB"
    print(f"{problem}\n  {max(later, 0):.1f} MiB beside x and the result ({verdict}); {first:.1f} MiB in a first call")
    return missed


def in_fresh_process(problem: Problem, cache: str, *options: str) -> dict[str, float]:
    """Run `measure_call` in a process of its own, with this folder as Numba's disk cache."""
    command = [sys.executable, __file__, "--child", str(problem), *options]
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def measure_call(problem: Problem, loaded: bool) -> dict[str, float]:
    """Give the seconds of a call, and the MiB that it needed beside x, kernel and result.

    It is the first call or, where Numba is to be ``loaded``, follows one of a single window.
    """
    from convnd import convnd

    x, kernel = np.ones(problem.shape, problem.dtype, order="F" if problem.fortran else "C"), problem.weights()
    if loaded:
        lengths = dict(zip(problem.spatial, extents(problem), strict=True))
        window = np.ones([lengths.get(axis, n) for axis, n in enumerate(problem.shape)], problem.dtype)
        convnd(window, kernel, **problem.keywords())
    resident = status_kib("VmRSS")
    begin = time.perf_counter()
    result = convnd(x, kernel, **problem.keywords())
    end = time.perf_counter()
    beside = status_kib("VmHWM") - resident - result.nbytes / 2**10
    return {"call": end - begin, "beside": beside / 2**10}


def status_kib(name: str) -> int:
    """Give a figure of Linux's account of this process: VmRSS, the memory it holds, or VmHWM, the most it ever held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


if __name__ == "__main__":
    sys.exit(main())
