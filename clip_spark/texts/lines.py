"""*Pure.* A line as bytes and as text."""

from __future__ import annotations

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def decode(line: bytes) -> str:
    """*Pure.* UTF-8 to text; bytes that are not UTF-8 become U+FFFD."""
    return line.decode("utf-8", "replace")


def is_utf8(line: bytes) -> bool:
    """*Pure.* True if all of it is UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
