"""The embedded executor: a worker on the event loop of the process that it lives in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from algorail.engine.service.engine import Engine
from algorail.engine.worker.sweeper import Sweeper
from algorail.engine.worker.worker import Worker

log = logging.getLogger(__name__)

DRAIN_SECONDS = 8.0
"""Seconds that runs may take to end after a stop; then they are given back and go on elsewhere."""

_RETRY_SECONDS = 1.0


class EmbeddedExecutor:
    """Claims as many runs as there is room for, as soon as there are any.

    Args:
        engine: A started engine.
        drain: Seconds that runs may take to end after a stop.
    """

    def __init__(self, engine: Engine, *, drain: float = DRAIN_SECONDS) -> None:
        self._worker = Worker(engine)
        self._sweeper = Sweeper(engine, self.ring)
        self._places = engine.settings.engine.async_runs
        self._drain = drain
        self._bell = asyncio.Event()
        self._more = False
        self._stopping = False
        self._runs: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    @property
    def active(self) -> int:
        """Runs that are worked on now."""
        return len(self._runs)

    async def start(self) -> None:
        """Begin to claim."""
        self._worker.start()
        self._loops = [asyncio.create_task(self._supervise()), asyncio.create_task(self._sweeper.run())]

    def ring(self, run_ids: Sequence[str]) -> None:  # noqa: ARG002  # it claims whatever waits
        """There is something to do. Called on the event loop."""
        self._bell.set()

    async def aclose(self) -> None:
        """Claim nothing more, let runs end or give them back."""
        self._stopping = True
        self._bell.set()
        await asyncio.gather(*self._loops[:1])
        for loop in self._loops[1:]:
            loop.cancel()
        await asyncio.gather(*self._loops[1:], return_exceptions=True)
        if self._runs:
            await asyncio.wait(self._runs, timeout=self._drain)
        for run in self._runs:
            run.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)
        await self._worker.aclose()

    async def _supervise(self) -> None:
        """Claim until told to stop, whatever happens to the database."""
        while not self._stopping:
            try:
                await self._claim()
            except Exception:
                log.exception("no run can be claimed; it is tried again")
                await self._pause(_RETRY_SECONDS)

    async def _claim(self) -> None:
        """Fill the places with runs that wait, then pause until there is something to do again."""
        self._bell.clear()
        room = self._places - len(self._runs)
        claimed = await self._worker.claim(limit=room) if room else ()
        for run in claimed:
            task = asyncio.create_task(self._worker.work(run))
            self._runs.add(task)
            task.add_done_callback(self._ended)
        self._more = len(claimed) == room
        if not (self._more and room):
            await self._pause(self._sweeper.pause)

    async def _pause(self, seconds: float) -> None:
        if not self._stopping:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), seconds)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._runs.discard(task)
        if self._more:
            self._bell.set()


__all__ = ["DRAIN_SECONDS", "EmbeddedExecutor"]
