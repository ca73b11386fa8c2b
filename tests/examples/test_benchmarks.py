"""The benchmarks: what the peers compute, and that the scripts print, keep and draw their figures."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import accuracy
import choice
import cold
import crossover
import freeze
import freeze_costs
import geometry
import peers
import report
import run
import timing
from convnd import convnd
from convnd.problem_text import parse

LINES = [
    "float32 300 * 9",
    "float64 2x300 * 9 full axes1",
    "float32 2x300 * 8 same s2 axes1 edge",
    "float32 300 * 8 same symmetric correlation out",
    "float32 300 * gaussian1 same",
    "float32 30x41 * float64 4x5 same s2,3 d2 wrap correlation",
    "float64 9x10 * 4x5",
    "uint8 30x41 * 5x5 -> uint8 same symmetric out",
    "uint8 30x41 * int8 sobel3x3 -> int16 same reflect",
    "int16 30x41 * 3x3 -> float32 same edge",
    "float16 30x31 * 3x3 same reflect",
    "complex64 30 * 8 pad3 edge",
    "float32 80x71 * gaussian31x21 same reflect",
    "uint8 80x71 * gaussian9x11 -> uint8 same edge",
    "float32 30x28x29 * gaussian11x9x13 same symmetric",
    "float32 3x9x10 * gaussian3x5 same s2 axes1,2",
    "float32 80x71 * box5x3 same wrap s2,1",
    "uint8 80x71 * box5x3 -> uint8 same reflect",
    "float64 50x48x49 * box5x7x3 edge",
    "float32 9x10x11 * 4x3x2 same edge correlation",
    "float32 4x6c10x11 * 8c3x3 pad1 s2 groups2 axes2,3",
    "float32 10x11x6c * 3x3 pad1:0,2:1",
    "float32 5x4c20 * 4c1 groups4 axes2 edge correlation",
    "float32 2x3x4x5x6 * 2x2x2 same axes2,3,4 fortran",
    "float32 9x10x6x7 * 3x2x3x3 same reflect",
    "float64 2x300 * 31 full s3 d2 u4 axes1",
    "float32 300 * 31 full s3 u4 symmetric correlation",
    "float32 2x6c10x11 * 8c5x4 pad2:3,1:2 d1,2 u3,2 groups2 axes2,3",
    "float32 2x6c10x11 * 4x4 pad2 u2 axes2,3 correlation",
    "float32 20x21x3 * 5x4 same axes0,1",
]


SOURCES = str(Path(sys.modules["convnd"].__file__ or "").parents[1])


def agreeing(line, *names):
    problem = parse(line)
    x, kernel = problem.arrays()
    return peers.agreeing(names, problem, x, kernel, convnd(x, kernel, **problem.keywords()))


@pytest.mark.parametrize("peer", peers.PEERS)
@pytest.mark.parametrize("line", LINES)
def test_peers_compute_the_same(line, peer):
    pytest.importorskip(peers.MODULES[peer])
    _, rejected = agreeing(line, peer)
    assert not rejected


@pytest.mark.parametrize(
    ("peer", "line", "functions"),
    [
        ("scipy", "float32 80x71 * gaussian5x3 same", {"ndimage.gaussian_filter", "scipy.fftconvolve"}),
        ("scipy", "float32 80x71 * box5x3 same", {"ndimage.uniform_filter", "scipy.oaconvolve"}),
        ("scipy", "float32 80x71 * box4x3 same", {"ndimage.correlate"}),
        ("scipy", "float32 2x300 * 31 full s3 u4 axes1", {"scipy.upfirdn"}),
        ("opencv", "float32 80x71 * 9x3 same", {"cv2.filter2D"}),
        ("opencv", "uint8 80x71 * gaussian5x3 -> uint8 same", {"cv2.filter2D", "cv2.GaussianBlur"}),
        ("opencv", "float32 80x71 * box5x3 same reflect", {"cv2.blur"}),
        ("opencv", "uint8 80x71 * sobel3x3 -> int16 same", {"cv2.Sobel"}),
        ("torch", "float32 2x6c10x11 * 8c5x4 pad2:3,1:2 u3,2 groups2 axes2,3", {"torch.conv_transpose2d"}),
        ("jax", "float32 2x6c10x11 * 8c5x4 pad2:3,1:2 s2 u3,2 groups2 axes2,3", {"jax.lax.conv"}),
        ("jax", "float32 7x8x9x10 * 3x3x3x3 same", {"jax.lax.conv"}),
        ("simpleitk", "float32 80x71 * 5x3 same", {"sitk.Convolution", "sitk.FFTConvolution"}),
        ("simpleitk", "float32 80x71 * box5x3 same reflect", {"≈ sitk.BoxMean"}),
        (
            "simpleitk",
            "float32 80x71 * gaussian21x21 same reflect",
            {"≈ sitk.DiscreteGaussian", "≈ sitk.SmoothingRecursiveGaussian"},
        ),
        ("dask", "float32 80x71 * gaussian5x3 same", {"dask_image.correlate", "dask_image.gaussian_filter"}),
    ],
)
def test_peers_have_functions_for_kernels_by_name(peer, line, functions):
    pytest.importorskip(peers.MODULES[peer])
    calls, _ = agreeing(line, peer)
    assert functions <= calls.keys()


@pytest.mark.parametrize(
    "line", ["float32 30x41 * 4x5 full u2", "float32 2x6c10x11 * 4x4 pad2 s2 u2 axes2,3 correlation"]
)
def test_peers_that_know_no_upsampling_are_not_asked(line):
    names = peers.installed(peers.PEERS)
    calls, rejected = agreeing(line, *names)
    assert not rejected
    assert calls.keys() <= {"torch.conv_transpose2d", "jax.lax.conv"}


@pytest.fixture
def quick(monkeypatch):
    """Turns of one call, and a small product of matrices."""
    monkeypatch.setattr(timing, "TURN", 0)
    monkeypatch.setattr(timing, "PAUSE", 0)
    monkeypatch.setattr(run, "MM_SIZE", 64)


def test_benchmark_prints_keeps_and_draws_its_figures(quick, tmp_path, capsys):
    pytest.importorskip("scipy")
    problem = "float32 30x31 * 3x3 same edge out"
    figures, plot = tmp_path / "figures.json", tmp_path / "figures.png"
    options = ["--peers", "scipy", "--seconds", "0", "--json", str(figures), "--plot", str(plot)]
    options += ["--bars", str(tmp_path / "bars.png")]
    assert run.main([f"{problem} | peer>=0 copy>=1000000", *options]) == 0

    heading, line, *rest = capsys.readouterr().out.splitlines()
    assert heading.split()[:4] == ["problem", "method", "ms", "GFLOP/s"]
    assert line.startswith(problem)
    assert "MISSED: copy " in line
    assert any(text.startswith(f"Target missed: {problem}: copy ") for text in rest)

    document = json.loads(figures.read_text())
    assert document["machine"]["threads"] >= 1
    (row,) = document["rows"]
    assert row["problem"] == problem
    assert row["method"] == "direct"
    assert row["targets"] == {"peer": 0, "copy": 1000000}
    assert {"ndimage.correlate", "scipy.fftconvolve"} <= row["ms"].keys()
    assert row["ratios"]["peer"] == row["ms"][row["peer"]] / row["ms"]["convnd"]
    assert row["gflops"] == pytest.approx(2 * 9 * 30 * 31 / row["ms"]["convnd"] / 1e6)
    assert row["gbs"] == pytest.approx(2 * 4 * 30 * 31 / row["ms"]["convnd"] / 1e6)
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")


def test_upsampling_divides_the_work():
    assert geometry.flops(parse("float32 3c9x8 * 4c6x5 u3,2"), 100) == 100 * 2 * 3 * (6 / 3 * 5 / 2)


def test_float64_is_compared_with_the_float32_line_above(quick):
    lines = ["float32 99 * 3", "# a comment", "## A title", "float64 99 * 3 | float32>=0"]
    single, double = run.read_lines(lines)
    assert (single.section, double.section) == ("", "A title")
    rows = [run.measure(single, seconds=0)]
    row = run.measure(double, seconds=0, earlier=rows)
    assert row.ratios["float32"] == row.gflops / rows[0].gflops
    assert row.cells()[-1] == "met"


def test_a_peer_that_computes_something_else_is_not_timed(quick, monkeypatch, capsys):
    monkeypatch.setitem(peers.PEERS, "numpy", lambda *_: {"numpy.ones": lambda: np.ones(97, np.float32)})
    assert run.main(["float32 99 * 3", "--peers", "numpy", "--seconds", "0"]) == 1
    assert "Not timed: float32 99 * 3: numpy.ones differs by " in capsys.readouterr().out


def test_a_peer_that_is_only_like_us_is_marked_so(quick, monkeypatch):
    def stretched(factor):
        return lambda problem, x, kernel, result: {f"{peers.APPROXIMATELY}double": lambda: result * factor}

    monkeypatch.setitem(peers.PEERS, "numpy", stretched(np.float32(1.04)))
    assert list(agreeing("float32 99 * 3 same", "numpy")[0]) == ["≈ double"]
    monkeypatch.setitem(peers.PEERS, "numpy", stretched(np.float32(1.06)))
    assert agreeing("float32 99 * 3 same", "numpy")[1] == {
        "≈ double": "differs by 6% (root mean squares), more than 5%"
    }


def test_bad_targets_and_peers_are_refused(capsys):
    for arguments in (["float32 9 * 3 | speed>=2"], ["float32 9 * 3", "--peers", "matlab"], ["float32 9"]):
        with pytest.raises(SystemExit):
            run.main(arguments)
    errors = capsys.readouterr().err
    assert "target 'speed>=2': expected one of peer, mm, copy, float32" in errors
    assert "matlab is not one of numpy, scipy, opencv, torch, jax, simpleitk, dask" in errors
    assert "problem 'float32 9': expected" in errors


def test_the_page_keeps_what_is_outside_the_markers(tmp_path):
    page = tmp_path / "speed.md"
    page.write_text("above\n<!-- benchmark:begin -->\nold\n<!-- benchmark:end -->\nbelow\n")
    row = report.Row(parse("float32 9 * 3"), {}, "Short", "direct", {"convnd": 1.0}, 2.0, 3.0, None, {}, {})
    report.write_section(page, report.markdown([row], "The method."))
    lines = page.read_text().splitlines()
    assert lines[0] == "above"
    assert "**Short**" in lines
    assert "| `float32 9 * 3` | direct | 1 | 2 | - | 3.0 | - | - | - | - |" in lines
    assert "The method." in lines
    assert lines[-1] == "below"
    page.write_text("no markers")
    with pytest.raises(ValueError, match="has no lines <!-- benchmark:begin -->"):
        report.write_section(page, "")


def test_every_line_of_the_benchmark_has_targets_that_can_be_judged():
    work = run.read_lines((run.HERE / "problems.txt").read_text().splitlines())
    problems = [line.problem for line in work]
    assert len(set(problems)) == len(problems) >= 40
    for i, line in enumerate(work):
        assert line.section
        if "float32" in line.targets:
            assert dataclasses.replace(line.problem, dtype="float32") in problems[:i]


def test_crossover_measures_and_draws_each_rank(quick, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(crossover, "SHAPES", {1: "100", 2: "20x20"})
    monkeypatch.setattr(crossover, "SIZES", {1: (3, 15), 2: (3, 9)})
    figures, plot = tmp_path / "figures.json", tmp_path / "figures.png"
    options = ["--seconds", "0", "--json", str(figures), "--plot", str(plot)]
    assert crossover.main(["--ranks", "1", "2", *options]) == 0
    rows = json.loads(figures.read_text())["rows"]
    assert [row["size"] for row in rows] == [3, 15, 3, 9]
    assert all({"auto", "direct", "fft"} <= row["ms"].keys() for row in rows)
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_choice_is_judged_by_the_mean_and_the_worst(quick, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(choice, "LENGTHS", {1: ((30,), (3, 99)), 2: ((20,), (3,))})
    problems = ["float32 30 * 3 same", "float32 20x20 * 3x3 same", "float32 20x20 * gaussian3x3 same"]
    assert [str(problem) for problem in choice.grid()] == problems
    monkeypatch.setattr(choice, "MEAN_LIMIT", 1e9)
    figures = tmp_path / "figures.json"
    for limit, status in ((1e9, 0), (0, 1)):
        monkeypatch.setattr(choice, "WORST_LIMIT", limit)
        assert choice.main(["--seconds", "0", "--json", str(figures)]) == status
    rows = json.loads(figures.read_text())["rows"]
    for row in rows:
        named = {name: ms for name, ms in row["ms"].items() if name != "auto"}
        assert row["best"] == min(named, key=named.get)
        assert row["ratio"] == row["ms"]["auto"] / min(named.values())
    assert f"worst {max(row['ratio'] for row in rows):.2f}" in capsys.readouterr().out


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cold_processes_share_a_disk_cache_that_stays_as_it_is(capsys):
    cold.main(["--first", "float32 99 * 3"])  # its status depends on the machine's speed
    importing, problem, *processes = capsys.readouterr().out.splitlines()
    assert importing.startswith("import 0.")
    assert problem == "float32 99 * 3"
    assert [line.split(":")[0].strip() for line in processes] == ["process 1", "process 2", "process 3"]
    assert "cache 0 files" not in processes[0]
    assert not any("CHANGED" in line for line in processes)


def test_frozen_digests_tell_other_bits_from_rounding(monkeypatch, tmp_path, capsys):
    x, kernel, file = (30, 31), (3, 5), tmp_path / "digests.json"
    few = [freeze.Case(x, kernel, method, {}, values="nan") for method in ("direct", "fft", "auto")]
    few += [freeze.Case(x, kernel, "fft", {}, "uint8"), freeze.Case(x, kernel, "direct", {}, "complex64")]
    monkeypatch.setattr(freeze, "cases", lambda: few)
    assert freeze.main(["digests", "write", str(file)]) == 0
    assert freeze.main(["digests", "compare", str(file)]) == 0
    assert "5 same bits, 0 within tolerance, 0 different" in capsys.readouterr().out

    def changed(case, place, value):
        document = json.loads(file.read_text())
        document["cases"][case.name][place] = value(document["cases"][case.name][place])
        file.write_text(json.dumps(document))

    for case in few[:2]:
        changed(case, 2, lambda digest: digest[::-1])
    assert freeze.main(["digests", "compare", str(file)]) == 1
    assert "3 same bits, 1 within tolerance, 1 different" in capsys.readouterr().out
    changed(few[0], 2, lambda digest: digest[::-1])
    changed(few[1], 5, lambda part: part + 0.01)
    monkeypatch.setattr(freeze, "machine", lambda: {"processor": "another"})
    assert freeze.main(["digests", "compare", str(file)]) == 1
    note, line, counts = capsys.readouterr().out.splitlines()
    assert note.startswith("Note: written on ")
    assert line.startswith(f"{few[1].name}: ") and line.endswith("of its magnitude")
    assert counts == "4 same bits, 0 within tolerance, 1 different"


def test_every_digest_is_of_a_case():
    names = [case.name for case in freeze.cases()]
    assert len({*names}) == len(names)
    assert json.loads((run.HERE / "digests.json").read_text())["cases"].keys() == {*names}


def test_small_rows_are_also_timed_by_a_plan():
    lines = ["## Small: a title", "float32 9 * 3 same  | peer>=2", "# a comment", "## Audio", "float32 99 * 3"]
    rows = [("Small", "float32 9 * 3 same"), ("Small", "float32 9 * 3 same (plan)"), ("Audio", "float32 99 * 3")]
    assert [*freeze_costs.rows_of(lines, "")] == rows
    assert [*freeze_costs.rows_of(lines, "Audio|plan")] == rows[1:]


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="asks the system for a child's times")
def test_two_folders_of_sources_are_timed_in_turns(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(freeze_costs, "SECONDS", 0)
    figures = tmp_path / "figures.json"
    options = ["--rows", "float32 64 . 5", "--json", str(figures)]
    assert freeze.main(["speed", SOURCES, SOURCES, *options]) == 0
    document = json.loads(figures.read_text())
    assert [*document["rows"]] == ["float32 64 * 5 same", "float32 64 * 5 same (plan)"]
    assert document["old/new"].keys() == {"Small", "all"}
    assert "geometric mean of old/new" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match="has no package convnd"):
        freeze.main(["speed", str(tmp_path), str(tmp_path)])


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="asks the system for a child's times")
def test_first_calls_are_measured_with_an_empty_and_a_filled_cache(monkeypatch, capsys):
    monkeypatch.setattr(freeze_costs, "FIRST", {"1-D": {"first call": "float32 99 * 3"}})
    monkeypatch.setattr(freeze_costs, "PROCESSES", 1)
    assert freeze.main(["first", SOURCES]) == 0
    importing, _, call, _, remembered, new = capsys.readouterr().out.splitlines()
    assert importing.startswith("import 0.")
    assert call.startswith("first call ")
    assert float(call.split()[-2]) > float(call.split()[-1])
    assert int(remembered.split()[2]) < int(new.split()[2])


@pytest.mark.parametrize("method", ["fft", "separable"])
def test_errors_are_measured_beside_the_peers(method):
    found = accuracy.errors(accuracy.Case(method, (30, 31), (5, 7)), "float32", True)
    assert len(found) == (2 if method == "fft" else 3)
    for mean, most in found.values():
        assert 0 < mean <= most < 10
