"""What will run and why: the choice of a method.

The choice is a pure function of the problem, of the factors found in its kernel, and of the tuning, and can be read:
``print(plan)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..problem.canonical import Problem, canonical_kernel
from ..problem.request import Request
from . import direct, fft, separable, tuning, windows, winograd
from .factors import MOST_CACHED, Factor, Structure, factors_of, structure

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

    def prepare(
        self, problem: Problem, kernel: np.ndarray, factors: Sequence[Factor], workers: int | None
    ) -> tuple[Any, Any]:
        """Return the method's plan of a problem, and a canonical kernel ready for it."""


METHODS: tuple[Method, ...] = (direct, separable, fft, winograd)
_BY_NAME = {method.__name__.rpartition(".")[2]: method for method in METHODS}


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
    estimates: dict[str, float]
    factors: tuple[Factor, ...] = ()


class Prepared(NamedTuple):
    """A method that is ready to run a problem with one kernel."""

    choice: Choice
    plan: Any  # the method's
    weights: Any


def prepare(request: Request, problem: Problem) -> Prepared:
    """Choose a method for a request, whose canonical form the problem is, and make the kernel ready for it."""
    kernel = canonical_kernel(request)
    choice = choose(request, problem, kernel)
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
    if choice := settled(request.method, problem):
        return choice
    name: str = request.method
    factors: tuple[Factor, ...] = ()
    if name == "auto":
        return _fastest(request, problem, kernel)
    if name == "separable":
        factors = factors_of(request, problem, kernel, max(request.kernel.shape, default=1))
    if reason := _BY_NAME[name].unsupported_reason(request, problem, kernel, factors):
        return Choice("direct", reason, {"direct": direct.estimate(problem, ())})
    return Choice(name, "as asked", {name: _BY_NAME[name].estimate(problem, structure(factors))}, factors)


def _fastest(request: Request, problem: Problem, kernel: np.ndarray) -> Choice:
    """Choose the method of least estimated time; factors are looked for where that takes little of it."""
    reasons = {name: method.unsupported_reason(request, problem, kernel, ()) for name, method in _BY_NAME.items()}
    names = tuple(name for name, reason in reasons.items() if not reason)
    method, estimates = _least(problem, names, ())
    weights = windows.filters(problem) * problem.taps
    factors: tuple[Factor, ...] = ()
    if weights <= MOST_CACHED or _FACTORING_MS * weights < _FACTORING_SHARE * estimates[method]:
        factors = factors_of(request, problem, kernel, _MOST_TERMS)
    if factors and sum(factor.weights.size for factor in factors) < kernel.size:
        method, estimates = _least(problem, (*names, "separable"), structure(factors))
    why = "least estimated time" if len(estimates) > 1 else reasons["fft"]
    return Choice(method, why, estimates, factors if method == "separable" else ())


@tuning.remembered(256)
def _least(problem: Problem, names: tuple[str, ...], factors: Structure) -> tuple[str, dict[str, float]]:
    """Return which of some methods takes least time, and the estimates of all."""
    estimates = {name: _BY_NAME[name].estimate(problem, factors) for name in names}
    return min(estimates, key=lambda name: estimates[name] / _CLEARLY.get(name, 1)), estimates
