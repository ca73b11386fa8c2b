"""What other libraries call an array is one here; what is none says why."""

import array

import numpy as np
import pytest
from PIL import Image

from convnd import Stream, blockwise, convnd, plan, window
from support.check import same

TAPS = np.array([1.0, 2, 4])
LINE = np.array([3.0, 1, 4, 1, 5])
RESULT = convnd(LINE, TAPS)


class Subclass(np.ndarray):
    """An array that must not meet the core."""

    def __array_wrap__(self, *args, **kwargs):
        raise AssertionError

    def __array_ufunc__(self, *args, **kwargs):
        raise AssertionError


class WithArray:
    """What has `__array__`, as Series and tensors do."""

    def __init__(self, values, error=None):
        self.values, self.error = values, error

    def __array__(self, dtype=None, copy=None):
        if self.error:
            raise self.error
        return self.values


class WithDLPack:
    """What has the DLPack protocol alone."""

    def __init__(self, values, error=None):
        self.values, self.error = values, error

    def __dlpack__(self, **options):
        if self.error:
            raise self.error
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


FORMS = {
    "list": list, "tuple": tuple, "memoryview": memoryview, "array": lambda x: array.array("d", x), "Array": WithArray,
    "DLPack": WithDLPack, "subclass": lambda x: x.view(Subclass), "list of arrays": lambda x: [*map(np.array, x)],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_array(form):
    x, kernel = FORMS[form](LINE), FORMS[form](TAPS)
    for result in convnd(x, kernel), plan(x, kernel)(x):
        assert type(result) is np.ndarray
        same(result, RESULT)
    made = plan(LINE, TAPS)
    same(made.adjoint(FORMS[form](RESULT)), made.adjoint(RESULT))


def test_a_picture():
    picture = np.arange(42, dtype=np.uint8).reshape(6, 7)
    same(convnd(Image.fromarray(picture), [[1, 2]]), convnd(picture, [[1, 2]]))


def test_out_of_a_class_is_returned_as_it_is():
    out = np.empty(3).view(Subclass)
    assert convnd(LINE, TAPS, out=out) is out
    same(np.asarray(out), RESULT)


@pytest.mark.parametrize("x, words", [
    (WithArray(0, RuntimeError("it requires\ngrad: detach")), "a WithArray that .*: it requires grad: detach$"),
    (WithArray(0, TypeError("no bfloat16")), "a WithArray that does not become an array: no bfloat16$"),
    (WithDLPack(LINE, BufferError("on another device")), "a WithDLPack that .*: on another device$"),
    ((i for i in range(5)), "dtype object, .*: it is a generator$"),
    ({1, 2}, "dtype object, .*: it is a set$"),
    (np.ma.array(LINE), "a mask, which would be ignored: it is a MaskedArray; fill what is masked with NaN"),
])  # fmt: skip
def test_what_is_no_array_says_why(x, words):
    for name, call in (
        ("x", lambda: convnd(x, TAPS)), ("kernel", lambda: convnd(LINE, x)), ("y", lambda: plan(LINE, TAPS).adjoint(x)),
        ("x", lambda: blockwise(x, TAPS, np.empty(3))), ("x", lambda: window(x, TAPS, np.s_[:])),
        ("x", lambda: window(LINE, TAPS, np.s_[:])(x)), ("kernel", lambda: Stream(x)),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=f"^{name} (is|has) {words}"):
            call()


def test_types_of_other_packages():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    for x, options in (LINE.astype(bfloat16), {}), (LINE, {"dtype": bfloat16}):
        with pytest.raises(TypeError, match="bfloat16, which is none of NumPy's own: convert it first"):
            convnd(x, TAPS, **options)


def test_torch():
    torch = pytest.importorskip("torch")
    x = torch.arange(12.0).reshape(3, 4)
    same(convnd(x.T, torch.ones(2, 2)).numpy(), convnd(x.numpy().T, np.ones((2, 2), np.float32)))
    for tensor, words in (
        (x.requires_grad_(), "requires grad"), (torch.ones(3, dtype=torch.bfloat16), "BFloat16"),
        (torch.ones(3, device="meta"), "meta device"), (torch.ones(3, dtype=torch.complex64).conj(), "conjugate bit"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=f"x is a Tensor that does not become an array: .*{words}"):
            convnd(tensor, TAPS)


def test_jax():
    numpy = pytest.importorskip("jax.numpy")
    found = convnd(numpy.arange(5, dtype=np.float32), numpy.ones(2, np.float32))
    same(np.asarray(found), np.float32([1, 3, 5, 7]))


def test_pandas():
    pandas = pytest.importorskip("pandas")
    same(convnd(pandas.Series(LINE, index=range(5, 10)), TAPS), RESULT)
    same(convnd(pandas.DataFrame({"a": LINE, "b": LINE}), TAPS, axes=0), np.stack([RESULT, RESULT], 1))
    with pytest.raises(TypeError, match="x has dtype object, which is not numeric: it is a Series"):
        convnd(pandas.Series(["a", "b"]), TAPS)


def test_channels_as_in_scikit_image():
    """`channel_axis` there: each channel is filtered by itself."""
    filters = pytest.importorskip("skimage.filters")
    colours = np.random.default_rng(0).random((9, 11, 3))
    line = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    kernel = np.outer(line, line) / line.sum() ** 2
    with pytest.raises(ValueError, match=r"axes=\(0, 1\) in place of channel_axis filters each channel by itself"):
        convnd(colours, kernel, channel_axis=-1)
    ours = convnd(colours, kernel, axes=(0, 1), padding="same", boundary="edge")
    theirs = filters.gaussian(colours, 1, mode="nearest", truncate=4, channel_axis=-1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
