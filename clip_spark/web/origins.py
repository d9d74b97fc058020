"""*Pure.* Who may call: the names of this server, and the web sites whose pages may use it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PAGE = "/"


def names_on(host: str) -> tuple[str, ...]:
    """*Pure.* The names under which a server that listens on an address may be called; empty allows all.

    On loopback only loopback's names are, so that no web page reaches it through a name of its own that leads there
    (DNS rebinding). All of 127.0.0.0/8 is loopback.
    """
    if host == "localhost":
        return LOOPBACK
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ()
    return tuple(dict.fromkeys([host, *LOOPBACK])) if address.is_loopback else ()


def host_name(headers: Mapping[bytes, bytes]) -> str:
    """*Pure.* The name by which a request calls the server, without the port."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    return re.sub(r":\d+$", "", host).strip("[]")


def is_foreign(method: str, path: str, headers: Mapping[bytes, bytes], allowed: Collection[str]) -> bool:
    """*Pure.* Whether a page of another web site makes a request that it may not make.

    Browsers say so in Sec-Fetch-Site, which no page can change; older ones and plain http send Origin alone. Programs
    send neither. Following a link to the page is no such request.

    Args:
        method: of the request.
        path: of the request.
        headers: names in lower case.
        allowed: origins that may call the server; `*` allows all.
    """
    origin = headers.get(b"origin", b"").decode("latin-1")
    if "*" in allowed or origin in allowed:
        return False
    site = headers.get(b"sec-fetch-site", b"").decode("latin-1")
    if site:
        link = headers.get(b"sec-fetch-mode") == b"navigate" and headers.get(b"sec-fetch-dest") == b"document"
        return site not in ("same-origin", "none") and not (method == "GET" and path == PAGE and link)
    return bool(origin) and origin.partition("://")[2].lower() != headers.get(b"host", b"").decode("latin-1").lower()
