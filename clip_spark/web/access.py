"""*Server.* Who is let in, and how often: a token that all callers share, a rate for each of them."""

from __future__ import annotations

import hmac
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

COOKIE = "clip-spark-token"
OPEN_PATHS = ("/", "/health", "/token")
"""Answered without a token: the page that asks for it, and what says that the process lives."""
BURST_SECONDS, LEAST_BURST = 10.0, 100.0
"""A client may use this many seconds of its rate at once; the page alone asks for 60 small pictures."""
CLIENTS = 10_000


def needs_token(path: str) -> bool:
    """*Pure.* Whether a path is answered only to those who know the token."""
    return path not in OPEN_PATHS and not path.startswith("/static/")


def is_token(given: str, token: str) -> bool:
    """*Pure.* Compared in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def knows_token(headers: Mapping[bytes, bytes], token: str) -> bool:
    """*Pure.* Whether a request carries the token: as `Authorization: Bearer ...`, or in the page's cookie."""
    kind, _, given = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return is_token(given.strip(), token)
    try:
        cookie = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return False
    return cookie is not None and is_token(cookie.value, token)


class Rate:
    """Requests of each client: so many a second on average, more for a moment."""

    def __init__(self, per_second: float) -> None:
        self._rate, self._most = per_second, max(LEAST_BURST, BURST_SECONDS * per_second)
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, client: str, now: float | None = None) -> float:
        """Seconds after which a client may ask again; 0 lets it in and counts it."""
        if not self._rate:
            return 0.0
        now = time.monotonic() if now is None else now
        key = network(client)
        with self._lock:
            left, then = self._clients.pop(key, (self._most, now))
            left = min(self._most, left + (now - then) * self._rate)
            allowed = left >= 1
            self._clients[key] = (left - allowed, now)
            if len(self._clients) > CLIENTS:
                self._clients.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate


def network(client: str) -> str:
    """*Pure.* What counts as one client: an address, or the /64 that one customer has in IPv6."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    return client if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
