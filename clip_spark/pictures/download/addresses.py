"""*Worker.* Only public addresses: nobody's list of links may reach into our network.

What is checked is the address that is connected to, not the name: a name may lead anywhere, and next time elsewhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

from clip_spark.pictures.download.statuses import BLOCKED_ADDRESS, Failed

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""RFC 6052 and 8215: the last 32 bits are an IPv4 address."""


def is_public(address: str) -> bool:
    """*Pure.* True for an address that everybody on the Internet may connect to.

    An IPv6 address that stands for an IPv4 one (mapped, NAT64, 6to4, Teredo) is as public as that.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    return all(part.is_global and not part.is_multicast for part in _meant(found))


def _meant(address: Address) -> list[Address]:
    """An address, or the IPv4 addresses that it carries."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if any(address in network for network in NAT64):
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour:
        return [address.sixtofour]
    return list(address.teredo) if address.teredo else [address]


def check_literal(host: str) -> None:
    """*Pure.* Raise Failed for a link that names a private address by its number: it is never resolved."""
    try:
        public = is_public(host.strip("[]"))
    except ValueError:
        return
    if not public:
        raise Failed(BLOCKED_ADDRESS, f"{host} is not a public address; --allow-private asks it too")


class PublicResolver:
    """*Worker.* aiohttp's resolver: the public addresses of a name, or a refusal."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[ResolveResult]:
        """The addresses that may be connected to.

        Raises:
            OSError: the name does not exist, or cannot be resolved now.
            Failed: none of its addresses is public.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
        usable = [entry for entry in found if self._allow_private or is_public(str(entry[4][0]))]
        if not usable:
            where = found[0][4][0]
            raise Failed(BLOCKED_ADDRESS, f"{host} leads to {where}, which is not public; --allow-private asks it too")
        return [_result(host, entry) for entry in usable]

    async def close(self) -> None:
        """Nothing is held."""


def _result(host: str, entry: tuple[Any, ...]) -> ResolveResult:
    family, _, protocol, _, address = entry
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return {
        "hostname": host,
        "host": str(address[0]),
        "port": int(address[1]),
        "family": family,
        "proto": protocol,
        "flags": flags,
    }
