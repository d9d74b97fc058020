"""*Worker.* Corpora whose lines are fields: JSON lines, CSV, TSV, parquet, and text members of webdataset tars.

A row's text is one line of the corpus: line ends inside it are white space. Rows without a text are rejects.
"""

from __future__ import annotations

import csv
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from clip_spark.texts.corpus.listing import LINE_ENDINGS, Piece, plain_name
from clip_spark.texts.corpus.reading import BLOCK_BYTES, open_piece, read_blocks, read_lines
from clip_spark.texts.tokens import decode

Reject = Callable[[str, str, str], None]
"""Called with source, reason and message."""
BATCH_ROWS = 10_000


def read_text(piece: Piece, field: str, reject: Reject) -> Iterator[bytes]:
    """*Worker.* The lines of a piece in blocks, whatever its format.

    Args:
        piece: what to read.
        field: name of the column or key (`a.b` looks inside `a`); for a tar the ending of the text members.
        reject: told of each row that has no text.
    """
    name = plain_name(piece.uri)
    if name.endswith((".jsonl", ".ndjson")):
        return _blocks(_json_texts(read_lines(piece), piece.uri, field, reject))
    if name.endswith((".csv", ".tsv")):
        return _blocks(_csv_texts(piece, field, reject))
    if name.endswith(".parquet"):
        return _blocks(_parquet_texts(piece, field, reject))
    if name.endswith(".tar"):
        return _blocks(_tar_texts(piece, field, reject))
    return read_blocks(piece)


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


def _json_texts(lines: Iterable[bytes], source: str, field: str, reject: Reject) -> Iterator[bytes]:
    for line in lines:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            reject(source, "not JSON", str(error))
            continue
        yield from _text_of(dig(value, field), source, field, reject)


def dig(value: Any, field: str) -> Any:
    """*Pure.* `value["a"]["b"]` for the field `a.b`, or what the key `a.b` itself holds; None if it is not there."""
    if not isinstance(value, dict):
        return None
    if field in value:
        return value[field]
    head, _, rest = field.partition(".")
    return dig(value.get(head), rest) if rest else None


def _text_of(value: Any, source: str, field: str, reject: Reject) -> Iterator[bytes]:
    if isinstance(value, str):
        yield value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        yield value
    else:
        reject(source, "no text", f"'{field}' is {'missing' if value is None else type(value).__name__}")


def _csv_texts(piece: Piece, field: str, reject: Reject) -> Iterator[bytes]:
    delimiter = "\t" if plain_name(piece.uri).endswith(".tsv") else ","
    with open_piece(piece) as stream:
        head = b""
        while not head.endswith(b"\n") and (byte := stream.read(1)):
            head += byte
        names = next(csv.reader([decode(head).lstrip("\ufeff")], delimiter=delimiter), [])
        reading = pyarrow.csv.ReadOptions(column_names=names)
        parsing = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        kept = pyarrow.csv.ConvertOptions(
            include_columns=[field], include_missing_columns=True, column_types={field: pa.binary()}
        )
        for batch in pyarrow.csv.open_csv(stream, reading, parsing, kept):
            for value in batch.column(0).to_pylist():
                yield from _text_of(value, piece.uri, field, reject)


def _parquet_texts(piece: Piece, field: str, reject: Reject) -> Iterator[bytes]:
    with open_piece(piece) as stream:
        file = pq.ParquetFile(stream)
        top = field if field in file.schema_arrow.names else field.split(".")[0]
        if top not in file.schema_arrow.names:
            reject(piece.uri, "no text", f"there is no column '{field}'")
            return
        for batch in file.iter_batches(BATCH_ROWS, columns=[top if top == field else field]):
            column = batch.column(0)
            for key in field.split(".")[1:] if top != field else ():
                column = pc.struct_field(column, key)
            for value in column.to_pylist():
                yield from _text_of(value, piece.uri, field, reject)


def _tar_texts(piece: Piece, field: str, reject: Reject) -> Iterator[bytes]:
    """*Worker.* `txt` reads members *.txt; `json.caption` reads the key `caption` of members *.json."""
    ending, _, key = ("txt" if field == "text" else field).partition(".")
    with open_piece(piece) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            if not member.isfile() or not member.name.lower().endswith("." + ending):
                continue
            data = tar.extractfile(member).read()  # type: ignore[union-attr]
            if key:
                yield from _json_texts([data], f"{piece.uri}:{member.name}", key, reject)
            elif "." + ending in LINE_ENDINGS:
                yield from data.splitlines()
            else:
                yield data
