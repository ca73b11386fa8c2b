"""Other processors: the widths of vectors and the ways to convert that this machine would not take by itself."""

import platform

import numpy as np
import pytest
from numba import config, njit

from convnd import convnd
from convnd.jit.machine import VECTOR_BYTES
from support.check import REAL, check, integers, same
from support.processes import run

HASWELL = "+avx2,+fma,+avx,+f16c,+bmi,+bmi2,+popcnt,+sse4.2,+sse4.1,+ssse3,+sse3,+sse2,+sse"
MACHINES = {
    "AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": HASWELL},
    "no AVX": {"NUMBA_CPU_NAME": "generic"},
    "AVX left out": {"NUMBA_ENABLE_AVX": "0"},
}


def vectors_are_those_of_numba():
    """Numba's own loops use registers as wide as layouts are made for; of 512 bits only where asked to."""

    def double(x):
        for i in range(x.size):
            x[i] += x[i]

    compiled = njit(double)
    compiled(np.ones(100))
    text = "".join(compiled.inspect_asm().values())
    assert ("ymm" in text) == (VECTOR_BYTES > 16)
    assert VECTOR_BYTES < 64 or config.ENABLE_AVX


def every_half():
    """Every float16 there is becomes the right float32; floats and doubles around each become the right float16."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    same(convnd(halves, np.ones(1, np.float32)), halves.astype(np.float32))
    with np.errstate(all="ignore"):
        for dtype in np.float32, np.float64:
            near = (halves.astype(dtype)[:, None] * (1 + np.array([1, -1, 0.5, 1 + 1e-3, 1 - 1e-3]) * 2.0**-11)).ravel()
            same(convnd(near.astype(dtype), np.ones(1, dtype), dtype=np.float16), near.astype(dtype).astype(np.float16))


def every_type():
    """Routines of every working type, and both ways of their conversions."""
    for dtype in REAL:
        check(integers((37, 70), dtype), integers((3, 5), dtype, seed=1), padding="same", boundary="edge")
        check(integers((37, 70), np.float64, largest=300), integers((3, 5), seed=1), padding=2, dtype=dtype)
    x, kernel = integers((35, 9, 30), np.float32), integers((19, 35, 3, 3), np.float32, seed=1)
    check(x, kernel, padding="same", channel_axis=0, method="winograd")


def test_this_machine():
    every_half()
    every_type()


@pytest.mark.process
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 processors")
@pytest.mark.parametrize("machine", MACHINES)
def test_other_machines(machine, tmp_path):
    script = (
        f"import runpy; t = runpy.run_path({__file__!r}); t['vectors_are_those_of_numba'](); t['test_this_machine']()"
    )
    run("-c", script, NUMBA_CACHE_DIR=tmp_path, **MACHINES[machine])
