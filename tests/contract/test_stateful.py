"""Plans among other calls: whatever is planned, called, changed and forgotten in between, results are the oracle's."""

import contextlib

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from convnd import convnd, plan
from support import oracle
from support.check import agrees, integers, same
from support.settings import SETTINGS, tuned
from support.strategies import LAYOUTS, WRITEABLE, overlapping, problems

KEEP_VALUES = [name for name in LAYOUTS if name not in ("zero stride", "swapped")]


class Planned:
    """A plan, the options that it was made with, and a copy of the kernel as it was then."""

    def __init__(self, problem):
        self.x, self.kernel, options = problem.make()
        self.types = {k: v for k, v in options.items() if k not in ("out", "workers", "method")}
        self.run = {k: options[k] for k in ("workers", "method")}
        if options["out"] is not None:
            self.types["dtype"] = options["out"].dtype
        self.changing = np.array(self.kernel)
        self.plan = plan(self.x, self.changing, **self.types, **self.run)

    def samples(self, seed):
        return integers(self.x.shape, self.x.dtype, seed)

    def check(self, result, x):
        expected = oracle.convnd(x, self.kernel, **self.types)
        agrees(result, expected, self.plan.method, x, self.kernel, **self.types)


class Plans(RuleBasedStateMachine):
    """Every rule uses what others may have left behind: remembered calls, tables, rooms, kernels in caches."""

    plans = Bundle("plans")
    seeds = st.integers(0, 2**16)

    def __init__(self):
        super().__init__()
        self.contexts = contextlib.ExitStack()

    @initialize(setting=st.sampled_from(list(SETTINGS)))
    def tune(self, setting):
        self.contexts.enter_context(tuned(setting))

    def teardown(self):
        self.contexts.close()

    @rule(target=plans, problem=problems())
    def make(self, problem):
        return Planned(problem)

    @rule(planned=plans, seed=seeds, layout=st.sampled_from(KEEP_VALUES))
    def call(self, planned, seed, layout):
        x = LAYOUTS[layout](planned.samples(seed))
        planned.check(planned.plan(x), x)

    @rule(planned=plans, seed=seeds, layout=st.sampled_from([name for name in WRITEABLE if name != "swapped"]))
    def call_into(self, planned, seed, layout):
        x = planned.samples(seed)
        out = LAYOUTS[layout](np.ones(planned.plan.output_shape, planned.plan.dtype))
        assert planned.plan(x, out) is out
        planned.check(out, x)

    @rule(planned=plans, seed=seeds, offset=st.integers(0, 100))
    def call_into_its_own_memory(self, planned, seed, offset):
        x = planned.samples(seed)
        copy, out = overlapping(x, planned.plan.output_shape, planned.plan.dtype, offset)
        planned.check(planned.plan(copy, out), x)

    @rule(planned=plans, seed=seeds)
    def call_without_plan(self, planned, seed):
        x = planned.samples(seed)
        planned.check(convnd(x, planned.kernel, **planned.types, **planned.run), x)

    @rule(planned=plans, seed=seeds, boundary=st.sampled_from(["constant", "edge", "wrap"]))
    def call_with_another_option(self, planned, seed, boundary):
        x, types = planned.samples(seed), {**planned.types, "boundary": boundary, "fill_value": 0}
        result, expected = convnd(x, planned.kernel, **types), oracle.convnd(x, planned.kernel, **types)
        agrees(result, expected, "auto", x, planned.kernel, **types)

    @rule(planned=plans, value=st.integers(0, 1))
    def change_the_kernel(self, planned, value):
        planned.changing[...] = value

    @rule(planned=plans, seed=seeds)
    def transpose(self, planned, seed):
        """The adjoint is the one of a plan that was made just now, of the kernel as it was."""
        y = integers(planned.plan.output_shape, np.float64, seed)
        fresh = plan(planned.x, planned.kernel, **planned.types, **planned.run)
        same(planned.plan.adjoint(y), fresh.adjoint(y))
        same(planned.plan.kernel_gradient(planned.samples(seed), y), fresh.kernel_gradient(planned.samples(seed), y))


Plans.TestCase.settings = settings(max_examples=max(1, settings().max_examples // 20), stateful_step_count=15)
TestPlans = Plans.TestCase
