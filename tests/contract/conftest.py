"""The matrix of operations and methods, without what would only repeat `convnd`."""

import pytest

BUILT_ON_CONVND = {"plan", "stream", "blockwise", "dask", "omit"}
DERIVATIVES = {"adjoint", "kernel_gradient"}
#: What runs inside compiled functions too, by direct sums: a function for each type and rank takes seconds to compile.
COMPILED = {"test_values", "test_boundaries_of_each_axis_and_end", "test_channels", "test_layouts_of_arguments"}


def arguments(item):
    """The arguments of a test by their names."""
    return item.callspec.params if hasattr(item, "callspec") else {}


def repeats(item):
    """What is built on `convnd` runs with the small tiles alone, by one method that is exact and by one that rounds."""
    given = arguments(item)
    operation, method = given.get("operation"), given.get("method", given.get("every_method", "direct"))
    if operation == "njit":
        return item.originalname not in COMPILED or given["tuning"] == "tiny" or method != "direct"
    return operation in BUILT_ON_CONVND and (
        given.get("tuning") == "default" or method not in ("direct", "fft", "winograd")
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave out the tests that repeat another, and mark those that compile functions for their types.

    And those of derivatives by what "auto" chooses, which run by each method's name.
    """
    repeated = [item for item in items if repeats(item)]
    config.hook.pytest_deselected(items=repeated)
    items[:] = [item for item in items if not repeats(item)]
    for item in items:
        given = arguments(item)
        chosen = {given.get("method"), given.get("every_method")}
        if given.get("operation") == "njit" or (given.get("operation") in DERIVATIVES and "auto" in chosen):
            item.add_marker(pytest.mark.slow)
