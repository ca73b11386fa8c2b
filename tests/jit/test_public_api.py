"""What the package uses of Numba and llvmlite is public."""

import ast
from pathlib import Path

import pytest

import convnd

PACKAGE = Path(convnd.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {"numba", "numba.extending", "llvmlite", "llvmlite.binding"}
NAMES = {
    "numba": {"carray", "cfunc", "config", "errors", "from_dtype", "njit", "prange", "types"},
    "numba.core": {"cgutils"},
    "numba.extending": {"intrinsic", "overload"},
    "llvmlite": {"ir"},
}
ATTRIBUTES = NAMES["numba"] | {"__version__", "get_num_threads", "set_num_threads", "threading_layer"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_public_names(path):
    aliases = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in ("numba", "llvmlite"):
                    assert alias.name in MODULES, alias.name
                    aliases[alias.asname or alias.name] = alias.name
                assert alias.name not in ("ast", "pickle"), f"{path.name} imports {alias.name}"
        elif (
            isinstance(node, ast.ImportFrom) and node.level == 0 and node.module.split(".")[0] in ("numba", "llvmlite")
        ):
            for alias in node.names:
                assert alias.name in NAMES.get(node.module, ()), f"from {node.module} import {alias.name}"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "numba":
            assert node.attr in ATTRIBUTES, f"numba.{node.attr}"
        elif isinstance(node, ast.Attribute):
            assert node.attr not in ("getsource", "JITCPUCodegen"), node.attr
