"""*Worker.* Pictures in rows of tables: bytes, base64, datasets' `{bytes, path}`, paths, or lists of these."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from clip_spark import storage
from clip_spark.errors import InputError, StorageError
from clip_spark.pictures.formats import HEAD_BYTES, ending, picture_format, what_else
from clip_spark.pictures.hosts import asked, read_link
from clip_spark.pictures.items import Item, LeftOut, Picture, Unreadable, unreachable, with_texts
from clip_spark.pictures.plain_text import to_json, value_at
from clip_spark.pictures.tables import Table, open_table

ROW, COLUMN, ITEM = "#row=", "&column=", "&item="
"""A picture's URI is `file#row=7`; the column follows where the user named it, and the place in a list."""
BYTES_COLUMNS = (
    "image",
    "bytes",
    "jpg",
    "png",
    "content",
    "image_bytes",
    "img",
    "images",
    "jpeg",
    "webp",
    "picture",
    "photo",
)
"""Names under which tables keep pictures, the usual one first; in any case of letters."""
ARROW_ENDINGS = (".arrow", ".feather", ".ipc", ".arrows")
PATH_COLUMNS = ("image_path", "file_name", "filename", "path", "file")
BASE64_HEAD = 64


class NotTableError(ValueError):
    """A file that is something else from its beginning on, such as the page of an error."""


@dataclass(frozen=True)
class TablePart:
    """One parquet or Arrow file with a column of pictures; an empty `column` is found by name and type.

    The rows of one of ours have record ids. `partitions` are columns that its folders name, with their value in all
    rows; the file's own go first.
    """

    uri: str
    column: str = ""
    own: bool = False
    partitions: tuple[tuple[str, str | None], ...] = ()

    def read(self) -> Iterator[Item]:
        """The rows in order; columns besides the pictures become the metadata. A damaged file is one Unreadable."""
        try:
            with asked(self.uri), storage.open_read(self.uri) as stream:
                yield from self._rows(stream)
        except FileNotFoundError:
            yield Unreadable(self.uri, "missing", "the file does not exist")
        except StorageError as error:
            yield unreachable(self.uri, self.uri, error)
        except (OSError, ValueError, pa.ArrowException) as error:
            kind = "Arrow file" if self.uri.lower().endswith(ARROW_ENDINGS) else "parquet"
            if isinstance(error, NotTableError):
                yield Unreadable(self.uri, "not a table", str(error))
            else:
                yield Unreadable(self.uri, f"damaged {kind}", f"{error}; the rest of the file is lost")

    def schema(self) -> pa.Schema:
        """Its columns; none of a file that cannot be read."""
        with suppress(OSError, ValueError, pa.ArrowException, StorageError), storage.open_read(self.uri) as stream:
            return open_table(stream).schema
        return pa.schema([])

    def _rows(self, stream: Any) -> Iterator[Item]:
        table = _opened(stream)
        column = picture_column(table.schema, self.column)
        if column is None:
            names = ", ".join(table.schema.names)
            yield Unreadable(self.uri, "no image bytes", f"none of the columns holds pictures: {names}")
            return
        number = 0
        named = {name: int(text) if text and text.isdecimal() else text for name, text in self.partitions}
        for batch in table.batches():
            for row in batch.to_pylist():
                for item in row_items(self._row_uri(number), {**named, **row}, column):
                    yield replace(item, record_id=row["record_id"]) if self.own and isinstance(item, Picture) else item
                number += 1
        if not number:
            yield LeftOut(ending(self.uri), "a table without rows")

    def _row_uri(self, number: int) -> str:
        """Says the column too where the user chose it: whoever shows the picture later must read the same."""
        return f"{self.uri}{ROW}{number}" + (f"{COLUMN}{self.column}" if self.column else "")


def _opened(stream: Any) -> Table:
    try:
        return open_table(stream)
    except (ValueError, pa.ArrowException) as error:
        stream.seek(0)
        what = what_else(stream.read(HEAD_BYTES))
        if what and what not in ("parquet", "Arrow"):
            raise NotTableError(f"it holds {what}") from error
        raise


def picture_column(schema: pa.Schema, wanted: str = "") -> str | None:
    """*Pure.* The column that holds pictures: the wanted one, else by its name and type, else the only one of bytes."""
    if wanted:
        return wanted if wanted in schema.names or _leads_inside(schema, wanted.split(".")) else None
    lower = {name.lower(): name for name in reversed(schema.names)}
    named = [lower[name] for name in (*BYTES_COLUMNS, *PATH_COLUMNS) if name in lower]
    usable = [name for name in named if _may_hold(schema.field(name).type)]
    holding = [name for name in schema.names if _is_bytes(_inner(schema.field(name).type))]
    in_names = [name for name in usable if name in holding]
    return next(iter(in_names or (holding if len(holding) == 1 else []) or usable), None)


def _leads_inside(schema: Any, path: Sequence[str]) -> bool:
    """Whether `a.b` names a field inside a struct."""
    found = [field for field in schema if field.name == path[0]]
    if not found or len(path) == 1:
        return bool(found)
    return pa.types.is_struct(found[0].type) and _leads_inside(found[0].type, path[1:])


def _inner(kind: pa.DataType) -> pa.DataType:
    """What lists and dictionaries hold."""
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_dictionary)
    return _inner(kind.value_type) if any(is_kind(kind) for is_kind in lists) else kind


def _is_bytes(kind: pa.DataType) -> bool:
    """Bytes, or a struct of them as datasets writes it."""
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_bytes(field.type) for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _may_hold(kind: pa.DataType) -> bool:
    inner = _inner(kind)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return _is_bytes(inner) or any(is_kind(inner) for is_kind in texts)


def row_items(uri: str, row: dict[str, Any], column: str) -> Iterator[Item]:
    """*Worker.* The pictures of one row: one, or as many as its list holds."""
    value = row.pop(column) if column in row else value_at(row, column)
    file_uri = uri.rpartition(ROW)[0]
    if not isinstance(value, list):
        yield _picture(uri, file_uri, value, row)
        return
    for place, item in enumerate(value):
        yield _picture(f"{uri}{ITEM}{place}", file_uri, item, row)
    if not value:
        yield Unreadable(uri, "no image bytes", "the row's list of pictures is empty")


def _picture(uri: str, file_uri: str, value: Any, row: dict[str, Any]) -> Picture | Unreadable:
    try:
        data = picture_bytes(value, file_uri)
    except FileNotFoundError:
        return Unreadable(uri, "missing", f"the row names '{_path(value)}', which does not exist")
    except (OSError, InputError, ValueError) as error:
        return Unreadable(uri, "unreadable", str(error))
    except StorageError as error:
        return unreachable(uri, beside(file_uri, _path(value)), error)
    if data is None:
        return Unreadable(uri, "no image bytes", "the row holds neither bytes nor a path")
    metadata = {name: item for name, item in row.items() if item is not None and not isinstance(item, bytes)}
    return with_texts(Picture(uri, data), None, to_json(metadata) if metadata else None)


def picture_bytes(value: Any, file_uri: str) -> bytes | None:
    """*Worker.* The encoded picture that a cell holds or names; paths are relative to the parquet file.

    Raises:
        FileNotFoundError, OSError: the file that it names cannot be read.
    """
    found = value.get("bytes") if isinstance(value, dict) else value
    if isinstance(found, bytes):
        return found
    text = found if isinstance(found, str) else _path(value)
    if not text:
        return None
    return from_base64(text) or read_link(beside(file_uri, text))


def _path(value: Any) -> str:
    found = value.get("path") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


def beside(file_uri: str, path: str) -> str:
    """*Pure.* A path that a file names, as that file's neighbour; absolute ones and URIs stay."""
    if "://" in path or path.startswith(("/", "~")):
        return storage.absolute(path)
    return storage.join(file_uri.rpartition("/")[0], path.removeprefix("./"))


def from_base64(text: str) -> bytes | None:
    """*Pure.* The bytes that a text writes in base64 (or as a data: URI) if they begin as a picture, else None."""
    written = text.partition(",")[2] if text.startswith("data:") else text
    if len(written) < 24 or (ending(written) and "/" not in written[:8] and len(written) < 256):
        return None
    try:
        head = base64.b64decode(written[:BASE64_HEAD] + "=" * (-len(written[:BASE64_HEAD]) % 4), validate=True)
        return base64.b64decode(written, validate=False) if picture_format(head) else None
    except (binascii.Error, ValueError):
        return None


def read_row(uri: str) -> bytes:
    """*Worker.* The encoded picture of a row's URI, as `row_items` gives it.

    Raises:
        KeyError: there is none.
    """
    file_uri, _, rest = uri.rpartition(ROW)
    rest, _, place = rest.partition(ITEM)
    row, _, wanted = rest.partition(COLUMN)
    with storage.open_read(file_uri) as stream:
        table = open_table(stream)
        column = picture_column(table.schema, wanted)
        if column is None:
            raise KeyError(uri)
        inside = column not in table.schema.names
        value = table.cell(int(row), column.partition(".")[0] if inside else column)
        value = value_at({"": value}, "." + column.partition(".")[2]) if inside else value
        data = picture_bytes(value[int(place)] if place else value, file_uri)
    if data is None:
        raise KeyError(uri)
    return data
