"""The hot path: one raw ASGI endpoint, bytes in and bytes out, no router, no middleware, no injection.

It reads the request in one pass, lets `service.invoking` do everything, and writes the answer.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from starlette.types import Receive, Scope, Send

from algorail.engine.api.auth import Authenticator, presented_key
from algorail.engine.api.bodies import read_body
from algorail.engine.api.guard import SECURITY_HEADERS, Hosts, answer_error
from algorail.engine.api.headers import (
    WISHES,
    Sent,
    require_json,
    seconds_of,
    short_of,
    text_of,
    version_of,
    wanted_headers,
)
from algorail.engine.api.stream import EventStream
from algorail.engine.kit.errors import AlgorailError
from algorail.engine.kit.ids import NAME
from algorail.engine.service.calls import Answer, Call
from algorail.engine.service.invoking import Invoker, Prepared

log = logging.getLogger(__name__)

_BEFORE: Final = "/v1/algorithms/"
_AFTER: Final = "/invoke"
_PATHS: Final = 1_024
"""Paths whose algorithms are remembered."""

_FIXED: Final = ((b"content-type", b"application/json"), *SECURITY_HEADERS)
_STREAM: Final = b"text/event-stream"


class InvokeEndpoint:
    """`POST /v1/algorithms/{name}/invoke`.

    Args:
        invoker: Runs the call.
        authenticator: Says who calls.
        hosts: Host names that are served.
        body_limit: Bytes accepted.
        longest: Longest deadline a caller may ask for, seconds.
    """

    def __init__(
        self,
        invoker: Invoker,
        authenticator: Authenticator,
        *,
        hosts: Hosts,
        body_limit: int,
        longest: float,
    ) -> None:
        self._invoker = invoker
        self._authenticator = authenticator
        self._hosts = hosts
        self._body_limit = body_limit
        self._longest = longest
        self._names: dict[str, str] = {}

    def algorithm_of(self, scope: Scope) -> str | None:
        """The algorithm that a request invokes; None if it is for anybody else."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return None
        path: str = scope["path"]
        return self._names.get(path) or self._read_name(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a call that came through the router."""
        await self.serve(scope["path_params"]["name"], scope, receive, send)

    async def serve(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call of an algorithm."""
        try:
            sent = wanted_headers(scope["headers"])
            call = await self._call(name, sent, receive)
            events = EventStream(send) if _STREAM in sent.get(b"accept", b"") else None
            if events is not None:
                call.emit = events.emit
            prepared = await self._invoker.prepare(call)
            try:
                answer = None if events is not None else await self._invoker.run(prepared)
            finally:
                if events is None:
                    prepared.close()
        except AlgorailError as error:
            await answer_error(error, send)
            return
        except Exception as error:
            log.exception("a call of %s failed", name)
            await answer_error(error, send)
            return
        if answer is not None:
            await _respond(answer, prepared, send)
        elif events is not None:
            await self._stream(events, prepared)

    async def _call(self, name: str, sent: Sent, receive: Receive) -> Call:
        self._hosts.check(sent.get(b"host"))
        key = presented_key(sent.get(b"authorization"), sent.get(b"x-api-key"))
        principal = self._authenticator.remembered(key) or await self._authenticator.owner(key)
        require_json(sent)
        body = await read_body(receive, self._body_limit, sent.get(b"content-length"))
        call = Call(algorithm=name, body=body, principal=principal, gone=partial(_gone, receive))
        if not WISHES.isdisjoint(sent):
            self._obey(sent, call)
        return call

    def _obey(self, sent: Sent, call: Call) -> None:
        """What else the caller wishes; most wish nothing."""
        call.version = version_of(sent)
        call.unit = short_of(sent, b"x-algorail-unit")
        call.seconds = seconds_of(sent, self._longest)
        call.idempotency_key = short_of(sent, b"idempotency-key")
        call.traceparent = text_of(sent, b"traceparent")

    async def _stream(self, events: EventStream, prepared: Prepared) -> None:
        try:
            await events.serve(self._invoker, prepared, [*_identity(prepared), *SECURITY_HEADERS])
        finally:
            prepared.close()

    def _read_name(self, path: str) -> str | None:
        """The algorithm in a path, remembered; whatever is strange about a path is the router's business."""
        if not (path.startswith(_BEFORE) and path.endswith(_AFTER)):
            return None
        name = path[len(_BEFORE) : -len(_AFTER)]
        if NAME.match(name) is None:
            return None
        if len(self._names) < _PATHS:
            self._names[path] = name
        return name


async def _respond(answer: Answer, prepared: Prepared, send: Send) -> None:
    identity = _identity(prepared, answer)
    if answer.error is not None:
        await answer_error(answer.error, send, run_id=answer.run_id, headers=identity)
        return
    length = (b"content-length", b"%d" % len(answer.body))
    await send({"type": "http.response.start", "status": 200, "headers": [*_FIXED, length, *identity]})
    await send({"type": "http.response.body", "body": answer.body})


def _identity(prepared: Prepared, answer: Answer | None = None) -> list[tuple[bytes, bytes]]:
    source = answer or prepared
    headers = [
        (b"x-algorail-run-id", source.run_id.encode()),
        (b"x-algorail-version", b"%d" % source.version),
        (b"traceparent", prepared.traceparent.encode()),
    ]
    if source.variant:
        headers.append((b"x-algorail-variant", source.variant.encode()))
    if answer is not None and answer.repeated:
        headers.append((b"idempotency-replayed", b"true"))
    return headers


async def _gone(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


__all__ = ["InvokeEndpoint"]
