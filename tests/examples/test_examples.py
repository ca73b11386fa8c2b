"""The examples, run on the data they start from, on files of every kind they read, and on files they must refuse."""

import gzip
import re
from pathlib import Path

import nibabel as nib
import nrrd
import numba
import numpy as np
import png
import pydicom
import pytest
import soundfile
import tifffile
from PIL import Image
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from scipy import ndimage, signal

import deblur
import filter_audio
import filter_image
import in_your_own_loop
import process_scan
from convnd import kernels
from convnd.jit import parallel
from convnd.methods.tiling import tables
from support import processes

EXAMPLES = Path(process_scan.__file__).parent


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty current folder, where output without a name lands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(example, *options):
    """Run an example; the picture is drawn where `options` name it, as that takes the most time."""
    quiet = ["--force"] if example is deblur or "--plot" in options else ["--force", "--no-plot"]
    assert example.main([str(option) for option in (*options, *quiet)]) == 0


@pytest.fixture
def refused(folder, capsys):
    """Check that an example refuses in one line that holds `words`, and leaves no file."""

    def check(example, *options, words):
        before = sorted(folder.rglob("*"))
        assert example.main([str(option) for option in options]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
        assert words in captured.err
        assert sorted(folder.rglob("*")) == before

    return check


def truncate(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


# Every example, as a command


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "outputs"),
    [
        (["process_scan.py", "--plot", "plot.png"], ["CTChest4_smooth.nii.gz", "plot.png"]),
        (["filter_audio.py", "--compare"], ["guitar_lowpass.flac", "guitar_lowpass_plot.png"]),
        (["filter_image.py", "--compare"], ["coffee_motion-blur.png", "coffee_motion-blur_plot.png"]),
        (["deblur.py", "--steps", "3", "--compare"], ["coffee_deblurred.png"]),
        (["in_your_own_loop.py", "--compare"], ["CTChest4_contrast.png"]),
    ],
)
def test_command_on_its_own_data(folder, command, outputs):
    script, *options = command
    said = processes.run(EXAMPLES / script, *options)
    assert f"wrote     {', '.join(outputs)}\n" in said
    assert "MiB at most" in said
    assert re.search(r"first call [^,]* s, convolve [^,]* s,", said)
    assert ("times ours" in said) == ("--compare" in options)
    assert {path.name for path in folder.iterdir()} == set(outputs)
    assert np.ptp(np.asarray(Image.open(outputs[-1]).convert("L"))) > 200


@pytest.mark.parametrize("example", [process_scan, filter_audio, filter_image, deblur, in_your_own_loop])
def test_help_and_unknown_option(example, capsys, refused):
    with pytest.raises(SystemExit, match="0"):
        example.main(["--help"])
    assert "default: " in capsys.readouterr().out
    refused(example, "--nonsense", words="--nonsense")


@pytest.mark.parametrize(
    ("example", "options", "ranks"),
    [
        (filter_audio, ["--lowpass", "800", "--taps", "63"], {1}),
        (filter_image, ["--kernel", "sharpen"], {2}),
        (process_scan, ["--edges"], {3}),
    ],
)
def test_the_kernel_function_of_the_rank_runs(monkeypatch, example, options, ranks):
    ran, run_tasks = set(), tables.run_tasks

    def recorded(table, grid, workers, useful):
        ran.add(len(grid))
        run_tasks(table, grid, workers, useful)

    monkeypatch.setattr(tables, "run_tasks", recorded)
    run(example, *options)
    assert ran == ranks
    for rank in ranks:
        function = parallel.twin(rank, True)
        assert function.targetoptions["parallel"] is True
        assert function.signatures == [(numba.types.UniTuple(numba.types.int64, rank), numba.types.int64[::1])]


# process_scan


def brain(shape=(19, 16, 9), dtype=np.int16, seed=0):
    """Smooth noise with a range like a scan's."""
    rng = np.random.default_rng(seed)
    return (1000 * ndimage.gaussian_filter(rng.normal(size=shape), 1)).astype(dtype)


def smoothed(voxels, spacing, millimetres):
    return ndimage.gaussian_filter(voxels.astype(float), np.divide(millimetres, spacing), mode="nearest")


def gradient_length(voxels, spacing):
    sobels = [ndimage.sobel(voxels.astype(float), axis, mode="nearest") / (32 * spacing[axis]) for axis in range(3)]
    return np.sqrt(np.sum(np.square(sobels), axis=0))


def check_scan(path, expected, affine):
    """The file holds `expected`, as float32, at its place."""
    image = nib.load(path)
    assert image.get_data_dtype() == np.dtype("<f4")
    np.testing.assert_allclose(image.affine, affine, atol=1e-5)
    np.testing.assert_allclose(image.header.get_zooms()[:3], np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-5)
    np.testing.assert_allclose(image.get_fdata(), expected, rtol=0, atol=3e-6 * np.nanmax(np.abs(expected)))


AFFINE = np.array([[-2.0, 0, 0, 30], [0, 1.5, 0, -20], [0, 0, 4, 10], [0, 0, 0, 1]])
SPACING = (2.0, 1.5, 4.0)


@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", "<f4", "<f8"])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_nifti(name, dtype):
    voxels = np.abs(brain(dtype=dtype)) if dtype == "u1" else brain(dtype=dtype)
    header = nib.Nifti1Header(endianness=dtype[0] if dtype[0] in "<>" else "<")
    header.set_data_dtype(dtype)
    nib.save(nib.Nifti1Image(voxels, AFFINE, header), name)
    run(process_scan, name, "--smooth", 3)
    check_scan("scan_smooth.nii.gz", smoothed(voxels, SPACING, 3), AFFINE)
    run(process_scan, name, "--edges", "-o", "out.nii", "--workers", 1)
    check_scan("out.nii", gradient_length(voxels, SPACING), AFFINE)


def test_smooth_then_edges():
    nib.save(nib.Nifti1Image(brain(), AFFINE), "scan.nii")
    run(process_scan, "scan.nii", "--edges", "--smooth", 2.5)
    check_scan("scan_edges.nii.gz", gradient_length(smoothed(brain(), SPACING, 2.5), SPACING), AFFINE)


def test_time_is_a_batch_axis():
    voxels = brain((12, 11, 6, 3))
    image = nib.Nifti1Image(voxels, AFFINE)
    image.header.set_zooms((*SPACING, 2.5))
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(2, -7)
    nib.save(image, "series.nii.gz")
    stored = nib.load("series.nii.gz").get_fdata()
    run(process_scan, "series.nii.gz", "--smooth", 3, "--plot", "plot.png")
    expected = np.stack([smoothed(volume, SPACING, 3) for volume in np.moveaxis(stored, -1, 0)], axis=-1)
    check_scan("series_smooth.nii.gz", expected, AFFINE)
    header = nib.load("series_smooth.nii.gz").header
    assert header.get_zooms()[3] == 2.5
    assert header.get_xyzt_units() == ("mm", "sec")


@pytest.mark.parametrize(
    ("header", "affine"),
    [
        ({"space": "left-posterior-superior"}, np.diag([-1.0, -1, 1, 1]) @ AFFINE),
        ({"space": "RAS"}, AFFINE),
        ({"space": "left-anterior-superior"}, np.diag([-1.0, 1, 1, 1]) @ AFFINE),
        (None, np.diag([-2.0, -1.5, 4, 1])),  # as ITK has it, to the left and back
    ],
)
def test_nrrd(header, affine):
    voxels = brain(dtype=np.int32)
    if header is None:
        header = {"spacings": SPACING}
    else:
        header |= {"space directions": AFFINE[:3, :3].T, "space origin": AFFINE[:3, 3]}
    nrrd.write("scan.nrrd", voxels, header)
    run(process_scan, "scan.nrrd", "--smooth", 3)
    check_scan("scan_smooth.nii.gz", smoothed(voxels, SPACING, 3), affine)


ROW, COLUMN = np.array([0.8, 0.6, 0]), np.array([-0.6, 0.8, 0])  # an oblique scan


def write_slice(path, stored, position, series="1.2.3", **changes):
    """Write one CT slice of 1.5 mm columns and 2.5 mm rows."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = pydicom.Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    ds.SeriesInstanceUID, ds.Modality = series, "CT"
    ds.Rows, ds.Columns = stored.shape
    ds.PixelSpacing, ds.SliceThickness = [2.5, 1.5], 4
    ds.ImageOrientationPatient = [*ROW, *COLUMN]
    ds.ImagePositionPatient = list(position)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 1
    ds.RescaleSlope, ds.RescaleIntercept = 2, -1024
    ds.PixelData = stored.astype("<i2").tobytes()
    for name, value in changes.items():
        setattr(ds, name, value)
        if value is None:
            delattr(ds, name)
    ds.save_as(path, enforce_file_format=True)


@pytest.fixture
def dicom(folder):
    """A folder of slices whose names are not in their order, a report beside them; the stored values."""
    stored = brain((7, 20, 17), seed=1)  # slice, row, column
    (folder / "slices").mkdir()
    for k, name in enumerate("caebdgf"):
        write_slice(folder / "slices" / name, stored[k], [5, 6, 7 + 3 * k])
    (folder / "slices" / "report.txt").write_text("no slice")
    return stored


def test_dicom(dicom):
    run(process_scan, "slices", "--smooth", 3, "--plot", "plot.png")
    affine = np.eye(4)
    affine[:3] = np.stack([1.5 * ROW, 2.5 * COLUMN, [0, 0, 3], [5, 6, 7]], axis=1)
    voxels = 2.0 * dicom.T - 1024
    check_scan("slices_smooth.nii.gz", smoothed(voxels, (1.5, 2.5, 3), 3), np.diag([-1.0, -1, 1, 1]) @ affine)


@pytest.mark.parametrize("name", ["one", "one/slice"])
def test_dicom_of_one_slice(folder, name):
    (folder / "one").mkdir()
    write_slice(folder / "one" / "slice", brain((20, 17)), [5, 6, 7])
    run(process_scan, name, "-o", "out.nii", "--plot", "plot.png")
    assert nib.load("out.nii").header.get_zooms() == (1.5, 2.5, 4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"series": "9.9"}, "2 series, not of one"),
        ({"position": [5, 6, 29]}, "do not lie evenly"),
        ({"position": [5, 6, 22]}, "do not lie evenly"),
        ({"PixelSpacing": [2.5, 1.6]}, "pixels of different sizes"),
    ],
)
def test_dicom_that_is_not_one_volume(dicom, refused, changes, words):
    write_slice("slices/h", dicom[0], **{"position": [5, 6, 28], **changes})
    refused(process_scan, "slices", words=words)


def test_scans_that_cannot_be_read(folder, dicom, refused):
    refused(process_scan, "nothing.nii", words="No such file")
    refused(process_scan, "slices/report.txt", words="cannot read slices/report.txt")
    (folder / "empty").mkdir()
    refused(process_scan, "empty", words="0 series")
    truncate(folder / "slices" / "a")
    refused(process_scan, "slices", words="some are missing")
    nib.save(nib.Nifti1Image(brain(), AFFINE), "scan.nii")
    nib.save(nib.Nifti1Image(brain(), AFFINE), "scan.nii.gz")
    nrrd.write("scan.nrrd", brain())
    for name in "scan.nii", "scan.nii.gz", "scan.nrrd":
        truncate(folder / name)
        refused(process_scan, name, words=f"cannot read {name}")
        (folder / name).write_text("not a scan at all")
        refused(process_scan, name, words=f"cannot read {name}")
    (folder / "scan.nii.gz").write_bytes(gzip.compress(b"not a scan either"))
    refused(process_scan, "scan.nii.gz", words="cannot read scan.nii.gz")


def test_scans_that_cannot_be_processed(refused):
    nib.save(nib.Nifti1Image(brain(dtype=np.complex64), AFFINE), "complex.nii")
    refused(process_scan, "complex.nii", words="complex64")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--smooth", "-1"], "--smooth: must be a number above 0, but is -1"),
        (["--smooth", "1e9"], "--smooth must be within the 390 mm that"),
        (["--spacing", "1"], "--spacing has 1 entries"),
        (["--smooth", "2", "--fwhm", "5"], "not allowed with"),
        (["--smooth", "nan"], "--smooth: must be a number above 0, but is nan"),
        (["--smooth", "wide"], "--smooth: must be a number above 0, but is wide"),
        (["--workers", "0"], "--workers: must be a whole number from 1 up, but is 0"),
        (["-o", "missing/out.nii.gz"], "there is no folder missing"),
        (["-o", "out.nrrd"], "must end in .nii or .nii.gz"),
        (["--plot", "missing/plot.png"], "there is no folder missing"),
        (["--plot", "plot.doc"], "must end in .png"),
    ],
)
def test_scan_options(refused, options, words):
    refused(process_scan, *options, words=words)


def test_half_written_output_is_taken_away(folder, monkeypatch, capsys):
    def to_stream(image, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nib.Nifti1Image, "to_stream", to_stream)
    assert process_scan.main(["--no-plot"]) == 2
    assert capsys.readouterr().err.endswith("error: cannot write CTChest4_smooth.nii.gz: No space left on device\n")
    assert list(folder.iterdir()) == []


def test_output_keeps_what_was_there(folder, refused):
    (folder / "out.nii").write_text("older")
    nib.save(nib.Nifti1Image(brain(), AFFINE), "scan.nii")
    options = "scan.nii", "-o", "out.nii", "--smooth", 4, "--no-plot"
    refused(process_scan, *options, words="there already")
    refused(process_scan, "scan.nii", "-o", "scan.nii", "--force", words="it is the input")
    assert (folder / "out.nii").read_text() == "older"
    run(process_scan, *options[:-1])
    check_scan("out.nii", smoothed(brain(), SPACING, 4), AFFINE)


def test_missing_voxels_are_left_out_and_put_back(capsys):
    voxels = brain(dtype=np.float32)
    voxels[4:8, 5:9, 2:4] = np.nan
    missing = np.isnan(voxels)
    nib.save(nib.Nifti1Image(voxels, AFFINE), "scan.nii")
    run(process_scan, "scan.nii", "--smooth", 3)
    known, weights = smoothed(np.nan_to_num(voxels), SPACING, 3), smoothed(~missing, SPACING, 3)
    check_scan("scan_smooth.nii.gz", np.where(missing, np.nan, known / weights), AFFINE)
    assert f"{missing.sum()} of {missing.size} voxels are NaN" in capsys.readouterr().out
    run(process_scan, "scan.nii", "--edges")
    np.testing.assert_array_equal(np.isnan(nib.load("scan_edges.nii.gz").get_fdata()), missing)


def write_mha(path, voxels, spacing=None):
    """MetaImage as its description has it."""
    lines = ["ObjectType = Image", f"NDims = {voxels.ndim}", f"DimSize = {' '.join(map(str, voxels.shape))}"]
    lines += [f"ElementSpacing = {' '.join(map(str, spacing))}"] if spacing else []
    head = "\n".join([*lines, "ElementType = MET_SHORT", "ElementDataFile = LOCAL", ""])
    Path(path).write_bytes(head.encode() + voxels.astype("<i2").tobytes(order="F"))


def test_metaimage_and_full_width():
    write_mha("scan.mha", brain(), SPACING)
    run(process_scan, "scan.mha", "--fwhm", 7.0644602)
    check_scan("scan_smooth.nii.gz", smoothed(brain(), SPACING, 3), np.diag([-2.0, -1.5, 4, 1]))


def test_a_flat_scan():
    nib.save(nib.Nifti1Image(brain((20, 17)), AFFINE), "flat.nii")
    run(process_scan, "flat.nii", "--plot", "plot.png")
    result = nib.load("flat_smooth.nii.gz")
    assert result.header.get_zooms() == (2, 1.5)
    expected = smoothed(brain((20, 17)), SPACING[:2], 2.2)  # 1.5 times the smaller of 2 and 1.5, to 2 digits
    np.testing.assert_allclose(result.get_fdata(), expected, atol=3e-6 * np.abs(expected).max())


def test_a_scan_without_spacing_needs_one(refused):
    nib.save(nib.Nifti1Image(brain(), None), "scan.nii")
    nrrd.write("scan.nrrd", brain())
    write_mha("scan.mha", brain())
    write_slice("slice.dcm", brain((20, 17)), [5, 6, 7], PixelSpacing=None)
    tifffile.imwrite("scan.tif", brain())
    for name in "scan.nii", "scan.nrrd", "scan.mha", "scan.tif", "slice.dcm":
        refused(process_scan, name, words="does not say how far its voxels lie apart")
    for name, output in ("scan.nii", "a.nii"), ("scan.nrrd", "b.nii"), ("scan.mha", "c.nii"), ("scan.tif", "d.tif"):
        run(process_scan, name, "--spacing", "2", "1.5mm", "4000um", "-o", output, "--smooth", 3)
        read_back = tifffile.imread if output == "d.tif" else lambda path: nib.load(path).get_fdata()
        expected = smoothed(brain(), SPACING, 3)
        np.testing.assert_allclose(read_back(output), expected, rtol=0, atol=3e-6 * np.abs(expected).max())
    assert nib.load("a.nii").header.get_zooms() == SPACING


@pytest.mark.parametrize("unit", ["um", "micron"])
def test_stacks_of_imagej_and_ome(unit):
    """(z, channel, y, x), 0.5 x 0.2 x 0.2 micrometres."""
    voxels = np.random.default_rng(0).random((6, 2, 20, 17)).astype(np.float32)
    expected = ndimage.gaussian_filter(voxels.astype(float), [0.8, 0, 2, 2], mode="nearest")
    about = {"axes": "ZCYX", "spacing": 0.5, "unit": unit}
    tifffile.imwrite("stack.tif", voxels, imagej=True, resolution=(5, 5), metadata=about)
    sizes = {f"PhysicalSize{axis}": 0.5 if axis == "Z" else 0.2 for axis in "ZYX"}
    tifffile.imwrite("stack.ome.tif", voxels, metadata={"axes": "ZCYX", **sizes})
    for name, output in ("stack.tif", "stack_smooth.tif"), ("stack.ome.tif", "stack.ome_smooth.tif"):
        run(process_scan, name, "--smooth", "0.4um", "--plot", "plot.png")
        with tifffile.TiffFile(output) as file:
            assert file.series[0].axes == "ZCYX"
            assert file.imagej_metadata["spacing"] == 0.5
            assert file.pages.first.get_resolution(1) == (5, 5)
            np.testing.assert_allclose(file.asarray(), expected, rtol=0, atol=3e-6)


@pytest.fixture
def zarr():
    return pytest.importorskip("zarr")  # not there for Python 3.10


def ome_zarr(zarr, path, voxels, scale, unit="micrometer", version="0.5"):
    image = {
        "axes": [{"name": "t", "type": "time"}] + [{"name": n, "type": "space", "unit": unit} for n in "zyx"],
        "datasets": [{"path": "full", "coordinateTransformations": [{"type": "scale", "scale": scale}]}],
    }  # fmt: skip
    if version == "0.4":
        attributes = {"multiscales": [image | {"version": version}]}
    else:
        attributes = {"ome": {"version": version, "multiscales": [image]}}
    group = zarr.create_group(path, attributes=attributes, zarr_format=2 if version == "0.4" else 3)
    group.create_array("full", shape=voxels.shape, chunks=(1, 8, 8, 8), dtype=voxels.dtype)[...] = voxels


def test_zarr_is_smoothed_chunk_by_chunk(capsys, refused, zarr):
    voxels = np.random.default_rng(0).integers(-900, 900, (2, 20, 21, 22), dtype=np.int16)
    ome_zarr(zarr, "scan.zarr", voxels, [1, 2000, 1000, 500])
    run(process_scan, "scan.zarr", "--smooth", 1.5, "--plot", "plot.png")
    assert np.ptp(np.asarray(Image.open("plot.png").convert("L"))) > 200
    expected = ndimage.gaussian_filter(voxels.astype(float), [0, 0.75, 1.5, 3], mode="nearest", truncate=4)
    group = zarr.open_group("scan_smooth.zarr", mode="r")
    np.testing.assert_allclose(group["0"][...], expected, rtol=0, atol=1e-2)
    assert group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"][1:] == [
        2000, 1000, 500,
    ]  # fmt: skip
    capsys.readouterr()
    refused(process_scan, "scan.zarr", "--smooth", 1.5, words="scan_smooth.zarr: it is there already")

    zarr.create_array("plain.zarr", shape=voxels.shape[1:], dtype=voxels.dtype)[...] = voxels[0]
    run(process_scan, "plain.zarr", "-o", "out.zarr", "--smooth", 1.5, "--spacing", 2, 1, 0.5)
    # One volume and two may be convolved by different methods, as the processor's estimates have it.
    np.testing.assert_allclose(zarr.open_array("out.zarr", mode="r")[...], group["0"][0], rtol=0, atol=1e-3)


def test_ome_zarr_keeps_its_version_and_its_missing_voxels(zarr):
    voxels = np.random.default_rng(0).random((2, 10, 11, 12)).astype(np.float32)
    voxels[1, 9, 3, 4] = np.nan
    ome_zarr(zarr, "scan.zarr", voxels, [1, 2000, 1000, 500], version="0.4")
    run(process_scan, "scan.zarr", "--smooth", 1)
    group = zarr.open_group("scan_smooth.zarr", mode="r")
    assert group.metadata.zarr_format == group["0"].metadata.zarr_format == 2
    assert group.attrs["multiscales"][0]["version"] == "0.4"
    np.testing.assert_array_equal(np.isnan(group["0"][...]), np.isnan(voxels))


def test_zarr_that_was_interrupted_goes_on(monkeypatch, zarr):
    voxels = np.random.default_rng(0).integers(-900, 900, (40, 40, 40), dtype=np.int16)
    zarr.create_array("scan.zarr", shape=voxels.shape, chunks=(8, 40, 40), dtype=voxels.dtype)[...] = voxels
    command = "scan.zarr", "--spacing", 1, 1, 1, "--smooth", 0.5
    whole = process_scan.blockwise
    done, last = [], 2

    def report(number, total):
        done.append(number)
        if number == last:
            raise KeyboardInterrupt

    def watched(*arrays, **options):
        return whole(*arrays, **{**options, "progress": report, "max_memory": 400_000})

    monkeypatch.setattr(process_scan, "blockwise", watched)
    with pytest.raises(KeyboardInterrupt):
        run(process_scan, *command)
    last = -1
    run(process_scan, *command)
    assert done[:3] == [0, 1, 2] and done[3] in (2, 3)
    expected = ndimage.gaussian_filter(voxels.astype(float), 0.5, mode="nearest", truncate=4)
    np.testing.assert_allclose(zarr.open_array("scan_smooth.zarr", mode="r")[...], expected, rtol=0, atol=1e-2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["scan.zarr", "--edges"], "are for scans that memory holds"),
        (["scan.zarr", "-o", "out.nii"], "must end in .zarr"),
        (["scan.zarr", "--spacing", 1, 1], "--spacing has 2 entries"),
        (["plain.zarr"], "--spacing must"),
        (["plain.zarr", "--spacing", 1, 1, 1, 1], "4 entries but plain.zarr has 3 axes"),
        (["group.zarr"], "is not an OME-Zarr image"),
        (["words.zarr", "--spacing", 1], "not real numbers"),
    ],
)
def test_zarr_options(refused, options, words, zarr):
    ome_zarr(zarr, "scan.zarr", np.zeros((1, 2, 3, 4), np.int16), [1, 1, 1, 1])
    zarr.create_array("plain.zarr", shape=(4, 4, 4), dtype=np.int16)
    zarr.create_array("words.zarr", shape=(4,), dtype=np.complex64)
    zarr.create_group("group.zarr")
    refused(process_scan, *options, words=words)


# filter_audio


RATE = 8000


def music(channels=2, seconds=1.0, seed=0):
    """Noise, quiet enough that no filter clips."""
    frames = int(RATE * seconds)
    return 0.05 * np.random.default_rng(seed).normal(size=(frames, channels))


def filtered(samples, taps):
    return signal.fftconvolve(samples, taps[:, np.newaxis], mode="same", axes=0)


FILTERS = [
    (["--lowpass", 900], signal.firwin(1023, 900, fs=RATE)),
    (["--highpass", 1500, "--taps", 31], signal.firwin(31, 1500, pass_zero=False, fs=RATE)),
    (["--bandpass", 300, 2000, "--taps", 255], signal.firwin(255, [300, 2000], pass_zero=False, fs=RATE)),
]


@pytest.mark.parametrize(("options", "taps"), FILTERS)
@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("in.wav", "PCM_16", 2**-15),
        ("in.wav", "PCM_24", 2**-23),
        ("in.wav", "FLOAT", 2**-24),
        ("in.wav", "DOUBLE", 2**-50),
        ("in.wav", "PCM_U8", 2**-7),
        ("in.flac", "PCM_16", 2**-15),
        ("in.flac", "PCM_24", 2**-23),
        ("in.aiff", "PCM_16", 2**-15),
    ],
)
def test_filters(name, subtype, tolerance, options, taps):
    soundfile.write(name, music(1 if subtype == "DOUBLE" else 2), RATE, subtype=subtype)
    before = soundfile.info(name)
    run(filter_audio, name, "-o", f"out{before.name[2:]}", *options)
    after = soundfile.info(f"out{before.name[2:]}")
    kept = ("samplerate", "channels", "format", "subtype", "frames")
    assert [getattr(after, field) for field in kept] == [getattr(before, field) for field in kept]
    expected = filtered(soundfile.read(name, always_2d=True)[0], taps)
    result = soundfile.read(after.name, always_2d=True)[0]
    np.testing.assert_allclose(result, expected, rtol=0, atol=0.501 * tolerance)


def test_ogg():
    seconds = np.arange(RATE)[:, np.newaxis] / RATE
    low, high = np.sin(2 * np.pi * np.array([[300], [2500]]) * seconds.T)[..., np.newaxis] * [0.3, 0.2]
    soundfile.write("in.ogg", low + high, RATE)
    run(filter_audio, "in.ogg", "--lowpass", 900)
    run(filter_audio, "in.ogg", "--lowpass", 900, "-o", "out.wav")
    assert soundfile.info("out.wav").format == "WAV"
    assert np.abs(soundfile.read("out.wav")[0] - low)[512:-512].max() < 0.03
    before, after = soundfile.info("in.ogg"), soundfile.info("in_lowpass.ogg")
    assert (after.subtype, after.frames, after.channels) == (before.subtype, before.frames, before.channels)
    inside = np.s_[512:-512]  # the tone begins and ends abruptly
    assert np.abs(soundfile.read("in_lowpass.ogg")[0] - low)[inside].max() < 0.03  # the codec loses some


def test_whole_number_samples_saturate():
    loud = np.sign(music(1)) * 0.999
    soundfile.write("loud.wav", loud, RATE)
    run(filter_audio, "loud.wav", "--highpass", 300, "--taps", 101, "--plot", "plot.png")
    expected = filtered(
        soundfile.read("loud.wav", always_2d=True)[0], signal.firwin(101, 300, pass_zero=False, fs=RATE)
    )
    assert np.abs(expected).max() > 1
    result = soundfile.read("loud_highpass.wav", always_2d=True)[0]
    np.testing.assert_allclose(result, expected.clip(-1, 1 - 2**-15), rtol=0, atol=0.501 * 2**-15)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_impulse(channels, gain):
    dry = music(2)
    decay = np.exp(-np.arange(500) / 100)[:, np.newaxis]
    room = gain * decay * np.random.default_rng(1).normal(size=(500, channels))
    soundfile.write("dry.wav", dry, RATE, subtype="FLOAT")
    soundfile.write("room.wav", room, RATE, subtype="DOUBLE")
    run(filter_audio, "dry.wav", "--impulse", "room.wav")
    wet = signal.fftconvolve(dry.astype(np.float32), np.broadcast_to(room, (500, 2)), axes=0)
    assert (np.abs(wet).max() > 1) == (gain == 1)
    wet /= max(1, np.abs(wet).max())
    result, rate = soundfile.read("dry_impulse.wav")
    assert rate == RATE
    np.testing.assert_allclose(result, wet, rtol=0, atol=1e-6)


def test_recordings_pass_through_block_by_block(monkeypatch):
    """Whatever the blocks, and none of them is longer than it must be."""
    soundfile.write("in.wav", music(), RATE, subtype="DOUBLE")
    run(filter_audio, "in.wav", "-o", "whole.wav", "--bandpass", 300, 900, "--plot", "plot.png")
    monkeypatch.setattr(filter_audio, "BLOCK", 1100)
    most, feed = [], filter_audio.Stream.feed

    def fed(stream, samples):
        most.append(len(samples))
        return feed(stream, samples)

    monkeypatch.setattr(filter_audio.Stream, "feed", fed)
    run(filter_audio, "in.wav", "-o", "parts.wav", "--bandpass", 300, 900)
    assert max(most) == 1100 and sum(most) == 2 * RATE  # the first time compiles
    np.testing.assert_allclose(soundfile.read("parts.wav")[0], soundfile.read("whole.wav")[0], rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lowpass", 9, "--highpass", 9], "not allowed"),
        (["--lowpass", 0], "must be a number above 0, but is 0"),
        (["--lowpass", 4000], "must lie below half the sample rate, 4000 Hz, but is 4000"),
        (["--highpass", -5], "must be a number above 0, but is -5"),
        (["--bandpass", 500, 9000], "must lie below half the sample rate"),
        (["--bandpass", 900, 300], "must rise from LO to HI, but is 900 300"),
        (["--bandpass", 900, 900], "must rise from LO to HI, but is 900 900"),
        (["--lowpass", 9, "--taps", 100], "--taps must be odd"),
        (["--lowpass", 9, "--taps", -3], "--taps: must be a whole number from 1 up, but is -3"),
        (["--lowpass", 9, "-o", "missing/out.wav"], "there is no folder missing"),
        (["--lowpass", 9, "-o", "out.sound"], "must end in .wav"),
        (["--impulse", "nothing.wav"], "cannot read nothing.wav: No such file"),
        (["--impulse", "fast.wav"], "8000 Hz, but has 16000 Hz"),
        (["--impulse", "many.wav"], "1 channel or the recording's 2, but has 3"),
    ],
)
def test_audio_options(refused, options, words):
    soundfile.write("in.wav", music(), RATE)
    soundfile.write("fast.wav", music(), 2 * RATE)
    soundfile.write("many.wav", music(3), RATE)
    refused(filter_audio, "in.wav", *options, words=words)


@pytest.mark.parametrize("name", ["in.wav", "in.aiff", "in.flac"])
def test_recordings_that_cannot_be_read(folder, refused, name):
    soundfile.write(name, music(), RATE)
    truncate(folder / name)
    refused(filter_audio, name, "--lowpass", 9, words=f"cannot read {name}")
    (folder / name).write_text("not sound")
    refused(filter_audio, name, "--lowpass", 9, words=f"cannot read {name}")


def test_recordings_that_cannot_be_processed(folder, refused):
    refused(filter_audio, folder, "--lowpass", 9, words="Is a directory")
    soundfile.write("empty.wav", music(seconds=0), RATE)
    refused(filter_audio, "empty.wav", "--lowpass", 9, words="no samples")
    soundfile.write("nan.wav", np.full(9, np.nan), RATE, subtype="FLOAT")
    refused(filter_audio, "nan.wav", "--lowpass", 9, words="NaN")


# filter_image


KERNELS = {
    "vertical-edge": np.outer([1, 1, 1], [1, 0, -1]),
    "horizontal-edge": np.outer([1, 0, -1], [1, 1, 1]),
    "sharpen": np.array([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
    "box-blur": np.full((3, 3), 1 / 9),
    "gaussian-blur": np.outer([1, 2, 1], [1, 2, 1]) / 16,
    "emboss": np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]),
    "outline": np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
}


def photograph(channels, dtype, shape=(30, 41)):
    rng = np.random.default_rng(channels)
    largest = np.iinfo(dtype).max
    values = rng.random((*shape, channels)) if channels else rng.random(shape)
    return np.rint(largest * values).astype(dtype)


def filtered_image(image, kernel):
    """Each colour correlated, rounded and saturated; alpha as it was."""
    result = image.copy()
    colours = np.s_[..., :-1] if image.shape[2:] in ((2,), (4,)) else np.s_[...]
    kernel = kernel if image.ndim == 2 else kernel[..., np.newaxis]
    exact = ndimage.correlate(image[colours].astype(float), kernel, mode="nearest")
    result[colours] = np.rint(exact).clip(0, np.iinfo(image.dtype).max)
    return result


def write(path, image):
    channels = image.shape[2] if image.ndim == 3 else 0
    if path.endswith(".tif"):
        photometric = "rgb" if channels > 2 else "minisblack"
        extra = ["unassalpha"] if channels in (2, 4) else None
        contig = "contig" if channels else None
        tifffile.imwrite(path, image, photometric=photometric, extrasamples=extra, planarconfig=contig)
    elif image.dtype == np.uint16 and channels:
        mode = {2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        png.from_array(image.reshape(len(image), -1), f"{mode};16").save(path)
    else:
        Image.fromarray(image).save(path)


def read(path, channels):
    if path.endswith(".tif"):
        return tifffile.imread(path)
    width, height, rows, header = png.Reader(path).read()
    dtype = np.uint16 if header["bitdepth"] == 16 else np.uint8
    image = np.array(list(rows), dtype)
    assert header["planes"] == max(channels, 1)
    return image.reshape(height, width, channels) if channels else image


@pytest.mark.parametrize("name", filter_image.KERNELS)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_kinds_of_image(name, suffix):
    for channels in 0, 2, 3, 4:
        for dtype in np.uint8, np.uint16:
            image = photograph(channels, dtype)
            write(f"in{suffix}", image)
            run(filter_image, f"in{suffix}", "--kernel", name)
            result = read(f"in_{name}{suffix}", channels)
            np.testing.assert_array_equal(result, filtered_image(image, KERNELS[name]), strict=True)


def test_jpeg(folder):
    image = ndimage.gaussian_filter(photograph(3, np.uint8, (60, 80)), (5, 5, 0))
    rotated = Image.Exif()
    rotated[0x0112] = 6  # the camera stood on its side
    Image.fromarray(image).save("in.jpg", quality=98, exif=rotated)
    run(filter_image, "in.jpg", "--kernel", "gaussian-blur")
    result = np.asarray(Image.open("in_gaussian-blur.jpg")).astype(int)
    expected = filtered_image(np.rot90(image, -1), KERNELS["gaussian-blur"]).astype(int)
    assert np.abs(result - expected).mean() < 1.5


SIZED = {"gaussian": (2,), "unsharp-mask": (1.5,), "disk": (3,), "motion-blur": (7, 30)}


@pytest.mark.parametrize("name", filter_image.SIZED)
def test_kernels_of_a_size(name):
    image = ndimage.gaussian_filter(photograph(3, np.uint8), (1, 1, 0))
    write("in.png", image)
    angle = ["--angle", *SIZED[name][1:]] if SIZED[name][1:] else []
    run(filter_image, "in.png", "--kernel", name, "--size", SIZED[name][0], *angle)
    expected = {
        "gaussian": lambda x: ndimage.gaussian_filter(x, (2, 2, 0), mode="nearest"),
        "unsharp-mask": lambda x: 2 * x - ndimage.gaussian_filter(x, (1.5, 1.5, 0), mode="nearest"),
        "disk": lambda x: ndimage.correlate(x, kernels.disk(3)[..., None], mode="nearest"),
        "motion-blur": lambda x: ndimage.correlate(x, kernels.motion_blur(7, 30)[..., None], mode="nearest"),
    }[name](image.astype(float))
    np.testing.assert_allclose(read(f"in_{name}.png", 3), expected.clip(0, 255), atol=0.501)


@pytest.mark.parametrize("mode", ["1", "P"])
def test_palette_and_black_and_white(mode):
    colours = Image.fromarray(photograph(3, np.uint8)).convert(mode)
    colours.save("in.png")
    run(filter_image, "in.png", "--kernel", "box-blur", "-o", "out.tif")
    image = np.asarray(colours.convert("RGB" if mode == "P" else "L"))
    np.testing.assert_array_equal(tifffile.imread("out.tif"), filtered_image(image, KERNELS["box-blur"]), strict=True)


def test_planar_and_big_endian_tiff():
    image = photograph(3, np.uint16)
    tifffile.imwrite("in.tif", np.moveaxis(image, -1, 0), photometric="rgb", planarconfig="separate", byteorder=">")
    run(filter_image, "in.tif", "--kernel", "sharpen")
    result = tifffile.imread("in_sharpen.tif")
    np.testing.assert_array_equal(result, filtered_image(image, KERNELS["sharpen"]), strict=True)


@pytest.mark.parametrize("name", ["in.png", "in.jpg", "in.tif"])
@pytest.mark.parametrize("channels", [0, 3])
def test_images_that_cannot_be_read(folder, refused, name, channels):
    write(name, photograph(channels, np.uint8, (200, 200)))
    truncate(folder / name)
    refused(filter_image, name, "--kernel", "emboss", words=f"cannot read {name}")
    (folder / name).write_text("not an image")
    refused(filter_image, name, "--kernel", "emboss", words=f"cannot read {name}")


def test_deep_images_that_cannot_be_read(folder, refused):
    for name in "in.png", "in.tif":
        write(name, photograph(3, np.uint16, (200, 200)))
        truncate(folder / name)
        refused(filter_image, name, "--kernel", "emboss", words=f"cannot read {name}")


def test_images_that_cannot_be_processed(refused):
    tifffile.imwrite("floats.tif", photograph(0, np.uint8).astype(np.float32))
    refused(filter_image, "floats.tif", "--kernel", "emboss", words="float32")
    tifffile.imwrite("pages.tif", np.zeros((5, 30, 41), np.uint8), photometric="minisblack")
    refused(filter_image, "pages.tif", "--kernel", "emboss", words="one grey or RGB image")
    Image.new("CMYK", (9, 9)).save("print.jpg")
    refused(filter_image, "print.jpg", "--kernel", "emboss", words="CMYK")
    write("alpha.png", photograph(4, np.uint8))
    refused(filter_image, "alpha.png", "--kernel", "emboss", "-o", "out.jpg", words="no alpha channel")
    write("deep.png", photograph(0, np.uint16))
    refused(filter_image, "deep.png", "--kernel", "emboss", "-o", "out.jpg", words="8 bits")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kernel", "sharper"], "'sharper'"),
        (["--kernel", "emboss", "-o", "missing/out.png"], "there is no folder missing"),
        (["--kernel", "emboss", "-o", "out.webp"], "must end in .png"),
        (["--kernel", "gaussian", "--size", 0], "must be a number above 0, but is 0"),
        (["--kernel", "disk", "--size", 500], "--size 500 is more than the 400 x 600"),
        (["--kernel", "emboss", "--size", 5], "emboss has 3 x 3 weights"),
        (["--kernel", "motion-blur", "--size", 0.5], "--size 0.5: length must be"),
        (["--kernel", "emboss", "-o", "out.png", "--plot", "out.png"], "--plot has the same name"),
        (["nothing.png", "--kernel", "emboss"], "cannot read nothing.png: No such file"),
    ],
)
def test_image_options(refused, options, words):
    refused(filter_image, *options, words=words)


# deblur


def decibels(output, word):
    (line,) = [line for line in output.splitlines() if line.startswith(word)]
    return float(line.split()[1])


def scene(channels, dtype):
    """A photograph of soft shapes, as a blur leaves some of them."""
    soft = ndimage.gaussian_filter(photograph(channels, dtype).astype(float), (1, 1, 0)[: 3 if channels else 2])
    return np.rint((soft - soft.min()) / np.ptp(soft) * np.iinfo(dtype).max).astype(dtype)


KINDS = [(0, np.uint8, ".png"), (2, np.uint16, ".tif"), (3, np.uint8, ".png"), (4, np.uint16, ".png")]


@pytest.mark.parametrize(("channels", "dtype", "suffix"), KINDS)
@pytest.mark.parametrize("blur", [("--motion", 6), ("--gaussian", 1)])
def test_deblurring_brings_the_photograph_back(capsys, blur, channels, dtype, suffix):
    image = scene(channels, dtype)
    write(f"in{suffix}", image)
    run(deblur, f"in{suffix}", *blur, "--noise", 0.1, "--damping", 0.01, "--steps", 30, "-o", "out.png")
    output = capsys.readouterr().out
    assert decibels(output, "restored") > decibels(output, "blurred") + 3
    picture = np.asarray(Image.open("out.png").convert("RGB")).astype(int)
    assert picture.shape == (60, 3 * 41, 3)
    sharp, blurred, restored = np.split(picture[30:], 3, axis=1)  # below the titles
    colours = np.atleast_3d(image[..., :-1] if channels in (2, 4) else image)
    shown = np.broadcast_to(colours * (255 / np.iinfo(dtype).max), sharp.shape)
    np.testing.assert_allclose(sharp, shown, atol=1)
    assert ((restored - sharp) ** 2).mean() < ((blurred - sharp) ** 2).mean() / 2


def test_the_blur_is_the_one_asked_for():
    image = scene(0, np.uint8)
    write("in.png", image)
    run(deblur, "in.png", "--gaussian", 1.5, "--noise", 1e-6, "-o", "out.png")
    blurred = np.asarray(Image.open("out.png").convert("L"))[30:, 41:82]
    expected = ndimage.gaussian_filter(image.astype(float), 1.5, mode="reflect")
    np.testing.assert_allclose(blurred, expected, atol=1.01)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--motion", "31"], "a blur of 31 pixels is wider than its 30 x 41"),
        (["--motion", "1e300"], "is wider than"),
        (["--gaussian", "4"], "a blur of 32 pixels"),
        (["--gaussian", "2", "--motion", "3"], "not allowed with"),
        (["--angle", "nan"], "must be a number, but is nan"),
        (["--noise", "-1"], "must be a number above 0, but is -1"),
        (["--steps", "0"], "must be a whole number from 1 up"),
        (["-o", "out.jpg"], "its name must end in .png"),
        (["-o", "nowhere/out.png"], "there is no folder nowhere"),
    ],
)
def test_deblur_refuses(refused, options, words):
    write("in.png", photograph(0, np.uint8))
    refused(deblur, "in.png", *options, words=words)


def test_deblur_refuses_what_is_no_photograph(folder, refused):
    (folder / "in.png").write_text("not an image")
    refused(deblur, "in.png", words="cannot read in.png")


@pytest.mark.parametrize("is_compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_local_contrast_is_scipys(is_compiled):
    """The same statements, by Python and compiled, which takes 10 s."""
    own = in_your_own_loop.local_contrast
    slices = np.random.default_rng(0).normal(900, 40, (3, 30, 41)).astype(np.float32)
    kernel = kernels.gaussian((2, 1.5), dtype=np.float32)
    ours = (own if is_compiled else own.py_func)(slices, kernel)
    theirs = in_your_own_loop.by_scipy(slices, kernel)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
