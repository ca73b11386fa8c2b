"""What threads ask for at once is compiled once: a second copy would free the first, whose address may be in use."""

import threading
import time

from convnd.jit import compile
from convnd.jit.compile import compiled


def test_threads_that_ask_at_once_get_one_and_the_same():
    made, found = [], []
    barrier = threading.Barrier(4)

    def make(_cache):
        time.sleep(0.05)
        made.append(object())
        return made[-1]

    def ask():
        barrier.wait()
        found.append(compiled(test_threads_that_ask_at_once_get_one_and_the_same, make))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert all(own is made[0] for own in found) and len(found) == 4


def test_threads_that_end_before_they_begin(monkeypatch):
    """One found no memory for its first call, and the call that waited for it never returned."""
    monkeypatch.setattr(compile._thread, "start_new_thread", lambda function, arguments: 0)
    monkeypatch.setattr(compile, "_BEGIN_SECONDS", 0.01)
    made = object()
    assert compiled(test_threads_that_end_before_they_begin, lambda _cache: made) is made
