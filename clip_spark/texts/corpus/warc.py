"""*Worker.* Texts of web archives: WET's plain texts, and the pages of WARC without their tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

from clip_spark.texts.corpus.account import DAMAGED, Account, at_row
from clip_spark.texts.lines import decode

MOST_RECORD_BYTES = 256 << 20
MOST_HEADER_BYTES = 1 << 20
NOT_SAID = ("script", "style", "head", "template", "noscript", "svg")
BREAKS = frozenset(
    ("p", "div", "br", "li", "ul", "ol", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6")
    + ("section", "article", "pre", "blockquote", "title", "table")
)
CHARSET = re.compile(r"charset=[\"']?([\w-]+)", re.IGNORECASE)


def read_records(stream: Any, uri: str, account: Account) -> Iterator[tuple[str, str]]:
    """*Worker.* (URI of the page, its text) of each record that has one; other records are left out and counted."""
    reader = _Reader(stream)
    row = 0
    while (headers := reader.headers()) is not None:
        row += 1
        length = int(headers.get("content-length", "-1")) if headers.get("content-length", "").isdigit() else -1
        if "warc-type" not in headers or length < 0:
            account.reject(at_row(uri, row), DAMAGED, "no WARC record begins here; the rest of the file is lost")
            return
        body = reader.exactly(length) if length <= MOST_RECORD_BYTES else None
        if body is None or len(body) < length:
            account.reject(at_row(uri, row), DAMAGED, f"the record of {length:,} bytes is cut short or too large")
            return
        text = text_of(headers, body)
        if text is None:
            account.leave_out("record of WARC", headers["warc-type"])
        else:
            yield headers.get("warc-target-uri", ""), text


class _Reader:
    """*Worker.* Lines and lengths of bytes from a stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._held = b""

    def headers(self) -> dict[str, str] | None:
        """The header lines of the next record by lower-case name; None at the end, empty if they are none."""
        while not self._held.lstrip(b"\r\n"):
            self._held = self._stream.read(1 << 16)
            if not self._held:
                return None
        self._held = self._held.lstrip(b"\r\n")
        while not (end := re.search(rb"\r?\n\r?\n", self._held)):
            more = self._stream.read(1 << 16)
            if not more or len(self._held) > MOST_HEADER_BYTES:
                return {}
            self._held += more
        lines, self._held = self._held[: end.start()], self._held[end.end() :]
        return parse_headers(lines) if lines.startswith(b"WARC/") else {}

    def exactly(self, size: int) -> bytes:
        """So many bytes, fewer at the end only."""
        parts, self._held = [self._held[:size]], self._held[size:]
        missing = size - len(parts[0])
        while missing and (data := self._stream.read(missing)):
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)


def parse_headers(lines: bytes) -> dict[str, str]:
    """*Pure.* `Name: value` lines by lower-case name; the first line is the version."""
    pairs = (line.partition(":") for line in decode(lines).splitlines()[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def text_of(headers: dict[str, str], body: bytes) -> str | None:
    """*Pure.* What a record says to a reader; None if that is nothing."""
    kind = headers["warc-type"]
    if kind == "conversion":
        return decode(body)
    if kind not in ("response", "resource"):
        return None
    mime = headers.get("content-type", "")
    if kind == "response":
        head, _, body = body.partition(b"\r\n\r\n")
        mime = parse_headers(head).get("content-type", "")
    charset = CHARSET.search(mime)
    try:
        text = body.decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:
        text = decode(body)
    if mime.startswith(("text/html", "application/xhtml")):
        return said(text)
    return text if mime.startswith("text/plain") else None


class _Said(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._silent += tag in NOT_SAID
        if tag == "body":
            self._silent = 0
        if tag in BREAKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in NOT_SAID and self._silent > 0
        if tag in BREAKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def said(html: str) -> str:
    """*Pure.* The text of a page without tags, scripts and styles; blocks are lines."""
    parser = _Said()
    parser.feed(html)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).splitlines())
    return "\n".join(filter(None, lines))
