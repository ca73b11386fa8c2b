"""What will run and why: the choice of a method.

The choice is a pure function of the problem, of the factors found in its kernel, and of the tuning, and can be read:
``print(plan)``. Problems that are alike have one representative: methods are estimated, and chosen, for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..problem.canonical import Kernel, Problem, kernel_of
from ..problem.dtypes import SHORT
from ..problem.request import Request
from . import direct, sparse, tuning
from .separable import separable
from .separable.bank import factors_of
from .separable.factors import Factor, Structure, structure
from .tiling.likeness import representative
from .transforms import fft, winograd

#: By how much an estimate must be less than others: Winograd's rounding errors are larger, and passes of three taps
#: take longer than their estimate.
_CLEARLY = {"winograd": 0.85, "separable": 0.95}
#: Milliseconds of looking for factors, for each weight, and the share of the call that this may be.
_FACTORING_MS, _FACTORING_SHARE = 1.5e-5, 0.05
_LARGE = 2**15  #: weights, beyond which factors are looked for last
_MOST_TERMS = 4  #: of a sum of outer products that auto looks for


class Method(Protocol):
    """What a module that computes convolutions offers."""

    __name__: str

    def unsupported_reason(
        self, request: Request, problem: Problem, kernel: np.ndarray, factors: Sequence[Factor]
    ) -> str:
        """Return why the method cannot run a problem with a canonical kernel, or nothing where it can."""

    def estimate(self, problem: Problem, factors: Structure) -> float:
        """Estimate the milliseconds of a call."""

    def prepare(
        self, problem: Problem, kernel: Kernel, factors: tuple[Factor, ...], workers: int | None
    ) -> tuple[Any, Any]:
        """Return the method's plan of a problem, and a canonical kernel ready for it."""


METHODS: tuple[Method, ...] = (direct, separable, fft, winograd)
_BY_NAME = {method.__name__.rpartition(".")[2]: method for method in METHODS}
#: For methods whose layouts take long to search: milliseconds that no layout goes below, found without a search.
_LEAST = {"winograd": winograd.least_estimate, "fft": fft.least_estimate}


@dataclass(frozen=True)
class Choice:
    """The method for problems that are alike."""

    method: str
    why: str
    like: Problem  # their representative
    estimates: dict[str, float]  # milliseconds of each method that was considered
    factors: tuple[Factor, ...] = ()  # of the kernel, for the separable method
    pattern: bytes = b""  # which weights count, for the direct one

    def milliseconds(self, problem: Problem) -> dict[str, float]:
        """Return the estimates of the representative, scaled to the outputs that a problem has."""
        share = problem.outputs / self.like.outputs
        return {name: share * ms for name, ms in self.estimates.items()}


class Prepared(NamedTuple):
    """A method that is ready to run a problem with one kernel."""

    choice: Choice
    plan: Any  # the method's
    weights: Any


def prepare(request: Request, problem: Problem) -> Prepared:
    """Choose a method for a request, whose canonical form the problem is, and make the kernel ready for it."""
    kernel = kernel_of(request, problem)
    choice = choose(request, problem, kernel)
    own = replace(problem, pattern=choice.pattern) if choice.pattern else problem
    method = sparse if choice.method == "direct" else _BY_NAME[choice.method]
    return Prepared(choice, *method.prepare(own, kernel, choice.factors, request.workers))


def choose(request: Request, problem: Problem, kernel: Kernel) -> Choice:
    """Choose the method that is named, or the fastest that keeps what is promised.

    The choice is that of the problem's representative, for the values of the kernel.
    """
    like = representative(problem)
    look = _fastest if request.method == "auto" else _named
    return kernel.of((like, tuning.TUNING), lambda: look(request, like, kernel.weights))


def _named(request: Request, like: Problem, kernel: np.ndarray) -> Choice:
    """Choose the method that is named where it can run the problem."""
    name, why, factors = request.method, "as asked", tuple[Factor, ...]()
    if name == "separable":
        factors = factors_of(request, like, kernel, max(request.kernel.shape, default=1))
    if reason := _BY_NAME[name].unsupported_reason(request, like, kernel, factors):
        name, why, factors = "direct", reason, ()
    pattern = sparse.pattern_of(like, kernel) if name == "direct" else b""
    return Choice(name, why, like, {name: _BY_NAME[name].estimate(like, structure(factors))}, factors, pattern)


def _fastest(request: Request, like: Problem, kernel: np.ndarray) -> Choice:
    """Choose the method of least estimated time; factors are looked for where that takes little of it.

    Methods are asked for an estimate where they may be faster than those before them.
    """
    pattern = sparse.pattern_of(like, kernel)
    estimates = {"direct": direct.estimate(replace(like, pattern=pattern) if pattern else like, ())}
    if estimates["direct"] < tuning.TUNING.looking_ms and not pattern:
        return Choice("direct", "too little work to look further", like, estimates)
    weights, reason = kernel.size, ""
    factors: tuple[Factor, ...] = ()
    if weights <= _LARGE:
        factors = _add_separable(request, like, kernel, estimates)
    for name, least in () if like.working in SHORT else _LEAST.items():  # transforms need floating samples
        if least(like) / _CLEARLY.get(name, 1) < min(estimates.values()):
            reason = _BY_NAME[name].unsupported_reason(request, like, kernel, ())
            if not reason:
                estimates[name] = _BY_NAME[name].estimate(like, ())
    if weights > _LARGE and _FACTORING_MS * weights < _FACTORING_SHARE * min(estimates.values()):
        factors = _add_separable(request, like, kernel, estimates)
    method = min(estimates, key=lambda name: estimates[name] / _CLEARLY.get(name, 1))
    why = "least estimated time" if len(estimates) > 1 or not reason else reason
    factors = factors if method == "separable" else ()
    pattern = pattern if method == "direct" else b""
    return Choice(method, why, like, estimates, factors, pattern)


def _add_separable(
    request: Request, problem: Problem, kernel: np.ndarray, estimates: dict[str, float]
) -> tuple[Factor, ...]:
    """Return a kernel's factors and add the estimate of the separable method, where factors have fewer weights."""
    factors = factors_of(request, problem, kernel, _MOST_TERMS)
    if not factors or sum([factor.weights.size for factor in factors]) >= kernel.size:
        return ()
    estimates["separable"] = separable.estimate(problem, structure(factors))
    return factors
