"""Hold what convnd does today against what it does later: its results, its speed, and what first calls cost.

    python benchmarks/freeze.py digests write FILE       keep digests of the results of freeze_cases.py
    python benchmarks/freeze.py digests compare FILE     compute them again; the exit status is 1 where one differs
    python benchmarks/freeze.py speed OLD_SRC NEW_SRC    two folders of sources in turns, on the lines of problems.txt
    python benchmarks/freeze.py first SRC                first calls, the import, and moves between our files in a call

``digests`` takes the convnd that Python imports: PYTHONPATH=src says which. Direct and exact results must have the same
bits; others may differ by rounding. FILE keeps for each case (its name begins with the call and the method asked for)
dtype, shape and a digest of the result, and where rounding is free the sums of its eighths with random weights, and its
largest magnitude. Bits depend on the processor's fused multiply-adds and on the width of its vectors, those of
transforms also on how many threads there are, and on another machine "auto" may choose another method: FILE says what
wrote it.
"""

import argparse
import json
import math
import platform
import sys
import zlib
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np

from freeze_cases import Case, cases
from freeze_costs import first, speed

TOLERANCE = {"float16": 1e-3, "float32": 1e-5, "float64": 1e-12}  # of a sum's magnitudes; whole numbers as float16
EIGHTHS = 8


def machine() -> dict[str, Any]:
    """Say what bits and figures depend on."""
    name, features = platform.processor(), llvmlite.binding.get_host_cpu_features()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    bits = 512 if features.get("avx512f") else 256 if features.get("avx2") else 128
    target, threads = llvmlite.binding.get_host_cpu_name(), numba.get_num_threads()
    return {"processor": f"{name} ({target})", "vector bits": bits, "threads": threads}


def digest(case: Case) -> tuple[list[Any], list[float]]:
    """Give what is kept of a case, and the magnitudes that its sums are of."""
    result = case.compute()
    result = np.array(result, result.dtype.newbyteorder("="), order="C")
    parts = result.reshape(-1)
    if result.dtype.kind == "c":
        parts = parts.view(f"f{result.itemsize // 2}")
    if parts.dtype.kind == "f":
        parts[np.isnan(parts)] = np.nan  # of one pattern of bits
    kept = [result.dtype.name, "x".join(map(str, result.shape)), sha256(parts.tobytes()).hexdigest()[:16]]
    if case.method == "direct" or case.is_exact:
        return kept, []
    values = parts.astype(float)
    largest = float(np.abs(values).max(initial=0, where=np.isfinite(values)))
    values = np.nan_to_num(values, nan=3 * largest + 1, posinf=5 * largest + 1, neginf=-7 * largest - 1)
    rng = np.random.default_rng(zlib.crc32(case.name.encode()))
    eighths = np.array_split(values * rng.uniform(0.5, 1.5, values.size) * rng.choice((-1, 1), values.size), EIGHTHS)
    digits = 14 if parts.dtype == "float64" else 7
    sums = [float(f"{value:.{digits}g}") for value in (*map(np.sum, eighths), largest)]
    sizes = [float(np.abs(eighth).sum()) for eighth in eighths]
    mean = math.fsum(sizes) / EIGHTHS  # an eighth may hold rounding errors of zeros only
    return [*kept, *sums], [*(max(size, mean) for size in sizes), largest]


def difference(old: list[Any], new: list[Any], magnitudes: list[float]) -> str:
    """Say how a result differs from the one kept: nothing where it is the same, "rounding" where it may be so."""
    if old[:3] == new[:3]:
        return ""
    if old[:2] != new[:2]:
        return f"{new[0]} {new[1]} instead of {old[0]} {old[1]}"
    if not magnitudes:
        return "other bits"
    parts = {"complex64": "float32", "complex128": "float64"}.get(new[0], new[0])
    error = max((abs(a - b) / (size or 1) for a, b, size in zip(old[3:], new[3:], magnitudes, strict=True)), default=0)
    return "rounding" if error <= TOLERANCE.get(parts, 1e-3) else f"{error:.1e} of its magnitude"


def digests(action: str, file: Path) -> int:
    """Write digests, or compare with those written; give the exit status."""
    if action == "write":
        lines = [f"{json.dumps(case.name)}: {json.dumps(digest(case)[0])}" for case in cases()]
        head = json.dumps({**machine(), "numpy": np.__version__})
        text = ",\n".join(lines)
        file.write_text(f'{{"machine": {head}, "cases": {{\n{text}\n}}}}\n', encoding="utf-8")
        print(f"{len(lines)} results")
        return 0
    document = json.loads(file.read_text(encoding="utf-8"))
    written = {name: document["machine"][name] for name in machine()}
    if written != machine():
        print(f"Note: written on {written}, compared on {machine()}.")
    kept, same, near, wrong = document["cases"], 0, 0, 0
    for case in cases():
        try:
            found = difference(kept.pop(case.name), *digest(case)) if case.name in kept else "is not in the file"
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        same, near, wrong = same + (found == ""), near + (found == "rounding"), wrong + (found not in ("", "rounding"))
        if found:
            print(f"{case.name}: {found}", flush=True)
    for name in kept:
        print(f"{name}: is no longer computed")
    print(f"{same} same bits, {near} within tolerance, {wrong + len(kept)} different")
    return int(wrong + len(kept) > 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser("digests", help="hold results against those kept")
    command.add_argument("action", choices=["write", "compare"])
    command.add_argument("file", type=Path)
    command = commands.add_parser("speed", help="time two folders of sources in turns")
    command.add_argument("sources", nargs=2, type=Path, metavar="SRC")
    command.add_argument("--rows", default="", metavar="REGEX", help="of 'section: row'")
    command.add_argument("--rounds", type=int, default=50, help="at most (default: %(default)s)")
    command.add_argument("--json", type=Path, metavar="OUT", help="write all figures here")
    command = commands.add_parser("first", help="measure first calls, the import and moves between files")
    command.add_argument("sources", type=Path, metavar="SRC")
    command.add_argument("--json", type=Path, metavar="OUT", help="write all figures here")
    args = parser.parse_args(argv)
    if args.command == "digests":
        return digests(args.action, args.file)
    figures = first(args.sources) if args.command == "first" else speed(args.sources, args.rows, args.rounds)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), **figures}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
