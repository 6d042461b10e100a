"""Server-sent events of one run: `delta` as parts come, then one `result` or `error`."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

import orjson
from starlette.types import Send

from algorail.engine.api.problems import problem_document
from algorail.engine.service.calls import Answer
from algorail.engine.service.invoking import Invoker, Prepared

_PENDING: Final = 1_024
"""Parts that may wait for a slow reader; then the oldest are dropped."""

_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]


class EventStream:
    """Parts of an answer on their way to one client.

    The run is never held up by a slow client: beyond a bound, parts are dropped and counted in the next
    event's `dropped`; the `result` event always has the whole answer.

    Args:
        send: The ASGI channel.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._parts: deque[tuple[str, Any]] = deque()
        self._dropped = 0
        self._news = asyncio.Event()

    def emit(self, node: str, delta: Any) -> None:
        """Take a part; never waits."""
        if len(self._parts) >= _PENDING:
            self._parts.popleft()
            self._dropped += 1
        self._parts.append((node, delta))
        self._news.set()

    async def serve(self, invoker: Invoker, prepared: Prepared, identity: list[tuple[bytes, bytes]]) -> None:
        """Run it and send the events."""
        run = asyncio.create_task(invoker.run(prepared))
        run.add_done_callback(lambda _: self._news.set())
        try:
            await self._send(
                {"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *identity]}
            )
            while not run.done():
                await self._news.wait()
                self._news.clear()
                await self._flush()
            await self._flush()
            await self._end(run.result())
        finally:
            if not run.done():
                run.cancel()
                await asyncio.wait([run])

    async def _flush(self) -> None:
        while self._parts:
            node, delta = self._parts.popleft()
            data: dict[str, Any] = {"node": node, "delta": delta}
            if self._dropped:
                data["dropped"], self._dropped = self._dropped, 0
            await self._event("delta", orjson.dumps(data, default=str, option=orjson.OPT_SERIALIZE_NUMPY))

    async def _end(self, answer: Answer) -> None:
        if answer.error is not None:
            document = problem_document(answer.error, run_id=answer.run_id)
            await self._event("error", orjson.dumps(document, default=str))
        else:
            await self._event("result", answer.body)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _event(self, name: str, data: bytes) -> None:
        body = b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


__all__ = ["EventStream"]
