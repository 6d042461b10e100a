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
        return await self.owner(_presented(headers))

    async def owner(self, key: bytes) -> Principal:
        """Whose key this is.

        Raises:
            Forbidden: `unauthenticated`, if it is nobody's.
        """
        return self.remembered(key) or await self._check(key)

    def remembered(self, key: bytes) -> Principal | None:
        """Whose key this is, if it was checked a moment ago."""
        known = self._known.get(hashlib.sha256(key).digest())
        return known[0] if known is not None and known[1] > self._clock.monotonic() else None

    async def _check(self, key: bytes) -> Principal:
        digest = hashlib.sha256(key).digest()
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


def presented_key(authorization: bytes | None, api_key: bytes | None) -> bytes:
    """The key of a request that has each of these headers once at most.

    Raises:
        Forbidden: `unauthenticated`, if none was sent, or two that differ.
    """
    key = b"" if api_key is None else api_key.strip()
    if authorization is not None:
        scheme, _, rest = authorization.partition(b" ")
        if scheme != b"Bearer" and scheme.lower() != b"bearer":
            raise _refusal("the Authorization header must be `Bearer <key>`")
        bearer = rest.strip()
        if api_key is not None and key != bearer:
            raise _refusal("different API keys were sent")
        key = bearer
    if not key:
        raise _refusal("no API key was sent")
    return key


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in (b"authorization", b"x-api-key") and found.setdefault(name, value) != value:
            raise _refusal("different API keys were sent")
    return presented_key(found.get(b"authorization"), found.get(b"x-api-key"))


def _refusal(message: str) -> Forbidden:
    return Forbidden(
        message,
        code="unauthenticated",
        cure="send `Authorization: Bearer <key>` or `X-Api-Key: <key>`; an admin can make one",
    )


__all__ = ["Authenticator", "KeyCheck", "presented_key"]
