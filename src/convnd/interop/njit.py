"""`convnd.convnd` inside users' own `@njit` functions: what is registered with Numba when `convnd` is imported."""

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from numba.extending import overload

from ..jit.calls import symbols


def register(convnd: Callable[..., Any]) -> None:
    """Tell Numba what a call of ``convnd`` in compiled code is."""
    symbols.register()

    parameters = inspect.signature(convnd)
    defaults = {name: own.default for name, own in parameters.parameters.items()}

    # Typing tries again without literals where this returns nothing, so every error is plain: a `TypeError` or a
    # `ValueError`, not one of Numba's. The function that is compiled takes options by position too, since Numba has no
    # parameters that go by name alone; `bind` refuses them first.
    @overload(convnd, prefer_literal=True, strict=False, jit_options={"error_model": "numpy"})
    def convnd_in_compiled_code(*given, **named):
        try:
            arguments = parameters.bind(*given, **named).arguments
        except TypeError:
            from .njit_types import misfit_of

            raise misfit_of(convnd, given, named) from None
        from .njit_call_1 import implementation  # its import compiles

        return implementation(SimpleNamespace(**{**defaults, **arguments}))
