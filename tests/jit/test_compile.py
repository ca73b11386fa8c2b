"""What threads ask for at once is compiled once: a second copy would free the first, whose address may be in use."""

import threading
import time

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
