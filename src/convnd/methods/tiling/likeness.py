"""The problem that a layout is found for: turned so that lines are long, and one for all that are cut alike.

What is found for it is remembered, and holds for lengths not seen before. It is a function of the problem alone, so
that no choice depends on which lengths came first.
"""

from dataclasses import replace
from functools import lru_cache
from math import gcd
from typing import Any

from ...jit.gather import SHORT
from ...problem.axis import Axis
from ...problem.boundary import FILLED
from ...problem.canonical import Levels, Problem, merged, reordered
from .ways import lanes_of

_EXACT = 32  # outputs of an axis, up to which each number is told apart; beyond are four for each power of two
_LARGE = 2**21  # outputs, beyond which a problem stands for itself: its call takes far longer than to look at it
_FAR = 4096  # bytes from a sample to the next, beyond which each costs a page
_LONG_LINE = 4  # vectors of an axis that takes the place of a short last one, where there is one so long
_FEW_CHANNELS = 4  # channels that are worth vectors of so many lanes
_SHORT_LINE = 4  # such vectors of a line of channels that are apart, below which bringing them together pays
_FEW_ROWS = 2  # of a register tile across channels: it waits for weights, which each row could use


def channels_in_lanes(problem: Problem) -> Problem:
    """Return a merged problem whose groups are of as many channels as a vector has lanes, where each was of one.

    Where the channels of x are apart, only short lines are worth bringing together, and those of a stride.
    """
    if problem.in_channels > 1 or problem.out_channels > 1 or problem.pattern or not problem.reads_native:
        return problem
    (groups, step), last = problem.x_channel_steps[-2], problem.axes[-1]
    together = gcd(groups, lanes_of(problem.working))
    is_dense = (last.stride, last.dilation) == (last.phase_count, 1)
    is_filled = last.boundary == FILLED or (last.before <= 0 and last.after <= 0)
    is_line = problem.x_steps[-1] == problem.stored_bytes
    is_read_at_once = is_line and is_dense and is_filled and len(problem.axes) > 1
    is_short = last.stride * (last.outputs - 1) + last.extent <= SHORT
    pays = last.stride > 1 or last.outputs < _SHORT_LINE * together
    is_frame = step == problem.stored_bytes and not is_line
    if together < _FEW_CHANNELS or not (is_frame or (is_read_at_once and is_short and pays)):
        return problem
    return replace(problem, groups=problem.groups // together, out_channels=together, depthwise=True)


@lru_cache(maxsize=256)
def turned(problem: Problem) -> Problem:
    """Return a problem for direct sums: merged, with channels in lanes or with long lines."""
    problem = channels_in_lanes(merged(problem))
    is_across = problem.branch_channels >= lanes_of(problem.working) and problem.axes[-1].outputs > _FEW_ROWS
    return problem if problem.depthwise or is_across else with_long_lines(problem)


@lru_cache(maxsize=256)
def with_long_lines(problem: Problem) -> Problem:
    """Return a merged problem whose last axis, along which vectors lie or rows, has outputs for more than one.

    The nearest axis of memory with long lines takes the place of a short one, or the longest, of the kernel or of a
    batch.
    """
    lanes, last = lanes_of(problem.working), len(problem.axes) - 1
    sizes = [axis.outputs for axis in problem.axes]
    near = [
        a
        for a in range(last)
        # The samples of lines that lie beside each other come from memory once, those of lines far apart again.
        if sizes[last] <= (lanes if a == last - 1 else lanes // 2)
        and sizes[a] >= 2 * sizes[last]
        and abs(problem.x_steps[a]) <= _FAR
    ]
    if not near:
        return problem
    line = max(near, key=lambda a: (min(sizes[a], _LONG_LINE * lanes), a))
    return reordered(problem, [a for a in range(last + 1) if a != line] + [line])


class _Alike(Problem):
    """A problem that is made once, so that it equals itself alone: looking for it takes no time."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


def rounded(outputs: int) -> int:
    """Return the least number that stands for others and is not below ``outputs``."""
    if outputs <= _EXACT:
        return outputs
    shift = (outputs - 1).bit_length() - 3
    return -(-outputs >> shift) << shift


@lru_cache(maxsize=256)
def representative(problem: Problem) -> Problem:
    """Return the problem that stands for those whose axes have about as many outputs.

    A large one stands for itself. Memory is contiguous where theirs is. Other steps that are far are all the same.
    """
    if problem.outputs > _LARGE or not (problem.axes and problem.reads_near):
        return problem
    axes, x_inside, out_inside, x_like, out_like = [], 0, 0, 0, 0  # bytes that the axes inside take
    for axis, x_step, out_step in zip(problem.axes[::-1], problem.x_steps[::-1], problem.out_steps[::-1], strict=True):
        outputs, length, branches = axis.outputs, axis.length, axis.branches
        if (like := rounded(outputs)) > outputs:
            length = axis.stride * (like - 1) + axis.extent - axis.before - axis.after
            branches = branches and tuple([branch._replace(outputs=like) for branch in branches])
        x_like = x_like if x_step == x_inside else _near(x_step)
        out_like = out_like if out_step == out_inside else _near(out_step)
        about = (
            length, axis.taps, axis.stride, axis.dilation, axis.before, axis.after, axis.unit, 1, branches,
            axis.spread, axis.boundary,
        )  # fmt: skip
        axes.append((about, x_like, out_like))
        x_inside, out_inside = axis.length * x_step, outputs * out_step
        x_like, out_like = length * x_like, like * out_like
    return _made(
        tuple(axes), problem.groups, problem.in_channels, problem.out_channels, _levels(problem.x_channel_steps),
        _levels(problem.out_channel_steps), problem.fills_zeros, problem.stored, problem.working, problem.accumulated,
        problem.result, problem.exact, problem.nan, problem.updates, problem.kernel_order, problem.pattern,
        problem.depthwise, problem.scaled_in,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _made(along: tuple[Any, ...], *others: Any) -> Problem:
    about, x_steps, out_steps = zip(*reversed(along), strict=True)
    return _Alike(tuple([Axis(*own) for own in about]), x_steps, out_steps, *others)


def _levels(levels: Levels) -> Levels:
    return tuple([(count, _near(step)) for count, step in levels])


def _near(step: int) -> int:
    return step if -_FAR <= step <= _FAR else _FAR + 1 if step > 0 else -_FAR - 1
