"""*Worker.* Members of tars as a stream: also of several tars in one file, and of hard links."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import BytesIO
from typing import Any

RECORD = 20 * 512
"""tarfile reads so many bytes at once from a stream, of which the last may belong to the next tar."""
HIDDEN = ("._", ".DS_Store")
Member = tuple[str, Any]
"""A member's name and a stream of its bytes, to be read before the next one."""


class _Rewindable:
    """*Worker.* A stream that can go back a little, and knows where it is."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._kept = b""
        self.at = 0

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer at the end only."""
        held: list[bytes] = []
        missing = size
        while missing and (data := self._stream.read(missing)):
            held.append(data)
            missing -= len(data)
        data = b"".join(held)
        self.at += len(data)
        self._kept = (self._kept + data)[-2 * RECORD :]
        return data

    def rest_from(self, at: int) -> _Joined:
        """All from an earlier place on, as a stream."""
        back = self.at - at
        return _Joined(self._kept[len(self._kept) - back :] if back else b"", self._stream)


class _Joined:
    """*Worker.* Bytes, then a stream."""

    def __init__(self, head: bytes, stream: Any) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; all of them if it is negative."""
        if self._head and size < 0:
            data, self._head = self._head + self._stream.read(), b""
            return data
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._stream.read(size)

    def skip_zeros(self) -> bool:
        """Go to the next block that holds anything; False at the end."""
        while data := self.read(512):
            while len(data) < 512 and (more := self.read(512 - len(data))):
                data += more
            if data.strip(b"\x00"):
                self._head = data + self._head
                return True
        return False


def read_members(open_stream: Callable[[], AbstractContextManager[Any]]) -> Iterator[Member]:
    """*Worker.* The files of a tar, one behind the other; hard links last, since what they name may lie before them.

    Args:
        open_stream: opens the bytes of the tar from their beginning; called again if there are hard links.

    Raises:
        tarfile.ReadError: the tar is cut short or garbled.
    """
    links: dict[str, list[str]] = {}
    with open_stream() as stream:
        for member, data in _members(stream):
            if member.islnk():
                links.setdefault(member.linkname, []).append(member.name)
            else:
                yield member.name, data
    if links:
        with open_stream() as stream:
            yield from _linked(stream, links)


def _linked(stream: Any, links: dict[str, list[str]]) -> Iterator[Member]:
    for member, data in _members(stream):
        if not member.islnk() and member.name in links:
            whole = data.read()
            for name in links.pop(member.name):
                yield name, BytesIO(whole)
    for target, names in links.items():
        raise tarfile.ReadError(f"'{names[0]}' is a link to '{target}', which is not in the tar")


def _members(stream: Any) -> Iterator[tuple[tarfile.TarInfo, Any]]:
    """*Worker.* Files and hard links of all tars of a stream."""
    rest = _Joined(b"", stream)
    while rest.skip_zeros():
        source = _Rewindable(rest)
        with tarfile.open(fileobj=source, mode="r|", bufsize=RECORD, errors="surrogateescape") as tar:  # type: ignore[call-overload]
            for member in tar:
                if member.isfile() or member.islnk():
                    yield member, _Joined(b"", tar.extractfile(member)) if member.isfile() else None
                tar.members = []  # else a tar of a million members keeps them all
            end = tar.offset
        if end > source.at:
            raise tarfile.ReadError("unexpected end of data")
        rest = source.rest_from(end)


def is_hidden(name: str) -> bool:
    """*Pure.* True for what macOS adds to archives."""
    last = name.rstrip("/").rsplit("/", 1)[-1]
    return last.startswith(HIDDEN) or name.startswith("__MACOSX/")
