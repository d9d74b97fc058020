"""*Anywhere.* Byte ranges of many files at once: an object store answers them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from clip_spark.errors import DatasetError
from clip_spark.storage.files import filesystem
from clip_spark.storage.stores import clear_errors


class ByteRange(NamedTuple):
    """Bytes of a file, from `start` to before `end`."""

    uri: str
    start: int
    end: int


def read_ranges(wanted: Sequence[ByteRange]) -> list[bytes]:
    """*Anywhere.* Parts of files of one store, each in a request of its own, as many at a time as it has connections.

    Raises:
        DatasetError: a file is missing, or shorter than that.
        StorageError: the store does not answer.
    """
    if not wanted:
        return []
    fs = filesystem(wanted[0].uri)[0]
    paths = [filesystem(one.uri)[1] for one in wanted]
    with clear_errors(wanted[0].uri, "read"):
        found = fs.cat_ranges(paths, [one.start for one in wanted], [one.end for one in wanted])
    return [_checked(one, data) for one, data in zip(wanted, found, strict=True)]


def _checked(one: ByteRange, data: bytes | Exception) -> bytes:
    if isinstance(data, FileNotFoundError):
        raise DatasetError(f"'{one.uri}' is missing although its dataset lists it; build the dataset again.") from data
    if isinstance(data, Exception):
        with clear_errors(one.uri, "read"):
            raise data
    if len(data) != one.end - one.start:
        raise DatasetError(f"'{one.uri}' ends before byte {one.end:,}, where its dataset has more; build it again.")
    return bytes(data)
