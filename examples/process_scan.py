"""Smooth a medical scan, or find its edges, in millimetres whatever the shape of its voxels.

A scan's voxels are seldom cubes: this example's default, a chest CT, has them 3 x 3 x 10 mm. A Gaussian of
so many millimetres is therefore another number of voxels along each axis, and a difference between
neighbours becomes a gradient only when divided by their distance.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pydicom
from nibabel.affines import voxel_sizes
from pydicom.misc import is_dicom
from tqdm import tqdm

from _common import Parser, Refusal, check_outputs, count, positive, reading, refusing, run, writing
from _volumes import is_zarr, open_result, open_volume
from convnd import blockwise, convnd

DEFAULT_SMOOTHING = 4.0  # mm
SPATIAL = (0, 1, 2)  # the axes of a scan that lie in space; a fourth is time
SHARED = ("SeriesInstanceUID", "Rows", "Columns", "PixelSpacing", "ImageOrientationPatient")  # by a series' slices

EPILOG = f"""
The output is a float32 NIfTI file with the scan's affine and spacing. A fourth axis (time) is kept: each
volume is processed by itself. With --smooth and --edges the edges are those of the smoothed scan; with
neither the scan is smoothed by {DEFAULT_SMOOTHING:g} mm.

A zarr array or OME-Zarr image is smoothed chunk by chunk where it lies, into another one, however large it is. Where
that is interrupted, the same command goes on.

examples:
  process_scan.py --plot chest.png                       the chest CT, smoothed
  process_scan.py brain.nii.gz --smooth 2 --edges        edges at a scale of 2 mm
  process_scan.py slices/ -o lung.nii.gz --smooth 1.5    a folder of DICOM slices
  process_scan.py brain.ome.zarr --smooth 0.01           a volume larger than memory
"""


@dataclass(frozen=True)
class Scan:
    """Voxels and where they lie: `affine` takes an index to millimetres right, anterior and superior."""

    voxels: np.ndarray
    affine: np.ndarray
    spacing: tuple[float, ...]
    header: nib.Nifti1Header | None = None


# Reading


def read_scan(path: Path) -> Scan:
    """Read a NIfTI or NRRD file or a folder of DICOM slices, in the layout and byte order it was kept in."""
    with reading(path):
        path.stat()  # a path that leads nowhere is told as such, whatever its suffix
        if path.is_dir():
            scan = read_dicom(path)
        elif path.name.lower().endswith((".nii", ".nii.gz")):
            scan = read_nifti(path)
        elif path.suffix.lower() == ".nrrd":
            scan = read_nrrd(path)
        else:
            raise Refusal(
                f"cannot read {path}: a scan is a .nii, .nii.gz or .nrrd file, a folder of DICOM slices or zarr"
            )
    if scan.voxels.dtype.kind not in "biuf":
        raise Refusal(f"cannot process {path}: its voxels are {scan.voxels.dtype}, not real numbers")
    if scan.voxels.size == 0:
        raise Refusal(f"cannot process {path}: it holds no voxels, its shape is {scan.voxels.shape}")
    if not all(0 < width < np.inf for width in scan.spacing):
        raise Refusal(f"cannot process {path}: its spacing {scan.spacing} must be above 0 mm along every axis")
    return scan


def read_nifti(path: Path) -> Scan:
    """Read a NIfTI file of 3 axes, or of 4 where the last is time."""
    image = nib.load(path)
    if image.ndim not in (3, 4):
        raise Refusal(f"cannot process {path}: it has {image.ndim} axes {image.shape}, not 3 or 4")
    millimetres = {"meter": 1000.0, "micron": 0.001}.get(image.header.get_xyzt_units()[0], 1.0)
    spacing = tuple(millimetres * float(width) for width in image.header.get_zooms()[:3])
    return Scan(np.asanyarray(image.dataobj), image.affine, spacing, image.header)


def read_nrrd(path: Path) -> Scan:
    """Read a NRRD file of 3 axes; pynrrd returns it with the first axis contiguous, as in the file."""
    voxels, header = nrrd.read(str(path))
    if voxels.ndim != 3:
        raise Refusal(f"cannot process {path}: it has {voxels.ndim} axes {voxels.shape}, not 3")
    affine = np.eye(4)
    affine[:3, :3] = np.transpose(header.get("space directions", np.diag(header.get("spacings", np.ones(3)))))
    affine[:3, 3] = header.get("space origin", np.zeros(3))
    space = header.get("space", "right-anterior-superior").lower()
    if space in ("left-posterior-superior", "lps"):
        affine = from_lps(affine)
    elif space in ("left-anterior-superior", "las"):
        affine = np.diag([-1.0, 1, 1, 1]) @ affine
    elif space not in ("right-anterior-superior", "ras"):
        raise Refusal(f"cannot process {path}: its space is {space!r}, not one of a patient's (LPS, RAS, LAS)")
    return Scan(voxels, affine, tuple(voxel_sizes(affine).tolist()))


def read_dicom(folder: Path) -> Scan:
    """Read a folder of DICOM slices into one volume, indexed (column, row, slice)."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and is_dicom(file))
    slices = [pydicom.dcmread(file) for file in files]
    slices = [s for s in slices if "PixelData" in s]
    check_one_volume(folder, slices)

    row, column = np.reshape(np.array(slices[0].ImageOrientationPatient, float), (2, 3))
    normal = np.cross(row, column)
    slices.sort(key=lambda s: np.dot(normal, s.ImagePositionPatient))
    positions = np.array([s.ImagePositionPatient for s in slices], float)
    if len(slices) > 1:
        gaps = np.diff(positions @ normal)
        if gaps.min() <= 0 or np.ptp(gaps) > 0.05 * gaps.max():
            raise Refusal(
                f"cannot process {folder}: its slices lie {gaps.min():g} to {gaps.max():g} mm apart, not evenly"
            )
        step = (positions[-1] - positions[0]) / (len(slices) - 1)
    else:
        step = normal * float(slices[0].SliceThickness)

    between_rows, between_columns = map(float, slices[0].PixelSpacing)
    affine = np.eye(4)
    affine[:3] = np.stack([row * between_columns, column * between_rows, step, positions[0]], axis=1)

    voxels = np.empty((slices[0].Columns, slices[0].Rows, len(slices)), np.float32, order="F")
    for k, s in enumerate(slices):
        pixels = s.pixel_array * float(s.get("RescaleSlope", 1)) + float(s.get("RescaleIntercept", 0))
        voxels[:, :, k] = pixels.T
    affine = from_lps(affine)
    return Scan(voxels, affine, tuple(voxel_sizes(affine).tolist()))


def check_one_volume(folder: Path, slices: Sequence[pydicom.Dataset]) -> None:
    """Refuse what is not one series of grey slices of one shape, orientation and spacing."""
    if not slices:
        raise Refusal(f"cannot read {folder}: it holds no DICOM slices")
    for s in slices:
        missing = [name for name in ("ImagePositionPatient", *SHARED) if name not in s]
        if missing:
            raise Refusal(f"cannot process {folder}: {Path(s.filename).name} lacks {', '.join(missing)}")
        if s.get("NumberOfFrames", 1) != 1 or s.SamplesPerPixel != 1:
            raise Refusal(f"cannot process {folder}: {Path(s.filename).name} is not one grey image")
    for name in SHARED:
        values = [s[name].value for s in slices]
        if name in ("SeriesInstanceUID", "Rows", "Columns"):
            differ = len(set(values)) > 1
        else:  # written in decimals, which some scanners round differently from slice to slice
            differ = np.ptp(np.array(values, float), axis=0).max() > 1e-3
        if differ:
            raise Refusal(f"cannot process {folder}: its slices must all have the same {name}")


def from_lps(affine: np.ndarray) -> np.ndarray:
    """Turn an affine to left, posterior, superior (DICOM, most NRRD) into right, anterior, superior (NIfTI)."""
    return np.diag([-1.0, -1, 1, 1]) @ affine


# Processing


def gaussian(sigma: float) -> np.ndarray:
    """Weights of a Gaussian of `sigma` voxels, cut at four sigma, of sum 1."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


def smooth(scan: Scan, millimetres: float, workers: int | None) -> np.ndarray:
    """Smooth by a Gaussian: one short convolution along each axis does the work of a large one in space."""
    voxels = scan.voxels
    for axis in tqdm(SPATIAL, desc="smooth", unit="axis"):
        voxels = convnd(
            voxels,
            gaussian(millimetres / scan.spacing[axis]),
            axes=axis,  # every other axis, time included, is a batch axis
            padding="same",
            boundary="edge",
            dtype=np.float32,
            workers=workers,
        )
    return voxels


def smooth_volume(options: argparse.Namespace, millimetres: float) -> None:
    """Smooth a zarr array chunk by chunk. The product of three Gaussians is one pass over what is on disk."""
    volume = open_volume(options.scan, options.spacing)
    stem = options.scan.resolve().name.removesuffix(".zarr")
    (output,) = check_outputs(options.output or Path(f"{stem}_smooth.zarr"), [".zarr"], None, folder=True)
    out = open_result(output, volume)
    lines = [gaussian(millimetres / width).astype(np.float32) for width in volume.spacing]
    start = time.perf_counter()
    with refusing(f"cannot write {output}"):
        blockwise(
            volume.voxels,
            functools.reduce(np.multiply.outer, lines),
            out,
            axes=volume.spatial,
            padding="same",
            boundary="edge",
            workers=options.workers,
            progress=True,
            resume=True,
        )
    print(f"scan      {options.scan}")
    print(f"shape     {' x '.join(map(str, volume.voxels.shape))}, {volume.voxels.dtype}")
    print(f"spacing   {' x '.join(f'{width:.4g}' for width in volume.spacing)} mm")
    print(f"time      {time.perf_counter() - start:.2f} s (the first run on a machine compiles)")
    print(f"wrote     {output}")


def sobel(axis: int) -> np.ndarray:
    """The 3 x 3 x 3 Sobel kernel: a difference over two voxels along `axis`, smoothed along the others."""
    profiles = [np.array([1.0, 0.0, -1.0] if a == axis else [1.0, 2.0, 1.0]) for a in SPATIAL]
    return functools.reduce(np.multiply.outer, profiles)


def gradient_length(voxels: np.ndarray, spacing: Sequence[float], workers: int | None) -> np.ndarray:
    """Length of the gradient, per millimetre. The weights of a Sobel kernel come to 32, signs aside."""
    squares = np.zeros_like(voxels, np.float32)
    for axis in tqdm(SPATIAL, desc="edges", unit="axis"):
        difference = convnd(
            voxels,
            sobel(axis),
            axes=SPATIAL,
            padding="same",
            boundary="edge",
            dtype=np.float32,
            workers=workers,
        )
        squares += (difference / (32 * spacing[axis])) ** 2
    return np.sqrt(squares)


# Writing


def write_nifti(path: Path, voxels: np.ndarray, scan: Scan) -> None:
    """Write float32 voxels with the scan's affine and, where it was NIfTI, the rest of its header."""
    if scan.header is None:
        image = nib.Nifti1Image(voxels, scan.affine)
        image.set_sform(scan.affine, code="scanner")
        image.set_qform(scan.affine, code="scanner")
        image.header.set_xyzt_units("mm")
    else:
        header = scan.header.as_byteswapped("<")
        header["cal_min"] = header["cal_max"] = 0  # the window that the scan's values were shown in
        image = nib.Nifti1Image(voxels, scan.affine, header)
    image.set_data_dtype(np.float32)
    nib.save(image, path)


def plot_slices(path: Path, scan: Scan, after: np.ndarray, title: str, own_window: bool) -> None:
    """Draw up to six slices before and after, in the plane that the scan resolves best."""
    from matplotlib.figure import Figure

    before, spacing = upright(first_volume(scan.voxels), scan.affine)
    after, _ = upright(first_volume(after), scan.affine)
    across = 2 - int(np.argmax(spacing[::-1]))  # the axis with the widest spacing, the last of equals
    horizontal, vertical = (axis for axis in SPATIAL if axis != across)
    depth = before.shape[across]
    slices = np.unique(np.linspace(0.1 * depth, 0.9 * depth, 6).astype(int))

    low, high = shown = window(before)
    tissue = before > 0.9 * low + 0.1 * high  # and not the rim of the scanner's circle, CT's sharpest edge
    rows = [("scan", before, shown), (title, after, window(after[tissue]) if own_window else shown)]
    figure = Figure(layout="constrained")
    grid = figure.subplots(2, len(slices), squeeze=False)
    for axes_row, (name, voxels, (low, high)) in zip(grid, rows, strict=True):
        for axes, index in zip(axes_row, slices, strict=True):
            picture = axes.imshow(
                voxels.take(index, across).T,
                cmap="gray",
                vmin=low,
                vmax=high,
                origin="lower",
                aspect=spacing[vertical] / spacing[horizontal],
            )
            axes.set(xticks=[], yticks=[], title=f"slice {index}" if name == "scan" else "")
        axes_row[0].set_ylabel(name)
        figure.colorbar(picture, ax=axes_row, pad=0.01)
    width, height = (before.shape[axis] * spacing[axis] for axis in (horizontal, vertical))
    figure.set_size_inches(2.4 * len(slices) + 0.8, 4.6 * height / width + 0.7)
    figure.savefig(path, dpi=100)


def first_volume(voxels: np.ndarray) -> np.ndarray:
    """The whole of a volume, or the first of a series."""
    return voxels if voxels.ndim == 3 else voxels[..., 0]


def upright(voxels: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, tuple[float, ...]]:
    """The volume with its axes turned to left, anterior and superior, as radiologists look at it; its spacing."""
    turn = nib.orientations.ornt_transform(nib.io_orientation(affine), nib.orientations.axcodes2ornt("LAS"))
    turned = affine @ nib.orientations.inv_ornt_aff(turn, voxels.shape)
    return nib.orientations.apply_orientation(voxels, turn), tuple(voxel_sizes(turned).tolist())


def window(voxels: np.ndarray) -> tuple[float, float]:
    """The values to draw from black to white: in CT air to bone, else all but the outermost percent."""
    if np.nanmin(voxels) <= -1000:  # Hounsfield units: air is -1000, water 0, bone above 400
        return -1000.0, 500.0
    low, high = np.nanpercentile(voxels, (1, 99))
    return float(low), float(high)


# The command


def describe(values: np.ndarray) -> str:
    """The range of `values`, NaN aside."""
    return f"{np.nanmin(values):.6g} to {np.nanmax(values):.6g}"


def process(options: argparse.Namespace) -> None:
    """Read, smooth, find edges, write."""
    path = options.scan or Path(str(resources.files("slicerio") / "data" / "CTChest4.nrrd"))
    millimetres = options.smooth or (None if options.edges else DEFAULT_SMOOTHING)
    if is_zarr(path):
        if options.edges or options.plot:
            raise Refusal(
                "--edges and --plot are for scans that memory holds, but a zarr array is smoothed where it lies"
            )
        smooth_volume(options, millimetres or DEFAULT_SMOOTHING)
        return
    name = path.resolve().name
    stem = name if path.is_dir() else name.removesuffix(".gz").rsplit(".", 1)[0]
    output = options.output or Path(f"{stem}_{'edges' if options.edges else 'smooth'}.nii.gz")
    outputs = check_outputs(output, [".nii", ".nii.gz"], options.plot)

    scan = read_scan(path)
    start = time.perf_counter()
    after = scan.voxels if millimetres is None else smooth(scan, millimetres, options.workers)
    if options.edges:
        after = gradient_length(after, scan.spacing, options.workers)
    seconds = time.perf_counter() - start

    with writing(*outputs) as drafts:
        write_nifti(drafts[0], after, scan)
        if options.plot:
            plot_slices(drafts[1], scan, after, "edges" if options.edges else "smoothed", options.edges)

    print(f"scan      {path}")
    print(f"shape     {' x '.join(map(str, scan.voxels.shape))}, {scan.voxels.dtype}")
    print(f"spacing   {' x '.join(f'{width:.4g}' for width in scan.spacing)} mm")
    print(f"before    {describe(scan.voxels)}")
    print(f"after     {describe(after)}")
    print(f"time      {seconds:.2f} s (the first run on a machine compiles)")
    print(f"wrote     {', '.join(map(str, outputs))}")


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
    add("--edges", action="store_true", help="length of the gradient per millimetre, by Sobel kernels (default: off)")
    add(
        "--spacing",
        type=positive,
        nargs="+",
        metavar="MM",
        help="millimetres between the voxels of a zarr array along its last axes (default: what OME-Zarr says)",
    )
    add("--plot", type=Path, metavar="PNG", help="draw slices before and after (default: no plot)")
    add("--workers", type=count, metavar="N", help="threads to use (default: all)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 2 after one line on stderr."""
    return run(process, build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
