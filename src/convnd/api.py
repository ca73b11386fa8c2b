"""The public function: its signature, its docstring, and ten lines."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import direct
from .arguments import parse
from .problem import allocate, canonical, canonical_kernel, fills


def convnd(
    x: Any, kernel: Any, *, padding: Any = "valid", stride: Any = 1, dilation: Any = 1, groups: int = 1,
    axes: Any = None, channel_axis: int | None = None, convention: str = "convolution",
    boundary: str = "constant", fill_value: complex = 0, dtype: Any = None, out: np.ndarray | None = None,
    workers: int | None = None,
) -> np.ndarray:  # fmt: skip
    request = parse(
        x, kernel, padding=padding, stride=stride, dilation=dilation, groups=groups, axes=axes,
        channel_axis=channel_axis, convention=convention, boundary=boundary, fill_value=fill_value,
        dtype=dtype, out=out, workers=workers,
    )  # fmt: skip
    result = allocate(request) if out is None or np.may_share_memory(out, request.x) else out
    if result.size:
        problem = canonical(request, result)
        plan = direct.plan(problem)
        plan(request.x, canonical_kernel(request), fills(request, problem), result, request.workers)
    if result.dtype.kind == "c" and "c" not in (request.x.dtype.kind, request.kernel.dtype.kind):
        result.imag = 0  # what was computed is the real part
    if result is not out and out is not None:
        out[...] = result
        return out
    return result
