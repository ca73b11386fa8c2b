"""Lines near the border of small maps leave out the taps that read zeros there: no bit tells."""

import numpy as np
import pytest

from convnd import convnd, plan
from convnd.methods import direct
from convnd.methods.tiling import borders
from support.check import integers, reals, same
from support.settings import SETTINGS, tuned

MAPS = {
    "small": ((2, 20, 4, 4), (3, 3), {"padding": 1}),
    "many channels": ((2, 70, 7, 7), (5, 5), {"padding": 2}),
    "strided": ((2, 20, 14, 9), (3, 3), {"padding": 1, "stride": 2}),
    "dilated": ((1, 30, 9, 8), (5, 3), {"padding": (4, 1), "dilation": (3, 2), "stride": (2, 1)}),
    "less than the kernel": ((2, 20, 3, 3), (7, 5), {"padding": (3, 2)}),
    "padded by more than the kernel": ((1, 20, 5, 6), (3, 3), {"padding": ((6, 5), (0, 1))}),
    "tall": ((1, 40, 17, 17), (7, 1), {"padding": (3, 0)}),
    "long lines": ((1, 20, 9, 70), (3, 3), {"padding": 1}),
    "a scan": ((1, 20, 3, 5, 6), (3, 3, 3), {"padding": 1}),
    "groups": ((2, 40, 7, 7), (3, 3), {"padding": 1, "groups": 2}),
    "full": ((1, 40, 6, 6), (3, 4), {"padding": "full"}),
}


def layer(name, dtype, make):
    shape, taps, options = MAPS[name]
    x = make(shape, dtype)
    kernel = make((48, shape[1] // options.get("groups", 1), *taps), dtype, seed=1)
    spatial = tuple(range(2, len(shape)))
    return x, kernel, {"axes": spatial, "channel_axis": 1, "method": "direct", **options}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.int16])
@pytest.mark.parametrize("name", MAPS)
def test_the_bits_are_those_of_all_taps(monkeypatch, name, dtype, setting):
    x, kernel, options = layer(name, dtype, integers if dtype == np.int16 else reals)
    tables, table_of = [], direct.border_table
    monkeypatch.setattr(borders, "_LEAST_SAVED", 0)
    monkeypatch.setattr(direct, "border_table", lambda *about: tables.append(table_of(*about)) or tables[-1])
    with tuned(setting, most_tiles=1000):  # whatever other tests have left
        found = plan(x, kernel, **options)(x)
        monkeypatch.setattr(direct, "reads_zeros", lambda problem: False)
        same(found, plan(x, kernel, **options)(x))
    assert any(tables) or setting != "default" or dtype != np.float32 or name not in ("small", "many channels")


@pytest.mark.parametrize("weight", [np.inf, np.nan])
def test_a_weight_that_is_not_finite_meets_the_zeros(monkeypatch, weight):
    monkeypatch.setattr(borders, "_LEAST_SAVED", 0)
    x, kernel, options = layer("small", np.float32, reals)
    kernel[0, 0, 0, 0] = weight
    assert np.isnan(convnd(x, kernel, convention="correlation", **options)[:, 0, 0]).all()


def test_other_values_beyond_the_array_count():
    x, kernel, options = layer("small", np.float32, integers)
    for about in ({"fill_value": 3}, {"boundary": "edge"}, {"boundary": "wrap"}):
        expected = convnd(x.astype(np.int64), kernel.astype(np.int64), **options, **about)
        same(convnd(x, kernel, **options, **about), expected.astype(np.float32))
