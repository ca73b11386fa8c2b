"""What a process may meet, case by case: ``python faults.py CASE...`` runs cases and fails where a call does.

`test_faults` runs them, in processes of their own and in environments of many kinds. Sums of whole numbers are exact,
so that every result is the one right result.
"""

import atexit
import concurrent.futures
import contextlib
import faulthandler
import multiprocessing
import os
import pickle
import resource
import shutil
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest

import convnd
from convnd.jit.compile import compiled

#: Seconds after which a thread or a forked child hangs.
PATIENCE = 240
rng = np.random.default_rng(0)


def whole(*shape, dtype=np.float32):
    return rng.integers(-3, 4, shape).astype(dtype)


def valid(x, kernel):
    """Convolve by the definition, along the last two axes."""
    rows, columns = (n - k + 1 for n, k in zip(x.shape[-2:], kernel.shape))
    return sum(
        weight * x[..., i : i + rows, j : j + columns]
        for (i, j), weight in np.ndenumerate(np.flip(kernel).astype(x.dtype))
    )


LINES = [np.array(line, np.float32) for line in ((1, 2, 3, 2, 1), (1, -1, 2, -1, 1))]
X = whole(600, 700)
KERNELS = {"direct": whole(5, 5), "separable": np.outer(*LINES), "fft": whole(9, 9)}
RIGHT = {method: valid(X, kernel) for method, kernel in KERNELS.items()}
MAPS, FILTERS = whole(32, 40, 44), whole(32, 32, 3, 3)
LAYER = sum(valid(MAPS[c], FILTERS[0, c]) for c in range(32))


def check(method="direct", **options):
    """One call by a method, right or an assertion."""
    if method == "winograd":
        result = convnd.convnd(MAPS, FILTERS, channel_axis=0, method=method, **options)
        assert np.abs(result[0] - LAYER).max() < 1e-3 * np.abs(LAYER).max()
        return
    result = convnd.convnd(X, KERNELS[method], method=method, **options)
    assert np.array_equal(np.rint(result), RIGHT[method]), method


def check_small(dtype=np.float32):
    x = np.arange(20, dtype=dtype)
    assert convnd.convnd(x, np.array([1, -1], dtype)).tolist() == [1] * 19


def check_all():
    for method in (*KERNELS, "winograd"):
        check(method)
    check_small()


def at_once(*functions, daemon=False):
    """Run functions in as many threads that begin together; raise what they raise."""
    barrier, failed = threading.Barrier(len(functions)), []

    def run(function):
        barrier.wait()
        try:
            function()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(own,), daemon=daemon) for own in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), f"a thread runs for more than {PATIENCE} s"
    if failed:
        raise failed[0]


def in_child(function, *arguments):
    """Run a function in a forked child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            faulthandler.register(signal.SIGALRM, chain=True)
            signal.alarm(PATIENCE)
            function(*arguments)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    assert status == 0, f"{function} in a forked child ends with {status}"


def load_numba():
    """Import what Numba imports at the first compilation: another user may not be allowed to read it."""
    numba.njit(lambda: None)()


# Threads


def no_compiler():
    """Numba may not compile: the error says so."""
    with pytest.raises(RuntimeError, match="NUMBA_DISABLE_JIT"):
        check()


def crowd():
    """First calls that race, of all kinds, one plan among them."""
    plan = convnd.plan(X, KERNELS["direct"], padding="same", boundary="reflect")
    same, y = plan(X), whole(600, 700)
    adjoint, gradient = plan.adjoint(y), plan.kernel_gradient(X, y)

    def shared():
        for _ in range(3):
            assert np.array_equal(plan(X), same)
            assert np.array_equal(plan.adjoint(y), adjoint)
            assert np.array_equal(plan.kernel_gradient(X, y), gradient)

    def shapes():
        for n in range(1, 40):
            x = np.ones((3, n, n))
            assert (convnd.convnd(x, np.ones((3, n, n)), padding="valid") == 3 * n * n).all()

    def warm():
        convnd.warmup(ranks=[2], taps=[5], methods=["direct", "fft"])

    assert np.vdot(same, y) == np.vdot(KERNELS["direct"], gradient)
    at_once(check_all, check_all, shared, shared, shapes, shapes, warm, check_all)


def beside_numba():
    """The user's own parallel function runs in another thread."""
    import numba

    @numba.njit(parallel=True)
    def total(x):
        s = 0.0
        for i in numba.prange(len(x)):
            s += x[i]
        return s

    def user():
        for _ in range(300):
            assert total(np.ones(1000)) == 1000

    try:
        user()
    except ValueError:  # Numba has no such layer
        return
    at_once(user, *[lambda: [check() for _ in range(50)]] * 4)
    in_child(check)  # the user's own call would end the child


def setting():
    """Numba's number of threads is respected and left alone."""
    import numba

    check(workers=1)
    check(workers=10_000)
    try:
        before = numba.get_num_threads()
    except ValueError:
        return
    check(workers=1)
    assert numba.get_num_threads() == before
    numba.set_num_threads(1)
    check_all()
    assert convnd.plan(X, KERNELS["direct"]).__str__().count("threads   1") == 1
    assert numba.get_num_threads() == 1


def affinity():
    check_all()
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    check_all()
    assert "threads   1" in str(convnd.plan(X, KERNELS["direct"]))
    os.sched_setaffinity(0, everywhere)
    at_once(check_all, check_all)


def small_stacks():
    threading.stack_size(64 * 1024)
    at_once(check_all, check_all)


def no_threads():
    """No thread can be started: neither by us nor by anyone."""
    limit = resource.getrlimit(resource.RLIMIT_NPROC)
    load_numba()
    if os.getuid() == 0:  # no limit is root's
        os.setuid(65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, limit[1]))
    try:
        threading.Thread(target=print).start()
    except RuntimeError:
        check_all()
        return
    raise AssertionError("a thread could be started")


def pools():
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: check_all(), range(12)))
    try:
        import dask
    except ImportError:
        return
    dask.compute([dask.delayed(check_all)() for _ in range(12)], scheduler="threads")


def from_c():
    """A thread that Python did not start."""
    import ctypes

    done = []
    start = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(lambda _: done.append(check_all()))
    thread, libc = ctypes.c_ulong(), ctypes.CDLL(None)
    assert libc.pthread_create(ctypes.byref(thread), None, start, None) == 0
    assert libc.pthread_join(thread, None) == 0
    assert done == [None]


# Forks


def forks():
    check_all()
    in_child(check_all)
    in_child(in_child, check_all)
    in_child(crowd)
    pool = multiprocessing.get_context("fork").Pool(2)
    with pool:
        pool.map(check, list(KERNELS) * 4)
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as executor:
        list(executor.map(check, list(KERNELS) * 4))


def forks_first():
    """The children call first."""
    in_child(crowd)
    check_all()


def spawns():
    check()
    for method in "spawn", "forkserver":
        with multiprocessing.get_context(method).Pool(2) as pool:
            pool.map(check, KERNELS)


def forks_amid():
    """Others convolve and compile when the process forks."""
    stop = threading.Event()

    def convolve():
        while not stop.is_set():
            check_all()

    def compiles():
        n = 0
        while not stop.is_set():
            n += 1
            convnd.plan(np.empty((2,) * (n % 6) + (50, 50)), np.ones((1 + n % 2,) * (n % 6) + (n % 5 + 1, 7)))(
                np.ones((2,) * (n % 6) + (50, 50))
            )

    def fork():
        try:
            for n in range(12):
                in_child(check_small, [np.float32, np.int16, np.complex64, np.float64][n % 4])
                in_child(check)
        finally:
            stop.set()

    at_once(convolve, convolve, compiles, fork, fork)


def torch_workers():
    import torch

    class Set(torch.utils.data.Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, index):
            check_all()
            return torch.ones(64, 64) @ torch.ones(64, 64)

    torch.ones(500, 500) @ torch.ones(500, 500)
    check_all()
    assert len(list(torch.utils.data.DataLoader(Set(), num_workers=2))) == 8
    at_once(check_all, lambda: torch.ones(500, 500) @ torch.ones(500, 500), check_all)


# Environment


def quiet():
    """A cache that cannot be used is a warning at most, once."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        check_all()
        check_small(np.float64)
    assert len(seen) <= 1, seen


def nobody():
    """Whoever may write nothing: all is compiled."""
    load_numba()
    os.setgid(65534)
    os.setuid(65534)
    check()
    check("separable")


def tiny_files():
    """The disk is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    check()
    left = [path for path in Path(os.environ["NUMBA_CACHE_DIR"]).rglob("*") if path.suffix not in ("", ".nbi")]
    assert not left, "left behind"


def no_folder():
    """The folder that the process is in is gone: Numba cannot compile there, but what is compiled runs."""
    import tempfile

    check_all()
    check_small(np.float64)
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    quiet()


def damaged():
    """Files of the cache are empty, cut off, of something else, folders and links to themselves."""
    check()
    files = sorted(Path(os.environ["NUMBA_CACHE_DIR"]).glob("convnd-*/*/*.nb?"))
    assert len(files) > 5
    damages = [b"", b"junk", pickle.dumps(print), "cut off", "folder", "link"]
    for n, path in enumerate(files):
        data, damage = path.read_bytes(), damages[n % len(damages)]
        path.unlink()
        if damage == "folder":
            path.mkdir()
        elif damage == "link":
            path.symlink_to(path)
        else:
            path.write_bytes(data[:100] if damage == "cut off" else damage)
    os.execv(sys.executable, [sys.executable, __file__, "mended"])


def mended():
    quiet()
    shutil.rmtree(os.environ["NUMBA_CACHE_DIR"])  # while it is in use
    check_small(np.int16)
    check(dtype=np.float64)


def no_streams():
    for number in range(3):
        os.close(number)
    quiet()


def allow(more):
    """Let this process take so many bytes of memory more than it has."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.getrlimit(resource.RLIMIT_AS)[1]))


def little_memory():
    check()
    for more in range(0, 25 * 2**20, 2**16):  # with some, a thread that compiles can start, but not make a call
        allow(more)
        with contextlib.suppress(MemoryError):
            compiled(f"with {more} bytes", lambda _cache: None)
        resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    x, out = whole(3000, 3000), np.zeros((3000, 3000), np.float32)
    images = np.broadcast_to(x, (20, 3000, 3000))  # a thread that ends gives back as much as one image takes
    allow(2**20)
    for method in "direct", "fft", "separable":
        try:
            convnd.convnd(x, KERNELS["separable"], padding="same", out=out, method=method)
            out[...] = 0
        except MemoryError:
            assert not out.any()
        try:
            convnd.convnd(images, KERNELS["separable"], axes=(1, 2), method=method)
        except (MemoryError, ValueError):  # which says how large it is
            continue
        raise AssertionError("there is no memory for the result")
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    check_all()


# Interrupts

#: Calls that take long, or a fraction of that where their lengths are divided: it compiles what they need.
LONG = {
    "taps": lambda n: ((whole(1_000_000 // n), whole(1_000_000 // n)), {"method": "direct", "padding": "same"}),
    "one": lambda n: ((whole(2500 // n, 2500 // n), whole(301 // n, 301 // n)), {"method": "direct", "workers": 1}),
    "images": lambda n: ((whole(3000 // n, 3000 // n), whole(301 // n, 301 // n)), {"method": "direct"}),
    "channels": lambda n: (
        (whole(256 // n, 128, 128), whole(256 // n, 256 // n, 31 // n, 31 // n)),
        {"channel_axis": 0, "method": "direct"},
    ),
    "movies": lambda n: ((whole(30000 // n, 3000 // n), whole(1001 // n)), {"method": "direct", "axes": 1}),
}


def interrupted(case, call, seconds=0.4):
    """Ctrl-C ends a call soon, other threads run meanwhile, and all works after it."""
    sent, longest, running = [], 0.0, True

    def send():
        time.sleep(seconds)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    def tick():
        nonlocal longest
        last = time.perf_counter()
        while running:
            time.sleep(0.001)
            now = time.perf_counter()
            last, longest = now, max(longest, now - last)

    threads = [threading.Thread(target=own, daemon=True) for own in (send, tick)]
    began = time.perf_counter()
    try:
        for thread in threads:
            thread.start()
        call()
        raise AssertionError(f"{case}: it ends by itself after {time.perf_counter() - began:.2f} s")
    except KeyboardInterrupt:
        took = time.perf_counter() - sent[0]
    running = False
    threads[1].join()
    assert took < 2, f"{case}: it ends {took:.2f} s after the signal"
    assert longest < 1, f"{case}: another thread waits for {longest:.2f} s"
    check_all()


def interrupts():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the parent does with it
    check_all()
    for case, make in LONG.items():
        arrays, options = make(10)
        convnd.convnd(*arrays, **options)
        arrays, options = make(1)
        interrupted(case, lambda: convnd.convnd(*arrays, **options))  # noqa: B023
    plan = convnd.plan(X, whole(301, 301), method="direct", padding="same")
    interrupted("adjoint", lambda: [plan.adjoint(X) for _ in range(100)])
    maps = whole(256, 64, 64)
    for taps in 3, 15:
        kernel = whole(256, 256, taps, taps)
        plan = convnd.plan(maps, kernel, channel_axis=0, method="direct", padding="same")
        if taps == 3:  # compiles
            plan.kernel_gradient(maps, maps)
    interrupted("kernel_gradient", lambda: [plan.kernel_gradient(maps, maps) for _ in range(100)], 1.0)


def alarms():
    """A handler that raises, and one that convolves itself amid a call."""
    calls = 0

    def on_alarm(*_):
        nonlocal calls
        calls += 1
        check_all()
        if calls == 3:
            raise TimeoutError

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.2)
    try:
        while True:
            check_all()
            convnd.convnd(whole(400, 400), whole(101, 101), method="direct")
    except TimeoutError:
        signal.setitimer(signal.ITIMER_REAL, 0)
    check_all()


def storm():
    """Handlers that convolve run amid first calls, at any place."""

    def on_alarm(*_):
        check_small()
        check_small(np.int16)
        signal.setitimer(signal.ITIMER_REAL, 0.001)

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    check_all()
    at_once(check_all, check_all)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)


# The end


class Last:
    def __del__(self):
        check_all()


def ends():
    """Calls when the interpreter goes, others running in threads that it does not wait for."""
    global last
    check_all()
    last = Last()
    atexit.register(check_all)
    atexit.register(in_child, check_all)

    def forever():
        while True:
            check_all()

    for _ in range(3):
        threading.Thread(target=forever, daemon=True).start()
    threading.Thread(target=lambda: (time.sleep(0.2), check_all())).start()


if __name__ == "__main__":
    for case in sys.argv[1:]:
        globals()[case]()
