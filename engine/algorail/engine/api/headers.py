"""Headers of an invocation, read strictly: what is not right is refused, never guessed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.service.calls import DEFAULT_VERSION

_WANTED: Final = {
    b"x-algorail-version": "version",
    b"x-algorail-unit": "unit",
    b"x-algorail-deadline-ms": "deadline",
    b"idempotency-key": "idempotency_key",
    b"traceparent": "traceparent",
    b"accept": "accept",
    b"content-type": "content_type",
    b"content-length": "content_length",
}

LONGEST: Final = 256
"""Characters of a unit or an idempotency key."""


def wanted_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers that an invocation obeys, by short name.

    Raises:
        InvalidInput: `header-malformed`, for one that is not UTF-8 or stands there twice.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        key = _WANTED.get(name)
        if key is None:
            continue
        if key in found and key != "accept":
            raise _malformed(name.decode(), "must be sent once")
        try:
            found[key] = value.decode("utf-8")
        except UnicodeDecodeError:
            raise _malformed(name.decode(), "must be UTF-8") from None
    return found


def version_of(headers: dict[str, str]) -> str:
    """The version asked for: `3`, `@alias`, or the default alias."""
    return headers.get("version", DEFAULT_VERSION) or DEFAULT_VERSION


def seconds_of(headers: dict[str, str], longest: float) -> float | None:
    """Seconds until the caller's deadline, None if it set none.

    Raises:
        InvalidInput: Unless it is a whole number of milliseconds from 1 to the operator's maximum.
    """
    text = headers.get("deadline")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not 0 < int(text) <= longest * 1000:
        raise _malformed(
            "X-Algorail-Deadline-Ms",
            f"must be a whole number of milliseconds from 1 to {longest * 1000:.0f}, got {text[:40]!r}",
        )
    return int(text) / 1000


def short(headers: dict[str, str], key: str, name: str) -> str:
    """A printable header of at most 256 characters; empty if it was not sent."""
    text = headers.get(key, "")
    if len(text) > LONGEST or not text.isprintable():
        raise _malformed(name, f"must be at most {LONGEST} printable characters")
    return text


def require_json(headers: dict[str, str]) -> None:
    """Refuse a body that says it is something else.

    Raises:
        InvalidInput: `media-type-unsupported`.
    """
    media = headers.get("content_type", "application/json").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise InvalidInput(
            f"the body must be application/json, got {media[:80]!r}",
            code="media-type-unsupported",
            cure="send `Content-Type: application/json`",
        )


def _malformed(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"the header {name} {why}", code="header-malformed")


__all__ = ["require_json", "seconds_of", "short", "version_of", "wanted_headers"]
