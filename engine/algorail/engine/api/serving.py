"""Runs the application on a listening socket, and says when it answers."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from algorail.engine.kit.errors import Unavailable

DRAIN_SECONDS = 20
"""How long runs under way may take to end after a stop."""


class _Announcing(uvicorn.Server):
    """Calls back once it listens, and when it is over (uvicorn ends the process by the signal it got)."""

    def __init__(
        self, config: uvicorn.Config, on_ready: Callable[[], None], on_stop: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce."""
        await super().startup(sockets)
        if self.started:
            # What was made until now stays: going over it again and again costs a quarter of a short run.
            gc.freeze()
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Announce, then stop."""
        self._on_stop()
        await super().shutdown(sockets)


def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    on_stop: Callable[[], None],
    log_level: str = "warning",
) -> None:
    """Serve until a signal says stop; requests under way are finished first.

    Args:
        app: From `create_app`.
        listener: A bound socket.
        on_ready: Called when it answers.
        on_stop: Called when it is told to stop, before the last requests are finished.
        log_level: Of uvicorn and Algorail, such as `warning`.

    Raises:
        Unavailable: `server-failed`, if it does not start; the log says why.
    """
    config = uvicorn.Config(
        app,
        log_level=log_level,
        access_log=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        server_header=False,
        proxy_headers=False,  # nothing here asks for the address or the scheme of a caller
    )
    server = _Announcing(config, on_ready, on_stop)
    server.run(sockets=[listener])
    if not server.started:
        raise Unavailable("the server did not start", code="server-failed", cure="see the lines above")
