"""Processes that tests start: they import this package and these tests, and share one folder of compiled code."""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import convnd
from support import TESTS

PACKAGE = Path(convnd.__file__).parent
#: Seconds after which a process hangs. Compiling takes long where the machine is busy.
PATIENCE = 600


@functools.cache
def shared_cache():
    """The folder for compiled code of every process that is given no other: the first one compiles."""
    folder = tempfile.mkdtemp(prefix="convnd-tests-")
    os.chmod(folder, 0o755)  # a process that becomes somebody else reads it
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def start(*command, stdin=subprocess.DEVNULL, **environment):
    """Start Python, with environment variables by name; None removes one.

    It does not say that it compiles, which no test but that of this line expects in what a process prints.
    """
    paths = [str(path) for path in (PACKAGE.parent, TESTS) if path.name != "site-packages"]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "NUMBA_CACHE_DIR": shared_cache(),
        "CONVND_QUIET": "1",
        **environment,
    }
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        env={name: str(value) for name, value in variables.items() if value is not None},
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def end(process):
    """The exit status of a process, and what it printed; a process that hangs is killed."""
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        said, _ = process.communicate()
        raise AssertionError(f"{process.args} runs for more than {PATIENCE} s:\n{said}") from None
    return process.returncode, said


def finish(process):
    """What a process printed, which must end well and print no traceback."""
    status, said = end(process)
    good = status == 0 and not any(words in said for words in ("Traceback", "Exception ignored"))
    assert good, f"{process.args} ends with {status}:\n{said[-5000:]}"
    return said


def run(*command, **environment):
    """What Python prints that runs a command to its good end."""
    return finish(start(*command, **environment))
