"""*Anywhere.* The only module that knows fsspec: URIs in, bytes out.

A URI is a local path, `file://`, `s3://`, `gs://` or anything else that fsspec opens, also chained
(`tar://a.jpg::s3://bucket/0.tar`). What is written comes by `writes` and `conditional`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import IO, Any

import fsspec
import fsspec.config
from fsspec.compression import compr
from fsspec.core import OpenFile, url_to_fs
from fsspec.registry import registry as loaded_clients

from clip_spark.errors import DatasetError, InputError, nearest
from clip_spark.storage.listing import walk
from clip_spark.storage.stores import (
    clear_disk_errors,
    clear_errors,
    client_settings,
    is_web,
    whole_file_settings,
)

HASHED_BYTES = 8 << 20
TEMPORARY = ".tmp"
"""Suffix of files that are being written; no reader looks at them and `clean` may delete them."""
SPARK_OWN = (
    "SUCCESS|temporary|metadata|common_metadata|delta_log|spark_metadata|symlink_format_manifest|change_data|work"
)
HIDDEN = re.compile(rf"(?:^|/)(?:\.|_(?:{SPARK_OWN})(?:/|\Z)|_(?:committed|started)_\d+\Z)|{re.escape(TEMPORARY)}\Z")
"""Paths that no listing shows: a part of them begins with a dot, they are Spark's, Delta's or our own, or temporary."""

DELETED_AT_ONCE = 1000
"""Objects that one request of S3 deletes."""

USER_SETTINGS = {scheme: dict(settings) for scheme, settings in fsspec.config.conf.items()}


def _configure() -> None:
    """Give our settings to all clients, also those that other libraries make here; what the user set wins."""
    for scheme, settings in client_settings().items():
        fsspec.config.conf[scheme] = {**settings, **USER_SETTINGS.get(scheme, {})}


_configure()


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file of a listing: where, how many bytes, and a stamp (mtime or etag) that changes when it is rewritten."""

    uri: str
    bytes: int
    stamp: str


def is_local(uri: str) -> bool:
    """*Pure.* True for plain paths and `file://`; a path from `/` on may hold `::`."""
    if uri.startswith("/"):
        return True
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
    scheme = uri.split("://", 1)[0] if "://" in uri else "file"
    try:
        if uri.startswith("/"):
            return fsspec.filesystem("file"), uri.rstrip("/") or "/"
        if "::" in uri or scheme not in client_settings():
            return url_to_fs(uri)
        fs = _shared_client(scheme, os.getpid())
        return fs, fs._strip_protocol(uri)
    except (ValueError, ImportError) as error:
        known = ["s3", "gs", "abfs", "hdfs", "file", "http", "https", "memory"]
        raise InputError(
            f"Cannot open '{uri}': no reader for scheme '{scheme}://' ({error}). "
            f"Use a local path, s3://, gs:// or install the fsspec package for it.{nearest(scheme, known)}"
        ) from error


@lru_cache(maxsize=16)
def _shared_client(scheme: str, process: int) -> Any:
    """One client for all threads of a process: fsspec makes one per thread, each with its own connections."""
    return fsspec.filesystem(scheme)


def exists(uri: str) -> bool:
    """*Anywhere.* True if a file or folder is there."""
    fs, path = filesystem(uri)
    fs.invalidate_cache()
    with clear_errors(uri, "read"):
        return bool(fs.exists(path))


def list_files(uri: str) -> list[FileInfo]:
    """*Driver.* All files below a folder (or the file itself, or what a glob matches), sorted by URI.

    Hidden files and temporary files are left out; a missing place gives an empty list.
    """
    return sorted(iter_files(uri), key=lambda file: file.uri)


def is_hidden(path: str) -> bool:
    """*Pure.* True if no listing shows a path, given from the folder on that is listed."""
    return HIDDEN.search(path) is not None


def iter_files(uri: str, *, hidden: bool = False) -> Iterator[FileInfo]:
    """*Driver.* The same files one by one in no order, so that a million of them need no memory.

    Args:
        uri: a folder, a file or a glob.
        hidden: whether hidden and temporary files are among them.
    """
    path = filesystem(uri)[1]
    for place, file, _ in iter_everything(uri):
        if hidden or not is_hidden(place[len(path) :] if place.startswith(path) else name(place)):
            yield file


def iter_everything(uri: str) -> Iterator[tuple[str, FileInfo, float]]:
    """*Driver.* The hidden and temporary ones too: path in the file system, file, seconds since the epoch."""
    fs, path = filesystem(uri)
    fs.invalidate_cache()
    local = is_local(uri)
    with suppress(FileNotFoundError), clear_errors(uri, "listed"):
        found = False
        for place, size, stamp, changed in walk(fs, path):
            found = True
            yield place, FileInfo(place if local else fs.unstrip_protocol(place), size, stamp), changed
        if not found and is_web(uri):
            fs.info(path)  # a host that cannot be asked looks like a missing file to fsspec's listings


def folder_names(uri: str) -> list[str]:
    """*Driver.* Names of the folders right inside a folder, sorted; none where there is no such folder."""
    fs, path = filesystem(uri)
    fs.invalidate_cache()
    with suppress(FileNotFoundError, NotADirectoryError), clear_errors(uri, "listed"):
        return sorted(
            name(found["name"].rstrip("/")) for found in fs.ls(path, detail=True) if found["type"] == "directory"
        )
    return []


def file_size(uri: str) -> int:
    """*Anywhere.* Bytes of one file; raises DatasetError when it is not there."""
    fs, path = filesystem(uri)
    try:
        with clear_errors(uri, "read"):
            return int(fs.size(path))
    except FileNotFoundError as error:
        raise DatasetError(f"'{uri}' is missing although its dataset lists it; build the dataset again.") from error


@contextmanager
def open_read(uri: str, compression: str | None = None) -> Iterator[IO[bytes]]:
    """*Anywhere.* A readable, seekable (unless compressed) binary file."""
    fs, path = filesystem(uri)
    with clear_errors(uri, "read"), OpenFile(fs, path, "rb", compression=compression) as stream:
        yield stream


def unpack(stream: IO[bytes], compression: str) -> IO[bytes]:
    """*Anywhere.* What a compressed stream holds; `compression` is fsspec's name of it."""
    return compr[compression](stream, mode="r")


def read_bytes(uri: str) -> bytes:
    """*Anywhere.* A whole small file, in one request."""
    fs, path = filesystem(uri)
    with clear_errors(uri, "read"):
        return bytes(fs.cat_file(path, **whole_file_settings(uri)))


def sha256_of(uri: str) -> str:
    """*Anywhere.* 64 hex digits of a file's bytes, a block at a time; raises FileNotFoundError where there is none."""
    digest = hashlib.sha256()
    with open_read(uri) as stream:
        while block := stream.read(HASHED_BYTES):
            digest.update(block)
    return digest.hexdigest()


def read_json(uri: str) -> Any:
    """*Anywhere.* A JSON file; raises DatasetError when it is cut short or not JSON."""
    try:
        return json.loads(read_bytes(uri))
    except ValueError as error:
        raise DatasetError(f"'{uri}' is not valid JSON ({error}); delete it and run the job again.") from error


def remove_tree(uri: str) -> None:
    """*Driver.* Delete a folder and all below it; nothing happens if it is not there.

    Of S3 page by page: its client would list everything first.
    """
    fs, path = filesystem(uri)
    fs.invalidate_cache()
    if "s3" in fs.protocol:
        remove_files(file.uri for _, file, _ in iter_everything(uri))
        return
    with suppress(FileNotFoundError), clear_disk_errors(path, "deleted"):
        fs.rm(path, recursive=True)
    fs.invalidate_cache()


def remove_files(uris: Iterable[str]) -> None:
    """*Driver.* Delete single files, DELETED_AT_ONCE in a request; those that are gone already are no matter."""
    names = iter(uris)
    while some := list(islice(names, DELETED_AT_ONCE)):
        for path in map(absolute, some if is_local(some[0]) else ()):
            with suppress(FileNotFoundError), clear_disk_errors(path, "deleted"):
                os.remove(path)
        if not is_local(some[0]):
            fs, _ = filesystem(some[0])
            with suppress(FileNotFoundError), clear_errors(some[0], "deleted"):
                fs.rm([filesystem(uri)[1] for uri in some])


def remove_empty_folders(uri: str) -> None:
    """*Driver.* Delete what has no file in it, the folder itself too; an object store has no folders."""
    if is_local(uri):
        for folder, _, _ in os.walk(absolute(uri), topdown=False):
            with suppress(OSError):  # not empty
                os.rmdir(folder)


def forget_clients() -> None:
    """*Anywhere.* Make new clients at the next use, which read endpoint and credentials from the environment again."""
    _shared_client.cache_clear()
    for scheme in client_settings():
        if (kind := loaded_clients.get(scheme)) is not None:
            kind.clear_instance_cache()
    _configure()
