"""Proving who calls: keys in headers, checked against their hashes, remembered for a moment."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from typing import Protocol

from algorail.engine.kit.clock import SYSTEM_CLOCK, Clock
from algorail.engine.kit.errors import Forbidden
from algorail.engine.service.principal import Principal

_REMEMBERED = 1_024


class KeyCheck(Protocol):
    """What authentication needs of the key service."""

    def principal(self, key: str) -> Principal | None:
        """Whose key it is; None for unknown and revoked ones. Blocking."""
        ...


class Authenticator:
    """Finds the principal of a request.

    Keys are remembered by their hash: a look-up by it takes the same time whatever a guess has in common
    with a real key.

    Args:
        keys: Where keys are checked.
        ttl: Seconds a checked key is remembered.
        clock: Where to read the time.
    """

    def __init__(self, keys: KeyCheck, ttl: float, clock: Clock = SYSTEM_CLOCK) -> None:
        self._keys = keys
        self._ttl = ttl
        self._clock = clock
        self._known: dict[bytes, tuple[Principal, float]] = {}

    async def principal(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """Who sent these headers.

        Raises:
            Forbidden: `unauthenticated`, if no valid key was sent.
        """
        key = _presented(headers)
        digest = hashlib.sha256(key).digest()
        known = self._known.get(digest)
        if known is not None and known[1] > self._clock.monotonic():
            return known[0]
        principal = await asyncio.to_thread(self._keys.principal, key.decode("latin-1"))
        if principal is None:
            self._known.pop(digest, None)
            raise _refusal("this API key is not known, or was revoked")
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[digest] = (principal, self._clock.monotonic() + self._ttl)
        return principal

    def forget(self) -> None:
        """Check every key again: one was made or revoked."""
        self._known.clear()


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    found: set[bytes] = set()
    for name, value in headers:
        if name == b"x-api-key":
            found.add(value.strip())
        elif name == b"authorization":
            scheme, _, rest = value.partition(b" ")
            if scheme.lower() != b"bearer":
                raise _refusal("the Authorization header must be `Bearer <key>`")
            found.add(rest.strip())
    if len(found) != 1 or not (key := found.pop()):
        raise _refusal("different API keys were sent" if found else "no API key was sent")
    return key


def _refusal(message: str) -> Forbidden:
    return Forbidden(
        message,
        code="unauthenticated",
        cure="send `Authorization: Bearer <key>` or `X-Api-Key: <key>`; an admin can make one",
    )


__all__ = ["Authenticator", "KeyCheck"]
