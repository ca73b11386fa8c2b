"""Sharpen a photograph that the camera's motion or its lens has blurred, where the blur is known.

A blur is a convolution, and so a linear map A of the photograph. This lays one over a sharp photograph and adds a
little noise, as a sensor does; that is all the restoration is given. It looks for the photograph x that brings
|A x - blurred|^2 + damping^2 |x|^2 lowest, by SciPy's LSQR. LSQR knows A by two functions, the plan and its adjoint:
plan.as_linear_operator() gives it both. The sharp photograph only tells how well it went.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse.linalg import lsqr

import convnd
from _common import Parser, Refusal, check_outputs, count, finite, positive, run, writing
from _images import DEFAULT_IMAGE, add_input, has_alpha, read_image

REACH = 4  # of a Gaussian, in standard deviations

EPILOG = """
PSNR, the peak signal-to-noise ratio in decibels, is 20 log10(brightest / root mean square error): 6 dB more is half the
error. Each step of LSQR brings back finer detail, and with it more of the noise: the noisier the photograph, the
fewer steps and the more damping. Light from outside the picture is taken to be like that within it, mirrored
(boundary="symmetric"), in the blur and in the restoration alike, so no rings come in from the borders.
An alpha channel is left out.

examples:
  deblur.py                                      the coffee, moved by 15 pixels at 30 degrees
  deblur.py --motion 40 --angle 90 --steps 60    a long way up
  deblur.py photo.jpg --gaussian 2 --noise 0.4   out of focus, in poor light
"""


def motion(pixels: float, degrees: float) -> np.ndarray:
    """The trace of a point of light that moves along a line, counter-clockwise from the right: a kernel of sum 1."""
    moments = 64 * int(np.ceil(pixels))
    along = ((np.arange(moments) + 0.5) / moments - 0.5) * pixels
    rows, columns = -along * np.sin(np.radians(degrees)), along * np.cos(np.radians(degrees))
    reach = int(np.ceil(pixels / 2))
    edges = np.arange(-reach - 0.5, reach + 1)
    return cut(np.histogram2d(rows, columns, bins=(edges, edges))[0])


def gaussian(sigma: float) -> np.ndarray:
    """A Gaussian of sum 1, up to `REACH` standard deviations from its centre."""
    reach = int(np.ceil(REACH * sigma))
    line = np.exp(-((np.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    return cut(np.outer(line, line))


def cut(kernel: np.ndarray) -> np.ndarray:
    """Scale a kernel to sum 1, without the rows and columns of zeros around it, its centre kept."""
    for _ in range(2):
        while len(kernel) > 1 and not kernel[[0, -1]].any():
            kernel = kernel[1:-1]
        kernel = kernel.T
    return kernel / kernel.sum()


def restore(blur: convnd.Plan, blurred: np.ndarray, damping: float, steps: int) -> np.ndarray:
    """Find the photograph whose blurred self is closest to `blurred`.

    Damping pulls towards 0, so the mean, which a blur of sum 1 leaves as it is, is put aside.
    """
    mean = blurred.mean(axis=(0, 1), keepdims=True)
    solution, *_ = lsqr(blur.as_linear_operator(), (blurred - mean).ravel(), damp=damping, iter_lim=steps)
    return solution.reshape(blurred.shape) + mean


def psnr(picture: np.ndarray, sharp: np.ndarray) -> float:
    """The peak signal-to-noise ratio of a picture from 0 to 1, in decibels."""
    return float(-10 * np.log10(np.mean((picture.clip(0, 1) - sharp) ** 2)))


def draw(path: Path, pictures: dict[str, np.ndarray]) -> None:
    """Draw pictures side by side, a pixel for each of theirs, under their titles."""
    from matplotlib.figure import Figure

    rows, columns = next(iter(pictures.values())).shape[:2]
    dpi, margin = 100, 30
    width, height = len(pictures) * columns, rows + margin
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi)
    for place, (title, picture) in enumerate(pictures.items()):
        axes = figure.add_axes((place / len(pictures), 0, 1 / len(pictures), rows / height))
        pixels = np.rint(255 * picture.clip(0, 1)).astype(np.uint8)
        axes.imshow(np.broadcast_to(pixels, (rows, columns, 3)), interpolation="none")
        axes.set_axis_off()
        axes.set_title(title, fontsize=min(12, columns / 14))
    figure.savefig(path, format="png")


def process(options: argparse.Namespace) -> None:
    """Read, blur, restore, draw."""
    path = options.input or DEFAULT_IMAGE
    outputs = check_outputs(options.output or Path(f"{path.stem}_deblurred.png"), [".png"], None)
    image = read_image(path)
    colours = np.atleast_3d(image[..., :-1] if has_alpha(image) else image)
    sharp = colours.astype(np.float32) / np.iinfo(image.dtype).max
    rows, columns = sharp.shape[:2]
    reach = REACH * options.gaussian if options.gaussian else options.motion / 2
    if 2 * reach > min(rows, columns):
        raise Refusal(f"cannot process {path}: a blur of {2 * reach:g} pixels is wider than its {rows} x {columns}")
    kernel = gaussian(options.gaussian) if options.gaussian else motion(options.motion, options.angle)

    start = time.perf_counter()
    # All colours at once: what is not among the axes is a batch axis.
    blur = convnd.plan(sharp, kernel.astype(np.float32), axes=(0, 1), padding="same", boundary="symmetric")
    noise = np.random.default_rng(0).normal(scale=options.noise / 100, size=sharp.shape)
    blurred = blur(sharp) + noise.astype(np.float32)
    blur.adjoint(blurred)  # so that it is ready, and the solver's time its own
    ready = time.perf_counter()
    restored = restore(blur, blurred, options.damping, options.steps)
    done = time.perf_counter()
    pictures = {
        "sharp": sharp,
        f"blurred, {psnr(blurred, sharp):.1f} dB": blurred,
        f"restored, {psnr(restored, sharp):.1f} dB": restored,
    }
    with writing(*outputs) as (draft,):
        draw(draft, pictures)

    print(f"image     {path}")
    print(f"shape     {' x '.join(map(str, image.shape))}, {image.dtype}")
    print(f"kernel    {' x '.join(map(str, kernel.shape))}, method {blur.method}")
    print(f"blurred   {psnr(blurred, sharp):.2f} dB")
    print(f"restored  {psnr(restored, sharp):.2f} dB")
    print(f"time      {done - ready:.2f} s, and {ready - start:.2f} s before it (the first run on a machine compiles)")
    print(f"wrote     {outputs[0]}")


def build_parser() -> Parser:
    """The options and what they mean."""
    parser = Parser(prog="deblur.py", description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add_input(parser)
    add(
        "-o",
        dest="output",
        type=Path,
        metavar="OUT.png",
        help="the picture to write, sharp, blurred and restored (default: IN's name with _deblurred, in this folder)",
    )
    blurs = parser.add_mutually_exclusive_group()
    blurs.add_argument("--motion", type=positive, default=15.0, metavar="PIXELS", help="length (default: %(default)g)")
    blurs.add_argument("--gaussian", type=positive, metavar="PIXELS", help="standard deviation (default: motion)")
    add(
        "--angle",
        type=finite,
        default=30.0,
        metavar="DEGREES",
        help="its direction, counter-clockwise from the right (default: %(default)g)",
    )
    add(
        "--noise",
        type=positive,
        default=0.2,
        metavar="PERCENT",
        help="standard deviation, of the brightest value (default: %(default)g, half a step of 8 bits)",
    )
    add("--damping", type=positive, default=0.05, metavar="D", help="what large values cost (default: %(default)g)")
    add("--steps", type=count, default=20, metavar="N", help="the most steps that LSQR takes (default: %(default)d)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr."""
    return run(process, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
