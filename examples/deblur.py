"""Sharpen a photograph that the camera's motion or its lens has blurred, where the blur is known.

A blur is a convolution, and so a linear map A of the photograph. This lays one over a sharp photograph and adds a
little noise, as a sensor does; that is all the restoration is given. It looks for the photograph x that brings
|A x - blurred|^2 + damping^2 |x|^2 lowest, by SciPy's LSQR. LSQR knows A by two functions, the plan and its adjoint:
plan.as_linear_operator() gives it both. The sharp photograph only tells how well it went.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.sparse.linalg import LinearOperator, lsqr

import convnd
from _common import (
    Clock,
    Parser,
    Refusal,
    add_common,
    check_outputs,
    compared,
    count,
    finite,
    positive,
    progress,
    refusing,
    run,
    summarise,
    writing,
)  # fmt: skip
from _images import DEFAULT_IMAGE, add_input, read_image, shown
from _plots import draw_side_by_side
from convnd import kernels

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


def restore(blur: convnd.Plan, blurred: np.ndarray, damping: float, steps: int) -> np.ndarray:
    """Find the photograph whose blurred self is closest to `blurred`.

    Damping pulls towards 0, so the mean, which a blur of sum 1 leaves as it is, is put aside.
    """
    mean = blurred.mean(axis=(0, 1), keepdims=True)
    matrix = blur.as_linear_operator()
    with progress("lsqr", steps, "step") as bar:

        def adjoint(y: np.ndarray) -> np.ndarray:  # LSQR asks for it once a step
            bar.update()
            return matrix.rmatvec(y)

        watched = LinearOperator(matrix.shape, matrix.matvec, adjoint, dtype=matrix.dtype)
        solution, *_ = lsqr(watched, (blurred - mean).ravel(), damp=damping, iter_lim=steps)
    return solution.reshape(blurred.shape) + mean


def psnr(picture: np.ndarray, sharp: np.ndarray) -> float:
    """The peak signal-to-noise ratio of a picture from 0 to 1, in decibels."""
    return float(-10 * np.log10(np.mean((picture.clip(0, 1) - sharp) ** 2)))


def kernel_of(options: argparse.Namespace) -> np.ndarray:
    """The blur that the options name."""
    with refusing("cannot blur"):
        if options.gaussian:
            return kernels.gaussian((options.gaussian, options.gaussian))
        return kernels.motion_blur(options.motion, options.angle)


def process(options: argparse.Namespace) -> None:
    """Read, blur, restore, draw."""
    path, clock = options.input or DEFAULT_IMAGE, Clock()
    output = options.output or Path(f"{path.stem}_deblurred.png")
    outputs = check_outputs(options, path, output, [".png"])
    with clock("read"):
        image = read_image(path)
    sharp = shown(image)
    rows, columns = sharp.shape[:2]
    width = 8 * options.gaussian if options.gaussian else options.motion
    if width > min(rows, columns):
        raise Refusal(f"cannot process {path}: a blur of {width:g} pixels is wider than its {rows} x {columns}")
    kernel = kernel_of(options).astype(np.float32)

    # All colours at once: what is not among the axes is a batch axis.
    blur = convnd.plan(sharp, kernel, axes=(0, 1), padding="same", boundary="symmetric")
    blurred = clock.twice(lambda: blur(sharp))
    blurred = blurred + np.random.default_rng(0).normal(scale=options.noise / 100, size=sharp.shape).astype(np.float32)
    with clock("first adjoint"):
        blur.adjoint(blurred)  # so that it is compiled, and the solver's time its own
    with clock("restore"):
        restored = restore(blur, blurred, options.damping, options.steps)
    pictures = {
        "sharp": sharp,
        f"blurred, {psnr(blurred, sharp):.1f} dB": blurred,
        f"restored, {psnr(restored, sharp):.1f} dB": restored,
    }
    with clock("draw"), writing(*outputs) as (draft,):
        draw_side_by_side(draft, pictures)

    summary = {
        "image": path,
        "shape": f"{' x '.join(map(str, image.shape))}, {image.dtype}",
        "kernel": f"{' x '.join(map(str, kernel.shape))}, method {blur.method}",
        "blurred": f"{psnr(blurred, sharp):.2f} dB",
        "restored": f"{psnr(restored, sharp):.2f} dB",
    }
    if options.compare:
        weights = kernel[::-1, ::-1, np.newaxis]  # a convolution is a correlation with the kernel turned by half a turn
        summary |= compared(clock, "scipy.ndimage.correlate", lambda: ndimage.correlate(sharp, weights, mode="reflect"))
    summarise(summary, clock, outputs, sharp.size, "samples")


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
    add_common(parser)
    add("--damping", type=positive, default=0.05, metavar="D", help="what large values cost (default: %(default)g)")
    add("--steps", type=count, default=20, metavar="N", help="the most steps that LSQR takes (default: %(default)d)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr."""
    return run(process, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
