"""Which executor the settings ask for."""

from __future__ import annotations

from algorail.engine.service.asynchronous import Executor
from algorail.engine.service.engine import Engine
from algorail.engine.worker.embedded import EmbeddedExecutor


def executor_of(engine: Engine) -> Executor:
    """A worker in this process; with a broker, one that tells the Celery workers."""
    if not engine.settings.engine.broker_url:
        return EmbeddedExecutor(engine)
    # Celery takes longer to import than the rest of the server.
    from algorail.engine.worker.broker import CeleryExecutor  # noqa: PLC0415

    return CeleryExecutor(engine)


__all__ = ["executor_of"]
