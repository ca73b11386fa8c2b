"""What will run and why: the choice of a method.

The choice is a pure function of the problem, of the factors found in its kernel, and of constants that were measured
once (`tuning.TUNING` and those of the cost models), and can be read: ``print(plan)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import log2, prod
from typing import Any

import numpy as np

from ..jit.threads import team_size
from ..problem.canonical import Constants, Problem, canonical_kernel, constants, merged
from ..problem.dtypes import largest
from ..problem.request import Request
from . import boxes, direct, separable, spectral, windows, winograd
from .costs import best
from .factors import Factor, as_magnitudes, factored, is_short
from .single import Single, single

#: Cycles in a millisecond of the machine that the cost models and what follows were fitted to, by
#: ``benchmarks/choice.py`` (AMD Zen 5 at 3.7 GHz, 2 cores with AVX-512).
_CYCLES_PER_MS = 3.7e6
#: Milliseconds of a call beside its tasks; the time of an estimated cycle in theirs; and how much of the time in which
#: memory carries x and the result does not pass behind them.
_FITTED = {
    "direct": (0.12, 1.15, 0.35),
    "separable": (0.15, 1.15, 0.6),
    "fft": (0.15, 1.2, 0.7),
    "winograd": (0.18, 1.0, 0.35),
}
_BYTES_PER_MS = 3.0e7
#: Share of the next best's estimated time that Winograd's method may take: its rounding errors are larger.
_CLEARLY = 0.85
#: Estimated milliseconds of direct summation below which looking for another way costs more than it brings.
_LOOKING_MS = 0.14
#: Milliseconds of looking for factors, for each weight, and the share of the call that this may be.
_FACTORING_MS, _FACTORING_SHARE = 1.5e-5, 0.05
_MOST_TERMS = 4  #: of a sum of outer products that auto looks for
_CACHED_WEIGHTS = 2**15  #: of a kernel whose factors are remembered
_PASS_ERROR = 3.5  #: roundings of a pass of a transform, after Higham (2002), "Accuracy and Stability", theorem 24.2


@dataclass(frozen=True)
class Choice:
    """A method for a problem.

    Parameters
    ----------
    method : str
        "direct", "separable", "fft" or "winograd".
    why : str
        The reason in a few words.
    estimates : dict
        Estimated milliseconds of each method that was considered.
    factors : tuple of Factor
        The kernel's factors, for the separable method.
    """

    method: str
    why: str
    estimates: dict[str, float] = field(default_factory=dict)
    factors: tuple[Factor, ...] = ()


def choose(request: Request, problem: Problem, kernel: np.ndarray) -> Choice:
    """Choose the method: the one named, or the fastest that keeps what is promised.

    Parameters
    ----------
    request : Request
        What the user asks for.
    problem : Problem
        Its canonical form.
    kernel : ndarray
        Its canonical kernel.
    """
    choice = settled(request.method, problem)
    if choice is not None:
        return choice
    if request.method == "separable":
        return _separable_as_asked(request, problem, kernel)
    if request.method == "winograd":
        if why_not := boxes.why_not(boxes.prepared(problem)):
            return Choice("direct", why_not, {"direct": direct_ms(problem)})
        return Choice("winograd", "as asked", {"winograd": winograd_ms(problem)})
    why_not = _no_spectra(request, problem, kernel)
    if request.method == "fft":
        if why_not:
            return Choice("direct", why_not, {"direct": direct_ms(problem)})
        return Choice("fft", "as asked", {"fft": spectral_ms(problem)})
    choice, looks = _least(problem, why_not, ())
    factors = _factors(request, problem, kernel, _MOST_TERMS) if looks else None
    if factors and _taps(factors) < kernel.size:
        choice, _ = _least(problem, why_not, separable.structure(factors))
    return replace(choice, factors=tuple(factors)) if factors and choice.method == "separable" else choice


@lru_cache(maxsize=256)
def settled(method: str, problem: Problem) -> Choice | None:
    """Return the choice where the kernel's weights have no say in it, else None."""
    if method not in ("auto", "direct"):
        return None
    estimates = {"direct": direct_ms(problem)}
    if method == "direct":
        return Choice("direct", "as asked", estimates)
    if estimates["direct"] < _LOOKING_MS:
        return Choice("direct", "too little work to look further", estimates)
    return None


@lru_cache(maxsize=256)
def _least(problem: Problem, why_not: str, factors: separable.Structure) -> tuple[Choice, bool]:
    """Return the method of least estimated time, and whether it takes so long that factors are worth looking for.

    ``why_not`` is the reason against Fourier transforms, if any; ``factors`` what is known of the kernel's, if
    anything.
    """
    estimates = {"direct": direct_ms(problem)}
    if not why_not:
        estimates["fft"] = spectral_ms(problem)
    if factors:
        estimates["separable"] = separable_ms(problem, factors)
    method = min(estimates, key=estimates.__getitem__)
    if not boxes.why_not(boxes.prepared(problem)):
        estimates["winograd"] = winograd_ms(problem)
        if estimates["winograd"] < _CLEARLY * estimates[method]:
            method = "winograd"
    why = "least estimated time" if len(estimates) > 1 else why_not
    weights = windows.filters(problem) * problem.taps
    looks = weights <= _CACHED_WEIGHTS or _FACTORING_MS * weights < _FACTORING_SHARE * estimates[method]
    return Choice(method, why, estimates), looks


def direct_ms(problem: Problem) -> float:
    """Estimate the time of the direct method."""
    _, cycles = best(merged(problem))
    return _milliseconds("direct", problem, cycles / team_size(None, direct.useful_workers(problem, cycles)))


def separable_ms(problem: Problem, factors: separable.Structure) -> float:
    """Estimate the time of the separable method."""
    plan = separable.plan(merged(problem), factors)
    return _milliseconds("separable", problem, plan.cycles / team_size(None, plan.workers))


def spectral_ms(problem: Problem) -> float:
    """Estimate the time of the FFT method."""
    return _milliseconds("fft", problem, _spectral_cycles(windows.prepared(problem)))


@lru_cache(maxsize=256)
def _spectral_cycles(problem: Problem) -> float:
    layout = windows.best(problem)
    assert layout is not None
    return windows.elapsed(problem, layout, batch=True)


def winograd_ms(problem: Problem) -> float:
    """Estimate the time of Winograd's method."""
    return _milliseconds("winograd", problem, boxes.best(boxes.prepared(problem))[1])


def _milliseconds(method: str, problem: Problem, cycles: float) -> float:
    call, times, share = _FITTED[method]
    samples = problem.groups * problem.in_channels * prod(axis.length for axis in problem.axes)
    moved = samples * problem.stored_bytes + problem.outputs * np.dtype(problem.result).itemsize
    return call + times * cycles / _CYCLES_PER_MS + share * moved / _BYTES_PER_MS


def _separable_as_asked(request: Request, problem: Problem, kernel: np.ndarray) -> Choice:
    factors = _factors(request, problem, kernel, max(request.kernel.shape, default=1))
    if factors:
        structure = separable.structure(factors)
        return Choice("separable", "as asked", {"separable": separable_ms(problem, structure)}, tuple(factors))
    finite = np.isfinite(request.kernel).all() and not problem.normalises
    if finite and not is_short(request.kernel.astype(np.complex128), _epsilon(problem.working)):
        raise ValueError(
            f"method 'separable' needs a kernel that is a short sum of outer products, but the kernel of shape "
            f"{request.kernel.shape} is none within the rounding of {problem.working}"
        )
    why = "its factors are not whole numbers" if problem.exact else "its factors are complex or lose precision"
    if problem.is_upsampled:
        why = "the branches of an upsampled axis are short"
    return Choice("direct", f"{why}: summed as it is", {"direct": direct_ms(problem)})


def _epsilon(working: str) -> float:
    """Return the residual of factors that is rounding: of the working type, and of a kernel that was made in it."""
    return 2 * float(np.finfo(working if working != "int64" else "float64").eps)


def _factors(request: Request, problem: Problem, kernel: np.ndarray, most_terms: int) -> list[Factor] | None:
    """Return the kernel's factors along the axes of the merged problem, or None."""
    if problem.is_upsampled or request.channel_axis is not None or request.kernel.dtype.kind == "c":
        return None
    weights = kernel.reshape([axis.taps for axis in merged(problem).axes])
    if kernel.size > _CACHED_WEIGHTS:
        found = factored(weights, problem.exact, _epsilon(problem.working), most_terms)
    else:
        found = _cached_factors(weights.tobytes(), weights.shape, problem.working, problem.exact, most_terms)
    return found if found is None or not problem.normalises else as_magnitudes(found, weights)


@lru_cache(maxsize=32)
def _cached_factors(
    weights: bytes, shape: tuple[int, ...], working: str, exact: bool, most_terms: int
) -> list[Factor] | None:
    kernel = np.frombuffer(weights, working).reshape(shape)
    return factored(kernel, exact, _epsilon(working), most_terms)


def _taps(factors: Sequence[Factor]) -> int:
    return sum(factor.weights.size for factor in factors)


def _no_spectra(request: Request, problem: Problem, kernel: np.ndarray) -> str:
    """Return why transforms cannot do a problem within what is promised, or nothing where they can."""
    if problem.is_upsampled:
        return "the branches of an upsampled axis are summed directly"
    transformed = _transformed(problem)
    if transformed == 0:
        return "there is no extent to transform, or too many filters for their spectra"
    if not (problem.exact or problem.normalises):
        return ""
    if problem.working == "int64":
        return "sums beyond 2^53 are exact in whole numbers only"
    # With d the relative error of a transform, |error| <= d (2 |x| |w| + |x| sum |w|), |.| the Euclidean norm.
    relative = _PASS_ERROR * float(np.finfo(windows.transform_type(problem)).eps) * log2(transformed)
    samples = max(largest(request.x.dtype) if problem.exact else 1, abs(request.fill))
    samples *= (2 * problem.in_channels * transformed) ** 0.5
    weights = np.abs(kernel.astype(np.float64))
    error = relative * samples * (2 * (weights**2).sum(axis=2).max() ** 0.5 + weights.sum(axis=2).max())
    if problem.normalises:  # half the least weight tells one sample from none
        least = float(weights.min(where=weights > 0, initial=np.inf))
        return "" if error < least / 2 else "the least weight would not be told from rounding"
    return "" if error < 0.25 else "transforms of such large whole numbers would not be exact"


@lru_cache(maxsize=256)
def _transformed(problem: Problem) -> int:
    """Return the samples of a transform, 0 where there is none."""
    layout = windows.best(windows.prepared(problem))
    return 0 if layout is None else layout.samples


@dataclass(frozen=True)
class Ready:
    """A method that is ready to run a problem with one kernel."""

    choice: Choice
    runner: Any
    weights: Any
    constants: Constants
    workers: int | None

    def __call__(self, x: np.ndarray, out: np.ndarray, kernel: np.ndarray | None = None) -> None:
        """Convolve ``x`` into ``out``, arrays of the strides and types that the problem was made from."""
        self.runner(x, self.weights, self.constants, out, self.workers)


def prepare(request: Request, problem: Problem) -> Ready:
    """Choose a method and make its weights ready."""
    kernel = canonical_kernel(request)
    choice = choose(request, problem, kernel)
    plan = runner(choice.method, problem, separable.structure(choice.factors))
    if choice.method == "separable":
        weights = plan.prepare(kernel, choice.factors)
    else:
        weights = plan.prepare(kernel, request.workers)
    return Ready(choice, plan, weights, constants(request, problem), request.workers)


def quick(request: Request, ready: Ready) -> Single | Ready:
    """Return the quickest way to call what is ready for a kernel."""
    one = ready.choice.method == "direct" and single(request, ready.runner, ready.constants, ready.weights)
    return one or ready


@lru_cache(maxsize=256)
def runner(method: str, problem: Problem, factors: separable.Structure = ()) -> Any:
    """Return the method's plan of a problem."""
    if method == "separable":
        return separable.plan(merged(problem), factors)
    if method == "winograd":
        return winograd.plan(boxes.prepared(problem))
    return spectral.plan(windows.prepared(problem)) if method == "fft" else direct.plan(merged(problem))
