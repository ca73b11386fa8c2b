"""How a problem is cut: what a process keeps is bounded, and whatever it has left is right."""

import numpy as np
import pytest

from convnd import convnd, plan
from convnd.methods.tiling import layout
from convnd.methods.tiling.likeness import representative, turned
from support import oracle
from support.settings import tuned

rng = np.random.default_rng(0)


def test_a_process_makes_so_many_register_tiles(monkeypatch):
    monkeypatch.setattr(layout, "_tiles", set())
    with tuned("default", most_tiles=3):
        for taps in (1, 2, 3, 5, 7, 9):
            for kernel in (np.ones((taps, 2)), np.ones((1, 20 * taps)), np.ones((6, 1, taps, 3))):
                x = rng.integers(-9, 10, (40, 1000) if kernel.ndim == 2 else (1, 30, 40)).astype(np.float32)
                kernel = rng.integers(-9, 10, kernel.shape).astype(np.float32)
                options = {"channel_axis": None if kernel.ndim == 2 else 0, "padding": "same"}
                found = convnd(x, kernel, method="direct", **options)
                assert np.array_equal(found, oracle.convnd(x, kernel, **options)), kernel.shape
    assert len(layout._tiles) == 3


def test_rows_across_channels_are_outputs_of_a_long_axis():
    """Where the last has one output, each weight would be read for one multiply-add."""
    for padding, outputs in ((0, 1), ((0, 1), 3)):
        x, kernel = (rng.integers(-9, 10, shape).astype(np.float32) for shape in ((2, 9, 40, 5), (70, 9, 3, 5)))
        options = {"axes": (2, 3), "channel_axis": 1, "convention": "correlation", "padding": padding}
        with tuned("default", most_tiles=1000):  # whatever other tests have left
            made = plan(x, kernel, method="direct", **options)
        assert made.output_shape[-1] == outputs and (", 1 x 1 of them" not in str(made))
        assert np.array_equal(made(x), oracle.convnd(x, kernel, **options))


def test_rows_are_of_several_planes_of_a_volume_from_memory():
    x, kernel = np.zeros((230, 230, 230), np.float32), np.ones((3, 3, 3), np.float32)
    made = plan(x, kernel, method="direct")
    with tuned("default", cached_bytes=2**25):
        way = layout.best(representative(turned(made._problem)))[0].way
    assert (way.sharing.axis, way.inside) == (0, True)


def test_many_channels_that_lie_apart_are_gathered():
    x, kernel = (rng.integers(-9, 10, shape).astype(np.float32) for shape in ((1, 300, 12, 41), (20, 300, 1, 1)))
    options = {"axes": (2, 3), "channel_axis": 1, "convention": "correlation"}
    made = plan(x, kernel, method="direct", **options)
    assert not layout.best(representative(turned(made._problem)))[0].way.inside
    assert np.array_equal(made(x), oracle.convnd(x, kernel, **options))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(3, 5, 7, 9), (2, 6, 20, 4), (4, 34, 3, 5), (2, 3, 5, 18), (2, 3, 4, 3, 5)])
def test_lines_of_small_maps_are_written_at_once(shape, dtype):
    """Lines of the tile's outputs, with what lies between them in ``out`` left as it is."""
    items, groups, *spatial = shape
    x = rng.integers(-9, 10, shape).astype(dtype)
    kernel = rng.integers(-9, 10, (groups, 1, *[3] * len(spatial))).astype(dtype)
    axes = tuple(range(2, len(shape)))
    options = {"axes": axes, "channel_axis": 1, "groups": groups, "padding": 1, "convention": "correlation"}
    room = np.full((items, groups, *[n + 2 for n in spatial]), 77, dtype)
    inside = (..., *[slice(n) for n in spatial])
    convnd(x, kernel, out=room[inside], method="direct", **options)
    assert np.array_equal(room[inside], oracle.convnd(x, kernel, **options))
    room[inside] = 77
    assert (room == 77).all()
