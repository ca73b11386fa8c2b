"""The text form of problems, and the benchmark that reads it."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import cold
import report
import run
from convnd import convnd
from peers import MODULES, PEERS
from problem_text import Problem, parse

LINES = [
    "float32 300 * 9",
    "float64 2x300 * 9 full",
    "float32 30x41 * float64 4x5 same s2,3 d2 wrap correlation",
    "uint8 30x41 * 5x5 -> uint8 same symmetric out",
    "uint8 30x41 * int8 sobel3x3 -> int16 same reflect",
    "complex64 30 * 8 pad3 edge",
    "float32 4x6c10x11 * 8c3x3 pad1 s2 groups2",
    "float32 10x11x6c * 3x3 pad1:0,2:1",
    "float32 2x3x4x5x6 * 2x2x2 same fortran",
]
ENTRIES = st.integers(1, 3)


@st.composite
def problems(draw):
    rank = draw(ENTRIES)
    shape = draw(st.lists(st.integers(1, 9), min_size=rank, max_size=rank + 2))
    channels = draw(st.booleans())
    fields = {
        "dtype": draw(st.sampled_from(["float32", "uint8", "complex64", "bool"])),
        "shape": tuple(shape) + (draw(ENTRIES),) * channels,
        "channel_axis": draw(st.integers(0, len(shape))) if channels else None,
        "filters": draw(st.none() | ENTRIES) if channels else None,
        "kernel": draw(st.tuples(*[ENTRIES] * rank)),
        "kind": "random" if channels else draw(st.sampled_from(["random", "sobel"])),
        "padding": draw(
            st.sampled_from(["valid", "same", "full"])
            | st.tuples(st.integers(0, 3))
            | st.tuples(*[st.integers(0, 3)] * rank)
            | st.tuples(*[st.tuples(ENTRIES, ENTRIES)] * rank)
        ),
        "stride": draw(st.tuples(ENTRIES) | st.tuples(*[ENTRIES] * rank)),
        "dilation": draw(st.tuples(ENTRIES) | st.tuples(*[ENTRIES] * rank)),
        "groups": draw(ENTRIES) if channels else 1,
        "boundary": draw(st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"])),
        "convention": draw(st.sampled_from(["convolution", "correlation"])),
        "fortran": draw(st.booleans()),
        "out": draw(st.booleans()),
    }
    for name in ("kernel_dtype", "result_dtype"):
        fields[name] = draw(st.sampled_from([None, "float64", "int16"]))
    try:
        return Problem(**fields)
    except ValueError:  # groups that do not divide, a short Sobel kernel
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
        ("float32 9 * 3x3", "the kernel has 2 axes but x has 1"),
        ("float32 2c3c9 * 3", "2c3c9 has two channel axes"),
        ("float32 9 * 3 mirror", "'mirror' is not an option"),
        ("float32 9 * 3 s1:2", "'s1:2' is not an option"),
        ("float32 9 * 3 edge wrap", "'wrap' gives boundary a second time"),
        ("float32 9x9 * 3x3 pad1,2,3", "padding has 3 entries but the kernel has 2 axes"),
        ("float32 9x9 * 3x3 pad1:2", "padding has 1 entries but the kernel has 2 axes"),
        ("float32 9 * 4c3", "filters and groups need channels"),
        ("float32 4c9 * 6c3 groups4", "groups 4 must divide channels 4 and filters 6"),
        ("float32 9 * sobel2", "a Sobel kernel has no channels, and 3 or more"),
    ],
)
def test_malformed_lines(line, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse(line)
    assert f"problem {line!r}: " in str(caught.value)


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("line", LINES)
def test_peers_compute_the_same(line, peer):
    pytest.importorskip(MODULES[peer])
    problem = parse(line)
    x, kernel = problem.arrays()
    result = convnd(x, kernel, **problem.keywords())
    allowed = run.tolerance(problem, x, kernel, result)
    for name, call in PEERS[peer](problem, x, kernel, result).items():
        assert not run.difference(call(), result, allowed), name


@pytest.fixture
def quick(monkeypatch):
    """Turns of one call, and a small product of matrices."""
    monkeypatch.setattr(run, "TURN", 0)
    monkeypatch.setattr(run, "MM_SIZE", 64)


def test_benchmark_prints_and_keeps_its_figures(quick, tmp_path, capsys):
    pytest.importorskip("scipy")
    problem = "float32 30x31 * 3x3 same edge out"
    figures = tmp_path / "figures.json"
    options = ["--peers", "scipy", "--seconds", "0", "--json", str(figures)]
    assert run.main([f"{problem} | peer>=0 copy>=1000000", *options]) == 0

    heading, line, *rest = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["problem", "ms", "GFLOP/s"]
    assert line.startswith(problem)
    assert "ndimage.correlate" in line
    assert "MISSED: copy " in line
    assert any(text.startswith(f"Target missed: {problem}: copy ") for text in rest)

    document = json.loads(figures.read_text())
    assert document["machine"]["threads"] >= 1
    (row,) = document["rows"]
    assert row["problem"] == problem
    assert row["targets"] == {"peer": 0, "copy": 1000000}
    assert row["ratios"]["peer"] == row["ms"]["ndimage.correlate"] / row["ms"]["convnd"]
    assert row["gflops"] == pytest.approx(2 * 9 * 30 * 31 / row["ms"]["convnd"] / 1e6)
    assert row["gbs"] == pytest.approx(2 * 4 * 30 * 31 / row["ms"]["convnd"] / 1e6)


def test_float64_is_compared_with_the_float32_line_above(quick):
    (single, _), (double, targets) = run.read_lines(["float32 99 * 3", "# a comment", "float64 99 * 3 | float32>=0"])
    rows = [run.measure(single, {}, seconds=0)]
    row = run.measure(double, targets, seconds=0, earlier=rows)
    assert row.ratios["float32"] == row.gflops / rows[0].gflops
    assert row.cells()[-1] == "met"


def test_a_peer_that_computes_something_else_is_not_timed(quick, monkeypatch, capsys):
    monkeypatch.setitem(PEERS, "numpy", lambda *_: {"numpy.ones": lambda: np.ones(97, np.float32)})
    assert run.main(["float32 99 * 3", "--peers", "numpy", "--seconds", "0"]) == 1
    assert "Not timed: float32 99 * 3: numpy.ones differs by " in capsys.readouterr().out


def test_bad_targets_and_peers_are_refused(capsys):
    for arguments in (["float32 9 * 3 | speed>=2"], ["float32 9 * 3", "--peers", "matlab"], ["float32 9"]):
        with pytest.raises(SystemExit):
            run.main(arguments)
    errors = capsys.readouterr().err
    assert "target 'speed>=2': expected one of peer, mm, copy, float32" in errors
    assert "matlab is not one of numpy, scipy, opencv, torch" in errors
    assert "problem 'float32 9': expected" in errors


def test_the_readme_keeps_what_is_outside_the_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("above\n<!-- benchmark:begin -->\nold\n<!-- benchmark:end -->\nbelow\n")
    row = report.Row(parse("float32 9 * 3"), {}, {"convnd": 1.0}, 2.0, 3.0, None, {}, {})
    report.write_section(readme, report.markdown([row], "The method."))
    lines = readme.read_text().splitlines()
    assert lines[0] == "above"
    assert "| `float32 9 * 3` | 1 | 2 | - | 3.0 | - | - | - | - | - |" in lines
    assert "The method." in lines
    assert lines[-1] == "below"
    readme.write_text("no markers")
    with pytest.raises(ValueError, match="has no lines <!-- benchmark:begin -->"):
        report.write_section(readme, "")


def test_every_line_of_the_benchmark_has_targets_that_can_be_judged():
    lines = (run.HERE / "problems.txt").read_text().splitlines()
    work = run.read_lines(lines)
    problems = [problem for problem, _ in work]
    assert len(set(problems)) == len(problems)
    for i, (problem, targets) in enumerate(work):
        assert targets
        if "float32" in targets:
            assert dataclasses.replace(problem, dtype="float32") in problems[:i]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cold_processes_share_a_disk_cache_that_stays_as_it_is(capsys):
    cold.main(["--first", "float32 99 * 3"])  # its status depends on the machine's speed
    problem, *processes = capsys.readouterr().out.splitlines()
    assert problem == "float32 99 * 3"
    assert [line.split(":")[0].strip() for line in processes] == ["process 1", "process 2", "process 3"]
    assert "cache 0 files" not in processes[0]
    assert not any("CHANGED" in line for line in processes)
