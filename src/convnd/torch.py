"""`convnd` as a function of torch's CPU tensors that has gradients."""

from typing import Any

import torch

from .api import plan
from .problem.arguments.calls import explained

__all__ = ["convolve"]


class _Convolution(torch.autograd.Function):  # type: ignore[misc]
    """A plan as a function of ``x`` and the kernel."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, kernel: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        ctx.plan = plan(x, kernel, **options)
        ctx.save_for_backward(x, kernel)
        return torch.from_numpy(ctx.plan(x))

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, y: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, kernel = ctx.saved_tensors
        y = _plain(y)
        of_x = of_kernel = None
        if ctx.needs_input_grad[0]:
            of_x = _like(ctx.plan.adjoint(y), x)
        if ctx.needs_input_grad[1]:
            of_kernel = _like(ctx.plan.kernel_gradient(x, y), kernel)
        return of_x, of_kernel, None


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor whose memory holds its values, and not their conjugates or negatives."""
    return tensor.resolve_conj().resolve_neg()


def _like(gradient: Any, argument: torch.Tensor) -> torch.Tensor:
    """Return a gradient in the type of its argument: a real argument's is the real part."""
    found = torch.from_numpy(gradient)
    return (found.real if found.is_complex() and not argument.is_complex() else found).to(argument.dtype)


@explained
def convolve(x: torch.Tensor, kernel: torch.Tensor, **options: Any) -> torch.Tensor:
    """Convolve a CPU tensor with a kernel, as `convnd.convnd` does, with gradients by both.

    The gradient by ``x`` is the plan's `Plan.adjoint`, that by the kernel its `Plan.kernel_gradient`. Both are
    differentiated once; for complex tensors they follow torch's convention.

    Parameters
    ----------
    x : torch.Tensor
        Samples, on the CPU, in a floating or complex type where a gradient is asked for.
    kernel : torch.Tensor
        The weights.
    **options
        Those of `convnd.plan` but ``out``, such as ``padding``, ``stride``, ``groups`` or ``boundary``. torch's own
        convolutions are those of ``convention="correlation"``. None of them may require a gradient.

    Returns
    -------
    torch.Tensor
        The result.

    Raises
    ------
    TypeError, ValueError
        As in `convnd.convnd`, for tensors on another device, and where an option requires a gradient.

    Examples
    --------
    >>> import torch
    >>> import convnd
    >>> x = torch.tensor([1.0, 2, 4, 8], requires_grad=True)
    >>> y = convnd.torch.convolve(x, torch.tensor([1.0, -1]))
    >>> y.sum().backward()
    >>> y.tolist(), x.grad.tolist()
    ([1.0, 2.0, 4.0], [-1.0, 0.0, 0.0, 1.0])
    """
    for name, value in (("x", x), ("kernel", kernel)):
        if not isinstance(value, torch.Tensor):
            kind = type(value).__name__
            raise TypeError(f"{name} must be a tensor of torch, but is a {kind}: write torch.as_tensor({name})")
    for name, value in options.items():
        if isinstance(value, torch.Tensor) and value.requires_grad and torch.is_grad_enabled():
            meant = "add it to the result" if name == "bias" else f"write {name}.detach()"
            raise TypeError(f"{name} requires a gradient, but only x and kernel have one: {meant}")
    return _Convolution.apply(_plain(x), _plain(kernel), options)
