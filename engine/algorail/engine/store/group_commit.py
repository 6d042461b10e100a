"""Group commit: many small writes, one transaction, one fsync.

    commits = GroupCommit(database)
    lost = await commits.write(checkpoint_all, entry)

While one transaction is being committed the next writes gather; those of the same kind are handed over
together. It knows no table.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection

from algorail.engine.kit.errors import AlgorailError, Unavailable
from algorail.engine.store.database import Database

P = TypeVar("P")
R = TypeVar("R")

Work = Callable[[Connection, Sequence[P]], Sequence[R | AlgorailError]]
"""Writes items of one kind; one outcome an item, an error for those that were refused without harm."""

_PAUSE = 0.05
"""Seconds before a database that did not answer is asked again."""


@dataclass(slots=True, eq=False)
class _Item:
    work: Work[Any, Any]
    payload: Any
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    until: float
    outcome: Any = field(default=None)


class GroupCommit:
    """One thread that commits for everybody on any event loop; it starts with the first write.

    Args:
        database: Where to write.
        patience: Seconds that a write is tried again while the database does not answer.
        group: Writes in one transaction at most.
    """

    def __init__(self, database: Database, *, patience: float = 10.0, group: int = 512) -> None:
        self._database = database
        self._patience = patience
        self._group = group
        self._wake = threading.Condition()
        self._waiting: deque[_Item] = deque()
        self._thread: threading.Thread | None = None
        self._closing = False

    async def write(self, work: Work[P, R], payload: P) -> R:
        """Return what the work made of the payload, after COMMIT.

        Raises:
            AlgorailError: What the work refused this payload with.
            Unavailable: If the database did not answer in time, or this is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        item = _Item(work, payload, loop, future, time.monotonic() + self._patience)
        with self._wake:
            if self._closing:
                raise Unavailable("the database is being closed", code="shutting-down", retry_after=1)
            self._waiting.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="algorail-commit", daemon=True)
                self._thread.start()
            self._wake.notify()
        return await future

    def close(self) -> None:
        """Commit what waits, then end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                if not self._waiting:
                    return
                items = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._group))]
            self._commit(items)
            _settle(items)

    def _commit(self, items: list[_Item]) -> None:
        """All in one transaction; if one of them cannot be written, each in its own."""
        try:
            self._attempt(items)
        except Exception as error:  # noqa: BLE001  # every caller is told what became of its own write
            if len(items) == 1:
                items[0].outcome = error
                return
            for item in items:
                self._commit([item])

    def _attempt(self, items: list[_Item]) -> None:
        while True:
            try:
                with self._database.write() as tx:
                    for group in _by_work(items):
                        outcomes = group[0].work(tx, [item.payload for item in group])
                        for item, outcome in zip(group, outcomes, strict=True):
                            item.outcome = outcome
            except Unavailable as error:
                if self._closing or all(item.until < time.monotonic() for item in items):
                    for item in items:
                        item.outcome = error
                    return
                time.sleep(_PAUSE)
            else:
                return


def _by_work(items: Sequence[_Item]) -> Sequence[Sequence[_Item]]:
    groups: dict[Work[Any, Any], list[_Item]] = {}
    for item in items:
        groups.setdefault(item.work, []).append(item)
    return list(groups.values())


def _settle(items: Sequence[_Item]) -> None:
    """Resolve futures, with one call into each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Item]] = {}
    for item in items:
        by_loop.setdefault(item.loop, []).append(item)
    for loop, mine in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(items: Sequence[_Item]) -> None:
    for item in items:
        if item.future.done():
            continue
        if isinstance(item.outcome, BaseException):
            item.future.set_exception(item.outcome)
        else:
            item.future.set_result(item.outcome)


__all__ = ["GroupCommit", "Work"]
