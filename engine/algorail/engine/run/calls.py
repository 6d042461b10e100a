"""How a node is called: the block's own function where that is enough, else wrapped with what it needs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from algorail.engine.kind import Effect, Runner, Services
from algorail.engine.run.context import RunContext


@dataclass(frozen=True, slots=True)
class Call:
    """A function that generated code calls.

    Attributes:
        function: Called with the inputs as keyword arguments.
        is_async: Whether it must be awaited.
        wants: What comes first: nothing, a `NodeContext`, or the run's own context.
        effect: What it does to the world, itself or through a sub-algorithm.
        idempotent: For writes: whether doing it twice is the same as once.
        item: How `each` calls it for one item, given (run's context, position, inputs); None if as a block.
    """

    function: Callable[..., Any]
    is_async: bool
    wants: Literal["plain", "context", "engine"] = "plain"
    effect: Effect = Effect.PURE
    idempotent: bool = True
    item: Callable[[RunContext, int, dict[str, Any]], Any] | None = None


class ThreadPool(ThreadPoolExecutor):
    """Threads for blocks declared `in_thread`: bounded, apart from the event loop's default pool."""

    def __init__(self) -> None:
        super().__init__(max_workers=min(32, (os.cpu_count() or 1) * 2), thread_name_prefix="algorail-block")

    def close(self) -> None:
        """Let running calls end, start no other."""
        self.shutdown(wait=False, cancel_futures=True)


def threads(services: Services) -> ThreadPool:
    """The process's pool for such blocks."""
    return services.shared("run.threads", ThreadPool)


def call_of(
    runner: Runner, services: Services, *, effect: Effect = Effect.PURE, idempotent: bool = True
) -> Call:
    """The call of a block without policies."""
    wants: Literal["plain", "context"] = "context" if runner.wants_context else "plain"
    if runner.in_thread and not runner.is_async:
        return Call(in_thread(runner.call, threads(services)), True, wants, effect, idempotent)
    return Call(runner.call, runner.is_async, wants, effect, idempotent)


def in_thread(call: Callable[..., Any], pool: ThreadPool) -> Callable[..., Awaitable[Any]]:
    """An async function that runs a sync one in the pool. A call that has started cannot be cancelled."""

    async def threaded(*args: Any, **inputs: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, partial(call, *args, **inputs))

    return threaded
