"""The ASGI application of a replica: exact routes, raw bodies, no framework between a request and the
model.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson

from algorail.engine.kit.errors import (
    AlgorailError,
    DeadlineExceeded,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Overloaded,
    Unavailable,
)
from algorail.model_host.serve.batching import Batcher
from algorail.model_host.serve.metrics import ReplicaMetrics
from algorail.model_host.serve.plain import PlainJson
from algorail.model_host.serve.protocol_v2 import ProtocolV2
from algorail.model_host.serve.runtimes import Runtime
from algorail.model_host.spec import Manifest

log = logging.getLogger("algorail.model_host.serve")

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]

_STATUSES: Mapping[type[AlgorailError], int] = {
    InvalidInput: 400,
    NotFound: 404,
    LimitExceeded: 413,
    Overloaded: 429,
    Unavailable: 503,
    DeadlineExceeded: 504,
}
_JSON = (b"content-type", b"application/json")
_TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one replica accepts.

    Attributes:
        max_batch: Rows of one model call.
        max_queue: Rows that may wait; more are refused with 429.
        max_rows: Rows of one request.
        max_body: Bytes of one request body.
    """

    max_batch: int = 64
    max_queue: int = 1024
    max_rows: int = 10_000
    max_body: int = 64 * 1024 * 1024


@dataclass(slots=True)
class _Answer:
    body: bytes
    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [_JSON])


_Handler: TypeAlias = Callable[[], _Answer]
_Infer: TypeAlias = Callable[[bytes, float], Awaitable[_Answer]]


class ReplicaApp:
    """Serves one loaded model.

    Args:
        manifest: Its description.
        runtime: The model.
        version: Its version, part of the versioned paths.
        limits: What is accepted.
    """

    def __init__(
        self, manifest: Manifest, runtime: Runtime, *, version: str = "1", limits: Limits | None = None
    ) -> None:
        limits = limits or Limits()
        self.draining = False
        self._manifest = manifest
        self._max_body = limits.max_body
        self._metrics = ReplicaMetrics(manifest.name, version, lambda: self._batcher.queued_rows)
        self._batcher = Batcher(
            runtime,
            manifest.outputs,
            max_batch=limits.max_batch,
            max_queue=limits.max_queue,
            observe=self._metrics.observe_batch,
        )
        self._v2 = ProtocolV2(manifest, version, limits.max_rows)
        self._plain = PlainJson(manifest, limits.max_rows)
        self._gets, self._posts = self._routes(version)

    def close(self) -> None:
        """Let the model's thread go."""
        self._batcher.close()

    def _routes(self, version: str) -> tuple[dict[str, _Handler], dict[str, tuple[str, _Infer]]]:
        model = f"/v2/models/{self._manifest.name}"
        versioned = f"{model}/versions/{version}"
        plain = f"/v1/models/{self._manifest.name}"
        metadata = _json(self._v2.metadata())
        server = _json({"name": "algorail", "version": "1", "extensions": []})
        schema = _json(self._plain.metadata(version))
        gets: dict[str, _Handler] = {
            "/v2": lambda: server,
            "/v2/health/live": lambda: _json({"live": True}),
            "/v2/health/ready": lambda: self._ready({"ready": not self.draining}),
            model: lambda: metadata,
            versioned: lambda: metadata,
            f"{model}/ready": lambda: self._ready({"name": self._manifest.name, "ready": not self.draining}),
            f"{versioned}/ready": lambda: self._ready(
                {"name": self._manifest.name, "ready": not self.draining}
            ),
            plain: lambda: schema,
            "/healthz": lambda: _json({"status": "ok"}),
            "/readyz": lambda: self._ready({"ready": not self.draining}),
            "/metrics": lambda: _Answer(self._metrics.render(), headers=[_TEXT]),
        }
        posts: dict[str, tuple[str, _Infer]] = {
            f"{model}/infer": ("v2", self._infer),
            f"{versioned}/infer": ("v2", self._infer),
            f"{plain}/predict": ("v1", self._predict),
        }
        return gets, posts

    def _ready(self, body: dict[str, Any]) -> _Answer:
        return _json(body, 503 if self.draining else 200)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        route = self._posts.get(scope["path"])
        if route is not None and scope["method"] == "POST":
            answer = await self._measured(*route, scope, receive)
        else:
            answer = self._other(scope["method"], scope["path"])
        headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body if scope["method"] != "HEAD" else b""})

    async def _measured(self, protocol: str, infer: _Infer, scope: Scope, receive: Receive) -> _Answer:
        start = time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            deadline = _deadline(scope["headers"])
            answer = await infer(await self._body(receive), deadline)
        except AlgorailError as error:
            answer = _failure(error)
        finally:
            self._metrics.in_flight.dec()
        self._metrics.observe_request(protocol, answer.status, time.perf_counter() - start)
        return answer

    async def _infer(self, body: bytes, deadline: float) -> _Answer:
        request, inputs, rows = self._v2.decode(body)
        return _Answer(self._v2.encode(request, await self._batcher.submit(inputs, rows, deadline)))

    async def _predict(self, body: bytes, deadline: float) -> _Answer:
        many, inputs, rows = self._plain.decode(body)
        return _Answer(self._plain.encode(many, await self._batcher.submit(inputs, rows, deadline)))

    async def _body(self, receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body"):
            parts, size = [body], len(body)
            while message.get("more_body") and size <= self._max_body:
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
            body = b"".join(parts)
        if len(body) > self._max_body:
            raise LimitExceeded(f"the body has more than {self._max_body} bytes", code="body-too-large")
        return body

    def _other(self, method: str, path: str) -> _Answer:
        handler = self._gets.get(path)
        if handler is not None and method in ("GET", "HEAD"):
            return handler()
        if handler is not None or path in self._posts:
            return _json({"error": f"{path} does not take {method}"}, 405)
        if path.startswith(("/v1/models/", "/v2/models/")):
            name = path.split("/")[3]
            if name != self._manifest.name:
                return _json(
                    {"error": f"unknown model {name!r}; this replica serves {self._manifest.name!r}"}, 404
                )
            return _json({"error": f"no such version or operation of model {name!r}: {path}"}, 404)
        return _json({"error": f"no such path: {path}"}, 404)


def _deadline(headers: list[tuple[bytes, bytes]]) -> float:
    """When the caller gives up, on the clock of the event loop."""
    for name, value in headers:
        if name == b"x-deadline-ms":
            if not value.isdigit() or len(value) > 12:
                raise InvalidInput(
                    f"X-Deadline-Ms == {value!r}, must be whole milliseconds", code="deadline-invalid"
                )
            return asyncio.get_running_loop().time() + int(value) / 1000
    return math.inf


def _failure(error: AlgorailError) -> _Answer:
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)
    if status == 500:
        log.error("%s", error, exc_info=error)
    answer = _json({"error": error.message, "code": error.code}, status)
    if isinstance(error, Overloaded):
        answer.headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after or 0))))
    return answer


def _json(body: dict[str, Any], status: int = 200) -> _Answer:
    return _Answer(orjson.dumps(body), status, [_JSON])
