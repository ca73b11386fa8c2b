"""Random problems over the whole option space; `HYPOTHESIS_PROFILE=long` searches for hours instead of a minute."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from convnd import convnd
from support import oracle
from support.check import bound, check, close, near, reals, same
from support.strategies import problems


@given(problems())
def test_equals_the_oracle(tuned, problem):
    x, kernel, options = problem.make()
    with tuned(problem.tuning):
        check(x, kernel, **options)


@given(problems())
def test_no_bit_depends_on_workers_or_the_rest_of_a_batch(tuned, problem):
    """Nor on the tiles, where the method is the direct one."""
    method = "direct" if problem.method == "auto" else problem.method
    x = reals((3, *problem.x.shape), np.float32, problem.x.seed)
    kernel = replace(problem.kernel, dtype="float32").values(reals)
    options = {**problem.options, "fill_value": 0.3}
    options.pop("dtype", None)
    with tuned("default" if method == "direct" else problem.tuning):
        items = [convnd(item, kernel, workers=1, method=method, **options) for item in x]
    close(items[0], x[0], kernel, **options)

    spatial, channel, _ = oracle.roles(x[0].ndim, kernel.ndim, options.get("axes"), options.get("channel_axis"))
    options |= {"axes": [axis + 1 for axis in spatial], "channel_axis": channel[0] + 1 if channel else None}
    with tuned(problem.tuning):
        same(convnd(x, kernel, workers=problem.workers, method=method, **options), np.stack(items))


@settings(max_examples=max(1, settings().max_examples // 3))
@given(problems(), st.lists(st.tuples(st.integers(0, 2**16), st.sampled_from([np.nan, np.inf, -np.inf])), max_size=3))
def test_nan_and_infinity_reach_what_touches_them_alone(tuned, problem, specials):
    x = replace(problem.x, dtype="float32" if problem.method == "winograd" else "float64").make().copy()
    kernel = replace(problem.kernel, dtype="float32").make()
    for place, value in specials if x.size else ():
        x.flat[place % x.size] = value
    options = {k: v for k, v in problem.options.items() if k != "dtype"} | {"fill_value": 2}
    with tuned(problem.tuning), np.errstate(all="ignore"):
        expected = oracle.convnd(x, kernel, **options)
        near(convnd(x, kernel, method=problem.method, **options), expected, bound(x, kernel, **options))
