"""Every method gives the oracle's answer, by the same rules: values, types, memory, NaN and infinity, bits."""

import numpy as np
import pytest

from convnd import convnd, plan
from convnd.methods import direct
from support.check import TOLERANCE, bound, check, close, integers, near, reals, same
from support.oracle import BOUNDARIES
from support.strategies import LAYOUTS, WRITEABLE, outer, overlapping

METHODS = ["separable", "fft"]
SHAPES = {1: (67,), 2: (19, 23), 3: (9, 8, 11), 4: (4, 6, 5, 7)}
TAPS = {1: (6,), 2: (4, 5), 3: (3, 2, 4), 4: (2, 3, 1, 2)}
PADDINGS = {
    "valid": lambda rank: "valid",
    "same": lambda rank: "same",
    "full": lambda rank: "full",
    "one number": lambda rank: 2,
    "per axis": lambda rank: (3, 0, 1, 2)[:rank],
    "per end": lambda rank: ((0, 3), (2, 1), (1, 0), (0, 1))[:rank],
    "longer than x": lambda rank: (((70, 90),), ((20, 30), (30, 0)), ((0, 15), (9, 0), (0, 0)), (0, 8, 0, 1))[rank - 1],
}
STEPS = {"dense": (1, 1), "strided": (3, 1), "dilated": (1, 2), "both": (2, 3)}


def separable(taps, dtype=np.float64):
    """A kernel of rank one of small whole numbers."""
    return outer(*(integers(k, dtype, seed=5 + a, largest=2) for a, k in enumerate(taps))).astype(dtype)


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


# --- the oracle ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("rank", SHAPES)
def test_against_the_oracle(tuning, method, rank, boundary):
    steps = [*STEPS.values()] * 2
    for n, (padding, (stride, dilation)) in enumerate(zip(PADDINGS.values(), steps)):
        options = {"padding": padding(rank), "stride": stride, "dilation": dilation, "boundary": boundary}
        options["convention"] = ["convolution", "correlation"][n % 2]
        if boundary == "constant":
            options["fill_value"] = 3
        for dtype in np.float32, np.int16:
            x, kernel = integers([n + 2 for n in SHAPES[rank]], dtype), separable(TAPS[rank], dtype)
            check(x, kernel, method=method, **options)


@pytest.mark.parametrize("rank", SHAPES)
def test_steps_and_padding_per_axis(tuning, method, rank):
    x, kernel = integers([n + 5 for n in SHAPES[rank]], np.uint8), separable(TAPS[rank], np.int8)
    check(x, kernel, method=method, padding="same", stride=(3, 1, 2, 4)[:rank], dilation=(1, 2, 3, 1)[:rank])
    check(x, kernel, method=method, padding=(2, 9, 0, 5)[:rank], stride=(2, 3, 1, 1)[:rank], boundary="wrap")


@pytest.mark.parametrize("shape, taps", [((150_000,), (33,)), ((500, 640), (7, 9)), ((60, 70, 80), (3, 4, 5))])
def test_arrays_of_many_tiles(method, shape, taps):
    x, kernel = integers(shape, np.uint8), separable(taps, np.int8)
    check(x, kernel, method=method, padding="same", boundary="reflect")
    check(x, kernel, method="auto", padding=4, stride=2, fill_value=5)


@pytest.mark.parametrize("shape, taps", [((3,), (9,)), ((1,), (1,)), ((5, 2), (4, 7)), ((2, 3, 1), (3, 4, 5))])
def test_kernels_larger_than_x_and_of_one_tap(tuning, method, shape, taps):
    for boundary in BOUNDARIES:
        for padding in "same", "full":
            check(integers(shape), separable(taps), method=method, padding=padding, boundary=boundary)
    check(integers(shape), np.full((1,) * len(shape), 3.0), method=method, padding=1)
    check(integers((2, 3)), 2.0, method=method)


@pytest.mark.parametrize("rank", SHAPES)
def test_kernels_of_zeros(tuning, method, rank):
    for dtype in np.float32, np.int16, np.complex64:
        check(integers(SHAPES[rank], dtype), np.zeros(TAPS[rank], dtype), method=method, padding="same", fill_value=2)
        one = np.zeros(TAPS[rank], dtype)
        one.flat[-1] = 3
        check(integers(SHAPES[rank], dtype), one, method=method, padding="same", boundary="wrap")


@pytest.mark.parametrize("axes", [1, -3, (0, 1), (1, 0), (2, 0), (-1, -3), (0, 1, 2), (2, 0, 1)])
def test_axes(tuning, method, axes):
    kernel = separable((3, 2, 4)[: np.size(axes)])
    padding = ((2, 0), (1, 2), (0, 4))[: np.size(axes)]
    check(integers((7, 8, 9)), kernel, method=method, axes=axes, padding=padding, boundary="edge")
    check(integers((7, 8, 9), np.uint8), kernel.astype(int), method=method, axes=axes, stride=2)


@pytest.mark.parametrize("shape", [(5, 30), (2, 3, 30), (2, 1, 3, 30), (70, 12), (0, 12), (2, 0, 12)])
def test_batch_axes(tuning, method, shape):
    check(integers(shape), separable((4,)), method=method, padding="same", boundary="symmetric")
    check(integers(shape[::-1]), separable((4,)), method=method, axes=0, padding="same", boundary="wrap")
    if len(shape) > 2:
        check(integers(shape), separable((2, 3)), method=method, axes=(0, -1), padding="full")


CHANNELS = {  # c_in, groups, c_out (None: one filter)
    "one filter": (4, 1, None),
    "bank": (3, 1, 5),
    "groups": (6, 2, 4),
    "depthwise, two each": (5, 5, 10),
}


@pytest.mark.parametrize("case", CHANNELS)
@pytest.mark.parametrize("at", [0, 1, -1])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_channels(tuning, rank, at, case):
    c_in, groups, c_out = CHANNELS[case]
    shape, filters = list(SHAPES[rank]), [] if c_out is None else [c_out]
    shape.insert(at % (rank + 1), c_in)
    taps, c_in = TAPS[rank], c_in // groups
    options = {"channel_axis": at, "groups": groups, "method": "fft"}
    for dtype in np.float32, np.int8, np.complex64:
        kernel = integers([*filters, c_in, *taps] if at == 0 else [*taps, c_in, *filters], dtype, seed=1)
        check(integers(shape, dtype), kernel, padding="same", boundary="reflect", **options)
    options["axes"] = [axis + 1 for axis in range(rank + 1) if axis != at % (rank + 1)]
    options["channel_axis"] = at % (rank + 1) + 1
    check(integers([2, *shape], dtype), kernel, padding=2, stride=2, convention="correlation", **options)


@pytest.mark.parametrize("at, groups", [(0, 1), (-1, 1), (-1, 3)])
def test_complex_filters_of_one_real_channel(tuning, at, groups):
    """Channels last, the axes of such a bank are in an order that reshaping keeps: packed weights have to be copied."""
    for shape, taps in ((9, 20), (4, 2)), ((30,), (5,)):
        x = integers([groups, *shape] if at == 0 else [*shape, groups], np.float32)
        kernel = integers([3, 1, *taps] if at == 0 else [*taps, 1, 3], np.complex64, seed=1)
        for method in "fft", "direct":
            check(x, kernel, method=method, channel_axis=at, groups=groups, padding="same")


# --- types and memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("x", ["bool", "uint8", "int32", "uint64", "float16", "float32", "float64", "complex128"])
def test_pairs_of_types(method, x, kernel):
    check(integers((9, 20), x), separable((3, 2), kernel), method=method, padding="same", boundary="edge")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "uint64", "float16", "float32", "float64", "complex64"])
def test_whole_numbers_give_whole_numbers(tuning, method, dtype):
    """In every type of result, rounded and saturated to it."""
    for rank in 1, 2, 3:
        x, kernel = integers(SHAPES[rank], np.uint8, largest=255), separable(TAPS[rank], np.int8)
        check(x, kernel, method=method, dtype=dtype, padding="same", boundary="symmetric")
        if dtype in ("bool", "uint8", "int16", "uint64"):
            check(x.astype(np.float32), kernel, method=method, dtype=dtype, padding="full")


def test_sums_beyond_what_floats_hold(method):
    """These are exact modulo 2^64, whoever computes them."""
    for largest in 2**20, 2**31, 2**62:
        x = integers((40, 50), np.int64, largest=largest)
        check(x, separable((3, 4), np.int64), method=method, padding="same")
        check(x, integers((3, 4), np.int64, seed=1, largest=largest)[:, :1], method=method)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32], ids=lambda dtype: dtype.__name__)
def test_the_largest_whole_numbers(method, dtype):
    """Where rounding errors would add up: no sum is one off."""
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    for weight in 1, 127, 30_001:
        kernel = outer(np.full(9, weight), np.resize([1, -1, 1], 9))
        for x in np.full((60, 70), high, dtype), np.resize(np.array([low, high, high], dtype), (61, 70)):
            check(x, kernel, method=method, padding="same")


@pytest.mark.parametrize("dtype", ["float32", "int16", "complex64"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layouts(tuning, method, rank, layout, dtype):
    x, kernel = LAYOUTS[layout](integers(SHAPES[rank], dtype)), LAYOUTS[layout](separable(TAPS[rank], dtype))
    like = check(x, kernel, method=method, padding="same", boundary="reflect")
    if layout in WRITEABLE:
        out = LAYOUTS[layout](np.full_like(like, 7))
        check(x, kernel, method=method, out=out, padding="same", boundary="reflect")


@pytest.mark.parametrize("offset", [0, 1, 38, 200])
def test_out_overlaps_x(tuning, method, offset):
    for shape, taps in ((70,), (5,)), ((13, 37), (3, 4)):
        x = integers(shape, np.float32)
        x, out = overlapping(x, x.shape, x.dtype, offset)
        check(x, separable(taps, np.float32), method=method, out=out, padding="same")


# --- real-valued data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("rank", SHAPES)
def test_real_valued_data(tuning, method, rank, dtype):
    lines = [np.round(4 * reals(k, dtype, seed=k)) / 4 for k in TAPS[rank]]  # whose products even halves hold
    x, kernel = reals([2 * n for n in SHAPES[rank]], dtype), outer(*lines)
    options = {"padding": "same", "boundary": "wrap"}
    close(convnd(x, kernel, method=method, **options), x, kernel, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
def test_sums_of_outer_products(tuning, method, dtype):
    """Two terms and three, of like and of unlike sizes."""
    lines = reals((3, 9), dtype), reals((3, 8), dtype, seed=1)
    for sizes in (1, 1, 0), (1, -0.9, 1e-3), (1, 1e-4, 0):
        kernel = np.einsum("r,ri,rj->ij", np.array(sizes, dtype), *lines).astype(dtype)
        x = reals((40, 50), dtype)
        close(convnd(x, kernel, method=method, padding="same"), x, kernel, padding="same")


@pytest.mark.parametrize("size", [7e37, 1e30, 1e-30, 1e-38, 1e-44], ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_samples_near_the_limits_of_their_type(tuning, method, rank, size):
    """Beside ordinary ones elsewhere; what overflows is what overflows in the direct method."""
    x, kernel = reals(SHAPES[rank], np.float32), separable(TAPS[rank], np.float32) / 16
    x[: len(x) // 2] *= np.float32(size)
    agrees(x, kernel, method, padding="same", boundary="reflect")
    agrees(x * np.float32(min(1, size)), kernel, method, padding="same", boundary="reflect")


@pytest.mark.parametrize("line", [(3, -3), (3.1, -3.1, 0.7)], ids=str)
def test_sums_overflow_no_sooner_than_directly(tuning, method, line):
    """A factor sums more samples before others of the opposite sign than the kernel does."""
    x = np.full((20, 40), np.finfo(np.float32).max / 8, np.float32)
    agrees(x, outer(np.ones(8), line).astype(np.float32), method)


@pytest.mark.parametrize("size", [1e36, 1e20, 1e-20, 1e-36, 1e-42], ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_weights_near_the_limits_of_their_type(tuning, method, rank, size):
    x = reals(SHAPES[rank], np.float32)
    agrees(x, separable(TAPS[rank], np.float32) * np.float32(size), method, padding="same")
    lines = [np.float32(size) ** np.linspace(0, 1, k, dtype=np.float32) for k in TAPS[rank]]
    with np.errstate(over="ignore"):
        agrees(x, outer(*lines), method, padding="full")


def agrees(x, kernel, method, **options):
    """NaN and infinities are where and what they are directly; other values within the tolerance."""
    by_sums = convnd(x, kernel, method="direct", **options)
    result, size = convnd(x, kernel, method=method, **options), bound(x, kernel, **options)
    tiny = np.finfo(by_sums.dtype).smallest_subnormal / TOLERANCE[by_sums.dtype.type]
    near(result, by_sums, 2 * size + tiny * (1 + np.abs(kernel).sum(where=np.isfinite(kernel))) * kernel.size)


# --- NaN and infinity ---------------------------------------------------------------------------------------


def with_specials(x, seed, count=3):
    """`x` with NaN and infinities somewhere, one of them in its last corner."""
    rng, parts = np.random.default_rng(seed), x.view(x.real.dtype)
    for at in (*rng.integers(parts.size, size=count), parts.size - 1):
        parts.flat[at] = rng.choice([np.nan, np.inf, -np.inf])
    return x


def kernels(rank, dtype):
    """A kernel of rank one with zero weights, and where there are axes enough one of rank two."""
    yield outer(*(np.resize([1.5, 0, -2, 0.25], k).astype(dtype) for k in TAPS[rank]))
    if rank > 1:
        yield sum(outer(*(reals(k, dtype, seed=seed + k) for k in TAPS[rank])) for seed in (0, 10))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_nan_and_infinity_reach_what_they_reach_directly(tuning, method, rank, boundary, dtype):
    """Their windows and no more, with the signs of plain summation, over zero weights too."""
    for seed, kernel in enumerate([*kernels(rank, dtype)] * 2):
        x = with_specials(reals([n + 9 for n in SHAPES[rank]], dtype, seed), seed)
        agrees(x, kernel, method, padding="same", boundary=boundary)
        agrees(x, kernel, method, padding=3, boundary=boundary, stride=2, dilation=2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_fill_values_and_weights_that_are_not_finite(tuning, method, value):
    for rank in 1, 2, 3:
        for kernel in kernels(rank, np.float32):
            x = reals(SHAPES[rank], np.float32)
            agrees(x, kernel, method, padding="same", fill_value=value)
            kernel.flat[kernel.size // 2] = value
            agrees(x, kernel, method, padding="same")


def test_not_finite_sums_become_whole_numbers(method):
    """Infinities saturate, NaN becomes 0."""
    x, kernel = with_specials(integers((30, 40), np.float32), 1), separable((3, 4), np.float32)
    for dtype in np.uint8, np.int16:
        check(x, kernel, method=method, dtype=dtype, padding="same")


@pytest.mark.parametrize(("value", "is_repaired"), [(np.nan, False), (np.inf, True)])
def test_nan_alone_passes_through_factors(monkeypatch, tuning, value, is_repaired):
    """Tiles with NaN need no direct sums: 560 of them in an image took 23 times as long."""
    flagged, repair = [], direct.repair

    def recorded(problem, tasks, flags, *rest):
        flagged.append(flags.any())
        repair(problem, tasks, flags, *rest)

    monkeypatch.setattr(direct, "repair", recorded)
    for shape, taps, padding in ((70, 80), (9, 8), "same"), ((30, 31, 33), (5, 4, 5), 0):
        x = reals(shape, np.float32)
        x.flat[:: x.size // 7] = value
        agrees(x, outer(*(reals(k, np.float32, seed=k) for k in taps)), "separable", padding=padding)
        assert flagged.pop() == is_repaired


def test_not_finite_samples_of_channels(tuning):
    x, kernel = reals((4, 20, 21), np.float32), reals((6, 2, 3, 4), np.float32, seed=1)
    with_specials(x[:2], 2)
    agrees(x, kernel, "fft", channel_axis=0, groups=2, padding="same")


# --- bit for bit --------------------------------------------------------------------------------------------

BATCHES = {  # x, taps, the spatial axes; the other is a batch
    "leading": ((3, 4001), (21,), (1,)),
    "leading images": ((3, 61, 67), (5, 4), (1, 2)),
    "trailing": ((4001, 3), (21,), (0,)),
    "RGB": ((61, 67, 3), (5, 4), (0, 1)),
    "many channels": ((31, 37, 100), (5, 4), (0, 1)),
    "middle": ((31, 5, 47), (5, 4), (0, 2)),
    "volumes": ((17, 16, 3, 19), (3, 3, 2), (0, 1, 3)),
}


@pytest.fixture(params=BATCHES)
def batch(request):
    shape, taps, axes = BATCHES[request.param]
    kernel = outer(*(reals(k, np.float32, seed=k) for k in taps))
    if len(taps) == 2:
        kernel = kernel + outer(*(reals(k, np.float32, seed=9 + k) for k in taps))
    (item_axis,) = set(range(len(shape))) - set(axes)
    return reals(shape, np.float32), kernel, axes, item_axis


@pytest.mark.parametrize("name", ["auto", *METHODS])
def test_workers_change_no_bit(tuning, name, batch):
    x, kernel, axes, _ = batch
    one = convnd(x, kernel, axes=axes, method=name, padding="same", boundary="reflect", workers=1)
    for workers in 2, 100, None:
        same(convnd(x, kernel, axes=axes, method=name, padding="same", boundary="reflect", workers=workers), one)


def test_a_batch_is_its_items_bit_for_bit(tuning, method, batch):
    """Where all is finite: what shares a tile with NaN or infinity has the rounding of the direct method."""
    x, kernel, axes, item_axis = batch
    options = {"method": method, "padding": "same", "boundary": "reflect"}
    together = np.moveaxis(convnd(x, kernel, axes=axes, **options), item_axis, 0)
    for item, expected in zip(np.moveaxis(x, item_axis, 0), together):
        same(convnd(np.ascontiguousarray(item), kernel, **options), np.ascontiguousarray(expected))


# --- how a method is asked for ------------------------------------------------------------------------------

LAPLACIAN = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
FLAT, LINE = reals((4, 5)), reals(3, seed=1)
SEPARABLE = {
    "a line": LINE,
    "rank one": outer(LINE, LINE),
    "rank one of three axes": outer(LINE, LINE, LINE),
    "rank two": outer(LINE, [1, 0, 2, 4]) + outer([4, 1, 2], [0, 1, 1, 1]),
    "zeros": np.zeros((3, 4)),
    "one tap": np.ones((1, 1)),
    "along the first axis": outer(LINE, FLAT),
    "along the second axis": outer(LINE, FLAT).transpose(1, 0, 2),
    "along the third axis": outer(FLAT, LINE),
    "Laplacian": LAPLACIAN,
    "Laplacian of floats": LAPLACIAN.astype(np.float32),
    "whole numbers": outer([1, 2, 1], [-1, 0, 1], [3, 4, 5]),
    "complex": outer(LINE * 1j + 1, LINE - 2j),
}


@pytest.mark.parametrize("name", SEPARABLE)
def test_kernels_that_are_separable(tuning, name):
    """Whole numbers by whole factors, exactly."""
    kernel = SEPARABLE[name]
    if kernel.dtype.kind == "i":
        check(integers((8, 9, 10), np.int16), kernel, method="separable", padding="same")
    x = reals((8, 9, 10), np.complex64 if kernel.dtype.kind == "c" else kernel.dtype if kernel.itemsize == 4 else float)
    close(convnd(x, kernel, method="separable", padding="same"), x, kernel, padding="same")
    if kernel.dtype.kind != "c":
        assert plan(x, kernel, method="separable").method == "separable"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("taps", [(2, 2), (5, 4), (3, 20), (3, 3, 3), (2, 2, 2), (4, 3, 2)])
def test_kernels_that_are_not_separable(taps, dtype):
    out = np.full((20, 20, 20), 7, dtype)
    with pytest.raises(ValueError, match=r"'separable'.* short sum of outer products"):
        convnd(reals(out.shape, dtype), reals(taps, dtype), method="separable", padding="same", out=out)
    assert (out == 7).all()


def test_channels_are_not_separable():
    with pytest.raises(ValueError, match=r"'separable'.* channel_axis is 0"):
        convnd(np.ones((3, 9)), np.ones((2, 3, 3)), method="separable", channel_axis=0)


@pytest.mark.parametrize("function", [convnd, plan])
def test_names_of_methods(function):
    for unknown in "fourier", "FFT", "":
        with pytest.raises(ValueError, match=f"method must be one of 'auto', .*'{unknown}'"):
            function(np.ones(9), np.ones(3), method=unknown)
    for wrong in None, 1, b"fft", ["fft"]:
        with pytest.raises(TypeError, match="method"):
            function(np.ones(9), np.ones(3), method=wrong)
