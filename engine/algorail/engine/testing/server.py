"""A server in a thread, on a free loopback port: for tests that want a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from algorail.engine.api.app import create_app
from algorail.engine.service.engine import Engine
from algorail.engine.service.settings import Settings


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where the server answers and who may do everything there.

    Attributes:
        url: Base address, without a final slash.
        admin_key: The key that the server made when it first started.
        app: The application, whose `state.engine` is the engine.
    """

    url: str
    admin_key: str
    app: FastAPI

    @property
    def engine(self) -> Engine:
        """The engine behind the server. Its coroutines belong to the server's loop: look, do not await."""
        engine: Engine = self.app.state.engine
        return engine


@contextmanager
def running_server(settings: Settings, app: FastAPI | None = None) -> Iterator[RunningServer]:
    """Serve the application of these settings until the block ends.

    Args:
        settings: Settings with a home folder of the test's own; host and port are not used.
        app: An application made with other parts than `create_app(settings)` would take.

    Raises:
        RuntimeError: If it does not start.
    """
    application = app or create_app(settings)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        server = _Server(
            uvicorn.Config(application, log_config=None, access_log=False, timeout_graceful_shutdown=5)
        )
        thread = threading.Thread(target=server.run, args=([listener],), name="algorail-server", daemon=True)
        thread.start()
        try:
            server.wait_started(thread)
            yield RunningServer(f"http://127.0.0.1:{port}", application.state.engine.admin_key(), application)
        finally:
            server.should_exit = True
            thread.join(timeout=30)


class _Server(uvicorn.Server):
    """Tells when it listens, so that nobody polls."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self._listening.set()

    def wait_started(self, thread: threading.Thread) -> None:
        """Return when it listens; raise if the thread ended instead."""
        if not self._listening.wait(timeout=60) or not self.started or not thread.is_alive():
            raise RuntimeError("the server did not start; its log says why")


__all__ = ["RunningServer", "running_server"]
