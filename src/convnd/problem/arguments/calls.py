"""Calls with arguments that a function does not take: the error says what to write."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..options import Options
from .messages import shown
from .names import meant_by, unknown_argument
from .values import is_sequence

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def explained(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function answer arguments that it does not take: surplus ones, and those of other libraries' names.

    What it takes as ``**options`` are those of `convnd.convnd`.
    """
    taken = frozenset(_names(function)) if _takes_options(function) else None

    @wraps(function)
    def call(*given: Arguments.args, **named: Arguments.kwargs) -> Result:
        if taken is not None and not taken.issuperset(named) and (unfit := misfit(function, given, named)):
            raise unfit
        try:
            return function(*given, **named)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:  # the function ran
                raise
            raise misfit(function, given, named) or error from None

    return call


def misfit(function: Callable[..., Any], given: Sequence[Any], named: Mapping[str, Any]) -> TypeError | None:
    """Return the error about arguments that a function does not take; None where it lacks some."""
    parameters = inspect.signature(function).parameters.values()
    name, places = function.__qualname__, [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    if places[:1] == ["self"]:
        owner, places, given = type(given[0]).__name__, places[1:], given[1:]
        name = owner if function.__name__ == "__init__" else f"{owner}.{function.__name__}"
    known = _names(function)
    unknown = {own: value for own, value in named.items() if own not in known}
    if unknown:
        return unknown_argument(name, known, unknown)
    if len(given) <= len(places):
        return None
    place, surplus = len(places) + 1, given[len(places)]
    if not is_sequence(given[1]) and is_sequence(surplus):
        meant = "write the kernel second; dtype is the ddepth of OpenCV"
    else:
        meant = meant_by(surplus) or f"there are {', '.join(own for own in known if own not in places)}"
    return TypeError(
        f"{name}() takes {' and '.join(places) or 'no argument'} by position and all others by name, "
        f"but argument {place} is {shown(surplus)}: {meant}"
    )


def _names(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments that a function takes, options of `convnd.convnd` behind its own."""
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD]
    return names + [own for own in Options._fields if own not in names] if _takes_options(function) else names


def _takes_options(function: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
