"""*Worker.* The picture of a record: its bytes from where the record says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clip_spark import storage
from clip_spark.errors import InputError
from clip_spark.pictures.decode import MOST_BYTES
from clip_spark.pictures.table_rows import ROW, read_row
from clip_spark.pictures.tars import read_member, split_uri


def has_picture(record: Mapping[str, Any]) -> bool:
    """*Pure.* Whether a picture of this record can be read. Web addresses are not opened: a browser may."""
    uri = str(record.get("uri") or "")
    return bool(uri) and not is_web_address(uri)


def is_web_address(uri: str) -> bool:
    """*Pure.* True for http and https."""
    return storage.is_web(uri)


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
            return _read_range(split_uri(uri)[1], int(record["offset"]), int(record["size"]))
        if ROW in uri:
            return read_row(uri)
        if uri.startswith("tar://"):
            return read_member(uri)
        return storage.read_bytes(uri)
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"The picture of this record cannot be read any more: '{uri}'.") from error


def _read_range(uri: str, offset: int, size: int) -> bytes:
    with storage.open_read(uri) as stream:
        stream.seek(offset)
        return stream.read(min(size, MOST_BYTES))
