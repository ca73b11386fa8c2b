"""Scans: NIfTI, what ITK reads, and TIFF stacks, which are read into memory, and zarr, which stays where it lies."""

import gzip
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk  # noqa: N813
import tifffile
from nibabel.affines import voxel_sizes
from tqdm.utils import CallbackIOWrapper

from _common import Refusal, progress, reading

NIFTI = (".nii", ".nii.gz")
TIFF = (".tif", ".tiff")
MILLIMETRES = {
    "nanometer": 1e-6, "nm": 1e-6, "micrometer": 1e-3, "micron": 1e-3, "um": 1e-3, "\N{MICRO SIGN}m": 1e-3,
    "\\u00B5m": 1e-3,
    "millimeter": 1.0, "mm": 1.0, "centimeter": 10.0, "cm": 10.0, "meter": 1000.0, "unknown": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """Voxels, in memory or on disk, the axes of them that lie in space, and the millimetres between voxels along those.

    The other axes, such as time and channels, are batch axes.
    """

    voxels: Any
    spatial: tuple[int, ...]
    spacing: tuple[float, ...]
    affine: np.ndarray | None = None  # of a patient: from an index to millimetres right, anterior and superior
    about: Any = None  # what the result's file takes over: NIfTI's header, TIFF's axes, OME's description


# Scans that memory holds


def read_scan(path: Path, spacing: Sequence[float] | None) -> Scan:
    """Read a scan in the layout and byte order it was kept in. Without a spacing of its own it needs `spacing`."""
    name = path.name.lower()
    with reading(path):
        path.stat()  # a path that leads nowhere is told as such, whatever its suffix
        read = read_nifti if name.endswith(NIFTI) else read_tiff if name.endswith(TIFF) else read_itk
        scan = read(path)
    return spaced(path, scan, spacing)


def spaced(path: Path, scan: Scan, spacing: Sequence[float] | None) -> Scan:
    """The scan with the spacing that the user gives, or its own; refused where there is none, or no real numbers."""
    voxels = scan.voxels
    if voxels.dtype.kind not in "biuf" or voxels.size == 0:
        raise Refusal(f"cannot process {path}: its voxels are {voxels.dtype} {voxels.shape}, not real numbers")
    if spacing is None:
        if not (scan.spacing and all(0 < width < np.inf for width in scan.spacing)):
            shape = " x ".join(map(str, scan.voxels.shape))
            raise Refusal(
                f"cannot process {path}: it does not say how far its voxels lie apart; "
                f"--spacing must, in millimetres along its last axes (of {shape})"
            )
        return scan
    spatial = scan.spatial or tuple(range(max(0, scan.voxels.ndim - len(spacing)), scan.voxels.ndim))
    if len(spacing) != len(spatial):
        raise Refusal(f"--spacing has {len(spacing)} entries but {path} has {len(spatial)} axes in space")
    affine = scan.affine
    if affine is not None:
        affine = affine.copy()
        widths = voxel_sizes(affine)
        for axis, width in zip(spatial, spacing, strict=True):
            affine[:3, axis] *= width / widths[axis]
    return Scan(scan.voxels, spatial, tuple(spacing), affine, scan.about)


def read_nifti(path: Path) -> Scan:
    """Read NIfTI, the first 3 axes of which lie in space. (ITK fills what a file lacks with zeros.)"""
    image = nib.load(path)
    header, spatial = image.header, tuple(range(min(3, image.ndim)))
    millimetres = {"meter": 1000.0, "micron": 0.001}.get(header.get_xyzt_units()[0], 1.0)
    spacing = tuple(millimetres * float(width) for width in header.get_zooms()[: len(spatial)])
    placed = header["qform_code"] > 0 or header["sform_code"] > 0 or header.get_xyzt_units()[0] != "unknown"
    known = placed or set(spacing) != {1.0}
    affine = np.diag([millimetres] * 3 + [1.0]) @ image.affine
    return Scan(np.asanyarray(image.dataobj), spatial, spacing if known else (), affine, header)


def spacing_of_slice(name: str) -> tuple[float, ...]:
    """Read how far apart the pixels of a DICOM slice are."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    reader.ReadImageInformation()
    return reader.GetSpacing()[:2]


def read_itk(path: Path) -> Scan:
    """Read NRRD, MetaImage, DICOM and what else ITK reads: a file, or a folder with one series of DICOM slices."""
    files: str | tuple[str, ...] = str(path)
    if path.is_dir():
        series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(files)
        if len(series) != 1:
            raise Refusal(f"cannot read {path}: it holds DICOM slices of {len(series)} series, not of one")
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(files, series[0])
        if len({spacing_of_slice(name) for name in files}) > 1:  # ITK takes that of the first
            raise Refusal(f"cannot process {path}: its slices have pixels of different sizes")
    sitk.ProcessObject.GlobalWarningDisplayOff()  # what they are about is refused here
    try:
        image = sitk.ReadImage(files[0] if len(files) == 1 else files)  # one file says more of itself
    except RuntimeError as error:
        raise Refusal(f"cannot read {path}: {str(error).strip().splitlines()[-1]}") from error
    if image.HasMetaDataKey("ITK_non_uniform_sampling_deviation"):
        raise Refusal(f"cannot process {path}: its slices do not lie evenly, or some are missing")
    if image.GetNumberOfComponentsPerPixel() > 1:
        raise Refusal(f"cannot process {path}: its voxels hold {image.GetPixelIDTypeAsString()}, not one number")

    if image.HasMetaDataKey("0018|0050") and image.GetSize()[2:] == (1,):  # the thickness of a single DICOM slice
        image.SetSpacing((*image.GetSpacing()[:2], float(image.GetMetaData("0018|0050"))))

    spatial = tuple(range(min(3, image.GetDimension())))
    place = np.eye(4)
    axes = np.reshape(image.GetDirection(), [image.GetDimension()] * 2) * image.GetSpacing()
    place[: len(spatial), : len(spatial)] = axes[: len(spatial), : len(spatial)]
    place[: len(spatial), 3] = image.GetOrigin()[: len(spatial)]
    # What a file does not say, ITK takes to be 1 mm at the origin.
    known = not np.array_equal(place, np.eye(4))
    if image.HasMetaDataKey("0008|0016"):  # DICOM
        known = image.HasMetaDataKey("0028|0030") or image.HasMetaDataKey("0018|1164")
    affine = np.diag([-1.0, -1, 1, 1]) @ place  # from left, posterior, superior
    spacing = image.GetSpacing()[: len(spatial)] if known else ()
    return Scan(sitk.GetArrayFromImage(image).T, spatial, spacing, affine)


def read_tiff(path: Path) -> Scan:
    """Read a stack of pages: ImageJ's and OME's say what its axes are and how far apart; else the pages are slices."""
    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages.first
        voxels = series.asarray()
        axes = series.axes.replace("S", "C") if "C" not in series.axes else series.axes
        if "Z" not in axes:
            axes = axes.replace("I", "Z", 1).replace("Q", "Z", 1)
        about, widths = file.imagej_metadata, {}
        if file.ome_metadata:
            pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
            pixels = (pixels[0] if isinstance(pixels, list) else pixels)["Pixels"]
            for axis in "ZYX":
                if width := pixels.get(f"PhysicalSize{axis}"):
                    unit = pixels.get(f"PhysicalSize{axis}Unit", "um")
                    widths[axis] = width * MILLIMETRES[unit]
        elif about and (unit := MILLIMETRES.get(about.get("unit", ""))):
            across, down = page.get_resolution(1)
            widths = {"Z": unit * about.get("spacing", 1), "Y": unit / down, "X": unit / across}
    order = sorted(range(voxels.ndim), key=lambda axis: "TZCYX".find(axes[axis]))  # ImageJ's
    spatial = tuple(place for place, axis in enumerate(order) if axes[axis] in "ZYX")
    spacing = tuple(widths.get(axes[order[place]], 0.0) for place in spatial)
    return Scan(voxels.transpose(order), spatial, spacing, about="".join(axes[axis] for axis in order))


def write_scan(path: Path, voxels: np.ndarray, scan: Scan) -> None:
    """Write float32 voxels as the path's suffix says."""
    if path.name.lower().endswith(TIFF):
        write_tiff(path, voxels, scan)
    else:
        write_nifti(path, voxels, scan)


def write_tiff(path: Path, voxels: np.ndarray, scan: Scan) -> None:
    """Write what ImageJ opens, with its spacing in micrometres."""
    *depth, down, across = (1000 * width for width in scan.spacing)
    about = {"axes": scan.about, "unit": "um", **({"spacing": depth[0]} if depth else {})}
    tifffile.imwrite(path, voxels, imagej=True, resolution=(1 / across, 1 / down), metadata=about)


class Written(CallbackIOWrapper):  # type: ignore[misc]
    """A file that tells how many bytes are written to it."""

    def read(self, size: int = -1) -> bytes:
        """Have what nibabel looks for in a file; from Python 3.12 on it does not look into the one inside."""
        return self._wrapped.read(size)


def write_nifti(path: Path, voxels: np.ndarray, scan: Scan) -> None:
    """Write float32 voxels with the scan's affine and, where it was NIfTI, the rest of its header."""
    if scan.about is None:
        image = nib.Nifti1Image(voxels, scan.affine)
        image.set_sform(scan.affine, code="scanner")
        image.set_qform(scan.affine, code="scanner")
        image.header.set_xyzt_units("mm")
    else:
        header = scan.about.as_byteswapped("<")
        header.set_xyzt_units("mm", header.get_xyzt_units()[1])
        header["cal_min"] = header["cal_max"] = 0  # the window that the scan's values were shown in
        image = nib.Nifti1Image(voxels, scan.affine, header)
        image.header.set_zooms((*scan.spacing, *header.get_zooms()[len(scan.spatial) :]))
    image.set_data_dtype(np.float32)
    with ExitStack() as stack:
        file: Any = stack.enter_context(path.open("wb"))
        if path.suffix == ".gz":
            file = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0))
        bar = stack.enter_context(progress("write", 4 * voxels.size, "B"))
        image.to_stream(Written(bar.update, file, "write"))


# Scans that memory does not hold


def is_zarr(path: Path) -> bool:
    """Whether a path leads to what zarr keeps."""
    return any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))


def open_volume(path: Path, spacing: Sequence[float] | None) -> Scan:
    """Open an array, or the largest of an image's; its voxels are not read."""
    with reading(path):
        import zarr  # not there for Python 3.10

        kept = zarr.open(path, mode="r")
    if isinstance(kept, zarr.Array):
        scan = Scan(kept, (), ())
    else:
        try:
            about = dict(kept.attrs)
            image = about.get("ome", about)["multiscales"][0]
            largest = image["datasets"][0]
            (scale,) = (step["scale"] for step in largest["coordinateTransformations"] if step["type"] == "scale")
            spatial = tuple(a for a, axis in enumerate(image["axes"]) if axis["type"] == "space")
            own = tuple(MILLIMETRES[image["axes"][a].get("unit", "millimeter")] * scale[a] for a in spatial)
            scan = Scan(kept[largest["path"]], spatial, own, about=image)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise Refusal(f"cannot process {path}: it is not an OME-Zarr image: {error!r}") from error
    return spaced(path, scan, spacing)


def open_result(path: Path, scan: Scan) -> Any:
    """Make the array of a result, in the scan's version of zarr and OME, or open what an interrupted run has left."""
    import zarr

    voxels, image = scan.voxels, scan.about
    name = "" if image is None else "0"
    if path.exists():
        if not list(path.parent.glob(f"{path.name}*.convnd")):
            raise Refusal(f"cannot write {path}: it is there already (-o names another folder)")
        return zarr.open_array(path / name, mode="r+")
    version = voxels.metadata.zarr_format
    about: dict[str, Any] = {
        "shape": voxels.shape, "chunks": voxels.chunks, "shards": voxels.shards, "dtype": np.float32,
    }  # fmt: skip
    if version == 3:
        about["dimension_names"] = voxels.metadata.dimension_names
    else:
        about["chunk_key_encoding"] = {"name": "v2", "separator": voxels.metadata.dimension_separator}
    if image is None:
        return zarr.create_array(path, **about, zarr_format=version)
    image = {**image, "datasets": [{**image["datasets"][0], "path": name}]}
    attributes = {"ome": {"version": "0.5", "multiscales": [image]}} if version == 3 else {"multiscales": [image]}
    return zarr.create_group(path, attributes=attributes, zarr_format=version).create_array(name, **about)
