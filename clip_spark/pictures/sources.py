"""*Worker.* Pictures that are single files, with the captions and metadata that lie beside them."""

from __future__ import annotations

import csv
import pickle
import zlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any

from clip_spark import storage
from clip_spark.errors import InputError, StorageError
from clip_spark.pictures.folder_tables import read_table_rows
from clip_spark.pictures.hosts import read_link
from clip_spark.pictures.items import Picture, Unreadable, unreachable, with_texts


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A single picture file, not read yet.

    Attributes:
        uri: the picture.
        caption: URI of the text beside it, if there is one.
        metadata: URI of the JSON beside it, if there is one.
        table: URI of the table of its folder that may hold a row for it.
        row: that row as JSON, once the table is read.
        reason: why it cannot be used, if that is known from the listing.
    """

    uri: str
    caption: str = ""
    metadata: str = ""
    table: str = ""
    row: str = ""
    reason: str = ""

    def load(self) -> Picture | Unreadable:
        """Read it; called from several threads at once, since a read from an object store is mostly waiting."""
        if self.reason:
            return Unreadable(self.uri, self.reason, f"'{storage.name(self.uri)}' is not read")
        try:
            picture = Picture(self.uri, read_link(self.uri))
            return with_texts(picture, _text(self.caption), _text(self.metadata) or self.row)
        except FileNotFoundError:
            return Unreadable(self.uri, "missing", "the file does not exist")
        except (OSError, InputError, ValueError) as error:
            return Unreadable(self.uri, "unreadable", str(error))
        except StorageError as error:
            return unreachable(self.uri, self.uri, error)


def _text(uri: str) -> str | None:
    return storage.read_text(uri).strip() if uri else None


@dataclass(frozen=True)
class FilesPart:
    """Some single files; pickled small, since the driver holds the parts of millions of files for Spark."""

    files: tuple[FileEntry, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        rows = [astuple(file) for file in self.files]
        return _unpacked, (zlib.compress(pickle.dumps(rows), 1),)

    def read(self) -> Iterator[FileEntry | Unreadable]:
        """The files in order, each to be loaded by the one who decodes it; before them, tables that are damaged."""
        rows: dict[str, str] = {}
        for table in sorted({file.table for file in self.files if file.table}):
            wanted = {file.uri for file in self.files if file.table == table}
            try:
                rows |= read_table_rows(table, wanted)
            except (OSError, ValueError, csv.Error) as error:
                yield Unreadable(table, "damaged metadata", f"{type(error).__name__}: {error}")
        for file in self.files:
            yield replace(file, row=rows[file.uri]) if file.uri in rows else file


def _unpacked(packed: bytes) -> FilesPart:
    return FilesPart(tuple(FileEntry(*row) for row in pickle.loads(zlib.decompress(packed))))
