"""An HTTP transport that connects to checked addresses only."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import httpx

from algorail.blocks._addresses import AllowList, resolve

MAX_ORIGINS = 64
"""Servers with open connections; the one that was longest not called is closed beyond."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """Resolves a name once, checks the addresses, connects to one; `Host` and SNI stay the name.

    Each server has a pool of its own: pools go by address, and a connection whose certificate was checked
    for one name must not carry requests to another at the same address.
    """

    def __init__(self, allowed: AllowList, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._allowed = allowed
        self._make = make
        self._pools: OrderedDict[tuple[str, str, int], httpx.AsyncBaseTransport] = OrderedDict()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; redirects come back here."""
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        addresses = await resolve(host, port, self._allowed)
        pool = await self._pool((request.url.scheme, host, port))
        request.extensions = {**request.extensions, "sni_hostname": host}
        named = request.url
        for last, address in enumerate(addresses, start=1 - len(addresses)):
            request.url = named.copy_with(host=address)
            try:
                return await pool.handle_async_request(request)
            except httpx.ConnectError:
                if last == 0:
                    raise
            finally:
                request.url = named
        raise httpx.ConnectError("no address")

    async def aclose(self) -> None:
        """Close every pool."""
        while self._pools:
            await self._pools.popitem()[1].aclose()

    async def _pool(self, origin: tuple[str, str, int]) -> httpx.AsyncBaseTransport:
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = self._make()
            if len(self._pools) > MAX_ORIGINS:
                await self._pools.popitem(last=False)[1].aclose()
        self._pools.move_to_end(origin)
        return pool
