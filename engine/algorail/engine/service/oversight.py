"""Who looks after the runs under way: out of time, or nobody there to read the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.deadlines import Deadlines

_UNATTENDED: Final = 0.05
"""Seconds a run may take before its caller is looked after: most are done by then."""

Gone = Callable[[], Awaitable[None]]
"""Returns when the caller has gone away."""


class Ending(Enum):
    """Why a run was ended from outside."""

    OUT_OF_TIME = "out of time"
    CALLER_GONE = "caller gone"


class Watch:
    """One run under way; `ending` says why it was cancelled, None if it was not by us."""

    __slots__ = ("_gone", "_listener", "_task", "deadline", "ending")

    def __init__(self, task: asyncio.Task[object], deadline: float, gone: Gone | None) -> None:
        self.deadline = deadline
        self.ending: Ending | None = None
        self._task = task
        self._gone = gone
        self._listener: asyncio.Future[None] | None = None

    def end(self, ending: Ending) -> None:
        """Cancel the run, once."""
        if self.ending is None:
            self.ending = ending
            self._task.cancel()

    def attend(self) -> None:
        """Cancel the run when its caller goes away; from the first call on."""
        if self._gone is not None and self._listener is None:
            self._listener = asyncio.ensure_future(self._gone())
            self._listener.add_done_callback(self._left)

    def close(self) -> None:
        """The run is over; our cancellation was meant for nothing else."""
        if self._listener is not None:
            self._listener.remove_done_callback(self._left)
            self._listener.cancel()
        if self.ending is not None:
            self._task.uncancel()

    def _left(self, listener: asyncio.Future[None]) -> None:
        if not listener.cancelled() and listener.exception() is None:
            self.end(Ending.CALLER_GONE)


class Overseer:
    """Ends runs whose time is over or whose callers went away. Belongs to one event loop.

    Args:
        clock: Where to read the time.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._deadlines: Deadlines[Watch] = Deadlines(self._due, clock)

    def enter(self, now: float, deadline: float, gone: Gone | None) -> Watch:
        """Watch over the run of the current task, from now until `leave`."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a run needs a running event loop and task")
        watch = Watch(task, deadline, gone)
        self._deadlines.add(watch, min(deadline, now + _UNATTENDED))
        return watch

    def leave(self, watch: Watch) -> None:
        """The run is over."""
        self._deadlines.remove(watch)
        watch.close()

    def _due(self, watch: Watch) -> float | None:
        if watch.deadline <= self._clock.monotonic():
            watch.end(Ending.OUT_OF_TIME)
            return None
        watch.attend()
        return watch.deadline


__all__ = ["Ending", "Gone", "Overseer", "Watch"]
