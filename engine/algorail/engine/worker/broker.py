"""Doorbells through Celery: messages carry a run's id and nothing else, and any of them may be lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from algorail.engine.kit.errors import AlgorailError
from algorail.engine.service.engine import Engine
from algorail.engine.store import queue

log = logging.getLogger(__name__)

TASK = "algorail.run"
QUEUE = "algorail"

_HARD_LIMITS = 2
_ANSWER_SECONDS = 5
_START_SECONDS = 60.0
"""A forked worker starts an engine before it says that it is up; Celery's 4 s would kill it."""


def celery_app(broker_url: str, *, deadline: float) -> Celery:
    """The Celery application of workers and of those who ring.

    Messages are acknowledged as soon as they are read: a run whose worker dies comes back when its lease
    is over, whatever the broker remembers. No result is kept and nothing but JSON is read.

    Args:
        broker_url: Redis or Valkey address.
        deadline: Longest time that a run may take, seconds.
    """
    app = Celery("algorail", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_proc_alive_timeout=_START_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": int(_HARD_LIMITS * deadline),
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": _ANSWER_SECONDS,
            "socket_connect_timeout": _ANSWER_SECONDS,
        },
    )
    return app


class Bell:
    """Rings for runs from an event loop: publishes in a thread, several at once, and forgets what was taken.

    Args:
        app: The Celery application.
        engine: Whose outbox it empties.
    """

    def __init__(self, app: Celery, engine: Engine) -> None:
        self._app = app
        self._engine = engine
        self._waiting: dict[str, None] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to publish."""
        self._task = asyncio.create_task(self._publish())

    def ring(self, run_ids: Sequence[str]) -> None:
        """Publish these soon. Called on the event loop."""
        self._waiting.update(dict.fromkeys(run_ids))
        self._news.set()

    async def aclose(self) -> None:
        """Stop; what is not published stays in the outbox."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _publish(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            run_ids, self._waiting = list(self._waiting), {}
            try:
                await asyncio.to_thread(self._send, run_ids)
            except (OperationalError, OSError, AlgorailError) as error:
                log.warning("%d doorbells were not rung, a sweeper will: %s", len(run_ids), error)

    def _send(self, run_ids: Sequence[str]) -> None:
        with self._app.producer_or_acquire() as producer:
            for run_id in run_ids:
                self._app.send_task(TASK, args=(run_id,), producer=producer, retry=False, ignore_result=True)
        with self._engine.database.write() as tx:
            queue.rung(tx, run_ids)


class CeleryExecutor:
    """Tells Celery workers of new runs; works on none itself.

    Args:
        engine: A started engine with a broker in its settings.
    """

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings.engine
        self._app: Any = celery_app(settings.broker_url, deadline=settings.async_deadline)
        self._bell = Bell(self._app, engine)

    async def start(self) -> None:
        """Begin to ring."""
        self._bell.start()

    def ring(self, run_ids: Sequence[str]) -> None:
        """These runs are committed."""
        self._bell.ring(run_ids)

    async def aclose(self) -> None:
        """Ring no more."""
        await self._bell.aclose()
        await asyncio.to_thread(self._app.close)


__all__ = ["QUEUE", "TASK", "Bell", "CeleryExecutor", "celery_app"]
