"""Bytes at a URI, on disk or in an object store: the one room that knows fsspec.

Import `storage` itself and call `storage.read_bytes(uri)`; `stores.clear_errors` where a client is used directly.
Below it lies nothing but `errors`.
"""

from clip_spark.storage.conditional import create_bytes, read_versioned, replace_bytes
from clip_spark.storage.files import (
    DELETED_AT_ONCE,
    TEMPORARY,
    FileInfo,
    absolute,
    exists,
    file_size,
    filesystem,
    folder_names,
    forget_clients,
    is_hidden,
    is_local,
    iter_everything,
    iter_files,
    join,
    list_files,
    name,
    open_read,
    read_bytes,
    read_json,
    remove_empty_folders,
    remove_files,
    remove_tree,
    sha256_of,
    unpack,
)
from clip_spark.storage.listing import BROKEN_LINK
from clip_spark.storage.ranges import ByteRange, read_ranges
from clip_spark.storage.small_texts import decode_text, read_text
from clip_spark.storage.stores import is_web
from clip_spark.storage.writes import open_write, write_bytes, write_json

__all__ = [
    "BROKEN_LINK",
    "ByteRange",
    "DELETED_AT_ONCE",
    "FileInfo",
    "TEMPORARY",
    "absolute",
    "create_bytes",
    "decode_text",
    "exists",
    "file_size",
    "folder_names",
    "filesystem",
    "forget_clients",
    "is_hidden",
    "is_local",
    "is_web",
    "iter_everything",
    "iter_files",
    "join",
    "list_files",
    "name",
    "open_read",
    "open_write",
    "read_bytes",
    "read_json",
    "read_ranges",
    "sha256_of",
    "read_text",
    "read_versioned",
    "remove_empty_folders",
    "remove_files",
    "remove_tree",
    "replace_bytes",
    "unpack",
    "write_bytes",
    "write_json",
]
