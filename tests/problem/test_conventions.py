"""Every row of the table of other libraries' calls: another library's call and ours give the same numbers."""

import importlib
import re

import numpy as np
import pytest

from convnd import convnd
from support import ROOT
from support.check import integers

TEXT = (ROOT / "docs" / "how-to" / "coming-from.md").read_text()
TABLE = TEXT.partition("<!-- conventions:begin -->")[2].partition("<!-- conventions:end -->")[0]
ROWS = re.findall(r"^\|[^|]*\| `([^`]+)` \| `([^`]+)` \|$", TABLE, re.M)

ARRAYS = {
    "line": integers(40),
    "taps": integers(5, seed=1),
    "image": integers((11, 14)),
    "odd": integers((3, 5), seed=1),
    "even": integers((4, 2), seed=1),
    "batch": integers((2, 4, 9, 10)),
    "bank": integers((6, 4, 3, 3), seed=1),
    "depthwise": integers((8, 1, 3, 3), seed=1),
}
MODULES = {
    "signal": "scipy.signal", "ndimage": "scipy.ndimage", "F": "torch.nn.functional", "cv2": "cv2", "lax": "jax.lax",
}  # fmt: skip


def matlab_conv2(image, kernel, shape):
    """The central part of the full convolution, by MATLAB's documentation of `conv2`."""
    signal = importlib.import_module("scipy.signal")
    assert shape == "same" and all(n % 2 for n in kernel.shape)
    return signal.convolve2d(image, kernel, shape)


def matlab_imfilter(image, kernel, padding="zeros", operation="corr"):
    """Correlation that pads with zeros, by MATLAB's documentation of `imfilter`."""
    before = [(n // 2, n // 2) for n in kernel.shape]
    padded = np.pad(image, before, "symmetric") if padding == "symmetric" else np.pad(image, before)
    signal = importlib.import_module("scipy.signal")
    return (signal.convolve2d if operation == "conv" else signal.correlate2d)(padded, kernel, "valid")


def test_the_table_is_there():
    assert len(ROWS) > 20
    assert len(ROWS) == TABLE.count("\n| ") - 1  # but for the head


@pytest.mark.parametrize("theirs, ours", ROWS)
def test_row(theirs, ours):
    names = {name: module for name, module in MODULES.items() if re.search(rf"\b{name}\.", theirs)}
    for name in names:
        pytest.importorskip(MODULES[name])
    modules = {name: importlib.import_module(module) for name, module in names.items()}
    arrays = ARRAYS
    if "F" in modules:
        torch = importlib.import_module("torch")
        arrays = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
    if "lax" in modules:
        arrays = {name: array.astype(np.float32) for name, array in ARRAYS.items()}
    matlab = {"conv2": matlab_conv2, "imfilter": matlab_imfilter}
    expected = np.asarray(eval(theirs, {"np": np, **modules, **matlab, **arrays}))
    result = eval(ours, {"convnd": convnd, **ARRAYS})
    np.testing.assert_array_equal(result, expected)
