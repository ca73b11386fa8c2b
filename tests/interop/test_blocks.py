"""Any box of outputs, computed from the samples that it reads alone, has the bits of the whole result."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convnd import convnd, window
from convnd.methods.blocks import block, line, stand_in
from convnd.plan import Plan
from convnd.problem.arguments.parse import parse
from convnd.problem.axis import Axis
from convnd.problem.boundary import MODES, input_index
from convnd.problem.options import Options
from support.check import rounding, same
from support.strategies import Array, Problem, problems


@st.composite
def axes(draw):
    number = st.integers(1, 9)
    upsample, before, after = draw(st.integers(1, 4)), draw(st.integers(0, 40)), draw(st.integers(0, 40))
    mode = st.integers(0, len(MODES) - 1)
    axis = Axis(draw(number), draw(number), draw(st.integers(1, 4)), draw(st.integers(1, 3)), before, after,
                upsample=upsample, boundary=(draw(mode), draw(mode)))  # fmt: skip
    longer = max(0, axis.extent - axis.positions - before - after)
    return replace(axis, length=axis.length + longer)


@given(axes(), st.data())
def test_every_tap_of_a_block_reads_the_sample_it_reads_in_the_whole(axis, data):
    first = data.draw(st.integers(0, axis.outputs - 1))
    end = data.draw(st.integers(first + 1, axis.outputs))
    own = line(axis, first, end)
    assert all(0 <= s.start < s.stop <= axis.length for s in own.slices)
    window = [i for s in own.slices for i in range(s.start, s.stop)]
    if len(own.slices) > 1:  # nothing is left to pad
        assert len(own.slices) == 2 and max(own.axis.before, own.axis.after) < axis.upsample
    assert len(window) == own.axis.length and own.axis.outputs == end - first

    def supplier(axis, output, tap, samples):
        sample, between = divmod(axis.stride * output + axis.dilation * tap - axis.before, axis.upsample)
        if between:
            return "zero"
        return samples(sample)

    def of_window(sample):
        place = input_index(sample, len(window), 1, *own.axis.boundary)
        return window[place] if place >= 0 else -1

    for output in range(end - first):
        for tap in range(axis.taps):
            whole = supplier(axis, first + output, tap, lambda i: input_index(i, axis.length, 1, *axis.boundary))
            inside = supplier(own.axis, output, tap, of_window)
            assert inside == whole


def convolved_in_blocks(x, kernel, options, cuts, like):
    """The result, block by block; `cuts` are the boundaries of blocks along each axis of it."""
    request = parse(stand_in(x.shape, x.dtype), kernel, None, Options(**options))
    result = np.full_like(like, 7)
    for index in np.ndindex(*(len(c) - 1 for c in cuts)):
        box = [(c[i], c[i + 1]) for c, i in zip(cuts, index)]
        own = block(request, box)
        window = own.read(x)
        result[tuple(slice(*span) for span in box)] = Plan(own.of(window))(window)
    return result


@given(problems(), st.data())
@settings(max_examples=120)
@example(Problem(Array((5,), "float32"), Array((2,), "float32"), {"upsample": 3, "padding": ((1, 2),)}), None)
@example(Problem(Array((3, 4), "int16"), Array((2, 2), "float32"), {"padding": 30, "boundary": "wrap"}), None)
def test_blocks_have_the_bits_of_the_whole(tuned, problem, data):
    x, kernel, options = problem.make()
    if problem.method == "direct":  # sums that round
        x, kernel = problem.x.values(rounding), problem.kernel.values(rounding)
    x = np.ascontiguousarray(x)  # blocks are cut from it in its own memory order
    options.pop("out")
    with tuned(problem.tuning):
        expected = convnd(x, kernel, **options)
        channel = options.get("channel_axis")
        cuts = []
        for a, n in enumerate(expected.shape):
            inner = []
            if n > 1 and not (expected.ndim == x.ndim and channel is not None and a == channel % x.ndim):
                inner = [n // 2] if data is None else data.draw(st.lists(st.integers(1, n - 1), max_size=2))
            cuts.append(sorted({0, n, *inner}))
        result = convolved_in_blocks(x, kernel, options, cuts, expected)
    if problem.method == "direct" or expected.dtype.kind in "biu":
        same(result, expected)
    else:
        np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3 * (1 + np.abs(expected).max(initial=0)))


def test_a_block_reads_little():
    x, kernel = stand_in((10**6, 10**6, 10**5), np.dtype(np.float32)), np.ones((3, 5, 7), np.float32)
    for boundary in MODES:
        request = parse(x, kernel, None, Options(padding="same", boundary=boundary))
        own = block(request, [(0, 10), (500, 600), (10**5 - 50, 10**5)])
        assert sum(s.stop - s.start for s in own.lines[0].slices) <= 12
        assert own.lines[1].slices == (slice(498, 602),)
        assert sum(s.stop - s.start for s in own.lines[2].slices) <= 56


@given(problems(), st.data())
@settings(max_examples=60)
def test_windows_that_users_cut(problem, data):
    x, kernel, options = problem.make()
    del options["out"]
    if problem.method == "direct":
        x, kernel = problem.x.values(rounding), problem.kernel.values(rounding)
    x = np.ascontiguousarray(x)
    expected = convnd(x, kernel, **options)
    if not expected.size:
        return
    box, channel = [], options.get("channel_axis")
    for a, n in enumerate(expected.shape):
        first = data.draw(st.integers(0, n - 1))
        whole = channel is not None and expected.ndim == x.ndim and a == channel % x.ndim
        box.append(slice(None) if whole else slice(first, data.draw(st.integers(first + 1, n))))
    own = window(x, kernel, tuple(box), **options)
    samples = own.read(x)
    for a, cut in enumerate(own.slices):
        x = np.concatenate([x[(slice(None),) * a + (s,)] for s in cut], axis=a, dtype=x.dtype)
    same(samples, x)
    if problem.method == "direct" or expected.dtype.kind in "biu":
        same(own(samples), expected[tuple(box)])


def test_windows_say_what_is_wrong():
    x, kernel = np.ones((3, 9, 9)), np.ones((2, 3, 4, 4))
    for outputs, kind, words in [
        ((0, slice(None)), TypeError, "outputs must be slices, but is 0 along axis 0"),
        (np.s_[:, ::2], ValueError, "outputs must be neighbours"),
        (np.s_[:, 4:4], ValueError, "outputs must be neighbours"),
        (np.s_[1:], ValueError, "outputs must hold all 2 channels along axis 0"),
        (np.s_[:, :, :, :], ValueError, "outputs has 4 entries but the result has 3 axes"),
    ]:
        with pytest.raises(kind, match=words.replace("(", r"\(")):
            window(x, kernel, outputs, channel_axis=0)
    box = window(x, kernel, np.s_[:, 1:3], channel_axis=0)
    for samples, words in (x[:, 1:7], "x has shape (3, 6, 9)"), (x[:, 1:6].astype(np.float32), "x has dtype float32"):
        with pytest.raises(ValueError, match=re.escape(words)):
            box(samples)
    same(box(x[:, 1:6]), convnd(x, kernel, channel_axis=0)[:, 1:3])


def test_a_complex_fill_value_stands_outside_real_samples():
    x, options = np.arange(6.0), {"padding": 2, "fill_value": 1j}
    kernel = np.array([1, 2j, 3])
    box = window(x, kernel, np.s_[:3], **options)
    same(box(box.read(x)), convnd(x, kernel, **options)[:3])
