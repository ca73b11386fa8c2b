"""Hypothesis profiles, and the tuning constants made small so that small arrays reach tiles, tails and threads."""

import contextlib
import os

import hypothesis
import pytest

settings = hypothesis.settings(deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
settings.register_profile("ci", settings, max_examples=600, derandomize=True, database=None)
settings.register_profile("long", settings, max_examples=100_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

SETTINGS = {"default": {}, "tiny": {"window_bytes": 256, "serial_below": 1}}


@contextlib.contextmanager
def _tuned(name):
    from convnd import direct, tiles

    with pytest.MonkeyPatch.context() as patch:
        for field, value in SETTINGS[name].items():
            patch.setattr(tiles.TUNING, field, value)
        direct.plan.cache_clear()  # plans made with other settings
        try:
            yield
        finally:
            direct.plan.cache_clear()


@pytest.fixture(scope="session")
def tuned():
    """`with tuned("tiny"):`, for tests that draw the setting."""
    return _tuned


@pytest.fixture(params=SETTINGS)
def tuning(request):
    """Runs a test once with each setting."""
    with _tuned(request.param):
        yield request.param
