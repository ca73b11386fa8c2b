"""Threads and children of this process; `test_faults` has what needs processes of its own."""

import multiprocessing
import threading

import numba
import numpy as np
import pytest

from convnd import convnd
from convnd.jit import threads
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
    if threads.available() > 1:
        assert threads._team._bells, "no thread helps"


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
