"""Reading request bodies with a limit, before anything parses them."""

from __future__ import annotations

from starlette.types import Message, Receive

from algorail.engine.kit.errors import Cancelled, InvalidInput, LimitExceeded


async def read_body(receive: Receive, limit: int, declared: bytes | None = None) -> bytes:
    """The whole body.

    Args:
        receive: The ASGI channel.
        limit: Bytes accepted.
        declared: The Content-Length header, if it was sent: a body that says it is too large is not read.

    Raises:
        LimitExceeded: `body-too-large`.
        InvalidInput: `content-length-malformed`.
        Cancelled: If the client went away.
    """
    if declared is not None:
        _check_length(declared, limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    return await _read_chunks(receive, limit, message)


async def _read_chunks(receive: Receive, limit: int, message: Message) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()
    raise Cancelled("the client went away before its request was complete", code="client-disconnected")


def _check_length(declared: bytes, limit: int) -> None:
    if not declared.isdigit():
        raise InvalidInput(
            f"Content-Length must be a whole number, got {declared[:40]!r}", code="content-length-malformed"
        )
    if len(declared) > 18 or int(declared) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"the body is larger than {limit} bytes",
        code="body-too-large",
        cure="send less at once, or ask the operator to raise ALGORAIL_ENGINE__BODY_LIMIT_BYTES",
    )


__all__ = ["read_body"]
