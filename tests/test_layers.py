"""Imports inside the package go down only, and Numba stands in one folder."""

import ast
import sys
from pathlib import Path

import pytest

import convnd

PACKAGE = Path(convnd.__file__).parent
# From the bottom. A folder imports its own modules and what lies below it.
FOLDERS = [
    "problem", "kernels", "jit", "methods", "derivatives", "plan", "interop", "api", "warm", "problem_text",
    "filters", "ndimage", "signal", "torch", "jax", "",
]  # fmt: skip
FILES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
WHEN_CALLED = {
    "interop.blockwise": {"tqdm"},
    "interop.xarray": {"xarray"},
    "interop.dask": {"dask", "distributed"},
    "derivatives.linear": {"scipy"},
    "torch": {"torch"},
    "jax": {"jax"},
}  # what no import of the package needs


def height(module):
    folder = module.partition(".")[0]
    return FOLDERS.index("" if folder.startswith("__") else folder)


def imported(module, walk=ast.walk):
    """Every module that a module imports, at any depth of its code; the package's own begin with a dot."""
    found = set()
    above = module.split(".")[:-1]
    for node in walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*above[: len(above) + 1 - node.level], *(node.module or "").split(".")]).strip(".")
            names = {f"{base}.{alias.name}".strip(".") for alias in node.names}
            found |= {f".{name}" for name in names & FILES.keys()} or {f".{base}"}
    return found


@pytest.mark.parametrize("module", FILES)
def test_imports_go_down(module):
    for name in imported(module):
        if name.startswith("."):
            assert height(name[1:]) <= height(module), f"{module} imports {name[1:]}, which is not below it"


def test_no_modules_import_each_other():
    below = {module: {name[1:] for name in imported(module) if name[1:] in FILES} for module in FILES}
    while leaves := [module for module, names in below.items() if not names & below.keys()]:
        for module in leaves:
            del below[module]
    assert not below, "these import each other in a circle"


#: What becomes a part of users' compiled functions, which Numba keeps by their own sources and not in our cache.
IN_USERS_CODE = {"interop.njit", "interop.njit_call_1", "interop.njit_types"}


def test_compiled_code_stands_in_one_folder():
    """The disk cache is named after the sources of this folder alone, so what is compiled calls nothing outside it."""
    for module in FILES.keys() - IN_USERS_CODE:
        names = {name.partition(".")[0] for name in imported(module)}
        if module.startswith("jit."):
            ours = {name for name in imported(module) if name.startswith(".")}
            assert all(name.startswith(".jit.") or name == ".problem.boundary" for name in ours), module
        else:
            assert not names & {"numba", "llvmlite"}, module


@pytest.mark.parametrize("module", FILES)
def test_the_core_depends_on_numba_and_numpy_alone(module):
    core = {"", "numba", "numpy", "llvmlite", *sys.stdlib_module_names}
    outside = {name.split(".")[0] for name in imported(module)} - core
    assert outside == WHEN_CALLED.get(module, set())
    if module in ("torch", "jax"):
        return  # which are imported when they are asked for
    at_once = {name.split(".")[0] for name in imported(module, ast.iter_child_nodes)}
    assert at_once <= core


def test_the_package_shows_public_names_alone():
    public = {name for name in dir(convnd) if not name.startswith("_")}
    assert public == {
        "Plan", "Stream", "Window", "blockwise", "convnd", "kernels", "plan", "warmup", "window",
        "jax", "ndimage", "signal", "torch",
    }  # fmt: skip


@pytest.mark.parametrize("module", FILES)
def test_no_property_takes_a_lock(module):
    """A child that is forked while another thread holds one would wait for ever."""
    assert "@cached_property" not in (source := FILES[module].read_text()) and "@functools.cached" not in source
