"""*Anywhere.* Writes that happen only if nobody was quicker: the ground of every commit.

S3            If-None-Match and If-Match, decided by the store
local disk    a hard link for a new file; for a replacement a lock that ends with its process, and a rename
elsewhere     a lock file that is created exclusively, also where the disk knows no links or locks (DBFS, FUSE)
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from clip_spark.errors import StorageError
from clip_spark.storage.files import TEMPORARY, absolute, exists, filesystem, is_local, read_bytes
from clip_spark.storage.stores import clear_disk_errors, clear_errors
from clip_spark.storage.writes import rename, write_bytes

LOCK_SECONDS = 60.0
"""A lock file as old as this belongs to a process that died: what is done under it takes milliseconds."""
WAIT_SECONDS = 0.02


def read_versioned(uri: str) -> tuple[bytes, str]:
    """*Anywhere.* A small file and its version, both empty if it is not there.

    A version is never younger than the bytes: of a file that changes between two requests a replacement is refused.
    """
    try:
        version = _etag(uri)
        data = read_bytes(uri)
    except FileNotFoundError:
        return b"", ""
    return data, version or _version(data)


def create_bytes(uri: str, data: bytes) -> bool:
    """*Anywhere.* Write a small file unless it exists; of several processes at once exactly one succeeds.

    Returns:
        False if the file was there already.
    """
    if is_local(uri):
        with clear_disk_errors(absolute(uri), "written"):
            return _create_local(absolute(uri), data)
    fs, path = filesystem(uri)
    return _put(uri, data, lambda: fs.pipe_file(path, data, mode="create"), "")


def replace_bytes(uri: str, data: bytes, version: str) -> bool:
    """*Anywhere.* Write a small file if its version is still this one; an empty version means that it must not exist.

    Returns:
        False if another writer was quicker; then nothing was written.
    """
    if not version:
        return create_bytes(uri, data)
    if _has_conditions(uri):
        fs, path = filesystem(uri)
        return _put(uri, data, lambda: fs.pipe_file(path, data, IfMatch=f'"{version}"'), version)
    with clear_disk_errors(absolute(uri), "written"), _one_at_a_time(uri):
        if read_versioned(uri)[1] != version:
            return False
        write_bytes(uri, data)
    return True


def _put(uri: str, data: bytes, put: Callable[[], object], version: str) -> bool:
    """A conditional request. What it did is looked up after an error: "precondition failed" has no class of its own,
    and a request that was repeated because its answer was lost fails on what it has written itself."""
    try:
        with clear_errors(uri, "written"):
            put()
    except (OSError, StorageError):
        found, now = read_versioned(uri)
        if found == data:
            return True
        if now == version:
            raise
        return False
    return True


def _has_conditions(uri: str) -> bool:
    return uri.startswith(("s3://", "s3a://"))


def _etag(uri: str) -> str:
    if not _has_conditions(uri):
        return ""
    fs, path = filesystem(uri)
    with clear_errors(uri, "read"):
        return str(fs.info(path, refresh=True).get("ETag", "")).strip('"')


def _version(data: bytes) -> str:
    """Of the content: inodes and times are not to be relied on where a disk lies behind FUSE."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _create_local(path: str, data: bytes) -> bool:
    folder, base = os.path.split(path)
    temporary = os.path.join(folder, f".{base}.{uuid.uuid4().hex}{TEMPORARY}")
    write_bytes(temporary, data)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # no links here
        return _create_under_lock(temporary, path)
    finally:
        with suppress(OSError):
            os.remove(temporary)
    return True


def _create_under_lock(temporary: str, path: str) -> bool:
    with _one_at_a_time(path):
        if os.path.exists(path):
            return False
        rename(temporary, path)
    return True


@contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Held by one writer of a file at a time."""
    folder, _, base = uri.rpartition("/")
    lock = f"{folder}/.{base}.lock"
    if is_local(uri):
        with suppress(_NoLocks), _flock(absolute(lock)):
            yield
            return
    with _lock_file(lock):
        yield


class _NoLocks(Exception):
    """This disk has no advisory locks."""


@contextmanager
def _flock(lock: str) -> Iterator[None]:
    """A lock of the kernel, gone with the process that holds it; its file is removed while it is held."""
    os.makedirs(os.path.dirname(lock), exist_ok=True)
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            os.close(descriptor)
            raise _NoLocks from error
        if _is_same_file(descriptor, lock):
            break
        os.close(descriptor)  # the one before us has removed the file
    try:
        yield
    finally:
        try:
            with suppress(OSError):  # it is the lock that counts, not its file
                os.remove(lock)
        finally:  # also if this thread is ended here: the process may live on, and would hold the lock
            os.close(descriptor)


def _is_same_file(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


@contextmanager
def _lock_file(lock: str) -> Iterator[None]:
    """A file that is created exclusively; one that a dead process left is taken away after LOCK_SECONDS."""
    token = uuid.uuid4().hex.encode()
    seen, since = b"", time.monotonic()
    while not _create_exclusively(lock, token):
        found = read_versioned(lock)[0]
        if found != seen:
            seen, since = found, time.monotonic()
        elif time.monotonic() - since > LOCK_SECONDS:
            _remove(lock)
        time.sleep(WAIT_SECONDS)
    try:
        yield
    finally:
        if read_versioned(lock)[0] == token:
            _remove(lock)


def _create_exclusively(lock: str, token: bytes) -> bool:
    if not is_local(lock):
        return create_bytes(lock, token)
    try:
        descriptor = os.open(absolute(lock), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(token)
    return True


def _remove(uri: str) -> None:
    fs, path = filesystem(uri)
    with suppress(FileNotFoundError), clear_errors(uri, "written"):
        if exists(uri):
            fs.rm_file(path)
