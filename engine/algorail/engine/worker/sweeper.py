"""The sweeper: finds what was lost, and ends what will never end by itself. Every worker has one."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from algorail.engine.kit.errors import Unavailable
from algorail.engine.run.outcome import ErrorInfo
from algorail.engine.service.closing import error_bytes
from algorail.engine.service.engine import Engine
from algorail.engine.store import queue, queue_groups
from algorail.engine.store.queue import MAX_ATTEMPTS

log = logging.getLogger(__name__)

DEAD = ErrorInfo(
    "dead", f"{MAX_ATTEMPTS} workers died or fell silent while they worked on it; it was not tried again"
)
EXPIRED = ErrorInfo("deadline-exceeded", "its deadline passed before a worker could finish it")

_LONGEST_PAUSE = 5.0
_DOORBELLS = 100
_PURGE_SECONDS = 3_600.0


class Sweeper:
    """Looks through the queue again and again.

    Args:
        engine: A started engine.
        ring: Told of runs that wait and that perhaps nobody knows of.
    """

    def __init__(self, engine: Engine, ring: Callable[[Sequence[str]], None]) -> None:
        settings = engine.settings.engine
        self.pause = min(_LONGEST_PAUSE, settings.async_lease / 3)
        self._engine = engine
        self._ring = ring
        self._kept_ns = settings.async_days * 24 * 3600 * 1_000_000_000
        self._next_purge = time.monotonic() + _PURGE_SECONDS

    async def run(self) -> None:
        """Sweep until cancelled. Many sweepers do not sweep in step."""
        while True:
            try:
                await self.sweep()
            except Unavailable as error:
                log.warning("a sweep failed, the next one is soon: %s", error)
            except Exception:
                log.exception("a sweep failed; the next one is soon")
            await asyncio.sleep(self.pause * random.uniform(0.7, 1.3))

    async def sweep(self) -> None:
        """Once through. Raises `Unavailable`."""
        found, waiting = await asyncio.to_thread(self._sweep)
        if waiting:
            self._ring(waiting)
        if found.requeued:
            log.warning("the workers of %s fell silent; they go on elsewhere", ", ".join(found.requeued))
        ended = [*found.dead, *found.expired]
        if ended:
            log.warning("%d runs died, %d were too late", len(found.dead), len(found.expired))
            await self._engine.closing.record(ended)

    def _sweep(self) -> tuple[queue.Swept, Sequence[str]]:
        waited_ns = int(self.pause * 1e9)
        with self._engine.database.write() as tx:
            found = queue.sweep(tx, expired=error_bytes(EXPIRED), dead=error_bytes(DEAD))
            known = queue.doorbells(tx, limit=_DOORBELLS)
            lost = queue_groups.overdue(tx, waited_ns=waited_ns, limit=_DOORBELLS)
            if time.monotonic() > self._next_purge:
                self._next_purge = time.monotonic() + _PURGE_SECONDS
                queue.purge(tx, older_than_ns=self._kept_ns)
        return found, list(dict.fromkeys([*known, *lost]))


__all__ = ["DEAD", "EXPIRED", "Sweeper"]
