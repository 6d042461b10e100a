"""Many deadlines on one timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T", bound=Hashable)

_SHORTEST: Final = 0.005
"""Seconds between two looks at least: what has a thousand deadlines need not look a thousand times."""


class Deadlines(Generic[T]):
    """Deadlines of things that are nearly always done in time; belongs to one event loop.

    A timer of the loop costs as much to set and to cancel as a short run costs in all. Here both are an
    operation on a dictionary, and one timer goes off at the earliest deadline.

    Args:
        due: Called with what is still there at its deadline; returns its next deadline, None if that was all.
        clock: Where to read the time.
    """

    def __init__(self, due: Callable[[T], float | None], clock: Clock = SYSTEM_CLOCK) -> None:
        self._due = due
        self._clock = clock
        self._until: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._next = 0.0

    def __len__(self) -> int:
        return len(self._until)

    def add(self, item: T, until: float) -> None:
        """Watch over a thing until this monotonic second."""
        self._until[item] = until
        if self._timer is None or until < self._next:
            self._schedule(until)

    def remove(self, item: T) -> None:
        """It is done; a second time changes nothing."""
        self._until.pop(item, None)

    def _schedule(self, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = max(until - self._clock.monotonic(), _SHORTEST)
        self._next = until
        self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        for item in [item for item, until in self._until.items() if until <= now]:
            again = self._due(item)
            if again is None:
                self._until.pop(item, None)
            else:
                self._until[item] = again
        if self._until:
            self._schedule(min(self._until.values()))


__all__ = ["Deadlines"]
