"""Smooth a medical scan, or find its edges, in millimetres whatever the shape of its voxels.

A scan's voxels are seldom cubes: this example's default, a chest CT, has them 3 x 3 x 10 mm. A Gaussian of
so many millimetres is therefore another number of voxels along each axis, and a difference between
neighbours becomes a gradient only when divided by their distance.
"""

import argparse
import functools
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from _common import (
    Clock,
    Parser,
    Refusal,
    add_common,
    add_plot,
    check_outputs,
    compared,
    count,
    length,
    metric,
    plot_path,
    progress,
    refusing,
    run,
    summarise,
    writing,
)  # fmt: skip
from _plots import draw_slices, slices_of
from _scans import NIFTI, TIFF, Scan, is_zarr, open_result, open_volume, read_scan, write_scan
from convnd import blockwise, convnd, kernels

DEFAULT_SMOOTHING = 1.5  # of the smallest distance between voxels
FWHM = float(np.sqrt(8 * np.log(2)))  # of a Gaussian whose standard deviation is 1

EPILOG = f"""
input
  NIfTI; NRRD, MetaImage, a DICOM file, a folder with the DICOM slices of one series, and what else ITK reads; a TIFF
  stack of ImageJ, OME or plain pages. Voxels keep their unit: Hounsfield units in CT, whatever the scanner wrote in MR.
  Further axes (time, channels) are kept, and each volume is processed by itself.
  A zarr array or OME-Zarr image is smoothed chunk by chunk where it lies, into another one, however large it is.
  Where that is interrupted, the same command goes on.

work
  --smooth MM   A Gaussian whose standard deviation is MM millimetres, or micrometres: 10um. Noise falls, detail below
                about 2 MM is lost.
  --fwhm MM     The same by its full width at half maximum, {FWHM:.3f} standard deviations, which papers on brains give.
  --edges       How many units the scan changes within a millimetre, in whichever direction it changes most: the length
                of its gradient, by Sobel kernels. With --smooth, of the smoothed scan: edges at that scale.
                A zarr array is smoothed only: edges would take three passes over it, and three more arrays on disk.
  With none, the scan is smoothed by {DEFAULT_SMOOTHING:g} times the smallest distance between its voxels.
  Outside the scan, its outermost voxels are repeated. Voxels that are NaN are missing: the others get the mean of those
  that are known, and what was NaN is NaN in the result; a line says how many.

output
  A float32 NIfTI file (of TIFF, float32 TIFF that ImageJ opens; of zarr, float32 zarr) with the scan's place and
  spacing, and beside it a picture of a few slices before and after on the same scale, and their difference. Of zarr,
  and of slices above 512 pixels a side, every second, third, ... pixel is drawn. Times, rate and memory are printed.

examples:
  process_scan.py --plot chest.png                       the chest CT, smoothed
  process_scan.py brain.nii.gz --fwhm 6 --edges          edges at a scale of 6 mm
  process_scan.py slices/ -o lung.nii.gz --smooth 1.5    a folder of DICOM slices
  process_scan.py cells.tif --smooth 0.4um               a stack of ImageJ
  process_scan.py brain.ome.zarr --smooth 10um           a volume larger than memory
  process_scan.py cube.zarr --spacing 2 0.5 0.5          a plain zarr array, whose spacing only you know
"""


def gaussian(millimetres: float, spacing: Sequence[float]) -> np.ndarray:
    """The Gaussian's weights: one for each voxel within 4 standard deviations."""
    return kernels.gaussian(tuple(millimetres / width for width in spacing), dtype=np.float32)


def smooth(voxels: np.ndarray, scan: Scan, millimetres: float, workers: int | None) -> np.ndarray:
    """Smooth by a Gaussian. convnd finds that it is a product, and so passes over one axis after the other."""
    return convnd(
        voxels,
        gaussian(millimetres, scan.spacing),
        axes=scan.spatial,  # every other axis, such as time, is a batch axis
        padding="same",
        boundary="edge",
        nan_policy="omit",
        dtype=np.float32,
        workers=workers,
    )


def gradient_length(voxels: np.ndarray, scan: Scan, workers: int | None) -> np.ndarray:
    """Length of the gradient, per millimetre."""
    squares = np.zeros_like(voxels, np.float32)
    with progress("edges", len(scan.spatial) * voxels.size, "voxel") as bar:
        for axis, width in enumerate(scan.spacing):
            sobel = kernels.sobel(axis, len(scan.spatial))
            difference = convnd(
                voxels,
                sobel / (np.abs(sobel).sum() * width),  # a slope of 1 gives the sum of the magnitudes
                axes=scan.spatial,
                padding="same",
                boundary="edge",
                dtype=np.float32,
                workers=workers,
            )
            squares += np.square(difference, out=difference)
            bar.update(voxels.size)
    return np.sqrt(squares, out=squares)


def work(scan: Scan, millimetres: float | None, edges: bool, workers: int | None) -> np.ndarray:
    """Smooth, find edges, and put NaN back where the scan has it."""
    missing, result = np.isnan(scan.voxels), scan.voxels
    if millimetres is not None:
        result = smooth(result, scan, millimetres, workers)
    elif missing.any():  # the mean of its neighbours in place of each
        result = np.where(missing, smooth(result, scan, min(scan.spacing), workers), result)
    if edges:
        result = gradient_length(result, scan, workers)
    result[missing] = np.nan
    return result


def scipy_work(scan: Scan, millimetres: float | None, edges: bool) -> np.ndarray:
    """The same by SciPy, but for NaN, which spreads."""
    result, along = np.asarray(scan.voxels, np.float32), {"axes": scan.spatial, "mode": "nearest"}
    if millimetres is not None:
        result = ndimage.gaussian_filter(result, [millimetres / width for width in scan.spacing], **along)
    if edges:
        slopes = [ndimage.sobel(result, axis) / width for axis, width in zip(scan.spatial, scan.spacing, strict=True)]
        result = np.sqrt(sum(np.square(slope) for slope in slopes))
    return result


def describe(values: np.ndarray) -> str:
    """The range of `values`, NaN aside."""
    known = values[~np.isnan(values)]
    return f"{known.min():.6g} to {known.max():.6g}" if known.size else "NaN everywhere"


def width_of(options: argparse.Namespace, path: Path, scan: Scan) -> float | None:
    """The Gaussian's standard deviation in millimetres, or None where there is to be none."""
    if options.fwhm:
        millimetres = options.fwhm / FWHM
    elif options.smooth or options.edges:
        millimetres = options.smooth
    else:
        spaced = [width for axis, width in zip(scan.spatial, scan.spacing, strict=True) if scan.voxels.shape[axis] > 1]
        millimetres = float(f"{DEFAULT_SMOOTHING * min(spaced or scan.spacing):.2g}")
    longest = max(scan.voxels.shape[axis] * width for axis, width in zip(scan.spatial, scan.spacing, strict=True))
    if millimetres and millimetres > longest:
        raise Refusal(
            f"--smooth must be within the {metric(longest)} that {path} is long, but is {metric(millimetres)}"
        )
    return millimetres


def about(path: Path, scan: Scan, missing: int | np.integer) -> dict[str, object]:
    """The summary's first lines."""
    voxels = scan.voxels
    lines = {
        "scan": path,
        "shape": f"{' x '.join(map(str, voxels.shape))}, {voxels.dtype}",
        "spacing": metric(*scan.spacing),
    }
    if missing:
        lines["missing"] = f"{missing} of {voxels.size} voxels are NaN: left out, and NaN again in the result"
    return lines


def process_scan(options: argparse.Namespace, path: Path) -> None:
    """Read, smooth, find edges, write and draw."""
    name = path.resolve().name
    stem = name if path.is_dir() else name.removesuffix(".gz").rsplit(".", 1)[0]
    suffixes, suffix = (TIFF, ".tif") if name.lower().endswith(TIFF) else (NIFTI, ".nii.gz")
    output = options.output or Path(f"{stem}_{'edges' if options.edges else 'smooth'}{suffix}")
    outputs = check_outputs(options, path, output, suffixes, plot_path(options, output))

    clock = Clock()
    with clock("read"):
        scan = read_scan(path, options.spacing)
    millimetres = width_of(options, path, scan)
    after = clock.twice(functools.partial(work, scan, millimetres, options.edges, options.workers))
    summary = about(path, scan, np.count_nonzero(np.isnan(scan.voxels)))
    summary |= {"work": title(scan, millimetres, options.edges)}
    summary |= {"before": describe(scan.voxels), "after": describe(after)}
    if options.compare:
        summary |= compared(clock, "scipy.ndimage", lambda: scipy_work(scan, millimetres, options.edges))

    with writing(*outputs) as drafts:
        with clock("write"):
            write_scan(drafts[0], after, scan)
        if len(drafts) > 1:
            with clock("draw"):
                draw(drafts[1], path, scan, after, millimetres, options.edges)
    summarise(summary, clock, outputs, scan.voxels.size, "voxels")


def process_volume(options: argparse.Namespace, path: Path) -> None:
    """Smooth a zarr array chunk by chunk. The product of three Gaussians is one pass over what is on disk."""
    if options.edges or options.compare:
        raise Refusal("--edges and --compare are for scans that memory holds, but zarr is smoothed where it lies")
    scan = open_volume(path, options.spacing)
    output = options.output or Path(f"{path.resolve().name.removesuffix('.zarr')}_smooth.zarr")
    plot = plot_path(options, output) if len(scan.spatial) > 1 else None
    outputs = check_outputs(options, path, output, [".zarr"], plot, folder=True)
    millimetres = width_of(options, path, scan)
    assert millimetres is not None
    out = open_result(output, scan)
    clock = Clock()
    with clock("first call"):
        corner = tuple(slice(0, 64) if axis in scan.spatial else slice(0, 1) for axis in range(scan.voxels.ndim))
        smooth(scan.voxels[corner], scan, millimetres, options.workers)
    with clock("convolve"), refusing(f"cannot write {output}"), progress("smooth", 0, "block") as bar:

        def report(done: int, blocks: int) -> None:
            bar.total = blocks
            bar.update(done - bar.n)

        blockwise(
            scan.voxels,
            gaussian(millimetres, scan.spacing),
            out,
            axes=scan.spatial,
            padding="same",
            boundary="edge",
            nan_policy="omit",
            workers=options.workers,
            progress=report,
            resume=True,
        )
    missing = put_back(scan.voxels, out) if scan.voxels.dtype.kind == "f" else 0
    if plot:
        with clock("draw"), writing(plot) as (draft,):
            draw(draft, path, scan, out, millimetres, False)
    summarise(about(path, scan, missing), clock, outputs, scan.voxels.size, "voxels")


def put_back(voxels: Any, out: Any) -> int:
    """Make NaN of what was NaN, a layer of chunks at a time, and return how many there are."""
    found, thick = 0, int(voxels.chunks[0])
    for first in range(0, voxels.shape[0], thick):
        layer = slice(first, first + thick)
        missing = np.isnan(voxels[layer])
        if missing.any():
            out[layer] = np.where(missing, np.nan, out[layer])
            found += int(np.count_nonzero(missing))
    return found


def title(scan: Scan, millimetres: float | None, edges: bool) -> str:
    """What was done."""
    done = []
    if millimetres is not None:
        voxels = " x ".join(f"{millimetres / width:.3g}" for width in scan.spacing)
        done.append(f"Gaussian, sigma {metric(millimetres)} = {voxels} voxels")
    if edges:
        done.append("length of its gradient" if done else "length of the gradient")
    return ", ".join(done)


def draw(path: Path, source: Path, scan: Scan, after: Any, millimetres: float | None, edges: bool) -> None:
    """Draw slices under a title that says what was done to them."""
    heading = f"{source.resolve().name}: {title(scan, millimetres, edges)}"
    draw_slices(path, heading, slices_of(scan), scan.voxels, after, edges)


def process(options: argparse.Namespace) -> None:
    """Do the work in memory or where the scan lies."""
    path = options.scan or Path(str(resources.files("slicerio") / "data" / "CTChest4.nrrd"))
    (process_volume if is_zarr(path) else process_scan)(options, path)


def build_parser() -> Parser:
    """The options and what they mean."""
    parser = Parser(prog="process_scan.py", description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add(
        "scan",
        nargs="?",
        type=Path,
        metavar="SCAN",
        help="NIfTI, NRRD, MetaImage, DICOM, TIFF or zarr (default: the chest CT in the package slicerio)",
    )
    add(
        "-o",
        dest="output",
        type=Path,
        metavar="OUT",
        help="the .nii, .nii.gz, .tif or .zarr to write (default: SCAN's name with _smooth or _edges, in this folder)",
    )
    width = parser.add_mutually_exclusive_group()
    width.add_argument(
        "--smooth",
        type=length,
        metavar="MM",
        help="standard deviation of the Gaussian, 2 or 2mm or 10um "
        f"(default: {DEFAULT_SMOOTHING:g} voxels, or none where --edges is asked for)",
    )
    width.add_argument("--fwhm", type=length, metavar="MM", help="its full width at half maximum, in place of --smooth")
    add(
        "--edges", action="store_true", help="length of the gradient, in the scan's units per millimetre (default: off)"
    )
    add(
        "--spacing",
        type=length,
        nargs="+",
        metavar="MM",
        help="between voxels along the axes in space, in the order of the printed shape (default: what the scan says)",
    )
    add_common(parser)
    add_plot(parser, "slices before and after")
    add("--workers", type=count, metavar="N", help="threads to use (default: all)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr."""
    return run(process, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
