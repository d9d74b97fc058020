"""*Worker.* Pictures with their texts and metadata, as they are stored: a webdataset tar, or parquet with bytes.

tar       <record id>.jpg, <record id>.txt, <record id>.json
parquet   record_id, image (the bytes), url, caption, and all that the JSON says
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark.datasets.schema import own_name
from clip_spark.pictures.download.outcomes import Outcome
from clip_spark.pictures.plain_text import to_json

ENDING_OF = {"webdataset": "tar", "parquet": "parquet"}
"""Format -> ending of its files."""
NOT_SAID = ("uri", "kind", "text", "seconds", "stored_as")
"""Columns that a picture's metadata leaves out, or has under another name."""
BYTES, CAPTION = "image", "caption"
GROUP_ROWS = 64
"""Pictures of a row group of parquet: who wants a single one reads them all."""


class Samples(Protocol):
    """A file of pictures that is being written."""

    def add(self, row: Mapping[str, Any], outcome: Outcome) -> None:
        """Append a picture.

        Args:
            row: its record, with its columns as a download calls them.
            outcome: its bytes, and what is said of it.
        """


def metadata(row: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """*Pure.* What is said beside a picture: the user's columns, and what img2dataset's JSON would say."""
    own = {name: value for name, value in row.items() if name not in NOT_SAID}
    facts = {name: value for name, value in outcome.facts().items() if value is not None and name not in NOT_SAID}
    return {"record_id": row["record_id"], "url": row["uri"], **own, **facts}


@contextmanager
def open_samples(format: str, stream: IO[bytes], records: pa.Schema) -> Iterator[Samples]:
    """*Worker.* A file to be written to a stream from its start to its end; the same samples give the same bytes.

    Args:
        format: a key of ENDING_OF.
        stream: what is written to.
        records: columns of the records of a download.
    """
    if format == "webdataset":
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            yield TarSamples(tar)
        return
    columns = ParquetColumns(records)
    with pq.ParquetWriter(stream, columns.schema, compression="zstd", use_dictionary=False) as file:
        table = ParquetSamples(file, columns)
        yield table
        table.flush()


class TarSamples:
    """*Worker.* A webdataset tar."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, row: Mapping[str, Any], outcome: Outcome) -> None:
        """Append a picture and its texts, under its record id."""
        key = row["record_id"]
        self._add(f"{key}.{outcome.ending}", outcome.data)
        if caption := row.get("text"):
            self._add(f"{key}.txt", caption.encode("utf-8", "replace"))
        self._add(f"{key}.json", to_json(metadata(row, outcome)).encode("utf-8", "replace"))

    def _add(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))


class ParquetColumns:
    """*Pure.* The columns of a file of pictures: the user's keep their names unless these are needed."""

    def __init__(self, records: pa.Schema) -> None:
        reserved = (BYTES, CAPTION) if "text" in records.names else (BYTES,)
        said = [field for field in records if field.name not in (*NOT_SAID, "record_id", "url")]
        self._names = {own_name(field.name, reserved): field.name for field in said}
        first = {"record_id": pa.string(), BYTES: pa.binary()}
        first["url"] = records.field("url").type if "url" in records.names else pa.string()
        first |= {CAPTION: records.field("text").type} if "text" in records.names else {}
        self.schema = pa.schema([*first.items(), *zip(self._names, (field.type for field in said), strict=True)])

    def row(self, row: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
        """A picture as a row."""
        said = metadata(row, outcome)
        found = {"record_id": row["record_id"], BYTES: outcome.data, "url": said["url"], CAPTION: row.get("text")}
        return {**found, **{own: said.get(name) for own, name in self._names.items()}}


class ParquetSamples:
    """*Worker.* A parquet file of pictures."""

    def __init__(self, file: pq.ParquetWriter, columns: ParquetColumns) -> None:
        self._file, self._columns = file, columns
        self._rows: list[dict[str, Any]] = []

    def add(self, row: Mapping[str, Any], outcome: Outcome) -> None:
        """Append a picture as a row."""
        self._rows.append(self._columns.row(row, outcome))
        if len(self._rows) >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is kept."""
        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, self._columns.schema))
        self._rows = []
