"""Warm children of one bundle: started when first needed, replaced when they die, ended when idle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import AlgorailError, Unavailable
from algorail.engine.registry.bundles.process import Launch, Process, start

MAX_PAUSE = 30.0
"""Longest wait before a bundle whose children die at once is tried again, seconds."""


class Pool:
    """Up to `size` children of one bundle; a call goes to the one with the fewest calls under way.

    Args:
        prepare: Finds or makes the environment and says how to start a child. Blocking.
        size: Children at most.
        clock: For the pause after a child that would not start.
    """

    def __init__(self, prepare: Callable[[], Launch], *, size: int = 2, clock: Clock = SYSTEM_CLOCK) -> None:
        self._prepare = prepare
        self._size = size
        self._clock = clock
        self._processes: list[Process] = []
        self._starting = asyncio.Lock()
        self._launch: Launch | None = None
        self._failures = 0
        self._not_before = 0.0
        self._last_error: AlgorailError | None = None
        self.restarts = 0
        self.last_used = clock.monotonic()

    @property
    def busy(self) -> bool:
        """Whether any call is under way."""
        return any(process.calls for process in self._processes)

    async def call(
        self, key: str, inputs: dict[str, Any], context: dict[str, Any], emit: Callable[[Any], None]
    ) -> Any:
        """Run a block of the bundle in one of its children (see `Process.call`)."""
        self.last_used = self._clock.monotonic()
        process = await self._pick()
        return await process.call(key, inputs, context, emit)

    async def warm(self) -> None:
        """Start the first child if there is none.

        Raises:
            Unavailable: If it does not start.
        """
        await self._pick()

    async def aclose(self) -> None:
        """End every child."""
        processes, self._processes = self._processes, []
        await asyncio.gather(*(process.aclose() for process in processes))

    async def _pick(self) -> Process:
        best = self._least_loaded()
        if best is not None and (not best.calls or len(self._processes) >= self._size):
            return best
        async with self._starting:
            await self._bury()
            best = self._least_loaded()
            if best is not None and (not best.calls or len(self._processes) >= self._size):
                return best
            return await self._start()

    def _least_loaded(self) -> Process | None:
        alive = [process for process in self._processes if process.alive]
        return min(alive, key=lambda process: len(process.calls)) if alive else None

    async def _bury(self) -> None:
        dead = [process for process in self._processes if not process.alive]
        self._processes = [process for process in self._processes if process.alive]
        self.restarts += len(dead)
        await asyncio.gather(*(process.aclose() for process in dead))

    async def _start(self) -> Process:
        if self._last_error is not None and self._clock.monotonic() < self._not_before:
            raise _again(self._last_error, self._not_before - self._clock.monotonic())
        try:
            process = await self._launched()
        except AlgorailError as error:
            self._failures += 1
            self._last_error = error
            self._not_before = self._clock.monotonic() + min(MAX_PAUSE, 0.5 * 2**self._failures)
            raise
        self._failures, self._last_error = 0, None
        self._processes.append(process)
        return process

    async def _launched(self) -> Process:
        if self._launch is None:
            self._launch = await asyncio.to_thread(self._prepare)
        return await start(self._launch)


def _again(error: AlgorailError, seconds: float) -> Unavailable:
    return Unavailable(
        error.message, code=error.code, cure=error.cure, retryable=error.retryable, retry_after=seconds
    )


Caller = Callable[[str, dict[str, Any], dict[str, Any], Callable[[Any], None]], Awaitable[Any]]
"""The shape of `Pool.call`."""
