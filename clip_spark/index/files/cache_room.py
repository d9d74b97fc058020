"""*Worker.* Keeps the cache folder below a size: what was not used for longest goes, and never what a process uses.

$CLIP_SPARK_CACHE_SIZE says how much fetched index files may take, such as 200G; half of the disk if it is not set. A
process that has a file open holds a shared lock on it; one that makes room takes each file exclusively or leaves it.
A file's time of change is when it was opened last.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
from contextlib import suppress

from clip_spark.datasets.sizes import size_bytes
from clip_spark.errors import SpecError

log = logging.getLogger(__name__)

SIZE_VARIABLE = "CLIP_SPARK_CACHE_SIZE"
FETCHED = re.compile(r"[0-9a-f]{64}")
"""Names of fetched index files: their sha256. Weights and what was measured here stay."""
FETCHING = "fetch-"
"""Beginning of the names of files that are being fetched; by one process at a time, so others are of dead ones."""


def limit(folder: str) -> int:
    """*Worker.* Bytes that fetched files may take; raises SpecError where the variable is no size."""
    text = os.environ.get(SIZE_VARIABLE)
    if text is None:
        return shutil.disk_usage(folder).total // 2
    try:
        return size_bytes(SIZE_VARIABLE, text)
    except SpecError as error:
        raise SpecError(f"{SIZE_VARIABLE} is '{text}'; give a size such as 200G.") from error


def make_room(folder: str, needed: int) -> None:
    """*Worker.* Remove files until `needed` bytes more fit, as far as nobody uses them; under the folder's lock."""
    found = [entry for entry in os.scandir(folder) if entry.is_file()]
    for entry in found:
        if entry.name.startswith(FETCHING):
            os.remove(entry.path)
    kept = sorted((e for e in found if FETCHED.fullmatch(e.name)), key=lambda entry: entry.stat().st_mtime_ns)
    total, most = needed + sum(entry.stat().st_size for entry in kept), limit(folder)
    for entry in kept:
        if total <= most:
            return
        if _removed(entry.path):
            total -= entry.stat().st_size
    if total > most:
        log.warning(
            "the index files in '%s' that are in use take %d bytes, %s allows %d", folder, total, SIZE_VARIABLE, most
        )


def _removed(path: str) -> bool:
    """*Worker.* Remove a file unless a process has it open."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.remove(path)
            return True
    finally:
        os.close(descriptor)
    return False


def forget(folder: str, name: str) -> None:
    """*Worker.* Remove a fetched file if it is there and no process has it open."""
    with suppress(OSError):
        _removed(os.path.join(folder, name))


def hold(path: str) -> int | None:
    """*Worker.* A descriptor that keeps a file from being removed until it is closed; None if it is gone already."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    with suppress(FileNotFoundError):
        if os.path.samestat(os.stat(path), os.fstat(descriptor)):
            os.utime(path)
            return descriptor
    os.close(descriptor)
    return None
