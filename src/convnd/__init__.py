"""One function that convolves arrays of any rank."""

from typing import TYPE_CHECKING

from .api import convnd, plan
from .plan import Plan
from .warm import warmup

__version__: str
__all__ = ["Plan", "__version__", "convnd", "plan", "warmup"]

if not TYPE_CHECKING:  # which would take every attribute for one of these

    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version  # slow to import, and seldom asked for

        try:
            return version(__name__)
        except PackageNotFoundError:  # sources that are not installed
            return "0+unknown"
