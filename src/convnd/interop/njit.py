"""`convnd.convnd` inside users' own `@njit` functions: what is registered with Numba when `convnd` is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.extending import overload

from ..jit.calls import symbols


def register(convnd: Callable[..., Any]) -> None:
    """Tell Numba what a call of ``convnd`` in compiled code is."""
    symbols.register()

    # Typing tries again without literals where this returns nothing, so every error is plain: a `TypeError` or a
    # `ValueError`, not one of Numba's.
    @overload(convnd, prefer_literal=True, jit_options={"error_model": "numpy"})
    def convnd_in_compiled_code(
        x, kernel, padding="valid", stride=1, dilation=1, upsample=1, groups=1, axes=None, channel_axis=None,
        convention="convolution", boundary="constant", fill_value=0, nan_policy="propagate", mask=None, method="auto",
        dtype=None, out=None, beta=0, bias=None, workers=None,
    ):  # fmt: skip
        from .njit_call_1 import implementation  # its import compiles

        return implementation(
            x, kernel, padding, stride, dilation, upsample, groups, axes, channel_axis, convention, boundary,
            fill_value, nan_policy, mask, method, dtype, out, beta, bias, workers,
        )  # fmt: skip

    # Numba asks here where arguments do not fit those above.
    @overload(convnd, prefer_literal=True)
    def convnd_by_other_arguments(*given, **named):
        from .njit_types import misfit_of

        raise misfit_of(convnd, given, named)
