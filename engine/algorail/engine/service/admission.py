"""Bounded admission: how many runs at once, how many may wait, and a clear no to the rest."""

from __future__ import annotations

import asyncio
from collections import deque

from algorail.engine.kit.errors import Overloaded


class Admission:
    """Places for runs in one process. Belongs to one event loop.

    Args:
        places: Runs at the same time.
        waiting: Callers that may wait for a place.
        patience: Seconds a caller waits before it is turned away.
    """

    def __init__(self, places: int, waiting: int, patience: float) -> None:
        self.active = 0
        self.refused = 0
        self._places = places
        self._waiting = waiting
        self._patience = patience
        self._queue: deque[asyncio.Future[None]] = deque()
        self._open = True

    @property
    def queued(self) -> int:
        """Callers that wait now."""
        return len(self._queue)

    def try_enter(self) -> bool:
        """Take a place if one is free and nobody waits for it: the common case, without a coroutine."""
        if self._open and self.active < self._places and not self._queue:
            self.active += 1
            return True
        return False

    async def enter(self) -> None:
        """Take a place, waiting for one if need be.

        Raises:
            Overloaded: `overloaded` if the queue is full or the wait too long, `shutting-down`.
        """
        if self.try_enter():
            return
        if not self._open:
            raise Overloaded("the server is shutting down", code="shutting-down", retry_after=1)
        if len(self._queue) >= self._waiting:
            raise self._refusal("too many calls are waiting")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            await asyncio.wait_for(place, self._patience)
        except TimeoutError:
            raise self._refusal(f"no place became free within {self._patience:g} s") from None
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            raise
        finally:
            if not place.done() or place.cancelled():
                self._forget(place)

    def leave(self) -> None:
        """Give a place back: to the one that waits longest, if somebody does."""
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(None)
                return
        self.active -= 1

    def close(self) -> None:
        """Admit nobody any more; the runs that are inside go on."""
        self._open = False

    def _forget(self, place: asyncio.Future[None]) -> None:
        if place in self._queue:
            self._queue.remove(place)

    def _refusal(self, why: str) -> Overloaded:
        self.refused += 1
        return Overloaded(
            f"{why}: {self._places} runs at once is this process's limit",
            cure="try again later, or start more replicas",
            retry_after=max(1.0, self._patience),
        )


__all__ = ["Admission"]
