"""Values that are remembered: the most recently made ones."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Recent(Generic[Value]):
    """The most recently made of some values, by their keys. Any number of threads may use it at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: dict[Hashable, Value] = {}
        self.get = self._values.get

    def __len__(self) -> int:
        return len(self._values)

    def add(self, key: Hashable, value: Value) -> Value:
        """Keep a value, in place of the oldest where there are too many, and return it."""
        while len(self._values) >= self._most:
            # No lock: a signal handler or a forked child would find it taken. Others may remove the same.
            with suppress(StopIteration, RuntimeError):
                self._values.pop(next(iter(self._values)), None)
        self._values[key] = value
        return value
