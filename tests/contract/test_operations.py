"""Every property of the contract, for each operation and each method that have it.

`support.operations` has the operations. Whole numbers are compared with ==, but where a method rounds.
"""

from itertools import product

import numpy as np
import pytest

from convnd import convnd
from support import oracle
from support.check import DTYPES, integers, near, reals, same
from support.operations import OPERATIONS, check, some_y
from support.oracle import BOUNDARIES
from support.strategies import LAYOUTS, WRITEABLE, outer, overlapping

METHODS = ["auto", "direct", "separable", "fft"]
#: Geometry, memory and bits: one for each way through the tiles.
PROBLEMS = {
    "1-D": ((70,), (5,), {"padding": "same"}),
    "1-D strided": ((248,), (5,), {"stride": 3}),
    "1-D, long": ((400,), (70,), {"padding": "same", "boundary": "symmetric"}),
    "2-D": ((13, 37), (3, 4), {}),
    "2-D padded": ((13, 37), (3, 4), {"padding": 3, "boundary": "symmetric"}),
    "2-D strided": ((13, 37), (3, 4), {"stride": (2, 3), "padding": "full", "boundary": "wrap"}),
    "2-D upsampled": ((7, 20), (3, 4), {"upsample": (2, 3), "padding": "full", "boundary": "reflect"}),
    "2-D batch": ((8, 20, 40), (3, 3), {"axes": (1, 2)}),
    "3-D": ((2, 6, 7, 19), (2, 3, 3), {"axes": (1, 2, 3), "padding": "same", "fill_value": 1}),
    "channels": ((4, 9, 20), (6, 2, 3, 3), {"channel_axis": 0, "groups": 2, "padding": "same"}),
    "channels last": ((9, 20, 3), (3, 3, 3, 5), {"channel_axis": -1, "boundary": "edge", "padding": 1}),
}
MANY_CHANNELS = {  # what "winograd" does not hand to another method, in float32
    "planes": ((2, 33, 10, 21), (6, 33, 3, 3), {"axes": (2, 3), "channel_axis": 1, "padding": "same"}),
    "planes last": ((10, 21, 64), (3, 3, 32, 4), {"channel_axis": -1, "groups": 2, "padding": 2, "boundary": "wrap"}),
    "lines": ((20, 133), (3, 20, 9), {"channel_axis": 0, "boundary": "reflect", "padding": 4}),
    "volumes": ((16, 9, 8, 17), (4, 8, 3, 3, 3), {"channel_axis": 0, "groups": 2, "padding": ((1, 0), (2, 1), (0, 3))}),
}


def problems_for(method):
    """The problems that a method is for."""
    if method == "winograd":
        return MANY_CHANNELS
    if method == "separable":
        return {name: problem for name, problem in PROBLEMS.items() if "channel_axis" not in problem[2]}
    return PROBLEMS


def weights(taps, dtype=np.float64, method="direct", make=integers):
    """A kernel that a method takes: for "separable" an outer product."""
    if method != "separable":
        return make(taps, dtype, 1)
    lines = [make(k, dtype, seed=5 + a) for a, k in enumerate(taps)]
    lines = [np.clip(line.real, 0, 2) if make is integers and len(taps) > 3 else line for line in lines]
    return outer(*lines).astype(dtype) if taps else make((), dtype, 1)


@pytest.fixture(params=OPERATIONS)
def operation(request):
    if request.param == "dask":
        pytest.importorskip("dask.array")
    return OPERATIONS[request.param]


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


@pytest.fixture(params=[*METHODS, "winograd"])
def every_method(request):
    return request.param


# --- values -------------------------------------------------------------------------------------------------

# Axes of unequal lengths, so that none can stand for another; few samples where many zeros lie between.
SHAPES = {1: (67,), 2: (19, 23), 3: (9, 8, 11), 4: (4, 6, 5, 7), 5: (4, 2, 3, 3, 4)}
FEW = {1: (37,), 2: (9, 11), 3: (5, 4, 7), 4: (3, 2, 3, 4), 5: (2, 3, 2, 1, 2)}
TAPS = {1: (6,), 2: (4, 5), 3: (3, 2, 4), 4: (2, 3, 1, 2), 5: (2, 1, 2, 2, 2)}
LONG = {1: ((70, 90),), 2: ((20, 30), (30, 0)), 3: ((0, 15), (9, 0), (0, 0)), 4: (0, 8, 0, 1), 5: (5, 0, 1, 0, 0)}
PADDINGS = {
    "valid": lambda rank: "valid",
    "same": lambda rank: "same",
    "full": lambda rank: "full",
    "one number": lambda rank: 2,
    "per axis": lambda rank: (3, 0, 1, 2, 0)[:rank],
    "per end": lambda rank: ((0, 3), (2, 1), (1, 0), (0, 1), (2, 0))[:rank],
    "longer than x": lambda rank: LONG[rank],
}
STEPS = [  # stride, dilation
    (1, 1), (3, 1), (1, 2), (2, 3), (2, 2), (90, 1), ((3, 1, 2, 4, 1), (1, 2, 3, 1, 2)),
]  # fmt: skip
UPSAMPLED = [  # and upsample: with common factors and without; some branches have no taps, some no outputs
    (1, 1, 2), (2, 1, 3), (2, 1, 2), (6, 1, 4), (1, 2, 3), (1, 4, 6), (4, 9, 6), (2, 2, 2), (50, 1, 5), (1, 1, 40),
    ((3, 2, 2, 1, 1), (1, 2, 2, 1, 2), (2, 3, 4, 1, 1)),
]  # fmt: skip


def geometry(rank, step, padding, boundary, convention):
    """The options of one."""
    options = {"padding": PADDINGS[padding](rank), "boundary": boundary, "convention": convention}
    for name, value in zip(("stride", "dilation", "upsample"), step):
        options[name] = value[:rank] if isinstance(value, tuple) else value
    return options | ({"fill_value": 3} if "constant" in np.ravel(boundary) else {})


def geometries(operation, method, rank, boundary, parity):
    """Every padding by every step for direct sums; for the others some, and all of them over ranks and boundaries.

    Of direct sums, each setting takes every other one of the further steps.
    """
    few = [step for step in UPSAMPLED if rank < 3 or np.max(step[2]) < (9 if rank == 3 else 3)]
    steps = [*((*step, 1) for step in [*STEPS, *STEPS]), *few]
    if operation.name == "convnd" and method == "direct":
        for n, (step, padding) in enumerate(product(steps[:5], PADDINGS)):
            yield geometry(rank, step, padding, boundary, ("convolution", "correlation")[(n + parity) % 2])
        turns = range(parity, len(steps), 2)
    else:
        turns = range(
            (12 if rank < 4 else 4)
            if operation.name == "convnd"
            else 8
            if method == "direct" and "y" in operation.reads
            else 3
        )
    turn = 5 * rank + [*BOUNDARIES].index(boundary) + 3 * METHODS.index(method)
    for n in turns:
        number = 11 * (turn + n) % len(steps)
        convention = ("convolution", "correlation")[number % 2]
        yield geometry(rank, steps[number], [*PADDINGS][(number + turn) % 7], boundary, convention)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("rank", SHAPES)
def test_values(tuning, operation, method, rank, boundary):
    if (rank > 3 or method == "auto") and not (operation.name == "convnd" and method != "separable"):
        pytest.skip("what is built on convnd sees neither")
    for n, options in enumerate(geometries(operation, method, rank, boundary, tuning == "tiny")):
        shape = SHAPES[rank] if options["upsample"] == 1 else FEW[rank]
        dtype = np.int16 if n % 3 == 2 and "whole" in operation.takes else np.float32
        x, kernel = integers(shape, dtype), weights(TAPS[rank], dtype, method)
        if min(oracle.form_of(x, kernel, **options).lengths) < 1:
            options["padding"] = "full"
        if operation.accepts(x, kernel, **options):
            check(operation, x, kernel, method=method, **options)


PAIRS = [*product(BOUNDARIES, repeat=2)]


def boundaries(rank, number):
    """Those of each end of each axis, or of each axis: at the first axis all pairs in turn."""
    pairs = tuple(PAIRS[(number + 7 * a) % len(PAIRS)] for a in range(rank))
    return tuple(before for before, _ in pairs) if rank > 1 and number % 3 == 0 else pairs


def test_boundaries_of_each_axis_and_end(tuning, operation, method):
    thorough = operation.name == "convnd" and method == "direct"
    turn = [*OPERATIONS].index(operation.name) + 2 * METHODS.index(method) + (tuning == "tiny")
    steps = [*((*step, 1) for step in STEPS), *UPSAMPLED[:6]]
    for number in range(len(PAIRS)) if thorough else range(turn % 6, len(PAIRS), 6):
        padding, step = [*PADDINGS][1 + number % 6], steps[(3 * number + turn) % len(steps)]
        for rank in (1, 2, 3) if thorough else (1 + number % 3,):
            options = geometry(rank, step, padding, boundaries(rank, number), ("convolution", "correlation")[turn % 2])
            shape = SHAPES[rank] if options["upsample"] == 1 else FEW[rank]
            x, kernel = integers(shape, np.float32), weights(TAPS[rank], np.float32, method)
            if min(oracle.form_of(x, kernel, **options).lengths) < 1:
                options["padding"] = "full"
            if operation.accepts(x, kernel, **options):
                check(operation, x, kernel, method=method, **options)


@pytest.mark.parametrize("boundary", [*BOUNDARIES, "of each end"])
@pytest.mark.parametrize("problem", MANY_CHANNELS)
def test_values_by_minimal_filtering(tuning, operation, problem, boundary):
    shape, taps, options = MANY_CHANNELS[problem]
    if operation.name != "convnd" and boundary in ("edge", "symmetric"):
        pytest.skip("the boundaries are those of convnd")
    x, kernel = integers(shape, np.float32), integers(taps, np.float32, seed=1)
    if boundary == "of each end":
        boundary = boundaries(len(oracle.form_of(x, kernel, **options).taps), len(problem))
    for padding in ("valid", "same", (11, 3)[x.ndim > 3]) if operation.name == "convnd" else ("same",):
        own = {**options, "boundary": boundary, "padding": padding}
        if operation.accepts(x, kernel, **own):
            check(operation, x, kernel, method="winograd", **own)


CHANNELS = {  # c_in, groups, c_out (None: one filter)
    "one filter": (4, 1, None),
    "one filter of one channel": (1, 1, None),
    "bank of one": (3, 1, 1),
    "bank": (3, 1, 5),
    "groups": (6, 2, 4),
    "depthwise": (5, 5, 5),
    "depthwise, two each": (5, 5, 10),
    "wide": (19, 1, 37),
}


@pytest.mark.parametrize("case", CHANNELS)
@pytest.mark.parametrize("place", ["first", "last", "middle", "with batch axes"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_channels(tuning, operation, rank, place, case):
    if operation.name != "convnd" and (rank == 3 or case in ("one filter of one channel", "bank of one", "wide")):
        pytest.skip("they are tested of convnd")
    c_in, groups, c_out = CHANNELS[case]
    taps, filters = TAPS[rank], [] if c_out is None else [c_out]
    at = {"first": 0, "last": rank, "middle": 1, "with batch axes": 0}[place]
    shape = list(FEW[rank])
    shape.insert(at, c_in)
    first = place in ("first", "with batch axes")
    layout = [*filters, c_in // groups, *taps] if first else [*taps, c_in // groups, *filters]
    several = [
        ({"padding": "same"}, np.float32),
        ({"padding": 1, "stride": 2, "dilation": 2, "convention": "correlation", "boundary": "edge"}, np.int8),
        ({"padding": "full", "upsample": (3, 2, 2)[:rank], "boundary": "reflect"}, np.complex64),
    ]
    turn = rank + [*CHANNELS].index(case) + len(place)
    if operation.name != "convnd":
        several = [several[turn % 3]]
    for own, dtype in several[: 1 if case == "wide" else 3]:
        options = {**own, "groups": groups, "channel_axis": at - turn % 2 * len(shape)}
        whole = shape
        if place == "with batch axes":
            whole = [2, *shape]
            options |= {"axes": tuple(range(2, 2 + rank)), "channel_axis": 1}
        x, kernel = integers(whole, dtype), integers(layout, dtype, seed=1)
        for method in ("direct", "fft") if operation.name == "convnd" else (("direct", "fft")[turn // 3 % 2],):
            if operation.accepts(x, kernel, **options) and min(oracle.form_of(x, kernel, **options).lengths) > 0:
                check(operation, x, kernel, method=method, **options)


@pytest.mark.parametrize("axes", [0, 1, -1, (2,), (0, 1), (1, 0), (2, 0), (-1, -3), (0, 1, 2), (2, 0, 1), (1, -1, 0)])
def test_axes(tuning, operation, method, axes):
    x, n = integers((7, 8, 9), np.float32), np.size(axes)
    kernel = weights((3, 2, 4)[:n], np.float32, method)
    for options in {"padding": ((2, 0), (1, 2), (0, 4))[:n], "stride": (1, 2, 3)[:n], "boundary": "edge"}, {
        "padding": "full", "upsample": (2, 1, 3)[:n], "boundary": "symmetric", "dilation": (1, 2, 1)[:n],
    }:  # fmt: skip
        check(operation, x, kernel, method=method, axes=axes, **options)


def test_axes_in_another_order_between_channels_and_batches(tuning, operation):
    x, kernel = integers((6, 3, 2, 7)), integers((4, 3, 3, 2), seed=1)  # y, channel, batch, x
    kernel_last = kernel.transpose(2, 3, 1, 0)
    check(operation, x, kernel_last, axes=(3, 0), channel_axis=1, padding="same")
    check(operation, x.transpose(1, 2, 0, 3), kernel, axes=(-1, -2), channel_axis=0, padding="same")


@pytest.mark.parametrize("shape", [(1, 12), (5, 12), (2, 3, 12), (2, 1, 3, 12), (70, 12), (0, 12), (2, 0, 12)])
def test_batch_axes(tuning, operation, method, shape):
    line, image = weights((4,), method=method), weights((2, 3), method=method)
    check(operation, integers(shape), line, method=method, axes=-1, padding="same", boundary="symmetric")
    if operation.name != "stream":  # another part of "wrap"
        check(operation, integers(shape[::-1]), line, method=method, axes=0, padding="same", boundary="wrap")
    if len(shape) > 2:
        check(operation, integers(shape), image, method=method, axes=(0, -1), padding="full")


# --- types --------------------------------------------------------------------------------------------------

SOME = ["bool", "uint8", "int16", "int64", "uint64", "float16", "float32", "float64", "complex64", "complex128"]
SOME += [">i2", ">f4", ">f8", ">c8"]


@pytest.mark.parametrize("second", SOME)
@pytest.mark.parametrize("first", SOME)
def test_pairs_of_types(operation, first, second):
    """Of the two arrays that an operation reads."""
    types = dict(zip(operation.reads, (first, second)))
    other = "float32" if np.dtype(first).kind in "fc" else "int16"
    options = {"padding": 2, "boundary": "reflect"}
    x = integers((5, 8), types.get("x", other), largest=2)
    kernel = outer(*(integers(k, types.get("kernel", other), seed=k, largest=1) for k in (3, 2)))
    y = some_y(x, kernel, options, types.get("y", other))
    whole = operation.name in ("convnd", "adjoint", "kernel_gradient")
    for method in ("direct", "separable", "fft") if whole else ("direct",):
        if operation.accepts(x, kernel, **options):
            check(operation, x, kernel, y, method=method, **options)


@pytest.mark.parametrize("kernel", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("x", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_every_pair_of_types(x, kernel):
    check(OPERATIONS["convnd"], integers(9, x), integers(3, kernel, seed=1), padding="same")
    about = {"upsample": (2, 3), "padding": "same", "fill_value": 1, "dtype": "float64"}
    if "c" not in {np.dtype(x).kind, np.dtype(kernel).kind}:
        check(OPERATIONS["convnd"], integers((6, 7), x), integers((3, 4), kernel, seed=1), **about)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint64", "float16", "float32", ">f8", "complex64"])
def test_types_of_results(tuning, operation, method, dtype):
    """Rounded and saturated."""
    if "dtype" not in operation.takes or (method == "auto" and operation.name != "convnd"):
        pytest.skip("it has the type of its arguments")
    for rank in (1, 2, 3) if operation.name == "convnd" else (2,):
        x = integers(SHAPES[rank], np.uint8, largest=255)
        kernel = weights(TAPS[rank], np.int8, method)
        check(operation, x, kernel, method=method, dtype=dtype, padding="same", boundary="symmetric")
        if dtype in ("bool", "uint8", "int16", "uint64"):
            check(operation, x.astype(np.float32), kernel, method=method, dtype=dtype, padding="full")


@pytest.mark.parametrize("dtype", [np.float16, np.int16, np.uint8], ids=lambda dtype: dtype.__name__)
def test_types_by_minimal_filtering(operation, dtype):
    shape, taps, options = MANY_CHANNELS["planes"]
    x, kernel = integers(shape, dtype), integers(taps, np.float32, seed=1)
    if operation.accepts(x, kernel, **options):
        check(operation, x, kernel, method="winograd", **options)


# --- memory -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_arguments(tuning, operation, every_method, layout):
    """Of each array that is read alone, and of all."""
    problems, read = (
        problems_for(every_method),
        (*(LAYOUTS[layout] if name in operation.reads else None for name in ("x", "kernel", "y")),),
    )
    for n, (shape, taps, options) in enumerate(problems.values()):
        dtype = np.float32 if every_method == "winograd" or not n % 2 else ("int16", "complex64")[n // 2 % 2]
        if not operation.accepts(np.empty(shape, dtype), np.empty(taps), **options):
            continue
        arrays = [integers(shape, dtype), weights(taps, dtype, every_method)]
        arrays.append(some_y(*arrays, options))
        thorough = operation.name == "convnd" and every_method == "direct"
        if not thorough and n % 3 != [*LAYOUTS].index(layout) % 3:
            continue
        for chosen in ((0,), (1,), (0, 1)) if thorough else ((0, 1, 2),):
            given = [read[a](array) if a in chosen and read[a] else array for a, array in enumerate(arrays)]
            check(operation, *given, method=every_method, **options)


@pytest.mark.parametrize("layout", WRITEABLE)
def test_layouts_of_out(tuning, operation, every_method, layout):
    if "out" not in operation.takes:
        pytest.skip("it takes no out")
    for n, (shape, taps, options) in enumerate(problems_for(every_method).values()):
        x, kernel = integers(shape, np.float32), weights(taps, np.float32, every_method)
        shape = oracle.output_shape(shape, taps, **options)
        types = ["float32", "uint8", "complex64"] if operation.name == "convnd" else ["float32"]
        if every_method != "direct" or operation.name != "convnd":
            types = types[n % len(types) :][:1]
            if n % 2 != WRITEABLE.index(layout) % 2:
                continue
        if every_method == "winograd":
            types = ["float32"]
        for dtype in types:
            out = LAYOUTS[layout](np.full(shape, 7, dtype))
            check(operation, x, kernel, out=out, method=every_method, **options)


@pytest.mark.parametrize("offset", [0, 1, 7, 38, 200])
def test_out_overlaps_x(tuning, operation, every_method, offset):
    if "overlap" not in operation.takes:
        pytest.skip("its out may not overlap x")
    for n, (shape, taps, options) in enumerate(problems_for(every_method).values()):
        if operation.name != "convnd" and n % 3:
            continue
        dtype = np.dtype(np.int64 if every_method == "direct" and "whole" in operation.takes and n % 2 else np.float32)
        x, kernel = integers(shape, dtype), weights(taps, dtype, every_method)
        x, out = overlapping(x, oracle.output_shape(shape, taps, **options), dtype, offset)
        check(operation, x, kernel, out=out, method=every_method, **options)


def test_an_empty_batch(operation, method):
    line, bank = weights((3,), method=method), integers((2, 3, 3), seed=1)
    check(operation, integers((0, 9)), line, method=method, axes=1)
    check(operation, integers((4, 0, 9)), line, method=method, axes=2, padding="same", boundary="reflect", upsample=2)
    check(operation, integers((9, 0)), line, method=method, axes=0, padding=2)
    if method != "separable":
        check(operation, integers((0, 3, 9)), bank, method=method, channel_axis=1, axes=2)
    if "out" in operation.takes:
        check(operation, integers((0, 9)), line, method=method, axes=1, out=np.empty((0, 7), np.float32))


# --- NaN and infinity ---------------------------------------------------------------------------------------

TOUCHED = {
    "1-D": ((200,), (5,), {"padding": "same"}),
    "1-D dilated": ((90,), (3,), {"padding": "full", "dilation": 4}),
    "1-D strided": ((90,), (5,), {"stride": 3, "padding": 2}),
    "2-D": ((21, 37), (3, 4), {"padding": "same", "boundary": "reflect"}),
    "2-D strided": ((21, 37), (4, 3), {"stride": (2, 3), "dilation": (1, 2), "boundary": "edge", "padding": 5}),
    "2-D wrapped": ((21, 37), (4, 3), {"stride": (2, 1), "boundary": "wrap", "padding": ((0, 5), (5, 5))}),
    "2-D upsampled": ((7, 8), (4, 3), {"upsample": (4, 6), "stride": 2, "dilation": 3, "padding": "full"}),
    "3-D": ((12, 13, 19), (2, 3, 3), {"padding": "full", "boundary": "symmetric"}),
}
CHANNELS_TOUCHED = {
    "channels": ((4, 9, 20), (6, 2, 3, 3), {"channel_axis": 0, "groups": 2, "padding": "same"}),
    "channels last": ((9, 20, 3), (3, 3, 3, 5), {"channel_axis": -1, "padding": 1, "upsample": 2}),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_what_is_not_finite_reaches_what_touches_it(tuning, operation, every_method, value, dtype):
    """A sample its windows, over weights of zero, too; what no window holds it leaves as it is."""
    if "not finite" not in operation.takes or (every_method == "winograd" and dtype != np.float32):
        pytest.skip("it gives NaN another meaning" if every_method != "winograd" else "by another method")
    cases = (
        MANY_CHANNELS
        if every_method == "winograd"
        else TOUCHED
        if every_method == "separable"
        else TOUCHED | CHANNELS_TOUCHED
    )
    kind = [np.float16, np.float32, np.float64, np.complex64].index(dtype) + [*METHODS, "winograd"].index(every_method)
    kind += 0 if np.isnan(value) else 1 + (value < 0)
    for n, (shape, taps, options) in enumerate(cases.values()):
        if (operation.name != "convnd" or every_method != "direct") and n % 3 != kind % 3:
            continue
        x, kernel = integers(shape, dtype), weights(taps, dtype, every_method)
        kernel[(*(slice(None, None, 2) for _ in taps),)] = 0
        if not operation.accepts(x, kernel, **options):
            continue
        y = some_y(x, kernel, options, dtype)
        places = [0, -1, *np.random.default_rng(n).integers(x.size, size=2)]
        if operation.name != "convnd" or every_method != "direct" or np.isinf(value):  # every place once, by NaN
            places = [places[(n + kind + int(value == np.inf)) % 4]]
        for place in places:
            for name in {"x", "y"} & {*operation.reads}:
                marked = {"x": x.copy(), "y": y.copy()}
                marked[name].flat[place % marked[name].size] = value
                touches(operation, kernel=kernel, **marked, method=every_method, **options)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_weights_and_fill_values_that_are_not_finite(tuning, operation, every_method, value):
    if "not finite" not in operation.takes:
        pytest.skip("it gives NaN another meaning")
    for n, (shape, taps, options) in enumerate((MANY_CHANNELS if every_method == "winograd" else TOUCHED).values()):
        if operation.name != "convnd" and n % 3:
            continue
        x, kernel = integers(shape, np.float32), weights(taps, np.float32, every_method)
        own = {**options, "boundary": "constant", "fill_value": value}
        if "x" in operation.reads:
            touches(operation, x, kernel, some_y(x, kernel, options), method=every_method, **own)
        if operation.reads == ("x", "kernel") and operation.accepts(x, kernel, **options):
            kernel.flat[kernel.size // 2] = value
            touches(operation, x, kernel, some_y(x, kernel, options), method=every_method, **options)


def touches(operation, x, kernel, y, *, method, **options):
    """NaN and infinities are where and what the oracle's are; of complex ones, where one part or both are."""
    with np.errstate(all="ignore"):
        if x.dtype.kind != "c":
            check(operation, x, kernel, y, method=method, **options)
            return
        result, expected = (
            operation.run(x, kernel, y, method=method, **options),
            operation.expected(x, kernel, y, **options),
        )
        finite = np.isfinite(expected)
        same(np.isfinite(result), finite)
        near(result[finite], expected[finite], operation.bound(x, kernel, y, **options))


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("problem", ["1-D dilated", "2-D", "3-D", "2-D wrapped", "2-D upsampled"])
def test_several_values_that_are_not_finite_give_those_of_direct_sums(tuning, operation, problem, dtype):
    """By a kernel of one outer product, and by one of two."""
    if "not finite" not in operation.takes:
        pytest.skip("it gives NaN another meaning")
    shape, taps, options = TOUCHED[problem]
    one = weights(taps, dtype, "separable")
    for kernel in one, one + outer(*(integers(k, dtype, seed=k) for k in taps)):
        x = reals(shape, dtype)
        parts, rng = x.view(x.real.dtype), np.random.default_rng(0)
        parts.flat[rng.integers(parts.size, size=3)] = np.nan, np.inf, -np.inf
        parts.flat[-1] = np.inf
        if not operation.accepts(x, kernel, **options):
            continue
        y = some_y(x, kernel, options)
        expected = operation.run(x, kernel, y, method="direct", **options)
        for method in "separable", "fft":
            result = operation.run(x, kernel, y, method=method, **options)
            near(result, expected, 2 * operation.bound(x, kernel, y, **options))


# --- sums that round, and bits ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_rounding(tuning, operation, method, rank, dtype):
    if (
        operation.name != "convnd"
        and rank != [np.float16, np.float32, np.float64, np.complex64, np.complex128].index(dtype) % 3 + 1
    ):
        pytest.skip("another rank has this type")
    lines = [np.round(4 * reals(k, dtype, seed=k)) / 4 for k in TAPS[rank]]  # whose products even halves hold
    x, kernel = reals([2 * n for n in SHAPES[rank]], dtype), outer(*lines)
    options = {"padding": "same", "boundary": "reflect" if operation.name == "stream" else "wrap"}
    y = reals(x.shape, dtype, 2)
    result = operation.run(x, kernel, y, method=method, **options)
    operation.agrees(result, x, kernel, y, exact=lambda: False, **options)


ROUNDED = {  # those of several tiles among them; the axis of a batch, if any
    "1-D": ((3, 4001), (21,), {"axes": 1}, 0),
    "long line": ((3000,), (200,), {}, None),
    "trailing": ((4001, 3), (21,), {"axes": 0, "boundary": "edge"}, 1),
    "2-D": ((3, 61, 67), (5, 4), {"axes": (1, 2)}, 0),
    "2-D strided": ((3, 61, 67), (5, 4), {"axes": (1, 2), "stride": (2, 3)}, 0),
    "2-D upsampled": ((3, 30, 31), (5, 7), {"axes": (1, 2), "upsample": (2, 3), "stride": (3, 1)}, 0),
    "RGB": ((61, 67, 3), (5, 4), {"axes": (0, 1)}, 2),
    "middle": ((31, 5, 47), (5, 4), {"axes": (0, 2)}, 1),
    "many channels": ((31, 37, 100), (5, 4), {"axes": (0, 1)}, 2),
    "3-D": ((2, 17, 16, 19), (3, 3, 2), {"axes": (1, 2, 3)}, 0),
    "volumes": ((17, 16, 3, 19), (3, 3, 2), {"axes": (0, 1, 3)}, 2),
    "resampling": ((3, 1001), (301,), {"axes": 1, "upsample": 7, "stride": 5}, 0),
}
ROUNDED_CHANNELS = {
    "channels": ((3, 6, 23, 37), (9, 6, 3, 3), {"axes": (2, 3), "channel_axis": 1}, 0),
    "channels last": ((3, 23, 37, 6), (3, 3, 3, 4), {"axes": (1, 2), "channel_axis": 3, "groups": 2}, 0),
    "channels upsampled": ((3, 6, 23, 37), (9, 6, 4, 4), {"axes": (2, 3), "channel_axis": 1, "upsample": 2}, 0),
    "groups": ((2, 30, 31, 6), (3, 3, 3, 24), {"axes": (1, 2), "channel_axis": 3, "groups": 2}, 0),
    "filters of one channel": ((1, 900), (30, 1, 3), {"channel_axis": 0}, None),
}
FILTERED = {  # by minimal filtering
    "planes": ((5, 40, 19, 26), (21, 40, 3, 3), {"axes": (2, 3), "channel_axis": 1}, 0),
    "lines": ((2, 40, 770), (9, 40, 9), {"axes": 2, "channel_axis": 1}, 0),
    "volumes": ((2, 40, 7, 9, 12), (9, 40, 3, 3, 3), {"axes": (2, 3, 4), "channel_axis": 1}, 0),
}


def rounded(operation, method):
    """Arrays whose sums round, options and the axis of a batch; all problems for `convnd`, some for the others."""
    problems = FILTERED if method == "winograd" else ROUNDED if method == "separable" else ROUNDED | ROUNDED_CHANNELS
    for n, (shape, taps, options, batch) in enumerate(problems.values()):
        dtype = np.complex64 if n % 6 == 5 and method != "winograd" else np.float32
        x, kernel = reals(shape, dtype), weights(taps, dtype, method, reals)
        options = {"padding": "same", "boundary": "reflect", **options}
        about = {k: v for k, v in options.items() if k != "boundary"}
        yield x, kernel, reals(oracle.output_shape(shape, taps, **about), dtype, 2), options, batch


def test_workers_change_no_bit(tuning, operation, every_method):
    for n, (x, kernel, y, options, _) in enumerate(rounded(operation, every_method)):
        first = [*OPERATIONS].index(operation.name) if every_method == "winograd" else 0
        if operation.name not in ("convnd", "adjoint", "kernel_gradient") and (n - first) % 3:
            continue
        if operation.name in ("adjoint", "kernel_gradient") and n % 2 != (tuning == "tiny"):
            continue  # each problem with one of the settings
        one = operation.run(x, kernel, y, method=every_method, workers=1, **options)
        for workers in (2, 100, None) if operation.name == "convnd" else (3,):
            same(operation.run(x, kernel, y, method=every_method, workers=workers, **options), one)


def test_a_batch_is_its_items_bit_for_bit(tuning, operation, method):
    """Where all is finite: what shares a tile with NaN or infinity has the rounding of the direct method."""
    if method == "auto" or (method != "direct" and operation.name in ("adjoint", "stream", "blockwise", "dask")):
        pytest.skip("it rounds as its blocks do")
    if operation.name in ("kernel_gradient", "omit"):
        pytest.skip("a gradient sums over the batch; an item has other holes")
    for n, (x, kernel, y, options, batch) in enumerate(rounded(operation, method)):
        if batch is None or (operation.name != "convnd" and n % 2):
            continue
        together = operation.run(x, kernel, y, method=method, **options)
        axes = [a - (a > batch) for a in np.atleast_1d(options["axes"])]
        own = {**options, "axes": axes}
        if "channel_axis" in options:
            own["channel_axis"] -= options["channel_axis"] > batch
        for i in range(min(3, x.shape[batch])):
            item, item_y = (np.ascontiguousarray(np.take(a, i, batch)) for a in (x, y))
            alone = operation.run(item, kernel, item_y, method=method, **own)
            same(np.ascontiguousarray(np.take(together, i, batch)), np.ascontiguousarray(alone))


@pytest.mark.parametrize("name", ["plan", "stream", "blockwise", "dask"])
def test_the_bits_are_those_of_the_call(tuning, name):
    """Of direct sums, wherever a block begins."""
    if name == "dask":
        pytest.importorskip("dask.array")
    for x, kernel, y, options, _ in rounded(OPERATIONS[name], "direct"):
        if name == "stream" and "stride" in options and "upsample" not in options:
            continue  # one row of outputs alone is summed in another order
        same(
            OPERATIONS[name].run(x, kernel, y, method="direct", **options),
            convnd(x, kernel, method="direct", **options),
        )
    for method in ("separable", "fft", "auto", "winograd") if name == "plan" else ():
        for x, kernel, y, options, _ in rounded(OPERATIONS[name], method):
            same(
                OPERATIONS[name].run(x, kernel, y, method=method, **options),
                convnd(x, kernel, method=method, **options),
            )
