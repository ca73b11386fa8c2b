"""One function that convolves arrays of any rank."""

from . import kernels
from .api import blockwise, convnd, plan
from .plan import Plan
from .stream import Stream
from .warm import warmup
from .window import Window, window

__version__ = "0.1.0"
__all__ = [
    "Plan", "Stream", "Window", "__version__", "blockwise", "convnd", "kernels", "plan", "warmup", "window",
]  # fmt: skip
