"""dask arrays: convnd beside dask-image and SciPy, and what a graph costs as the number of its chunks grows.

    python benchmarks/dask_scale.py --plot dask_scale.png --json dask_scale.json
    python benchmarks/dask_scale.py --rivals 0 --sides 4 8      the small graphs alone

A volume of 512^3 float32 samples in chunks of 128^3 is convolved with 5^3 taps by each library in turn, on dask's
threads; chunks are in memory before and after. Then volumes of ever more chunks, `--sides` along each axis: the seconds
to build the graph, its bytes as they are sent to a cluster, the seconds that dask's schedulers need for its tasks where
these do nothing, and the seconds of the whole with chunks of 8^3, where arithmetic hardly counts.
"""

import argparse
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import timing
from convnd import convnd
from report import write_json

da, task_spec = import_module("dask.array"), import_module("dask.task_spec")  # whose types are not all given
get = import_module("dask.threaded").get

SIDE, CHUNK, TAPS = 512, 128, 5
SMALL = 8  # samples along each axis of a chunk whose arithmetic hardly counts
MOST_RUN, MOST_SENT = 16, 12  # chunks along each axis that are computed, and that are given to a cluster
STYLES = {"build": "#0072b2", "threads": "#d55e00", "cluster": "#cc79a7", "whole": "#009e73"}


def overlapping(x: Any, kernel: np.ndarray) -> Any:
    """Convolve by what a user of SciPy writes."""
    from scipy.ndimage import convolve

    return x.map_overlap(convolve, depth=kernel.shape[0] // 2, boundary="reflect", dtype=x.dtype, weights=kernel)


def by_dask_image(x: Any, kernel: np.ndarray) -> Any:
    """Convolve by dask-image."""
    return import_module("dask_image.ndfilters").convolve(x, kernel, mode="reflect")


def ours(x: Any, kernel: np.ndarray) -> Any:
    """Convolve as both do: an odd kernel's centre is the same to SciPy, whose "reflect" is "symmetric" here."""
    return convnd(x, kernel, padding="same", boundary="symmetric")


WAYS = {"convnd": ours, "dask_image": by_dask_image, "map_overlap of scipy.ndimage": overlapping}


def computed(way: Callable[[Any, np.ndarray], Any], x: Any, kernel: np.ndarray) -> Any:
    """Convolve in one of the ways, chunks to chunks in memory."""
    return way(x, kernel).persist(scheduler="threads")


def compare(seconds: float) -> dict[str, float]:
    """Time every library's way; give milliseconds."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(TAPS,) * 3).astype(np.float32)
    small = da.from_array(rng.normal(size=(64,) * 3).astype(np.float32), chunks=32)
    expected = ours(small, kernel).compute()
    for name, way in WAYS.items():  # which compiles, too
        error = np.abs(way(small, kernel).compute() - expected).max()
        assert error < 1e-4, f"{name} differs by {error}"
    x = da.random.default_rng(0).random((SIDE,) * 3, dtype=np.float32, chunks=CHUNK).persist(scheduler="threads")
    calls: dict[str, Callable[[], Any]] = {name: partial(computed, way, x, kernel) for name, way in WAYS.items()}
    calls["convnd"]()
    ms = timing.time_in_turns(calls, calls, seconds)
    print(f"float32 {SIDE}^3 in chunks of {CHUNK}^3, {TAPS}^3 taps, on dask's threads:")
    for name, own in ms.items():
        print(f"  {name:30} {own:9.0f} ms, {own / ms['convnd']:6.1f} times ours")
    return ms


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Give the seconds of a call, and its result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def nothing(*_: Any) -> None:
    """Do nothing, in place of a task."""


def idle(lazily: Any) -> dict[Any, Any]:
    """Give the graph of an array with tasks that do nothing."""
    graph = dict(lazily.dask)
    return {
        key: task_spec.Task(key, nothing, *node.args) if isinstance(node, task_spec.Task) else node
        for key, node in graph.items()
    }


def grow(side: int, client: Any) -> dict[str, float]:
    """Measure a volume of so many chunks along each axis; give the figures."""
    x = da.zeros((side * SMALL,) * 3, chunks=SMALL, dtype=np.float32)
    kernel = np.ones((TAPS,) * 3, np.float32)
    build, lazily = timed(lambda: ours(x, kernel))
    own = dict(lazily.dask.layers[lazily.name])
    figures = {"chunks": lazily.npartitions, "tasks": len(own), "build": build, "bytes": len(pickle.dumps(own))}
    graph, keys = idle(lazily), [(lazily.name, *index) for index in np.ndindex(*lazily.numblocks)]
    figures["threads"] = timed(lambda: get(graph, keys))[0]
    if side <= MOST_SENT and client is not None:
        figures["cluster"] = timed(lambda: client.get(graph, keys))[0]
    if side <= MOST_RUN:
        lazily.blocks[:2, :2, :2].compute(scheduler="threads")  # compiles
        figures["whole"] = timed(lambda: computed(ours, x, kernel))[0]
    per_chunk = ", ".join(f"{name} {1e3 * figures[name] / figures['chunks']:.3f}" for name in STYLES if name in figures)
    print(
        f"{figures['chunks']:7} chunks, {figures['tasks'] / figures['chunks']:.2f} tasks and "
        f"{figures['bytes'] / figures['chunks']:.0f} bytes for each; ms for each chunk: {per_chunk}; "
        f"together {figures['bytes'] / 2**20:.1f} MiB, build {build:.2f} s, threads {figures['threads']:.2f} s",
        flush=True,
    )
    return figures


def draw(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Draw seconds against chunks, and the line of one millisecond for each."""
    from matplotlib.figure import Figure

    labels = {
        "build": "building the graph", "threads": "dask's threads, tasks that do nothing",
        "cluster": "dask.distributed, tasks that do nothing", "whole": f"all of it, chunks of {SMALL}³ samples",
    }  # fmt: skip
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = figure.subplots()
    chunks = [row["chunks"] for row in rows]
    for name, colour in STYLES.items():
        own = [row for row in rows if name in row]
        if own:
            axes.plot([r["chunks"] for r in own], [r[name] for r in own], label=labels[name], color=colour, marker="o")
    axes.plot(chunks, [1e-3 * n for n in chunks], color="grey", linestyle=":", label="1 ms for each chunk")
    axes.set(xscale="log", yscale="log", xlabel="chunks", ylabel="seconds", title="A dask array of ever more chunks")
    axes.grid(color="lightgrey", linewidth=0.5)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=150)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    option = parser.add_argument
    option(
        "--rivals", type=float, default=20, metavar="SECONDS", help="for all libraries; 0 leaves them out (default: 20)"
    )
    option(
        "--sides", type=int, nargs="*", default=[4, 6, 8, 12, 16, 24], help="chunks along each axis (default: up to 24)"
    )
    option("--cluster", action="store_true", help="time dask.distributed's scheduler too")
    option("--json", type=Path, metavar="OUT", help="write all figures here")
    option("--plot", type=Path, metavar="OUT", help="draw them here")
    args = parser.parse_args(argv)
    ms = compare(args.rivals) if args.rivals else {}
    client = None
    if args.cluster:
        client = import_module("dask.distributed").Client(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        )
    rows = [grow(side, client) for side in args.sides]
    if client is not None:
        client.close()
    if args.json:
        volume = f"float32 {SIDE}^3 in chunks of {CHUNK}^3, {TAPS}^3 taps"
        grown = [{"problem": f"{row['chunks']} chunks of {SMALL}^3", **row} for row in rows]
        write_json(args.json, [{"problem": volume, "ms": ms}, *grown])
    if args.plot:
        draw(args.plot, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
