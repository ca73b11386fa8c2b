"""Rows and tiles of every length against the oracle, and the identities of convolution."""

from itertools import product

import numpy as np
import pytest

from convnd import convnd, plan
from convnd.jit.machine import VECTOR_BYTES
from convnd.methods import direct
from convnd.methods.tiling import layout as layouts
from convnd.methods.tiling import likeness
from convnd.problem.canonical import merged
from support.check import check, integers, reals, rounding, same
from support.oracle import BOUNDARIES

# Axes of unequal lengths, so that none can stand for another; one shape and kernel for each rank.
SHAPES = {0: (), 1: (37,), 2: (13, 11), 3: (7, 6, 5), 4: (5, 6, 4, 3), 5: (4, 2, 3, 3, 4)}
KERNELS = {0: (), 1: (6,), 2: (4, 3), 3: (3, 2, 3), 4: (2, 3, 1, 2), 5: (2, 1, 2, 2, 2)}
RANKS = [1, 2, 3, 4, 5]


def test_no_spatial_axes_is_a_product():
    check(3.0, 2.0)
    check(integers((2, 3)), 2.0, axes=())


@pytest.mark.parametrize("taps", [1, 2, 3, 8, 33])
def test_every_length_of_row(tuning, taps):
    """Vectors have tails of every size, in one row and in several."""
    kernel = integers(taps, np.float32, seed=1)
    for n in range(1, 100):
        check(integers(n, np.float32), kernel, padding="same", boundary="reflect")
    for n in range(1, 40):
        check(integers((3, n), np.float32), kernel, axes=1, padding="same")
        check(integers((5, n), np.float32), kernel[None, :3], padding=(0, 2), stride=(1, 2))


@pytest.mark.parametrize("rows", range(1, 20))
def test_every_number_of_rows(tuning, rows):
    for kernel_rows in 1, 2, 5:
        kernel = integers((kernel_rows, 3), np.float32, seed=1)
        check(integers((rows, 21), np.float32), kernel, padding="full", boundary="symmetric")


@pytest.mark.parametrize(
    "shape, kernel", [((300_000,), (9,)), ((3, 40_000), (5,)), ((700, 650), (3, 4)), ((70, 60, 80), (2, 3, 3))]
)
def test_arrays_of_many_tiles(shape, kernel):
    x, kernel = integers(shape, np.float32), integers(kernel, np.float32, seed=1)
    axes = tuple(range(-kernel.ndim, 0))
    check(x, kernel, axes=axes, padding="same", boundary="reflect")
    check(x, kernel, axes=axes, padding=3, stride=2)


#: Arrays with few samples along the last axis of memory, kernels, and the axes of these.
THIN = {
    "three columns": ((90, 3), (7, 3), (0, 1)),
    "a batch of pairs": ((150, 2), (3,), 1),
    "colours": ((30, 70, 3), (5, 4, 3), (0, 1, 2)),
    "planes of colours": ((30, 70, 3), (5, 4), (0, 1)),
    "the nearest long axis": ((20, 80, 2), (3, 2), (0, 2)),
    "a batch of squares": ((100, 4, 2), (3, 3), (1, 2)),
}


@pytest.mark.parametrize("name", THIN)
def test_vectors_along_another_axis_change_no_bit(tuned, monkeypatch, name):
    """The last axis cannot fill a vector; another one does, and taps are summed in the same order."""
    shape, taps, axes = THIN[name]
    for dtype in np.float32, np.uint8, np.complex64:
        x, kernel = integers(shape, dtype), integers(taps, dtype, seed=1)
        for boundary in BOUNDARIES:
            check(x, kernel, axes=axes, padding="same", boundary=boundary, method="direct")
        check(x, kernel, axes=axes, padding="full", stride=2, dilation=2, method="direct")
        check(x, kernel, axes=axes, padding="full", upsample=3, stride=2, method="direct")
    x, kernel = reals(shape, np.float32), reals(taps, np.float32, seed=1)
    for options in {"padding": "full"}, {"padding": "same", "stride": 3}, {"padding": "full", "upsample": 2}:
        results = []
        for arranged in likeness.turned, merged:
            with tuned("default"):
                monkeypatch.setattr(direct, "turned", arranged)
                results.append(convnd(x, kernel, axes=axes, method="direct", **options))
        same(*results)


@pytest.mark.parametrize("shape, taps", [((30, 70), (3, 5)), ((5, 40, 50), (2, 3, 2)), ((6, 40, 50), (3, 3))])
def test_lines_in_parts_change_no_bit(tuned, shape, taps):
    """The outputs inside x and those of the ends are computed apart, where arrays come from memory."""
    axes = (-3, -2, -1)[-len(taps) :]
    small = {"cached_bytes": 1, "far_gather_cycles": 1e3, "part_cycles": -1e9}  # on any processor
    for dtype in np.float32, np.float64:
        x, kernel = integers(shape, dtype), integers(taps, dtype, seed=1)
        for options in {"padding": "same"}, {"padding": "full"}:
            with tuned("default", **small):
                assert "ends" in str(plan(x, kernel, axes=axes, method="direct", **options))
                for boundary in BOUNDARIES:
                    check(x, kernel, axes=axes, boundary=boundary, method="direct", **options)
        x, kernel = reals(shape, dtype), reals(taps, dtype, seed=1)
        results = []
        for changes in small, {}:
            with tuned("default", **changes):
                results.append(convnd(x, kernel, axes=axes, padding="same", method="direct"))
        same(*results)


def test_vectors_lie_along_an_axis_that_fills_them(monkeypatch, tuned):
    turned = []
    with tuned("default"):
        monkeypatch.setattr(direct, "turned", lambda problem: turned.append(likeness.turned(problem)) or turned[-1])
        for shape, taps, axes in THIN.values():
            plan(np.ones(shape, np.float32), np.ones(taps, np.float32), axes=axes, padding="same", method="direct")
            assert turned[-1].axes[-1].outputs >= max(shape)


@pytest.mark.parametrize("dtype", [None, "float16", "int16"])
@pytest.mark.parametrize("place", ["first", "last"])
def test_lanes_across_channels_change_no_bit(tuned, monkeypatch, place, dtype):
    lanes, every = VECTOR_BYTES // 4, layouts.ranked
    x, kernel = reals((19, 23, 26), np.float32), reals((2 * lanes + 3, 19, 3, 4), np.float32, seed=1)
    if place == "last":
        x, kernel = x.transpose(1, 2, 0).copy(), kernel.transpose(2, 3, 1, 0)
    for padding, stride in ("valid", 1), ((2, 1), 2):
        results = []
        for wanted in (False, False), (True, False), (True, True):  # across; reads x in place, at any stride
            with tuned("default", most_tiles=10**6):
                choices = lambda kind: [c for c in every(kind) if (c[1].tile.across, c[1].inside) == wanted]  # noqa: B023, E731
                monkeypatch.setattr(layouts, "ranked", choices)
                results.append(convnd(
                    x, kernel, padding=padding, stride=stride, dtype=dtype, method="direct",
                    channel_axis=0 if place == "first" else -1,
                ))  # fmt: skip
        same(results[1], results[0])
        same(results[2], results[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", ["first", "last"])
def test_channels_that_are_groups_change_no_bit_in_lanes(tuned, monkeypatch, place, dtype):
    lanes, turned = VECTOR_BYTES // np.dtype(dtype).itemsize, []
    monkeypatch.setattr(direct, "turned", lambda problem: turned.append(likeness.turned(problem)) or turned[-1])
    for channels, options in (
        (2 * lanes, {"padding": (2, 1), "stride": 2, "fill_value": 3}),
        (lanes + 4, {"padding": "same", "stride": (3, 1)}),
        (lanes, {"padding": "same", "boundary": ("reflect", "constant"), "dilation": (2, 1)}),
    ):
        x, kernel = rounding((2, channels, 11, 13), dtype), rounding((channels, 1, 3, 4), dtype, seed=1)
        x[1] *= np.finfo(dtype).tiny
        alone = [convnd(x[:, c], kernel[c, 0], axes=(1, 2), method="direct", **options) for c in range(channels)]
        first, axes = place == "first", (2, 3) if place == "first" else (1, 2)
        if not first:
            x, kernel = x.transpose(0, 2, 3, 1).copy(), kernel.transpose(2, 3, 1, 0)
        with tuned("default"):
            result = convnd(
                x, kernel, axes=axes, groups=channels, channel_axis=1 if first else -1, method="direct", **options
            )
        assert turned[-1].depthwise or lanes < 4
        same(result if first else result.transpose(0, 3, 1, 2), np.stack(alone, axis=1))


# --- identities ---------------------------------------------------------------------------------------------


@pytest.fixture(params=RANKS)
def rank(request):
    return request.param


@pytest.fixture
def x(rank):
    return integers(SHAPES[rank])


@pytest.fixture
def kernel(rank):
    return integers(KERNELS[rank], seed=1)


def test_linear(x, kernel):
    other, other_kernel = integers(x.shape, seed=2), integers(kernel.shape, seed=3)
    same(convnd(3 * x - other, kernel), 3 * convnd(x, kernel) - convnd(other, kernel))
    same(convnd(x, 3 * kernel - other_kernel), 3 * convnd(x, kernel) - convnd(x, other_kernel))


def test_full_convolution_commutes_and_associates(x, kernel, rank):
    other = integers(KERNELS[rank][::-1], seed=2)
    same(convnd(x, kernel, padding="full"), convnd(kernel, x, padding="full"))
    once, twice = convnd(kernel, other, padding="full"), convnd(x, kernel, padding="full")
    same(convnd(x, once, padding="full"), convnd(twice, other, padding="full"))


def test_a_unit_kernel_shifts(x, kernel):
    for at in np.ndindex(kernel.shape):
        unit = np.zeros_like(kernel)
        unit[at] = 1
        inside = tuple(slice(i, i + n) for i, n in zip(at, x.shape))
        y = convnd(x, unit, padding="full")
        same(y[inside], x)
        assert np.count_nonzero(y) == np.count_nonzero(x)


def test_correlation_is_the_adjoint_of_convolution(x, kernel):
    y = convnd(x, kernel, padding="full")
    z = integers(y.shape, seed=2)
    assert np.vdot(y, z) == np.vdot(x, convnd(z, kernel, convention="correlation"))


def test_conventions_differ_by_a_flip(x, kernel):
    for padding in "valid", "full", 2:
        flipped = convnd(x, np.flip(kernel), padding=padding, convention="correlation", boundary="wrap")
        same(convnd(x, kernel, padding=padding, boundary="wrap"), flipped)


def test_same_with_a_stride_samples_same_without(x, kernel, rank):
    for stride in 2, 3, 5:
        for convention in "convolution", "correlation":
            options = {"padding": "same", "convention": convention, "boundary": "reflect"}
            every = convnd(x, kernel, **options)
            same(convnd(x, kernel, stride=stride, **options), every[(slice(None, None, stride),) * rank])


def test_dilation_is_a_kernel_with_zeros_between(x, kernel, rank):
    spread = np.zeros([2 * k - 1 for k in kernel.shape])
    spread[(slice(None, None, 2),) * rank] = kernel
    same(convnd(x, kernel, dilation=2, padding=2), convnd(x, spread, padding=2))


def test_an_outer_product_is_a_convolution_along_each_axis(x, rank):
    lines = [integers(k, seed=k) for k in (3, 2, 4, 1, 3)[:rank]]
    product, y = np.ones(()), x
    for axis, line in enumerate(lines):
        product, y = np.multiply.outer(product, line), convnd(y, line, axes=axis, padding="same", boundary="symmetric")
    same(convnd(x, product, padding="same", boundary="symmetric"), y)


def test_padding_is_numpys(x, kernel):
    for boundary in BOUNDARIES:
        padded = np.pad(x, [(3, 9)] * x.ndim, mode=BOUNDARIES[boundary])
        same(convnd(x, kernel, padding=[(3, 9)] * x.ndim, boundary=boundary), convnd(padded, kernel))


def test_each_end_is_padded_by_itself():
    """Whatever stands at the other one, as latitude and longitude are: the poles' rows go on, the meridians meet."""
    x = integers((3, 4))
    lines = np.pad(np.pad(x, ((5, 5), (0, 0)), "edge"), ((0, 0), (9, 9)), "wrap")
    same(convnd(x, [[1.0]], padding=(5, 9), boundary=("edge", "wrap")), lines)
    for first, last in product(BOUNDARIES, repeat=2):
        before, after = np.pad(x, ((0, 0), (9, 0)), first), np.pad(x, ((0, 0), (0, 9)), last)
        y = convnd(x, [[1.0]], padding=((0, 0), (9, 9)), boundary=(("edge", "edge"), (first, last)))
        same(y, np.concatenate([before, after[:, 4:]], axis=1))


def test_groups_are_convolutions_of_their_own():
    x, kernel = integers((6, 9, 8)), integers((4, 3, 3, 2), seed=1)
    parts = [convnd(x[3 * g : 3 * g + 3], kernel[2 * g : 2 * g + 2], channel_axis=0) for g in range(2)]
    same(convnd(x, kernel, channel_axis=0, groups=2), np.concatenate(parts))
    same(convnd(x[:3], kernel[0], channel_axis=0), sum(convnd(x[c], kernel[0, c]) for c in range(3)))


# --- bit for bit: directly, every output sums its taps in one order, whatever surrounds it ------------------

REAL_VALUED = {
    "1-D": ((2, 4001), (21,), {"axes": 1}),
    "2-D": ((3, 61, 67), (5, 4), {"axes": (1, 2)}),
    "2-D strided": ((3, 61, 67), (5, 4), {"axes": (1, 2), "stride": (2, 3)}),
    "3-D": ((2, 17, 16, 19), (3, 3, 2), {"axes": (1, 2, 3)}),
    "channels": ((3, 6, 23, 37), (9, 6, 3, 3), {"axes": (2, 3), "channel_axis": 1}),
    "1-D, long": ((2, 4001), (600,), {"axes": 1}),
    "1-D, long and strided": ((2, 4001), (601,), {"axes": 1, "stride": 3, "dilation": 2}),
    "2-D, large": ((3, 61, 67), (33, 20), {"axes": (1, 2)}),
    "2-D, large and upsampled": ((3, 61, 67), (33, 20), {"axes": (1, 2), "upsample": (1, 2), "stride": (2, 1)}),
    "3-D, large": ((2, 17, 16, 19), (16, 5, 3), {"axes": (1, 2, 3)}),
    "many channels": ((2, 70, 23, 37), (9, 70, 3, 3), {"axes": (2, 3), "channel_axis": 1}),
    "channels of a large kernel": ((1, 2, 43, 37), (1, 2, 19, 9), {"axes": (2, 3), "channel_axis": 1}),
    "channels last": ((3, 23, 37, 6), (3, 3, 3, 4), {"axes": (1, 2), "channel_axis": 3, "groups": 2}),
}


@pytest.fixture(params=REAL_VALUED)
def real_valued(request):
    shape, kernel, options = REAL_VALUED[request.param]
    options = {"padding": "same", "boundary": "reflect", "method": "direct", **options}
    return reals(shape, np.float32), reals(kernel, np.float32, seed=1), options


def test_tile_sizes_change_no_bit(tuned, real_valued):
    x, kernel, options = real_valued
    with tuned("tiny"):
        small = convnd(x, kernel, **options)
    same(convnd(x, kernel, **options), small)


@pytest.mark.parametrize(
    "shape, kernel",
    [((5000,), (21,)), ((5000,), (300,)), ((90, 110), (5, 4)), ((90, 110), (21, 17)), ((20, 21, 40), (3, 2, 3))],
)
def test_a_chunk_with_its_halo_is_the_whole_bit_for_bit(tuning, shape, kernel):
    x, kernel = reals(shape, np.float32), reals(kernel, np.float32, seed=1)
    whole, rng = convnd(x, kernel, method="direct"), np.random.default_rng(2)
    for _ in range(20):
        starts = [rng.integers(n) for n in whole.shape]
        stops = [rng.integers(a, n) + 1 for a, n in zip(starts, whole.shape)]
        chunk = x[tuple(slice(a, b + k - 1) for a, b, k in zip(starts, stops, kernel.shape))]
        same(convnd(np.ascontiguousarray(chunk), kernel, method="direct"), whole[tuple(map(slice, starts, stops))])


@pytest.mark.parametrize(
    "shape, kernel, options",
    [
        ((100_003,), (100_000,), {}),
        ((210_003,), (100_000,), {"stride": 3, "dilation": 2}),
        ((2003, 53), (2000, 50), {}),
        ((1, 12_000, 5, 6), (3, 12_000, 3, 3), {"axes": (2, 3), "channel_axis": 1}),
        ((1, 2, 50_003), (1, 2, 50_000), {"axes": 2, "channel_axis": 1}),
    ],
)
def test_sums_of_a_hundred_thousand_numbers_of_one_sign(shape, kernel, options):
    """One after the other, every sum rounds what is added to it in the same direction: a thousandth is lost."""
    x, taps = np.full(shape, 0.1, np.float32), np.ones(kernel, np.float32)
    count = taps.size // (kernel[0] if len(kernel) == 4 else 1)
    exact, plain = count * float(x.flat[0]), float(np.cumsum(x.flat[0] * np.ones(count, np.float32))[-1])
    most = 2.0**-16 * exact
    assert abs(plain - exact) > 8 * most
    assert np.abs(convnd(x, taps, method="direct", **options) - exact).max() < most
