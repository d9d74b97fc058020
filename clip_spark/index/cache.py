"""*Worker.* Files of an index on the local disk: in place if they are there, else fetched once per machine by hash."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress

from clip_spark import storage
from clip_spark.errors import DatasetError
from clip_spark.index.layout import IndexFile, IndexInfo

CACHE = "CLIP_SPARK_CACHE"
"""Environment variable: the folder for fetched files; default `~/.cache/clip-spark`."""
BLOCK_BYTES = 8 << 20
ADVICE = "build the index again with --overwrite"


def local_path(index_uri: str, file: IndexFile) -> str:
    """*Worker.* A path that can be memory-mapped.

    Raises:
        DatasetError: the file is missing, cut short, or (where it was fetched) its bytes are not those of the build.
    """
    uri = storage.join(index_uri, file.path)
    if not storage.is_local(uri):
        return _fetched(uri, file)
    path = storage.absolute(uri)
    if not os.path.exists(path):
        raise DatasetError(f"'{path}' is missing although its index lists it; {ADVICE}.")
    size = os.path.getsize(path)
    if size != file.bytes:
        raise DatasetError(f"'{path}' has {size} bytes, its index says {file.bytes}; {ADVICE}.")
    return path


def _fetched(uri: str, file: IndexFile) -> str:
    folder = os.environ.get(CACHE) or os.path.join(os.path.expanduser("~"), ".cache", "clip-spark")
    path = os.path.join(folder, file.sha256)
    if os.path.exists(path) and os.path.getsize(path) == file.bytes:
        return path
    os.makedirs(folder, exist_ok=True)
    # Another process may fetch the same file: each writes its own name, and the last rename wins with equal bytes.
    handle, temporary = tempfile.mkstemp(dir=folder, suffix=storage.TEMPORARY)
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
    return path


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
    for file in (*info.parts, *info.records, *info.vectors):
        uri = storage.join(index_uri, file.path)
        if _copy(uri, None) != file.sha256:
            raise DatasetError(f"'{uri}' does not have the bytes that its build wrote (sha256 differs); {ADVICE}.")
