"""*Worker.* The texts of a file, whatever it is, as blocks of lines.

A row's text is one line of the corpus: line ends inside it are white space. Rows without a text are rejects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from clip_spark.texts.corpus import magic, sniff
from clip_spark.texts.corpus.account import NOT_TEXT, Account, at_row
from clip_spark.texts.corpus.csv_rows import CsvRows
from clip_spark.texts.corpus.encodings import AUTO
from clip_spark.texts.corpus.json_rows import Row, dig, keys_of, kind_of, line_values, stream_values
from clip_spark.texts.corpus.listing import Piece
from clip_spark.texts.corpus.opening import Source, open_member, open_source
from clip_spark.texts.corpus.reading import BLOCK_BYTES, lines_of, read_blocks, stream_blocks
from clip_spark.texts.corpus.sniff import split_name
from clip_spark.texts.corpus.tables import batches, table_schema
from clip_spark.texts.corpus.tars import is_hidden, read_members
from clip_spark.texts.corpus.warc import read_records
from clip_spark.texts.lines import decode

WIKI_TAG = re.compile(rb"^</?doc(?: [^\n]*)?>\r?(?:\n|\Z)", re.MULTILINE)
NO_TEXT = "no text"
TABLES = (magic.PARQUET, magic.ARROW, magic.ARROW_STREAM)
NESTED_FORMATS = (sniff.JSON_LINES, sniff.CSV, *TABLES)
"""Members of a tar that hold rows of their own."""


def read_text(piece: Piece, field: str, account: Account, encoding: str = AUTO) -> Iterator[bytes]:
    """*Worker.* The lines of a piece in blocks, whatever its format.

    Args:
        piece: what to read.
        field: name of the column or key (`a.b` looks inside `a`); for a tar the ending of the text members.
        account: told of rows that have no text, and of what the file is.
        encoding: of the text, where the user knows better.

    Raises:
        Exception: the file is damaged (`is_damage`), or cannot be reached.
    """
    if piece.form is not None:
        if piece.start == 0:
            account.found(piece.form)
        yield from _text_blocks(piece.form.format, read_blocks(piece), piece.uri, field, account)
        return
    with open_source(piece.uri, encoding) as source:
        account.found(source.form)
        yield from _texts(source, field, account, encoding)


def _texts(source: Source, field: str, account: Account, encoding: str) -> Iterator[bytes]:
    form = source.form.format
    if form == sniff.FOREIGN:
        account.reject(source.uri, NOT_TEXT, f"it is {source.form.what}")
    elif form in sniff.CUT_ANYWHERE:
        yield from _text_blocks(form, stream_blocks(source.stream), source.uri, field, account)
    elif form == magic.TAR:
        yield from _blocks(tar_texts(source, field, account, encoding))
    elif form == sniff.CSV:
        yield from _csv_blocks(source, field, account)
    else:
        yield from _blocks(_row_texts(source, field, account))


def _text_blocks(form: str, blocks: Iterable[bytes], uri: str, field: str, account: Account) -> Iterator[bytes]:
    """*Worker.* The texts of lines that stand alone."""
    if form == sniff.JSON_LINES:
        yield from _blocks(_values_texts(line_values(lines_of(blocks), uri, account), uri, field, account))
    elif form == sniff.WIKI:
        yield from filter(None, (WIKI_TAG.sub(b"", block) for block in blocks))
    else:
        yield from blocks


def _row_texts(source: Source, field: str, account: Account) -> Iterator[bytes]:
    """*Worker.* The texts of the rows of a file."""
    form = source.form.format
    if form == sniff.JSON_LINES:
        values = line_values(lines_of(stream_blocks(source.stream)), source.uri, account)
        yield from _values_texts(values, source.uri, field, account)
    elif form == sniff.JSON:
        yield from _values_texts(stream_values(source.stream, source.uri, account), source.uri, field, account)
    elif form == sniff.CSV:
        yield from lines_of(_csv_blocks(source, field, account))
    elif form == magic.WARC:
        for _, text in read_records(source.stream, source.uri, account):
            yield from text.encode("utf-8", "surrogatepass").splitlines()
    else:
        yield from _table_texts(source, field, account)


def _blocks(texts: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for text in texts:
        held.append(text.replace(b"\n", b" ") + b"\n")
        size += len(text)
        if size >= BLOCK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _values_texts(rows: Iterable[Row], uri: str, field: str, account: Account) -> Iterator[bytes]:
    for row, value in rows:
        text = value if isinstance(value, str) or is_texts(value) else dig(value, field)
        if isinstance(text, str):
            yield text.encode("utf-8", "surrogatepass")
        elif text is None or (text == [] and isinstance(value, list)):
            account.reject(at_row(uri, row), NO_TEXT, f"'{field}' is missing; {keys_of(value)}")
        else:
            yield from as_texts(text, at_row(uri, row), field, account)


def as_texts(value: Any, source: str, field: str, account: Account) -> Iterator[bytes]:
    """*Worker.* The texts of one row's field: one, or those of a list; else a reject."""
    if isinstance(value, str):
        yield value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        yield value
    elif is_texts(value):
        for item in value:
            yield from as_texts(item, source, field, account)
    else:
        what = "missing" if value is None else "an empty list" if value == [] else kind_of(value)
        account.reject(source, NO_TEXT, f"'{field}' is {what}")


def is_texts(value: Any) -> bool:
    """*Pure.* True for a list of texts."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, (str, bytes)) for item in value)


def _csv_blocks(source: Source, field: str, account: Account) -> Iterator[bytes]:
    rows = CsvRows(source.stream, split_name(source.name)[1], field)
    top = next((name for name in _beginnings(field) if name in rows.names), "")
    missing = (source.uri, NO_TEXT, f"'{field}' is missing; the columns are {', '.join(rows.names)}")
    for table in rows.tables(source.uri, account, top or field):
        if not top:
            account.rejects += [missing] * table.num_rows
            continue
        cells = table.column(0).to_pylist()
        if top != field:  # a cell of JSON
            found = (dig(decode(cell), field[len(top) + 1 :]) for cell in cells)
            cells = [text for value in found for text in as_texts(value, source.uri, field, account)]
        step = max(1, len(cells) * BLOCK_BYTES // max(1, table.nbytes))
        for start in range(0, len(cells), step):
            yield _block(cells[start : start + step])


def _block(texts: list[bytes]) -> bytes:
    """*Worker.* Texts as lines, at once where none holds a line end."""
    joined = b"\n".join(texts)
    if joined.count(b"\n") >= len(texts):
        joined = b"\n".join([text.replace(b"\n", b" ") for text in texts])
    return joined + b"\n"


def _table_texts(source: Source, field: str, account: Account) -> Iterator[bytes]:
    file, form = source.seekable(), source.form.format
    names = table_schema(file, form).names
    top = next((name for name in _beginnings(field) if name in names), None)
    row = 0
    for batch in batches(file, form, [top] if top else names[:1]):
        if top is None:
            why = (source.uri, NO_TEXT, f"'{field}' is missing; the columns are {', '.join(names)}")
            account.rejects += [why] * batch.num_rows
            continue
        for value in _values(batch.column(0)):
            row += 1
            text = value if top == field or value is None else dig(value, field[len(top) + 1 :])
            if isinstance(text, bytes):  # as nearly always
                yield text
            elif isinstance(text, str):
                yield text.encode("utf-8", "surrogatepass")
            else:
                yield from as_texts(text, at_row(source.uri, row), field, account)


def _values(column: pa.Array) -> list[Any]:
    """*Worker.* The values of a column; text as bytes, so that what is not UTF-8 stops nothing."""
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.view(pa.binary() if pa.types.is_string(column.type) else pa.large_binary())
    return column.to_pylist()


def _beginnings(field: str) -> Iterator[str]:
    """*Pure.* `a.b.c`, then `a.b`, then `a`."""
    while field:
        yield field
        field = field.rpartition(".")[0]


def tar_texts(source: Source, field: str, account: Account, encoding: str) -> Iterator[bytes]:
    """*Worker.* `text` reads members *.txt, and the rows of tables; `json.caption` reads the key of members *.json."""
    ending, _, key = ("txt" if field == "text" else field).partition(".")

    @contextmanager
    def again() -> Iterator[Any]:
        if first:
            yield first.pop()
            return
        with open_source(source.uri, encoding) as opened:
            yield opened.stream

    first = [source.stream]
    for name, stream in read_members(again):
        found = split_name(name)[1]
        if is_hidden(name):
            account.leave_out("._ or .DS_Store", "of macOS")
        elif name.lower().endswith("." + ending):
            yield from _member_texts(f"{source.uri}:{name}", name, stream, key, account)
        elif sniff.NAMED.get(found) in NESTED_FORMATS and found != ".json":
            with open_member(f"{source.uri}:{name}", name, stream, encoding) as member:
                yield from _row_texts(member, field, account)
        elif field == "text" and (sniff.NAMED.get(found) == sniff.LINES or not found):
            with open_member(f"{source.uri}:{name}", name, stream, encoding) as member:
                yield from lines_of(_texts(member, field, account, encoding))
        else:
            account.leave_out(found, "member of a tar")


def _member_texts(uri: str, name: str, stream: Any, key: str, account: Account) -> Iterator[bytes]:
    """*Worker.* The text of one webdataset member: a key of its JSON, its lines, or all of it."""
    with open_member(uri, name, stream) as member:
        if key:
            form = sniff.Form(sniff.JSON if member.form.format == sniff.JSON else sniff.JSON_LINES)
            yield from _row_texts(Source(uri, name, form, member.stream), key, account)
        elif sniff.NAMED.get(split_name(name)[1]) == sniff.LINES:
            yield from lines_of(_texts(member, "text", account, AUTO))
        else:
            yield member.stream.read()
