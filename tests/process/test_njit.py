"""Users' compiled functions that call `convnd`, kept on disk by Numba: in other processes, after forks and upgrades."""

import shutil
import textwrap

import pytest

from support.processes import PACKAGE, run

pytestmark = pytest.mark.process

MODULE = """
    import numba
    import numpy as np
    from convnd import convnd

    @numba.njit(parallel=True, cache=True)
    def texture(stack, kernel):
        out = np.empty(stack.shape[0])
        for i in numba.prange(stack.shape[0]):
            edges = convnd(stack[i], kernel, padding="same", boundary="reflect")
            out[i] = (edges ** 2).sum()
        return out

    @numba.njit(nogil=True, cache=True)
    def one(x, kernel):
        return (convnd(x, kernel, padding="same", boundary="reflect") ** 2).sum()
"""
CALL = """
    import sys
    import numpy as np
    import convnd
    from texture import one, texture

    stack, kernel = np.arange(7 * 40 * 50.0).reshape(7, 40, 50) % 11, np.arange(9.0).reshape(3, 3)
    right = [(convnd.convnd(s, kernel, padding="same", boundary="reflect") ** 2).sum() for s in stack]
"""
CHECK = """
    assert texture(stack, kernel).tolist() == right
    assert one(stack[0], kernel) == right[0]
    hits = [sum(function.stats.cache_hits.values()) for function in (one, texture)]
    assert sum(hits) == int(sys.argv[1]), hits
"""


@pytest.fixture
def scripts(tmp_path):
    """A folder with a user's module and a script that calls it; the argument says whether it comes from the cache."""
    (tmp_path / "texture.py").write_text(textwrap.dedent(MODULE))
    (tmp_path / "check.py").write_text(textwrap.dedent(CALL + CHECK))
    return tmp_path


def environment(folder):
    return {"NUMBA_CACHE_DIR": str(folder / "cache")}


def test_other_processes(scripts):
    run(scripts / "check.py", "0", **environment(scripts))
    run(scripts / "check.py", "2", **environment(scripts))
    for folder in (scripts / "cache").glob("convnd-*"):  # the user's code stays, ours is compiled again
        shutil.rmtree(folder)
    run(scripts / "check.py", "2", **environment(scripts))


def test_first_call_in_threads_and_forks(scripts):
    text = """
        import os, threading
        results = []
        threads = [threading.Thread(target=lambda: results.append(one(stack[0], kernel))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        child = os.fork()
        if child == 0:
            os._exit(0 if one(stack[0], kernel) == right[0] else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert results == [right[0]] * 4
    """
    (scripts / "threads.py").write_text(textwrap.dedent(CALL) + textwrap.dedent(text))
    for _ in range(2):
        run(scripts / "threads.py", **environment(scripts))


def test_upgrade(scripts):
    """In a release with another interface Numba compiles users' functions anew; an old one ends no process."""
    run(scripts / "check.py", "0", **environment(scripts))
    later = scripts / "later"
    shutil.copytree(PACKAGE, later / "convnd", ignore=shutil.ignore_patterns("__pycache__"))
    symbols, folder = later / "convnd" / "jit" / "calls" / "symbols.py", later / "convnd" / "interop"
    symbols.write_text(replaced(symbols, "INTERFACE = 1 ", "INTERFACE = 2 "))
    (folder / "njit_call_2.py").write_text((folder / "njit_call_1.py").read_text())
    (folder / "njit.py").write_text(replaced(folder / "njit.py", "njit_call_1", "njit_call_2"))
    (folder / "njit_call_1.py").write_text("")  # says nothing: the cached function runs, and finds its table empty
    raises = """
        import pytest
        with pytest.raises(RuntimeError, match="clear the cache"):
            one(stack[0], kernel)
    """
    (scripts / "raises.py").write_text(textwrap.dedent(CALL) + textwrap.dedent(raises))
    paths = {"PYTHONPATH": f"{later}:{scripts}"}
    run(scripts / "raises.py", **environment(scripts), **paths)
    (folder / "njit_call_1.py").write_text("raise FileNotFoundError('another interface')")
    run(scripts / "check.py", "0", **environment(scripts), **paths)
    run(scripts / "check.py", "2", **environment(scripts), **paths)


def replaced(path, old, new):
    text = path.read_text()
    assert old in text
    return text.replace(old, new)
