"""Hypothesis profiles, and the tuning constants made small so that small arrays reach tiles, tails and threads."""

import contextlib
import os

import hypothesis
import pytest

_common = hypothesis.settings(deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.register_profile("ci", _common, max_examples=600, derandomize=True, database=None)
hypothesis.settings.register_profile("long", _common, max_examples=100_000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

SETTINGS = {
    "default": {},
    "tiny": {
        "window_bytes": 256, "serial_below": 1, "results_bytes": 1, "first_level_bytes": 256,
        "near_bytes": 8 * 1024, "far_bytes": 1e-3,  # transforms of more than some rows cost a fortune
    },
}  # fmt: skip


@contextlib.contextmanager
def tuned(name):
    from convnd import calls
    from convnd.derivatives import gradient, parts, spectral_gradient
    from convnd.methods import boxes, choice, costs, direct, separable, spectral, tuning, windows, winograd

    made = [costs.best, direct.plan, separable.plan, spectral.plan, windows.best, boxes.best, winograd.plan]
    made += [gradient.plan, spectral_gradient.plan]
    made += [choice.settled, choice._least, choice.runner, choice._transformed, choice._spectral_cycles]
    clear = [cached.cache_clear for cached in made] + [calls._CALLS.clear]
    with pytest.MonkeyPatch.context() as patch:
        for field, value in SETTINGS[name].items():
            patch.setattr(tuning.TUNING, field, value)
        if name == "tiny":  # "auto" looks for other ways, however little the work
            patch.setattr(choice, "_LOOKING_MS", 0.0)
            patch.setattr(parts, "_SMALL_WORK", 1)
            patch.setattr(parts, "_PRODUCTS_OF_PART", 1)
            patch.setattr(spectral_gradient, "_CYCLES_OF_PART", 1.0)
            patch.setattr(parts, "_OUTPUTS_OF_PART", 1)
        for forget in clear:  # with other settings
            forget()
        try:
            yield
        finally:
            for forget in clear:
                forget()
