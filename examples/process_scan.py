"""Smooth a medical scan, or find its edges, in millimetres whatever the shape of its voxels.

A scan's voxels are seldom cubes: this example's default, a chest CT, has them 3 x 3 x 10 mm. A Gaussian of
so many millimetres is therefore another number of voxels along each axis, and a difference between
neighbours becomes a gradient only when divided by their distance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from _common import (
    Clock,
    Parser,
    Refusal,
    add_plot,
    check_outputs,
    count,
    plot_path,
    positive,
    progress,
    refusing,
    run,
    summarise,
    writing,
)  # fmt: skip
from _plots import Slices, draw_slices, upright, volume_slices
from _scans import SPATIAL, Scan, is_zarr, open_result, open_volume, read_scan, write_nifti
from convnd import blockwise, convnd, kernels

DEFAULT_SMOOTHING = 4.0  # mm

EPILOG = f"""
input
  .nii, .nii.gz, .nrrd, or a folder with the DICOM slices of one series. Voxels keep their unit: Hounsfield units
  in CT, whatever the scanner wrote in MR. A fourth axis (time) is kept, and each volume is processed by itself.
  A zarr array or OME-Zarr image is smoothed chunk by chunk where it lies, into another one, however large it is.
  Where that is interrupted, the same command goes on.

work
  --smooth MM   A Gaussian whose standard deviation is MM millimetres. Its full width at half maximum, which papers on
                brain scans give, is 2.355 times that: --smooth 2.55 for "6 mm FWHM". Noise falls, detail below
                about 2 MM is lost.
  --edges       How many units the scan changes within a millimetre, in whichever direction it changes most: the length
                of its gradient, by 3 x 3 x 3 Sobel kernels. With --smooth, of the smoothed scan: edges at that scale.
                A zarr array is smoothed only: edges would take three passes over it, and three more arrays on disk.
  With neither, the scan is smoothed by {DEFAULT_SMOOTHING:g} mm. Outside the scan, its outermost voxels are repeated.

output
  A float32 NIfTI file (of zarr, float32 zarr) with the scan's affine and spacing, and beside it a picture of a few
  slices before and after on the same scale, and their difference. Of zarr, and of slices above 512 pixels a side,
  every second, third, ... pixel is drawn. Times, rate and memory are printed.

examples:
  process_scan.py --plot chest.png                       the chest CT, smoothed
  process_scan.py brain.nii.gz --smooth 2 --edges        edges at a scale of 2 mm
  process_scan.py slices/ -o lung.nii.gz --smooth 1.5    a folder of DICOM slices
  process_scan.py brain.ome.zarr --smooth 0.01           a volume larger than memory, by 10 micrometres
  process_scan.py cube.zarr --spacing 2 0.5 0.5          a plain zarr array, whose spacing only you know
"""


def smooth(scan: Scan, millimetres: float, workers: int | None) -> np.ndarray:
    """Smooth by a Gaussian: one short convolution along each axis does the work of a large one in space."""
    voxels = scan.voxels
    with progress("smooth", len(SPATIAL) * voxels.size, "voxel") as bar:
        for axis in SPATIAL:
            voxels = convnd(
                voxels,
                kernels.gaussian(millimetres / scan.spacing[axis]),
                axes=axis,  # every other axis, time included, is a batch axis
                padding="same",
                boundary="edge",
                dtype=np.float32,
                workers=workers,
            )
            bar.update(voxels.size)
    return voxels


def gradient_length(voxels: np.ndarray, spacing: Sequence[float], workers: int | None) -> np.ndarray:
    """Length of the gradient, per millimetre."""
    squares = np.zeros_like(voxels, np.float32)
    with progress("edges", len(SPATIAL) * voxels.size, "voxel") as bar:
        for axis in SPATIAL:
            sobel = kernels.sobel(axis, len(SPATIAL))
            difference = convnd(
                voxels,
                sobel / (np.abs(sobel).sum() * spacing[axis]),  # a slope of 1 gives the sum of the magnitudes
                axes=SPATIAL,
                padding="same",
                boundary="edge",
                dtype=np.float32,
                workers=workers,
            )
            squares += np.square(difference, out=difference)
            bar.update(voxels.size)
    return np.sqrt(squares, out=squares)


def describe(values: np.ndarray) -> str:
    """The range of `values`, NaN aside."""
    known = values[~np.isnan(values)]
    return f"{known.min():.6g} to {known.max():.6g}" if known.size else "NaN everywhere"


def check_width(path: Path, millimetres: float, spacing: Sequence[float], shape: Sequence[int]) -> None:
    """Refuse a Gaussian that would leave nothing to see, and take any amount of memory."""
    longest = max(voxels * width for voxels, width in zip(shape, spacing, strict=False))
    if millimetres > longest:
        raise Refusal(f"--smooth must be within the {longest:g} mm that {path} is long, but is {millimetres:g}")


def about(path: Path, voxels: np.ndarray, spacing: Sequence[float]) -> dict[str, object]:
    """The summary's first lines."""
    return {
        "scan": path,
        "shape": f"{' x '.join(map(str, voxels.shape))}, {voxels.dtype}",
        "spacing": f"{' x '.join(f'{width:.4g}' for width in spacing)} mm",
    }


def process_scan(options: argparse.Namespace, path: Path) -> None:
    """Read, smooth, find edges, write and draw."""
    millimetres = options.smooth or (None if options.edges else DEFAULT_SMOOTHING)
    name = path.resolve().name
    stem = name if path.is_dir() else name.removesuffix(".gz").rsplit(".", 1)[0]
    output = options.output or Path(f"{stem}_{'edges' if options.edges else 'smooth'}.nii.gz")
    outputs = check_outputs(output, [".nii", ".nii.gz"], plot_path(options, output))
    if options.spacing:
        raise Refusal(f"--spacing is for zarr, but {path} says itself how far its voxels lie apart")

    clock = Clock()
    with clock("read"):
        scan = read_scan(path)
    check_width(path, millimetres or 0.0, scan.spacing, scan.voxels.shape)
    with clock("convolve"):
        after = scan.voxels if millimetres is None else smooth(scan, millimetres, options.workers)
        if options.edges:
            after = gradient_length(after, scan.spacing, options.workers)
    summary = about(path, scan.voxels, scan.spacing)
    summary |= {"before": describe(scan.voxels), "after": describe(after)}

    with writing(*outputs) as drafts:
        with clock("write"):
            write_nifti(drafts[0], after, scan)
        if len(drafts) > 1:
            with clock("draw"):
                slices = upright(scan.voxels.shape, scan.affine)
                draw(drafts[1], path, slices, scan.voxels, after, scan.spacing, millimetres, options.edges)
    summarise(summary, clock, outputs, scan.voxels.size, "voxels")


def process_volume(options: argparse.Namespace, path: Path) -> None:
    """Smooth a zarr array chunk by chunk. The product of three Gaussians is one pass over what is on disk."""
    if options.edges:
        raise Refusal("--edges is for scans that memory holds, but a zarr array is smoothed where it lies")
    millimetres = options.smooth or DEFAULT_SMOOTHING
    volume = open_volume(path, options.spacing)
    output = options.output or Path(f"{path.resolve().name.removesuffix('.zarr')}_smooth.zarr")
    plot = plot_path(options, output) if len(volume.spatial) > 1 else None
    outputs = check_outputs(output, [".zarr"], plot, folder=True)
    check_width(path, millimetres, volume.spacing, [volume.voxels.shape[axis] for axis in volume.spatial])
    kernel = kernels.gaussian([millimetres / width for width in volume.spacing]).astype(np.float32)
    out = open_result(output, volume)
    clock = Clock()
    with clock("convolve"), refusing(f"cannot write {output}"):
        blockwise(
            volume.voxels,
            kernel,
            out,
            axes=volume.spatial,
            padding="same",
            boundary="edge",
            workers=options.workers,
            progress=True,
            resume=True,
        )
    if plot:
        with clock("draw"), writing(plot) as (draft,):
            draw(draft, path, volume_slices(volume), volume.voxels, out, volume.spacing, millimetres, False)
    summarise(about(path, volume.voxels, volume.spacing), clock, outputs, volume.voxels.size, "voxels")


def draw(
    path: Path,
    scan: Path,
    slices: Slices,
    before: np.ndarray,
    after: np.ndarray,
    spacing: Sequence[float],
    millimetres: float | None,
    edges: bool,
) -> None:
    """Draw slices under a title that says what was done to them."""
    done = []
    if millimetres is not None:
        voxels = " x ".join(f"{millimetres / width:.3g}" for width in spacing)
        done.append(f"Gaussian, sigma {millimetres:g} mm = {voxels} voxels")
    if edges:
        done.append("length of its gradient" if done else "length of the gradient")
    title = f"{scan.resolve().name}: {', '.join(done)}"
    draw_slices(path, title, slices, before, after, edges)


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
        help=".nii, .nii.gz, .nrrd, a folder of DICOM slices, or zarr (default: the chest CT in the package slicerio)",
    )
    add(
        "-o",
        dest="output",
        type=Path,
        metavar="OUT",
        help="the .nii, .nii.gz or .zarr to write (default: SCAN's name with _smooth or _edges, in this folder)",
    )
    add(
        "--smooth",
        type=positive,
        metavar="MM",
        help="standard deviation of the Gaussian in millimetres "
        f"(default: {DEFAULT_SMOOTHING:g}, or none where --edges is asked for)",
    )
    add(
        "--edges", action="store_true", help="length of the gradient, in the scan's units per millimetre (default: off)"
    )
    add(
        "--spacing",
        type=positive,
        nargs="+",
        metavar="MM",
        help="millimetres between the voxels of a zarr array along its last axes (default: what OME-Zarr says)",
    )
    add_plot(parser, "slices before and after")
    add("--workers", type=count, metavar="N", help="threads to use (default: all)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr."""
    return run(process, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
