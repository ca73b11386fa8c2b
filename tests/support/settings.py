"""Hypothesis profiles, and the tuning constants made small so that small arrays reach tiles, tails and threads."""

import contextlib
import dataclasses
import functools
import os

import hypothesis
import pytest

_common = hypothesis.settings(deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
hypothesis.settings.register_profile("ci", _common, max_examples=300, derandomize=True, database=None)
hypothesis.settings.register_profile("long", _common, max_examples=100_000, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

SETTINGS = {
    "default": {},
    "tiny": {
        "window_bytes": 256, "serial_below": 1, "results_bytes": 1, "first_level_bytes": 256,
        "summed_taps": 2, "folded_taps": 2,
        "most_tiles": 32,  # a register tile takes a fifth of a second to compile
        "near_bytes": 8 * 1024, "far_bytes": 1e-3,  # transforms of more than some rows cost a fortune
        "cached_bytes": 1, "part_cycles": 0.0,  # arrays come from memory, and lines are taken apart
        "looking_ms": 0.0,  # "auto" looks for other ways, however little the work
        "packed_once": 1,
        "slab_samples": 1500, "slab_extents": 0,
        "large_adjoint": 1, "adjoint_growth": 1e9,
        "small_gradient": 1, "gradient_products": 1, "gradient_cycles": 1.0, "gradient_outputs": 1,
    },
}  # fmt: skip


def constants(name, **changes):
    """The tuning constants of a setting, as an object for which the package remembers nothing yet."""
    from convnd.methods import tuning

    return dataclasses.replace(tuning.TUNING, **(SETTINGS[name] | changes))


shared = functools.cache(constants)  # for which plans and layouts of earlier tests are remembered


@contextlib.contextmanager
def tuned(name, constants=constants, **changes):
    from convnd.methods import tuning

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "TUNING", constants(name, **changes))
        yield
