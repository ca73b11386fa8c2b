"""The matrix of operations and methods, without what would only repeat `convnd`."""

BUILT_ON_CONVND = {"plan", "stream", "blockwise", "dask", "omit"}


def repeats(item):
    """What is built on `convnd` runs with the small tiles alone, by one method that is exact and by one that rounds."""
    given = item.callspec.params if hasattr(item, "callspec") else {}
    method = given.get("method", given.get("every_method", "direct"))
    return given.get("operation") in BUILT_ON_CONVND and (
        given.get("tuning") == "default" or method not in ("direct", "fft", "winograd")
    )


def pytest_collection_modifyitems(config, items):
    """Leave out the tests that repeat another."""
    repeated = [item for item in items if repeats(item)]
    config.hook.pytest_deselected(items=repeated)
    items[:] = [item for item in items if not repeats(item)]
