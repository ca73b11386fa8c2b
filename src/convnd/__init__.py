"""One function that convolves arrays of any rank."""

from .api import convnd

__version__ = "0.1.0"
__all__ = ["__version__", "convnd"]
