"""What a stream returns, joined, has the bits of the one-shot call, however its blocks are cut."""

import copy
import pickle
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnd import Stream, convnd
from convnd.plan import Plan
from support.check import integers, rounding, same
from support.processes import PACKAGE
from support.strategies import problems

#: Where memory is allocated that counts: in this thread, and not in those of dask and zarr.
OURS = [tracemalloc.Filter(True, files) for files in (__file__, f"{PACKAGE}/*", f"{Path(np.__file__).parent}/*")]
BOUNDARIES = ["constant", "edge", "reflect", "symmetric", "wrap"]


def streamed(x, kernel, lengths, *, axis, out_axis, **options):
    """The outputs of a stream that is fed `x` in blocks of these lengths, then the rest."""
    stream, parts, start = Stream(kernel, axis=axis, **options), [], 0
    for length in [*lengths, x.shape[axis]]:
        block = x[(slice(None),) * (axis % x.ndim) + (slice(start, start + length),)]
        parts.append(stream.feed(block))
        start += block.shape[axis]
    return np.concatenate([*parts, stream.flush()], axis=out_axis)


@given(problems(), st.data())
@settings(max_examples=100)
def test_streams_have_the_bits_of_the_whole(tuned, problem, data):
    x, kernel, options = problem.make()
    del options["out"]
    if problem.method == "direct":  # sums that round
        x, kernel = problem.x.values(rounding), problem.kernel.values(rounding)
    x = np.ascontiguousarray(x)
    channel = options.get("channel_axis")
    channel = None if channel is None else channel % x.ndim
    axis = data.draw(st.sampled_from([a for a in range(x.ndim) if a != channel and x.shape[a]]))
    lengths = data.draw(st.lists(st.integers(0, 7), max_size=5))
    with tuned(problem.tuning):
        expected = convnd(x, kernel, **options)
        out_axis = axis - (channel is not None and expected.ndim < x.ndim and channel < axis)
        try:
            result = streamed(x, kernel, lengths, axis=axis, out_axis=out_axis, **options)
        except ValueError as error:
            if "boundary 'wrap'" not in str(error):
                raise
            return  # its beginning is its end
    if problem.method == "direct" or expected.dtype.kind in "biu":
        same(result, expected)
    else:
        np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3 * (1 + np.abs(expected).max(initial=0)))


def test_outputs_come_as_soon_as_no_sample_to_come_has_a_part_in_them():
    ones = np.ones((7, 1), np.float32)
    for options, counts, tail in [
        ({}, [0, 0, 0, 1, 1, 1, 1], 0),
        ({"padding": "same", "convention": "correlation"}, [0, 0, 1, 1, 1, 1, 1], 2),
        ({"padding": "full"}, [1] * 7, 3),
        ({"padding": "same", "boundary": "reflect"}, [0, 0, 2, 1, 1, 1, 1], 1),  # the first reads x[2]
        ({"padding": "full", "stride": 2}, [1, 0, 1, 0, 1, 0, 1], 1),
        ({"padding": ((0, 3),), "boundary": "wrap"}, [0, 0, 0, 1, 1, 1, 1], 3),
        ({"padding": ((2, 3),), "boundary": (("edge", "wrap"),)}, [0, 1, 1, 1, 1, 1, 1], 3),
        ({"padding": ((2, 1),), "boundary": (("reflect", "constant"),)}, [0, 0, 2, 1, 1, 1, 1], 1),
    ]:
        stream = Stream(np.ones(4), **options)
        assert [len(stream.feed(sample)) for sample in ones] == counts
        assert len(stream.flush()) == tail


def test_the_end_of_a_short_stream_wraps_to_its_beginning():
    """The last window is longer than the stream, whose middle is not kept."""
    x, kernel = rounding((6,)), rounding((5,), seed=1)
    for before, after in product((0, 1, 7), range(9)):
        first = "wrap" if before == 0 else "reflect"
        options = {"padding": ((before, after),), "boundary": ((first, "wrap"),), "method": "direct"}
        for lengths in [6], [2, 2, 2]:
            same(streamed(x, kernel, lengths, axis=0, out_axis=0, **options), convnd(x, kernel, **options))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda stream: pickle.loads(pickle.dumps(stream))])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_copies_continue_by_themselves(copied, boundary):
    x, kernel = rounding((40, 3), np.float32).astype(">f4"), rounding((5, 2), np.float32, 1)
    options = {"padding": ((0, 4), (1, 0)), "boundary": boundary, "method": "direct"}
    streams, expected = [Stream(kernel, **options)], convnd(x, kernel, **options)
    outputs = [[]]
    for block in np.split(x, [7, 8, 20]):  # a copy before each block
        streams.append(copied(streams[-1]))
        outputs.append([*outputs[-1]])
        for stream, fed in zip(streams[-2:], outputs[-2:]):
            fed.append(stream.feed(block))
    for stream, fed in zip(streams[-2:], outputs[-2:]):
        same(np.concatenate([*fed, stream.flush()]), expected)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_memory_does_not_grow(boundary):
    padding = ((0, 50),) if boundary == "wrap" else "same"
    stream = Stream(np.ones(101), padding=padding, boundary=boundary, method="direct", workers=1)
    block = np.ones(1000)

    def grown(blocks):
        tracemalloc.start()
        for _ in range(blocks):
            stream.feed(block)
        traces = tracemalloc.take_snapshot().filter_traces(OURS)
        tracemalloc.stop()
        return sum(kept.size for kept in traces.statistics("filename"))

    grown(1000)  # Python keeps small objects for later
    assert grown(300) < 50_000  # of 2,400,000 that came


def test_a_block_costs_neither_a_plan_nor_a_copy_of_what_is_kept(monkeypatch):
    made = []
    monkeypatch.setattr("convnd.interop.stream.Plan", lambda request: made.append(request) or Plan(request))
    x, kernel = rounding((1200, 30)), rounding((101, 1), seed=1)
    options = {"padding": "same", "boundary": "edge", "method": "direct", "workers": 1}
    stream, outputs, copied = Stream(kernel, **options), [], 0
    for count, block in enumerate(np.split(x, 1200)):
        tracemalloc.start()
        outputs.append(stream.feed(block))
        copied += count > 600 and tracemalloc.get_traced_memory()[1] > 100 * block.nbytes
        tracemalloc.stop()
        if count == 600:
            made.clear()
    assert not made
    assert copied == 0  # in memory that is new
    same(np.concatenate([*outputs, stream.flush()]), convnd(x, kernel, **options))


@pytest.mark.parametrize("before", BOUNDARIES)
@pytest.mark.parametrize("after", BOUNDARIES)
def test_blocks_alike_read_what_they_read_along_other_axes(before, after):
    x, kernel = integers((40, 7, 3), np.float32), integers((3, 3, 2), np.float32, seed=1)
    for stride, padding in (3, (0, 0)), (2, (2, 1)), (1, (0, 3)):
        options = {
            "stride": (1, stride, 1), "padding": ((1, 1), padding, (1, 0)), "method": "direct",
            "boundary": (("edge", "edge"), (before, after), ("constant", "constant")),
        }  # fmt: skip
        same(streamed(x, kernel, [4] * 9, axis=0, out_axis=0, **options), convnd(x, kernel, **options))


@pytest.mark.parametrize(
    ("options", "blocks", "words"),
    [
        ({}, [np.zeros(3)], "padding axis 0 length 3 extent 5"),
        ({}, [np.zeros(0)], "x has no samples"),
        ({}, [], "no block"),
        ({}, [np.zeros(3), np.zeros(3, np.float32)], "block float32 stream float64"),
        ({"axes": 1}, [np.zeros((2, 3)), np.zeros((3, 3))], "block (3, 3) axes 1 (2, 3)"),
        ({}, [np.zeros(9), np.zeros((3, 3))], "block (3, 3)"),
        ({}, [np.zeros(())], "kernel has 1 axes but x has 0"),
        ({"axis": 1}, [np.zeros(9)], "axis=1 1 axes"),
        ({}, [np.zeros(9), np.ma.masked_array(np.zeros(9))], "block mask filled"),
        ({"padding": "same", "boundary": "wrap"}, [np.zeros(9)], "wrap padding 2"),
        ({"padding": "some"}, [np.zeros(9)], "padding 'some'"),
        ({"padding": 1, "boundary": (("wrap", "edge"),)}, [np.zeros(9)], "wrap padding 1"),
    ],
)
def test_errors(options, blocks, words):
    stream = Stream(np.ones(5), **options)
    with pytest.raises((TypeError, ValueError)) as caught:
        [*map(stream.feed, blocks), stream.flush()]
    for word in words.split():
        assert word in str(caught.value)


def test_a_stream_ends_once():
    stream = Stream(np.ones(2))
    stream.feed(np.ones(3))
    stream.flush()
    for call in stream.flush, lambda: stream.feed(np.ones(3)):
        with pytest.raises(ValueError, match="has ended"):
            call()
    with pytest.raises(ValueError, match="axis 0 is the channel axis"):
        Stream(np.ones((2, 3)), channel_axis=0, axis=0).feed(np.ones((2, 9)))
    with pytest.raises(TypeError, match="'pad': it is padding here"):
        Stream(np.ones(2), pad=1)


def test_what_a_stream_shows():
    stream = Stream(np.ones(3))
    assert repr(stream) == "<convnd.Stream float64 kernel (3,)>"
    stream.feed(np.ones(7))
    shown = "float64 kernel (3,) along axis 0: 7 samples came, 5 outputs are done"
    assert repr(stream) == f"<convnd.Stream {shown}>"
    stream.flush()
    assert repr(stream) == f"<convnd.Stream {shown}, ended>"
