"""Temporary."""

import numpy as np


def holds_nan(x, workers=None):
    return bool(np.isnan(x).any())


def check_nan(x, workers=None):
    if x.dtype.kind in "fc" and np.isnan(x).any():
        raise ValueError("x holds NaN but nan_policy is 'raise'")
