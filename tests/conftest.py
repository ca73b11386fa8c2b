"""Fixtures that run tests with other tuning constants."""

import pytest

from support import settings


@pytest.fixture(scope="session")
def tuned():
    """`with tuned("tiny"):`, for tests that draw the setting."""
    return settings.tuned


@pytest.fixture(params=settings.SETTINGS)
def tuning(request):
    """Runs a test once with each setting."""
    with settings.tuned(request.param):
        yield request.param
