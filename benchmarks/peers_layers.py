"""Peers that compute layers of networks: a batch, channels and groups, floating results."""

import math
from importlib import import_module
from typing import Any

import numpy as np

from convnd.problem_text import Problem
from geometry import Call, affordable, channels_first, each, extents, is_upsampled, pads

__all__ = ["jax_calls", "torch_calls"]

TORCH_PADS = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}
UNFOLD_LIMIT = 2**31  # bytes; torch copies x once per tap for all types but float32


def torch_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """``torch.nn.functional.conv1d`` to ``conv3d``, ``conv_transpose1d`` to ``conv_transpose3d`` where upsampled."""
    rank, work = len(problem.kernel), np.result_type(x, kernel)
    unfolded = 0 if work == "float32" else x.size * math.prod(problem.kernel) * work.itemsize
    if rank > 3 or problem.boundary not in TORCH_PADS or unfolded > UNFOLD_LIMIT:
        return {}
    if work.kind not in "fc" or result.dtype.kind not in "fc" or not affordable(problem, result, 1e9):
        return {}
    if is_upsampled(problem):
        return _torch_transpose_calls(problem, x, kernel, result)
    import torch
    from torch.nn import functional

    samples, weights = (torch.from_numpy(array) for array in layer_arrays(problem, x, kernel))
    stride, dilation = each(problem, problem.stride), each(problem, problem.dilation)
    before = tuple(b for b, _ in pads(problem))
    in_conv = problem.boundary == "constant" and pads(problem) == tuple(zip(before, before, strict=True))
    ends = [n for pair in reversed(pads(problem)) for n in pair]
    conv = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]

    def call() -> np.ndarray:
        padded = samples.to(weights.dtype)
        if not in_conv:
            padded = functional.pad(padded, ends, TORCH_PADS[problem.boundary])
        y = conv(padded, weights, None, stride, before if in_conv else 0, dilation, problem.groups)
        return from_layer(problem, y.numpy(), result)

    return {f"torch.conv{rank}d": call}


def _torch_transpose_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """Its stride is our upsample; it convolves, so that the filters turn round, and counts its padding from "full"."""
    rank, upsample, dilation = len(problem.kernel), each(problem, problem.upsample), each(problem, problem.dilation)
    padding = tuple(e - 1 - before for e, (before, _) in zip(extents(problem), pads(problem), strict=True))
    more = tuple(after - before for before, after in pads(problem))
    known = min(padding) >= 0 and all(0 <= q < max(u, d) for q, u, d in zip(more, upsample, dilation, strict=True))
    if problem.boundary != "constant" or max(problem.stride) > 1 or not known:
        return {}
    import torch
    from torch.nn import functional

    samples, weights = layer_arrays(problem, x, kernel)
    grouped = np.flip(weights, tuple(range(2, weights.ndim))).reshape(problem.groups, -1, *weights.shape[1:])
    swapped = grouped.swapaxes(1, 2).reshape(-1, grouped.shape[1], *problem.kernel)
    tensors = torch.from_numpy(samples), torch.from_numpy(np.ascontiguousarray(swapped))
    transpose = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[rank - 1]

    def call() -> np.ndarray:
        signals, filters = tensors
        y = transpose(signals.to(filters.dtype), filters, None, upsample, padding, more, problem.groups, dilation)
        return from_layer(problem, y.numpy(), result)

    return {f"torch.conv_transpose{rank}d": call}


def jax_calls(problem: Problem, x: np.ndarray, kernel: np.ndarray, result: np.ndarray) -> dict[str, Call]:
    """``jax.lax.conv_general_dilated``, compiled by ``jax.jit``: any rank."""
    rank, work = len(problem.kernel), np.result_type(x, kernel)
    if work.kind not in "fc" or result.dtype.kind not in "fc" or problem.dtype == "float16":
        return {}
    constant = problem.boundary == "constant"
    rate = 6e7 if rank == 3 and work == "float32" else 1e9
    if not affordable(problem, result, rate / math.prod(each(problem, problem.upsample))):  # it multiplies the zeros
        return {}
    if is_upsampled(problem) and not constant:
        return {}
    jax = import_module("jax")
    jax.config.update("jax_enable_x64", True)

    def layer(samples: Any, weights: Any) -> Any:
        samples = samples.astype(weights.dtype)
        if not constant:
            samples = jax.numpy.pad(samples, ((0, 0), (0, 0), *pads(problem)), problem.boundary)
        return jax.lax.conv_general_dilated(
            samples,
            weights,
            window_strides=each(problem, problem.stride),
            padding=pads(problem) if constant else "VALID",
            lhs_dilation=each(problem, problem.upsample),
            rhs_dilation=each(problem, problem.dilation),
            feature_group_count=problem.groups,
        )

    conv = jax.jit(layer)
    arrays = [jax.device_put(array) for array in layer_arrays(problem, x, kernel)]
    return {"jax.lax.conv": lambda: from_layer(problem, np.asarray(conv(*arrays).block_until_ready()), result)}


def layer_arrays(problem: Problem, x: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x as (items, channels, ...) and the kernel as (filters, channels of a group, ...), as correlation reads it."""
    spatial = [x.shape[axis] for axis in problem.spatial]
    samples = x.transpose(_order(problem)).reshape(-1, problem.channels, *spatial)
    if problem.channel_axis is None:
        bank = kernel[None, None]
    elif channels_first(problem):
        bank = kernel if problem.filters else kernel[None]
    else:
        bank = np.moveaxis(kernel, (-1, -2), (0, 1)) if problem.filters else np.moveaxis(kernel, -1, 0)[None]
    if problem.convention == "convolution":
        bank = np.flip(bank, tuple(range(2, bank.ndim)))
    return samples, bank.astype(np.result_type(x, kernel), order="C")


def from_layer(problem: Problem, y: np.ndarray, result: np.ndarray) -> np.ndarray:
    """Give a layer's (items, filters, ...) the axes of our result."""
    channel = problem.channel_axis
    items = [problem.shape[axis] for axis in _batch(problem)]
    y = y.reshape(*items, *y.shape[1 if channel is not None else 2 :])
    y = y.transpose(np.argsort(_order(problem)))
    if channel is not None and not problem.filters:
        y = y.take(0, axis=channel)
    return y.astype(result.dtype, copy=False)


def _batch(problem: Problem) -> list[int]:
    return [a for a in range(len(problem.shape)) if a != problem.channel_axis and a not in problem.spatial]


def _order(problem: Problem) -> list[int]:
    """The axes of x in the order of a layer: items, channels, spatial ones."""
    channel = problem.channel_axis
    return [*_batch(problem), *([] if channel is None else [channel]), *problem.spatial]
