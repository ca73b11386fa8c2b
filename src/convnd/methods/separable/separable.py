"""The separable method, as `choose.Method` has it: whether it can, what it takes, and its plan."""

from collections.abc import Sequence
from math import prod

import numpy as np

from ...jit.parallel import team_size
from ...problem.canonical import Kernel, Problem, merged
from ...problem.request import Request
from .. import tuning
from ..direct import useful_workers
from ..tiling.costs import gather_cycles
from ..tiling.ends import Part, PartedPlan, lines_in_parts
from ..tiling.likeness import representative, with_long_lines
from ..tiling.tile_pass import TilePass
from .axis_sums import sums_of_factors
from .bank import check_separable
from .factors import Factor, Structure, structure
from .plan import Factors, SeparablePlan, cut_of, plan
from .tile import share_inside


def unsupported_reason(request: Request, problem: Problem, kernel: np.ndarray, factors: Sequence[Factor]) -> str:
    """Return why the method cannot run a problem with a kernel of such factors, or nothing where it can.

    Raises
    ------
    ValueError
        Where the user asks for the method, and the kernel is not separable.
    """
    if factors:
        return ""
    if request.method == "separable":
        check_separable(request, problem.working)
    why = "its factors are not whole numbers" if problem.exact else "its factors are complex or lose precision"
    if problem.is_upsampled:
        why = "the branches of an upsampled axis are short"
    return f"{why}: summed as it is"


@tuning.remembered(256)
def parted(problem: Problem, factors: Structure) -> tuple[tuple[Part, ...], float]:
    """Return the parts of a merged problem's lines, and their estimated cycles; none where they save no time.

    The outputs between both ends are computed from what lies in place, but for the first and the last tiles, and what
    that saves is not gathered.
    """
    *others, last = problem.axes
    gathering = prod([axis.length for axis in others]) * gather_cycles(last.length)
    parts = lines_in_parts(problem) if sums_of_factors(problem, factors)[0] is None else ()
    starting = tuning.TUNING.part_cycles * len(parts)
    if not parts or gathering <= starting:
        return (), 0
    inner = cut_of(representative(parts[0].problem), factors)
    shape = [-(-axis.outputs // tiles) for axis, tiles in zip(problem.axes, inner.tiles, strict=True)]
    saved = gathering * share_inside(parts[0].problem, shape) - starting if inner.inside else 0
    if saved <= 0:
        return (), 0
    ends = sum([cut_of(representative(own), factors).cycles for own, _ in parts[1:]])
    return (parts, inner.cycles + ends + starting) if ends < saved else ((), 0)


def _with_long_lines(problem: Problem, factors: Structure) -> tuple[Problem, Structure]:
    """Return a problem merged and with long lines, and factors along its axes."""
    own = with_long_lines(merged(problem))
    along = [tuple(sorted([own.kernel_axes[a] for a in axes])) for axes, *_ in factors]
    return own, tuple([(axes, *factor[1:]) for axes, factor in zip(along, factors, strict=True)])


@tuning.remembered(256)
def estimate(problem: Problem, factors: Structure) -> float:
    """Estimate the milliseconds of a call."""
    own, factors = _with_long_lines(problem, factors)
    like = representative(own)
    parts, cycles = parted(like, factors)
    cycles = cycles if parts else cut_of(like, factors).cycles
    workers = team_size(None, useful_workers(problem, cycles))
    return tuning.milliseconds(problem, cycles / workers, workers, 0.125, 1.15, 0.5)


def prepare(
    problem: Problem, kernel: Kernel, factors: tuple[Factor, ...], workers: int | None
) -> tuple[SeparablePlan | PartedPlan, Factors | tuple[Factors, ...]]:
    """Return the plan of a problem, and its kernel ready for it."""
    own, about = _with_long_lines(problem, kernel.of(factors, lambda: structure(factors)))
    if not (parts := parted(own, about)[0]):
        return _prepared(own, about, kernel, factors)
    plans, weights = zip(*[_prepared(part, about, kernel, factors) for part, _ in parts], strict=True)
    return PartedPlan(plans, tuple([offset for _, offset in parts])), weights


def _prepared(
    problem: Problem, about: Structure, kernel: Kernel, factors: tuple[Factor, ...]
) -> tuple[SeparablePlan, Factors]:
    own = plan(problem, about)
    key = factors, *[step.sums.packing for step in own.passes if isinstance(step, TilePass)]
    return own, kernel.of(key, lambda: own.prepare(kernel.weights, factors))
