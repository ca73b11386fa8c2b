"""What to write where the axes of a kernel do not fit those of ``x``: the calls that users of other libraries mean."""

import numpy as np

_MOST_COLOURS = 4  # samples of a last axis that an error takes for those of a pixel


def ranks_differ(x: np.ndarray, kernel: np.ndarray) -> ValueError:
    """Return the error about a kernel of another rank than ``x``, where nothing says what the axes of ``x`` are."""
    rank = kernel.ndim
    bank, filters = as_bank(x, kernel), f"for a bank of {kernel.shape[0] if rank else 0} filters"
    if rank < x.ndim:
        axes = tuple(range(-rank, 0))
        if x.shape[-1] <= _MOST_COLOURS < max(x.shape):  # or for the channels of sound, as files have them
            axes = tuple(range(x.ndim - 1 - rank, x.ndim - 1))
        named = axes[0] if rank == 1 else axes
        meant = f"write axes={named} if the others are a batch, or channel_axis=... to sum over one of them"
        if rank == 1:  # kernels.gaussian(2), meant for an image
            meant += f", or make the kernel by convnd.kernels with ndim={x.ndim}"
    elif bank:
        meant = f"write {bank} for a bank of filters, (C_out, C_in/groups, *K) or (*K, C_in/groups, C_out)"
    elif rank == x.ndim + 1 > 1:
        meant = f"write convnd(x[None], kernel[:, None], channel_axis=0) {filters}"
    elif rank == x.ndim + 2 > 2 and kernel.shape[1] == 1:
        meant = f"write convnd(x[None], kernel, channel_axis=0) {filters}"
    else:
        meant = f"x needs {rank - x.ndim} more, as x[None] gives it one"
    return ValueError(f"kernel has {rank} axes but x has {x.ndim}, of shape {x.shape}: {meant}")


def as_bank(x: np.ndarray, kernel: np.ndarray, spatial: tuple[int, ...] | None = None) -> str:
    """Return the arguments by which a kernel is a bank of filters over channels of ``x``, or "" where there are none.

    ``spatial`` are the axes that the user named.
    """
    rank, along = x.ndim, kernel.ndim - 2
    if along < 1:
        return ""
    if spatial is None:
        layouts = [(rank - along - 1, (*range(rank - along, rank),)), (rank - 1, (*range(rank - along - 1, rank - 1),))]
    else:
        layouts = [(a, spatial) for a in range(rank) if a not in spatial and len(spatial) == along]
    for channel, axes in layouts:
        within = kernel.shape[1 if channel < min(axes) else -2]
        if min(channel, *axes) >= 0 and x.shape[channel] == within:
            return f"channel_axis={channel}" if along == rank - 1 else f"channel_axis={channel}, axes={axes}"
    return ""


def axes_differ(x: np.ndarray, kernel: np.ndarray, spatial: tuple[int, ...]) -> ValueError:
    """Return the error about ``axes`` of another number than a kernel has."""
    rule = f"kernel has {kernel.ndim} axes but axes names {len(spatial)}: {spatial}"
    bank = as_bank(x, kernel, spatial)
    if bank:
        return ValueError(f"{rule}; write {bank} for a bank of filters")
    for a in range(x.ndim) if kernel.ndim == len(spatial) + 1 else ():
        first = bool(spatial) and a < min(spatial)
        if a not in spatial and x.shape[a] == kernel.shape[0 if first else -1]:
            call = f"convnd(x, {each(first)}, axes={spatial}, channel_axis={a}, groups={x.shape[a]})"
            return ValueError(f"{rule}; write {call} for an own kernel of each item of axis {a}")
    return ValueError(rule)


def each(first: bool) -> str:
    """Return how to write kernels side by side as a bank of filters over one channel each."""
    return "kernel[:, None]" if first else "kernel[..., None, :]"
