"""*Worker.* The picture of a record: its bytes from where the record says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clip_spark import storage
from clip_spark.errors import InputError
from clip_spark.pictures.decode import MOST_BYTES
from clip_spark.pictures.sources import bytes_column

ROW = "#row="


def has_picture(record: Mapping[str, Any]) -> bool:
    """*Pure.* Whether a picture of this record can be read. Web addresses are not opened: a browser may."""
    uri = str(record.get("uri") or "")
    return bool(uri) and not is_web_address(uri)


def is_web_address(uri: str) -> bool:
    """*Pure.* True for http and https."""
    return uri.lower().startswith(("http://", "https://"))


def read_picture(record: Mapping[str, Any]) -> bytes:
    """*Worker.* The encoded bytes of a record's picture: a file, a tar member by offset and size, or a parquet row.

    Raises:
        InputError: the record has no picture, or it is not where it was when the index was made.
    """
    if not has_picture(record):
        raise InputError("This record has no picture that the server can open.")
    uri = str(record["uri"])
    try:
        if record.get("offset") is not None and "::" in uri:
            return _read_range(uri.split("::", 1)[1], int(record["offset"]), int(record["size"]))
        if ROW in uri:
            return _read_row(*uri.rsplit(ROW, 1))
        return storage.read_bytes(uri)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"The picture of this record cannot be read any more: '{uri}'.") from error


def _read_range(uri: str, offset: int, size: int) -> bytes:
    with storage.open_read(uri) as stream:
        stream.seek(offset)
        return stream.read(min(size, MOST_BYTES))


def _read_row(file_uri: str, row: str) -> bytes:
    import pyarrow.parquet as pq

    number = int(row)
    with storage.open_read(file_uri) as stream:
        file = pq.ParquetFile(stream)
        column = bytes_column(file.schema_arrow.names)
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if number < rows and column is not None:
                value = file.read_row_group(group, columns=[column]).column(0)[number].as_py()
                return bytes(value["bytes"] if isinstance(value, dict) else value)
            number -= rows
    raise KeyError(row)
