"""The names of arguments, values and kernels, and the names that other libraries give them.

An error about an unknown name tells which name to write here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import boundary
from .messages import shown

#: The arguments of `convnd.convnd`, each with the names that other libraries give it.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "x": ("input", "in1", "image", "img", "src", "lhs", "array", "a", "signal"),
    "kernel": ("weights", "weight", "filter", "filters", "in2", "v", "rhs", "taps"),
    "padding": ("pad", "pads", "shape"),
    "stride": ("strides", "window_strides", "subsample", "step", "down"),
    "dilation": ("dilations", "dilation_rate", "rhs_dilation", "kernel_dilation"),
    "upsample": ("lhs_dilation", "input_dilation", "up"),
    "groups": ("group", "feature_group_count"),
    "axes": ("axis", "dim", "dims", "spatial_axes"),
    "channel_axis": ("multichannel", "data_format", "dimension_numbers", "channels_last"),
    "convention": ("flip", "flip_kernel"),
    "boundary": ("mode", "padding_mode", "border_mode", "border", "borderType", "edge_mode"),
    "fill_value": ("cval", "fillvalue", "fill", "constant_values", "borderValue"),
    "nan_policy": ("nan_treatment", "preserve_nan", "skipna"),
    "mask": ("valid", "where", "confidence", "certainty"),
    "method": ("algorithm", "backend"),
    "dtype": ("ddepth", "preferred_element_type", "output_dtype"),
    "out": ("output", "dst"),
    "beta": ("accumulate",),
    "bias": ("delta",),
    "workers": ("n_jobs", "threads", "num_threads", "nthreads", "n_threads", "num_workers", "max_workers"),
}

#: Arguments of other libraries that have no counterpart here, and what to do instead.
ADVICE = {
    "origin": "padding=((before, after), ...) shifts the window",
    "anchor": "padding=((before, after), ...) shifts the window",
    "output_padding": "with upsample, add it to the padding after: padding=((before, after), ...)",
    "kernel_size": "the kernel's shape says it",
    "ksize": "the kernel's shape says it",
    "sigma": "convnd.kernels.gaussian(sigma) makes the kernel",
    "fwhm": "convnd.kernels.gaussian(fwhm=...) makes the kernel",
    "spacing": "stride, dilation and padding count samples: divide lengths by it",
    "in_channels": "the kernel's shape says it",
    "out_channels": "the kernel's shape says it",
    "normalize_kernel": "divide the kernel by its sum",
    "precision": "dtype says how precisely to compute at least",
}

#: The values that have names, each with the names that other libraries give it.
CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
    "padding": {"valid": ("none",), "same": ("half", "same_upper"), "full": ()},
    "convention": {
        "convolution": ("conv", "convolve"),
        "correlation": ("corr", "correlate", "cross-correlation", "cross_correlation", "xcorr"),
    },
    "boundary": boundary.MODES,
    "nan_policy": {"propagate": ("allow", "keep"), "raise": ("error",), "omit": ("ignore", "interpolate", "skip")},
    "method": {
        "auto": ("best", "default"),
        "direct": ("spatial", "sum"),
        "separable": ("sepfir2d", "sepfilter2d"),
        "fft": ("fftconvolve", "oaconvolve", "overlap-add", "overlap_add", "overlap-save", "overlap_save", "fourier"),
        "winograd": (),
    },
}

#: The ready-made kernels, each with the names that other libraries give it.
KERNELS = {
    "box": ("uniform", "uniform_filter1d", "box_filter", "uniform_filter", "mean", "average", "boxcar", "blur"),
    "disk": ("ball", "circle", "pillbox"),
    "gaussian": ("gauss", "gaussian_filter", "gaussian_filter1d", "gaussian_blur", "GaussianBlur"),
    "identity": ("delta", "dirac", "impulse", "unit_impulse"),
    "laplacian": ("laplace",),
    "laplacian_of_gaussian": ("log", "gaussian_laplace"),
    "motion_blur": (),
    "prewitt": (),
    "scharr": (),
    "sharpen": (),
    "sobel": (),
    "unsharp_mask": (),
}

#: The functions of the package, each with the names of other libraries' functions.
FUNCTIONS = {
    "convnd": (
        "convolve", "convolve1d", "convolve2d", "correlate", "correlate1d", "correlate2d", "conv1d", "conv2d", "conv3d",
        "fftconvolve", "oaconvolve", "filter2d", "sepfilter2d", "upfirdn", "convolve_fft",
    ),
    "blockwise": ("map_overlap", "map_blocks"),
    "plan": (), "warmup": (), "window": (), "Stream": (), "Plan": (), "Window": (), "kernels": ("kernel",),
}  # fmt: skip

_MODES = ("padding", "boundary", "convention", "method")  # each of them is called "mode" by some library
_OPTIONS = ARGUMENTS.keys() - {"x", "kernel", "out"}  # of a plan
_NEAR = 0.7  # the least similarity, up to 1, of a misspelt name and the name that is meant


def chosen(value: Any, name: str) -> str:
    """Return the value of an argument whose values have names, after checking it."""
    names = CHOICES[name]
    plain = str.__str__(value) if isinstance(value, str) else None  # a subclass of str may print differently
    if plain in names:
        return plain
    rule = f"{name} must be one of {', '.join(map(repr, names))}, but is {shown(value)}"
    if plain is None:
        raise TypeError(rule)
    raise ValueError(f"{rule}{_meant_value(plain, name)}")


def unknown_argument(function: str, parameters: Sequence[str], unknown: Mapping[str, object]) -> TypeError:
    """Return the error about keywords that are not parameters of the function of that name."""
    name, value = next(iter(unknown.items()))
    return TypeError(f"{function}() has no argument {shown(name)}: {_meant_argument(name, value, list(parameters))}")


def unknown_name(module: str, name: str, names: Mapping[str, tuple[str, ...]]) -> AttributeError:
    """Return the error about a name that a module of the package, which has ``names``, does not have."""
    error = f"{module} has no {name!r}"
    if name.startswith("_"):  # tools ask for many of these
        return AttributeError(error)
    tables = [names, *(table for table in (FUNCTIONS, KERNELS) if table is not names)]
    for find in (_ours, _near):
        for table in tables:
            ours = find(name, table)
            if ours is not None:
                call = f"convnd.{ours}" if table is FUNCTIONS else f"convnd(x, kernels.{ours}(...), padding='same')"
                return AttributeError(f"{error}: {f'did you mean {ours}?' if table is names else f'write {call}'}")
    return AttributeError(f"{error}: there are {', '.join(names)}")


def _meant_argument(name: str, value: object, parameters: list[str]) -> str:
    """Return what to write in place of an argument that a function does not have."""
    ours = _ours(name, ARGUMENTS)
    if isinstance(value, str) and ours in CHOICES:  # mode="same" means padding, mode="nearest" the boundary
        argument, meant = _named(value, ours)
        if meant is not None and argument in parameters:
            also = ' (SciPy\'s "reflect" is "symmetric" here)' if (name, value) == ("mode", "reflect") else ""
            return f'it is {argument}="{meant}" here{also}'
    if ours in parameters:
        return f"it is {ours} here"
    if name in ADVICE:
        return ADVICE[name]
    near = _near(name, [*parameters, *(theirs for known in parameters for theirs in ARGUMENTS.get(known, ()))])
    if near is not None:
        return f"did you mean {near if near in parameters else _ours(near, ARGUMENTS)}?"
    if ours == "out":
        return "the result is a new array"
    if ours in _OPTIONS:
        return f"{ours} is an option of convnd.plan"
    return f"there are {', '.join(parameters)}"


def meant_by(value: Any) -> str:
    """Return how to write a value whose argument is not named; "" where the value does not tell."""
    argument, meant = _named(value, "padding") if isinstance(value, str) else ("", None)
    return "" if meant is None else f'write {argument}="{meant}"'


def _meant_value(value: str, name: str) -> str:
    """Return what to write in place of a value that an argument does not have, or "" where that is not known."""
    argument, meant = _named(value, name)
    if meant is not None:
        return f": it is {'' if argument == name else f'{argument}='}{meant!r} here"
    near = _near(value, CHOICES[name])
    return "" if near is None else f": did you mean {near!r}?"


def _named(value: str, name: str) -> tuple[str, str | None]:
    """Return the argument, ``name`` before others, that takes another library's value, and our name for the value."""
    candidates = (name, *_MODES) if name in _MODES else (name,)
    found = ((argument, _ours(value, CHOICES[argument])) for argument in candidates)
    return next((pair for pair in found if pair[1] is not None), (name, None))


def _ours(name: str, names: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return our name for another library's, or None where the table has none."""
    for ours, theirs in names.items():
        if name.lower() in (ours.lower(), *map(str.lower, theirs)):
            return ours
    return None


def _near(name: str, names: Iterable[str]) -> str | None:
    """Return the name that is spelt most like ``name``, or None where none is near."""
    from difflib import get_close_matches  # slow to import, and seldom asked for

    return next(iter(get_close_matches(name.lower(), names, 1, _NEAR)), None)
