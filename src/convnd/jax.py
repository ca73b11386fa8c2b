"""`convnd` as a function of JAX's arrays that has gradients and may be compiled by `jax.jit`."""

from functools import partial
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from .api import plan
from .interop.tensors import for_jax
from .methods.blocks import stand_in
from .problem.arguments.calls import explained
from .problem.arguments.parse import parse
from .problem.options import Options

__all__ = ["convolve"]


def _called(apply: Any, shape: tuple[int, ...], dtype: Any, *arrays: Any) -> Any:
    """Call a function of NumPy's arrays from JAX's compiled code."""
    result = jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(dtype))

    @np.errstate(all="ignore")  # results may overflow the type that JAX has
    def call(*values: Any) -> np.ndarray:
        return np.asarray(apply(*map(np.asarray, values)), result.dtype)

    return jax.pure_callback(call, result, *arrays, vmap_method="sequential")


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve(x: Any, kernel: Any, options: Options) -> Any:
    like = stand_in(x.shape, x.dtype), stand_in(kernel.shape, kernel.dtype)
    request = parse(*like, None, options)
    own = for_jax(options, request.result)._asdict()
    return _called(lambda x, kernel: plan(x, kernel, **own)(x), request.out_shape, request.result, x, kernel)


def _forward(x: Any, kernel: Any, options: Options) -> tuple[Any, tuple[Any, Any]]:
    return _convolve(x, kernel, options), (x, kernel)


def _backward(options: Options, arrays: tuple[Any, Any], y: Any) -> tuple[Any, Any]:
    """Return the cotangents, by JAX's convention: transposed, and not conjugated."""
    x, kernel = arrays

    def of_x(x: Any, kernel: Any, y: Any) -> Any:
        return _like(plan(x, kernel, **options._asdict()).adjoint(y.conj()).conj(), x)

    def of_kernel(x: Any, kernel: Any, y: Any) -> Any:
        return _like(plan(x, kernel, **options._asdict()).kernel_gradient(x, y.conj()).conj(), kernel)

    return _called(of_x, x.shape, x.dtype, x, kernel, y), _called(of_kernel, kernel.shape, kernel.dtype, x, kernel, y)


def _like(gradient: np.ndarray, argument: np.ndarray) -> np.ndarray:
    """Return a gradient in the type of its argument: a real argument's is the real part."""
    return gradient if argument.dtype.kind == "c" else gradient.real


_convolve.defvjp(_forward, _backward)


@explained
def convolve(x: Any, kernel: Any, **options: Any) -> Any:
    """Convolve an array of JAX with a kernel, as `convnd.convnd` does, with gradients by both, also under `jax.jit`.

    Compiled code calls back to convnd (`jax.pure_callback`), on the CPU. The gradient by ``x`` is the plan's
    `Plan.adjoint`, that by the kernel its `Plan.kernel_gradient`; both are differentiated once, in reverse mode.

    Parameters
    ----------
    x : jax.Array
        Samples.
    kernel : jax.Array
        The weights.
    **options
        Those of `convnd.plan` but ``out``, such as ``padding``, ``stride``, ``groups`` or ``boundary``.

    Returns
    -------
    jax.Array
        The result, in the type that `convnd.convnd` has, where JAX has it: with 64 bits switched off, as they are by
        default, it is the one of 32 bits.

    Raises
    ------
    TypeError, ValueError
        As in `convnd.convnd`.

    Examples
    --------
    >>> import jax
    >>> from jax import numpy as jnp
    >>> import convnd
    >>> def energy(x):
    ...     return (convnd.jax.convolve(x, jnp.array([1.0, -1])) ** 2).sum() / 2
    >>> jax.jit(jax.grad(energy))(jnp.array([1.0, 2, 4, 8])).tolist()
    [-1.0, -1.0, -2.0, 4.0]
    """
    given = Options(**{name: _frozen(value) for name, value in options.items()})
    return _convolve(jnp.asarray(x), jnp.asarray(kernel), given)


def _frozen(value: Any) -> Any:
    """Return an option as something that JAX can compare: sequences as tuples."""
    return tuple(_frozen(entry) for entry in value) if isinstance(value, (list, tuple)) else value
