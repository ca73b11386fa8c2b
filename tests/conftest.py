"""Fixtures that run tests with other tuning constants, and packages that a run may not lack."""

import gc
import os
import re

import pytest

from support import settings

#: Packages, by spaces, without which tests fail that are skipped otherwise: `.ci/run` sets it.
NEEDED = os.environ.get("TESTS_NEED", "").split()


@pytest.fixture(scope="session")
def tuned():
    """`with tuned("tiny"):`, for tests that draw the setting."""
    return settings.tuned


@pytest.fixture(params=settings.SETTINGS)
def tuning(request):
    """Runs a test once with each setting; tests that change the package share nothing that is remembered."""
    changes = "monkeypatch" in request.fixturenames
    with settings.tuned(request.param, settings.constants if changes else settings.shared):
        yield request.param


def pytest_collection_modifyitems(items):
    """Begin with calls inside @njit: one worker compiles for them all, as others take tests from the end."""
    items.sort(key=lambda item: "njit" not in item.nodeid)


def pytest_collection_finish():
    """Leave tests and imported modules out of Python's searches for garbage, which took a tenth of the time."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and any(re.search(rf"could not import '{name}\b", str(report.longrepr)) for name in NEEDED):
        report.outcome = "failed"
    return report
