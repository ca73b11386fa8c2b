"""Imports inside the package go down only, and few files speak LLVM."""

import ast
import sys
from pathlib import Path

import pytest

import convnd

PACKAGE = Path(convnd.__file__).parent
PATHS = {path.stem: path for path in PACKAGE.rglob("*.py") if path.stem != "__init__" or path.parent == PACKAGE}
MODULES = sorted(PATHS)

# From the bottom; modules of one layer do not know each other.
LAYERS = [
    [
        "aside", "axis", "disk", "expressions", "factors", "memory", "messages", "radices", "record", "samples",
        "stores", "tuning",
    ],
    ["compiler", "dtypes"],
    ["machine"],
    ["request"],
    ["missing"],
    ["boundary", "butterfly", "lines", "minimal", "outer", "routine", "taps", "threads"],
    ["gather", "names"],
    ["held", "result", "problem_text"],
    ["arguments", "blocks", "grid"],
    ["profiles", "tiles"],
    ["adjoint", "filtering", "fourier", "canonical", "products", "smoothing", "weights"],
    ["differences", "layout"],
    ["costs", "kernels"],
    ["boxes", "jobs", "parts", "windows"],
    ["direct"],
    ["separable", "single", "spectral", "winograd"],
    ["spectral_gradient"],
    ["gradient"],
    ["choice", "scan"],
    ["omission"],
    ["calls"],
    ["plan"],
    ["blockwise", "chunked", "labelled"],
    ["lazy"],
    ["elsewhere"],
    ["api"],
    ["larger", "stream", "warm", "window"],
    ["__init__"],
    ["__main__"],
]  # fmt: skip
WHEN_CALLED = {
    "elsewhere": {"tqdm"},
    "labelled": {"xarray"},
    "lazy": {"dask", "distributed"},
    "plan": {"scipy"},
}  # what no import of the package needs
SPEAK_LLVM = {
    "aside",
    "butterfly",
    "compiler",
    "expressions",
    "lines",
    "machine",
    "minimal",
    "missing",
    "outer",
    "routine",
}
HEIGHT = {module: height for height, layer in enumerate(LAYERS) for module in layer}


def imported(module, walk=ast.walk):
    """Every module that `module` imports, at any depth of its code; the package's own begin with a dot."""
    found = set()
    for node in walk(ast.parse(PATHS[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.ImportFrom):
            stem = (node.module or "").rpartition(".")[2]
            found |= {f".{stem}"} if stem in PATHS else {f".{alias.name}" for alias in node.names}
    return {name.replace("convnd.", ".") if name.startswith("convnd") else name for name in found}


def test_every_module_has_its_layer():
    assert sorted(HEIGHT) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    for name in imported(module):
        if name.startswith("."):
            assert HEIGHT[name[1:]] < HEIGHT[module], f"{module} imports {name[1:]}, which is not below it"


def test_few_files_speak_llvm():
    speaks = {m for m in MODULES if any(name.startswith(("llvmlite", "numba.extending")) for name in imported(m))}
    assert speaks == SPEAK_LLVM


@pytest.mark.parametrize("module", MODULES)
def test_the_core_depends_on_numba_and_numpy_alone(module):
    core = {"", "numba", "numpy", *sys.stdlib_module_names} | ({"llvmlite"} if module in SPEAK_LLVM else set())
    outside = {name.split(".")[0] for name in imported(module)} - core
    assert outside == WHEN_CALLED.get(module, set())
    at_once = {name.split(".")[0] for name in imported(module, ast.iter_child_nodes)}
    assert at_once <= core
