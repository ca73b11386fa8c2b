"""The problem that each pass of factors is, from the window of a tile on."""

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from ...problem.axis import Axis
from ...problem.canonical import Levels, Problem
from ..tiling.taps import Window
from .factors import Structure


def _groups_of(problem: Problem, last: bool) -> Levels:
    """Return the groups of the last pass' output channels; of those before, all in one place."""
    groups = problem.out_channel_steps[:-1]
    return groups if last else tuple((count, 0) for count, _ in groups)


def passes_of(problem: Problem, shape: Sequence[int], windows: Sequence[Window], factors: Structure) -> list[Problem]:
    """Return the problem that each pass is, from the window of a tile on."""
    item = np.dtype(problem.working).itemsize
    lengths_of = {-1: [own.length for own in windows]}
    passes = []
    for p, (along, terms, before, _, (source, _), channel) in enumerate(factors):
        axes = [
            replace(axis, length=axis.stride * (n - 1) + axis.extent, before=0, after=0, unit=1)
            if a in along
            else Axis(length)
            for a, (axis, n, length) in enumerate(zip(problem.axes, shape, lengths_of[source], strict=True))
        ]
        lengths = lengths_of[p] = [axis.outputs for axis in axes]
        last = channel >= 0
        native = np.dtype(problem.working).str
        steps = [item * prod(lengths[a + 1 :]) for a in range(len(lengths))]
        passes.append(replace(
            problem, axes=tuple(axes), x_steps=problem.x_steps if p == 0 else (0,) * len(axes),
            out_steps=problem.out_steps if last else tuple(steps), in_channels=before, out_channels=terms,
            x_channel_steps=(*problem.x_channel_steps[:-1], (before, 0)) if p == 0 else ((before, 0),),
            out_channel_steps=(*_groups_of(problem, last), (terms, 0 if last else item * prod(lengths))),
            accumulated=problem.accumulated if last else problem.working, result=problem.result if last else native,
            nan=problem.nan if last else "kept", scaled_in=problem.scaled_in if last else "",
        ))  # fmt: skip
    return passes
