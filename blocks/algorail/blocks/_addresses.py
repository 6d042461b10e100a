"""Which addresses a block may connect to: the public internet, and what the operator allows by name.

`ipaddress.is_global` is not enough: it calls `::127.0.0.1`, NAT64 and 6to4 forms of private addresses global.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from algorail.engine.kit.errors import ConfigInvalid, Forbidden, Unavailable

_NEVER = tuple(
    ip_network(network)
    for network in (
        "::/96",  # IPv4-compatible
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64, local
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "192.88.99.0/24",  # 6to4 relays
        "fec0::/10",  # site-local, of old
    )
)
"""Networks that `is_global` lets pass: most of them carry an IPv4 address, which may be a private one."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is an address of the public internet and nothing else."""
    address = _unmapped(address)
    if any(address in network for network in _NEVER if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast


def _unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """`::ffff:10.0.0.1` is 10.0.0.1."""
    return getattr(address, "ipv4_mapped", None) or address


@dataclass(frozen=True, slots=True)
class AllowList:
    """Addresses and hosts beyond the public internet that the operator allows.

    Attributes:
        networks: Such as `10.0.0.0/8`; a single address is a network of one.
        hosts: Names in lower case, each with a port (`scorer.internal:8080`) or for every port.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> AllowList:
        """Read the operator's list.

        Raises:
            ConfigInvalid: If an entry is neither a network nor the name of a host.
        """
        networks, hosts = [], set()
        for entry in entries:
            try:
                networks.append(ip_network(entry))
            except ValueError:
                name, _, port = entry.partition(":")
                if not name or "/" in entry or (port and not port.isdigit()) or entry.endswith(":"):
                    raise ConfigInvalid(
                        f"{entry!r} in the allow list is neither a network nor a host",
                        code="http-allow",
                        cure="write 10.0.0.0/8, 10.0.0.7, scorer.internal or scorer.internal:8080",
                    ) from None
                hosts.add(entry.lower())
        return cls(tuple(networks), frozenset(hosts))

    def admits(self, host: str, port: int, address: IPv4Address | IPv6Address) -> bool:
        """Whether a connection to this address, which the host name led to, is allowed."""
        host = host.lower()
        if host in self.hosts or f"{host}:{port}" in self.hosts:
            return True
        address = _unmapped(address)
        if any(address in network for network in self.networks if network.version == address.version):
            return True
        return is_public(address)


async def resolve(host: str, port: int, allowed: AllowList) -> list[str]:
    """The addresses of a host, all of them allowed.

    Raises:
        Forbidden: If one of them is not.
        Unavailable: If the name leads nowhere.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unavailable(f"the host {host!r} cannot be found", code="http-unavailable") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        if not allowed.admits(host, port, ip_address(address.partition("%")[0])):
            raise Forbidden(
                f"{host!r} leads to an address that blocks may not call",
                code="http-forbidden-address",
                cure="the operator can allow it in http_call.allow",
            )
    return addresses
