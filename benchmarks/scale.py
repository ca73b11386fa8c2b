"""Volumes larger than memory should be: how fast they are convolved where they lie, and in how much memory.

    python benchmarks/scale.py                             8 GiB of float32 in zarr and in a memory map, 5 x 5 x 5 taps
    python benchmarks/scale.py --gib 1 --folder /data      of another size, elsewhere than in the temporary folder

Each kind of array runs in a process of its own; x is not in the page cache when it begins. Printed are

- the largest anonymous memory (what is neither a file's nor shared) of the process,
- the rate of the convolution alone as a share of that of arrays in memory: for zarr while other threads read and write
  beside it, for the memory map where the pages of both files are in the page cache,
- and the time of all, beside the time that zarr alone takes to read the blocks and to write as many, and that the disk
  takes to read and to write the same bytes in a plain file and to have them for good.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import timing
from convnd import Plan, blockwise, convnd

PLANE = (1024, 1024)
CHUNKS = (32, 256, 256)
KERNEL = np.random.default_rng(0).random((5, 5, 5)).astype(np.float32)
OPTIONS: dict[str, Any] = {"padding": "same", "boundary": "edge", "method": "direct"}
SLAB = 64  # planes that are made, and read back, at once
KINDS = ("memmap", "zarr")
LIMITS = {"memmap": 128, "zarr": 1.2 * 1024}  # MiB of anonymous memory
LEAST_SHARE = 0.7  # of the rate in memory


def anonymous() -> float:
    """The MiB of this process that are in memory and no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


class Watch:
    """The most anonymous memory while a block of code runs."""

    def __enter__(self) -> Watch:
        self.most, self._done = anonymous(), threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.005):
            self.most = max(self.most, anonymous())


def slabs(planes: int) -> list[slice]:
    return [slice(start, min(start + SLAB, planes)) for start in range(0, planes, SLAB)]


def slab(number: int) -> np.ndarray:
    """Samples that do not compress; quick to make again, so that results can be checked."""
    rng = np.random.Generator(np.random.SFC64(number))
    return rng.random((SLAB, *PLANE), np.float32)


def settle(folder: Path) -> None:
    """Write back what is in the page cache, and forget it: what follows waits for the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def make(kind: str, folder: Path, planes: int) -> tuple[Any, Any]:
    """Make x, and an empty array for the result."""
    shape = (planes, *PLANE)
    x: Any
    y: Any
    if kind == "memmap":
        x = np.memmap(folder / "x", np.float32, "w+", shape=shape)
        y = np.memmap(folder / "y", np.float32, "w+", shape=shape)
    else:
        import zarr

        about: dict[str, Any] = {"shape": shape, "chunks": CHUNKS, "dtype": np.float32, "compressors": None}
        x, y = (zarr.create_array(folder / name, **about) for name in "xy")
    for number, own in enumerate(slabs(planes)):
        x[own] = slab(number)[: own.stop - own.start]
    return x, y


def is_right(y: Any, planes: int) -> bool:
    """Whether the planes around the borders of some slabs are those of a call in memory."""
    for number in {1, planes // SLAB // 2, planes // SLAB - 1} - {0}:
        joined = np.concatenate([slab(number - 1)[-8:], slab(number)[:8]])
        expected = convnd(joined, KERNEL, **OPTIONS)[4:12]
        if not np.array_equal(y[number * SLAB - 4 : number * SLAB + 4], expected):
            return False
    return True


def run(kind: str, folder: Path, planes: int) -> None:
    """Convolve one kind of array and print the figures."""
    x, y = make(kind, folder, planes)
    if kind == "memmap":
        x.flush()
    settle(folder)
    convolved, inside = Plan.__call__, [0.0]

    def timed(*arguments: Any) -> np.ndarray:
        start = time.perf_counter()
        result = convolved(*arguments)
        inside[0] += time.perf_counter() - start
        return result

    convnd(slab(0), KERNEL, **OPTIONS)  # compiles
    Plan.__call__ = timed  # type: ignore[assignment, method-assign]
    with Watch() as watch:
        start = time.perf_counter()
        if kind == "memmap":
            convnd(x, KERNEL, out=y, **OPTIONS)
        else:
            blockwise(x, KERNEL, y, **OPTIONS)
        seconds = time.perf_counter() - start
    compute, right, copying = inside[0], is_right(y, planes), 0.0
    if kind == "memmap":
        part = slice(0, 2 * SLAB)
        call = {kind: lambda: convnd(x[part], KERNEL, out=y[part], **OPTIONS)}
        call[kind]()
        compute = timing.time_in_turns(call, call, 1)[kind] / 1e3 * planes / (2 * SLAB)
    else:
        settle(folder)
        start = time.perf_counter()
        for own in slabs(planes):
            y[own] = x[own]
        copying = time.perf_counter() - start
    print(f"{watch.most:.0f} {seconds:.2f} {compute:.2f} {copying:.2f} {int(right)}")


def disk_seconds(folder: Path, planes: int) -> tuple[float, float]:
    """The seconds to read a file of the volume's size and to write one as well, until it is on the disk."""
    part = slab(0)
    with (folder / "plain").open("wb") as file:
        start = time.perf_counter()
        for own in slabs(planes):
            file.write(part[: own.stop - own.start].data)
        os.fsync(file.fileno())
        write = time.perf_counter() - start
    settle(folder)
    with (folder / "plain").open("rb", buffering=0) as source:
        start = time.perf_counter()
        while source.readinto(part.data):
            pass
        read = time.perf_counter() - start
    (folder / "plain").unlink()
    return read, write


def memory_rate() -> float:
    """Samples a second of arrays in memory."""
    x = slab(0)
    out = np.empty_like(x)
    call = {"memory": lambda: convnd(x, KERNEL, out=out, **OPTIONS)}
    call["memory"]()
    return x.size / timing.time_in_turns(call, call, 2)["memory"] * 1e3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=8, help="size of the volume (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to put it (default: the temporary folder)")
    parser.add_argument("--kind", choices=KINDS, action="append", help="of array; may be given again (default: all)")
    parser.add_argument("--inside", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    planes = max(2 * SLAB, round(options.gib * 2**28 / (PLANE[0] * PLANE[1])))
    if options.inside:
        run(options.inside[0], Path(options.inside[1]), planes)
        return 0
    size = planes * PLANE[0] * PLANE[1]
    if shutil.disk_usage(options.folder or tempfile.gettempdir()).free < 3 * 4 * size:
        parser.error(f"{3 * 4 * size / 2**30:.1f} GiB of free space are needed")
    print(f"float32 {planes}x{PLANE[0]}x{PLANE[1]} * 5x5x5 same edge, {4 * size / 2**30:.3g} GiB")
    in_memory = memory_rate()
    print(f"in memory     {in_memory / 1e6:.0f} Msamples/s")
    missed = False
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        read, write = disk_seconds(Path(name), planes)
        print(f"the disk      reads {4 * size / read / 1e9:.2f} GB/s, writes {4 * size / write / 1e9:.2f} GB/s")
    for kind in options.kind or KINDS:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            command = [sys.executable, __file__, "--gib", str(options.gib), "--inside", kind, name]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        most, seconds, compute, copying, right = map(float, text.split())
        share = size / compute / in_memory
        missed |= most > LIMITS[kind] or share < LEAST_SHARE or not right
        print(
            f"{kind:13s} {most:.0f} MiB anonymous (limit {LIMITS[kind]:.0f}); the convolution "
            f"{size / compute / 1e6:.0f} Msamples/s, {share:.0%} of in memory; {seconds:.1f} s in all"
            + (f", zarr alone {copying:.1f}" if copying else "")
            + f", the disk {read + write:.1f}"
            + ("" if right else "; WRONG")
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
