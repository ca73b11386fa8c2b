"""The index scheme, compiled, beside `numpy.pad`."""

import numpy as np
import pytest

from convnd.jit.index import input_index, input_position
from convnd.problem.boundary import CONSTANT, MODES, OUTSIDE
from support.oracle import BOUNDARIES


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("length", [1, 2, 3, 7])
@pytest.mark.parametrize("unit", [1, 3])
def test_input_index_is_what_numpy_pads(name, length, unit):
    code, pad = list(MODES).index(name), 25
    if code == CONSTANT:
        frames = np.pad(np.arange(length), pad, constant_values=OUTSIDE)
    else:
        frames = np.pad(np.arange(length), pad, BOUNDARIES[name])
    for position in range(-pad * unit, (length + pad) * unit):
        frame = frames[position // unit + pad]
        expected = OUTSIDE if frame == OUTSIDE else frame * unit + position % unit
        for other in range(len(MODES)):  # that of the other end has no part in it
            before, after = (code, other) if position < 0 else (other, code)
            for index in (input_index, input_index.py_func):  # compiled, and as plans call it
                assert index(position, length * unit, unit, before, after) == expected


def test_input_position():
    assert [input_position(o, 3 * t, 2, 4) for o in range(3) for t in range(2)] == [-4, -1, -2, 1, 0, 3]
