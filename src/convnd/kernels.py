"""The usual kernels, at any rank.

Weights are float64; ``kernel.astype(np.float32)`` keeps results of float32 samples in float32. They are for the default
``convention="convolution"``, and with ``padding="same", boundary="symmetric"`` they give what `scipy.ndimage` gives in
its default mode. Derivatives are positive where `x` rises along the axis.

An argument that may differ from axis to axis takes a number for every axis or a sequence with one entry for each, and a
sequence tells the rank: ``gaussian((2, 2))`` has two axes. Of numbers alone a kernel of one axis is made, or one of as
many as `ndim` says.
"""

from .differences import laplacian, laplacian_of_gaussian, prewitt, scharr, sharpen, sobel, unsharp_mask
from .smoothing import box, disk, gaussian, identity, motion_blur

__all__ = [
    "box", "disk", "gaussian", "identity", "laplacian", "laplacian_of_gaussian", "motion_blur", "prewitt", "scharr",
    "sharpen", "sobel", "unsharp_mask",
]  # fmt: skip
