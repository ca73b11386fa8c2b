"""Arrays that are kept elsewhere than in memory: block by block they become what a call in memory gives."""

import os
import random
import subprocess
import sys
import textwrap
import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convnd import blockwise, convnd
from convnd.interop import storage
from support.check import integers, rounding, same
from support.processes import run, start
from support.stored import Stored
from support.strategies import problems


@given(problems(), st.data())
@settings(max_examples=40)
def test_blocks_of_chunks_have_the_bits_of_the_whole(tuned, problem, data):
    x, kernel, options = problem.make()
    del options["out"]
    if problem.method == "direct":  # sums that round
        x, kernel = problem.x.values(rounding), problem.kernel.values(rounding)
    x = np.ascontiguousarray(x)
    chunk = lambda shape: tuple(data.draw(st.integers(1, max(1, n))) for n in shape)  # noqa: E731
    with tuned(problem.tuning):
        expected = convnd(x, kernel, **options)
        stored, out = Stored(x, chunk(x.shape)), Stored(np.full_like(expected, 7), chunk(expected.shape))
        options.pop("dtype", None)  # out has it
        try:
            blockwise(stored, kernel, out, max_memory=data.draw(st.sampled_from([3_000, 30_000])), **options)
        except ValueError as error:
            if "max_memory" not in str(error):
                raise
            blockwise(stored, kernel, out, **options)
    assert (out.written == 1).all()
    if problem.method == "direct" or expected.dtype.kind in "biu":
        same(out.values, expected)
    else:
        np.testing.assert_allclose(out.values, expected, rtol=1e-3, atol=1e-3 * (1 + np.abs(expected).max(initial=0)))


def test_every_chunk_is_read_once():
    x, kernel = Stored(integers((64, 30, 20), np.float32), (8, 10, 20)), integers((5, 5, 5), np.float32, 1)
    out = Stored(np.zeros(x.shape, np.float32), (8, 30, 20))
    blocks, options = [], {"padding": "same", "boundary": "reflect", "method": "direct"}
    blockwise(x, kernel, out, max_memory=200_000, progress=lambda *two: blocks.append(two), **options)
    assert blocks == [(done, 8) for done in range(9)]
    assert (x.read == 1).all() and (out.written == 1).all()
    same(out.values, convnd(x.values, kernel, **options))


def test_a_wrapped_window_reads_the_other_end():
    x, kernel = Stored(integers((64, 30, 20), np.float32), (8, 10, 20)), integers((5, 5, 5), np.float32, 1)
    out, counts = Stored(np.zeros(x.shape, np.float32), (8, 30, 20)), []
    options = {"padding": "same", "boundary": "wrap", "method": "direct"}
    blockwise(x, kernel, out, max_memory=340_000, progress=lambda *two: counts.append(two), **options)
    assert len(counts) > 4 and counts[-1] == (counts[-1][1],) * 2
    again = np.zeros(64, int)
    again[[0, 1, -1, -2]] = 1  # for the last block, and for the first
    assert (x.read == 1 + again[:, None, None]).all() and (out.written == 1).all()
    same(out.values, convnd(x.values, kernel, **options))


@pytest.mark.parametrize("boundary", ["constant", "reflect", "wrap"])
@pytest.mark.parametrize("chunk", [1, 2, 5])
@pytest.mark.parametrize("stride", [1, 2, 12])
def test_windows_that_are_longer_than_blocks(boundary, chunk, stride):
    """The tail that is kept is longer than what is read next, or nothing is read next."""
    x, kernel = Stored(rounding((80, 8), np.float32), (3, 4)), rounding((9, 3), np.float32, 1)
    options = {"padding": 6, "boundary": boundary, "stride": stride, "method": "direct"}
    expected, counts = convnd(x.values, kernel, **options), []
    out = Stored(np.zeros(expected.shape, np.float32), (chunk, expected.shape[1]))
    for memory in range(1_000, 20_000, 100):  # the least that is enough
        try:
            blockwise(x, kernel, out, max_memory=memory, progress=lambda *two: counts.append(two), **options)
        except ValueError as error:
            if "max_memory" not in str(error):
                raise
        else:
            break
    assert len(counts) - 1 >= -(-expected.shape[0] // chunk) // 2 > 0
    same(out.values, expected)


def test_reading_goes_on_after_a_gap():
    """Finished blocks are not read where a run is resumed."""
    x = Stored(integers((40, 6)), (4, 6))
    reader = storage.Reader(x, 0)
    for first in 0, 3, 6, 20, 23, 26:
        same(reader[first : first + 5, 0:6], x.values[first : first + 5])
    assert (np.isin(np.arange(40), [*range(12), *range(20, 32)]) == x.read.T).all()


def test_large_reads_are_cut_into_chunks(monkeypatch):
    monkeypatch.setattr(storage, "_READ_BYTES", 2_000)
    x, kernel = Stored(rounding((33, 34, 35)), (5, 6, 7)), rounding((2, 3, 4), seed=1)
    out, most = Stored(np.zeros(x.shape), (8, 9, 10)), []
    get = Stored.__getitem__
    monkeypatch.setattr(Stored, "__getitem__", lambda self, box: most.append(get(self, box)) or most[-1])
    blockwise(x, kernel, out, padding="same", method="direct")
    assert max(samples.nbytes for samples in most) <= 2_000 and len(most) >= x.values.nbytes / 2_000
    assert (x.read == 1).all()
    same(out.values, convnd(x.values, kernel, padding="same", method="direct"))


def test_arrays_that_give_other_samples_than_they_say():
    x, out = Stored(np.zeros((9, 9)), (3, 3)), np.zeros((8, 8))
    for values in np.zeros((9, 9), np.float32), np.zeros((8, 9)):
        x.values = values
        with pytest.raises(ValueError, match=r"x is float64, but gives float(64|32) \([89], 9\) for \(9, 9\) of its"):
            blockwise(x, np.ones((2, 2)), out)


def test_results_in_memory():
    x, kernel = integers((20, 30), np.int16), integers((3, 4), np.float32, 1)
    same(convnd(Stored(x, (4, 7)), kernel, padding="same"), convnd(x, kernel, padding="same"))
    same(convnd(Stored(x, (4, 7)), kernel, padding=1, fill_value=2), convnd(x, kernel, padding=1, fill_value=2))
    kernel = kernel * (1 + 2j)
    same(convnd(Stored(x, (4, 7)), kernel, padding=2, fill_value=1j), convnd(x, kernel, padding=2, fill_value=1j))
    x = integers((20, 3, 30), np.uint8)
    options = {"channel_axis": 1, "stride": 2, "padding": "full"}
    for kernel in integers((4, 5, 3, 2), seed=1), integers((4, 5, 3), seed=1):  # a bank, and one filter
        same(convnd(Stored(x, (4, 3, 7)), kernel, **options), convnd(x, kernel, **options))


# --- the packages that keep arrays --------------------------------------------------------------------------


def zarr_pair(folder, x, shape, dtype, sharded=False):
    zarr = pytest.importorskip("zarr")
    kept = zarr.create_array(folder / "x.zarr", shape=x.shape, chunks=(4, 8, 8), dtype=x.dtype)
    kept[...] = x
    shards = {"shards": (6, 10, 20)} if sharded else {}
    return kept, zarr.create_array(folder / "y.zarr", shape=shape, chunks=(3, 5, 10), dtype=dtype, **shards)


def h5py_pair(folder, x, shape, dtype, chunks=(3, 5, 10)):
    h5py = pytest.importorskip("h5py")
    kept = h5py.File(folder / "x.h5", "w").create_dataset("a/x", data=x, chunks=True)
    return kept, h5py.File(folder / "y.h5", "w").create_dataset("a/y", shape, dtype, chunks=chunks)


def tensorstore_pair(folder, x, shape, dtype):
    tensorstore = pytest.importorskip("tensorstore")

    def make(name, shape, dtype):
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder / name)}}
        layout = tensorstore.ChunkLayout(chunk_shape=(3, 5, 10))
        return tensorstore.open(spec, create=True, dtype=np.dtype(dtype), shape=shape, chunk_layout=layout).result()

    kept = make("x", x.shape, x.dtype)
    kept[...] = x
    return kept, make("y", shape, dtype)


def memmap_pair(folder, x, shape, dtype):
    x.tofile(folder / "x.raw")
    kept = np.memmap(folder / "x.raw", x.dtype, "r", shape=x.shape)
    return kept, np.memmap(folder / "y.raw", dtype, "w+", shape=shape)


PAIRS = {
    "zarr": zarr_pair,
    "zarr shards": partial(zarr_pair, sharded=True),
    "h5py": h5py_pair,
    "h5py contiguous": partial(h5py_pair, chunks=None),
    "tensorstore": tensorstore_pair,
    "memmap": memmap_pair,
}
MEMORY = {"memmap": 40_000, "h5py contiguous": 60_000}
KEPT = [name for name in PAIRS if name != "zarr shards"]


@pytest.mark.parametrize("pair", PAIRS)
def test_kept_arrays(tmp_path, pair):
    x, kernel = rounding((36, 20, 22), np.float32), rounding((3, 4, 5), np.float32, 1)
    options = {"padding": "same", "boundary": "wrap", "method": "direct", "stride": (1, 1, 2)}
    expected = convnd(x, kernel, dtype=np.float64, **options)
    kept, out = PAIRS[pair](tmp_path, x, expected.shape, np.float64)
    counts = []
    report = lambda done, total: counts.append((done, total))  # noqa: E731
    assert (
        blockwise(kept, kernel, out, max_memory=MEMORY.get(pair, 90_000), progress=report, resume=True, **options)
        is out
    )
    assert len(counts) > 3 and counts[-1] == (counts[-1][1],) * 2
    same(np.asarray(out[...]), expected)
    out[...] = np.zeros(expected.shape)
    assert convnd(kept, kernel, out=out, **options) is out
    same(np.asarray(out[...]), expected)
    same(convnd(kept, kernel, **options), convnd(x, kernel, **options))
    assert not list(tmp_path.glob("*.convnd"))
    with pytest.raises(ValueError, match="must not be x, nor overlap"):
        blockwise(out, kernel, out, padding="same")


def test_the_bar(capsys):
    blockwise(np.ones((9, 9)), np.ones((2, 2)), np.ones((8, 8)), max_memory=900, progress=True)
    bar = capsys.readouterr().err
    assert "convnd: 100%" in bar and "block/s" in bar


@pytest.mark.process
def test_packages_are_imported_when_such_an_array_arrives():
    code = "import sys, convnd; print(*sys.modules)"
    assert not {"zarr", "h5py", "tensorstore", "dask", "xarray", "tqdm"} & set(run("-c", code).split())


# --- interrupted and resumed --------------------------------------------------------------------------------

OPTIONS = {"padding": "same", "boundary": "reflect", "method": "direct"}


class Stopped(BaseException):
    pass


def stop_at(number):
    def report(done, total):
        if done == number:
            raise Stopped

    return report


@pytest.fixture(params=KEPT)
def interrupted(request, tmp_path):
    """A run that was stopped: the arrays, and a function that goes on and returns how many blocks were done before."""
    x, kernel = rounding((36, 20, 22), np.float32), rounding((3, 4, 5), np.float32, 1)
    kept, out = PAIRS[request.param](tmp_path, x, x.shape, np.float32)
    options = {**OPTIONS, "max_memory": MEMORY.get(request.param, 90_000)}
    with pytest.raises(Stopped):
        blockwise(kept, kernel, out, progress=stop_at(3), resume=True, **options)

    def go_on(stop=None, resume=True, scale=1):
        counts = []

        def report(done, total):
            counts.append(done)
            if done == stop:
                raise Stopped

        blockwise(kept, scale * kernel, out, progress=report, resume=resume, **options)
        same(np.asarray(out[...]), convnd(x, scale * kernel, **OPTIONS))
        return counts[0]

    (record,) = tmp_path.glob("*.convnd")
    return out, record, go_on


def test_resumed(interrupted):
    _, record, go_on = interrupted
    assert go_on() in (3, 4)  # one was being written
    assert not record.exists()
    assert go_on() == 0


def test_what_is_not_in_the_output_any_more_is_computed_again(interrupted):
    out, _, go_on = interrupted
    out[...] = np.zeros(out.shape, np.float32)
    assert go_on() == 0


def test_the_record_of_another_job_is_not_taken(interrupted):
    _, _, go_on = interrupted
    assert go_on(scale=2) == 0


def test_a_run_that_does_not_record_ends_the_record(interrupted):
    _, record, go_on = interrupted
    with pytest.raises(Stopped):
        go_on(stop=1, resume=False)
    assert not record.exists()


def test_a_line_that_was_being_written_does_not_count(interrupted):
    _, record, go_on = interrupted
    text = record.read_bytes()
    record.write_bytes(text[:-2])
    assert go_on() == text.count(b"\n") - 2


def test_only_what_is_kept_in_files_is_resumed():
    with pytest.raises(ValueError, match="resume=True needs an out that is stored in a local file or folder"):
        blockwise(np.ones((9, 9)), np.ones((2, 2)), np.ones((8, 8)), resume=True)


KILLED = """
    import sys
    import numpy as np, zarr
    from convnd import blockwise

    folder = sys.argv[1]
    x, y = zarr.open_array(folder + "/x.zarr", mode="r"), zarr.open_array(folder + "/y.zarr", mode="r+")
    kernel = np.load(folder + "/kernel.npy")

    def report(done, total):
        print(done, flush=True)
        sys.stdin.readline()

    blockwise(x, kernel, y, max_memory=60_000, resume=True, progress=report, padding="same", boundary="reflect",
              method="direct")
"""


@pytest.mark.process
@pytest.mark.skipif(os.name == "nt", reason="kills as Unix does")
def test_killed_at_any_moment_and_resumed(tmp_path):
    x, kernel = rounding((40, 20, 22), np.float32), rounding((3, 4, 5), np.float32, 1)
    _, out = zarr_pair(tmp_path, x, x.shape, np.float32)
    np.save(tmp_path / "kernel.npy", kernel)
    begun, chance = [], random.Random(0)
    for steps in 3, 4, 2, None:  # blocks, after which it is killed while the next is written
        with start("-c", textwrap.dedent(KILLED), tmp_path, stdin=subprocess.PIPE) as process:
            begun.append(int(process.stdout.readline()))
            if steps is None:
                process.communicate()
                break
            for step in range(steps):
                process.stdin.write("on\n")
                process.stdin.flush()
                if step < steps - 1:
                    process.stdout.readline()
            threading.Event().wait(chance.uniform(0, 0.01))
            process.kill()
        assert process.returncode == -9
    assert process.returncode == 0
    assert begun[0] == 0 and begun == sorted(set(begun))
    same(out[...], convnd(x, kernel, **OPTIONS))


# --- memory -------------------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_maps_are_read_and_written_in_place(tmp_path):
    """No page is anonymous but those of the convolution's own scratch, whatever the size of the files."""
    script = """
        import sys, threading
        import numpy as np
        from convnd import convnd

        def anonymous():
            lines = open("/proc/self/status").read().split("\\n")
            return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

        x = np.memmap(sys.argv[1] + "/x", np.float32, "w+", shape=(64, 1024, 1024))
        y = np.memmap(sys.argv[1] + "/y", np.float32, "w+", shape=x.shape)
        kernel = np.ones((3, 3, 3), np.float32)
        convnd(np.array(x[:4]), kernel, out=np.empty((4, 1024, 1024), np.float32), padding="same")
        before, most, done = anonymous(), [0], threading.Event()

        def watch():
            while not done.wait(0.005):
                most[0] = max(most[0], anonymous())

        thread = threading.Thread(target=watch)
        thread.start()
        convnd(x, kernel, out=y, padding="same")
        done.set()
        thread.join()
        print(most[0] - before)
    """
    assert float(run("-c", textwrap.dedent(script), tmp_path)) < 64  # of 512


# --- errors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"max_memory": "much"}, ValueError, "max_memory 'much'"),
        ({"max_memory": "3 iB"}, ValueError, "max_memory '3 iB'"),
        ({"max_memory": 2.5}, TypeError, "max_memory 2.5"),
        ({"max_memory": True}, TypeError, "max_memory True"),
        ({"max_memory": 0}, ValueError, "max_memory 0"),
        ({"max_memory": 500}, ValueError, "max_memory 500 438 (4, 5) take"),
        ({"progress": 3}, TypeError, "progress 3"),
        ({"resume": 1}, TypeError, "resume 1"),
        ({"pad": 1}, TypeError, "'pad' padding"),
        ({"dtype": np.float64}, ValueError, "dtype float64 out float32"),
        ({"padding": 1}, ValueError, "out (8, 9) (10, 11)"),
        ({"method": "slow"}, ValueError, "method 'slow'"),
    ],
)
def test_errors(options, kind, words):
    x = Stored(integers((10, 11), np.float32), (4, 5))
    out = Stored(np.full((8, 9), 7, np.float32), (4, 5))
    with pytest.raises(kind) as caught:
        blockwise(x, np.ones((3, 3), np.float32), out, **options)
    for word in words.split():
        assert word in str(caught.value)
    assert (out.values == 7).all()


def test_outputs_that_cannot_be_written():
    x, kernel = Stored(integers((10, 11)), (4, 5)), np.ones((3, 3))
    for out in [[0.0] * 9] * 8, (), None:
        with pytest.raises(TypeError, match="out must"):
            blockwise(x, kernel, out)
    with pytest.raises(TypeError, match="out is float64, but the result"):
        blockwise(x, kernel * 1j, Stored(np.zeros((8, 9)), (4, 5)))


@pytest.mark.parametrize("memory", [20_000, np.int64(20_000), "20000", "20 kB", "19.6KiB", " 20kb ", "0.02 MB"])
def test_ways_to_say_how_much_memory(memory):
    counts = []
    x, out = np.ones((100, 90)), Stored(np.zeros((100, 90)), (10, 60))
    blockwise(x, np.ones((3, 3)), out, max_memory=memory, progress=lambda *two: counts.append(two), padding="same")
    assert counts[-1] == (20, 20)
