"""Every error names the argument, the rule and the values, and leaves `out` as it was."""

import inspect
import re
from fractions import Fraction

import numpy as np
import pytest

from convnd import Stream, blockwise, convnd, kernels, plan, warmup, window
from convnd.problem import memory
from convnd.problem_text import parse
from support.check import check, integers, same

LINE, IMAGE, SCAN = np.ones(9), np.ones((8, 9)), np.ones((6, 7, 8))
TAPS, SQUARE, CUBE = np.ones(3), np.ones((3, 3)), np.ones((3, 3, 3))
RGB, BANK = np.ones((6, 8, 9)), np.ones((4, 6, 3, 3))
BYTES, INTS = np.ones(9, np.uint8), np.ones(3, np.int64)
COMPLEX = np.ones(9, complex)
HUGE = 2**62


def read_only(shape):
    array = np.zeros(shape)
    array.flags.writeable = False
    return array


def strided(shape, strides):
    return np.lib.stride_tricks.as_strided(np.zeros(200)[50:], shape, strides)


class Masked:
    """Data with a mask, such as astropy's."""

    def __init__(self, data, mask=()):
        self.data, self.mask = data, mask

    def __array__(self, dtype=None, copy=None):
        return self.data


# (x, kernel, options, error, words that the message holds); the first word is the argument.
ERRORS = [
    # padding
    (SCAN, CUBE, {"padding": (1, 2)}, ValueError, "padding 2 3 (0, 1, 2)"),
    (IMAGE, SQUARE, {"padding": (1, 2, 3)}, ValueError, "padding 3 2 (0, 1)"),
    (LINE, TAPS, {"padding": (1, 2)}, ValueError, "padding 2 1 (0,)"),
    (IMAGE, SQUARE, {"padding": ()}, ValueError, "padding 0 2"),
    (IMAGE, SQUARE, {"padding": ((1, 2), (3, 4, 5))}, ValueError, "padding (3, 4, 5)"),
    (IMAGE, SQUARE, {"padding": ((1,), 2)}, ValueError, "padding (1,)"),
    (IMAGE, SQUARE, {"padding": "SAME"}, ValueError, "padding 'SAME' valid same full"),
    (IMAGE, SQUARE, {"padding": "reflect"}, ValueError, "padding 'reflect' valid same full"),
    (IMAGE, SQUARE, {"padding": -1}, ValueError, "padding -1 0"),
    (IMAGE, SQUARE, {"padding": ((0, 0), (0, -2))}, ValueError, "padding -2 0"),
    (IMAGE, SQUARE, {"padding": 1.0}, TypeError, "padding 1.0 whole number"),
    (IMAGE, SQUARE, {"padding": (1, 0.5)}, TypeError, "padding 0.5 whole number"),
    (IMAGE, SQUARE, {"padding": np.nan}, TypeError, "padding nan whole number"),
    (IMAGE, SQUARE, {"padding": True}, TypeError, "padding True"),
    (IMAGE, SQUARE, {"padding": None}, TypeError, "padding None"),
    (IMAGE, SQUARE, {"padding": (1, None)}, TypeError, "padding None"),
    (IMAGE, SQUARE, {"padding": ("same", "full")}, TypeError, "padding 'same'"),
    (IMAGE, SQUARE, {"padding": HUGE}, ValueError, f"padding {HUGE} {2**63 + 8}"),
    (IMAGE, SQUARE, {"padding": 2**80}, ValueError, f"padding {2**80}"),
    (IMAGE, SQUARE, {"padding": 2**40}, ValueError, f"memory padding {2**41 + 6} {2**41 + 7}"),
    (IMAGE, SQUARE, {"padding": range(2**40)}, ValueError, f"padding {2**40} 2"),
    (IMAGE, SQUARE, {"padding": np.ones((2, 2))}, TypeError, "padding 1.0 whole number"),
    (IMAGE, SQUARE, {"padding": np.ones((2, 2), bool)}, TypeError, "padding whole number"),
    (IMAGE, SQUARE, {"padding": np.ones((2, 3), int)}, ValueError, "padding (before, after)"),
    (IMAGE, SQUARE, {"padding": "same" * 1000}, ValueError, "padding valid same full"),
    (IMAGE, SQUARE, {"padding": 10**4000}, ValueError, f"padding {HUGE}"),
    (IMAGE, SQUARE, {"padding": b"same"}, TypeError, "padding b'same'"),
    (IMAGE, SQUARE, {"padding": {1, 2}}, TypeError, "padding whole number"),
    (IMAGE, SQUARE, {"padding": np.ones((3, 3, 3))}, ValueError, "padding 3 2"),
    # stride, dilation
    (SCAN, CUBE, {"stride": (1, 2)}, ValueError, "stride 2 3 (0, 1, 2)"),
    (IMAGE, SQUARE, {"stride": 0}, ValueError, "stride 0 1"),
    (IMAGE, SQUARE, {"stride": (1, -2)}, ValueError, "stride -2 1"),
    (IMAGE, SQUARE, {"stride": 1.0}, TypeError, "stride 1.0 whole number"),
    (IMAGE, SQUARE, {"stride": np.nan}, TypeError, "stride nan whole number"),
    (IMAGE, SQUARE, {"stride": np.float64(2)}, TypeError, "stride 2.0"),
    (IMAGE, SQUARE, {"stride": True}, TypeError, "stride True"),
    (IMAGE, SQUARE, {"stride": "2"}, TypeError, "stride '2'"),
    (IMAGE, SQUARE, {"stride": None}, TypeError, "stride None"),
    (IMAGE, SQUARE, {"stride": ((1, 1), (1, 1))}, TypeError, "stride (1, 1)"),
    (IMAGE, SQUARE, {"stride": Fraction(2)}, TypeError, "stride Fraction whole number"),
    (IMAGE, SQUARE, {"stride": np.ma.masked}, TypeError, "stride masked whole number"),
    (IMAGE, SQUARE, {"stride": np.array([[1, 2], [3, 4]])}, TypeError, "stride array([1, 2]) whole number"),
    (IMAGE, SQUARE, {"stride": [[1, 2]]}, ValueError, "stride 1 2 [[1, 2]]"),
    (SCAN, CUBE, {"dilation": (1, 2)}, ValueError, "dilation 2 3 (0, 1, 2)"),
    (IMAGE, SQUARE, {"dilation": 0}, ValueError, "dilation 0 1"),
    (IMAGE, SQUARE, {"dilation": 1.5}, TypeError, "dilation 1.5 whole number"),
    (IMAGE, SQUARE, {"dilation": False}, TypeError, "dilation False"),
    (LINE, TAPS, {"dilation": HUGE}, ValueError, f"dilation {HUGE}"),
    # upsample
    (SCAN, CUBE, {"upsample": (1, 2)}, ValueError, "upsample 2 3 (0, 1, 2)"),
    (IMAGE, SQUARE, {"upsample": 0}, ValueError, "upsample 0 1"),
    (IMAGE, SQUARE, {"upsample": (2, -1)}, ValueError, "upsample -1 1"),
    (IMAGE, SQUARE, {"upsample": 1.5}, TypeError, "upsample 1.5 whole number"),
    (IMAGE, SQUARE, {"upsample": True}, TypeError, "upsample True"),
    (IMAGE, SQUARE, {"upsample": None}, TypeError, "upsample None"),
    (LINE, TAPS, {"upsample": HUGE}, ValueError, f"upsample {HUGE} 9 {8 * HUGE + 1}"),
    (IMAGE, SQUARE, {"upsample": 2**40}, ValueError, f"upsample {2**40} {2**18}"),
    (LINE, TAPS, {"upsample": 2, "dilation": 2**40, "padding": "same"}, ValueError, f"upsample 2 {2**40} {2**18}"),
    (LINE, TAPS, {"upsample": 3, "stride": 2**38, "padding": 2**40}, ValueError, f"upsample 3 {2**38} {2**18}"),
    (LINE, np.ones(20), {"upsample": 2}, ValueError, "axis 0 17 20"),
    # axes, channel_axis, groups
    (SCAN, SQUARE, {"axes": (0, 3)}, ValueError, "axes 3"),
    (SCAN, SQUARE, {"axes": (0, -4)}, ValueError, "axes -4 3"),
    (SCAN, SQUARE, {"axes": (1, 1)}, ValueError, "axes (1, 1)"),
    (SCAN, SQUARE, {"axes": (1, -2)}, ValueError, "axes (1, -2)"),
    (SCAN, SQUARE, {"axes": (0, 1, 2)}, ValueError, "axes kernel 2 3"),
    (SCAN, SQUARE, {"axes": 0}, ValueError, "axes kernel 2 1"),
    (SCAN, SQUARE, {"axes": (0, 1.0)}, TypeError, "axes 1.0"),
    (SCAN, SQUARE, {"axes": (0, True)}, TypeError, "axes True"),
    (SCAN, SQUARE, {"axes": "xy"}, TypeError, "axes 'xy'"),
    (SCAN, SQUARE, {"axes": range(2**40)}, ValueError, "axes=3 axis 3"),
    (SCAN, SQUARE, {"axes": {0, 1}}, TypeError, "axes {0, 1}"),
    (np.ones((2, 90)), TAPS, {}, ValueError, "kernel 1 axes x 2 axes=-1 channel_axis=..."),
    (np.ones((90, 2)), TAPS, {}, ValueError, "kernel 1 axes x 2 axes=0 channel_axis=..."),
    (IMAGE, kernels.gaussian(2), {}, ValueError, "kernel 1 axes x 2 axes=-1 convnd.kernels ndim=2"),
    (np.ones((8, 9, 3)), SQUARE, {}, ValueError, "kernel 2 axes x 3 axes=(0, 1) channel_axis=..."),
    (np.ones((5, 8, 9, 3)), SQUARE, {}, ValueError, "kernel 2 axes x 4 axes=(1, 2) channel_axis=..."),
    (SCAN, SQUARE, {}, ValueError, "kernel 2 axes x 3 (6, 7, 8) axes=(-2, -1) channel_axis=..."),
    (SCAN, TAPS, {"padding": "same"}, ValueError, "kernel 1 axes x 3 axes=-1 channel_axis=..."),
    (IMAGE, np.ones(()), {}, ValueError, "kernel 0 axes x 2 axes=()"),
    (LINE, SQUARE, {}, ValueError, "kernel 2 axes x 1 convnd(x[None], kernel[:, None], channel_axis=0) bank"),
    (RGB, BANK, {}, ValueError, "kernel 4 axes x 3 channel_axis=0 (C_out, C_in/groups, *K)"),
    (LINE, CUBE, {}, ValueError, "kernel 3 axes x 1 2 x[None]"),
    (np.ones(()), TAPS, {}, ValueError, "kernel 1 axes x 0 1 x[None]"),
    (np.ones((1,) * 64), np.ones((1,) * 64), {}, ValueError, "x 64 axes 60"),
    (RGB, BANK, {"channel_axis": 3}, ValueError, "channel_axis 3"),
    (RGB, BANK, {"channel_axis": 0.0}, TypeError, "channel_axis 0.0"),
    (RGB, BANK, {"channel_axis": False}, TypeError, "channel_axis False"),
    (RGB, BANK, {"channel_axis": 0, "axes": (0, 1)}, ValueError, "channel_axis 0 axes (0, 1)"),
    (RGB, SQUARE, {"channel_axis": 0}, ValueError, "kernel (C_in, *K) (C_out, C_in/groups, *K) (3, 3)"),
    (RGB.T, SQUARE, {"channel_axis": -1}, ValueError, "kernel (*K, C_in) (*K, C_in/groups, C_out) (3, 3)"),
    (RGB[:5], BANK, {"channel_axis": 0}, ValueError, "kernel 6 x 5"),
    (RGB, BANK, {"channel_axis": 0, "groups": 2}, ValueError, "kernel 6 2 3"),
    (RGB, BANK, {"channel_axis": 0, "groups": 4}, ValueError, "groups 4 6"),
    (RGB, BANK[:, :2], {"channel_axis": 0, "groups": 3}, ValueError, "groups 3 4"),
    (RGB, BANK[0, :3], {"channel_axis": 0, "groups": 2}, ValueError, "groups 2"),
    (RGB, BANK, {"channel_axis": 0, "groups": 0}, ValueError, "groups 0 1"),
    (RGB, BANK, {"channel_axis": 0, "groups": 1.0}, TypeError, "groups 1.0"),
    (RGB, BANK, {"channel_axis": 0, "groups": True}, TypeError, "groups True"),
    (IMAGE, SQUARE, {"groups": 2}, ValueError, "groups 2 channel_axis"),
    (RGB[:0], BANK[:, :0], {"channel_axis": 0}, ValueError, "0"),
    # names
    (IMAGE, SQUARE, {"convention": "cross"}, ValueError, "convention 'cross' convolution correlation"),
    (IMAGE, SQUARE, {"convention": None}, TypeError, "convention None"),
    (IMAGE, SQUARE, {"boundary": "zigzag"}, ValueError, "boundary 'zigzag' constant edge reflect symmetric wrap"),
    (IMAGE, SQUARE, {"boundary": None}, TypeError, "boundary None"),
    (IMAGE, SQUARE, {"boundary": 0}, TypeError, "boundary 0"),
    (SCAN, CUBE, {"boundary": ("edge", "wrap")}, ValueError, "boundary 2 3 (0, 1, 2)"),
    (LINE, TAPS, {"boundary": ("edge", "wrap")}, ValueError, "boundary 2 1 (0,)"),
    (IMAGE, SQUARE, {"boundary": ()}, ValueError, "boundary 0 2"),
    (IMAGE, SQUARE, {"boundary": ("edge", ("wrap", "wrap"))}, ValueError, "boundary name pair (before, after) mixes"),
    (IMAGE, SQUARE, {"boundary": (("edge",), ("wrap", "wrap"))}, ValueError, "boundary (before, after) ('edge',)"),
    (IMAGE, SQUARE, {"boundary": (("edge",) * 3,) * 2}, ValueError, "boundary ('edge', 'edge', 'edge')"),
    (IMAGE, SQUARE, {"boundary": ("edge", "zigzag")}, ValueError, "boundary 'zigzag' constant edge"),
    (IMAGE, SQUARE, {"boundary": (("edge", "nearest"),) * 2}, ValueError, "boundary 'nearest' 'edge'"),
    (IMAGE, SQUARE, {"boundary": ("edge", None)}, TypeError, "boundary None"),
    (IMAGE, SQUARE, {"boundary": (("edge", ("wrap",)),) * 2}, TypeError, "boundary ('wrap',)"),
    (IMAGE, SQUARE, {"boundary": {"lat": "edge", "lon": "wrap"}}, TypeError, "boundary {'lat': 'edge', 'lon': 'wrap'}"),
    *(
        (IMAGE, SQUARE, {"boundary": theirs}, ValueError, f"boundary '{theirs}' '{ours}'")
        for theirs, ours in {
            "nearest": "edge", "mirror": "reflect", "grid-wrap": "wrap", "grid-mirror": "symmetric",
            "grid-constant": "constant", "replicate": "edge", "circular": "wrap", "zeros": "constant",
            "fill": "constant", "symm": "symmetric",
        }.items()
    ),
    # fill_value
    (IMAGE, SQUARE, {"fill_value": 1j}, TypeError, "fill_value 1j real"),
    (IMAGE, SQUARE, {"fill_value": "0"}, TypeError, "fill_value '0'"),
    (IMAGE, SQUARE, {"fill_value": None}, TypeError, "fill_value None"),
    (IMAGE, SQUARE, {"fill_value": [1, 2]}, TypeError, "fill_value [1, 2]"),
    (BYTES, INTS, {"fill_value": 0.5}, ValueError, "fill_value 0.5 whole number"),
    (BYTES, INTS, {"fill_value": np.nan}, ValueError, "fill_value nan whole number"),
    (BYTES, INTS, {"fill_value": np.inf}, ValueError, "fill_value inf whole number"),
    (BYTES, INTS, {"fill_value": 2j}, TypeError, "fill_value 2j"),
    (BYTES, INTS, {"fill_value": 2**63}, ValueError, f"fill_value {2**63} int64"),
    (BYTES, BYTES[:2], {"fill_value": -1}, ValueError, "fill_value -1 uint64"),
    (BYTES, BYTES[:2], {"fill_value": 2**64}, ValueError, f"fill_value {2**64} uint64"),
    (np.float32(LINE), np.float32(TAPS), {"fill_value": 1e39}, ValueError, "fill_value 1e+39 float32"),
    (IMAGE, SQUARE, {"fill_value": [1, [2, 3]]}, TypeError, "fill_value [1, [2, 3]]"),
    (IMAGE, SQUARE, {"fill_value": np.ma.masked}, TypeError, "fill_value masked"),
    (IMAGE, SQUARE, {"fill_value": 10**400}, ValueError, "fill_value float64"),
    # nan_policy
    (IMAGE, SQUARE, {"nan_policy": "ignore"}, ValueError, "nan_policy 'ignore' propagate raise omit"),
    (IMAGE, SQUARE, {"nan_policy": None}, TypeError, "nan_policy None"),
    (IMAGE * np.nan, SQUARE, {"nan_policy": "raise"}, ValueError, "nan_policy x NaN (0, 0)"),
    # dtype, out
    (IMAGE, SQUARE, {"dtype": "U5"}, TypeError, "dtype"),
    (IMAGE, SQUARE, {"dtype": object}, TypeError, "dtype object"),
    (IMAGE, SQUARE, {"dtype": "M8[s]"}, TypeError, "dtype 'M8[s]'"),
    (IMAGE, SQUARE, {"dtype": "float33"}, TypeError, "dtype float33"),
    (IMAGE, SQUARE, {"dtype": 7}, TypeError, "dtype 7"),
    (IMAGE, SQUARE, {"dtype": np.longdouble}, TypeError, "dtype"),
    (IMAGE, SQUARE, {"dtype": np.floating}, TypeError, "dtype numpy.floating"),
    (IMAGE, SQUARE, {"dtype": np.float32(2)}, TypeError, "dtype 2.0"),
    (IMAGE, SQUARE, {"dtype": "f4,i4"}, TypeError, "dtype numeric"),
    (COMPLEX, TAPS, {"dtype": np.float64}, TypeError, "dtype float64 complex"),
    (LINE, TAPS * 1j, {"dtype": np.int8}, TypeError, "dtype int8 complex"),
    (COMPLEX, TAPS, {"out": np.zeros(7)}, TypeError, "out float64 complex"),
    (IMAGE, SQUARE, {"out": np.zeros((8, 9))}, ValueError, "out (8, 9) (6, 7)"),
    (IMAGE, SQUARE, {"out": np.zeros((6, 7, 1))}, ValueError, "out (6, 7, 1) (6, 7)"),
    (IMAGE, SQUARE, {"out": np.zeros((6, 7)), "dtype": np.float32}, ValueError, "dtype float32 out float64"),
    (IMAGE, SQUARE, {"out": read_only((6, 7))}, ValueError, "out read-only"),
    (IMAGE, SQUARE, {"out": np.zeros((6, 7), np.longdouble)}, TypeError, "out"),
    (IMAGE, SQUARE, {"out": np.zeros((6, 7), object)}, TypeError, "out object"),
    (IMAGE, SQUARE, {"out": [[0] * 7] * 6}, TypeError, "out list"),
    (IMAGE, SQUARE, {"out": np.ma.zeros((6, 7))}, TypeError, "out masked array"),
    (IMAGE, SQUARE, {"out": strided((6, 7), (0, 8))}, ValueError, "out overlaps itself (6, 7) (0, 8)"),
    (IMAGE, SQUARE, {"out": strided((6, 7), (8, 8))}, ValueError, "out overlaps itself (8, 8)"),
    (IMAGE, SQUARE, {"out": strided((6, 7), (56, 4))}, ValueError, "out overlaps itself (56, 4)"),
    (IMAGE, SQUARE, {"out": strided((6, 7), (-40, 16))}, ValueError, "out overlaps itself (-40, 16)"),
    # workers
    (IMAGE, SQUARE, {"workers": 0}, ValueError, "workers 0 1"),
    (IMAGE, SQUARE, {"workers": -1}, ValueError, "workers -1 1"),
    (IMAGE, SQUARE, {"workers": True}, TypeError, "workers True"),
    (IMAGE, SQUARE, {"workers": 1.5}, TypeError, "workers 1.5 whole number"),
    (IMAGE, SQUARE, {"workers": "2"}, TypeError, "workers '2'"),
    # x and kernel
    *(
        (bad, TAPS, {}, TypeError, f"x {bad.dtype}")
        for bad in (
            np.array([None] * 9), np.array(["a"] * 9), np.array([b"a"] * 9), np.zeros(9, "M8[s]"), np.zeros(9, "m8[s]"),
            np.zeros(9, "V3"), np.zeros(9, [("a", "f4")]), np.zeros(9, np.longdouble), np.zeros(9, np.clongdouble),
        )
    ),
    (np.ma.ones(9), TAPS, {}, TypeError, "x masked array mask"),
    (LINE, np.ma.ones(3), {}, TypeError, "kernel masked array mask"),
    (Masked(LINE), TAPS, {}, TypeError, "x mask Masked nan_policy='omit'"),
    (LINE, np.array([None, 1, 2]), {}, TypeError, "kernel object"),
    (LINE, np.ones(3, np.longdouble), {}, TypeError, "kernel longdouble"),
    ("text", TAPS, {}, TypeError, "x"),
    (None, TAPS, {}, TypeError, "x object"),
    ([2**70, 1, 2], TAPS, {}, TypeError, "x object"),
    ([[1, 2], [3]], TAPS, {}, ValueError, "x"),
    (LINE, [[1, 2], [3]], {}, ValueError, "kernel"),
    (np.ones((3, 0)), TAPS, {}, ValueError, "x (3, 0)"),
    (np.ones((0, 5)), SQUARE, {"padding": 5}, ValueError, "x (0, 5)"),
    (LINE, np.ones(0), {}, ValueError, "kernel (0,)"),
    (IMAGE, np.ones((3, 0)), {"padding": 9}, ValueError, "kernel (3, 0)"),
    (3.0, TAPS, {}, ValueError, "kernel 1 x 0"),
    # beyond any memory: what would be given addresses, and the process killed once it is written
    (np.broadcast_to(np.uint8(1), 2**45), BYTES[:1], {"dtype": np.uint8}, ValueError, f"memory {2**45} uint8 GiB"),
    (IMAGE, SQUARE, {"upsample": 2**17}, ValueError, "memory upsample 1.34e+10"),
    (np.broadcast_to(np.uint8(1), 2**38), BYTES[:1], {"dtype": "c16"}, ValueError, "memory dtype 16 complex128"),
    (LINE[None], np.broadcast_to(1.0, (2**41, 1, 1)), {"channel_axis": 0}, ValueError, "memory kernel"),
    (LINE, np.broadcast_to(1.0, 2**45), {"padding": "same"}, ValueError, f"kernel memory {2**45}"),
    # an output below one
    (LINE, np.ones(10), {}, ValueError, "axis 0 9 10"),
    (IMAGE, np.ones((3, 12)), {"padding": 1}, ValueError, "axis 1 9 12 (1, 1)"),
    (SCAN, CUBE, {"dilation": (1, 1, 4)}, ValueError, "axis 2 8 9"),
    (SCAN.T, SQUARE, {"axes": (2, 0), "dilation": 4}, ValueError, "axis 2 6 9"),
]  # fmt: skip
LONGDOUBLE = str(np.dtype(np.longdouble))


def name(case):
    x, _, options, error, words = case
    return f"{error.__name__}: {options or type(x).__name__} {words}"[:80]


@pytest.mark.parametrize("x, kernel, options, error, words", ERRORS, ids=map(name, ERRORS))
def test_message(x, kernel, options, error, words):
    out = options.get("out")
    before = out.copy() if isinstance(out, np.ndarray) else None
    with pytest.raises(error) as caught:
        convnd(x, kernel, **options)
    assert caught.type is error
    message = str(caught.value)
    for word in re.findall(r"\([^)]*\)|'[^']*'|\[[^]]*\]|\S+", words.replace("longdouble", LONGDOUBLE)):
        assert re.search(rf"(?<![\w.]){re.escape(word)}(?![\w])", message), f"{word!r} is not in {message!r}"
    assert len(message) < 250
    assert "\n" not in message
    if before is not None:
        same(out, before)


def stream(x, kernel):
    return Stream(kernel).feed(x)


def lazily(x, kernel):
    return convnd(pytest.importorskip("dask.array").from_array(x), kernel)


def named(x, kernel):
    return convnd(pytest.importorskip("xarray").DataArray(x), kernel)


ENTRIES = {
    "convnd": convnd, "plan": plan, "Stream": stream, "dask": lazily, "xarray": named,
    "window": lambda x, kernel: window(x, kernel, slice(None)),
    "blockwise": lambda x, kernel: blockwise(x, kernel, np.ones(x.shape)),
    "text": lambda x, kernel: parse(f"float64 {'x'.join(map(str, x.shape))} * {'x'.join(map(str, kernel.shape))}"),
}  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES)
def test_no_entry_guesses_what_the_axes_are(entry):
    for x, kernel in ((np.ones((2, 90)), TAPS), (np.ones((8, 9, 3)), SQUARE), (LINE, SQUARE)):
        with pytest.raises(ValueError, match=f"kernel has {kernel.ndim} axes but x has {x.ndim}.*ax[ei]s") as caught:
            ENTRIES[entry](x, kernel)
        assert "\n" not in str(caught.value)


def test_what_the_message_proposes_is_right():
    sound, photo = integers((2, 90)), integers((8, 9, 3))
    for x, kernel, axes in (
        (sound, TAPS, -1),
        (sound.T, TAPS, 0),
        (photo, SQUARE, (0, 1)),
        (SCAN, SQUARE, (-2, -1)),
        (IMAGE, np.ones(()), ()),
    ):
        with pytest.raises(ValueError, match=re.escape(f"write axes={axes} ")):
            convnd(x, kernel)
        check(x, kernel, axes=axes)


ROWS, MONO = integers((7, 40)), integers((8, 9))
PROPOSED = {
    "a kernel of each row": (ROWS, integers((7, 5)), {"axes": 1}),
    "a kernel of each column": (ROWS.T, integers((5, 7)), {"axes": 0}),
    "a bank over a line": (ROWS[0], integers((4, 5)), {}),
    "a bank over an image": (MONO, integers((4, 3, 2)), {}),
    "a bank with one channel over an image": (MONO, integers((4, 1, 3, 2)), {}),
    "CHW": (integers((6, 8, 9)), integers((4, 6, 3, 3)), {}),
    "HWC": (integers((8, 9, 6)), integers((3, 3, 6, 4)), {}),
    "NCHW": (integers((2, 6, 8, 9)), integers((4, 6, 3, 3)), {}),
    "NHWC": (integers((2, 8, 9, 6)), integers((3, 3, 6, 4)), {}),
    "NCHW by axes": (integers((2, 6, 8, 9)), integers((4, 6, 3, 3)), {"axes": (2, 3)}),
    "NCHW by channel_axis": (integers((2, 6, 8, 9)), integers((4, 6, 3, 3)), {"channel_axis": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", PROPOSED)
def test_the_call_that_a_message_proposes_is_the_one_meant(name):
    x, kernel, options = PROPOSED[name]
    with pytest.raises(ValueError, match=r"; write |: write ") as caught:
        convnd(x, kernel, **options)
    text = str(caught.value)
    assert len(text) < 250
    call = re.search(r"write (convnd\(.*\)) for|write (.*?) (?:if|for)", text)
    result = eval(call[1] or f"convnd(x, kernel, {call[2]})", {"convnd": convnd, "x": x, "kernel": kernel})
    if "each" in name:
        rows, taps = (x, kernel) if "row" in name else (x.T, kernel.T)
        own = np.stack([convnd(*pair) for pair in zip(rows, taps, strict=True)])
        same(result, own if "row" in name else own.T)
    elif "bank" in name:
        same(result, np.stack([convnd(x, own.reshape(own.shape[-x.ndim :])) for own in kernel]))
    else:
        first = "C" in name.split()[0][:2]
        layers, filters = (x, kernel) if first else (np.moveaxis(x, -1, -3), kernel.transpose(3, 2, 0, 1))
        expected = [
            sum(convnd(layers[..., c, :, :], taps[c], axes=(-2, -1)) for c in range(6)) for taps in filters
        ]  # fmt: skip
        same(result, np.stack(expected, axis=-3 if first else -1))


@pytest.mark.parametrize("x, kernel, options, write", [
    (integers((7, 40)), integers((7, 5)), {"channel_axis": 0, "groups": 7}, "kernel[:, None]"),
    (integers((40, 7)), integers((5, 7)), {"channel_axis": 1, "groups": 7}, "kernel[..., None, :]"),
    (integers((1, 40)), integers((7, 5)), {"channel_axis": 0}, "kernel[:, None]"),
    (integers((40, 1)), integers((5, 7)), {"channel_axis": 1}, "kernel[..., None, :]"),
])  # fmt: skip
def test_kernels_side_by_side_are_a_bank(x, kernel, options, write):
    with pytest.raises(ValueError, match=re.escape(f"; write {write} for ")):
        convnd(x, kernel, **options)
    check(x, eval(write, {"kernel": kernel}), **options)


def test_a_mask_that_is_none_or_a_method_is_no_mask():
    class WithMethod(Masked):
        mask = lambda self: None  # noqa: E731

        def __init__(self, data):
            self.data = data

    for x in (Masked(LINE, None), WithMethod(LINE)):
        same(convnd(x, TAPS), convnd(LINE, TAPS))


def test_a_kernel_that_was_rounded_is_told_from_one_that_is_not_separable():
    line = np.random.default_rng(0).random(9)
    outer = np.outer(line, line).astype(np.float32)
    with pytest.raises(ValueError, match=r"rounding of float64, in which .* rounded to float32, make it in float64$"):
        convnd(np.ones((30, 30)), outer, method="separable")
    with pytest.raises(ValueError, match=r"rounding of float64$"):
        convnd(
            np.ones((30, 30)), outer + np.random.default_rng(1).random((9, 9)).astype(np.float32), method="separable"
        )
    assert plan(np.ones((30, 30)), np.outer(line, line), method="separable").method == "separable"


def test_the_message_of_the_contract():
    with pytest.raises(ValueError, match=re.escape("padding has 2 entries but x has 3 spatial axes (0, 1, 2)")):
        convnd(SCAN, CUBE, padding=(1, 2))


@pytest.mark.parametrize("arguments, error, words", [
    ({"ranks": 2}, TypeError, "ranks iterable 2"),
    ({"ranks": [1.5]}, TypeError, "ranks whole number 1.5"),
    ({"ranks": [0]}, ValueError, "ranks 1 0"),
    ({"ranks": [2**100]}, ValueError, f"ranks {2**100}"),
    ({"ranks": [61]}, ValueError, "ranks 60 61"),
    ({"dtypes": "float32"}, TypeError, "dtypes iterable 'float32'"),
    ({"dtypes": [object]}, TypeError, "dtypes object"),
    ({"dtypes": [None]}, TypeError, "dtypes None"),
    ({"taps": [-3]}, ValueError, "taps 1 -3"),
    ({"methods": ["fastest"]}, ValueError, "method 'fastest'"),
], ids=str)  # fmt: skip
def test_message_of_warmup(arguments, error, words):
    with pytest.raises(error) as caught:
        warmup(**{"ranks": [1], "taps": [3], "methods": ["direct"], **arguments})
    assert all(word in str(caught.value) for word in words.split())


def test_a_result_is_refused_only_where_no_memory_holds_it(monkeypatch):
    x, kernel = integers(1000), integers(3, seed=1)
    made = plan(x, kernel)
    monkeypatch.setattr(memory, "total", lambda: 998 * 8)
    check(x, kernel)
    monkeypatch.setattr(memory, "total", lambda: 998 * 8 - 1)
    with pytest.raises(ValueError, match="the result does not fit in memory: shape \\(998,\\) of float64"):
        convnd(x[::-1], kernel)
    with pytest.raises(ValueError, match="does not fit in memory"):
        made.adjoint(np.ones(998))
    out = np.zeros(998)
    assert convnd(x[::-1], kernel, out=out) is out and made(x, out) is out


def test_what_a_class_says_of_its_array_is_not_believed():
    """Shape and strides that are overridden would lead beyond the memory that there is."""

    class Lying(np.ndarray):
        strides = shape = property(lambda self: (2**40,))

    x, out = integers(9), np.zeros(9)
    expected = convnd(x, TAPS, padding="same")
    lying = out.view(Lying)
    for made in (
        (lambda **o: convnd(x.view(Lying), TAPS, padding="same", **o)),
        (lambda **o: plan(x, TAPS, padding="same")(x.view(Lying), **o)),
    ):
        same(made(), expected)
        out[...] = 0
        assert made(out=lying) is lying
        same(out, expected)


def test_lines_of_out_may_be_woven_into_each_other():
    """As long as no two elements share memory."""
    check(IMAGE, SQUARE, out=strided((6, 7), (8, 48)))
    check(IMAGE, SQUARE, out=strided((6, 7), (16, 104)))
    check(integers((2, 9)), integers(8, seed=1), axes=1, out=strided((2, 2), (24, 16)))


def test_signature():
    parameters = inspect.signature(convnd).parameters
    with pytest.raises(TypeError, match="pading"):
        convnd(LINE, TAPS, pading=1)
    with pytest.raises(TypeError, match="argument 3 is 'same': write padding=\"same\""):
        convnd(LINE, TAPS, "same")
    with pytest.raises(TypeError, match="kernel"):
        convnd(LINE)
    keywords = " ".join(p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY)
    expected = "padding stride dilation upsample groups axes channel_axis convention boundary fill_value"
    assert keywords == f"{expected} nan_policy mask method dtype out beta bias workers"


def test_an_error_leaves_out_as_it_was():
    """Whatever is wrong, it is found before the first write."""
    for x, kernel, options, _, _ in ERRORS:
        if (x is IMAGE or x is LINE) and "out" not in options:
            out = np.full((6, 7) if x is IMAGE else 7, 7.0)
            with pytest.raises((TypeError, ValueError)):
                convnd(x, kernel, out=out, **options)
            assert (out == 7).all()


@pytest.mark.parametrize("whole", [2, np.int8(2), np.uint64(2), np.array(2)])
def test_whole_numbers_of_every_kind_are_welcome(whole):
    expected = convnd(IMAGE, SQUARE, padding=2, stride=2, dilation=2)
    same(convnd(IMAGE, SQUARE, padding=whole, stride=whole, dilation=whole, workers=whole), expected)
    same(convnd(IMAGE, SQUARE, padding=[whole, 2], stride=[2, whole], dilation=np.array([2, 2])), expected)
    same(convnd(IMAGE, SQUARE, padding=np.full((2, 2), 2), stride=(whole, whole), dilation=2), expected)
