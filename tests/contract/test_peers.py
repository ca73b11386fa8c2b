"""The values other libraries give, for convnd and for the tests' own oracle: neither may drift from the world's use."""

import numpy as np
import pytest

from convnd import convnd as convnd_
from convnd import plan
from support import oracle
from support.check import integers, same

NDIMAGE_MODES = {"constant": "constant", "nearest": "edge", "mirror": "reflect", "reflect": "symmetric", "wrap": "wrap"}
LENGTHS = [1, 2, 3, 4, 7, 8]  # kernels, odd and even


@pytest.fixture(params=["convnd", "oracle"])
def convnd(request):
    return {"convnd": convnd_, "oracle": oracle.convnd}[request.param]


@pytest.mark.parametrize("taps", LENGTHS)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_numpy_convolve(convnd, mode, taps):
    x, kernel = integers(20), integers(taps, seed=1)
    same(convnd(x, kernel, padding=mode), np.convolve(x, kernel, mode))


@pytest.mark.parametrize("taps", LENGTHS)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_numpy_correlate(convnd, mode, taps):
    x, kernel = integers(20), integers(taps, seed=1)
    padding = ((taps // 2, (taps - 1) // 2),) if mode == "same" else mode  # numpy centres even kernels at K // 2
    same(convnd(x, kernel, padding=padding, convention="correlation"), np.correlate(x, kernel, mode))


@pytest.mark.parametrize("x_size, taps", [(20, 5), (20, 6), (5, 20), (6, 21), (7, 7), (1, 4)])
def test_scipy_signal_same_even_for_a_kernel_longer_than_x(convnd, x_size, taps):
    signal = pytest.importorskip("scipy.signal")
    x, kernel = integers(x_size), integers(taps, seed=1)
    same(convnd(x, kernel, padding="same"), signal.convolve(x, kernel, "same", method="direct"))
    centre = ((taps // 2, (taps - 1) // 2),)  # signal.correlate, unlike signal.convolve, centres at K // 2
    expected = signal.correlate(x, kernel, "same", method="direct")
    same(convnd(x, kernel, padding=centre, convention="correlation"), expected)


@pytest.mark.parametrize("theirs, ours", [("fill", "constant"), ("wrap", "wrap"), ("symm", "symmetric")])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_scipy_signal_convolve2d(convnd, mode, theirs, ours):
    signal = pytest.importorskip("scipy.signal")
    x, kernel = integers((9, 11)), integers((3, 4), seed=1)
    expected = signal.convolve2d(x, kernel, mode, boundary=theirs, fillvalue=3)
    same(convnd(x, kernel, padding=mode, boundary=ours, fill_value=3 if ours == "constant" else 0), expected)


@pytest.mark.parametrize("taps", [9, 75])  # fewer and more than samples
@pytest.mark.parametrize("up, down", [(1, 1), (1, 3), (2, 1), (3, 2), (6, 4), (4, 7), (147, 160)])
def test_scipy_signal_upfirdn(convnd, up, down, taps):
    signal = pytest.importorskip("scipy.signal")
    x, kernel = integers((2, 60)), integers(taps, seed=1)
    same(convnd(x, kernel, axes=1, upsample=up, stride=down, padding="full"), signal.upfirdn(kernel, x, up, down))


@pytest.mark.parametrize("theirs, ours", NDIMAGE_MODES.items())
@pytest.mark.parametrize("size", [(3, 5), (4, 2), (1, 6), (13, 12)])  # the last is longer than x: reflected again
def test_scipy_ndimage(convnd, size, theirs, ours):
    ndimage = pytest.importorskip("scipy.ndimage")
    x, kernel = integers((6, 7)), integers(size, seed=1)
    fill = {"fill_value": 2} if ours == "constant" else {}
    # ndimage centres at K // 2, one sample from "same" where K is even.
    correlation, convolution = [(k // 2, (k - 1) // 2) for k in size], [((k - 1) // 2, k // 2) for k in size]
    y = convnd(x, kernel, padding=correlation, convention="correlation", boundary=ours, **fill)
    same(y, ndimage.correlate(x, kernel, mode=theirs, cval=2))
    y = convnd(x, kernel, padding=convolution, boundary=ours, **fill)
    same(y, ndimage.convolve(x, kernel, mode=theirs, cval=2))


@pytest.mark.parametrize("theirs, ours", NDIMAGE_MODES.items())
def test_scipy_ndimage_3d_and_along_one_axis(convnd, theirs, ours):
    ndimage = pytest.importorskip("scipy.ndimage")
    x, kernel, line = integers((5, 6, 7)), integers((3, 3, 5), seed=1), integers(5, seed=2)
    same(convnd(x, kernel, padding="same", boundary=ours), ndimage.convolve(x, kernel, mode=theirs))
    for axis in range(3):
        y = convnd(x, line, axes=axis, padding="same", boundary=ours)
        same(y, ndimage.convolve1d(x, line, axis, mode=theirs))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("groups, c_out", [(1, 1), (1, 5), (2, 4), (6, 6), (6, 12)])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_torch(convnd, rank, groups, c_out):
    torch = pytest.importorskip("torch")
    stride, dilation, padding = (2, 1, 3)[:rank], (1, 2, 2)[:rank], (3, 0, 2)[:rank]
    x = integers((2, 6, 13, 11, 9)[: 2 + rank])
    kernel = integers((c_out, 6 // groups, 4, 3, 2)[: 2 + rank], seed=1)
    theirs = getattr(torch.nn.functional, f"conv{rank}d")
    tensors = torch.from_numpy(x), torch.from_numpy(kernel)
    ours = {"convention": "correlation", "channel_axis": 1, "axes": tuple(range(2, 2 + rank)), "groups": groups}
    expected = theirs(*tensors, stride=stride, dilation=dilation, padding=padding, groups=groups)
    same(convnd(x, kernel, stride=stride, dilation=dilation, padding=padding, **ours), expected.numpy())
    expected = theirs(*tensors, dilation=dilation, padding="same", groups=groups)
    same(convnd(x, kernel, dilation=dilation, padding="same", **ours), expected.numpy())


@pytest.mark.parametrize("groups, c_out", [(1, 1), (1, 5), (2, 4), (6, 6), (6, 12)])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_torch_transposed_convolution(convnd, rank, groups, c_out):
    torch = pytest.importorskip("torch")
    stride, dilation, padding, extra = (2, 1, 3)[:rank], (1, 2, 2)[:rank], (3, 0, 1)[:rank], (1, 0, 2)[:rank]
    x = integers((2, 6, 8, 7, 5)[: 2 + rank])
    kernel = integers((6, c_out // groups, 4, 3, 2)[: 2 + rank], seed=1)
    theirs = getattr(torch.nn.functional, f"conv_transpose{rank}d")(
        torch.from_numpy(x), torch.from_numpy(kernel), stride=stride, dilation=dilation, padding=padding,
        output_padding=extra, groups=groups,
    )  # fmt: skip
    # Their kernels are (C_in, C_out/groups, *K): the first two axes change places, group by group.
    exchanged = (
        kernel.reshape(groups, 6 // groups, *kernel.shape[1:]).swapaxes(1, 2).reshape(c_out, -1, *kernel.shape[2:])
    )
    ends = [d * (k - 1) - p for d, k, p in zip(dilation, kernel.shape[2:], padding)]
    options = {"channel_axis": 1, "axes": tuple(range(2, 2 + rank)), "groups": groups, "dilation": dilation}
    y = convnd(x, exchanged, upsample=stride, padding=[(end, end + more) for end, more in zip(ends, extra)], **options)
    same(y, theirs.numpy())


@pytest.mark.parametrize("groups", [1, 2])
def test_torch_gradients(groups):
    torch = pytest.importorskip("torch")
    x, kernel = integers((2, 6, 9, 8)), integers((4, 6 // groups, 3, 2), seed=1)
    tensors = [torch.from_numpy(a).requires_grad_() for a in (x, kernel)]
    result = torch.nn.functional.conv2d(*tensors, stride=(2, 3), padding=(2, 1), dilation=(1, 2), groups=groups)
    y = integers(tuple(result.shape), seed=2)
    result.backward(torch.from_numpy(y))
    options = {"convention": "correlation", "channel_axis": 1, "axes": (2, 3), "groups": groups}
    made = plan(x, kernel, stride=(2, 3), padding=(2, 1), dilation=(1, 2), **options)
    same(made.adjoint(y), tensors[0].grad.numpy())
    same(made.kernel_gradient(x, y), tensors[1].grad.numpy())


@pytest.mark.parametrize("theirs, ours", [("replicate", "edge"), ("reflect", "reflect"), ("circular", "wrap")])
def test_torch_padding_modes(convnd, theirs, ours):
    torch = pytest.importorskip("torch")
    x, kernel = integers((1, 3, 9, 8)), integers((2, 3, 5, 3), seed=1)
    layer = torch.nn.Conv2d(3, 2, (5, 3), padding=(2, 1), padding_mode=theirs, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(kernel))
        expected = layer(torch.from_numpy(x)).numpy()
    options = {"convention": "correlation", "axes": (2, 3), "channel_axis": 1, "padding": (2, 1)}
    same(convnd(x, kernel, boundary=ours, **options), expected)


@pytest.mark.parametrize("theirs, ours", [("REFLECT_101", "reflect"), ("REFLECT", "symmetric"), ("REPLICATE", "edge")])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_opencv_filter2d(convnd, dtype, theirs, ours):
    cv2 = pytest.importorskip("cv2")
    x, kernel = integers((9, 12), np.uint8, largest=255), integers((3, 4), np.float32, seed=1)
    depth = {np.uint8: cv2.CV_8U, np.int16: cv2.CV_16S, np.float32: cv2.CV_32F}[dtype]
    expected = cv2.filter2D(x, depth, kernel, borderType=getattr(cv2, f"BORDER_{theirs}"))
    padding = [(k // 2, (k - 1) // 2) for k in kernel.shape]  # centred at K // 2; saturates as dtype= does
    same(convnd(x, kernel, padding=padding, boundary=ours, convention="correlation", dtype=dtype), expected)
