"""The options of `convnd.convnd`: its arguments beside the arrays, as they were given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .names import unknown_argument


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
    method: Any = "auto"
    dtype: Any = None
    workers: Any = None


def options_of(given: Mapping[str, Any]) -> Options:
    """Return keywords of `convnd.convnd` as its options.

    Raises
    ------
    TypeError
        Where a keyword is none of its options.
    """
    unknown = {name: value for name, value in given.items() if name not in Options._fields}
    if unknown:
        raise unknown_argument("convnd", ("x", "kernel", *Options._fields, "out"), unknown)
    return Options(**given)
