"""Warm children of one bundle: started when first needed, replaced when they die, ended when idle."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import AlgorailError, Unavailable
from algorail.engine.registry.bundles.process import Launch, NeverBegun, Process, start

MAX_PAUSE = 30.0
"""Longest wait before a bundle whose children die at once is tried again, seconds."""

MAX_CHILDREN = 3
"""Children that may die before a call that waits in them begins."""


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
        self._starting: asyncio.Task[None] | None = None
        self._launch: Launch | None = None
        self._callers = 0
        self._failures = 0
        self._not_before = 0.0
        self._last_error: AlgorailError | None = None
        self.restarts = 0
        self.last_used = clock.monotonic()

    @property
    def busy(self) -> bool:
        """Whether any call is under way or waits for a child."""
        return bool(self._callers) or any(process.calls for process in self._processes)

    async def call(
        self, key: str, inputs: dict[str, Any], context: dict[str, Any], emit: Callable[[Any], None]
    ) -> Any:
        """Run a block of the bundle in one of its children (see `Process.call`)."""
        self.last_used = self._clock.monotonic()
        self._callers += 1
        try:
            for _ in range(MAX_CHILDREN):
                process = await self._pick()
                with contextlib.suppress(NeverBegun):
                    return await process.call(key, inputs, context, emit)
        finally:
            self._callers -= 1
        raise Unavailable(f"{MAX_CHILDREN} workers of a code bundle died in a row", code="bundle-crashed")

    async def warm(self) -> None:
        """Start the first child if there is none.

        Raises:
            Unavailable: If it does not start.
        """
        self._callers += 1
        try:
            await self._pick()
        finally:
            self._callers -= 1

    async def aclose(self) -> None:
        """End every child."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        processes, self._processes = self._processes, []
        await asyncio.gather(*(process.aclose() for process in processes))

    async def _pick(self) -> Process:
        while True:
            alive = [process for process in self._processes if process.alive]
            best = min(alive, key=lambda process: len(process.calls), default=None)
            if best is not None and (not best.calls or len(alive) >= self._size):
                return best
            try:
                await self._started()
            except AlgorailError:
                if best is not None and best.alive:
                    return best
                raise

    async def _started(self) -> None:
        """Wait for one more child. Its start belongs to no caller: it goes on when they give up.

        Otherwise callers in a hurry would end every child before it is ready, and none would ever be.
        """
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(self._start_ended)
        await asyncio.shield(self._starting)

    def _start_ended(self, task: asyncio.Task[None]) -> None:
        self._starting = None
        if not task.cancelled():
            task.exception()  # is kept in `_last_error`; perhaps nobody waits for it any more

    async def _start(self) -> None:
        await self._bury()
        if self._last_error is not None and self._clock.monotonic() < self._not_before:
            raise _again(self._last_error, self._not_before - self._clock.monotonic())
        try:
            if self._launch is None:
                self._launch = await asyncio.to_thread(self._prepare)
            self._processes.append(await start(self._launch))
        except AlgorailError as error:
            self._failures += 1
            self._last_error = error
            self._not_before = self._clock.monotonic() + min(MAX_PAUSE, 0.5 * 2**self._failures)
            raise
        self._failures, self._last_error = 0, None

    async def _bury(self) -> None:
        dead = [process for process in self._processes if not process.alive]
        self._processes = [process for process in self._processes if process.alive]
        self.restarts += len(dead)
        await asyncio.gather(*(process.aclose() for process in dead))


def _again(error: AlgorailError, seconds: float) -> Unavailable:
    return Unavailable(
        error.message, code=error.code, cure=error.cure, retryable=error.retryable, retry_after=seconds
    )


Caller = Callable[[str, dict[str, Any], dict[str, Any], Callable[[Any], None]], Awaitable[Any]]
"""The shape of `Pool.call`."""
