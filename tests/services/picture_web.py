"""A small web on loopback: pictures that come, and everything that goes wrong with links, by path.

/ok/7.jpg                a picture of 7's own colour, 300 x 200
/fault/<name>/7          see FAULTS
"""

from __future__ import annotations

import asyncio
import io
import threading
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from PIL import Image

Answer = Callable[[asyncio.StreamWriter, int], Awaitable[None]]


def picture(number: int, size: tuple[int, int] = (300, 200), format: str = "JPEG", **options: object) -> bytes:
    """A picture whose colour says its number."""
    sink = io.BytesIO()
    Image.new("RGB", size, (number % 256, number // 256 % 256, 77)).save(sink, format, **options)
    return sink.getvalue()


def head(status: str = "200 OK", length: int | None = None, *more: str) -> bytes:
    """The first lines of an answer."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: image/jpeg", *more]
    lines += [f"Content-Length: {length}"] if length is not None else ["Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode()


def plain(data: bytes, *more: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    return head(status, len(data), *more) + data


def bomb() -> bytes:
    """A PNG that says it has 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = (50_000).to_bytes(4, "big")
    data = chunk(b"IHDR", side + side + bytes([8, 2, 0, 0, 0])) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b"")


@dataclass
class PictureWeb:
    """The running web.

    Attributes:
        port: where it listens, on all its hosts.
        asked: path -> requests that came.
        agents: User-Agent lines that came.
        busiest: host -> most requests that were answered at once.
        robots: host -> its robots.txt.
    """

    port: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    agents: set[str] = field(default_factory=set)
    busiest: Counter[str] = field(default_factory=Counter)
    robots: dict[str, bytes] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)
    _now: Counter[str] = field(default_factory=Counter)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """A link."""
        return f"http://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests of one connection."""
        with suppress(OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            while (first := await reader.readexactly(1)) != b"\x16":  # that is TLS
                request = first + await reader.readuntil(b"\r\n\r\n")
                if not await self._answer(request.decode(), writer):
                    break
                await writer.drain()
            if first == b"\x16":
                writer.write(plain(b"", status="400 Bad Request"))
                await writer.drain()
        writer.close()

    async def _answer(self, request: str, writer: asyncio.StreamWriter) -> bool:
        first, *lines = request.split("\r\n")
        path = first.split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        host = headers["host"].rpartition(":")[0]
        self.asked[path] += 1
        self.agents.add(headers.get("user-agent", ""))
        self.times.setdefault(host, []).append(asyncio.get_running_loop().time())
        self._now[host] += 1
        self.busiest[host] = max(self.busiest[host], self._now[host])
        try:
            return await self._give(path, host, headers, writer)
        finally:
            self._now[host] -= 1

    async def _give(self, path: str, host: str, headers: dict[str, str], writer: asyncio.StreamWriter) -> bool:
        if path == "/robots.txt":
            found = self.robots.get(host)
            writer.write(plain(found, "Content-Type: text/plain") if found is not None else plain(b"", status="404 No"))
            return True
        kind, *rest = path.strip("/").split("/")
        number = int(rest[-1].partition(".")[0] or 0)
        if kind == "ok":
            await asyncio.sleep(0.002)
            writer.write(plain(picture(number)))
            return True
        return await self._fault(rest[0], number, path, headers, writer)

    async def _fault(
        self, name: str, number: int, path: str, headers: dict[str, str], writer: asyncio.StreamWriter
    ) -> bool:
        whole = picture(number)
        simple = {
            "404": plain(b"gone", status="404 Not Found"),
            "html": plain(b"<html>not here</html>"),
            "empty": plain(b""),
            "cut": plain(whole[: len(whole) // 2]),
            "small": plain(picture(number, (20, 10))),
            "bomb": plain(bomb()),
            "noai": plain(whole, "X-Robots-Tag: noai, noimageai"),
            "aipref": plain(whole, "Content-Usage: train-ai=n"),
            "tdm": plain(whole, "tdm-reservation: 1"),
            "moved": head("302 Found", 0, f"Location: /ok/{number}.jpg"),
            "loop": head("302 Found", 0, f"Location: {path}"),
            "onward": head("302 Found", 0, f"Location: /fault/onward/{number + 1}"),
            "inward": head("302 Found", 0, "Location: http://169.254.169.254/latest/meta-data/"),
            "ftp": head("302 Found", 0, "Location: ftp://example.org/a.jpg"),
            "large": head(length=1 << 30),
            "lying": head(length=len(whole) + 1000) + whole,
        }
        if name in simple:
            writer.write(simple[name])
            return name not in ("large", "lying")
        first = self.asked[path] == 1
        if name == "agent":
            honest = "clip-spark" in headers.get("user-agent", "")
            writer.write(plain(whole) if honest else plain(b"", status="403 Forbidden"))
        elif name == "changing":
            writer.write(plain(picture(number + 50 * self.asked[path])))
        elif name == "busy":
            writer.write(plain(b"", "Retry-After: 1", status="429 Too Many") if first else plain(whole))
        elif name == "ill":
            writer.write(plain(b"", status="503 Ill") if first else plain(whole))
        elif name == "reset":
            writer.write(head(length=len(whole)) + whole[:100])
            return False
        elif name == "endless":
            await self._endless(writer)
            return False
        elif name in ("silent", "loris"):
            await self._slow(name, writer)
            return False
        return True

    async def _endless(self, writer: asyncio.StreamWriter) -> None:
        writer.write(head())
        while True:
            writer.write(bytes(1 << 16))
            await writer.drain()

    async def _slow(self, name: str, writer: asyncio.StreamWriter) -> None:
        if name == "loris":
            writer.write(head(length=1 << 20))
        for _ in range(600):
            if name == "loris":
                writer.write(b"\xff")
                await writer.drain()
            await asyncio.sleep(0.2)


@contextmanager
def picture_web(hosts: int = 4) -> Iterator[PictureWeb]:
    """A web on 127.0.0.1, 127.0.0.2, ... until the block ends."""
    web, started, stopped = PictureWeb(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        names = [f"127.0.0.{number}" for number in range(1, hosts + 1)]
        servers = [await asyncio.start_server(web.serve, names[0], 0)]
        web.port = servers[0].sockets[0].getsockname()[1]
        servers += [await asyncio.start_server(web.serve, name, web.port) for name in names[1:]]
        started.set()
        await stopped.wait()
        for server in servers:
            server.close()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(60)
    try:
        yield web
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
