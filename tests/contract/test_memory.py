"""Every memory layout is read and written in place, and nothing outside the arrays is touched."""

import signal
import sys
import textwrap

import numpy as np
import pytest
from numba import njit

from convnd import convnd, plan
from convnd.jit import parallel
from convnd.jit.intrinsics.scaling import SUBNORMAL, take_exceptions
from convnd.jit.machine import IS_X86
from support.check import check, integers, reals, same
from support.processes import end, run, start
from support.strategies import LAYOUTS

# One problem for each way through the tiles: inside the array, over its edges, strided, upsampled, with channels.
PROBLEMS = {
    "1-D": ((70,), (5,), {"padding": "same"}),
    "1-D strided": ((248,), (5,), {"stride": 3}),
    "2-D": ((13, 37), (3, 4), {}),
    "2-D padded": ((13, 37), (3, 4), {"padding": 3, "boundary": "symmetric"}),
    "2-D strided": ((13, 37), (3, 4), {"stride": (2, 3), "padding": "full", "boundary": "wrap"}),
    "2-D upsampled": ((7, 20), (3, 4), {"upsample": (2, 3), "padding": "full", "boundary": "reflect"}),
    "2-D batch": ((8, 20, 40), (3, 3), {"axes": (1, 2)}),
    "3-D": ((2, 6, 7, 19), (2, 3, 3), {"axes": (1, 2, 3), "padding": "same", "fill_value": 1}),
    "channels": ((4, 9, 20), (6, 2, 3, 3), {"channel_axis": 0, "groups": 2, "padding": "same"}),
    "channels last": ((9, 20, 3), (3, 3, 3, 5), {"channel_axis": -1, "boundary": "edge", "padding": 1}),
}


@pytest.fixture(params=PROBLEMS)
def problem(request):
    return PROBLEMS[request.param]


@pytest.mark.parametrize("dtype", [">i2", ">u4", ">i8", ">f2", ">f4", ">f8", ">c8", ">c16"])
def test_byte_order(dtype):
    x = integers((7, 20), dtype)
    check(x, integers((3, 3), dtype, seed=1), padding="same", boundary="reflect")
    check(x, integers((3, 3), np.dtype(dtype).newbyteorder("="), seed=1), out=np.zeros((5, 18), dtype))


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_memmap(tmp_path, mode):
    x = integers((30, 40), np.int16)
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.int16, mode, shape=x.shape)
    out = np.memmap(tmp_path / "y", np.float32, "w+", shape=x.shape)
    check(mapped, integers((3, 3), np.float32, seed=1), padding="same")
    check(mapped, integers((3, 3), np.float32, seed=1), padding="same", out=out)
    same(np.fromfile(tmp_path / "x", np.int16).reshape(x.shape), x)


def test_subclasses_give_plain_arrays():
    x = integers((5, 6)).view(type("Sub", (np.ndarray,), {}))
    assert type(convnd(x, np.ones((2, 2)))) is np.ndarray


# --- the result's layout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(9, 10), (7, 8, 9), (4, 5, 6, 7)])
def test_fortran_in_fortran_out(shape):
    kernel = integers((3,) * len(shape), seed=1)
    y = check(np.asfortranarray(integers(shape)), kernel, padding="same", boundary="edge")
    assert y.flags.f_contiguous and not y.flags.c_contiguous
    y = check(integers(shape), kernel, padding="same", boundary="edge")
    assert y.flags.c_contiguous and not y.flags.f_contiguous


def test_results_own_writeable_native_memory():
    for layout in LAYOUTS.values():
        y = convnd(layout(integers((9, 10))), np.ones((1, 1)))
        assert y.flags.writeable and y.flags.aligned and y.dtype.isnative
    x = integers((9, 10))
    assert not np.may_share_memory(convnd(x, np.ones((1, 1))), x)


# --- out ----------------------------------------------------------------------------------------------------


def test_out_is_returned_and_has_its_say_on_the_type():
    x = integers((9, 10))
    for out in np.empty((9, 10), np.uint8), np.empty((9, 10)), np.empty((9, 10), np.complex64):
        check(x, integers((3, 3), seed=1), padding="same", out=out)
        assert convnd(x, np.ones((3, 3)), padding="same", out=out, dtype=out.dtype) is out


def test_out_is_x(tuning):
    for dtype in np.float32, np.uint8, np.complex64:
        for view in lambda a: a, lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.T:
            x = integers((40, 40), dtype)
            check(x, integers((3, 3), np.float32, seed=1), padding="same", out=view(x))


def test_out_overlaps_the_kernel():
    kernel = integers((5, 5))
    expected = convnd(integers((5, 5), seed=1), kernel, padding="same")
    same(convnd(integers((5, 5), seed=1), kernel, padding="same", out=kernel), expected)


# --- nothing beyond the arrays is written or read -----------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "complex64"])
def test_nothing_is_written_around_out(tuning, problem, dtype):
    """x and out are the middle of larger arrays: the frame of x would show in the values, out's is compared."""
    shape, taps, options = problem
    kernel, middle = integers(taps, np.float32, seed=1), lambda a: (slice(3, -3),) * a.ndim
    framed_x = np.full([n + 6 for n in shape], np.nan, np.float32)
    framed_x[middle(framed_x)] = integers(shape, np.float32)
    x = framed_x[middle(framed_x)]
    like = convnd(integers(shape, np.float32), kernel, dtype=dtype, **options)
    framed_out = np.full([n + 6 for n in like.shape], 77, like.dtype)
    check(x, kernel, out=framed_out[middle(framed_out)], **options)
    framed_out[middle(framed_out)] = 77
    assert (framed_out == 77).all()


@njit
def met_subnormal():
    return take_exceptions() & SUBNORMAL != 0


@pytest.mark.skipif(not IS_X86, reason="other processors do not say what they met")
@pytest.mark.parametrize("method", ["fft", "winograd"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_no_method_computes_with_what_lay_in_memory_before(monkeypatch, tuning, method, dtype):
    """Old bytes are dropped, but those that look like subnormal numbers take a hundred times as long."""

    empty = parallel.aligned

    def old(size):
        room = empty(size)
        room[: size // 4 * 4].view(np.int32)[...] = 77777
        return room

    monkeypatch.setattr(parallel, "aligned", old)
    for shape, taps, options in [
        ((900,), (31,), {}), ((70, 81), (9, 8), {"stride": 2}), ((14, 15, 33), (5, 4, 5), {}),
        ((2, 5, 29, 27), (20, 5, 3, 3), {"axes": (2, 3), "channel_axis": 1}),
        ((2, 32, 28, 28), (32, 32, 3, 3), {"axes": (2, 3), "channel_axis": 1, "padding": "same"}),
        ((3, 6, 19, 18), (4, 3, 3, 3, 3), {"axes": (1, 2, 3), "channel_axis": 0, "padding": "same"}),
    ]:  # fmt: skip
        own = plan(reals(shape, dtype), reals(taps, dtype, seed=1), method=method, workers=1, **options)
        y = own(reals(shape, dtype))
        met_subnormal()
        own(reals(shape, dtype))
        assert not met_subnormal()
        if method == "fft":
            own.kernel_gradient(reals(shape, dtype), y)
            assert not met_subnormal()


def guards(test):
    """Mark a test of processes whose arrays lie between pages that no one may touch."""
    return pytest.mark.process(pytest.mark.skipif(sys.platform != "linux", reason="needs Linux' mprotect")(test))


@pytest.mark.slow
@guards
def test_nothing_outside_any_array_is_touched():
    """Be it an argument's, a table, packed weights or scratch; what was not written is not read either."""
    run("-m", "support.guards", "100")


@pytest.mark.slow
@guards
def test_nothing_outside_any_array_is_touched_on_every_way_through_the_tiles():
    script = f"""
        import faulthandler, os, runpy
        import numpy as np
        from support.check import integers
        from support.settings import SETTINGS, tuned
        from support.guards import apart, guarded, run

        faulthandler.enable()
        for shape, taps, options in runpy.run_path({__file__!r})["PROBLEMS"].values():
            for dtype, setting in zip(["float32", "uint8"], SETTINGS):
                for at_end in True, False:
                    with tuned(setting), guarded(at_end):
                        x, kernel = integers(shape, dtype), integers(taps, np.float32, seed=1)
                        run(x, kernel, **options)
                        run(apart(x), kernel, **options)
        os._exit(0)
    """
    run("-c", textwrap.dedent(script))


@guards
@pytest.mark.parametrize("at_end, place", [(True, 24), (False, -1)])
def test_one_byte_outside_an_array_is_a_crash(at_end, place):
    script = f"""
        import ctypes, os
        import numpy as np
        from support.guards import guarded

        with guarded({at_end}):
            x = np.zeros(3)
            for byte in 0, 23, {place}:
                ctypes.c_char.from_address(x.ctypes.data + byte).value
                print(byte, flush=True)
        os._exit(0)
    """
    code, output = end(start("-c", textwrap.dedent(script)))
    assert code == -signal.SIGSEGV and output == "0\n23\n"


# --- nothing, and little ------------------------------------------------------------------------------------


def test_a_single_sample(tuning):
    for boundary in "edge", "reflect", "symmetric", "wrap", "constant":
        check(integers((1, 1)) + 3, integers((4, 7), seed=1), padding="full", boundary=boundary)
        check(integers(1) + 3, integers(1, seed=1), padding=((100, 3),), boundary=boundary)


def test_padding_much_longer_than_x():
    for boundary in "edge", "reflect", "symmetric", "wrap", "constant":
        check(integers(3), integers(2, seed=1), padding=((5000, 7001),), boundary=boundary)
        check(integers((2, 3)), integers((2, 2), seed=1), padding=(60, 301), stride=7, boundary=boundary)
