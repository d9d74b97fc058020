"""*Anywhere.* Small texts that people write (captions, lists, queries) in the encodings of their editors."""

from __future__ import annotations

import codecs

from clip_spark.storage.files import read_bytes

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
FALLBACK = "cp1252"
"""What is not UTF-8 was most often written by Windows."""


def read_text(uri: str) -> str:
    """*Anywhere.* A whole small file as text; raises what `read_bytes` raises."""
    return decode_text(read_bytes(uri))


def decode_text(data: bytes) -> str:
    """*Pure.* The text without its mark: told by the mark, by zero bytes in between, else UTF-8 or Windows' own."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    if len(data) > 1 and 0 in data[:2] and data[:64].count(0) * 3 >= len(data[:64]):
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode(FALLBACK, "replace")
