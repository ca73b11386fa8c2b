"""The public function: its signature, its docstring, ten lines of body."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .interop import convolve_any, njit
from .plan import Plan, convolve
from .problem.arguments.calls import explained
from .problem.arguments.parse import parse
from .problem.options import Options

Padding = Literal["valid", "same", "full"] | int | Sequence[int | Sequence[int]]
Convention = Literal["convolution", "correlation"]
Mode = Literal["constant", "edge", "reflect", "symmetric", "wrap"]
Boundary = Mode | Sequence[Mode | Sequence[Mode]] | Mapping[Any, Mode | Sequence[Mode]]
NanPolicy = Literal["propagate", "raise", "omit"]
Method = Literal["auto", "direct", "separable", "fft", "winograd"]


@explained
def convnd(
    x: Any,
    kernel: Any,
    *,
    padding: Padding = "valid",
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    upsample: int | Sequence[int] = 1,
    groups: int = 1,
    axes: int | str | Sequence[int | str] | None = None,
    channel_axis: int | str | None = None,
    convention: Convention = "convolution",
    boundary: Boundary = "constant",
    fill_value: complex = 0,
    nan_policy: NanPolicy = "propagate",
    mask: ArrayLike | None = None,
    method: Method = "auto",
    dtype: DTypeLike | None = None,
    out: np.ndarray | None = None,
    beta: complex = 0,
    bias: ArrayLike | None = None,
    workers: int | None = None,
) -> np.ndarray:
    """Convolve an array of any rank with a kernel.

    Along one axis, output ``o`` and tap ``t`` read input ``i = stride*o + dilation*t - before``, and

        y[o] = sum over t of w[t] * x[stride*o + dilation*t - before]

    where ``w`` is the kernel for ``convention="correlation"`` and the kernel flipped along every spatial axis for
    ``"convolution"``. N axes are the product of that line. Complex kernels are never conjugated.

    Parameters
    ----------
    x : array_like
        Numbers of any dtype up to float64 and complex128, any byte order and memory layout: whatever `numpy.asarray` or
        `numpy.from_dlpack` makes an array of, but masked arrays. The result is a plain array; of a tensor of torch, an
        array of JAX or dask, or an `xarray.DataArray` it is one too.
    kernel : array_like
        The weights. Without `channel_axis` it has one axis for each spatial axis of `x`; with it, it mirrors `x`:
        ``(C_in, *K)`` for one filter or ``(C_out, C_in/groups, *K)`` for a bank where the channel axis comes before all
        spatial axes of `x`, otherwise ``(*K, C_in)`` or ``(*K, C_in/groups, C_out)``.
    padding : {"valid", "same", "full"}, int, or sequence, optional
        Samples added before and after each spatial axis: none, as many as keep the length at stride 1, or the extent
        ``dilation*(K-1) + 1`` less one on both ends; or ``p >= 0`` for every end, ``(p1, ..., pN)`` for each axis,
        ``((before, after), ...)`` for each axis and end.
    stride, dilation : int or sequence of int, optional
        Samples between neighbouring outputs, and between neighbouring taps, for all spatial axes or for each.
    upsample : int or sequence of int, optional
        One more than the zeros that stand between neighbouring samples, for all spatial axes or for each: `x`, extended
        by the boundary, becomes ``upsample*(n-1) + 1`` long before the formula applies. No zero is multiplied.
    groups : int, optional
        Groups that the channels are divided into; output channel ``c`` sees input group ``c // (C_out/groups)``.
    axes : int, str or sequence of these, optional
        The spatial axes of `x` in the order of the kernel's. The others are a batch, each item convolved with the same
        kernel, and keep their places: ``axes=-1`` filters every channel of ``(2, n)`` sound, ``axes=(0, 1)`` every
        colour of an image. Needed where `x` has more axes than the kernel and none is the `channel_axis`: by default
        all are spatial. Names of dimensions where `x` is a DataArray.
    channel_axis : int or str, optional
        The axis of `x` that is summed over, or its name. Without `axes` all others are spatial. One filter drops it
        from the result, a bank puts its filters there. To filter each channel by itself, as scikit-image does, name
        the spatial `axes` and no `channel_axis`.
    convention : {"convolution", "correlation"}, optional
        The mathematical definition, which flips the kernel, or machine learning's, which does not.
    boundary : {"constant", "edge", "reflect", "symmetric", "wrap"}, or sequence of these, optional
        What stands outside `x`, named as in `numpy.pad`, for any amount of padding: one name for all spatial axes, one
        for each, such as ``("edge", "wrap")`` for latitude and longitude, or ``((before, after), ...)`` for each axis
        and end, which are padded as if the other end had none. For a DataArray also a mapping of its dimensions' names
        to these::

            "constant"   k k k | a b c d | k k k    with k the fill value
            "edge"       a a a | a b c d | d d d
            "reflect"    d c b | a b c d | c b a
            "symmetric"  c b a | a b c d | d c b
            "wrap"       b c d | a b c d | a b c

    fill_value : scalar, optional
        What stands there under "constant", in the type of the computation.
    nan_policy : {"propagate", "raise", "omit"}, optional
        What NaN in `x` does: it reaches the outputs whose window touches it; it is an error; or it counts as missing,
        and each output is normalised by the weights of the samples that its window does have (see the notes).
    mask : array_like, optional
        What samples count for, of the shape of `x`: True where they are valid, or weights from 0 to 1. Each output is
        normalised by the weights in its window, as where NaN is omitted. A sample of weight 0 is not looked at. Not for
        work block by block, streams and arrays of dask; the plan has no `Plan.adjoint`.
    method : {"auto", "direct", "separable", "fft", "winograd"}, optional
        How it is computed; what the result means does not depend on it. "auto" takes what is estimated to be fastest.
        "separable" takes one input channel and kernels that are a short sum of outer products (the filters of a bank
        share passes), "fft" any kernel, "winograd" 3 x 3 taps, or 9 along one axis, and sums over many channels in
        float32; what they cannot do as promised in the notes they hand to "direct".
    dtype : dtype, optional
        The result's type. A floating type is computed at least at that precision; to an integer type results are
        rounded half to even and saturated (NaN becomes 0; bool is an integer from 0 to 1). Default:
        `numpy.result_type` of `x` and `kernel`; for whole numbers uint64 where that is unsigned, else int64.
    out : ndarray, optional
        Where the result goes. It may overlap `x`. Where `out` or `x` is an array of zarr, h5py or TensorStore the work
        goes block by block, as in `blockwise`.
    beta : scalar, optional
        The factor of what `out` holds: ``out = convolution + bias + beta * out``, in the working type, rounded once.
        With 0 what `out` holds is not read.
    bias : array_like, optional
        What is added to every result, one number or, for a bank of filters, one for each output channel.
    workers : int, optional
        Threads to use; by default all that the process may run on. The result does not depend on it.

    Returns
    -------
    ndarray
        ``floor((n + before + after - extent) / stride) + 1`` outputs along each spatial axis, in the memory order of
        `x`; `out` where it was given.

    Raises
    ------
    TypeError
        For arrays that are not numeric, arguments of the wrong kind, and complex results in a real type.
    ValueError
        For arguments out of range or that do not fit each other, and for NaN in `x` under ``nan_policy="raise"``.
        `out` is left as it was.

    Notes
    -----
    Floating sums run in the floating type of `numpy.result_type` of `x`, `kernel` and a floating `dtype`, float16 in
    float32, by fused multiply-adds where the processor has them; every output sums its taps in one order however the
    work is cut. Sums of whole numbers are exact, beyond 64 bits modulo 2^64 as in NumPy.

    "same" centres an even kernel on index ``(K-1)//2``, as `scipy.signal.convolve` and torch do. `scipy.ndimage`,
    `scipy.signal.correlate`, `numpy.correlate` and OpenCV centre it on ``K//2``: for ``convention="correlation"``
    that is ``padding=((K//2, (K-1)//2),)`` along an axis, for `scipy.ndimage.convolve` ``((K-1)//2, K//2)`` with the
    default convention. SciPy's boundary "reflect" is "symmetric" here and its "mirror" is "reflect".

    Resampling: with ``upsample=up, stride=down, padding="full"`` a signal becomes `scipy.signal.upfirdn` of it, with
    "same" and an odd number of taps each output stands where its sample would.

    `mask` and ``nan_policy="omit"`` are normalised convolution [1]_: with ``w`` the kernel and ``m`` the mask, or 1 for
    valid samples without one, ``sum(w * m * x) * sum(|w|) / sum(|w| * m)``, and NaN where that last sum is 0. What
    stands outside `x` under "constant" is valid; the zeros of `upsample` are no samples, and have no part in the sums.
    With a mask whole numbers are summed in double precision.

    Transposed convolution: torch's ``conv_transpose2d(x, w, stride=s, padding=p, output_padding=q, dilation=d)``, with
    ``w`` of shape ``(C_in, C_out, *K)``, is ``convnd(x, w.swapaxes(0, 1), upsample=s, dilation=d, channel_axis=1,
    axes=(2, 3), padding=((e-1-p, e-1-p+q),)*2)`` with the extent ``e = d*(K-1) + 1`` and the default convention. With
    groups the swap is of each group's filters by themselves.

    Of a dask array nothing is computed: the result is lazy, with a task for each of its chunks. An output is in the
    chunk that its window is centred on, as "same" centres it, or in the outermost; chunks without outputs are dropped.
    A task takes as many threads as no other holds, unless `workers` says how many; "auto" chooses for each chunk.

    A DataArray keeps its name, attributes and dimensions. An output has the coordinates of the sample that its window
    is centred on. Where windows are centred between samples or outside, the coordinate of the dimension is continued if
    it is evenly spaced, and what else goes along that dimension is dropped; so is what goes along channels, unless each
    is filtered by itself. A kernel that is a DataArray says by its own dimensions what `axes` are, where `x` has them.

    References
    ----------
    .. [1] H. Knutsson and C.-F. Westin, "Normalized and differential convolution", Computer Vision and Pattern
       Recognition, 1993.

    Examples
    --------
    >>> import numpy as np
    >>> from convnd import convnd
    >>> convnd([1, 2, 4, 8], [1, -1])
    array([1, 2, 4])
    >>> convnd(np.eye(3), np.ones((3, 3)), padding="same", boundary="edge")
    array([[5., 3., 1.],
           [3., 3., 3.],
           [1., 3., 5.]])

    A bank of two filters over three channels:

    >>> convnd(np.ones((3, 8, 8)), np.ones((2, 3, 5, 5)), channel_axis=0).shape
    (2, 4, 4)

    A mean of the samples that there are:

    >>> convnd([1.0, 2, np.nan, 4, 5], np.ones(3) / 3, nan_policy="omit")
    array([1.5, 3. , 4.5])
    >>> convnd([1, 2, 99, 4, 5], np.ones(3) / 3, mask=[True, True, False, True, True])
    array([1.5, 3. , 4.5])

    Three samples for each two, by straight lines between them:

    >>> convnd([0.0, 6, 6, 0, 0], np.array([1, 2, 3, 2, 1]) / 3, upsample=3, stride=2, padding="same")
    array([0., 4., 6., 6., 2., 0., 0.])

    A transposed convolution with stride 2:

    >>> x, w = np.ones((1, 3, 8, 8)), np.ones((3, 2, 4, 4))
    >>> convnd(x, w.swapaxes(0, 1), upsample=2, padding=2, channel_axis=1, axes=(2, 3)).shape
    (1, 2, 16, 16)
    """
    options = Options(
        padding, stride, dilation, upsample, groups, axes, channel_axis, convention, boundary, fill_value, nan_policy,
        mask, method, dtype, beta, bias, workers,
    )  # fmt: skip
    is_plain = type(x) is type(kernel) is np.ndarray and (out is None or type(out) is np.ndarray)
    return (convolve if is_plain else convolve_any)(x, kernel, out, options)


njit.register(convnd)


@explained
def plan(
    x: Any,
    kernel: Any,
    *,
    padding: Padding = "valid",
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    upsample: int | Sequence[int] = 1,
    groups: int = 1,
    axes: int | Sequence[int] | None = None,
    channel_axis: int | None = None,
    convention: Convention = "convolution",
    boundary: Boundary = "constant",
    fill_value: complex = 0,
    nan_policy: NanPolicy = "propagate",
    mask: ArrayLike | None = None,
    method: Method = "auto",
    dtype: DTypeLike | None = None,
    out: np.ndarray | None = None,
    beta: complex = 0,
    bias: ArrayLike | None = None,
    workers: int | None = None,
) -> Plan:
    """Choose how to convolve arrays like ``x`` with a kernel, and make the kernel ready for it.

    Parameters
    ----------
    x : array_like
        An array of the shape, the dtype and preferably the memory layout of those to come. Its samples are not read.
    kernel : array_like
        The weights.
    padding, stride, dilation, upsample, groups, axes, channel_axis, convention, boundary
        As in `convnd`.
    fill_value, nan_policy, mask, method, dtype, out, beta, bias, workers
        As in `convnd`. The plan keeps a copy of `mask`, for all arrays to come. `out` tells the result's dtype and
        memory layout; it is not written to.

    Returns
    -------
    Plan
        Called with an array, ``plan(x)`` is ``convnd(x, kernel, ...)``; printed, it says what runs and why.

    Raises
    ------
    TypeError, ValueError
        As in `convnd`.

    Examples
    --------
    >>> import numpy as np
    >>> import convnd
    >>> smooth = convnd.plan(np.empty((300, 400)), np.ones((5, 5)) / 25, padding="same")
    >>> smooth.output_shape
    (300, 400)
    >>> smooth(np.ones((300, 400)))[150, 200].round(12)
    np.float64(1.0)
    """
    options = Options(
        padding, stride, dilation, upsample, groups, axes, channel_axis, convention, boundary, fill_value, nan_policy,
        mask, method, dtype, beta, bias, workers,
    )  # fmt: skip
    request = parse(x, kernel, out, options)
    mask = None if request.mask is None else request.mask.copy(order="K")
    return Plan(request._replace(kernel=request.kernel.copy(), mask=mask))
