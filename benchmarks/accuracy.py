"""Print the rounding errors of convnd beside those of its peers: ``python benchmarks/accuracy.py``.

Errors are differences from sums in extended precision at 400 outputs, in units of ``2**-24 * sum |kernel| * max |x|``
(``2**-53`` in float64): the root of the mean square, and the largest. A ratio above 1 means that convnd's is larger.
The outputs are of several draws: those of one draw by transforms share most of their error where all have one sign.
"""

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage
import scipy.signal

from convnd import convnd

DRAWS, OUTPUTS = 8, 50  # of arrays, and of each whose errors are looked at
LONGEST = 2e8  # products that SciPy is asked to sum directly


class Case(NamedTuple):
    method: str
    samples: tuple[int, ...]
    taps: tuple[int, ...]
    channels: int = 1
    filters: int = 1


CASES = (
    Case("direct", (20000,), (257,)),
    Case("direct", (20000,), (1000,)),
    Case("direct", (60000,), (20000,)),
    Case("direct", (200, 200), (3, 3)),
    Case("direct", (200, 200), (31, 31)),
    Case("direct", (40, 40, 40), (11, 11, 11)),
    Case("direct", (28, 28), (3, 3), 64, 64),
    Case("direct", (14, 14), (3, 3), 512, 64),
    Case("fft", (20000,), (1000,)),
    Case("fft", (60000,), (20000,)),
    Case("fft", (200, 200), (31, 31)),
    Case("fft", (40, 40, 40), (11, 11, 11)),
    Case("separable", (200, 200), (31, 31)),
    Case("winograd", (28, 28), (3, 3), 32, 32),
    Case("winograd", (28, 28), (3, 3), 128, 128),
)


def peers(case: Case, x: np.ndarray, kernel: np.ndarray) -> dict[str, np.ndarray]:
    """Return by name the results of the peers that sum in the same way."""
    rank, found = len(case.taps), {}
    if case.method in ("direct", "winograd"):
        import torch

        convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[rank - 1]
        found["torch"] = convolve(torch.from_numpy(x), torch.from_numpy(kernel)).numpy()
    if case.channels > 1:
        return found
    one, weights = x[0, 0], kernel[0, 0]
    flipped = np.ascontiguousarray(np.flip(weights))
    if case.method == "fft":
        found["scipy.signal, fft"] = scipy.signal.fftconvolve(one, flipped, "valid")[None, None]
    elif weights.size * one.size < LONGEST:
        found["scipy.signal, direct"] = scipy.signal.convolve(one, flipped, "valid", "direct")[None, None]
    if case.method == "separable":
        valid = tuple(slice(k // 2, k // 2 + n - k + 1) for n, k in zip(case.samples, case.taps, strict=True))
        found["scipy.ndimage"] = scipy.ndimage.correlate(one, weights)[valid][None, None]
    return found


def errors(case: Case, dtype: str, one_sign: bool) -> dict[str, tuple[float, float]]:
    """Return by name the root mean square error and the largest."""
    drawn = [errors_of(case, dtype, one_sign, np.random.default_rng(seed)) for seed in range(DRAWS)]
    together = {name: np.concatenate([found[name] for found in drawn]) for name in drawn[0]}
    return {name: (float(np.sqrt((error**2).mean())), float(error.max())) for name, error in together.items()}


def errors_of(case: Case, dtype: str, one_sign: bool, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return by name the errors of outputs of one draw."""
    draw: Any = rng.random if one_sign else rng.standard_normal
    x = draw((1, case.channels, *case.samples)).astype(dtype)
    kernel = draw((case.filters, case.channels, *case.taps))
    if case.method == "separable":
        kernel = np.multiply.outer(draw(case.taps[0]), draw(case.taps[1]))[None, None]
    kernel = kernel.astype(dtype)
    options: dict[str, Any] = {"method": case.method, "convention": "correlation"}
    if case.channels == 1:
        ours = convnd(x[0, 0], kernel[0, 0], **options)[None, None]
    else:
        ours = convnd(x, kernel, channel_axis=1, axes=tuple(range(2, x.ndim)), **options)
    places = [tuple(rng.integers(0, n) for n in ours.shape) for _ in range(OUTPUTS)]
    exact = []
    for place in places:
        window = tuple(slice(p, p + k) for p, k in zip(place[2:], case.taps, strict=True))
        exact.append((x[0][(slice(None), *window)].astype(np.longdouble) * kernel[place[1]]).sum())
    unit = np.finfo(dtype).eps / 2 * np.abs(kernel).reshape(case.filters, -1).sum(1).max() * np.abs(x).max()
    return {
        name: np.abs(np.array([result[place] for place in places], np.longdouble) - np.array(exact)) / unit
        for name, result in {"convnd": ours, **peers(case, x, kernel)}.items()
    }


def main() -> None:
    for case, dtype, one_sign in product(CASES, ("float32", "float64"), (False, True)):
        if case.method == "winograd" and dtype == "float64":
            continue  # it runs in float32 alone
        found = errors(case, dtype, one_sign)
        mean, most = found.pop("convnd")
        layer = f", {case.channels} -> {case.filters} channels" if case.channels > 1 else ""
        signs = "one sign" if one_sign else "both signs"
        print(f"{case.method} {case.samples} * {case.taps}{layer} {dtype} {signs}: {mean:.3g}, {most:.3g}", flush=True)
        for name, (other_mean, other_most) in found.items():
            print(f"    {mean / other_mean:.2f}, {most / other_most:.2f} times {name}", flush=True)


if __name__ == "__main__":
    main()
