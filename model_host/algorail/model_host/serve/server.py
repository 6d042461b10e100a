"""Uvicorn around the replica's application: readiness is reported, SIGTERM drains."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from types import FrameType

import msgspec
import uvicorn

from algorail.engine.kit.errors import ConfigInvalid
from algorail.model_host.serve.app import Limits, ReplicaApp
from algorail.model_host.serve.runtimes import load
from algorail.model_host.spec import check_name


class ReplicaServer(uvicorn.Server):
    """Turns not ready on the first signal, then finishes what runs.

    Args:
        config: Of uvicorn.
        app: The replica.
        descriptor: Where readiness is reported, -1 for standard output.
    """

    def __init__(self, config: uvicorn.Config, app: ReplicaApp, descriptor: int) -> None:
        super().__init__(config)
        self._app = app
        self._descriptor = descriptor

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, then report it."""
        await super().startup(sockets)
        if sockets and self.started:
            _report(self._descriptor, sockets[0].getsockname()[1])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Not ready from now on."""
        self._app.draining = True
        super().handle_exit(sig, frame)


def serve(options: argparse.Namespace) -> None:
    """Load the model and serve it until a signal comes."""
    manifest, runtime = load(options.path, trust=options.trust)
    if options.name:
        manifest = msgspec.structs.replace(manifest, name=check_name(options.name))
    limits = Limits(max_batch=options.max_batch, max_queue=options.max_queue)
    app = ReplicaApp(manifest, runtime, version=options.version, limits=limits)
    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        timeout_graceful_shutdown=options.grace,
        server_header=False,
        date_header=False,
    )
    try:
        with _listen(options.host, options.port) as listener:
            ReplicaServer(config, app, options.ready_fd).run(sockets=[listener])
    finally:
        app.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigInvalid(
            f"cannot listen on {host}:{port}: {error.strerror}", code="port-unavailable"
        ) from error
    return listener


def _report(descriptor: int, port: int) -> None:
    line = json.dumps({"port": port, "pid": os.getpid()}) + "\n"
    if descriptor < 0:
        sys.stdout.write(line)
        sys.stdout.flush()
        return
    os.write(descriptor, line.encode())
    os.close(descriptor)
