"""Values that are remembered: the most recently made ones."""

from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import numpy as np

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The most recently made of some values, by their keys. Any number of threads may use it at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[Hashable, Value] = {}
        self.get = self._values.get

    def __len__(self) -> int:
        return len(self._values)

    def of(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key, which is made where none is remembered."""
        value = self.get(key)
        return self.add(key, make()) if value is None else value

    def add(self, key: Hashable, value: Value) -> Value:
        """Keep a value, in place of the oldest where there are too many, and return it."""
        while len(self._values) >= self._most:
            # No lock: a signal handler or a forked child would find it taken. Other threads may remove the same value.
            with suppress(StopIteration, RuntimeError):
                self._values.pop(next(iter(self._values)), None)
        self._values[key] = value
        return value


class OfArrays(Generic[Value]):
    """What was made of the latest array of each owner, ``most`` bytes at most. Any number of threads may use it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[Hashable, tuple[np.ndarray, Value, int]] = {}  # with the array's bits and all bytes

    def made_of(
        self, owner: Hashable, array: np.ndarray, make: Callable[[np.ndarray], Value], size: Callable[[Value], int]
    ) -> Value:
        """Return what is made of an array, or was made of the owner's latest one where that has the same bits.

        ``size`` gives the bytes of what is made. An owner's arrays are of one shape and type.
        """
        if array.itemsize > 8 or 4 * array.nbytes > self._most:
            return make(array)
        latest, bits = self._values.pop(owner, None), array.view(f"u{array.itemsize}")
        if latest is None or not np.array_equal(latest[0], bits):
            own = array.copy()
            value = make(own)
            latest = own.view(bits.dtype), value, own.nbytes + size(value)
        if 2 * latest[2] <= self._most:
            with suppress(StopIteration, RuntimeError):  # other threads may add and remove
                while sum([kept for *_, kept in self._values.values()]) + latest[2] > self._most:
                    self._values.pop(next(iter(self._values)), None)
                self._values[owner] = latest
        return latest[1]


class once(Generic[Value]):  # noqa: N801  # it is written like `property`
    """A property that is computed when it is first asked for, like `functools.cached_property`.

    Before Python 3.12 `cached_property` takes a lock, which a child finds taken for ever if another thread held it
    during the fork.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self._compute, self.__doc__ = compute, compute.__doc__

    def __get__(self, owner: Any, kind: Any = None) -> Value:
        if owner is None:
            return self  # type: ignore[return-value]  # the class is asked, for documentation
        value = owner.__dict__[self._compute.__name__] = self._compute(owner)
        return value
