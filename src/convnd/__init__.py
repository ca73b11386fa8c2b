"""One function that convolves arrays of any rank."""

from . import kernels
from .api import convnd, plan
from .plan import Plan
from .warm import warmup

__version__ = "0.1.0"
__all__ = ["Plan", "__version__", "convnd", "kernels", "plan", "warmup"]
