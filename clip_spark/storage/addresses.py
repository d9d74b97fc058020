"""*Pure.* Which network addresses are everybody's: who opens links of others must not be led into its own network."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""RFC 6052 and 8215: the last 32 bits are an IPv4 address."""


def is_public(address: str, *, translated: bool = True) -> bool:
    """*Pure.* True for an address that everybody on the Internet may connect to.

    Args:
        address: of IPv4 or IPv6; one that is a mapped IPv4 address is as public as that.
        translated: whether an address behind which a gateway (NAT64, 6to4, Teredo) reaches an IPv4 address is as public
            as that; else it is not.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    behind = _behind_gateway(found)
    if behind and not translated:
        return False
    return all(part.is_global and not part.is_multicast and not part.is_reserved for part in behind or [_plain(found)])


def _plain(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _behind_gateway(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 address carries for a gateway."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    if any(address in network for network in NAT64):
        return [ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)]
    if address.sixtofour:
        return [address.sixtofour]
    return list(address.teredo or ())
