"""*Anywhere.* Every write is atomic: a reader sees the whole file or none."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from clip_spark.errors import StorageError
from clip_spark.storage.files import TEMPORARY, absolute, filesystem, is_local
from clip_spark.storage.stores import clear_disk_errors, clear_errors


@contextmanager
def open_write(uri: str) -> Iterator[IO[bytes]]:
    """*Anywhere.* A writable binary file that appears under its name when the block ends without an error.

    Local: a temporary name in the same folder, synced, then renamed. Object stores: one put, or a multipart
    upload that is completed at the end and aborted on an error.
    """
    if is_local(uri):
        with _open_write_local(absolute(uri)) as stream:
            yield stream
        return
    with clear_errors(uri, "written"):
        yield from _open_write_object(uri)


def _open_write_object(uri: str) -> Iterator[IO[bytes]]:
    fs, path = filesystem(uri)
    stream = fs.open(path, "wb")
    try:
        yield stream
        stream.close()
    except BaseException:
        with suppress(Exception):  # the first error is the one to report
            stream.discard()
        stream.closed = True  # no completion at garbage collection
        raise


def _temporary_name(base: str) -> str:
    """Cut where the whole would be longer than the 255 bytes that file systems take."""
    short = os.fsdecode(os.fsencode(base)[:200])
    return f".{short}.{uuid.uuid4().hex}{TEMPORARY}"


@contextmanager
def _open_write_local(path: str) -> Iterator[IO[bytes]]:
    folder, base = os.path.split(path)
    # A leading dot and a foreign suffix: embedding-reader globs **/*.parquet and must not see it.
    temporary = os.path.join(folder, _temporary_name(base))
    with clear_disk_errors(path, "written"):
        try:
            os.makedirs(folder, exist_ok=True)
            with open(temporary, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            rename(temporary, path)
        except BaseException:
            with suppress(OSError):  # the first error is the one to report
                os.remove(temporary)
            raise


def rename(temporary: str, path: str) -> None:
    """*Anywhere.* Give a finished file its name; raises StorageError if it was deleted meanwhile."""
    try:
        os.replace(temporary, path)
    except FileNotFoundError as error:  # `clean` takes what looks abandoned
        raise StorageError(f"'{path}' was deleted while it was written; run the same command again.") from error


def write_bytes(uri: str, data: bytes) -> None:
    """*Anywhere.* Write a whole small file atomically; one request on an object store."""
    if is_local(uri):
        with _open_write_local(absolute(uri)) as stream:
            stream.write(data)
        return
    fs, path = filesystem(uri)
    with clear_errors(uri, "written"):
        fs.pipe_file(path, data)


def write_json(uri: str, value: Any) -> None:
    """*Anywhere.* Write a JSON file atomically, keys in the order given."""
    write_bytes(uri, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())
