"""*Pure.* One record of a CSV, read with care: for the few places where quotes are not as RFC 4180 has them.

Two dialects are tried: quotes doubled (RFC 4180, Excel, pandas), and quotes behind a backslash (Spark, MySQL).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_RECORD_BYTES = 64 << 20
"""A quote that is not closed within so many bytes opens nothing."""


@dataclass(frozen=True)
class Record:
    """One record that was read.

    Attributes:
        cells: as written, without their quotes.
        end: where the next record begins.
        escaped: it is only right with quotes behind backslashes.
        bare: a quote stands inside a cell that begins with none.
    """

    cells: list[bytes]
    end: int
    escaped: bool = False
    bare: bool = False


class Dialect:
    """The cells of a CSV with one delimiter."""

    def __init__(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        d = re.escape(delimiter)
        end = rb"(" + d + rb"|\r?\n|\r?\Z)"
        after = rb"[ ]*"
        self._plain = re.compile(rb"([^" + d + rb"\n]*?)" + end)
        self._doubled = re.compile(rb'"((?:[^"]++|"")*+)"(' + after + rb")" + end)
        self._escaped = re.compile(rb'"((?:[^"\\]++|\\.|"")*+)"(' + after + rb")" + end, re.DOTALL)

    def read(self, data: bytes, start: int, cells: int, prefer_escaped: bool) -> Record | None:
        """*Pure.* The record at `start` with so many cells, or None if it is not one; -1 takes any number of them."""
        order = (True, False) if prefer_escaped else (False, True)
        found = [self._read(data, start, escaped) for escaped in order]
        fits = [record for record in found if record and cells in (-1, len(record.cells))]
        return min(fits, key=lambda record: record.bare, default=None)  # of two, the one without bare quotes

    def _read(self, data: bytes, start: int, escaped: bool) -> Record | None:
        cells: list[bytes] = []
        bare = False
        while True:
            quoted = data[start : start + 1] == b'"'
            found = ((self._escaped if escaped else self._doubled) if quoted else self._plain).match(data, start)
            if not found:
                return None
            if quoted:
                cells.append(_without_escapes(found[1], escaped) + found[2])
            else:
                bare = bare or b'"' in found[1]
                cells.append(found[1])
            start = found.end()
            if found[found.lastindex or 1] != self._delimiter:
                return Record(cells, start, escaped, bare)
            if start >= len(data):
                return Record([*cells, b""], start, escaped, bare)


def _without_escapes(cell: bytes, escaped: bool) -> bytes:
    if escaped:
        return re.sub(rb'\\([\\"])|"(")', rb"\1\2", cell)
    return cell.replace(b'""', b'"')
