"""Servers that answer as a test says, on real sockets; and the services a block is built with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn

from algorail.blocks.model_call import KIND
from algorail.engine.kit.errors import NotFound


class FakeClock:
    def __init__(self):
        self.time = 1000.0

    def now_ns(self):
        return int(self.time * 1e9)

    def monotonic(self):
        return self.time


class FakeSecrets:
    def __init__(self, **known):
        self.known = known

    def resolve(self, reference):
        if reference not in self.known:
            raise NotFound(f"no secret {reference!r}")
        return self.known[reference]


class FakeServices:
    def __init__(self, home: Path, settings: dict[str, Any] | None = None, **secrets: str):
        self.home = home
        self.secrets = FakeSecrets(**secrets)
        self.clock = FakeClock()
        self.settings = {"model_call": settings or {}}
        self._shared: dict[str, Any] = {}

    def shared(self, key, make):
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    async def aclose(self):
        for thing in self._shared.values():
            if hasattr(thing, "aclose"):
                await thing.aclose()


class FakeContext:
    run_id = "run_1"
    node_id = "classify"
    attempt = 1
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def __init__(self, seconds=None):
        self.seconds = seconds
        self.deltas = []

    def remaining(self):
        return self.seconds

    def effect_key(self):
        return "run_1.classify"

    def emit(self, delta):
        self.deltas.append(delta)


class Server:
    """An ASGI server in a thread, kept for all tests. `answers` are used one after the other, the last for ever."""

    def __init__(self):
        self.answers = []
        self.requests = []
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
            loop="asyncio",
        )
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(10)

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self.released = asyncio.Event()
        startup = self._server.startup

        async def report(**options):
            await startup(**options)
            self._ready.set()

        self._server.startup = report
        await self._server.serve(sockets=[self._socket])

    def use(self, answers):
        self.answers = list(answers)
        self.requests = []
        self.released = asyncio.Event()

    def release(self):
        self._loop.call_soon_threadsafe(self.released.set)

    def stop(self):
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    async def _app(self, scope, receive, send):
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["path"], headers, json.loads(body)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await answer(self, send)


class Servers:
    """Lends servers to tests."""

    def __init__(self):
        self.idle = []

    @contextlib.contextmanager
    def __call__(self, *answers):
        server = self.idle.pop() if self.idle else Server()
        server.use(answers)
        try:
            yield server
        finally:
            server.release()
            self.idle.append(server)


@pytest.fixture(scope="session")
def servers():
    made = Servers()
    yield made
    for server in made.idle:
        server.stop()


def answering(body, status=200, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answer(server, send):
        head = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": data})

    return answer


async def never(server, send):
    """Holds the request until the test is over."""
    await server.released.wait()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


async def hang_up(server, send):
    """Ends in the middle of the answer."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def make_config(**fields):
    return msgspec.convert(fields, KIND.config)


class Harness:
    """Calls blocks on one event loop with one set of services, as an engine process does."""

    Context = FakeContext
    answering = staticmethod(answering)
    never = staticmethod(never)
    hang_up = staticmethod(hang_up)
    closed_port = staticmethod(closed_port)
    config = staticmethod(make_config)

    def __init__(self, home, servers):
        self.home = home
        self.Server = servers
        self.runner = asyncio.Runner()
        self.services = FakeServices(home)

    def set(self, **settings):
        secrets = settings.pop("secrets", {})
        self.services = FakeServices(self.home, settings, **secrets)

    def model(self, *urls, name="m", **rest):
        self.set(models={name: {"urls": list(urls), **rest}})

    def block(self, **fields):
        return KIND.build(make_config(**{"model": "m", **fields}), self.services).call

    def call(self, block, ctx=None, **inputs):
        return self.runner.run(block(ctx or FakeContext(), **inputs))


@pytest.fixture
def harness(tmp_path, servers):
    made = Harness(tmp_path, servers)
    with made.runner:
        yield made
        made.runner.run(made.services.aclose())
