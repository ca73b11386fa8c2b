"""Random problems over the whole option space; `HYPOTHESIS_PROFILE=long` searches for hours instead of a minute."""

import numpy as np
from hypothesis import given

import oracle
from check import check, close, reals, same
from convnd import convnd
from strategies import problems


@given(problems())
def test_equals_the_oracle(tuned, problem):
    x, kernel, options = problem.make()
    with tuned(problem.tuning):
        check(x, kernel, **options)


@given(problems())
def test_no_bit_depends_on_tiles_workers_or_the_rest_of_a_batch(tuned, problem):
    x = reals((3, *problem.x.shape), np.float32, problem.x.seed)
    kernel = reals(problem.kernel.shape, np.float32, problem.kernel.seed)
    options = {**problem.options, "fill_value": 0.3}
    options.pop("dtype", None)
    items = [convnd(item, kernel, workers=1, **options) for item in x]
    close(items[0], x[0], kernel, **options)

    spatial, channel, _ = oracle.roles(x[0].ndim, kernel.ndim, options.get("axes"), options.get("channel_axis"))
    options |= {"axes": [axis + 1 for axis in spatial], "channel_axis": channel[0] + 1 if channel else None}
    with tuned(problem.tuning):
        same(convnd(x, kernel, workers=problem.workers, **options), np.stack(items))
