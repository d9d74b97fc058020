"""*Worker.* Weight files: found, fetched once per node, hashed."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache

from clip_spark import storage
from clip_spark.errors import ModelError
from clip_spark.runtime import devices
from clip_spark.storage.local_cache import fetched

CHUNK_BYTES = 8 << 20


def local_weights(uri: str) -> str:
    """*Worker.* A local path with the content of `uri`; a remote one is fetched once per node.

    A local path may be the driver's alone: then the file of its name is taken that `spark-submit --files` has brought.

    Raises:
        ModelError: nothing is there, or it cannot be read.
    """
    if storage.is_local(uri):
        path = storage.absolute(uri)
        found = path if os.path.isfile(path) else devices.shipped_file(os.path.basename(path))
        if found is None:
            raise ModelError(
                f"The weights '{uri}' do not exist on this machine; a URI (s3://, gs://) serves all nodes, and so does "
                "`spark-submit --files` with that path."
            )
        return found
    listed = storage.list_files(uri)
    if not listed:
        raise ModelError(f"The weights '{uri}' do not exist.")
    try:
        return fetched(listed[0])
    except OSError as error:
        raise ModelError(f"The weights '{uri}' cannot be read: {error}.") from error


@lru_cache(maxsize=8)
def _sha256_of(path: str, size: int, mtime_ns: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256(path: str) -> str:
    """*Worker.* 64 hex digits of a local file, computed once per process for the same content."""
    status = os.stat(path)
    return _sha256_of(path, status.st_size, status.st_mtime_ns)
