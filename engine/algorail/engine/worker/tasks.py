"""What a Celery worker does: one task, which runs the run that it is rung for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown, worker_ready, worker_shutdown
from celery.signals import worker_shutting_down as worker_stopping

from algorail.engine.service.engine import Engine
from algorail.engine.worker.broker import TASK, Bell
from algorail.engine.worker.process import WorkerProcess


def serve_runs(app: Celery, make_engine: Callable[[], Engine]) -> None:
    """Make this process, and those that Celery forks from it, work on runs.

    Args:
        app: From `broker.celery_app`.
        make_engine: Makes a process's engine, when Celery is ready to work and never before a fork.
    """
    local = _Local(app, make_engine)

    def run(run_id: str) -> None:
        local.process().run(run_id)

    app.task(name=TASK)(run)
    worker_process_init.connect(local.begin, weak=False)
    worker_process_shutdown.connect(local.end, weak=False)
    worker_ready.connect(local.begin_unless_forking, weak=False)
    worker_stopping.connect(local.stop, weak=False)
    worker_shutdown.connect(local.end, weak=False)


class _Local:
    """The one `WorkerProcess` of this operating system process."""

    def __init__(self, app: Celery, make_engine: Callable[[], Engine]) -> None:
        self._app = app
        self._make_engine = make_engine
        self._process: WorkerProcess | None = None
        self._lock = threading.Lock()

    def process(self) -> WorkerProcess:
        """It, started."""
        with self._lock:
            if self._process is None:
                process = WorkerProcess(self._make_engine, lambda engine: Bell(self._app, engine))
                process.start()
                self._process = process
            return self._process

    def begin(self, **_signal: Any) -> None:
        self.process()

    def begin_unless_forking(self, sender: Any, **_signal: Any) -> None:
        """A parent of a pool of processes only forks; its children work."""
        if not sender.pool.is_green and "prefork" not in type(sender.pool).__module__:
            self.process()

    def stop(self, **_signal: Any) -> None:
        if self._process is not None:
            self._process.stop()

    def end(self, **_signal: Any) -> None:
        if self._process is not None:
            self._process.join()


__all__ = ["serve_runs"]
