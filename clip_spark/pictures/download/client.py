"""*Worker.* One request: an honest agent, every hop checked, limits on time, bytes and slowness; errors by status."""

from __future__ import annotations

import asyncio
import email.utils
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from clip_spark import __version__
from clip_spark.errors import ClipSparkError
from clip_spark.pictures.download import statuses
from clip_spark.pictures.download.addresses import PublicResolver, check_literal
from clip_spark.pictures.download.links import check_link
from clip_spark.pictures.download.robots import AGENT
from clip_spark.pictures.download.specs import DownloadSpec
from clip_spark.pictures.download.statuses import Failed

if TYPE_CHECKING:
    import aiohttp

MOST_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
CONNECT_SECONDS = 10.0
CHUNK = 64 << 10
SLOW_SECONDS, SLOW_BYTES = 10.0, 1000
"""An answer that gives fewer bytes a second than this for so long is given up: it holds a connection of ours."""
MOST_HEADER_BYTES = 64 << 10
DNS_SECONDS = 300


@dataclass(frozen=True)
class Answer:
    """What came: the body, where it came from in the end, and its headers by lower-case name."""

    data: bytes
    url: str
    headers: Mapping[str, Sequence[str]]


def user_agent(contact: str) -> str:
    """*Pure.* Who we are, and whom to write to."""
    return f"{AGENT}/{__version__}" + (f" (+{contact.strip()})" if contact.strip() else "")


class Client:
    """*Worker.* Asks for links over one session, with its connections and names kept; an async context manager."""

    def __init__(self, spec: DownloadSpec) -> None:
        self._spec = spec
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        """Open the session."""
        import aiohttp

        connector = aiohttp.TCPConnector(
            limit=0,  # the frontier limits both, and knows why
            resolver=PublicResolver(self._spec.allow_private),  # type: ignore[arg-type]
            ttl_dns_cache=DNS_SECONDS,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": user_agent(self._spec.contact), "Accept": "image/*,*/*;q=0.5"},
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=MOST_HEADER_BYTES,
            max_field_size=MOST_HEADER_BYTES,
        )
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str, most_bytes: int) -> Answer:
        """The body of a link, through redirects.

        Raises:
            Failed: with the status of what went wrong.
        """
        deadline = time.monotonic() + self._spec.timeout
        asked = set[str]()
        for _ in range(MOST_REDIRECTS + 1):
            url = check_link(url)
            if url in asked:  # without cookies the answer is the same; the rest of a loop would only take time
                raise Failed(statuses.REDIRECT, f"redirects that lead back to '{url[:200]}'")
            asked.add(url)
            if not self._spec.allow_private:
                check_literal(urlsplit(url).hostname or "")
            found = await self._hop(url, most_bytes, deadline)
            if isinstance(found, Answer):
                return found
            url = urljoin(url, found)
        raise Failed(statuses.REDIRECT, f"more than {MOST_REDIRECTS} redirects, the last to '{url[:200]}'")

    async def _hop(self, url: str, most_bytes: int, deadline: float) -> Answer | str:
        """An answer, or where it redirects to."""
        import aiohttp

        assert self._session is not None
        left = max(0.1, deadline - time.monotonic())
        limits = aiohttp.ClientTimeout(total=left, connect=None, sock_connect=min(CONNECT_SECONDS, left))
        try:
            async with self._session.get(url, allow_redirects=False, timeout=limits) as response:
                if response.status in REDIRECTS and "Location" in response.headers:
                    return response.headers["Location"]
                if response.status != 200:
                    raise _refused(response.status, response.headers)
                return await _read(response, url, most_bytes)
        except ClipSparkError:
            raise
        except Exception as error:
            raise status_of(error) from error


async def _read(response: aiohttp.ClientResponse, url: str, most_bytes: int) -> Answer:
    """The body, as far as it may go; a stated length that is too much is not begun."""
    if (response.content_length or 0) > most_bytes:
        raise Failed(statuses.TOO_LARGE, f"{response.content_length:,} bytes; at most {most_bytes:,} are taken")
    parts: list[bytes] = []
    size = seen = 0
    since = time.monotonic()
    async for part in response.content.iter_chunked(CHUNK):
        parts.append(part)
        size += len(part)
        if size > most_bytes:
            raise Failed(statuses.TOO_LARGE, f"more than {most_bytes:,} bytes")
        now = time.monotonic()
        if now - since > SLOW_SECONDS:
            if size - seen < SLOW_BYTES * (now - since):
                raise Failed(statuses.TIMEOUT, f"fewer than {SLOW_BYTES} bytes a second for {SLOW_SECONDS:g} s")
            seen, since = size, now
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.items():
        headers.setdefault(name.lower(), []).append(value)
    return Answer(b"".join(parts), url, headers)


def _refused(status: int, headers: Mapping[str, str]) -> Failed:
    """*Pure.* An answer that is no success."""
    wait = retry_after(headers.get("Retry-After", "")) if status in statuses.CODES_THAT_PASS else 0
    return Failed(f"{statuses.HTTP} {status}", f"the server answered {status}", wait)


def retry_after(value: str) -> float:
    """*Pure.* Seconds that Retry-After asks for: a number, or a date (RFC 9110 section 10.2.3); 0 for anything else."""
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def status_of(error: Exception) -> Failed:
    """*Pure.* The status of an error of the network."""
    import aiohttp

    for cause in _causes(error):
        if isinstance(cause, Failed):  # the resolver's refusal, wrapped by the connector
            return cause
    text = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, (TimeoutError, asyncio.TimeoutError, aiohttp.ServerTimeoutError)):
        return Failed(statuses.TIMEOUT, "no whole answer in time")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failed(statuses.DNS, text)
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError, ssl.CertificateError)):
        return Failed(statuses.TLS, text)
    if isinstance(error, (aiohttp.InvalidURL, ValueError, UnicodeError)):
        return Failed(statuses.NO_LINK, text)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Failed(statuses.REFUSED, text)
    return Failed(statuses.BROKEN, text)


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
