"""xarray's arrays: names for axes, and the coordinates of the outputs.

An output stands where its window is centred, as "same" padding centres it: on a sample, whose coordinates it has, or
between samples or outside. There the coordinate of the dimension is continued where it is evenly spaced; whatever else
goes along a dimension that has such outputs is dropped.
"""

from collections.abc import Hashable, Mapping
from numbers import Integral
from typing import Any

import numpy as np

from ..methods.blocks import stand_in
from ..problem.arguments.messages import shown
from ..problem.arguments.parse import parse
from ..problem.arguments.spatial import spatial_axes
from ..problem.arguments.values import is_sequence
from ..problem.options import Options
from ..problem.request import Request

_EVEN = 1e-6  # of a step is the most that evenly spaced coordinates are off: they may be in float32


def numbered(x: Any, kernel: Any, options: Options) -> Options:
    """Return options with numbers in place of the names of a DataArray's dimensions."""
    axes, names = options.axes, getattr(kernel, "dims", None)
    if axes is None and options.channel_axis is None and names and set(names) <= set(x.dims):
        axes = names  # the kernel says what it goes along
    axes = tuple(_axis(a, "axes", x) for a in axes) if is_sequence(axes) else _axis(axes, "axes", x)
    options = options._replace(axes=axes, channel_axis=_axis(options.channel_axis, "channel_axis", x))
    if (named := getattr(options.mask, "dims", None)) is not None:
        if set(named) != set(x.dims):
            raise ValueError(f"mask must have the dimensions of x, {x.dims}, but has {named}")
        options = options._replace(mask=options.mask.transpose(*x.dims))
    if isinstance(options.boundary, Mapping):
        options = options._replace(boundary=_boundaries(options, x, np.asarray(kernel)))
    return options


def named(x: Any, kernel: Any, options: Options, values: Any) -> Any:
    """Return the values of a DataArray's convolution as a DataArray; ``options`` are those that `numbered` returned."""
    import xarray

    request = parse(stand_in(x.shape, x.dtype), kernel, None, options)
    dims = [d for a, d in enumerate(x.dims) if a != request.dropped]
    return xarray.DataArray(values, _coordinates(x, request), dims, x.name, dict(x.attrs))


def _axis(value: Any, name: str, x: Any) -> Any:
    """Return the number of a dimension that is named, and what is not a name as it is."""
    if value is None or isinstance(value, (Integral, float)) or not isinstance(value, Hashable):
        return value
    if value not in x.dims:
        raise ValueError(f"{name} names {shown(value)}, but x has the dimensions {x.dims}")
    return x.dims.index(value)


def _boundaries(options: Options, x: Any, kernel: np.ndarray) -> tuple[tuple[Any, ...], ...]:
    """Return the boundaries that a mapping gives by dimension, as a pair for each spatial axis."""
    given, (spatial, _) = options.boundary, spatial_axes(options, x, kernel)
    dims = [x.dims[a] for a in spatial]
    if set(given) != set(dims):
        raise ValueError(f"boundary names {shown([*given])}, but must name each of x's spatial dimensions {dims}")
    return tuple(tuple(given[dim]) if is_sequence(given[dim]) else (given[dim],) * 2 for dim in dims)


def _coordinates(x: Any, request: Request) -> Any:
    """Return the coordinates of the outputs."""
    coordinates, dropped, continued = x.coords.to_dataset(), set(), {}
    for a, axis in zip(request.spatial, request.axes, strict=True):
        dim = x.dims[a]
        positions = axis.centre(request.is_flipped) + axis.stride * np.arange(axis.outputs)
        samples, between = np.divmod(positions, axis.upsample)
        if not between.any() and samples[0] >= 0 and samples[-1] < axis.length:
            step = axis.stride // axis.upsample or 1
            coordinates = coordinates.isel({dim: slice(samples[0], samples[-1] + 1, step)}, missing_dims="ignore")
            continue
        dropped.add(dim)
        values = _continued(x.coords[dim].values, samples, between / axis.upsample) if dim in x.coords else None
        if values is not None:
            continued[dim] = (dim, values, x.coords[dim].attrs)
    channel = request.channel_axis
    is_depthwise = request.is_bank and request.out_channels == request.groups
    if channel is not None and not (is_depthwise and request.groups == x.shape[channel]):
        dropped.add(x.dims[channel])  # sums over channels are none of them
    return coordinates.drop_dims(dropped, errors="ignore").assign_coords(continued).coords


def _continued(values: np.ndarray, samples: np.ndarray, between: np.ndarray) -> np.ndarray | None:
    """Return the coordinates of positions, a sample and the share of a step behind it, where ``values`` are even."""
    if values.dtype.kind not in "iufmM" or len(values) < 2:
        return None
    # Whole numbers, and times as such, have more digits than a double.
    numbers = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
    distances = (numbers - numbers[0]).astype(np.float64)
    step = distances[-1] / (len(values) - 1)
    if not np.abs(np.diff(distances) - step).max() <= _EVEN * abs(step):
        return None
    moved = step * (samples + between)
    if values.dtype.kind in "mM" or (np.rint(moved) == moved).all():
        moved = np.rint(moved).astype(numbers.dtype)
    result = numbers[0] + moved
    if values.dtype.kind in "fmM" or (result == result.astype(values.dtype)).all():
        result = result.astype(values.dtype)
    inside = (between == 0) & (samples >= 0) & (samples < len(values))
    result[inside] = values[samples[inside]]  # as they are, so that arrays align
    return result
