"""Bytes at a URI, on disk or in an object store: the one room that knows fsspec.

Import `storage` itself and call `storage.read_bytes(uri)`; `stores.clear_errors` where a client is used directly.
Below it lies nothing but `errors`.
"""

from clip_spark.storage.conditional import create_bytes, read_versioned, replace_bytes
from clip_spark.storage.files import (
    TEMPORARY,
    FileInfo,
    absolute,
    exists,
    file_size,
    filesystem,
    forget_clients,
    is_folder,
    is_hidden,
    is_local,
    iter_files,
    join,
    list_files,
    name,
    open_read,
    open_write,
    read_bytes,
    read_json,
    remove_files,
    remove_tree,
    unpack,
    write_bytes,
    write_json,
)

__all__ = [
    "FileInfo",
    "TEMPORARY",
    "absolute",
    "create_bytes",
    "exists",
    "file_size",
    "filesystem",
    "forget_clients",
    "is_folder",
    "is_hidden",
    "is_local",
    "iter_files",
    "join",
    "list_files",
    "name",
    "open_read",
    "open_write",
    "read_bytes",
    "read_json",
    "read_versioned",
    "remove_files",
    "remove_tree",
    "replace_bytes",
    "unpack",
    "write_bytes",
    "write_json",
]
