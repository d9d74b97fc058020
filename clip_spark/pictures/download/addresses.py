"""*Worker.* Only public addresses: nobody's list of links may reach into our network.

What is checked is the address that is connected to, not the name: a name may lead anywhere, and next time elsewhere.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from clip_spark.pictures.download.statuses import BLOCKED_ADDRESS, Failed
from clip_spark.storage.addresses import is_public

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult


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
