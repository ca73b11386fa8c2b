"""Fixtures that run tests with other tuning constants, and packages that a run may not lack."""

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
    """Runs a test once with each setting."""
    with settings.tuned(request.param):
        yield request.param


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and any(re.search(rf"could not import '{name}\b", str(report.longrepr)) for name in NEEDED):
        report.outcome = "failed"
    return report
