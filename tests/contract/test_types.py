"""User code is checked by mypy, in its strictest mode: what is right passes, what is wrong does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import convnd

# Each line with an ignored error has that error: mypy also reports those that are not there.
CODE = """
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import convnd
from convnd import Plan, plan

x = np.zeros((8, 9), np.float32)
y: NDArray[np.float32] = convnd.convnd(x, [[1, 2], [3, 4]], padding="same", boundary="edge", dtype=np.float32)
z: NDArray[np.int16] = convnd.convnd(x, x, padding=1, dtype="int16")
convnd.convnd([1, 2, 3], (1.0, 2.0), padding=[(1, 2)], stride=(2,), dilation=2, upsample=1, fill_value=1j, workers=None)
convnd.convnd(x, x, padding=((1, 2), 3), axes=(0, 1), dtype="int16", out=None, nan_policy="omit", method="fft")
convnd.convnd(memoryview(b"abc"), range(3), channel_axis=0, groups=3, convention="correlation", axes=())
convnd.convnd(x, x, padding=1, boundary=("edge", "wrap"))
convnd.convnd(x, x, padding=1, boundary=[("edge", "constant"), ("wrap", "wrap")])
convnd.convnd(x, x, padding=1, boundary={"lat": "edge", "lon": ("wrap", "wrap")})
made: Plan = plan(x, x, padding="full", out=np.empty((15, 17), np.float32))
shape: tuple[int, ...] = made.adjoint(made(x, out=y)).shape
assert_type(made.output_shape, tuple[int, ...])
number: int = made.flops + made.scratch_bytes
text: str = made.method + made.why + str(made.dtype)
convnd.warmup(ranks=[1], dtypes=("float32", np.int16))

convnd.convnd(x, x, "same")  # type: ignore[call-arg]
convnd.convnd(x)  # type: ignore[call-arg]
convnd.convnd(x, x, strides=2)  # type: ignore[call-arg]
convnd.convnd(x, x, padding=1.5)  # type: ignore[arg-type]
convnd.convnd(x, x, boundary=None)  # type: ignore[arg-type]
convnd.convnd(x, x, boundary=("edge", "mirror"))  # type: ignore[arg-type]
convnd.convnd(x, x, padding="sam")  # type: ignore[arg-type]
plan(x, x, method="FFT", boundary="mirror")  # type: ignore[arg-type]
convnd.convnd(x, x, out=[1.0])  # type: ignore[arg-type]
plan(x, x, pading="same")  # type: ignore[call-arg]
made(x, padding="same")  # type: ignore[call-arg]
made.adjoint(x, out=x)
made.adjoint(x, x=x)  # type: ignore[call-arg]
repr(convnd.Stream(x))
width = convnd.kernels.gaussian(fwhm=2.0, ndim=2, dtype=np.float32)
convnd.kernels.gaussian(2, size=3)  # type: ignore[call-arg]
made.method()  # type: ignore[operator]
convnd.no_such_thing  # type: ignore[attr-defined]
"""


@pytest.mark.process
def test_user_code_is_checked(tmp_path):
    (tmp_path / "sample.py").write_text(CODE)
    (tmp_path / "mypy.ini").write_text("[mypy]\n")  # none of this project's
    environment, home = dict(os.environ), Path(convnd.__file__).parents[1]
    if home.name != "site-packages":  # where mypy looks by itself, and wants to
        environment["MYPYPATH"] = str(home)
    options = ["--strict", "--python-version=3.11", "--follow-imports=silent"]
    options += ["--cache-dir=cache", "--no-error-summary"]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "sample.py"], cwd=tmp_path, env=environment, capture_output=True,
        text=True,
    )  # fmt: skip
    assert run.stdout + run.stderr == ""
    assert run.returncode == 0
