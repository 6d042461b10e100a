"""Headers of an invocation, read strictly: what is not right is refused, never guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.service.calls import DEFAULT_VERSION

Sent = Mapping[bytes, bytes]
"""Headers of a call as they came, by lower-case name."""

WISHES: Final = frozenset(
    (
        b"x-algorail-version",
        b"x-algorail-unit",
        b"x-algorail-deadline-ms",
        b"idempotency-key",
        b"traceparent",
    )
)
"""Headers that say how a call is to be run."""

_ONCE: Final = WISHES | {b"content-type", b"content-length"}
_WANTED: Final = _ONCE | {b"host", b"authorization", b"x-api-key", b"accept"}

_JSON: Final = b"application/json"

LONGEST: Final = 256
"""Characters of a unit or an idempotency key."""


def wanted_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that an invocation obeys, in one pass.

    Those that stand there twice are joined with a comma, as HTTP reads them: two hosts or keys are then none.

    Raises:
        InvalidInput: `header-malformed`, for one of ours that stands there twice.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name not in _WANTED:
            continue
        if name not in found:
            found[name] = value
        elif name in _ONCE:
            raise _malformed(name.decode(), "must be sent once")
        else:
            found[name] += b", " + value
    return found


def version_of(sent: Sent) -> str:
    """The version asked for: `3`, `@alias`, or the default alias."""
    return text_of(sent, b"x-algorail-version") or DEFAULT_VERSION


def seconds_of(sent: Sent, longest: float) -> float | None:
    """Seconds until the caller's deadline, None if it set none.

    Raises:
        InvalidInput: Unless it is a whole number of milliseconds from 1 to the operator's maximum.
    """
    if b"x-algorail-deadline-ms" not in sent:
        return None
    text = text_of(sent, b"x-algorail-deadline-ms")
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not 0 < int(text) <= longest * 1000:
        raise _malformed(
            "X-Algorail-Deadline-Ms",
            f"must be a whole number of milliseconds from 1 to {longest * 1000:.0f}, got {text[:40]!r}",
        )
    return int(text) / 1000


def short_of(sent: Sent, name: bytes) -> str:
    """A printable header of at most 256 characters; empty if it was not sent."""
    text = text_of(sent, name)
    if len(text) > LONGEST or not text.isprintable():
        raise _malformed(name.decode(), f"must be at most {LONGEST} printable characters")
    return text


def text_of(sent: Sent, name: bytes) -> str:
    """A header as text; empty if it was not sent.

    Raises:
        InvalidInput: `header-malformed`, if it is not UTF-8.
    """
    value = sent.get(name)
    if value is None:
        return ""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise _malformed(name.decode(), "must be UTF-8") from None


def require_json(sent: Sent) -> None:
    """Refuse a body that says it is something else.

    Raises:
        InvalidInput: `media-type-unsupported`.
    """
    if sent.get(b"content-type", _JSON) == _JSON:
        return
    media = text_of(sent, b"content-type").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise InvalidInput(
            f"the body must be application/json, got {media[:80]!r}",
            code="media-type-unsupported",
            cure="send `Content-Type: application/json`",
        )


def _malformed(name: str, why: str) -> InvalidInput:
    return InvalidInput(f"the header {name} {why}", code="header-malformed")


__all__ = [
    "WISHES",
    "Sent",
    "require_json",
    "seconds_of",
    "short_of",
    "text_of",
    "version_of",
    "wanted_headers",
]
