"""The outermost layer: host names, security headers, and a problem document for whatever goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from algorail.engine.api.problems import problem_response
from algorail.engine.kit.errors import AlgorailError, InvalidInput

log = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

SECURITY_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """Checks the Host header and adds security headers to every answer.

    A browser page of a foreign site cannot reach a loopback server through a name that it lets resolve
    to 127.0.0.1: its Host header names the foreign site (DNS rebinding).

    Args:
        app: What is guarded.
        allowed_hosts: Names accepted beside the loopback names; `*` accepts any.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] = ()) -> None:
        self._app = app
        names = {name.lower() for name in allowed_hosts}
        self._any = "*" in names
        self._hosts = LOOPBACK | names
        self._seen: set[bytes] = set()

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
        except AlgorailError as error:
            if started:
                raise
            await problem_response(error)(scope, receive, guarded)
        except Exception:
            log.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            internal = AlgorailError("something went wrong inside the server; its log says what")
            await problem_response(internal)(scope, receive, guarded)

    def _check(self, scope: Scope) -> None:
        if b"%00" in scope.get("raw_path", b"") or "\x00" in scope["path"]:
            raise InvalidInput("a path must not contain NUL", code="path-malformed")
        if self._any:
            return
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and (hosts[0] in self._seen or self._allowed(hosts[0])):
            return
        raise InvalidInput(
            f"the host name {b', '.join(hosts).decode('latin-1')!r} is not served here",
            code="host-not-allowed",
            cure="use a loopback address, or add the name to ALGORAIL_ENGINE__ALLOWED_HOSTS",
        )

    def _allowed(self, host: bytes) -> bool:
        text = host.decode("latin-1").lower()
        name, colon, port = text.rpartition(":")
        if not colon or not port.isdigit():
            name = text
        if name not in self._hosts:
            return False
        if len(self._seen) < 64:
            self._seen.add(host)
        return True


def _missing(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    present = {name for name, _ in headers}
    return [pair for pair in SECURITY_HEADERS if pair[0] not in present]


__all__ = ["SECURITY_HEADERS", "Guard"]
