"""Tasks that live and die together: the first failure ends all of them at once.

`asyncio.TaskGroup` does the same but costs a task and a wake-up for blocks that finish without waiting;
here such a block is done before `start` returns (Python 3.12 and later), and all of them share one task.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from algorail.engine.run.context import current_task

_Task = asyncio.Task

EAGER = sys.version_info >= (3, 12)

_Coroutine = Coroutine[Any, Any, Any]
Fibre = Callable[[], _Coroutine]


class Scope:
    """The tasks of one region of a run, owned by the task that made it."""

    __slots__ = ("_closed", "_loop", "_owner", "_tasks", "error")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._owner: asyncio.Task[Any] | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._closed = False
        self.error: BaseException | None = None

    if EAGER:

        def start(self, *fibres: Fibre) -> list[asyncio.Task[Any] | None]:
            """Run each up to its first wait, beside the owner. None stands for one that is already done.

            Those that do not wait share a task, for a task is what costs most; one that waits keeps it to
            itself, and the next ones get another.

            Raises:
                BaseException: What one of them raised before it first waited.
            """
            started: list[asyncio.Task[Any] | None] = [None] * len(fibres)
            queue = deque(fibres)
            try:
                while queue:
                    task = _Task(_lane(queue), loop=self._loop, eager_start=True)  # type: ignore[call-arg, unused-ignore]
                    if task.done():
                        task.result()
                    else:
                        started[-1 - len(queue)] = self._watched(task)
            except BaseException:
                queue.clear()
                raise
            return started

    else:

        def start(self, *fibres: Fibre) -> list[asyncio.Task[Any] | None]:
            """Run each beside the owner, from the owner's next wait on."""
            return [self._watched(self._loop.create_task(fibre())) for fibre in fibres]

    def _watched(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        if self._owner is None:
            self._owner = current_task()
        self._tasks.append(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self.error is None and self._owner is not None and not self._closed:
            self.error = error
            self._owner.cancel()

    async def abort(self, error: BaseException) -> BaseException:
        """Cancel what still runs, wait until it is gone, and tell what the cause was.

        Args:
            error: What the owner caught; a cancellation that this scope asked for gives way to its cause.
        """
        self._closed = True
        await end(self._tasks)
        if self.error is None or self._owner is None:
            return error
        self._owner.uncancel()
        return self.error


class Shared:
    """Nodes that several branches may want: each is run by the first that asks, at most once.

    Their failure is the failure of those who ask, not of the run: the asking branch may have an alternative.
    """

    __slots__ = ("_outcomes", "_tasks")

    def __init__(self) -> None:
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._outcomes: dict[int, BaseException | None] = {}

    async def pull(self, node: int, make: Callable[[], _Coroutine]) -> None:
        """Wait until the node has its value; start it if nobody has."""
        task = self._tasks.get(node)
        if task is None:
            task = self._tasks[node] = asyncio.get_running_loop().create_task(make())
            task.add_done_callback(_retrieve)
        if not task.done():
            # Cancelling one of those who wait must not take the value from the others.
            await asyncio.shield(task)
        task.result()

    def pull_now(self, node: int, make: Callable[[], None]) -> None:
        """The same for a node whose whole region is sync."""
        if node not in self._outcomes:
            try:
                make()
            except Exception as error:
                self._outcomes[node] = error
                raise
            self._outcomes[node] = None
        elif (outcome := self._outcomes[node]) is not None:
            raise outcome

    async def close(self) -> None:
        """Cancel what nobody waits for any more."""
        await end(list(self._tasks.values()))


async def _lane(queue: deque[Fibre]) -> None:
    """One after the other, until one waits: by the time it goes on, other lanes have emptied the queue."""
    while queue:
        await queue.popleft()()


async def end(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they are gone."""
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)


def _retrieve(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()
