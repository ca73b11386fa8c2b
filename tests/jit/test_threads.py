"""Threads and children of this process, and kernels with their serial twins."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

from convnd import convnd, plan
from convnd.jit import parallel
from support.check import integers, same

X, KERNEL = integers((600, 700), np.float32), integers((7, 7), np.float32, seed=1)


def total():
    return float(convnd(X, KERNEL).sum(dtype=np.float64))


def test_many_threads_at_once():
    expected, results = total(), []
    callers = [threading.Thread(target=lambda: results.append(total())) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [expected] * 8


@pytest.mark.process
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_children(method):
    expected = convnd(X, KERNEL)  # the parent's threads are running when it forks
    with multiprocessing.get_context(method).Pool(2) as pool:
        for result in pool.starmap(convnd, [(X, KERNEL)] * 4):
            same(result, expected)


def test_workers_hold_for_their_call_alone():
    before = numba.get_num_threads()
    one = convnd(X, KERNEL, workers=1)
    same(convnd(X, KERNEL, workers=2), one)
    same(convnd(X, KERNEL, workers=10_000), one)
    assert numba.get_num_threads() == before


def test_a_call_that_finds_the_threads_taken_runs_serially(monkeypatch):
    expected = convnd(X, KERNEL, method="direct")
    parallel._busy[0] = 1
    try:
        same(convnd(X, KERNEL, method="direct"), expected)
    finally:
        parallel._busy[0] = 0


def test_signatures_show_the_rank():
    for rank in (1, 2, 3):
        for is_parallel in (True, False):
            ((grid, table),) = parallel.twin(rank, is_parallel).signatures
            assert (grid, table) == (
                numba.types.UniTuple(numba.types.int64, rank),
                numba.types.Array(numba.int64, 1, "C"),
            )


def test_a_plan_names_its_kernel():
    assert "kernel    convolve, rank 2" in str(plan(X, KERNEL, method="direct"))
    assert "kernel    convolve, rank 1" in str(plan(X[0], KERNEL[0], method="direct"))


SERIAL = """
import numpy as np, os, time
from convnd import convnd
count = lambda: len(os.listdir("/proc/self/task"))
before = count()
convnd(np.ones((600, 700), np.float32), np.ones((7, 7), np.float32), workers=1, method="direct")
time.sleep(0.5)  # the thread that loaded the code ends
assert count() == before, (before, count())
"""


@pytest.mark.process
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads as Linux does")
def test_the_serial_twin_starts_no_thread_when_loaded_from_disk(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["OPENBLAS_NUM_THREADS"] = "1"  # Numba loads SciPy, which starts threads of its own
    both = SERIAL.replace("workers=1, ", "").replace("assert", "0 and")
    for script in (both, SERIAL, SERIAL):  # the parallel twin first: Numba's cache must not take one for the other
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=300)


@pytest.mark.skipif(sys.platform != "linux", reason="GNU OpenMP is the usual layer there")
@pytest.mark.parametrize(
    ("given", "turns"), [({}, 3000), ({"GOMP_SPINCOUNT": "7"}, 7), ({"OMP_WAIT_POLICY": "passive"}, 0)]
)
def test_waiting_threads_sleep_soon_unless_the_user_says_otherwise(given, turns):
    code = "import os; from convnd.jit import parallel; parallel.may_use_threads(); print(os.getenv('GOMP_SPINCOUNT'))"
    others = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    layer = {"NUMBA_THREADING_LAYER": "omp", "NUMBA_NUM_THREADS": "2", "OMP_DISPLAY_ENV": "verbose"}
    environment = {**others, **layer, **given}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert f"GOMP_SPINCOUNT = '{turns}'" in ran.stderr
    assert ran.stdout.strip() == str(given.get("GOMP_SPINCOUNT"))  # the environment is left as it was
