"""The hot path: one raw ASGI endpoint, bytes in and bytes out, no dependency injection.

It reads the request, lets `service.invoking` do everything, and writes the answer. A client that goes away
cancels its run; the watch for that starts late, so that short runs do not pay for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from algorail.engine.api.auth import Authenticator
from algorail.engine.api.bodies import read_body
from algorail.engine.api.headers import require_json, seconds_of, short, version_of, wanted_headers
from algorail.engine.api.problems import problem_response
from algorail.engine.api.stream import EventStream
from algorail.engine.kit.errors import Cancelled
from algorail.engine.service.calls import Answer, Call
from algorail.engine.service.invoking import Invoker, Prepared

_WATCH_AFTER: Final = 0.05
"""Seconds a run may take before its client is watched: most are done by then."""

_JSON: Final = (b"content-type", b"application/json")


class InvokeEndpoint:
    """`POST /v1/algorithms/{name}/invoke`.

    Args:
        invoker: Runs the call.
        authenticator: Says who calls.
        body_limit: Bytes accepted.
        longest: Longest deadline a caller may ask for, seconds.
    """

    def __init__(
        self, invoker: Invoker, authenticator: Authenticator, *, body_limit: int, longest: float
    ) -> None:
        self._invoker = invoker
        self._authenticator = authenticator
        self._body_limit = body_limit
        self._longest = longest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        principal = await self._authenticator.principal(scope["headers"])
        headers = wanted_headers(scope["headers"])
        require_json(headers)
        length = headers.get("content_length")
        body = await read_body(receive, self._body_limit, None if length is None else length.encode())
        streams = "text/event-stream" in headers.get("accept", "")
        events = EventStream(send) if streams else None
        call = Call(
            algorithm=scope["path_params"]["name"],
            body=body,
            principal=principal,
            version=version_of(headers),
            unit=short(headers, "unit", "X-Algorail-Unit"),
            seconds=seconds_of(headers, self._longest),
            idempotency_key=short(headers, "idempotency_key", "Idempotency-Key"),
            traceparent=headers.get("traceparent", ""),
            emit=events.emit if events else None,
        )
        prepared = await self._invoker.prepare(call)
        try:
            if events is not None:
                await _watched(events.serve(self._invoker, prepared, _identity(prepared)), receive)
                return
            answer = await _watched(self._invoker.run(prepared), receive)
        finally:
            prepared.close()
        await _respond(answer, prepared, scope, receive, send)


async def _respond(answer: Answer, prepared: Prepared, scope: Scope, receive: Receive, send: Send) -> None:
    identity = _identity(prepared, answer)
    if answer.error is not None:
        extra = {name.decode(): value.decode() for name, value in identity}
        await problem_response(answer.error, run_id=answer.run_id, headers=extra)(scope, receive, send)
        return
    length = (b"content-length", str(len(answer.body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [_JSON, length, *identity]})
    await send({"type": "http.response.body", "body": answer.body})


def _identity(prepared: Prepared, answer: Answer | None = None) -> list[tuple[bytes, bytes]]:
    source = answer or prepared
    headers = [
        (b"x-algorail-run-id", source.run_id.encode()),
        (b"x-algorail-version", str(source.version).encode()),
        (b"traceparent", prepared.traceparent.encode()),
    ]
    if source.variant:
        headers.append((b"x-algorail-variant", source.variant.encode()))
    if answer is not None and answer.repeated:
        headers.append((b"idempotency-replayed", b"true"))
    return headers


async def _watched(work: Coroutine[Any, Any, Any], receive: Receive) -> Any:
    """Await the work; cancel it when the client goes away.

    Raises:
        Cancelled: `client-disconnected`: nobody is there to read it.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("an endpoint runs in a task")
    watch = _Watch(task, receive)
    timer = task.get_loop().call_later(_WATCH_AFTER, watch.start)
    try:
        return await work
    except asyncio.CancelledError:
        if not watch.disconnected:
            raise
        task.uncancel()
        raise Cancelled("the client went away", code="client-disconnected") from None
    finally:
        timer.cancel()
        watch.stop()


class _Watch:
    """Waits for the client's disconnection and cancels a task then."""

    def __init__(self, task: asyncio.Task[Any], receive: Receive) -> None:
        self.disconnected = False
        self._task = task
        self._receive = receive
        self._watcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._watcher = self._task.get_loop().create_task(self._wait())

    def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.disconnected = True
        self._task.cancel()


__all__ = ["InvokeEndpoint"]
