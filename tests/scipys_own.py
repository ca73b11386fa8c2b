"""SciPy's own tests of the functions that `convnd.ndimage` and `convnd.signal` have, with ours in SciPy's place.

    python tests/scipys_own.py [options of pytest]

They are the files of the installed SciPy, whose wheels bring them along. All their tests run; the last line says how
many called a function of ours. `DIFFERENT` lists those that do not pass, each with its reason; one that passes all the
same fails the run.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import pytest
import scipy
import scipy.ndimage
import scipy.signal
from scipy._lib._array_api import xp_capabilities_table

import convnd.ndimage
import convnd.signal

FILES = ["ndimage/tests/test_filters.py", "signal/tests/test_signaltools.py", "signal/tests/test_upfirdn.py"]
#: Parts of the names of tests, with the reason why these do not pass.
DIFFERENT = {
    "test_fft_nan": "asks for a warning that NaN spreads by transforms; here it reaches its own windows alone",
    "test_convolve_longdtype_input": "long doubles have no compiled arithmetic",
    "test_multiple_modes_sequentially": "asks for the last bit of one axis after the other; here they are one call",
    "test_multiple_modes_prewitt": "asks for the last bit of one axis after the other; here they are one call",
}


class InScipysPlace:
    """Puts our functions in SciPy's place, and counts the tests that call one."""

    def __init__(self) -> None:
        self.calling: set[str] = set()
        for theirs, inside, ours in (
            (scipy.ndimage, scipy.ndimage._filters, convnd.ndimage),
            (scipy.signal, scipy.signal._signaltools, convnd.signal),
        ):
            for name in ours.__all__:
                function = self.counted(getattr(ours, name))
                xp_capabilities_table[function] = xp_capabilities_table[getattr(theirs, name)]
                setattr(theirs, name, function)
                setattr(inside, name, function)

    def counted(self, function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            self.calling.add(os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0])
            return function(*args, **kwargs)

        return call

    def pytest_collection_modifyitems(self, items):
        for item in items:
            for part, reason in DIFFERENT.items():
                if part in item.nodeid:
                    item.add_marker(pytest.mark.xfail(reason=reason, strict=True))

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.write_line(f"{len(self.calling)} tests called a function of convnd")


def main(options):
    """Run the tests, and return pytest's exit status."""
    files = [Path(scipy.__file__).parent / file for file in FILES]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        sys.exit(f"this SciPy was installed without its tests: there is no {missing[0]}")
    place = InScipysPlace()
    return pytest.main([*map(str, files), "-p", "no:cacheprovider", "-W", "ignore", *options], plugins=[place])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
