"""What will run and why: the choice of a method.

The choice is a pure function of the problem, of the factors found in its kernel, and of the tuning, and can be read:
``print(plan)``. Estimates are those of the problem that stands for its like, for as many outputs as there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..problem.canonical import Problem, canonical_kernel
from ..problem.request import Request
from . import direct, sparse, tuning
from .separable import separable
from .separable.bank import MOST_CACHED, factors_of
from .separable.factors import Factor, Structure, structure
from .tiling.likeness import representative
from .transforms import fft, winograd

#: By how much an estimate must be less than others: Winograd's rounding errors are larger.
_CLEARLY = {"winograd": 0.85}
#: Milliseconds of looking for factors, for each weight, and the share of the call that this may be.
_FACTORING_MS, _FACTORING_SHARE = 1.5e-5, 0.05
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

    def least_estimate(self, problem: Problem) -> float:
        """Return milliseconds that an estimate is not below, at little cost, or 0."""

    def prepare(
        self, problem: Problem, kernel: np.ndarray, factors: Sequence[Factor], workers: int | None
    ) -> tuple[Any, Any]:
        """Return the method's plan of a problem, and a canonical kernel ready for it."""


METHODS: tuple[Method, ...] = (direct, separable, fft, winograd)
_BY_NAME = {method.__name__.rpartition(".")[2]: method for method in METHODS}


@dataclass(frozen=True)
class Choice:
    """A method for a problem."""

    method: str
    why: str
    estimates: dict[str, float]  # milliseconds of each method that was considered
    factors: tuple[Factor, ...] = ()  # of the kernel, for the separable method


class Prepared(NamedTuple):
    """A method that is ready to run a problem with one kernel."""

    choice: Choice
    plan: Any  # the method's
    weights: Any


def prepare(request: Request, problem: Problem) -> Prepared:
    """Choose a method for a request, whose canonical form the problem is, and make the kernel ready for it."""
    kernel = canonical_kernel(request)
    choice = choose(request, problem, kernel)
    if choice.method == "direct":
        return Prepared(choice, *sparse.prepare(problem, kernel, request.workers))
    method = _BY_NAME[choice.method]
    return Prepared(choice, *method.prepare(problem, kernel, choice.factors, request.workers))


@tuning.remembered(256)
def settled(method: str, problem: Problem) -> Choice | None:
    """Return the choice where the kernel's weights have no say in it, else None."""
    if method not in ("auto", "direct"):
        return None
    estimates = {"direct": direct.estimate(problem, ())}
    if method == "direct":
        return Choice("direct", "as asked", estimates)
    if estimates["direct"] < tuning.TUNING.looking_ms:
        return Choice("direct", "too little work to look further", estimates)
    return None


def choose(request: Request, problem: Problem, kernel: np.ndarray) -> Choice:
    """Choose the method that is named, or the fastest that keeps what is promised, for a canonical kernel."""
    like = representative(problem)
    choice = settled(request.method, like)
    if choice is None:
        choose_among = _fastest if request.method == "auto" else _named
        choice = choose_among(request, problem, like, kernel)
    share = problem.outputs / like.outputs
    return replace(choice, estimates={name: share * ms for name, ms in choice.estimates.items()})


def _named(request: Request, problem: Problem, like: Problem, kernel: np.ndarray) -> Choice:
    """Choose the method that is named where it can run the problem."""
    name: str = request.method
    factors: tuple[Factor, ...] = ()
    if name == "separable":
        factors = factors_of(request, like, kernel, max(request.kernel.shape, default=1))
    if reason := _BY_NAME[name].unsupported_reason(request, problem, kernel, factors):
        return Choice("direct", reason, {"direct": direct.estimate(like, ())})
    return Choice(name, "as asked", {name: _BY_NAME[name].estimate(like, structure(factors))}, factors)


def _fastest(request: Request, problem: Problem, like: Problem, kernel: np.ndarray) -> Choice:
    """Choose the method of least estimated time; factors are looked for where that takes little of it.

    Methods are asked for an estimate where they may be faster than those before them.
    """
    estimates = {"direct": direct.estimate(sparse.without_zeros(like, kernel), ())}
    weights, reason = kernel.size, ""
    factors: tuple[Factor, ...] = ()
    if weights <= MOST_CACHED:
        factors = _add_separable(request, like, kernel, estimates)
    for name in ("winograd", "fft"):
        least = _BY_NAME[name].least_estimate(like) / _CLEARLY.get(name, 1)
        if least < min(estimates.values()):
            reason = _BY_NAME[name].unsupported_reason(request, like, kernel, ())
            if not reason:
                estimates[name] = _BY_NAME[name].estimate(like, ())
    if weights > MOST_CACHED and _FACTORING_MS * weights < _FACTORING_SHARE * min(estimates.values()):
        factors = _add_separable(request, like, kernel, estimates)
    method = min(estimates, key=lambda name: estimates[name] / _CLEARLY.get(name, 1))
    why = "least estimated time" if len(estimates) > 1 or not reason else reason
    # What the problem's like can do, the problem itself may be too large for.
    if reason := _BY_NAME[method].unsupported_reason(request, problem, kernel, factors):
        return Choice("direct", reason, estimates)
    return Choice(method, why, estimates, factors if method == "separable" else ())


def _add_separable(
    request: Request, problem: Problem, kernel: np.ndarray, estimates: dict[str, float]
) -> tuple[Factor, ...]:
    """Return a kernel's factors and add the estimate of the separable method, where factors have fewer weights."""
    factors = factors_of(request, problem, kernel, _MOST_TERMS)
    if not factors or sum([factor.weights.size for factor in factors]) >= kernel.size:
        return ()
    estimates["separable"] = separable.estimate(problem, structure(factors))
    return factors
