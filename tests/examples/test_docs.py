"""What is public is documented: every argument of every function, with an example that runs."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

import convnd
from convnd.problem import boundary
from convnd.problem.arguments.names import CHOICES
from support import ROOT
from support.oracle import BOUNDARIES

PACKAGE = Path(convnd.__file__).parent
MODULES = sorted(
    ".".join(("convnd", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in PACKAGE.rglob("[!_]*.py")
)
PUBLIC = {name: getattr(convnd, name) for name in (*convnd.__all__, "ndimage", "signal")}
FUNCTIONS = {name: value for name, value in PUBLIC.items() if callable(value)}
FUNCTIONS |= {
    f"{name}.{function}": getattr(module, function)
    for name, module in PUBLIC.items()
    if inspect.ismodule(module)
    for function in module.__all__
}
FUNCTIONS |= {
    f"{kind.__name__}.{name}": value
    for kind in (convnd.Plan, convnd.Stream, convnd.Window)
    for name, value in inspect.getmembers(kind)
    if callable(value) and (name == "__call__" or not name.startswith("_"))
}


def sections(docstring):
    """The text of each section, the summary by the name of ''."""
    parts = re.split(r"^(\w+)\n-{3,}\n", inspect.cleandoc(docstring), flags=re.M)
    return dict(zip(["", *parts[1::2]], parts[::2]))


def entries(section):
    """What a section of names describes: the names before each colon, or alone on a line that is not indented."""
    lines = re.findall(r"^((?:\*\*)?\w[^:\n]*)(?: : .+)?$", section, flags=re.M)
    return [name for line in lines for name in line.split(", ")]


def arguments(function):
    return [str(p).partition(":")[0] for p in inspect.signature(function).parameters.values() if p.name != "self"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_documented(name):
    found = sections(FUNCTIONS[name].__doc__)
    assert found[""].splitlines()[0].endswith(".")
    if not inspect.isclass(FUNCTIONS[name]) or "Parameters" in found:
        assert sorted(entries(found.get("Parameters", ""))) == sorted(arguments(FUNCTIONS[name]))
    if not inspect.isclass(FUNCTIONS[name]):
        assert "Raises" in found
        returns = inspect.signature(FUNCTIONS[name]).return_annotation
        assert ("Returns" in found) == (returns not in (None, "None"))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_an_example(name):
    assert ">>> " in FUNCTIONS[name].__doc__


def test_every_attribute_of_a_plan_is_documented():
    plan = convnd.plan([1.0, 2, 3], [1.0])
    found = entries(sections(convnd.Plan.__doc__)["Attributes"])
    assert sorted(found) == sorted(name for name in vars(plan) if not name.startswith("_"))


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module):
    if (library := module.removeprefix("convnd.")) in ("jax", "torch"):
        pytest.importorskip(library)
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def picture(mode, samples="abcd", beyond=3):
    """Return a picture of what a mode puts before and after samples, ``c b a | a b c | c b a``; ``k`` is the fill."""
    n, code = len(samples), list(boundary.MODES).index(mode)
    sources = [boundary.input_index(i, n, 1, code, code) for i in range(-beyond, n + beyond)]
    places = ["k" if source == boundary.OUTSIDE else samples[source] for source in sources]
    return " | ".join(" ".join(run) for run in (places[:beyond], places[beyond:-beyond], places[-beyond:]))


@pytest.mark.parametrize("mode", boundary.MODES)
def test_boundaries_are_pictured_as_they_are(mode):
    assert mode in BOUNDARIES, f"{mode} is not in the oracle's BOUNDARIES"
    line = f'"{mode}"'.ljust(13) + picture(mode)
    assert line in convnd.convnd.__doc__, f"the docstring of convnd has no line {line!r}"


@pytest.mark.parametrize("name", CHOICES)
def test_every_value_that_has_a_name_is_documented(name):
    line = re.search(rf"^{name} : .*$", sections(convnd.convnd.__doc__)["Parameters"], flags=re.M)[0]
    assert re.findall(r'"(\w+)"', line) == [*CHOICES[name]]


def test_contributing_names_what_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for path in re.findall(r"\b(?:src|tests|benchmarks)/[\w/]+\.py", text):
        assert (ROOT / path).is_file(), path
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {*re.findall(r"^\*\*`(\w+)/`\*\*", text, flags=re.M)} == folders


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", "CITATION.cff", "conda/meta.yaml", "pyproject.toml"])
def test_one_sentence_says_what_it_is(file):
    sentence = "Convolution of arrays from 1-D to n-D: Numba @njit(parallel=True) kernels from one index scheme"
    assert sentence in (ROOT / file).read_text().replace("`", "")
