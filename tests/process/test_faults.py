"""What a process may meet: threads, forks, its environment, signals, its end. The cases are in `support/faults.py`.

``FAULTS=long`` runs every case in every environment, and those of chance many times.
"""

import os
import shutil
import signal
import time
import zipfile

import pytest

from support import TESTS
from support.processes import PACKAGE, end, finish, run, start

CASES = TESTS / "support" / "faults.py"
LONG = os.environ.get("FAULTS") == "long"
pytestmark = [pytest.mark.process, pytest.mark.skipif(not hasattr(os, "fork"), reason="cases of POSIX systems")]

#: Those that share a process run in it one after the other.
TOGETHER = [
    "crowd beside_numba setting pools from_c",
    "affinity small_stacks storm alarms",
    "no_threads",
    "forks_first forks",
    "forks_amid",
    "spawns",
    "torch_workers",
    "no_folder no_streams",
    "little_memory",
    "interrupts",
    "ends",
]
LAYERS = {
    "no such layer": {"NUMBA_THREADING_LAYER": "nonsense"},
    "tbb": {"NUMBA_THREADING_LAYER": "tbb"},
    "workqueue": {"NUMBA_THREADING_LAYER": "workqueue"},
    "omp": {"NUMBA_THREADING_LAYER": "omp", "OMP_NUM_THREADS": "1"},
    "priority": {"NUMBA_THREADING_LAYER_PRIORITY": "no such layers"},
    "one thread": {"NUMBA_NUM_THREADS": "1"},
    "many threads": {"NUMBA_NUM_THREADS": "64"},
}


@pytest.mark.parametrize("cases", TOGETHER)
def test_cases(cases):
    if cases == "torch_workers":
        pytest.importorskip("torch")
    for _ in range(20 if LONG else 1):
        run(CASES, *cases.split())


@pytest.mark.parametrize("layer", LAYERS)
def test_layers(layer):
    cases = (" ".join(TOGETHER[:4]) if LONG else "crowd beside_numba forks").split()
    if layer == "workqueue":  # which Numba allows one thread at a time: calls of convnd wait for each other, no others
        cases.remove("beside_numba")
    run(CASES, *cases, **LAYERS[layer])


def test_no_compiler():
    run(CASES, "no_compiler", NUMBA_DISABLE_JIT="1")


def a_file(folder):
    (folder / "cache").write_bytes(b"")
    return {"NUMBA_CACHE_DIR": folder / "cache"}


def a_loop(folder):
    (folder / "cache").symlink_to(folder / "cache")
    return {"NUMBA_CACHE_DIR": folder / "cache"}


def in_a_zip(folder):
    with zipfile.ZipFile(folder / "convnd.zip", "w") as file:
        for path in PACKAGE.rglob("*.py"):
            file.write(path, path.relative_to(PACKAGE.parent))
    return {"PYTHONPATH": folder / "convnd.zip", "NUMBA_CACHE_DIR": None, "HOME": folder}


PLACES = {
    "nowhere": lambda _: {"NUMBA_CACHE_DIR": "/proc/nothing", "HOME": "/nonexistent"},
    "no home": lambda _: {"NUMBA_CACHE_DIR": None, "HOME": None},
    "no such locator": lambda _: {"NUMBA_CACHE_LOCATOR_CLASSES": "nonsense"},
    "a file": a_file, "a loop": a_loop, "a zip file": in_a_zip,
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_places_of_the_cache(place, tmp_path):
    run(CASES, "quiet" if LONG else "check", **PLACES[place](tmp_path))


@pytest.mark.parametrize("flags", [["-OO"], ["-I"]])
def test_flags(flags):
    script = (
        f"import sys; sys.path[:0] = {[str(PACKAGE.parent), str(TESTS)]}; from support import faults; faults.quiet()"
    )
    run(*flags, "-c", script)


def test_a_full_disk(tmp_path):
    run(CASES, "tiny_files", NUMBA_CACHE_DIR=tmp_path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes somebody else")
def test_somebody_who_may_write_nothing(tmp_path):
    tmp_path.chmod(0o555)
    run(CASES, "nobody", NUMBA_CACHE_DIR=tmp_path, HOME=tmp_path)


@pytest.mark.parametrize("quiet, lines", [(None, [1, 0]), ("1", [0, 0])])
def test_a_first_compilation_is_explained_in_one_line(quiet, lines, tmp_path):
    """Loading from the disk cache is not."""
    script = "import convnd; convnd.convnd([[1.0, 2, 3]], [[1.0, 1]]); convnd.warmup([1])"
    said = [run("-c", script, NUMBA_CACHE_DIR=tmp_path, CONVND_QUIET=quiet) for _ in lines]
    assert [text.count("\n") for text in said] == lines
    assert [text.startswith("convnd compiles code for this machine; later") for text in said] == [n == 1 for n in lines]


def test_a_cache_that_two_fill_and_that_is_damaged(tmp_path):
    killed = start(CASES, "check", NUMBA_CACHE_DIR=tmp_path)
    others = [start(CASES, "check", NUMBA_CACHE_DIR=tmp_path) for _ in range(2)]
    while not list(tmp_path.glob("convnd-*/*/*.nbc")) and killed.poll() is None:
        time.sleep(0.001)
    killed.kill()
    killed.communicate()
    for process in others:
        finish(process)
    run(CASES, "damaged", NUMBA_CACHE_DIR=tmp_path)


@pytest.mark.parametrize("change", ["path.write_text(path.read_text() + '#')", "path.unlink()"])
def test_sources_that_change_or_are_missing(change, tmp_path):
    """What was imported is what is compiled."""
    shutil.copytree(PACKAGE, tmp_path / "convnd", ignore=shutil.ignore_patterns("__pycache__"))
    script = f"""
import convnd, pathlib
for path in pathlib.Path(convnd.__file__).parent.rglob("*.py"):
    {change}
assert convnd.convnd([1.0, 2.0], [1.0]).tolist() == [1.0, 2.0]
"""
    run("-c", script, PYTHONPATH=tmp_path, NUMBA_CACHE_DIR=tmp_path)


def test_a_signal_ends_a_long_call():
    """SIGTERM does what it always does."""
    script = """
import signal
from support import faults
signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever the parent does with it
arrays, options = faults.LONG["taps"](1)
print(flush=True)
faults.convnd.convnd(*arrays, **options)
"""
    process = start("-c", script)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert end(process)[0] == -signal.SIGTERM
