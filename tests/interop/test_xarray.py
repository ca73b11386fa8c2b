"""A DataArray in, a DataArray out: the values of the plain call, dimensions named, coordinates where outputs stand."""

import numpy as np
import pytest

from convnd import convnd
from support.check import integers, same

xarray = pytest.importorskip("xarray")

SAMPLES = integers((3, 12, 10), np.float32)
IMAGES = {"axes": (1, 2)}
TIMES = np.array(["2020-01-01T00", "2020-01-01T06", "2020-01-01T12"], "datetime64[ns]")


def scan(**more):
    coordinates = {
        "time": ("time", TIMES), "y": ("y", np.arange(100, 76, -2), {"units": "m"}), "x": np.linspace(0, 0.9, 10),
        "row": ("y", list("abcdefghijkl")), "height": (("y", "x"), np.arange(120).reshape(12, 10)), "run": 7,
    }  # fmt: skip
    return xarray.DataArray(
        SAMPLES, coordinates | more, ("time", "y", "x"), "temperature", {"units": "K", "source": "made up"}
    )


def check(x, kernel, numbers=None, **options):
    """The result, whose samples are those of the call with numbers for names."""
    result = convnd(x, kernel, **options)
    assert isinstance(result, xarray.DataArray)
    assert (result.name, result.attrs) == (x.name, x.attrs) and result.attrs is not x.attrs
    same(result.values, convnd(x.values, np.asarray(kernel), **(options | (numbers or {}))))
    return result


def test_a_dataset_is_mapped():
    x = xarray.Dataset({name: ("t", integers(9, seed=seed)) for seed, name in enumerate("ab")})
    with pytest.raises(TypeError, match=r"x is a Dataset: write x.map\(convnd, kernel=kernel, ...\)"):
        convnd(x, np.ones(3))
    result = x.map(convnd, kernel=np.ones(3), padding="same")
    for name in x:
        same(result[name].values, convnd(x[name].values, np.ones(3), padding="same"))


def test_same_keeps_every_coordinate():
    x = scan()
    for kernel, axes in ((integers((3, 5)), IMAGES), (integers((4, 2)), IMAGES), (integers((2, 3, 3)), {})):
        for options in ({}, {"convention": "correlation"}, {"boundary": "wrap", "method": "direct"}):
            assert check(x, kernel, padding="same", **axes, **options).coords.identical(x.coords)


def test_stride_thins_coordinates():
    x = scan()
    result = check(x, integers((3, 3)), **IMAGES, padding="same", stride=(4, 3))
    assert result.coords.identical(x[:, ::4, ::3].coords)
    result = check(x, integers((3, 3)), {"axes": (0, 2)}, axes=("time", "x"), padding="same", stride=2)
    assert result.coords.identical(x[::2, :, ::2].coords)


@pytest.mark.parametrize("convention, rows", [("convolution", slice(2, 11)), ("correlation", slice(1, 10))])
def test_valid_keeps_the_coordinates_of_the_centres(convention, rows):
    result = check(scan(), integers((4, 3)), **IMAGES, convention=convention)
    assert result.coords.identical(scan()[:, rows, 1:9].coords)
    geometry = {"dilation": 3, "padding": ((2, 0), (0, 3)), "stride": 2}
    dilated = check(scan(), integers((4, 3)), **IMAGES, convention=convention, **geometry)
    first = {"convolution": 3, "correlation": 2}[convention]  # 10 // 2 or 9 // 2, less the padding
    assert dilated.coords.identical(scan()[:, first : first + 5 : 2, 3::2].coords)


def test_positions_outside_continue_even_coordinates():
    result = check(scan(), integers((3, 3)), **IMAGES, padding=2)
    assert result["y"].values.tolist() == list(range(102, 74, -2)) and result["y"].dtype == scan()["y"].dtype
    assert result["y"].attrs == {"units": "m"}
    np.testing.assert_allclose(result["x"], np.linspace(-0.1, 1.0, 12), atol=1e-12)
    np.testing.assert_array_equal(result["x"][1:-1], scan()["x"])  # to the bit: arrays align
    assert set(result.coords) == {"time", "y", "x", "run"}  # of the others nobody knows the values there
    full = check(scan(), [1, 2, 1], {"axes": 0}, axes="time", padding="full")
    same(full["time"].values, np.arange("2019-12-31T18", "2020-01-01T19", 6, "datetime64[h]").astype(TIMES.dtype))
    assert {"row", "height"} <= set(full.coords)


def test_positions_between_samples():
    result = check(scan(), [1, 2, 1], {"axes": 1}, axes="y", padding="same", upsample=2)
    assert result["y"].values.tolist() == list(range(100, 77, -1)) and "row" not in result.coords
    half = check(scan(), [1, 2, 1], {"axes": 1}, axes="y", padding="same", upsample=4, stride=2)
    assert half["y"].values.tolist() == list(range(100, 77, -1))
    times = check(scan(), [1, 2, 1], {"axes": 0}, axes="time", padding="same", upsample=3)
    same(times["time"].values, np.arange("2020-01-01T00", "2020-01-01T13", 2, "datetime64[h]").astype(TIMES.dtype))
    quarters = check(scan(), [1, 2, 1], {"axes": 1}, axes="y", padding="same", upsample=4)
    np.testing.assert_array_equal(quarters["y"], np.arange(100, 77.9, -0.5))
    whole = check(scan(), [1, 2, 1], {"axes": 1}, axes="y", padding="same", upsample=3, stride=6)
    assert whole.coords.identical(scan()[:, ::2].coords)  # all stand on samples


@pytest.mark.parametrize("y", [np.arange(12.0) ** 2, list("abcdefghijkl"), [np.nan] * 12])
def test_uneven_coordinates_are_dropped_outside(y):
    x = scan(y=("y", y))
    assert "y" not in check(x, integers((3, 3)), **IMAGES, padding=3).coords
    assert check(x, integers((3, 3)), **IMAGES).coords.identical(x[:, 1:-1, 1:-1].coords)


def test_coordinates_that_their_type_does_not_hold():
    x = scan(y=("y", np.arange(0, 24, 2, dtype=np.uint8)))
    assert check(x, integers((3, 3)), **IMAGES, padding=2)["y"].values.tolist() == list(range(-2, 26, 2))


def test_dimensions_without_coordinates():
    x = xarray.DataArray(SAMPLES, dims=("a", "b", "c"))
    for padding in ("same", "full", "valid"):
        assert not check(x, integers((3, 3)), {"axes": (2, 0)}, axes=("c", "a"), padding=padding).coords


def test_channels():
    x = scan()
    one = check(x, integers((3, 3, 3)), {"channel_axis": 0}, channel_axis="time", padding="same")
    assert one.dims == ("y", "x") and one.coords.identical(x[0].drop_vars("time").coords)
    bank = check(x, integers((4, 3, 3, 3)), {"channel_axis": 0}, channel_axis="time", padding="same")
    assert bank.dims == x.dims and "time" not in bank.coords
    own = check(x, integers((3, 1, 3, 3)), {"channel_axis": 0}, channel_axis="time", padding="same", groups=3)
    assert own.coords.identical(x.coords)  # each channel by itself


def test_a_sum_over_one_channel_is_not_that_channel():
    x = xarray.DataArray(np.ones((8, 1)), {"c": [7], "name": ("c", ["red"]), "t": np.arange(8)}, ("t", "c"))
    one = check(x, np.ones((3, 1)), {"channel_axis": 1}, channel_axis="c")
    assert one.dims == ("t",) and one.coords.identical(x[1:-1, 0].drop_vars(["c", "name"]).coords)


def test_a_kernel_names_its_axes():
    kernel = xarray.DataArray(integers((2, 3)), dims=("x", "time"))
    check(scan(), kernel, {"axes": (2, 0)}, padding="same")
    check(scan(), kernel, {"axes": (0, 1)}, padding="same", axes=("time", "y"))
    check(scan(), kernel.rename(x="u"), padding="same", **IMAGES)
    same(convnd(SAMPLES, kernel, **IMAGES), convnd(SAMPLES, kernel.values, **IMAGES))
    with pytest.raises(ValueError, match="kernel has 2 axes but x has 3"):
        convnd(scan(), kernel.rename(x="u"))


def test_boundaries_by_name():
    x, pads = scan(), {"padding": 3}
    check(x, integers((3, 3)), {"boundary": ("wrap", "edge")}, **IMAGES, **pads, boundary={"x": "edge", "y": "wrap"})
    ends = {"x": ("edge", "constant"), "y": "wrap"}
    numbers = {"axes": (2, 1), "boundary": (("edge", "constant"), ("wrap", "wrap"))}
    check(x, integers((3, 4)), numbers, axes=("x", "y"), **pads, boundary=ends)
    numbers = {"channel_axis": 0, "boundary": ("wrap", "edge")}
    check(x, integers((3, 3, 3)), numbers, channel_axis="time", **pads, boundary={"x": "edge", "y": "wrap"})
    everywhere = {"time": "reflect", "y": "edge", "x": "wrap"}
    check(x, integers((2, 3, 3)), {"boundary": ("reflect", "edge", "wrap")}, **pads, boundary=everywhere)


def test_lazy_arrays_stay_lazy():
    array = pytest.importorskip("dask.array")
    x = scan()
    lazily = convnd(x.chunk(y=5), integers((3, 3)), **IMAGES, padding="same", stride=2)
    assert isinstance(lazily.data, array.Array) and lazily.chunks == ((3,), (3, 2, 1), (5,))
    expected = convnd(x, integers((3, 3)), **IMAGES, padding="same", stride=2)
    assert lazily.compute(scheduler="sync").identical(expected)


def test_out():
    out = np.zeros((3, 10, 8), np.float32)
    result = convnd(scan(), integers((3, 3), np.float32), **IMAGES, out=out)
    assert result.values is out and out.any()


@pytest.mark.parametrize("options, error, words", [
    ({"axes": ("y", "z")}, ValueError, "axes names 'z'.*'time', 'y', 'x'"),
    ({"axes": "yx"}, ValueError, "axes names 'yx'"),
    ({"channel_axis": "colour"}, ValueError, "channel_axis names 'colour'"),
    ({"axes": ("y", 1)}, ValueError, "axes names an axis twice"),
    ({"axes": ("y", 1.0)}, TypeError, "axes must be a whole number"),
    ({"axes": ("y", ["x"])}, TypeError, "axes must be a whole number"),
    ({**IMAGES, "boundary": {"y": "edge"}}, ValueError, r"boundary names \['y'\].* each .*\['y', 'x'\]"),
    ({**IMAGES, "boundary": {"y": "edge", "time": "wrap", "x": "wrap"}}, ValueError, "boundary names .*'time'"),
    ({**IMAGES, "boundary": {"y": "edge", "x": "nearest"}}, ValueError, "boundary .*'nearest': it is 'edge' here"),
    ({"boundary": {"y": "edge", "x": "wrap"}}, ValueError, "kernel has 2 axes but x has 3"),
    ({"axes": ("y", "x"), "padding": -1}, ValueError, "padding must be at least 0"),
])  # fmt: skip
def test_errors(options, error, words):
    with pytest.raises(error, match=words):
        convnd(scan(), np.ones((3, 3)), **options)
