"""*Anywhere.* How text is encoded: told by a mark, by zero bytes or by the user; and text of any encoding as UTF-8."""

from __future__ import annotations

import codecs
from typing import Any

from clip_spark.errors import SpecError, nearest
from clip_spark.texts.corpus.magic import HEAD_BYTES
from clip_spark.texts.lines import is_utf8

AUTO, UTF_8 = "auto", "utf-8"
MARKS = (  # the longer first: a UTF-32 mark begins as the one of UTF-16 does
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WITH_MARK = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
"""What an encoding without a byte order means where there is no mark."""
KNOWN = ("utf-8", "utf-16", "utf-32", "cp1252", "latin-1", "iso-8859-15", "cp1251", "koi8-r", "shift_jis", "gb18030")
LEAST_BYTES = 4
"""One character and its zero byte prove nothing."""
CHECKED_BYTES = 4096


def check_encoding(name: str) -> None:
    """*Pure.* Raise SpecError unless `name` is auto or an encoding of text that Python knows."""
    try:
        if name != AUTO and not codecs.lookup(name)._is_text_encoding:
            raise LookupError
    except LookupError as error:
        raise SpecError(
            f"--encoding '{name}' is not known; give auto, {', '.join(KNOWN)} or another of Python's encodings."
            f"{nearest(name, KNOWN)}"
        ) from error


def detect(head: bytes, wanted: str = AUTO) -> tuple[str, int]:
    """*Pure.* The encoding of a text that begins so, and the length of its mark in bytes.

    Args:
        head: the first bytes.
        wanted: what the user says; a mark of the same family still decides the byte order, and is no text.
    """
    mark, told = next(((mark, name) for mark, name in MARKS if head.startswith(mark)), (b"", ""))
    if wanted == AUTO:
        return (told, len(mark)) if told else (_by_zero_bytes(head), 0)
    name = codecs.lookup(wanted).name.removesuffix("-sig")
    if told.startswith(name):
        return told, len(mark)
    return WITH_MARK.get(name, name), 0


def _by_zero_bytes(head: bytes) -> str:
    """*Pure.* UTF-16 or UTF-32 without a mark: most characters' upper bytes are zero, and few of the lower ones."""
    is_odd = len(head) < HEAD_BYTES and len(head) % 2  # the whole file has no whole number of units
    head = head[: min(len(head), CHECKED_BYTES) // 2 * 2]
    if b"\x00" not in head or is_odd or len(head) < LEAST_BYTES:
        return UTF_8
    zeros = [share_of_zeros(head[place::4]) for place in range(4)]
    if len(head) >= 8 and zeros[1] > 0.9 and zeros[2] > 0.9 and abs(zeros[0] - zeros[3]) > 0.9:
        return "utf-32-le" if zeros[3] > zeros[0] else "utf-32-be"
    even, odd = share_of_zeros(head[::2]), share_of_zeros(head[1::2])
    for name, upper, lower, first in (("utf-16-le", odd, even, 1), ("utf-16-be", even, odd, 0)):
        if lower < 0.02 and upper > (0.3 if len(head) >= 16 else 0.9):
            return name
        if lower < 0.02 and upper and not (is_utf8(head) and _is_spread(head[first::2])) and _reads_as(head, name):
            return name
    return UTF_8


def share_of_zeros(data: bytes) -> float:
    """*Pure.* How many of these bytes are zero, 0 to 1."""
    return data.count(0) / max(1, len(data))


def _is_spread(upper: bytes) -> bool:
    """*Pure.* True if these are no upper bytes of an alphabet below U+2000: of Cyrillic or Hindi both bytes may be
    below 128, and so the text UTF-8."""
    return sum(byte < 0x20 for byte in upper) < 0.9 * len(upper)


def _reads_as(head: bytes, name: str) -> bool:
    """*Pure.* True if the bytes are printable text in an encoding, cut at any place."""
    text = head.decode(name, "replace")
    return sum(not (c.isprintable() or c.isspace()) or c == "\ufffd" for c in text) <= 1


class Transcoded:
    """*Worker.* A stream of text in any encoding as one of UTF-8; what does not belong there becomes U+FFFD."""

    def __init__(self, stream: Any, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ended = False
        self.replaced = 0

    def read(self, size: int) -> bytes:
        """About `size` bytes; none at the end only."""
        while not self._ended:
            data = self._stream.read(size)
            self._ended = not data
            text = self._decoder.decode(data, not data)
            if text:
                self.replaced += text.count("\ufffd")
                return text.encode("utf-8", "replace")
        return b""


class LineEnds:
    """*Worker.* A stream whose lines end with a lone carriage return, as one whose lines end with a line feed."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """About `size` bytes; none at the end only."""
        return self._stream.read(size).replace(b"\r", b"\n")
