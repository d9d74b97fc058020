"""*Worker.* Files of an index on the local disk: in place if they are there, else fetched once per machine by hash."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from clip_spark import storage
from clip_spark.errors import DatasetError
from clip_spark.index.files.cache_room import FETCHING, hold, make_room
from clip_spark.index.files.layout import FILES, IndexFile, IndexInfo
from clip_spark.storage.local_cache import cache_folder

Opened = TypeVar("Opened")
BLOCK_BYTES = 8 << 20
ADVICE = "build the index again with --overwrite"


def open_local(index_uri: str, file: IndexFile, open_path: Callable[[str], Opened]) -> Opened:
    """*Worker.* What `open_path` makes of a path on this machine, such as a memory map; a fetched file stays there at
    least as long as that lives.

    Raises:
        DatasetError: the file is missing, cut short, or (where it was fetched) its bytes are not those of the build.
    """
    uri = storage.join(index_uri, file.path)
    if storage.is_local(uri):
        return open_path(_checked(storage.absolute(uri), file))
    while True:
        path = _fetched(uri, file)
        held = hold(path)
        if held is not None:
            break
    try:
        opened = open_path(path)
    except BaseException:
        os.close(held)
        raise
    weakref.finalize(opened, os.close, held)
    return opened


def _checked(path: str, file: IndexFile) -> str:
    if not os.path.exists(path):
        raise DatasetError(f"'{path}' is missing although its index lists it; {ADVICE}.")
    size = os.path.getsize(path)
    if size != file.bytes:
        raise DatasetError(f"'{path}' has {size} bytes, its index says {file.bytes}; {ADVICE}.")
    return path


def fetch(index_uri: str, file: IndexFile) -> None:
    """*Worker.* Bring a file to this machine, if the index is not here; raises what `open_local` raises."""
    if not storage.is_local(index_uri):
        _fetched(storage.join(index_uri, file.path), file)


def is_here(index_uri: str, file: IndexFile) -> bool:
    """*Worker.* Whether a file is on this machine: the index is, or it was fetched."""
    return storage.is_local(index_uri) or _is_whole(os.path.join(str(cache_folder()), file.sha256), file)


def _is_whole(path: str, file: IndexFile) -> bool:
    return os.path.exists(path) and os.path.getsize(path) == file.bytes


def _fetched(uri: str, file: IndexFile) -> str:
    folder = str(cache_folder())
    path = os.path.join(folder, file.sha256)
    if _is_whole(path, file):
        return path
    with _one_at_a_time(folder):
        if not os.path.exists(path):  # a neighbour may have fetched it meanwhile
            make_room(folder, file.bytes)
            _fetch(uri, file, path)
    return path


@contextmanager
def _one_at_a_time(folder: str) -> Iterator[None]:
    """Held by one process (and one thread of it) of the machine, so that what all workers need is fetched once."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # let go when the descriptor closes, or its process dies
        yield
    finally:
        os.close(descriptor)


def _fetch(uri: str, file: IndexFile, path: str) -> None:
    handle, temporary = tempfile.mkstemp(storage.TEMPORARY, FETCHING, os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as target:
            found = _copy(uri, target)
        if found != file.sha256:
            raise DatasetError(f"'{uri}' does not have the bytes that its build wrote (sha256 differs); {ADVICE}.")
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(temporary)
        raise


def _copy(uri: str, target: object) -> str:
    """Copy (if there is a target) and return the sha256."""
    digest = hashlib.sha256()
    try:
        with storage.open_read(uri) as source:
            while block := source.read(BLOCK_BYTES):
                digest.update(block)
                if target is not None:
                    target.write(block)  # type: ignore[attr-defined]
    except FileNotFoundError as error:
        raise DatasetError(f"'{uri}' is missing although its index lists it; {ADVICE}.") from error
    return digest.hexdigest()


def verify_files(index_uri: str, info: IndexInfo) -> None:
    """*Worker.* Read every file of an index and compare its hash; raises DatasetError at the first that differs."""
    for file in (file for folder in FILES for file in getattr(info, folder)):
        uri = storage.join(index_uri, file.path)
        if _copy(uri, None) != file.sha256:
            raise DatasetError(f"'{uri}' does not have the bytes that its build wrote (sha256 differs); {ADVICE}.")
