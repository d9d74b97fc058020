"""*Worker.* Rows of CSV and TSV, in tables of about a MiB; rows that do not fit the header are rejected one by one.

Where all quotes are as RFC 4180 has them (found by arithmetic on their positions) Arrow parses; else `csv_records`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from clip_spark.texts.corpus.account import Account, at_row
from clip_spark.texts.corpus.csv_records import MOST_RECORD_BYTES, Dialect, Record
from clip_spark.texts.lines import decode

CHUNK_BYTES = 1 << 20
DELIMITERS = (b",", b";", b"\t", b"|")
QUOTE, LINE_FEED = 34, 10
RAGGED, STRAY_QUOTE = "ragged row", "stray quote"
Numbered = tuple[pa.Table, np.ndarray]
Chunk = tuple[pa.Table, list[int]]


class CsvRows:
    """*Worker.* The header and the rows of one file.

    Attributes:
        names: of the columns; doubles and empty ones are numbered, so that all differ.
        delimiter: the one that the header is written with.
    """

    def __init__(self, stream: Any, ending: str, wanted: str = "") -> None:
        """Read the header.

        Args:
            stream: UTF-8 text.
            ending: of the file's name; `.tsv` prefers tabs.
            wanted: a column that the reader hopes for; of several delimiters the one that finds it is right.
        """
        self._stream = stream
        self._held = stream.read(CHUNK_BYTES)
        self._ended = not self._held
        self._escaped = False
        start, self.delimiter = self._read_sep_line()
        self.delimiter = self.delimiter or choose_delimiter(self._held, ending, wanted)
        self._dialect = Dialect(self.delimiter)
        header = self._header(start)
        self.names = _distinct([decode(cell).strip(" \t").lstrip("\ufeff") for cell in header.cells])
        self._held = self._held[header.end :]

    def _read_sep_line(self) -> tuple[int, bytes]:
        """`sep=;` on a first line of its own is how Excel is told the delimiter."""
        if self._held[:4].lower() == b"sep=" and self._held[5:7].strip(b"\r")[:1] in (b"\n", b""):
            return self._held.find(b"\n") + 1 or len(self._held), self._held[4:5]
        return 0, b""

    def _header(self, start: int) -> Record:
        while start < len(self._held) and self._held[start : start + 1] in (b"\n", b"\r"):
            start += 1
        found = self._dialect.read(self._held, start, -1, False) if self._held else Record([], 0)
        if found:
            return found
        line = self._held.find(b"\n", start) + 1 or len(self._held)
        return Record([name.strip(b'"') for name in self._held[start:line].strip().split(self.delimiter)], line)

    def tables(self, uri: str, account: Account, only: str | None = None) -> Iterator[pa.Table]:
        """*Worker.* The rows, columns as binary; `only` names the one column that is wanted."""
        return (table for table, _ in self.numbered(uri, account, only))

    def numbered(self, uri: str, account: Account, only: str | None = None) -> Iterator[Numbered]:
        """*Worker.* The same, and the number of each row in the file, from 1; rejected rows have one too."""
        row = 0
        while chunk := self._chunk():
            table, bad = self._parsed(chunk, row, uri, account, only)
            numbers = np.arange(row + 1, row + table.num_rows + len(bad) + 1)
            row += len(numbers)
            if table.num_rows:
                yield table, np.delete(numbers, np.array(bad) - 1) if bad else numbers

    def _chunk(self) -> bytes:
        """Some whole records; their last line end has an even number of quotes before it."""
        while True:
            data = self._held
            cut = len(data) if self._ended else _last_record_end(data)
            if cut:
                self._held = data[cut:]
                return data[:cut]
            if self._ended:
                return b""
            if len(data) > MOST_RECORD_BYTES:  # a quote that nothing closes: its line is found out there
                self._held = b""
                return data + self._rest_of_line()
            more = self._stream.read(max(CHUNK_BYTES, len(data)))
            self._ended = not more
            self._held += more

    def _rest_of_line(self) -> bytes:
        found = b""
        while more := self._stream.read(CHUNK_BYTES):
            end = more.find(b"\n") + 1
            if end:
                self._held = more[end:]
                return found + more[:end]
            found += more
        return found

    def _parsed(self, chunk: bytes, row: int, uri: str, account: Account, only: str | None) -> Chunk:
        """The table of a chunk, and which of its rows were rejected, from 1."""
        if quotes_are_regular(chunk, self.delimiter[0]):
            return self._by_arrow(chunk, row, uri, account, only)
        return self._with_care(chunk, row, uri, account, only)

    def _by_arrow(self, chunk: bytes, row: int, uri: str, account: Account, only: str | None) -> Chunk:
        bad: list[int] = []

        def reject(found: pyarrow.csv.InvalidRow) -> str:
            at = found.number if found.number is not None else len(bad) + 1
            bad.append(at)
            _reject_ragged(account, uri, row + at, found.expected_columns, found.actual_columns)
            return "skip"

        names = self.names
        table = pyarrow.csv.read_csv(
            pa.BufferReader(chunk),
            pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=max(len(chunk), 1) + 1),
            pyarrow.csv.ParseOptions(
                delimiter=decode(self.delimiter), newlines_in_values=True, invalid_row_handler=reject
            ),
            pyarrow.csv.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(names, pa.binary()),
                include_columns=[only] if only is not None else None,
                include_missing_columns=True,
            ),
        )
        return table, bad

    def _with_care(self, chunk: bytes, row: int, uri: str, account: Account, only: str | None) -> Chunk:
        kept: list[list[bytes]] = []
        bad: list[int] = []
        at = rows = 0
        while at < len(chunk):
            line = chunk.find(b"\n", at) + 1 or len(chunk)
            if not chunk[at:line].strip(b"\r\n"):
                at = line
                continue
            rows += 1
            found = self._dialect.read(chunk, at, len(self.names), self._escaped)
            if found:
                self._escaped = self._escaped or (found.escaped and b'\\"' in chunk[at : found.end])
                kept.append(found.cells)
                at = found.end
            else:
                bad.append(rows)
                self._reject_line(chunk[at:line], row + rows, uri, account)
                at = line
        columns = [pa.array(column, pa.binary()) for column in zip(*kept, strict=True)]
        table = pa.table(columns or [pa.array([], pa.binary()) for _ in self.names], names=self.names)
        if only is None:
            return table, bad
        return table.select([only]) if only in self.names else pa.table({only: pa.nulls(len(table))}), bad

    def _reject_line(self, line: bytes, row: int, uri: str, account: Account) -> None:
        loose = self._dialect.read(line, 0, -1, False)
        if loose and not loose.bare:
            _reject_ragged(account, uri, row, len(self.names), len(loose.cells))
        else:
            account.reject(at_row(uri, row), STRAY_QUOTE, f"its quotes do not close: {decode(line[:200])!r}")


def _reject_ragged(account: Account, uri: str, row: int, expected: int, found: int) -> None:
    account.reject(at_row(uri, row), RAGGED, f"it has {found} cells, the header {expected}")


def _last_record_end(data: bytes) -> int:
    """*Pure.* Behind the last line end that an even number of quotes stands before; 0 if there is none."""
    end = data.rfind(b"\n") + 1
    if not end or data.count(b'"', 0, end) % 2 == 0:
        return end
    found = np.frombuffer(data, np.uint8)
    quotes, ends = np.flatnonzero(found == QUOTE), np.flatnonzero(found == LINE_FEED)
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(outside[-1]) + 1 if len(outside) else 0


def quotes_are_regular(chunk: bytes, delimiter: int) -> bool:
    """*Pure.* True if each quote of whole records opens or closes a cell, or is one half of a doubled quote."""
    if b'"' not in chunk:
        return True
    data = np.frombuffer(b"\n" + chunk + b"\n", np.uint8)
    quotes = np.flatnonzero(data == QUOTE)
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    before, after = data[opening - 1], data[closing + 1]
    doubled = np.zeros(len(opening) + 1, bool)
    doubled[1:-1] = closing[:-1] + 1 == opening[1:]
    opens = (before == delimiter) | (before == LINE_FEED) | doubled[:-1]
    crlf = (after == 13) & (data[np.minimum(closing + 2, len(data) - 1)] == LINE_FEED)
    closes = (after == delimiter) | (after == LINE_FEED) | crlf | doubled[1:]
    return bool(opens.all() and closes.all())


def choose_delimiter(head: bytes, ending: str, wanted: str = "") -> bytes:
    """*Pure.* The delimiter of a CSV that begins so."""
    usual = sorted(DELIMITERS, key=lambda d: d != b"\t") if ending in (".tsv", ".tab") else DELIMITERS
    headers = {d: Dialect(d).read(head, 0, -1, False) for d in usual}
    names = {d: [decode(cell).strip(" \t\ufeff") for cell in found.cells] for d, found in headers.items() if found}
    for delimiter in names:
        if len(names[delimiter]) > 1 and wanted in names[delimiter]:
            return delimiter
    return max(usual, key=lambda d: len(names.get(d, ())))  # of equal ones the first


def _distinct(names: list[str]) -> list[str]:
    found: list[str] = []
    for place, name in enumerate(names, 1):
        name = name or f"column_{place}"
        found.append(
            name if name not in found else next(n for i in range(2, 9999) if (n := f"{name}_{i}") not in found)
        )
    return found
