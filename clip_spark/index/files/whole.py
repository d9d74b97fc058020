"""*Worker.* Whether an index is read in pieces or in whole files, and how all of its files come to this machine."""

from __future__ import annotations

import logging
from collections.abc import Callable

from clip_spark.index.files.cache_room import limit
from clip_spark.index.files.keys import lists_of
from clip_spark.index.files.layout import IndexFile, IndexInfo
from clip_spark.index.files.local_copy import fetch, is_here
from clip_spark.index.files.pieces import Pieces
from clip_spark.storage.local_cache import cache_folder

log = logging.getLogger(__name__)


def open_pieces(index_uri: str, info: IndexInfo) -> Pieces | None:
    """*Worker.* For an index whose parts are not all here; None where whole files are better."""
    if all_here(index_uri, info):
        return None
    if not lists_of(info.key):
        log.info("'%s' is fetched: a search of its kind (%s) needs all of it", index_uri, info.key)
        return None
    return Pieces(index_uri)


def all_here(index_uri: str, info: IndexInfo) -> bool:
    """*Worker.* Whether what most searches read is on this machine."""
    return all(is_here(index_uri, file) for file in (*info.parts, *info.vectors))


def files_of(info: IndexInfo) -> list[IndexFile]:
    """*Pure.* All files that searches read; those that decide whether an index is here come last."""
    return [*info.records, *info.penalties, *info.references, *info.vectors, *info.parts]


def fits_cache(info: IndexInfo) -> bool:
    """*Worker.* Whether the cache of this machine may hold all of an index."""
    return sum(file.bytes for file in files_of(info)) <= limit(str(cache_folder()))


def fetch_all(index_uri: str, info: IndexInfo, goes_on: Callable[[], bool]) -> bool:
    """*Worker.* Fetch all files of an index, one after the other, as long as it goes on; whether all are here.

    Raises:
        DatasetError: a file is missing or damaged.
        StorageError: the store does not answer.
    """
    for file in files_of(info):
        if not goes_on():
            return False
        fetch(index_uri, file)
    return True
