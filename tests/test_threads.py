"""Threads and forks: right results, Numba's setting left alone, no process taken down."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest

from check import integers, same
from convnd import convnd

X, KERNEL = integers((600, 700), np.float32), integers((7, 7), np.float32, seed=1)


def total(_=None):
    return float(convnd(X, KERNEL).sum(dtype=np.float64))


def test_many_threads_at_once():
    expected, results = total(), []
    threads = [threading.Thread(target=lambda: results.append(total())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 8


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_children(method):
    expected = total()  # the parent's threads are running when it forks
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(total, range(4)) == [expected] * 4


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_layers(layer, tmp_path):
    """The workqueue layer aborts the process when two threads enter it at once."""
    script = """
import threading
from test_threads import total
expected, results = total(), []
threads = [threading.Thread(target=lambda: results.extend(total() for _ in range(20))) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert results == [expected] * 80
"""
    environment = {**os.environ, "NUMBA_THREADING_LAYER": layer, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=120)


def test_workers_hold_for_their_call_alone():
    before = numba.get_num_threads()
    one = convnd(X, KERNEL, workers=1)
    same(convnd(X, KERNEL, workers=2), one)
    same(convnd(X, KERNEL, workers=10_000), one)
    assert numba.get_num_threads() == before


def test_calls_work_where_nothing_is_writable(tmp_path):
    """Without a folder for its cache Numba refuses `cache=True`; the call must not."""
    environment = {**os.environ, "HOME": "/nonexistent", "NUMBA_CACHE_DIR": "/proc/nothing"}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    script = "from convnd import convnd; assert convnd([1, 2, 4], [1, 1]).tolist() == [3, 6]"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=120)
