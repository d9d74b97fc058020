"""*Worker.* The rows of a file as tables with all their columns, whatever the file is.

Columns of CSV are text; JSON keeps numbers, lists and objects; a key whose values are of several kinds is text.
Damage ends a file with a reject: the rows before it are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from clip_spark.texts.corpus import magic, sniff
from clip_spark.texts.corpus.account import DAMAGED, NOT_TEXT, Account, at_row
from clip_spark.texts.corpus.csv_rows import CsvRows
from clip_spark.texts.corpus.encodings import AUTO
from clip_spark.texts.corpus.formats import NO_TEXT, WIKI_TAG, tar_texts
from clip_spark.texts.corpus.json_rows import Row, kind_of, line_values, stream_values
from clip_spark.texts.corpus.opening import Source, is_damage, open_source
from clip_spark.texts.corpus.plain_types import plain_table
from clip_spark.texts.corpus.reading import lines_of, stream_blocks
from clip_spark.texts.corpus.sniff import split_name
from clip_spark.texts.corpus.tables import batches
from clip_spark.texts.corpus.warc import read_records
from clip_spark.texts.lines import decode

BATCH_ROWS = 10_000
Numbered = tuple[pa.Table, Sequence[int] | np.ndarray]
"""Rows, and the number of each in its file, from 1."""
URL = "url"
"""Column of web archives' rows, beside the text."""


def read_tables(uri: str, column: str, account: Account, encoding: str = AUTO) -> Iterator[pa.Table]:
    """*Worker.* The rows of a file in tables.

    Args:
        uri: the file.
        column: what the column is called where the file has no names of columns.
        account: told what the file is, and of rows and files that cannot be used.
        encoding: of the text, where the user knows better.
    """
    return (table for table, _ in read_numbered(uri, column, account, encoding))


def read_numbered(uri: str, column: str, account: Account, encoding: str = AUTO) -> Iterator[Numbered]:
    """*Worker.* The same, each table with the numbers of its rows in the file, from 1: rejected rows have one too."""
    rows = 0
    try:
        with open_source(uri, encoding) as source:
            account.found(source.form)
            for table, numbers in _tables(source, column, account, encoding):
                rows = int(numbers[-1]) if len(numbers) else rows
                yield plain_table(table), numbers
    except Exception as error:
        if not is_damage(error):
            raise
        account.reject(uri, DAMAGED, f"after row {rows}: {type(error).__name__}: {error}")


def _in_a_row(tables: Iterable[pa.Table]) -> Iterator[Numbered]:
    """*Worker.* Tables of which no row is missing."""
    first = 1
    for table in tables:
        yield table, range(first, first + table.num_rows)
        first += table.num_rows


def _tables(source: Source, column: str, account: Account, encoding: str) -> Iterator[Numbered]:
    form = source.form.format
    if form == sniff.FOREIGN:
        account.reject(source.uri, NOT_TEXT, f"it is {source.form.what}")
    elif form == sniff.JSON_LINES:
        values = line_values(lines_of(stream_blocks(source.stream)), source.uri, account)
        yield from _of_values(values, column, source.uri, account)
    elif form == sniff.JSON:
        yield from _of_values(stream_values(source.stream, source.uri, account), column, source.uri, account)
    elif form == sniff.CSV:
        for table, rows in CsvRows(source.stream, split_name(source.name)[1], column).numbered(source.uri, account):
            yield _as_text(table, account), rows
    elif form == magic.WARC:
        yield from _in_a_row(_of_pages(read_records(source.stream, source.uri, account), column))
    elif form == magic.TAR:
        yield from _in_a_row(_of_lines(tar_texts(source, column, account, encoding), column))
    elif form in (sniff.LINES, sniff.WIKI):
        blocks = stream_blocks(source.stream)
        blocks = (WIKI_TAG.sub(b"", block) for block in blocks) if form == sniff.WIKI else blocks
        yield from _in_a_row(_of_lines(lines_of(blocks), column))
    else:
        yield from _in_a_row(map(pa.table, batches(source.seekable(), form)))


def _of_lines(lines: Iterator[bytes], column: str) -> Iterator[pa.Table]:
    while batch := list(islice(lines, BATCH_ROWS)):
        yield pa.table({column: pa.array([decode(line).strip() for line in batch], pa.string())})


def _of_pages(pages: Iterator[tuple[str, str]], column: str) -> Iterator[pa.Table]:
    while batch := list(islice(pages, BATCH_ROWS // 10)):
        urls, texts = zip(*batch, strict=True)
        named = {column: pa.array([text.strip() for text in texts], pa.string())}
        yield pa.table(named if column == URL else {**named, URL: pa.array(urls, pa.string())})


def _as_text(table: pa.Table, account: Account) -> pa.Table:
    """*Worker.* Binary columns as text; what is not UTF-8 becomes U+FFFD and is counted."""
    return pa.table([_cells_as_text(column, account) for column in table.columns], names=table.column_names)


def _cells_as_text(column: pa.ChunkedArray, account: Account) -> pa.Array:
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        cells = column.to_pylist()
        texts = [decode(cell) for cell in cells]
        account.counters["cells_with_replaced_bytes"] += sum(
            text.encode() != cell for text, cell in zip(texts, cells, strict=True)
        )
        return pa.array(texts, pa.string())


def _of_values(rows: Iterable[Row], column: str, uri: str, account: Account) -> Iterator[Numbered]:
    rows = iter(rows)
    while True:
        numbers, values = list[int](), list[dict[str, Any]]()  # not as pairs: the collector would visit each of them
        for row, value in islice(rows, BATCH_ROWS):
            numbers.append(row)
            values.append(value if isinstance(value, dict) else {column: value})
        if not values:
            return
        numbers, values = _usable_values(numbers, values, column, uri, account)
        names = list(dict.fromkeys(name for value in values for name in value))
        columns = {name: _json_column([value.get(name) for value in values], name == column) for name in names}
        yield pa.table(columns), numbers


def _usable_values(
    numbers: list[int], values: list[dict[str, Any]], column: str, uri: str, account: Account
) -> tuple[list[int], list[dict[str, Any]]]:
    """*Worker.* The rows; those that have an object where others have a text are rejects, as is one in a list."""
    texts = [value.get(column) for value in values]
    kinds = set(map(type, texts))
    if list in kinds:
        kinds = (kinds - {list}) | {type(item) for text in texts if isinstance(text, list) for item in text}
    if not kinds & {dict, list} or not kinds - {dict, list, type(None)}:
        return numbers, values
    left = list[int](), list[dict[str, Any]]()
    for row, value in zip(numbers, values, strict=True):
        text = value.get(column)
        items = text if isinstance(text, list) else [text]
        odd = [item for item in items if isinstance(item, (dict, list))]
        for item in odd:
            account.reject(at_row(uri, row), NO_TEXT, f"'{column}' is {kind_of(item)}")
        if len(odd) < len(items) or not odd:
            left[0].append(row)
            left[1].append({**value, column: [item for item in items if item not in odd]} if odd else value)
    return left


def _json_column(values: list[Any], holds_texts: bool) -> pa.Array:
    """*Worker.* The values of one key; `holds_texts` says that each is one text or several."""
    try:
        return pa.array(values)
    except UnicodeEncodeError:
        return _json_column([_whole(value) for value in values], holds_texts)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        if holds_texts:
            return pa.array([_texts_of(value) for value in values], pa.list_(pa.string()))
        return pa.array([json_text(value) for value in values], pa.string())


def _whole(value: Any) -> Any:
    """*Pure.* A value of JSON whose texts have U+FFFD in place of half a character, as `\\ud83d` alone is."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def _texts_of(value: Any) -> list[str | None]:
    return [json_text(item) for item in (value if isinstance(value, list) else [value])]


def json_text(value: Any) -> str | None:
    """*Pure.* A value of JSON as text: a text as it is, anything else as JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if text.isascii() else str(_whole(text))
