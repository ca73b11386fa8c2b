"""Time calls beside each other, in turns: the one clock of all benchmarks here."""

import ctypes
import math
import platform
import time
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["METHOD", "reuse_memory", "time_in_turns"]

PAUSE = 0.01  # seconds before each turn, in which the last one's threads fall asleep
TURN = 0.05  # seconds; a shorter call is repeated
ROUNDS = 3  # at least
BEHIND = 4  # a rival this many times slower than the fastest one takes part in the first round only

METHOD = f"""\
Measured in one run. In each round every library has its turn: calls for {1e3 * TURN:g} ms, one at least.
Rounds go on for {{seconds:g}} s, {ROUNDS} at least, and the fastest call counts; a peer {BEHIND} times slower
than the fastest one leaves after the first round. Memory that is freed is used again."""


def reuse_memory() -> None:
    """Keep the system from taking back what is freed, so that no call waits for fresh pages."""
    if platform.libc_ver()[0] == "glibc":
        for parameter in (-3, -1):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
            ctypes.CDLL(None).mallopt(parameter, 2**30)


def time_in_turns(calls: dict[str, Callable[[], Any]], rivals: Iterable[str], seconds: float) -> dict[str, float]:
    """Give the milliseconds of each call's fastest run, all of them taking turns for so many seconds.

    Each has run before, so that it is compiled and its memory touched.
    """
    best = dict.fromkeys(calls, math.inf)
    begin, rounds = time.perf_counter(), 0
    while rounds < ROUNDS or time.perf_counter() - begin < seconds:
        limit = BEHIND * min((best[name] for name in rivals), default=math.inf)
        for name, call in calls.items():
            if name not in rivals or best[name] <= limit:
                time.sleep(PAUSE)
                best[name] = min(best[name], turn(call))
        rounds += 1
    return {name: 1e3 * fastest for name, fastest in best.items()}


def turn(call: Callable[[], Any]) -> float:
    """Give the seconds of the fastest of a few calls in a row. Releasing the result is not counted."""
    fastest, end = math.inf, time.perf_counter() + TURN
    while True:
        start = time.perf_counter()
        result = call()
        stop = time.perf_counter()
        del result
        fastest = min(fastest, stop - start)
        if stop > end:
            return fastest
