"""Put a classic 3 x 3 kernel over a photograph.

The kernels are laid over the image as they are printed below, not turned by half a turn first: what signal
processing calls correlation (convention="correlation"), and most image software and all deep learning
calls convolution. Only the two edge kernels and emboss would look different.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import png
import tifffile
from PIL import Image

from _common import Parser, Refusal, check_outputs, run, writing
from _images import DEFAULT_IMAGE, add_input, has_alpha, read_image
from convnd import convnd

KERNELS = {  # name: weights, and what they are divided by
    "vertical-edge": ([[1, 0, -1], [1, 0, -1], [1, 0, -1]], 1),
    "horizontal-edge": ([[1, 1, 1], [0, 0, 0], [-1, -1, -1]], 1),
    "sharpen": ([[0, -1, 0], [-1, 5, -1], [0, -1, 0]], 1),
    "box-blur": ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], 9),
    "gaussian-blur": ([[1, 2, 1], [2, 4, 2], [1, 2, 1]], 16),
    "emboss": ([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], 1),
    "outline": ([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]], 1),
}
JPEG = (".jpg", ".jpeg")
TIFF = (".tif", ".tiff")


def drawn(name: str) -> str:
    """A kernel as books print it."""
    weights, divisor = KERNELS[name]
    title = name if divisor == 1 else f"{name}, divided by {divisor}"
    return "\n".join([f"  {title}", *("    " + "".join(f"{weight:4}" for weight in row) for row in weights)])


EPILOG = """
The image is extended by its edge pixels. The output has the input's size, channels and bits: sums are rounded
and held within 0 and 255 (or 65535), so the edge kernels show where it gets darker, rightwards or downwards,
and not where it gets lighter. An alpha channel is kept as it is. The suffix of OUT chooses the file type.

kernels:
""" + "\n".join(map(drawn, KERNELS))


def write_image(path: Path, image: np.ndarray) -> None:
    """Write the image as its file name's suffix says."""
    deep_colour = image.dtype == np.uint16 and image.ndim == 3
    if path.suffix.lower() in TIFF:
        colour = image.ndim == 3 and image.shape[2] > 2
        alpha = image.ndim == 3 and image.shape[2] % 2 == 0
        tifffile.imwrite(
            path,
            image,
            photometric="rgb" if colour else "minisblack",
            planarconfig="contig" if image.ndim == 3 else None,
            extrasamples=["unassalpha"] if alpha else None,
            compression="zlib",
        )
    elif deep_colour:
        height, width, channels = image.shape
        writer = png.Writer(width, height, bitdepth=16, greyscale=channels < 3, alpha=channels % 2 == 0)
        with path.open("wb") as file:
            writer.write(file, image.reshape(height, -1))
    else:
        Image.fromarray(image).save(path, quality=95)


def apply(kernel: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Put the kernel over each colour; alpha, where there is one, stays."""
    result = image.copy()
    colours = np.s_[..., :-1] if has_alpha(image) else np.s_[...]
    result[colours] = convnd(
        image[colours],
        kernel,
        axes=(0, 1),  # the rest, the colours, is a batch axis
        padding="same",
        boundary="edge",
        convention="correlation",
        dtype=image.dtype,  # rounded to the nearest and held within the type's range
    )
    return result


def process(options: argparse.Namespace) -> None:
    """Read, filter, write."""
    path = options.input or DEFAULT_IMAGE
    before = read_image(path)
    output = options.output or Path(f"{path.stem}_{options.kernel}{path.suffix}")
    outputs = check_outputs(output, [".png", *JPEG, *TIFF], None)
    if output.suffix.lower() in JPEG and (before.dtype != np.uint8 or before.shape[2:] not in ((), (3,))):
        raise Refusal(f"cannot write {output}: JPEG holds 8 bits and no alpha channel; a .png or .tif holds both")
    weights, divisor = KERNELS[options.kernel]
    start = time.perf_counter()
    after = apply(np.array(weights) / divisor, before)
    seconds = time.perf_counter() - start
    with writing(*outputs) as (draft,):
        write_image(draft, after)

    print(f"image     {path}")
    print(f"shape     {' x '.join(map(str, before.shape))}, {before.dtype}")
    print(f"before    {before.min()} to {before.max()}, mean {before.mean():.1f}")
    print(f"after     {after.min()} to {after.max()}, mean {after.mean():.1f}")
    print(f"time      {seconds:.2f} s (the first run on a machine compiles)")
    print(f"wrote     {output}")


def build_parser() -> Parser:
    """The options and what they mean."""
    parser = Parser(prog="filter_image.py", description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add_input(parser)
    add(
        "-o",
        dest="output",
        type=Path,
        metavar="OUT",
        help="the file to write (default: IN's name with the kernel's, in this folder)",
    )
    add("--kernel", required=True, choices=KERNELS, metavar="NAME", help=f"one of {', '.join(KERNELS)}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr."""
    return run(process, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
