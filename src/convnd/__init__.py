"""One function that convolves arrays of any rank."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import kernels
from .api import convnd, plan
from .interop.blockwise import blockwise
from .interop.stream import Stream
from .interop.window import Window, window
from .plan import Plan
from .problem.arguments.names import FUNCTIONS, unknown_name
from .warm import warmup

__version__: str
__all__ = [
    "Plan", "Stream", "Window", "blockwise", "convnd", "kernels", "plan", "warmup", "window",
]  # fmt: skip
_WHEN_ASKED = ("jax", "ndimage", "signal", "torch")  # modules that few need, two of which import a library


def __dir__() -> list[str]:
    return sorted([*__all__, *_WHEN_ASKED])


if not TYPE_CHECKING:  # type checkers would take any name for one of the module's

    def __getattr__(name: str) -> Any:
        if name in _WHEN_ASKED:
            try:
                return import_module(f"{__name__}.{name}")
            except ImportError as error:  # what looks at every attribute, help() say, goes on
                raise AttributeError(f"convnd.{name} needs what cannot be imported: {error}") from error
        if name != "__version__":
            raise unknown_name(__name__, name, FUNCTIONS)
        from importlib.metadata import PackageNotFoundError, version  # slow to import, and seldom asked for

        try:
            return version("convnd-jit")
        except PackageNotFoundError:  # sources that are not installed
            return "0+unknown"
