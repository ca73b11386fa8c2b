"""Tensors of torch and arrays of JAX: what they become, and their gradients beside those of the libraries' own."""

import pydoc
import sys

import numpy as np
import pytest

import convnd
from support.check import integers, reals

#: The options of torch's convolutions, as shapes: x, bank, then torch's own arguments and the boundary.
LAYERS = {
    "1-D": ((2, 3, 17), (4, 3, 5), {}),
    "1-D strided": ((2, 4, 19), (6, 2, 3), {"stride": 2, "padding": 2, "groups": 2, "dilation": 2}),
    "2-D": ((2, 3, 9, 8), (5, 3, 3, 2), {"stride": (2, 1), "padding": (1, 2)}),
    "2-D depthwise": ((1, 4, 9, 9), (8, 1, 3, 3), {"groups": 4, "dilation": (1, 2), "padding": 2}),
    "2-D same": ((1, 2, 7, 8), (2, 2, 4, 3), {"padding": "same"}),
    "3-D": ((1, 2, 6, 5, 7), (3, 2, 2, 3, 2), {"stride": (1, 2, 2), "padding": (1, 0, 2), "dilation": (2, 1, 1)}),
}
MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def ours(rank, options):
    return {
        **options, "axes": (*range(2, 2 + rank),), "channel_axis": 1, "convention": "correlation", "method": "direct",
    }  # fmt: skip


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_help_works_without_the_library(library, monkeypatch):
    monkeypatch.delitem(sys.modules, f"convnd.{library}", raising=False)
    monkeypatch.setitem(sys.modules, library, None)  # its import fails
    monkeypatch.delattr(convnd, library, raising=False)
    with pytest.raises(AttributeError, match=f"convnd.{library} needs what cannot be imported"):
        getattr(convnd, library)
    assert "warmup(" in pydoc.render_doc(convnd, renderer=pydoc.plaintext)


class TestTorch:
    @pytest.fixture(autouse=True)
    def library(self):
        self.torch = pytest.importorskip("torch")

    @pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", "complex64"])
    def test_a_tensor_gives_a_tensor(self, dtype):
        x, kernel = integers((6, 7), dtype), integers((3, 2), dtype, seed=1)
        found = convnd.convnd(self.torch.from_numpy(x), kernel, padding="same")
        assert isinstance(found, self.torch.Tensor)
        expected = convnd.convnd(x, kernel, padding="same")
        assert found.numpy().dtype == expected.dtype
        assert (found.numpy() == expected).all()

    def test_out_is_written(self):
        x, out = self.torch.arange(6.0), self.torch.zeros(5)
        assert convnd.convnd(x, [1.0, 1], out=out, dtype="float32") is out
        assert out.tolist() == [1, 3, 5, 7, 9]

    def test_a_tensor_with_a_gradient_is_refused(self):
        x = self.torch.ones(4, requires_grad=True)
        with pytest.raises(TypeError, match=r"requires grad"):
            convnd.convnd(x, [1.0, 1])

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("layer", LAYERS)
    def test_gradients_are_those_of_torchs_convolutions(self, layer, mode):
        shape, bank, options = LAYERS[layer]
        rank, torch = len(shape) - 2, self.torch
        x = torch.from_numpy(integers(shape, np.float64)).requires_grad_()
        kernel = torch.from_numpy(integers(bank, np.float64, 1)).requires_grad_()
        own = getattr(torch.nn, f"Conv{rank}d")(
            shape[1], bank[0], bank[2:], bias=False, padding_mode=mode, dtype=torch.float64, **options
        )
        own.weight.data = kernel.detach().clone()
        beside = x.detach().clone().requires_grad_()
        expected = own(beside)
        found = convnd.torch.convolve(x, kernel, boundary=MODES[mode], **ours(rank, options))
        assert (found == expected).all()
        y = torch.from_numpy(integers(expected.shape, np.float64, 2))
        found.backward(y)
        expected.backward(y)
        assert (x.grad == beside.grad).all()
        assert (kernel.grad == own.weight.grad).all()

    @pytest.mark.parametrize("dtype", ["float64", "complex128"])
    def test_gradcheck(self, dtype):
        x = self.torch.from_numpy(reals((2, 6, 7), dtype)).requires_grad_()
        kernel = self.torch.from_numpy(reals((3, 2), dtype, 1)).requires_grad_()
        for options in ({"boundary": "symmetric", "padding": 3}, {"stride": 2, "upsample": 3, "padding": "same"}):
            assert self.torch.autograd.gradcheck(
                lambda x, kernel, options=options: convnd.torch.convolve(x, kernel, axes=(1, 2), **options), (x, kernel)
            )

    def test_a_real_argument_beside_a_complex_one(self):
        x = self.torch.from_numpy(reals((9,), np.float64)).requires_grad_()
        kernel = self.torch.from_numpy(reals((4,), np.complex128, 1)).requires_grad_()
        assert self.torch.autograd.gradcheck(convnd.torch.convolve, (x, kernel))

    def test_half_precision_keeps_its_type(self):
        x = self.torch.ones(8, dtype=self.torch.float16, requires_grad=True)
        kernel = self.torch.ones(3, dtype=self.torch.float16, requires_grad=True)
        convnd.torch.convolve(x, kernel).sum().backward()
        assert x.grad.dtype == kernel.grad.dtype == self.torch.float16
        assert x.grad.tolist() == [1, 2, 3, 3, 3, 3, 2, 1]

    def test_tensors_that_hold_conjugates_and_negatives(self):
        torch = self.torch
        z = torch.tensor([1 + 2j, 3 + 4j]).conj()
        assert convnd.torch.convolve(z.imag, z.imag[:1]).tolist() == [4, 8]
        x = torch.ones(2, requires_grad=True)
        y = convnd.torch.convolve(x, torch.tensor([3.0]))
        (torch.complex(y, y).conj() * 1j).real.sum().backward()  # whose gradient is a negative
        assert x.grad.tolist() == [3, 3]

    def test_options_that_would_lose_their_gradients(self):
        torch = self.torch
        x, kernel, bias = torch.ones(4), torch.ones(2), torch.tensor(1.0, requires_grad=True)
        with pytest.raises(TypeError, match=r"bias requires a gradient, .*: add it to the result"):
            convnd.torch.convolve(x, kernel, bias=bias)
        with pytest.raises(TypeError, match=r"mask requires a gradient, .*: write mask.detach\(\)"):
            convnd.torch.convolve(x, kernel, mask=torch.ones(4, requires_grad=True))
        with torch.no_grad():
            assert convnd.torch.convolve(x, kernel, bias=bias).tolist() == [3, 3, 3]

    def test_errors(self):
        x, kernel = self.torch.ones(4), np.ones(2, "f4")
        with pytest.raises(TypeError, match=r"kernel must be a tensor of torch, but is a ndarray"):
            convnd.torch.convolve(x, kernel)
        with pytest.raises(TypeError, match=r"convolve\(\) has no argument 'out': the result is a new array"):
            convnd.torch.convolve(x, self.torch.ones(2), out=kernel)


class TestJax:
    @pytest.fixture(autouse=True)
    def library(self):
        self.jax = jax = pytest.importorskip("jax")
        wide = jax.config.jax_enable_x64
        jax.config.update("jax_enable_x64", False)  # as it is by default; other tests switch it on
        yield
        jax.config.update("jax_enable_x64", wide)

    def test_an_array_gives_an_array(self):
        x, kernel = integers((6, 7), np.float32), integers((3, 2), np.float32, seed=1)
        found = convnd.convnd(self.jax.numpy.asarray(x), kernel, padding="same")
        assert isinstance(found, self.jax.Array)
        assert (np.asarray(found) == convnd.convnd(x, kernel, padding="same")).all()

    @pytest.mark.parametrize("dtype, asked", [("int32", None), ("int32", "int64"), ("float32", "int64")])
    def test_whole_numbers_saturate_in_the_32_bits_that_jax_has(self, dtype, asked):
        x, kernel = self.jax.numpy.full(5, 2**30, dtype), np.array([3, 3], dtype)
        jitted = self.jax.jit(convnd.jax.convolve, static_argnames="dtype")
        for convolve in (convnd.convnd, convnd.jax.convolve, jitted):
            found = convolve(x, kernel, dtype=asked)
            assert found.dtype == "int32"
            assert found.tolist() == [2**31 - 1] * 4

    def test_a_floating_type_is_how_precisely_to_compute(self):
        x, kernel = self.jax.numpy.asarray([1, 2.0**-30, 1], "f4"), np.array([1, 1, -1], "f4")
        for convolve in (convnd.convnd, convnd.jax.convolve):
            found = convolve(x, kernel, convention="correlation", dtype=np.float64)
            assert found.dtype == "float32"
            assert found.tolist() == [2.0**-30]
            assert convolve(3e38 * x, 3e38 * kernel[:1], dtype=np.float64).tolist() == [np.inf, np.inf, np.inf]

    def test_out_has_its_own_type(self):
        out = np.zeros(4, np.int64)
        assert convnd.convnd(self.jax.numpy.full(5, 2**30, "int32"), np.array([3, 3]), out=out) is out
        assert out.tolist() == [6 * 2**30] * 4

    @pytest.mark.parametrize("dtype", ["float32", pytest.param("complex64", marks=pytest.mark.slow)])
    @pytest.mark.parametrize("layer", LAYERS)
    def test_gradients_are_those_of_jaxs_convolutions(self, layer, dtype):
        jax, (shape, bank, options) = self.jax, LAYERS[layer]
        rank = len(shape) - 2
        x, kernel = integers(shape, dtype, largest=3), integers(bank, dtype, 1, largest=3)
        padding = options.get("padding", 0)
        each = [(p, p) for p in np.broadcast_to(padding, rank).tolist()] if padding != "same" else "SAME"

        def theirs(x, kernel):
            return jax.lax.conv_general_dilated(
                x, kernel, tuple(np.broadcast_to(options.get("stride", 1), rank).tolist()), each,
                rhs_dilation=tuple(np.broadcast_to(options.get("dilation", 1), rank).tolist()),
                feature_group_count=options.get("groups", 1),
            )  # fmt: skip

        def own(x, kernel):
            return convnd.jax.convolve(x, kernel, **ours(rank, options))

        expected, theirs_back = jax.vjp(theirs, x, kernel)
        found, own_back = jax.vjp(jax.jit(own), x, kernel)
        assert found.dtype == expected.dtype
        assert (found == expected).all()
        y = jax.numpy.asarray(integers(expected.shape, dtype, 2, largest=3))
        for mine, other in zip(own_back(y), theirs_back(y)):
            assert (mine == other).all()

    def test_a_batch_by_vmap(self):
        x, kernel = integers((4, 9), np.float32), integers(3, np.float32, 1)
        found = self.jax.vmap(lambda line: convnd.jax.convolve(line, kernel, padding="same"))(x)
        assert (np.asarray(found) == convnd.convnd(x, kernel, axes=-1, padding="same")).all()

    def test_an_unknown_option_says_what_there_is(self):
        with pytest.raises(TypeError, match="boundary="):
            convnd.jax.convolve(np.ones(4, "f4"), np.ones(2, "f4"), mode="nearest")
        with pytest.raises(TypeError, match=r"convolve\(\) has no argument 'out': the result is a new array"):
            convnd.jax.convolve(np.ones(4, "f4"), np.ones(2, "f4"), out=np.ones(3, "f4"))
