"""The convolution of the contract and its transposes, written down literally; shares nothing with the package.

Slow on purpose. Padding is `numpy.pad`, which the boundaries are named after; one tap of one channel is added at a
time. Floats are NumPy's widest, which hold sums of small whole numbers exactly. Whole numbers are added in uint64,
which is exact modulo 2^64, and that is all that the contract promises of sums beyond it.
"""

import itertools

import numpy as np

#: Each boundary mode, as `numpy.pad` takes it: by name, or as a function that pads one line.
BOUNDARIES = {name: name for name in ("constant", "edge", "reflect", "symmetric", "wrap")}


def convnd(x, kernel, *, fill_value=0, dtype=None, **options):
    """What `convnd.convnd` returns for valid arguments; it checks none."""
    x, kernel = np.asarray(x), np.asarray(kernel)
    working, result = types(x.dtype, kernel.dtype, dtype)
    form = Form(x, kernel, **options)
    samples, weights = form.samples(wide(x, working), filling(fill_value, working)), form.weights(wide(kernel, working))
    y = wide(np.zeros(form.outputs, int), working)
    are_samples = form.samples(np.ones(x.shape, bool), True, False) if max(form.upsample, default=1) > 1 else None
    with np.errstate(all="ignore"):
        for weight, source, filters in form.terms():
            products = form.of_filters(weights[weight]) * samples[source]
            y[filters] += products if are_samples is None else np.where(are_samples[source], products, 0)
    return cast(form.result(y), result, dtype)


def adjoint(x, kernel, y, **options):
    """The transpose of `convnd` as a map of x: each output adds, times each weight, to the sample that it reads by it.

    Of `x` the shape alone counts. Complex weights are conjugated.
    """
    kernel, y = np.asarray(kernel), np.asarray(y)
    working, result = types(y.dtype, kernel.dtype, None)
    form = Form(x, kernel, **{name: value for name, value in options.items() if name != "fill_value"})
    places = form.samples(np.arange(x.size).reshape(x.shape), NOWHERE, NOWHERE)
    weights, sums, back = form.weights(wide(kernel, working)), form.sums(wide(y, working)), np.zeros(x.size, int)
    back = wide(back, working)
    with np.errstate(all="ignore"):
        for weight, source, filters in form.terms():
            inside, products = places[source] != NOWHERE, form.of_filters(np.conj(weights[weight])) * sums[filters]
            np.add.at(back, places[source][inside], products.sum(axis=0)[inside])
    return cast(back.reshape(x.shape), result, None)


def kernel_gradient(x, kernel, y, *, fill_value=0, **options):
    """The transpose of `convnd` as a map of the kernel: each weight sums outputs times the samples they read by it.

    Of `kernel` the shape alone counts. Complex samples are conjugated.
    """
    x, y = np.asarray(x), np.asarray(y)
    working, result = types(x.dtype, y.dtype, None)
    form = Form(x, kernel, **options)
    samples, sums = form.samples(wide(x, working), filling(fill_value, working)), form.sums(wide(y, working))
    are_samples = form.samples(np.ones(x.shape, bool), True, False)
    places = form.weights(np.arange(kernel.size).reshape(kernel.shape))
    weights = wide(np.zeros(kernel.size, int), working)
    with np.errstate(all="ignore"):
        for weight, source, filters in form.terms():
            products = np.conj(samples[source]) * sums[filters]
            weights[places[weight]] = products[:, are_samples[source]].sum(axis=1)
    return cast(weights.reshape(kernel.shape), result, None)


def output_shape(x_shape, kernel_shape, **options):
    """The shape of what `convnd` returns."""
    form = form_of(np.empty(x_shape, bool), np.empty(kernel_shape, bool), **options)
    return form.result(np.broadcast_to(False, form.outputs)).shape


def form_of(x, kernel, *, fill_value=0, dtype=None, **options):
    """The form of a convolution with these options."""
    return Form(x, kernel, **options)


#: The place of what is no sample of x.
NOWHERE = -1


class Form:
    """The arrays of a convolution in one form, with channels before batch axes before spatial ones, and its terms."""

    def __init__(
        self, x, kernel, *, padding="valid", stride=1, dilation=1, upsample=1, groups=1, axes=None, channel_axis=None,
        convention="convolution", boundary="constant",
    ):  # fmt: skip
        spatial, channel, batch = roles(x.ndim, kernel.ndim, axes, channel_axis)
        self.order = channel + batch + spatial  # the axes of x
        self.has_channels, self.is_bank = bool(channel), bool(channel) and kernel.ndim == len(spatial) + 2
        self.channels_last = bool(channel) and any(channel[0] > axis for axis in spatial)
        self.is_flipped, self.groups = convention == "convolution", groups
        self.boundary = [pair(entry) for entry in per_axis(boundary, len(spatial))]  # before and after each axis
        self.c_out, self.c_in, *self.taps = self.weights(np.empty(kernel.shape, bool)).shape
        self.stride, self.dilation, self.upsample = (per_axis(v, len(spatial)) for v in (stride, dilation, upsample))
        extents = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.taps)]
        self.ends = widths(padding, extents, convention)
        self.batch = [x.shape[axis] for axis in batch]
        spans = [u * (x.shape[a] - 1) + 1 + sum(e) for a, e, u in zip(spatial, self.ends, self.upsample)]
        self.lengths = [(span - extent) // s + 1 for span, extent, s in zip(spans, extents, self.stride)]
        self.outputs = (self.c_out, *self.batch, *self.lengths)

    def weights(self, kernel):
        """(C_out, C_in / groups, *K), not flipped: tap t reads sample t."""
        if not self.has_channels:
            kernel = kernel[None, None]
        else:
            if self.channels_last:  # (*K, C_in / groups[, C_out])
                kernel = np.moveaxis(kernel, [-1, -2] if self.is_bank else -1, [0, 1] if self.is_bank else 0)
            kernel = kernel if self.is_bank else kernel[None]
        return np.flip(kernel, axis=range(2, kernel.ndim)) if self.is_flipped else kernel

    def samples(self, x, outside, between=0):
        """(C_in, batch..., *spatial), padded, with the values of what the boundary "constant" supplies and of zeros."""
        samples = x.transpose(self.order)
        samples = samples if self.has_channels else samples[None]
        first = 1 + len(self.batch)
        # Whole samples outside, more than any tap reads; upsampled; then cut to the padding.
        for axis, ((before, after), names, u) in enumerate(zip(self.ends, self.boundary, self.upsample), first):
            samples = padded(samples, axis, (-(-before // u), -(-after // u)), names, outside)
        for axis, ((before, after), u) in enumerate(zip(self.ends, self.upsample), first):
            shape = list(samples.shape)
            shape[axis] = u * (shape[axis] - 1) + 1
            spread = np.full(shape, between, samples.dtype)
            along = [slice(None)] * axis
            spread[(*along, slice(None, None, u))] = samples
            samples = spread[(*along, slice(-before % u, shape[axis] - -after % u))]
        return samples

    def terms(self):
        """For one weight of each filter of a group its index, the samples' (one for each output) and the filters."""
        count = self.c_out // self.groups
        for group, c, tap in itertools.product(range(self.groups), range(self.c_in), np.ndindex(*self.taps)):
            first = [d * t for d, t in zip(self.dilation, tap)]
            window = [slice(f, f + s * (n - 1) + 1, s) for f, s, n in zip(first, self.stride, self.lengths)]
            filters = slice(group * count, (group + 1) * count)
            yield (filters, c, *tap), (group * self.c_in + c, ..., *window), filters

    def of_filters(self, weights):
        """One weight of each filter, beside that filter's outputs."""
        return weights.reshape(-1, *(1 for _ in self.outputs[1:]))

    def result(self, y):
        """(C_out, batch..., *spatial) with its axes in the places of x's."""
        order = self.order if self.is_bank else self.order[self.has_channels :]
        return (y if self.is_bank else y[0]).transpose(np.argsort(order))

    def sums(self, y):
        """A result as (C_out, batch..., *spatial)."""
        order = self.order if self.is_bank else self.order[self.has_channels :]
        y = y.transpose(np.argsort(np.argsort(order)))
        return y if self.is_bank else y[None]


def padded(samples, axis, counts, names, outside):
    """An array padded along an axis; each end by `numpy.pad` of the array alone, where the ends have other names."""
    if len(set(names)) == 1:
        pads = [(0, 0)] * samples.ndim
        pads[axis] = counts
        fill = {"constant_values": outside} if names[0] == "constant" else {}
        return np.pad(samples, pads, mode=BOUNDARIES[names[0]], **fill)
    (before, after), n = counts, samples.shape[axis]
    first = padded(samples, axis, (before, 0), (names[0],) * 2, outside)
    last = padded(samples, axis, (0, after), (names[1],) * 2, outside)
    return np.concatenate([first, last.take(range(n, n + after), axis=axis)], axis=axis)


def roles(x_ndim, kernel_ndim, axes, channel_axis):
    """The spatial axes (in the kernel's order), the channel axis if any, and the batch axes, as lists."""
    channel = [] if channel_axis is None else [channel_axis % x_ndim]
    if axes is not None:
        spatial = [axis % x_ndim for axis in (axes if np.iterable(axes) else [axes])]
    elif channel:
        spatial = [axis for axis in range(x_ndim) if axis not in channel]
    else:
        assert x_ndim == kernel_ndim
        spatial = list(range(x_ndim))
    return spatial, channel, [axis for axis in range(x_ndim) if axis not in spatial + channel]


def per_axis(value, n):
    return list(value) if np.iterable(value) and not isinstance(value, str) else [value] * n


def pair(entry):
    return (entry, entry) if isinstance(entry, str) else tuple(entry)


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
        return np.dtype(np.uint64), np.dtype(np.uint64 if result.kind == "u" else np.int64)
    wanted = np.result_type(result, dtype or result)
    return np.dtype(np.clongdouble if wanted.kind == "c" else np.longdouble), result


def filling(fill_value, working):
    """The fill value in the oracle's type."""
    return wide(int(fill_value) % 2**64 if working.kind == "u" else fill_value, working)


def wide(values, working):
    """`values` in the oracle's type."""
    return np.asarray(values).astype(working)


def cast(y, result, dtype):
    """Sums `y` to the type asked for; `result` is the one they have when none is asked for."""
    y = np.asarray(y.astype(result) if y.dtype == np.uint64 else y)  # modulo 2^64, as NumPy
    dtype = result if dtype is None else np.dtype(dtype)
    with np.errstate(all="ignore"):
        return saturated(y, dtype) if dtype.kind in "biu" else y.astype(dtype)


def saturated(y, dtype):
    """The whole numbers of a type that are nearest to `y`, ties to even; 0 for NaN."""
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    whole = np.where((y > low) & (y < high), y if y.dtype.kind in "iu" else np.rint(y), 0).astype(dtype)
    whole[y <= low], whole[y >= high] = low, high
    return whole


def normalised(x, kernel, *, mask=None, fill_value=0, dtype=None, **options):
    """What a mask means, or `nan_policy="omit"` without one, in the widest type.

    It is the sum of weighed samples * all weight / weight found. And how many times larger that makes an error.
    """
    valid, kernel = ~np.isnan(x) if mask is None else np.asarray(mask), np.asarray(kernel)
    widest = np.clongdouble if "c" in (x.dtype.kind, kernel.dtype.kind) else np.longdouble
    kernel, valid = kernel.astype(widest), valid.astype(np.longdouble)
    sums = convnd(np.where(valid > 0, x, 0).astype(widest) * valid, kernel, fill_value=fill_value, **options)
    weights = {"kernel": np.abs(kernel), "fill_value": 1, **options}
    found = convnd(valid, **weights)
    with np.errstate(all="ignore"):
        larger = convnd(np.ones(x.shape, np.longdouble), **weights) / found
        return np.where(found > 0, sums * larger, np.nan), np.where(found > 0, larger, 1)
