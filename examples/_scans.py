"""Scans: NIfTI, NRRD and DICOM, which are read into memory, and zarr, which stays where it lies."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import nrrd
import numpy as np
import pydicom
import zarr
from nibabel.affines import voxel_sizes
from pydicom.misc import is_dicom
from tqdm.utils import CallbackIOWrapper

from _common import Refusal, progress, reading

SPATIAL = (0, 1, 2)  # the axes of a scan that lie in space; a fourth is time
SHARED = ("SeriesInstanceUID", "Rows", "Columns", "PixelSpacing", "ImageOrientationPatient")  # by a series' slices
MILLIMETRES = {"nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "meter": 1000.0}


@dataclass(frozen=True)
class Scan:
    """Voxels and where they lie: `affine` takes an index to millimetres right, anterior and superior."""

    voxels: np.ndarray
    affine: np.ndarray
    spacing: tuple[float, ...]
    header: nib.Nifti1Header | None = None


# Scans that memory holds


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
    slices = []
    with progress("read", len(files), "slice") as bar:
        for file in files:
            slices.append(pydicom.dcmread(file))
            bar.update()
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
    with ExitStack() as stack:
        file: Any = stack.enter_context(path.open("wb"))
        if path.suffix == ".gz":
            file = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0))
        bar = stack.enter_context(progress("write", 4 * voxels.size, "B"))
        image.to_stream(CallbackIOWrapper(bar.update, file, "write"))


# Scans that memory does not hold


@dataclass(frozen=True)
class Volume:
    """An array on disk, the axes of it that lie in space, and the millimetres between voxels along those."""

    voxels: zarr.Array
    spatial: tuple[int, ...]
    spacing: tuple[float, ...]
    image: dict[str, Any] | None  # OME's description of the array; None for a plain one


def is_zarr(path: Path) -> bool:
    """Whether a path leads to what zarr keeps."""
    return any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))


def open_volume(path: Path, spacing: Sequence[float] | None) -> Volume:
    """Open an array, or the largest of an image's; its voxels are not read."""
    with reading(path):
        kept = zarr.open(path, mode="r")
    if isinstance(kept, zarr.Array):
        voxels, image = kept, None
        if spacing is None:
            raise Refusal(f"cannot process {path}: --spacing must say how many millimetres its voxels lie apart")
        spatial = tuple(range(voxels.ndim - len(spacing), voxels.ndim))
        if min(spatial) < 0:
            raise Refusal(f"--spacing has {len(spacing)} entries but {path} has {voxels.ndim} axes {voxels.shape}")
    else:
        try:
            about = dict(kept.attrs)
            image = about.get("ome", about)["multiscales"][0]
            largest = image["datasets"][0]
            voxels = kept[largest["path"]]
            (scale,) = (step["scale"] for step in largest["coordinateTransformations"] if step["type"] == "scale")
            spatial = tuple(a for a, axis in enumerate(image["axes"]) if axis["type"] == "space")
            own = tuple(MILLIMETRES[image["axes"][a].get("unit", "millimeter")] * scale[a] for a in spatial)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise Refusal(f"cannot process {path}: it is not an OME-Zarr image: {error!r}") from error
        spacing = spacing or own
        if len(spacing) != len(spatial):
            raise Refusal(f"--spacing has {len(spacing)} entries but {path} has {len(spatial)} axes in space")
    if voxels.dtype.kind not in "biuf" or voxels.size == 0:
        raise Refusal(f"cannot process {path}: its voxels are {voxels.dtype} {voxels.shape}, not real numbers")
    return Volume(voxels, spatial, tuple(spacing), image)


def open_result(path: Path, volume: Volume) -> zarr.Array:
    """Make the array of a result, like the volume's, or open the one that an interrupted run has left."""
    voxels = volume.voxels
    name = "" if volume.image is None else "0"
    if path.exists():
        if not list(path.parent.glob(f"{path.name}*.convnd")):
            raise Refusal(f"cannot write {path}: it is there already")
        return zarr.open_array(path / name, mode="r+")
    about: dict[str, Any] = {
        "shape": voxels.shape, "chunks": voxels.chunks, "shards": voxels.shards, "dtype": np.float32,
        "dimension_names": voxels.metadata.dimension_names if voxels.metadata.zarr_format == 3 else None,
    }  # fmt: skip
    if volume.image is None:
        return zarr.create_array(path, **about)
    largest = {**volume.image["datasets"][0], "path": name}
    image = {**volume.image, "datasets": [largest]}
    group = zarr.create_group(path, attributes={"ome": {"version": "0.5", "multiscales": [image]}})
    return group.create_array(name, **about)
