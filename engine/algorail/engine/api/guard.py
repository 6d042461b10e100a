"""The outermost layer: host names, security headers, and a problem document for whatever goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algorail.engine.api.problems import problem_response
from algorail.engine.kit.errors import AlgorailError, InvalidInput

log = logging.getLogger(__name__)

Headers = Iterable[tuple[bytes, bytes]]

_SEEN = 64
"""Spellings of allowed hosts, ports included, that are remembered."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Hosts:
    """Host names that are served.

    A browser page of a foreign site cannot reach a loopback server through a name that it lets resolve
    to 127.0.0.1: its Host header names the foreign site (DNS rebinding).

    Args:
        allowed: Names accepted beside the loopback names; `*` accepts any.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        names = {name.lower() for name in allowed}
        self._any = "*" in names
        self._names = LOOPBACK | names
        self._seen: set[bytes] = set()

    def check(self, host: bytes | None) -> None:
        """Refuse a request whose Host header names somebody else, or that has none.

        Raises:
            InvalidInput: `host-not-allowed`.
        """
        if host in self._seen or self._any or (host is not None and self._knows(host)):
            return
        raise InvalidInput(
            f"the host name {(host or b'').decode('latin-1')!r} is not served here",
            code="host-not-allowed",
            cure="use a loopback address, or add the name to ALGORAIL_ENGINE__ALLOWED_HOSTS",
        )

    def _knows(self, host: bytes) -> bool:
        text = host.decode("latin-1").lower()
        name, colon, port = text.rpartition(":")
        if not colon or not port.isdigit():
            name = text
        if name not in self._names:
            return False
        if len(self._seen) < _SEEN:
            self._seen.add(host)
        return True


class Guard:
    """Checks the Host header and adds security headers to every answer.

    Args:
        app: What is guarded.
        hosts: Names that are served.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *_missing(message.get("headers", ()))]
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, guarded)
        except Exception as error:
            if not isinstance(error, AlgorailError):
                log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            await answer_error(error, send)

    def _check(self, scope: Scope) -> None:
        if b"%00" in scope.get("raw_path", b"") or "\x00" in scope["path"]:
            raise InvalidInput("a path must not contain NUL", code="path-malformed")
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        self._hosts.check(b", ".join(hosts) if hosts else None)


async def answer_error(error: Exception, send: Send, *, run_id: str = "", headers: Headers = ()) -> None:
    """Send the problem document of an error; of one that is not ours only the log says what it was."""
    if not isinstance(error, AlgorailError):
        error = AlgorailError("something went wrong inside the server; its log says what")
    response = problem_response(error, run_id=run_id)
    response.raw_headers += [*headers, *SECURITY_HEADERS]
    start = {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    await send(start)
    await send({"type": "http.response.body", "body": response.body})


def _missing(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    present = {name for name, _ in headers}
    return [pair for pair in SECURITY_HEADERS if pair[0] not in present]


__all__ = ["SECURITY_HEADERS", "Guard", "Hosts", "answer_error"]
