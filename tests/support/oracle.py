"""The convolution of the contract, written down literally; shares nothing with the package.

Slow on purpose. Padding is `numpy.pad`, which the boundaries are named after; one tap of one channel is added at a
time; integers are Python's own and floats NumPy's widest, so nothing can wrap, round early or take a short cut. The
answer is exact for integers, and for floats wherever the wide type holds the sums exactly.
"""

import itertools

import numpy as np

#: Each boundary mode, as `numpy.pad` takes it: by name, or as a function that pads one line.
BOUNDARIES = {name: name for name in ("constant", "edge", "reflect", "symmetric", "wrap")}


def convnd(
    x, kernel, *, padding="valid", stride=1, dilation=1, upsample=1, groups=1, axes=None, channel_axis=None,
    convention="convolution", boundary="constant", fill_value=0, dtype=None,
):  # fmt: skip
    """What `convnd.convnd` returns for valid arguments; it checks none."""
    x, kernel = np.asarray(x), np.asarray(kernel)
    working, result = types(x.dtype, kernel.dtype, dtype)
    spatial, channel, batch = roles(x.ndim, kernel.ndim, axes, channel_axis)
    order = channel + batch + spatial  # the axes of x, in the order used below

    samples = wide(x.transpose(order), working)
    weights = wide(kernel, working)
    if not channel:
        samples, weights = samples[None], weights[None, None]
    else:  # (C_in, batch..., *spatial) and (C_out, C_in / groups, *K)
        bank = kernel.ndim == len(spatial) + 2
        if any(channel[0] > axis for axis in spatial):  # channels last: (*K, C_in / groups[, C_out])
            weights = np.moveaxis(weights, [-1, -2] if bank else -1, [0, 1] if bank else 0)
        weights = weights if bank else weights[None]
    if convention == "convolution":
        weights = np.flip(weights, axis=range(2, weights.ndim))

    taps = weights.shape[2:]
    stride, dilation, upsample = (per_axis(v, len(taps)) for v in (stride, dilation, upsample))
    extents = [d * (k - 1) + 1 for d, k in zip(dilation, taps)]
    ends = widths(padding, extents, convention)
    # Whole samples outside, more than any tap reads; upsampled; then cut to the padding.
    pads = [(0, 0)] * (1 + len(batch)) + [(-(-b // u), -(-a // u)) for (b, a), u in zip(ends, upsample)]
    fill_value = int(fill_value) if working.kind == "O" else fill_value
    fill = {"constant_values": wide(fill_value, working)} if boundary == "constant" else {}
    samples = np.pad(samples, pads, mode=BOUNDARIES[boundary], **fill)
    for axis, ((before, after), u) in enumerate(zip(ends, upsample), 1 + len(batch)):
        shape = list(samples.shape)
        shape[axis] = u * (shape[axis] - 1) + 1
        spread = wide(np.zeros(shape, int), working)
        along = [slice(None)] * axis
        spread[(*along, slice(None, None, u))] = samples
        samples = spread[(*along, slice(-before % u, shape[axis] - -after % u))]
    spans = samples.shape[1 + len(batch) :]
    lengths = [(span - extent) // s + 1 for span, extent, s in zip(spans, extents, stride)]

    c_out, c_in = weights.shape[:2]
    y = wide(np.zeros((c_out, *samples.shape[1 : 1 + len(batch)], *lengths), int), working)
    with np.errstate(all="ignore"):
        for out, c in itertools.product(range(c_out), range(c_in)):
            source = samples[out // (c_out // groups) * c_in + c]
            for t in np.ndindex(*taps):
                first = [d * i for d, i in zip(dilation, t)]
                window = [slice(f, f + s * (n - 1) + 1, s) for f, s, n in zip(first, stride, lengths)]
                y[out, ...] += weights[(out, c, *t)] * source[(..., *window)]

    if not (channel and bank):
        y, order = y[0], batch + spatial
    return cast(y.transpose(np.argsort(order)), result, dtype)


def roles(x_ndim, kernel_ndim, axes, channel_axis):
    """The spatial axes (in the kernel's order), the channel axis if any, and the batch axes, as lists."""
    channel = [] if channel_axis is None else [channel_axis % x_ndim]
    if axes is not None:
        spatial = [axis % x_ndim for axis in (axes if np.iterable(axes) else [axes])]
    elif channel:
        spatial = [axis for axis in range(x_ndim) if axis not in channel]
    else:
        spatial = list(range(x_ndim - kernel_ndim, x_ndim))
    return spatial, channel, [axis for axis in range(x_ndim) if axis not in spatial + channel]


def per_axis(value, n):
    return list(value) if np.iterable(value) else [value] * n


def widths(padding, extents, convention):
    """(before, after) for each spatial axis."""
    if padding == "valid":
        padding = 0
    if padding == "full":
        return [(e - 1, e - 1) for e in extents]
    if padding == "same":  # an odd sample goes after in correlation, before in convolution
        short = [(e - 1) // 2 for e in extents]
        pairs = [(s, e - 1 - s) for s, e in zip(short, extents)]
        return pairs if convention == "correlation" else [(after, before) for before, after in pairs]
    return [tuple(p) if np.iterable(p) else (p, p) for p in per_axis(padding, len(extents))]


def types(x, kernel, dtype):
    """The type sums are held in here, and the result's."""
    result = np.result_type(x, kernel)
    if x.kind in "biu" and kernel.kind in "biu":
        return np.dtype(object), np.dtype(np.uint64 if result.kind == "u" else np.int64)
    wanted = np.result_type(result, dtype or result)
    return np.dtype(np.clongdouble if wanted.kind == "c" else np.longdouble), result


def wide(values, working):
    """`values` in the oracle's type; an object array holds Python's numbers (a bool becomes an int)."""
    values = np.asarray(values)
    return np.array(values.astype(object) * 1, object) if working.kind == "O" else values.astype(working)


def cast(y, result, dtype):
    """Exact sums `y` to the type asked for; `result` is the one they have when none is asked for."""
    if y.dtype == object:  # integers: modulo 2^64, as NumPy
        half = 0 if result == np.uint64 else 2**63
        y = (y + half) % 2**64 - half
    dtype = result if dtype is None else np.dtype(dtype)
    if dtype.kind in "biu":
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        y = np.array([saturated(value, low, high) for value in y.flat], object).reshape(y.shape)
    with np.errstate(all="ignore"):
        return np.asarray(y).astype(dtype)


def saturated(value, low, high):
    """The whole number nearest to `value`, ties to even, from `low` to `high`; 0 for NaN."""
    if value != value:
        return 0
    return low if value <= low else high if value >= high else round(value)


def normalised(x, kernel, *, fill_value=0, dtype=None, **options):
    """What `nan_policy="omit"` means, in the widest type: sum of the valid * all weight / weight of the valid.

    And how many times larger that last quotient makes an error.
    """
    valid, kernel = ~np.isnan(x), np.asarray(kernel)
    widest = np.clongdouble if "c" in (x.dtype.kind, kernel.dtype.kind) else np.longdouble
    kernel = kernel.astype(widest)
    sums = convnd(np.where(valid, x, 0).astype(widest), kernel, fill_value=fill_value, **options)
    weights = {"kernel": np.abs(kernel), "fill_value": 1, **options}
    found = convnd(valid.astype(np.longdouble), **weights)
    with np.errstate(all="ignore"):
        larger = convnd(np.ones(x.shape, np.longdouble), **weights) / found
        return np.where(found > 0, sums * larger, np.nan), np.where(found > 0, larger, 1)
