"""Map the local contrast of a scan's slices, in one compiled loop of your own that calls `convnd`.

Local contrast is the standard deviation of the samples around each one, weighted by a Gaussian. A radiologist's eye is
drawn to it, and lung nodules, noise and texture show in it. Two convolutions of each slice make it, with NumPy's
operations between them, all in one `numba.njit` function: no array of the whole scan is made on the way.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numba
import numpy as np
from scipy import ndimage

from _common import Clock, Parser, add_common, check_outputs, compared, finite, positive, run, summarise, writing
from _plots import draw_side_by_side, slices_of
from _scans import Scan, read_scan
from convnd import convnd, kernels

EPILOG = """
examples
  in_your_own_loop.py                       the chest CT, by a Gaussian of 6 mm
  in_your_own_loop.py scan.nii.gz --sigma 3 --compare
"""


@numba.njit(parallel=True, cache=True)
def local_contrast(slices: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The weighted standard deviation around each sample, slice by slice, each in a thread of Numba's."""
    contrast = np.empty(slices.shape, np.float32)
    for i in numba.prange(slices.shape[0]):
        level = slices[i] - slices[i].mean()  # so that squares stay small
        mean = convnd(level, kernel, padding="same", boundary="reflect")
        square = convnd(level * level, kernel, padding="same", boundary="reflect")
        contrast[i] = np.sqrt(np.maximum(square - mean * mean, np.float32(0)))
    return contrast


def by_scipy(slices: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The same by SciPy, slice by slice."""
    contrast = np.empty(slices.shape, np.float32)
    for i, own in enumerate(slices):
        level = own - own.mean()
        mean, square = (ndimage.convolve(part, kernel, mode="mirror") for part in (level, level * level))
        contrast[i] = np.sqrt(np.maximum(square - mean * mean, 0))
    return contrast


def pictures(scan: Scan, contrast: np.ndarray, least: float) -> dict[str, np.ndarray]:
    """A slice of the scan and of its contrast, from 0 to 1, as radiologists look at them and not too small."""
    slices = slices_of(scan)
    middle = len(slices.titles) // 2
    before, after = (slices.of(voxels)[middle].astype(np.float32) for voxels in (scan.voxels.clip(least), contrast))
    low, high = np.percentile(before, (0.5, 99.5))
    most = max(float(np.percentile(after, 99.5)), 1e-9)
    times = max(1, 512 // max(after.shape))
    scaled = {slices.titles[middle]: (before - low) / max(high - low, 1e-9), f"contrast, 0 to {most:.0f}": after / most}
    return {title: own.repeat(times, axis=0).repeat(times, axis=1) for title, own in scaled.items()}


def process(options: argparse.Namespace) -> None:
    """Read, compute, draw."""
    path, clock = options.scan or Path(str(resources.files("slicerio") / "data" / "CTChest4.nrrd")), Clock()
    output = options.output or Path(f"{path.name.partition('.')[0]}_contrast.png")
    outputs = check_outputs(options, path, output, [".png"])
    with clock("read"):
        scan = read_scan(path, None)
    across = scan.spatial[int(np.argmax(scan.spacing))]
    slices = np.moveaxis(scan.voxels, across, 0).clip(options.least).astype(np.float32, order="C")
    inside = [step for axis, step in zip(scan.spatial, scan.spacing, strict=True) if axis != across]
    kernel = kernels.gaussian(tuple(options.sigma / step for step in inside), dtype=np.float32)
    contrast = clock.twice(lambda: local_contrast(slices, kernel))
    with clock("draw"), writing(*outputs) as (draft,):
        draw_side_by_side(draft, pictures(scan, np.moveaxis(contrast, 0, across), options.least))
    summary: dict[str, object] = {
        "scan": path,
        "slices": f"{len(slices)} of {' x '.join(map(str, slices.shape[1:]))}",
        "kernel": f"{' x '.join(map(str, kernel.shape))}, twice for each slice",
    }
    if options.compare:
        summary |= compared(clock, "scipy.ndimage.convolve", lambda: by_scipy(slices, kernel))
    summarise(summary, clock, outputs, 2 * slices.size, "voxels")


def build_parser() -> Parser:
    """The options and what they mean."""
    parser = Parser(prog="in_your_own_loop.py", description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add("scan", type=Path, nargs="?", help="NIfTI, NRRD, MetaImage, DICOM or TIFF (default: the chest CT of slicerio)")
    add("-o", dest="output", type=Path, metavar="OUT.png", help="the picture (default: the scan's name with _contrast)")
    add("--sigma", type=positive, default=6.0, metavar="MM", help="of the Gaussian (default: %(default)g)")
    add(
        "--least",
        type=finite,
        default=-1000.0,
        metavar="VALUE",
        help="what lower values are raised to: CT stores such around the scanner's field (default: %(default)g, air)",
    )
    add_common(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr."""
    return run(process, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
