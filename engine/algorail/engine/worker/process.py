"""A worker's engine on an event loop in a thread of its own, for callers that are threads themselves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

from algorail.engine.kit.errors import Unavailable
from algorail.engine.service.engine import Engine
from algorail.engine.worker.embedded import DRAIN_SECONDS
from algorail.engine.worker.sweeper import Sweeper
from algorail.engine.worker.worker import Worker


class Bells(Protocol):
    """Rings for runs from an event loop (`broker.Bell`)."""

    def start(self) -> None:
        """Begin to ring."""
        ...

    def ring(self, run_ids: Sequence[str]) -> None:
        """Ring for these."""
        ...

    async def aclose(self) -> None:
        """Stop."""
        ...


class WorkerProcess:
    """What a worker process has once: engine, worker, sweeper, bell. Safe to use from several threads.

    Args:
        make_engine: Makes the engine; called in the loop's thread.
        make_bell: Makes what the sweeper rings with.
    """

    def __init__(self, make_engine: Callable[[], Engine], make_bell: Callable[[Engine], Bells]) -> None:
        self._make_engine = make_engine
        self._make_bell = make_bell
        self._ready: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._stop: asyncio.Event | None = None
        self._runs: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), name="algorail-worker")

    def start(self) -> None:
        """Start the engine; returns when it is ready. Raises what kept it from starting."""
        self._thread.start()
        self._ready.result()

    def run(self, run_id: str) -> None:
        """Work on this run if it still waits; returns when it is over, given back or somebody else's."""
        if self._loop is None:
            raise Unavailable("the worker is not started")
        asyncio.run_coroutine_threadsafe(self._run(run_id), self._loop).result()

    def stop(self) -> None:
        """Claim nothing more; what does not end soon is given back. Returns at once."""
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def join(self) -> None:
        """Wait until everything is given back and closed."""
        self.stop()
        self._thread.join()

    async def _run(self, run_id: str) -> None:
        if self._worker is None or self._stop is None or self._stop.is_set():
            return
        for run in await self._worker.claim(run_id=run_id):
            task = asyncio.create_task(self._worker.work(run))
            self._runs.add(task)
            task.add_done_callback(self._runs.discard)
            await asyncio.wait([task])

    async def _live(self) -> None:
        try:
            engine = self._make_engine()
            await engine.start()
        except BaseException as error:
            self._ready.set_exception(error)
            raise
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._worker = Worker(engine)
        self._worker.start()
        bell = self._make_bell(engine)
        bell.start()
        sweeping = asyncio.create_task(Sweeper(engine, bell.ring).run())
        self._ready.set_result(None)
        await self._stop.wait()
        sweeping.cancel()
        await self._drain()
        await bell.aclose()
        await self._worker.aclose()
        await engine.aclose()

    async def _drain(self) -> None:
        if self._runs:
            await asyncio.wait(self._runs, timeout=DRAIN_SECONDS)
        left = list(self._runs)
        for run in left:
            run.cancel()
        await asyncio.gather(*left, return_exceptions=True)


__all__ = ["Bells", "WorkerProcess"]
