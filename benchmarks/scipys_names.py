"""Print the README's table: functions of `convnd.ndimage` and `convnd.signal` beside SciPy's."""

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
CALLS_OF_ONE = 3  # of each library, in turns


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


def milliseconds(call: Callable[[], Any]) -> float:
    """Return the time of a call."""
    began = perf_counter()
    call()
    return (perf_counter() - began) * 1e3


def main() -> None:
    """Time every call in turns, and print the minima."""
    samples = arrays()
    print(f"| float32 | {' | '.join(f'{name}: SciPy | convnd | times' for name in samples)} |")
    print("|---|" + "--:|" * 3 * len(samples))
    for text, call in CALLS.items():
        cells = []
        for x in samples.values():
            call(convnd, x)
            pairs = [[milliseconds(lambda: call(m, x)) for m in (scipy, convnd)] for _ in range(CALLS_OF_ONE)]  # noqa: B023
            theirs, ours = np.min(pairs, axis=0)
            cells.append(f"{theirs:.0f} ms | {ours:.0f} ms | {theirs / ours:.1f}")
        print(f"| `{text}` | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
