"""The text form of problems."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convnd import convnd
from convnd.problem_text import Problem, parse

LINES = [
    "float32 300 * 9",
    "float64 2x300 * 9 full axes1",
    "float32 30x41 * float64 4x5 same s2,3 d2 wrap correlation",
    "uint8 30x41 * 5x5 -> uint8 same symmetric out",
    "uint8 30x41 * int8 sobel3x3 -> int16 same reflect",
    "float32 30x41 * gaussian9x5 same symmetric",
    "uint8 3x30x41 * box3x5 -> float32 axes1,2 wrap",
    "complex64 30 * 8 pad3 edge",
    "float32 4x6c10x11 * 8c3x3 pad1 s2 groups2 axes2,3",
    "float32 10x11x6c * 3x3 pad1:0,2:1",
    "float32 2x3x4x5x6 * 2x2x2 same axes2,3,4 fortran",
    "float32 30x41 * 4x5 full s2,3 u5",
    "float32 4x6c10x11 * 8c3x3 pad1 d2 u2,1 groups2 axes2,3",
    "float32 30x41 * 4x5 same edge,wrap",
    "float32 30 * 4 same edge:constant correlation",
    "float32 30x41 * 4x5 same edge:constant,wrap:wrap",
]
ENTRIES = st.integers(1, 3)
MODE = st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"])


@st.composite
def problems(draw):
    rank = draw(ENTRIES)
    shape = draw(st.lists(st.integers(1, 9), min_size=rank, max_size=rank + 2))
    channels = draw(st.booleans())
    channel = draw(st.integers(0, len(shape))) if channels else None
    axes = tuple(draw(st.permutations([a for a in range(len(shape) + channels) if a != channel]))[:rank])
    fields = {
        "dtype": draw(st.sampled_from(["float32", "uint8", "complex64", "bool"])),
        "shape": tuple(shape) + (draw(ENTRIES),) * channels,
        "channel_axis": channel,
        "axes": axes if len(shape) > rank else draw(st.sampled_from([None, axes])),
        "filters": draw(st.none() | ENTRIES) if channels else None,
        "kernel": draw(st.tuples(*[ENTRIES] * rank)),
        "kind": "random" if channels else draw(st.sampled_from(["random", "sobel", "gaussian", "box"])),
        "padding": draw(
            st.sampled_from(["valid", "same", "full"])
            | st.tuples(st.integers(0, 3))
            | st.tuples(*[st.integers(0, 3)] * rank)
            | st.tuples(*[st.tuples(ENTRIES, ENTRIES)] * rank)
        ),
        "stride": draw(st.tuples(ENTRIES) | st.tuples(*[ENTRIES] * rank)),
        "dilation": draw(st.tuples(ENTRIES) | st.tuples(*[ENTRIES] * rank)),
        "upsample": draw(st.tuples(ENTRIES) | st.tuples(*[ENTRIES] * rank)),
        "groups": draw(ENTRIES) if channels else 1,
        "boundary": draw(
            MODE | st.tuples(*[st.tuples(MODE, MODE)] * rank) | (st.tuples(*[MODE] * rank) if rank > 1 else MODE)
        ),
        "convention": draw(st.sampled_from(["convolution", "correlation"])),
        "fortran": draw(st.booleans()),
        "out": draw(st.booleans()),
    }
    for name in ("kernel_dtype", "result_dtype"):
        fields[name] = draw(st.sampled_from([None, "float64", "int16"]))
    try:
        return Problem(**fields)
    except ValueError:  # groups without channels, a Sobel kernel of other lengths than 3, whole weights of a Gaussian
        assume(False)


@given(problems())
def test_text_round_trips(problem):
    assert parse(str(problem)) == problem


@pytest.mark.parametrize("line", LINES)
def test_canonical_lines_print_as_written(line):
    assert str(parse(line)) == line


def test_options_in_any_order_and_defaults_spelt_out():
    assert parse(" float32 9x9 *  3x3 constant s2 valid d1") == parse("float32 9x9 * 3x3 s2")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("float32 9x9 x 3x3", r"expected \[x dtype\] \[x shape\]"),
        ("float32 9 9 * 3x3", r"expected \[x dtype\] \[x shape\]"),
        ("float33 9 * 3", "'float33' is not the name of a numeric dtype"),
        ("float32 9 * 3 -> object", "'object' is not the name of a numeric dtype"),
        ("float32 9x0 * 3", "must be 1 or more"),
        ("float32 9 * 3 s0", "must be 1 or more"),
        ("float32 9 * 3 u0", "must be 1 or more"),
        ("float32 2c3c9 * 3", "2c3c9 has two channel axes"),
        ("float32 9 * 3 mirror", "'mirror' is not an option"),
        ("float32 9 * 3 s1:2", "'s1:2' is not an option"),
        ("float32 9 * 3 edge wrap", "'wrap' gives boundary a second time"),
        ("float32 9x9 * 3x3 edge edge,wrap", "'edge,wrap' gives boundary a second time"),
        ("float32 9x9 * 3x3 edge,wrap:wrap", "'edge,wrap:wrap' is not an option"),
        ("float32 9 * 3x3", "kernel has 2 axes but x has 1 beside channels"),
        ("float32 4x64c9x9 * 64c3x3", "kernel has 2 axes but x has 3 beside channels"),
        ("float32 3x9x9 * 3x3 axes2", "kernel has 2 axes but axes names 1"),
        ("float32 9 * 4c3", "filters and groups need channels"),
        ("float32 9 * 3 groups2", "filters and groups need channels"),
        ("float32 9x9 * sobel3x5", "a sobel kernel has 3 samples along every axis"),
        ("float32 9x9 * gaussian4x3", "a gaussian kernel has an odd number of samples along every axis"),
        ("float32 4c9 * box3", "a box kernel has no channels"),
        ("uint8 9 * int8 gaussian3", "a gaussian kernel has floating weights, not int8"),
        ("float32 9 * prewitt3", r"expected \[x dtype\] \[x shape\]"),
    ],
)
def test_malformed_lines(line, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse(line)
    assert f"problem {line!r}: " in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("float32 9x9 * 3x3 u1,2,3", "upsample has 3 entries but x has 2 spatial axes"),
        ("float32 9x9 * 3x3 pad1,2,3", "padding has 3 entries but x has 2 spatial axes"),
        ("float32 9x9 * 3x3 pad1:2", "padding has 1 entries but x has 2 spatial axes"),
        ("float32 9x9 * 3x3 edge:wrap", "boundary has 1 entries but x has 2 spatial axes"),
        ("float32 4c9 * 6c3 groups4", "groups=4 must divide the 6 filters of kernel"),
        ("float32 4c9 * 6c3 groups3", "groups=3 must divide the 4 channels of x"),
        ("float32 4c9 * 8c3 groups8", "groups=8 must divide the 4 channels of x"),
    ],
)
def test_the_call_checks_the_rest(line, message):
    problem = parse(line)
    assert str(problem) == line
    with pytest.raises(ValueError, match=message):
        convnd(*problem.arrays(), **problem.keywords())


def test_upsampling_reaches_the_call():
    assert parse("float32 3c9x8 * 4c6x5 u3,2").keywords()["upsample"] == (3, 2)
    assert parse("float32 9x8 * 6x5 u2").keywords()["upsample"] == 2


def test_kernels_by_name():
    _, blur = parse("float32 30x31x32 * gaussian9x5x17 same").arrays()
    assert blur.dtype == np.float32
    sums = [blur.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
    np.testing.assert_allclose(np.einsum("i,j,k", *sums), blur, rtol=1e-5)
    steps = np.arange(-8, 9)
    np.testing.assert_allclose(sums[2] / sums[2][8], np.exp(-(steps**2) / (2 * 2.0**2)), rtol=1e-5)
    assert blur.sum(dtype=np.float64) == pytest.approx(1)

    _, mean = parse("uint8 30x31 * box3x5 same").arrays()
    assert mean.dtype == np.float32 and mean.shape == (3, 5) and np.all(mean == np.float32(1 / 15))

    _, slope = parse("int16 30x31 * int8 sobel3x3 same correlation").arrays()
    assert slope.tolist() == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert parse("int16 30x31 * int8 sobel3x3 same").weights().tolist() == [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
