"""Draw what stands beyond an image under each boundary: `python docs/boundaries.py`, in the repository's root."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from skimage import data

from convnd import convnd
from convnd.problem.arguments.names import CHOICES

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Convolve a small photograph by a kernel of one tap, which leaves its samples and its padding as they are."""
    photo = data.astronaut()[:200:2, 120:320:2]
    rows, columns, _ = photo.shape
    pad = 60
    modes: list[Any] = [*CHOICES["boundary"]]
    figure = Figure((2.1 * len(modes), 2.5), layout="constrained")
    for axes, mode in zip(figure.subplots(1, len(modes)), modes, strict=True):
        padded = convnd(photo, [[1]], axes=(0, 1), padding=pad, boundary=mode, fill_value=90, dtype=np.uint8)
        axes.imshow(padded)
        corners = [[0, columns, columns, 0, 0], [0, 0, rows, rows, 0]]
        axes.plot(*(pad + np.array(line) - 0.5 for line in corners), color="white")
        axes.set(title=f'"{mode}"', xticks=[], yticks=[])
    figure.savefig(ROOT / "docs" / "boundaries.png", dpi=100, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
