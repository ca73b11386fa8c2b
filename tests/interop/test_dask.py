"""A dask array in, a lazy one out: the bits of the call in memory, and a graph of the tasks that it takes."""

import json
import pickle
import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convnd import convnd
from convnd.interop import dask as graphs
from support.check import integers, reals, same
from support.processes import run
from support.strategies import Array, Problem, problems

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

X, KERNEL = reals((23, 19, 17), np.float32), reals((5, 4, 3), np.float32, seed=1)


def rounding(shape, dtype, seed):
    return (reals if np.dtype(dtype).kind in "fc" else integers)(shape, dtype, seed)


def computed(lazily, scheduler="sync"):
    """The result, each of whose chunks has the length and the type that were announced."""
    assert isinstance(lazily, da.Array) and lazily._meta.dtype == lazily.dtype and lazily._meta.ndim == lazily.ndim
    for chunk, key in zip(dask.get(dict(lazily.dask), list(dask.core.flatten(lazily.__dask_keys__()))),
                          np.ndindex(*lazily.numblocks)):  # fmt: skip
        assert chunk.shape == tuple(lengths[k] for lengths, k in zip(lazily.chunks, key))
        assert chunk.dtype == lazily.dtype
    return np.asarray(lazily.compute(scheduler=scheduler))


@given(problems(), st.data())
@settings(max_examples=40)
@example(Problem(Array((5,), "float32"), Array((2,), "float32"), {"upsample": 3, "padding": ((1, 2),)}), None)
@example(Problem(Array((3, 4), "int16"), Array((2, 2), "float32"), {"padding": 30, "boundary": "wrap"}), None)
@example(Problem(Array((6, 9), "uint8"), Array((6, 1, 3), "int8"),
                 {"channel_axis": 0, "groups": 6, "fill_value": -1, "padding": 2}), None)  # fmt: skip
def test_chunks_have_the_bits_of_the_whole(tuned, problem, data):
    x, kernel, options = problem.make()
    if problem.method == "direct":  # sums that round
        x, kernel = problem.x.values(rounding), problem.kernel.values(rounding)
    x = np.ascontiguousarray(x) if x.ndim else x
    options.pop("out")
    chunks = []
    for n in x.shape:
        inner = [n // 2] if data is None else data.draw(st.lists(st.integers(0, n), max_size=3))
        chunks.append(tuple(np.diff(sorted([0, n, *inner])).tolist()))
    with tuned(problem.tuning):
        expected = convnd(x, kernel, **options)
        lazily = convnd(da.from_array(x, chunks), kernel, **options)
        assert (lazily.shape, lazily.dtype) == (expected.shape, expected.dtype)
        result = computed(lazily)
    if problem.method == "direct" or expected.dtype.kind in "biu":
        same(result, expected)
    else:
        np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3 * (1 + np.abs(expected).max(initial=0)))


@pytest.mark.parametrize("options, chunks", [
    ({"padding": "same"}, ((4, 4, 1), (5, 7))),
    ({"padding": "same", "stride": 4}, ((1, 1, 1), (2, 1))),
    ({}, ((3, 4), (3, 6))),  # centred on rows 1 to 7 and columns 2 to 10 of x
    ({"convention": "correlation"}, ((3, 4), (4, 5))),  # columns 1 to 9
    ({"padding": "full"}, ((5, 4, 2), (6, 9))),
    ({"padding": "same", "upsample": 3}, ((12, 12, 1), (15, 19))),
    ({"padding": ((7, 0), (0, 20)), "boundary": "wrap"}, ((10, 4), (3, 26))),
])  # fmt: skip
def test_outputs_are_in_the_chunk_that_they_are_centred_on(options, chunks):
    x, kernel = integers((9, 12)), integers((3, 4), seed=1)
    lazily = convnd(da.from_array(x, ((4, 4, 1), (5, 7))), kernel, **options)
    same(computed(lazily), convnd(x, kernel, **options))
    assert lazily.chunks == chunks


def layer(lazily):
    """The tasks that convolve, and the slabs that they read; what is left is the kernel."""
    (own,) = (layer for name, layer in lazily.dask.layers.items() if name == lazily.name)
    tasks = {key for key in own if key[0] == lazily.name}
    slabs = {key for key in own if key[0].startswith("convnd-slab")}
    assert len(own) == len(tasks) + len(slabs) + 1
    return own, tasks, slabs


def test_one_task_for_each_chunk_and_slabs_of_its_neighbours():
    x = da.zeros((40, 60, 50), chunks=10, dtype=np.float32)
    lazily = convnd(x, KERNEL, padding="same", boundary="reflect", stride=(1, 2, 1))
    own, tasks, slabs = layer(lazily)
    assert lazily.numblocks == x.numblocks and len(tasks) == lazily.npartitions
    assert len(slabs) <= 6 * x.npartitions  # two for each axis, however many neighbours read them
    assert set(lazily.dask.layers) == {x.name, lazily.name}  # nothing is rechunked
    for key in slabs:
        (chunk,) = own[key].dependencies
        assert chunk[0] == x.name and np.prod(own[key]({chunk: np.empty((10, 10, 10))}).shape) <= 300
    inner = own[lazily.name, 2, 2, 2]
    assert {key for key in inner.dependencies if key[0] == x.name} == {(x.name, 2, 2, 2)}
    assert len(inner.dependencies) <= 1 + 26 + 1


def test_the_kernel_is_in_the_graph_once():
    kernel = reals((9, 9))
    lazily = convnd(da.zeros((100, 100), chunks=10), kernel, padding="same")
    assert pickle.dumps(dict(lazily.dask)).count(kernel.tobytes()) == 1
    small = convnd(da.zeros((100, 100), chunks=10), kernel[:1, :1], padding="same")
    assert len(pickle.dumps(dict(lazily.dask))) < 100 * 1500 and len(pickle.dumps(dict(small.dask))) < 100 * 400


def test_the_kernel_is_that_of_the_call():
    kernel = integers((3, 3))
    x = integers((20, 20))
    lazily, expected = convnd(da.from_array(x, 10), kernel), convnd(x, kernel)
    kernel[...] = 0
    same(computed(lazily), expected)
    assert convnd(da.from_array(x, 10), kernel).name != lazily.name


def test_nothing_is_computed_before_it_is_asked_for():
    asked = []

    def load(block_info):
        asked.append(block_info[None]["chunk-location"])
        return np.ones((5, 10), np.float32)

    x = da.map_blocks(load, chunks=((5,) * 8, (10,) * 6), dtype=np.float32, meta=np.empty((0, 0), np.float32))
    lazily = convnd(x, np.ones((3, 3), np.float32), padding="same")
    assert asked == []
    same(lazily[12:14, 22:24].compute(scheduler="sync"), np.full((2, 2), 9, np.float32))
    assert set(asked) <= {(i, j) for i in (1, 2, 3) for j in (1, 2, 3)}


@pytest.mark.parametrize("c_in, chunk, groups, filters", [(6, 2, 1, 4), (6, 2, 3, 6), (6, 1, 6, 12), (6, 4, 3, 3)])
@pytest.mark.parametrize("last", [False, True])
def test_channels_are_cut_where_groups_are(c_in, chunk, groups, filters, last):
    x, kernel = reals((2, c_in, 14, 13)), reals((filters, c_in // groups, 3, 2), seed=1)
    axis, chunks, position = 1, (1, chunk, 5, 7), 1
    if last:
        x, kernel = np.moveaxis(x, 1, -1), kernel.transpose(2, 3, 1, 0)
        axis, chunks, position = 3, (1, 5, 7, chunk), 3
    x = np.ascontiguousarray(x)
    options = {"axes": (1, 2) if last else (2, 3), "channel_axis": axis, "groups": groups, "method": "direct"}
    for bias in (None, 2.0, np.arange(filters)):
        lazily = convnd(da.from_array(x, chunks), kernel, padding=1, bias=bias, **options)
        same(computed(lazily), convnd(x, kernel, padding=1, bias=bias, **options))
    cut = {(2, 1): 1, (2, 3): 3, (1, 6): 6, (4, 3): 2}[chunk, groups]
    assert lazily.numblocks[position] == cut


def test_chunks_in_fortran_order_have_the_bits_of_such_an_array():
    for options in ({"padding": "same"}, {"padding": 30, "stride": (3, 1, 2), "boundary": "symmetric"}):
        options |= {"method": "direct"}
        x = da.from_array(X, (9, 8, 17)).map_blocks(np.asfortranarray, meta=np.empty((0, 0, 0), np.float32))
        same(computed(convnd(x, KERNEL, **options)), convnd(np.asfortranarray(X), KERNEL, **options))


def lazy_and_expected():
    x = integers((60, 50), np.int16)
    kernel = integers((5, 3), seed=1)
    options = {"padding": "same", "boundary": "wrap"}
    return convnd(da.from_array(x, 20), kernel, **options), convnd(x, kernel, **options)


@pytest.mark.parametrize("scheduler", ["sync", "threads", pytest.param("processes", marks=pytest.mark.process)])
def test_schedulers(scheduler):
    lazily, expected = lazy_and_expected()
    same(lazily.compute(scheduler=scheduler, num_workers=2), expected)


@pytest.mark.process
def test_a_cluster():
    distributed = pytest.importorskip("dask.distributed")
    lazily, expected = lazy_and_expected()
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        same(lazily.compute(), expected)
        assert client.submit(graphs._threads, pure=False).result() == 1


def test_a_task_takes_the_threads_that_are_free(monkeypatch):
    taken, both = [], threading.Barrier(2, timeout=60)
    convolve = graphs.Chunked.convolve

    def noted(self, index, pieces, workers):
        taken.append(workers)
        both.wait()  # until another task runs beside it
        return convolve(self, index, pieces, 1)

    monkeypatch.setattr(graphs, "available", lambda: 5)
    monkeypatch.setattr(graphs.Chunked, "convolve", noted)
    x = da.zeros((20, 20), chunks=(10, 20))
    convnd(x, np.ones((3, 3))).compute(scheduler="threads", num_workers=2)
    assert sorted(taken) == [1, 5]  # the first took all that there were
    taken.clear()
    convnd(x, np.ones((3, 3)), workers=3).compute(scheduler="threads", num_workers=2)
    assert taken == [3, 3]


def test_in_a_pool_of_processes_a_task_takes_one_thread(monkeypatch):
    monkeypatch.setattr(graphs.multiprocessing, "parent_process", lambda: object())
    assert graphs._threads() == 1


def test_errors_are_raised_at_once():
    x = da.zeros((9, 9), chunks=3)
    for options, error, words in (
        ({"stride": 0}, ValueError, "stride must be at least 1"),
        ({"boundary": "mirror"}, ValueError, "'reflect'"),
        ({"out": np.zeros((9, 9))}, TypeError, "out must be None"),
    ):
        with pytest.raises(error, match=words):
            convnd(x, np.ones((3, 3)), **options)
    with pytest.raises(TypeError, match="not numeric"):
        convnd(x.astype(object), np.ones((3, 3)))
    with pytest.raises(TypeError, match="x has chunks of MaskedArray"):
        convnd(da.ma.masked_less(x, 0), np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"x .* axis 0: call x.compute_chunk_sizes\(\)"):
        convnd(x[x[:, 0] == 0], np.ones((3, 3)))


@pytest.mark.process
def test_dask_is_imported_for_its_arrays_alone():
    script = "import sys, convnd; convnd.convnd([1, 2], [3]); assert not {'dask', 'xarray'} & set(sys.modules)"
    run("-c", script)


def test_the_benchmark_measures_and_draws(monkeypatch, tmp_path, capsys):
    pytest.importorskip("dask_image")
    pytest.importorskip("matplotlib")
    import dask_scale
    import timing

    for name, value in {"TURN": 0, "PAUSE": 0, "ROUNDS": 1}.items():
        monkeypatch.setattr(timing, name, value)
    monkeypatch.setattr(dask_scale, "SIDE", 24)
    monkeypatch.setattr(dask_scale, "CHUNK", 12)
    figures, plot = tmp_path / "figures.json", tmp_path / "figures.png"
    options = ["--rivals", "0.001", "--sides", "1", "3", "--json", str(figures), "--plot", str(plot)]
    assert dask_scale.main(options) == 0
    compared, *rows = json.loads(figures.read_text())["rows"]
    assert set(compared["ms"]) == set(dask_scale.WAYS)
    assert [(row["chunks"], row["tasks"]) for row in rows] == [
        (1, 1 + 1),
        (27, 27 + 108 + 1),
    ]  # with two slabs for each of 54 faces
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert len(capsys.readouterr().out.splitlines()) == 6
