"""*Worker.* Pictures as they are stored: single files, members of webdataset tars, rows of parquet.

A part names what one task reads; `read()` yields its pictures in an order that depends on the part alone. What cannot
be read comes out as an `Unreadable`, so that it is counted; it never stops the rest.
"""

from __future__ import annotations

import json
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clip_spark import storage

PICTURE_SUFFIXES = ("png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff")
BYTES_COLUMNS = ("image", "bytes", "jpg", "png", "content", "image_bytes")
"""Names under which parquet files keep a picture's bytes; datasets' `{bytes, path}` struct is read too."""


@dataclass(frozen=True)
class Picture:
    """The bytes of one picture and what travels with it.

    Attributes:
        uri: where it can be opened.
        data: the encoded bytes.
        caption: its text, if it has one.
        metadata: JSON object as text, if it has one.
        offset: first byte inside the tar `uri` names; None for other sources.
    """

    uri: str
    data: bytes
    caption: str | None = None
    metadata: str | None = None
    offset: int | None = None


@dataclass(frozen=True)
class Unreadable:
    """A picture, or a rest of a source, that could not be read."""

    uri: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A single picture file, and the URIs of its caption and metadata if they lie beside it; not read yet."""

    uri: str
    caption: str = ""
    metadata: str = ""

    def load(self) -> Picture | Unreadable:
        """Read it; called from several threads at once, since a read from an object store is mostly waiting."""
        try:
            return Picture(self.uri, storage.read_bytes(self.uri), _text(self.caption), _text(self.metadata))
        except FileNotFoundError:
            return Unreadable(self.uri, "missing", "the file does not exist")
        except (PermissionError, IsADirectoryError) as error:
            return Unreadable(self.uri, "unreadable", str(error))


def _text(uri: str) -> str | None:
    return storage.read_bytes(uri).decode("utf-8", "replace").strip() if uri else None


@dataclass(frozen=True)
class FilesPart:
    """Some single files; pickled small, since the driver holds the parts of millions of files for Spark."""

    files: tuple[FileEntry, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        rows = [(file.uri, file.caption, file.metadata) for file in self.files]
        return _unpacked, (zlib.compress(pickle.dumps(rows), 1),)

    def read(self) -> Iterator[FileEntry]:
        """The files in order, each to be loaded by the one who decodes it."""
        return iter(self.files)


def _unpacked(packed: bytes) -> FilesPart:
    return FilesPart(tuple(FileEntry(*row) for row in pickle.loads(zlib.decompress(packed))))


@dataclass(frozen=True)
class TarPart:
    """One webdataset tar: consecutive members with the same key make one sample."""

    uri: str

    def read(self) -> Iterator[Picture | Unreadable]:
        """The pictures in the order of the tar; a damaged rest is one Unreadable."""
        sample = _TarSample()
        try:
            with storage.open_read(self.uri) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
                for member in tar:
                    if not member.isfile():
                        continue
                    key, suffix = split_key(member.name)
                    if key != sample.key:
                        yield from sample.pictures(self.uri)
                        sample = _TarSample(key)
                    sample.add(member, suffix, _member_bytes(tar, member))
        except (tarfile.TarError, EOFError) as error:
            sample.complete = False
            yield from sample.pictures(self.uri)
            yield Unreadable(self.uri, "damaged tar", f"{error}; the rest of the tar is lost")
            return
        yield from sample.pictures(self.uri)


def _member_bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    data = stream.read() if stream is not None else b""
    if len(data) < member.size:
        raise EOFError(f"'{member.name}' is cut short")
    return data


class _TarSample:
    """The members of one key."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.complete = True
        self._found: list[tuple[tarfile.TarInfo, bytes]] = []
        self._texts: dict[str, str] = {}

    def add(self, member: tarfile.TarInfo, suffix: str, data: bytes) -> None:
        if suffix in PICTURE_SUFFIXES:
            self._found.append((member, data))
        elif suffix in ("txt", "json"):
            self._texts[suffix] = data.decode("utf-8", "replace").strip()

    def pictures(self, tar_uri: str) -> Iterator[Picture | Unreadable]:
        """All pictures of the sample; a sample without one is an Unreadable."""
        for member, data in self._found:
            uri = f"tar://{member.name}::{tar_uri}"
            yield Picture(uri, data, self._texts.get("txt"), self._texts.get("json"), member.offset_data)
        if self._texts and not self._found and self.complete:
            yield Unreadable(f"tar://{self.key}::{tar_uri}", "no picture", "the sample holds no picture")


def split_key(name: str) -> tuple[str, str]:
    """*Pure.* webdataset's key and lower-case suffix: the name is cut at the first dot of its last part."""
    folder, slash, base = name.rpartition("/")
    key, _, suffix = base.partition(".")
    return folder + slash + key, suffix.lower()


@dataclass(frozen=True)
class ParquetPart:
    """One parquet file with a column of image bytes."""

    uri: str

    def read(self) -> Iterator[Picture | Unreadable]:
        """The rows in order; columns besides the bytes become the metadata."""
        import pyarrow.parquet as pq

        with storage.open_read(self.uri) as stream:
            file = pq.ParquetFile(stream)
            column = bytes_column(file.schema_arrow.names)
            if column is None:
                yield Unreadable(self.uri, "no image bytes", f"no column named {', '.join(BYTES_COLUMNS)}")
                return
            number = 0
            for batch in file.iter_batches(batch_size=256):
                for row in batch.to_pylist():
                    yield _row_picture(self.uri, number, row, column)
                    number += 1


def bytes_column(names: list[str]) -> str | None:
    """*Pure.* The column that holds image bytes, or None."""
    return next((name for name in BYTES_COLUMNS if name in names), None)


def _row_picture(file_uri: str, number: int, row: dict[str, Any], column: str) -> Picture | Unreadable:
    value = row.pop(column)
    data = value.get("bytes") if isinstance(value, dict) else value
    uri = str(row.get("uri") or row.get("url") or f"{file_uri}#row={number}")
    if not isinstance(data, bytes):
        return Unreadable(uri, "no image bytes", f"row {number} of {file_uri} holds no bytes")
    caption = row.get("caption") or row.get("text")
    metadata = {key: item for key, item in row.items() if item is not None and not isinstance(item, bytes)}
    return Picture(
        uri, data, str(caption) if caption else None, json.dumps(metadata, default=str) if metadata else None
    )


Part = FilesPart | TarPart | ParquetPart
