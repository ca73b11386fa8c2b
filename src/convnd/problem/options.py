"""The options of `convnd.convnd`: its arguments beside the arrays, as they were given."""

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np

_MOST_COMPARED = 2**12  # bytes of an array
#: Types of options whose equal values mean the same.
_PLAIN = frozenset({bool, int, str, type, type(None)})


class Options(NamedTuple):
    """The options of a call as they were given, with the defaults of the rest. Nothing is checked yet."""

    padding: Any = "valid"
    stride: Any = 1
    dilation: Any = 1
    upsample: Any = 1
    groups: Any = 1
    axes: Any = None
    channel_axis: Any = None
    convention: Any = "convolution"
    boundary: Any = "constant"
    fill_value: Any = 0
    nan_policy: Any = "propagate"
    mask: Any = None
    method: Any = "auto"
    dtype: Any = None
    beta: Any = 0
    bias: Any = None
    workers: Any = None


def without_mask(options: Options, taker: str) -> Options:
    """Return options after checking that they have no mask, for what works block by block."""
    if options.mask is not None:
        raise ValueError(f"mask is given, but {taker} takes none: write NaN to x instead, and nan_policy='omit'")
    return options


def meaning_of(options: Options) -> Hashable:
    """Return a key that only options of the same meaning have; None where an option's type has no such key.

    The options themselves are none: 1, 1.0 and True are equal, so are 0.0 and -0.0, and NaN does not equal itself.
    """
    types = (*map(type, options),)
    if _PLAIN.issuperset(types):
        return types, options
    try:
        return types, tuple([o if kind in _PLAIN else _meaning(o) for o, kind in zip(options, types, strict=True)])
    except TypeError:
        return None


def _meaning(value: Any) -> Hashable:
    kind = type(value)
    if kind in (tuple, list):
        return kind, tuple([_meaning(entry) for entry in value])
    if kind in (float, complex) or isinstance(value, np.number):
        return kind, repr(value)
    if kind in _PLAIN or isinstance(value, np.dtype):
        return kind, value
    if kind is np.ndarray and value.nbytes <= _MOST_COMPARED and value.dtype != object:
        return value.dtype, value.shape, value.tobytes()
    raise TypeError(f"options of type {kind.__name__} are not compared")
