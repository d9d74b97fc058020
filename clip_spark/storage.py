"""*Anywhere.* The only module that knows fsspec: URIs in, bytes out.

A URI is a local path, `file://`, `s3://`, `gs://` or anything else that fsspec opens, also chained
(`tar://a.jpg::s3://bucket/0.tar`). Every write is atomic: a reader sees the whole file or none.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any

import fsspec
from fsspec.core import url_to_fs

from clip_spark.errors import DatasetError, InputError, nearest

TEMPORARY = ".tmp"
"""Suffix of files that are being written; no reader looks at them and `clean` may delete them."""


@dataclass(frozen=True)
class FileInfo:
    """One file of a listing: where, how many bytes, and a stamp (mtime or etag) that changes when it is rewritten."""

    uri: str
    bytes: int
    stamp: str


def is_local(uri: str) -> bool:
    """*Pure.* True for plain paths and `file://`."""
    return "::" not in uri and ("://" not in uri or uri.startswith(("file://", "local://")))


def absolute(uri: str) -> str:
    """*Anywhere.* The same place independent of the working directory; a local URI becomes a plain absolute path."""
    if not is_local(uri):
        return uri.rstrip("/")
    path = uri.split("://", 1)[1] if "://" in uri else uri
    return os.path.abspath(os.path.expanduser(path))


def join(uri: str, *parts: str) -> str:
    """*Pure.* `uri/part/part`."""
    return "/".join([uri.rstrip("/"), *parts])


def name(uri: str) -> str:
    """*Pure.* The last part of a URI's path."""
    return uri.rstrip("/").rsplit("/", 1)[-1]


def filesystem(uri: str) -> tuple[Any, str]:
    """*Anywhere.* The fsspec file system of a URI and the path inside it.

    Raises:
        InputError: nothing that is installed opens this scheme.
    """
    try:
        return url_to_fs(uri)
    except (ValueError, ImportError) as error:
        scheme = uri.split("://", 1)[0]
        known = ["s3", "gs", "abfs", "hdfs", "file", "http", "https", "memory"]
        raise InputError(
            f"Cannot open '{uri}': no reader for scheme '{scheme}://' ({error}). "
            f"Use a local path, s3://, gs:// or install the fsspec package for it.{nearest(scheme, known)}"
        ) from error


def exists(uri: str) -> bool:
    """*Anywhere.* True if a file or folder is there."""
    fs, path = filesystem(uri)
    fs.invalidate_cache()
    return bool(fs.exists(path))


def is_folder(uri: str) -> bool:
    """*Anywhere.* True if a folder (or a prefix with objects under it) is there."""
    fs, path = filesystem(uri)
    fs.invalidate_cache()
    return bool(fs.isdir(path))


def _stamp(info: dict[str, Any]) -> str:
    found = next((info[key] for key in ("ETag", "etag", "mtime", "LastModified", "updated") if info.get(key)), "")
    return str(found).strip('"')


def list_files(uri: str) -> list[FileInfo]:
    """*Driver.* All files below a folder (or the file itself, or what a glob matches), sorted by URI.

    Hidden files and temporary files are left out; a missing place gives an empty list.
    """
    fs, path = filesystem(uri)
    fs.invalidate_cache()
    try:
        found = fs.glob(path, detail=True) if any(c in path for c in "*?[") else fs.find(path, detail=True)
    except FileNotFoundError:
        return []
    files = [
        FileInfo(fs.unstrip_protocol(key) if not is_local(uri) else key, int(info["size"] or 0), _stamp(info))
        for key, info in found.items()
        if info["type"] == "file" and not _is_hidden(key[len(path) :] if key.startswith(path) else name(key))
    ]
    return sorted(files, key=lambda file: file.uri)


def _is_hidden(relative: str) -> bool:
    return any(part.startswith((".", "_")) for part in relative.split("/")) or relative.endswith(TEMPORARY)


def file_size(uri: str) -> int:
    """*Anywhere.* Bytes of one file; raises DatasetError when it is not there."""
    fs, path = filesystem(uri)
    try:
        return int(fs.size(path))
    except FileNotFoundError as error:
        raise DatasetError(f"'{uri}' is missing although its dataset lists it; build the dataset again.") from error


@contextmanager
def open_read(uri: str, compression: str | None = None) -> Iterator[IO[bytes]]:
    """*Anywhere.* A readable, seekable (unless compressed) binary file."""
    filesystem(uri)
    with fsspec.open(uri, "rb", compression=compression) as stream:
        yield stream


def read_bytes(uri: str) -> bytes:
    """*Anywhere.* A whole small file."""
    with open_read(uri) as stream:
        return stream.read()


def read_json(uri: str) -> Any:
    """*Anywhere.* A JSON file; raises DatasetError when it is cut short or not JSON."""
    try:
        return json.loads(read_bytes(uri))
    except ValueError as error:
        raise DatasetError(f"'{uri}' is not valid JSON ({error}); delete it and run the job again.") from error


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
    fs, path = filesystem(uri)
    stream = fs.open(path, "wb")
    try:
        yield stream
    except BaseException:
        with suppress(Exception):  # the first error is the one to report
            stream.discard()
            stream.closed = True  # no completion at garbage collection
        raise
    stream.close()


@contextmanager
def _open_write_local(path: str) -> Iterator[IO[bytes]]:
    folder, base = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    # A leading dot and a foreign suffix: embedding-reader globs **/*.parquet and must not see it.
    temporary = os.path.join(folder, f".{base}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        with open(temporary, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def write_bytes(uri: str, data: bytes) -> None:
    """*Anywhere.* Write a whole small file atomically."""
    with open_write(uri) as stream:
        stream.write(data)


def write_json(uri: str, value: Any) -> None:
    """*Anywhere.* Write a JSON file atomically, keys in the order given."""
    write_bytes(uri, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def remove_tree(uri: str) -> None:
    """*Driver.* Delete a folder and all below it; nothing happens if it is not there."""
    fs, path = filesystem(uri)
    fs.invalidate_cache()
    with suppress(FileNotFoundError):
        fs.rm(path, recursive=True)
    fs.invalidate_cache()
