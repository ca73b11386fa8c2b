"""Put a kernel over a photograph: the classic ones of 3 x 3 weights, or blurs of any size.

The kernels are laid over the image as they are printed below, not turned by half a turn first: what signal
processing calls correlation (convention="correlation"), and most image software and all deep learning
calls convolution. Only the two edge kernels and emboss would look different.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import png
import tifffile
from PIL import Image
from scipy import ndimage

from _common import (
    Clock,
    Parser,
    Refusal,
    add_common,
    add_plot,
    check_outputs,
    compared,
    finite,
    plot_path,
    positive,
    refusing,
    run,
    summarise,
    writing,
)  # fmt: skip
from _images import DEFAULT_IMAGE, add_input, has_alpha, read_image, shown
from _plots import draw_side_by_side
from convnd import convnd, kernels

KERNELS = {  # name: weights, and what they are divided by
    "vertical-edge": (kernels.prewitt(axis=1, ndim=2), 1),
    "horizontal-edge": (kernels.prewitt(axis=0, ndim=2), 1),
    "sharpen": (kernels.sharpen(2), 1),
    "box-blur": (np.ones((3, 3)), 9),
    "gaussian-blur": (np.outer([1, 2, 1], [1, 2, 1]), 16),
    "emboss": (np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]), 1),
    "outline": (9 * kernels.identity(2, size=3) - 1, 1),
}
SIZED: dict[str, Callable[[float, float], np.ndarray]] = {  # of a size in pixels, and an angle in degrees
    "gaussian": lambda size, _: kernels.gaussian((size, size)),
    "unsharp-mask": lambda size, _: kernels.unsharp_mask((size, size)),
    "disk": lambda size, _: kernels.disk(size),
    "motion-blur": kernels.motion_blur,
}
DEFAULT_SIZE = 20.0
JPEG = (".jpg", ".jpeg")
TIFF = (".tif", ".tiff")


def drawn(name: str) -> str:
    """A kernel as books print it."""
    weights, divisor = KERNELS[name]
    title = name if divisor == 1 else f"{name}, divided by {divisor}"
    return "\n".join([f"  {title}", *("    " + "".join(f"{weight:4.0f}" for weight in row) for row in weights)])


EPILOG = (
    """
input
  PNG, JPEG or TIFF, grey or colour, of 8 or 16 bits. Each colour is filtered by itself; an alpha channel is kept.

output
  The input's size, channels and bits: sums are rounded and held within 0 and 255 (or 65535), so the edge kernels show
  where it gets darker, rightwards or downwards, and not where it gets lighter. Outside the image its edge pixels are
  repeated. The suffix of OUT chooses the file type. Beside it a picture of both, reduced to 800 pixels a side.

kernels of --size PIXELS
  gaussian      blur whose standard deviation is PIXELS
  unsharp-mask  the image, and what a Gaussian of PIXELS takes from it once more: sharper
  disk          out of focus: the mean over a disk whose radius is PIXELS
  motion-blur   the mean along a line of PIXELS, at --angle

kernels of 3 x 3 weights
"""
    + "\n".join(map(drawn, KERNELS))
    + """

examples:
  filter_image.py                                                the coffee in skimage.data, shaken
  filter_image.py photo.jpg --kernel vertical-edge               where it gets darker to the right
  filter_image.py photo.jpg --kernel unsharp-mask --size 1.5     crisper for print
  filter_image.py photo.jpg --kernel motion-blur --size 25 --angle 30 -o fast.png
  filter_image.py scan16.tif --kernel gaussian --size 4 --no-plot
"""
)


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


def kernel_of(options: argparse.Namespace) -> np.ndarray:
    """The kernel that the options name."""
    if options.kernel in KERNELS:
        if options.size is not None:
            raise Refusal(f"--size is for {', '.join(SIZED)}, but {options.kernel} has 3 x 3 weights")
        weights, divisor = KERNELS[options.kernel]
        return weights / divisor
    size = options.size or DEFAULT_SIZE
    with refusing(f"--size {size:g}"):
        return SIZED[options.kernel](size, options.angle)


def process(options: argparse.Namespace) -> None:
    """Read, filter, write, draw."""
    path, clock = options.input or DEFAULT_IMAGE, Clock()
    with clock("read"):
        before = read_image(path)
    output = options.output or Path(f"{path.stem}_{options.kernel}{path.suffix}")
    outputs = check_outputs(options, path, output, [".png", *JPEG, *TIFF], plot_path(options, output))
    if output.suffix.lower() in JPEG and (before.dtype != np.uint8 or before.shape[2:] not in ((), (3,))):
        raise Refusal(f"cannot write {output}: JPEG holds 8 bits and no alpha channel; a .png or .tif holds both")
    if options.size is not None and options.size > min(before.shape[:2]):
        raise Refusal(f"--size {options.size:g} is more than the {' x '.join(map(str, before.shape[:2]))} of {path}")
    kernel = kernel_of(options)
    after = clock.twice(lambda: apply(kernel, before))
    with writing(*outputs) as drafts:
        with clock("write"):
            write_image(drafts[0], after)
        if len(drafts) > 1:
            with clock("draw"):
                draw_side_by_side(drafts[1], {path.name: shown(before), title(options): shown(after)})

    summary = {
        "image": path,
        "shape": f"{' x '.join(map(str, before.shape))}, {before.dtype}",
        "kernel": f"{options.kernel}, {' x '.join(map(str, kernel.shape))} weights of sum {kernel.sum():.3g}",
        "before": f"{before.min()} to {before.max()}, mean {before.mean():.1f}",
        "after": f"{after.min()} to {after.max()}, mean {after.mean():.1f}",
    }
    if options.compare:
        weights = kernel.reshape(kernel.shape + (1,) * (before.ndim - 2))
        image = before.astype(np.float32)
        summary |= compared(clock, "scipy.ndimage.correlate", lambda: ndimage.correlate(image, weights, mode="nearest"))
    summarise(summary, clock, outputs, before.size, "samples")


def title(options: argparse.Namespace) -> str:
    """What was done, for the picture."""
    return options.kernel if options.kernel in KERNELS else f"{options.kernel}, {options.size or DEFAULT_SIZE:g} pixels"


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
    names = [*KERNELS, *SIZED]
    add(
        "--kernel",
        default="motion-blur",
        choices=names,
        metavar="NAME",
        help=f"one of {', '.join(names)} (default: %(default)s)",
    )
    add(
        "--size",
        type=positive,
        metavar="PIXELS",
        help=f"of {', '.join(SIZED)}: its meaning stands below (default: {DEFAULT_SIZE:g})",
    )
    add(
        "--angle",
        type=finite,
        default=30.0,
        metavar="DEGREES",
        help="of motion-blur, counter-clockwise from the right (default: %(default)g)",
    )
    add_common(parser)
    add_plot(parser, "before and after")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr."""
    return run(process, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
