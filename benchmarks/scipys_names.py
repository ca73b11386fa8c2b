"""Print the README's table: functions of `convnd.ndimage` and `convnd.signal` beside SciPy's.

    python benchmarks/scipys_names.py            of a CT and a photograph
    python benchmarks/scipys_names.py --small    of small arrays, in microseconds: what a call costs

Calls of both libraries take turns, and the fastest of each counts.
"""

import sys
from collections.abc import Callable
from importlib import resources
from time import perf_counter
from typing import Any

import nrrd
import numpy as np
import scipy.ndimage
import scipy.signal
from PIL import Image

import convnd

CALLS: dict[str, Callable[[Any, np.ndarray], Any]] = {
    "ndimage.gaussian_filter(x, 2)": lambda m, x: m.ndimage.gaussian_filter(x, 2),
    "ndimage.gaussian_gradient_magnitude(x, 1)": lambda m, x: m.ndimage.gaussian_gradient_magnitude(x, 1),
    "ndimage.gaussian_laplace(x, 1)": lambda m, x: m.ndimage.gaussian_laplace(x, 1),
    "ndimage.uniform_filter(x, 5)": lambda m, x: m.ndimage.uniform_filter(x, 5),
    "ndimage.sobel(x)": lambda m, x: m.ndimage.sobel(x),
    "ndimage.laplace(x)": lambda m, x: m.ndimage.laplace(x),
    "ndimage.convolve(x, w)": lambda m, x: m.ndimage.convolve(x, weights(x)),
    "signal.fftconvolve(x, w)": lambda m, x: m.signal.fftconvolve(x, weights(x), "same"),
}
CALLS_OF_ONE, SMALL_CALLS = 3, 200  # of each library, in turns


def weights(x: np.ndarray) -> np.ndarray:
    """Return weights that are not separable, 3 along each axis of a volume and 7 of an image."""
    return np.random.default_rng(0).random((3 if x.ndim == 3 else 7,) * x.ndim, dtype=np.float32)


def arrays() -> dict[str, np.ndarray]:
    """Return the CT and the photograph in float32, each repeated to the size of a scan of today."""
    scan, _ = nrrd.read(str(resources.files("slicerio") / "data" / "CTChest4.nrrd"))
    photo = np.asarray(Image.open(str(resources.files("skimage") / "data" / "coffee.png")).convert("L"))
    return {
        "CT, 512 x 512 x 61": np.ascontiguousarray(np.tile(scan, (4, 4, 2))[:512, :512, :61], np.float32),
        "photograph, 3000 x 3000": np.ascontiguousarray(np.tile(photo, (8, 5))[:3000, :3000], np.float32),
    }


def small_arrays() -> dict[str, np.ndarray]:
    """Return an image of 300 x 400 pixels and a small part of it, each in uint8 and float32."""
    photo = np.asarray(Image.open(str(resources.files("skimage") / "data" / "coffee.png")).convert("L"))
    parts = {"32 x 32": photo[:32, :32], "300 x 400": photo[:300, :400]}
    return {f"{name}, {t}": np.ascontiguousarray(x, t) for name, x in parts.items() for t in ("uint8", "float32")}


def milliseconds(call: Callable[[], Any]) -> float:
    """Return the time of a call."""
    began = perf_counter()
    call()
    return (perf_counter() - began) * 1e3


def main() -> None:
    """Time every call in turns, and print the minima."""
    is_small = "--small" in sys.argv[1:]
    samples, count, unit = (small_arrays(), SMALL_CALLS, "us") if is_small else (arrays(), CALLS_OF_ONE, "ms")
    print(f"| {'' if is_small else 'float32'} | {' | '.join(f'{name}: SciPy | convnd | times' for name in samples)} |")
    print("|---|" + "--:|" * 3 * len(samples))
    for text, call in CALLS.items():
        cells = []
        for x in samples.values():
            call(convnd, x)
            pairs = [[milliseconds(lambda: call(m, x)) for m in (scipy, convnd)] for _ in range(count)]  # noqa: B023
            theirs, ours = np.min(pairs, axis=0) * (1000 if is_small else 1)
            cells.append(f"{theirs:.0f} {unit} | {ours:.0f} {unit} | {theirs / ours:.1f}")
        print(f"| `{text}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
