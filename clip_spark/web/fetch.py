"""*Server.* Pictures from web addresses, for servers that are told to (`--fetch-urls`): public addresses alone.

A server that opens addresses for others can be sent where only it can reach. So each name is resolved once, each of its
addresses must be public, and the connection goes to the address that was checked, at every redirect anew.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from clip_spark.errors import InputError
from clip_spark.storage import addresses
from clip_spark.web.bodies import check_text
from clip_spark.web.budget import TooSlow

MOST_REDIRECTS, MOST_ADDRESS = 4, 2000
CONNECT_SECONDS, SECONDS = 5.0, 10.0
"""For one connection, and for all of a picture."""
PORTS = {"http": 80, "https": 443}
PIECE = 1 << 16
AT_ONCE, TURN_SECONDS = 4, 5.0
"""Addresses that are open at once, so that slow ones leave threads for other requests; and the wait for a turn."""


def fetch(address: str, most_bytes: int) -> bytes:
    """*Server.* What lies at a web address.

    Args:
        address: http or https, on the port that these have.
        most_bytes: more is refused.

    Raises:
        InputError: the address is none that this server opens, or nothing can be read there in time.
        SpecError: it is too long.
    """
    check_text("address", address, MOST_ADDRESS)
    with _turn():
        end = time.monotonic() + SECONDS
        for _ in range(MOST_REDIRECTS + 1):
            found = _ask(address, most_bytes, end)
            if isinstance(found, bytes):
                return found
            address = found
    raise InputError(f"The address leads on and on; {MOST_REDIRECTS} redirects are followed.")


_turns = threading.BoundedSemaphore(AT_ONCE)


@contextmanager
def _turn() -> Iterator[None]:
    if not _turns.acquire(timeout=TURN_SECONDS):
        raise TooSlow("Too many addresses are being opened; try again in a moment.")
    try:
        yield
    finally:
        _turns.release()


def _ask(address: str, most_bytes: int, end: float) -> bytes | str:
    """What lies there, or the address that it leads to."""
    connection = _connection(address)
    # However slowly its bytes come, one by one: then it is over.
    timer = threading.Timer(max(0.0, end - time.monotonic()), connection.cut)
    timer.daemon = True
    timer.start()
    try:
        connection.request("GET", _target(urlsplit(address)), headers={"User-Agent": "clip-spark", "Accept": "image/*"})
        answer = connection.getresponse()
        if answer.status not in (301, 302, 303, 307, 308):
            return _body(answer, most_bytes, end)
        return urljoin(address, answer.headers.get("Location", ""))
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = "it takes too long" if time.monotonic() >= end else _reason(error)
        raise InputError(f"The address cannot be read: {why}.") from error
    finally:
        timer.cancel()
        connection.close()


def _reason(error: Exception) -> str:
    """In words that say nothing about networks that only this server sees."""
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return "its certificate is not good" if isinstance(error, ssl.SSLError) else "the connection failed"


def _connection(address: str) -> _Plain:
    """A connection, not yet open, that will go to an address that was checked."""
    parts = _checked(address)
    place = public_address(str(parts.hostname), PORTS[parts.scheme])
    make = _Secure if parts.scheme == "https" else _Plain
    return make(str(parts.hostname), PORTS[parts.scheme], place)


def _checked(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise InputError("This is no web address.") from error
    if parts.scheme not in PORTS or not host or parts.username is not None or not address.isprintable():
        raise InputError("Only plain http and https addresses are opened.")
    if port not in (None, PORTS[parts.scheme]):
        raise InputError(f"Only port {PORTS[parts.scheme]} is opened for {parts.scheme}.")
    return parts


def _target(parts: SplitResult) -> str:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return quote(path, safe="/%?&=+:@!$'()*,;~-._[]")


def public_address(host: str, port: int) -> tuple[Any, ...]:
    """*Server.* Where a name leads, as sockets take it: (family, address).

    Raises:
        InputError: it leads nowhere, or one of its addresses is not public.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InputError("The address leads to no host.") from error
    if not found or not all(is_public(str(place[4][0])) for place in found):
        raise InputError("The address does not lead to a public host; others are not opened.")
    return found[0][0], found[0][4]


def is_public(address: str) -> bool:
    """*Pure.* Whether an IP address is one of the internet's; what gateways translate is not opened."""
    return addresses.is_public(address, translated=False)


class _Plain(http.client.HTTPConnection):
    """A connection to a checked address, whatever its name leads to by now."""

    def __init__(self, host: str, port: int, place: tuple[Any, ...]) -> None:
        super().__init__(host, port, timeout=CONNECT_SECONDS)
        self._place, self._raw = place, socket.socket(place[0], socket.SOCK_STREAM)

    def connect(self) -> None:
        """Open it."""
        self.sock = self._opened()

    def _opened(self) -> socket.socket:
        self._raw.settimeout(CONNECT_SECONDS)
        self._raw.connect(self._place[1])
        return self._raw

    def cut(self) -> None:
        """End it from another thread: whoever waits for its bytes waits no more."""
        with suppress(OSError):
            self._raw.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it."""
        super().close()
        self._raw.close()


class _Secure(_Plain):
    """The same with TLS, whose certificate must be of that name."""

    def connect(self) -> None:
        """Open it."""
        self.sock = ssl.create_default_context().wrap_socket(self._opened(), server_hostname=self.host)
        self._raw = self.sock  # wrapping takes the socket over


def _body(answer: http.client.HTTPResponse, most_bytes: int, end: float) -> bytes:
    if answer.status != 200:
        raise InputError(f"The address answers with status {answer.status}.")
    parts, size = [], 0
    while part := answer.read1(PIECE):
        size += len(part)
        if size > most_bytes:
            raise InputError(
                f"What lies at the address is too large; at most {most_bytes / (1 << 20):.4g} MB are read."
            )
        if time.monotonic() > end:
            raise InputError("The address cannot be read: it takes too long.")
        parts.append(part)
    if time.monotonic() > end or answer.length:  # cut off, by us or by them
        raise InputError("The address cannot be read: it takes too long, or ends too early.")
    return b"".join(parts)
