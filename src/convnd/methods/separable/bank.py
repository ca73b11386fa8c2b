"""The factors of a canonical kernel. Those of a bank's filters are a tree: what filters begin with they share."""

from dataclasses import replace

import numpy as np

from ...problem.canonical import Problem, merged
from ...problem.request import Request
from .factors import Factor, factored, is_short, rounding_of


def factors_of(request: Request, problem: Problem, kernel: np.ndarray, most_terms: int) -> tuple[Factor, ...]:
    """Return the factors of a canonical kernel along the axes of the merged problem; none where it has no such."""
    if problem.is_upsampled or problem.in_channels > 1 or request.groups > 1 or request.kernel.dtype.kind == "c":
        return ()
    taps = [axis.taps for axis in merged(problem).axes]
    return _tree(kernel[0].reshape(-1, *taps), problem.exact, rounding_of(problem.working), most_terms)


def _tree(filters: np.ndarray, exact: bool, epsilon: float, most_terms: int) -> tuple[Factor, ...]:
    """Return the factors of all filters, each behind its source; none where a filter has none, or other axes first."""
    trains: list[list[Factor]] = []
    for kernel in filters:
        train = factored(kernel, exact, epsilon, most_terms)
        if train is None or [own.axes for own in train] != [own.axes for own in (trains or [train])[0]]:
            return ()
        trains.append(train)
    if len(trains) > 1 and len(trains[0]) == 1:  # nothing comes apart
        return ()
    tree: list[Factor] = []
    _grow(tree, (-1, 0), [*enumerate(map(_with_sign, trains) if len(trains) > 1 else trains)], 0 if exact else epsilon)
    return tuple(tree)


def _with_sign(train: list[Factor]) -> list[Factor]:
    """Return a train whose last factor has the sign of those before it, so that equal ones are found."""
    sign, owns = 1.0, []
    for own in train[:-1]:
        turn = np.sign(own.weights.ravel()[np.abs(own.weights).argmax()]) if own.weights.shape[:2] == (1, 1) else 1.0
        owns.append(replace(own, weights=own.weights * turn))
        sign *= turn
    return [*owns, replace(train[-1], weights=train[-1].weights * sign)]


def _grow(tree: list[Factor], source: tuple[int, int], trains: list[tuple[int, list[Factor]]], epsilon: float) -> None:
    """Add the trains of some channels to a tree, behind the factor that they share."""
    if len(trains[0][1]) == 1:
        tree += [replace(last, source=source, channel=channel) for channel, (last,) in trains]
        return
    distinct: list[tuple[np.ndarray, list[tuple[int, list[Factor]]]]] = []
    for channel, (own, *rest) in trains:
        for weights, sharing in distinct:
            if weights.shape == own.weights.shape and (
                np.abs(weights - own.weights).max() <= epsilon * np.abs(weights).max()
            ):
                sharing.append((channel, rest))
                break
        else:
            distinct.append((own.weights, [(channel, rest)]))
    place, first = len(tree), 0
    tree.append(Factor(trains[0][1][0].axes, np.concatenate([weights for weights, _ in distinct]), source))
    for weights, sharing in distinct:
        _grow(tree, (place, first), sharing, epsilon)
        first += len(weights)


def check_separable(request: Request, working: str) -> None:
    """Raise `ValueError` where a filter is no short sum of outer products."""
    kernel, along = request.kernel, request.kernel_spatial
    filters = np.moveaxis(kernel, along, range(-len(along), 0)).reshape(-1, *[kernel.shape[a] for a in along])
    given, wide = kernel.dtype, filters.astype(np.complex128)
    if not np.isfinite(wide).all() or all(is_short(own, rounding_of(working)) for own in wide):
        return
    is_rounded = given.kind == "f" and all(is_short(own, rounding_of(given.name)) for own in wide.real)
    cause = f", in which it is computed: it was rounded to {given}, make it in {working}"
    raise ValueError(
        f"method 'separable' needs a kernel that is a short sum of outer products, but the kernel of shape "
        f"{kernel.shape} is none within the rounding of {working}{cause if is_rounded else ''}"
    )
