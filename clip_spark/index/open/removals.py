"""*Worker.* Records that were taken down: by id, beside the generations, so that no rebuild brings one back.

<index>/removed/<uuid>.json    {"record_ids": [...]}, one for each takedown and never changed; compaction merges them
<index>/removed.json           the same, of older versions
Searchers that are open see a change within seconds.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from clip_spark import storage
from clip_spark.index.open.records import RecordReader

REMOVED, TAKEDOWNS = "removed.json", "removed"
LOCAL_SECONDS, REMOTE_SECONDS = 0.5, 30.0
"""How often an open searcher looks for changes."""


class Removals:
    """The removed records of one index; safe to use from several threads."""

    def __init__(self, index_uri: str, records: RecordReader) -> None:
        self._uri, self._records = index_uri, records
        self._every = LOCAL_SECONDS if storage.is_local(index_uri) else REMOTE_SECONDS
        self._lock = threading.Lock()
        self._stamp, self._looked = "", -np.inf
        self._positions = np.empty(0, np.int64)

    def positions(self) -> np.ndarray:
        """Sorted positions (int64) of what is removed now."""
        with self._lock:
            if time.monotonic() - self._looked >= self._every:
                self._refresh()
            return self._positions

    def _refresh(self) -> None:
        stamp = str(takedowns(self._uri))
        if stamp != self._stamp:
            self._positions = self._records.find_all(read_removed(self._uri))
            self._stamp = stamp
        self._looked = time.monotonic()


def takedowns(index_uri: str) -> list[storage.FileInfo]:
    """*Worker.* The files that name removed records."""
    return [file for name in (REMOVED, TAKEDOWNS) for file in storage.list_files(storage.join(index_uri, name))]


def read_removed(index_uri: str) -> list[str]:
    """*Worker.* The ids of all that is removed from an index, sorted."""
    while True:
        files = takedowns(index_uri)
        try:
            return sorted({record_id for file in files for record_id in _ids(file.uri)})
        except FileNotFoundError:
            continue  # merged since the listing, into a file that was there before these were deleted


def add_removed(index_uri: str, record_ids: Iterable[str]) -> str:
    """*Worker.* Take records down, in a file of their own, so that takedowns at once do not meet; returns its URI."""
    uri = storage.join(index_uri, TAKEDOWNS, f"{uuid.uuid4().hex}.json")
    storage.write_json(uri, {"record_ids": sorted(record_ids)})
    return uri


def merge_removed(index_uri: str) -> None:
    """*Driver.* One file of takedowns in place of many; the new one is there before the others go."""
    files, ids = takedowns(index_uri), set()
    for file in files:
        with suppress(FileNotFoundError):  # merged by another since the listing; its file stays
            ids.update(_ids(file.uri))
    if len(files) > 1:
        add_removed(index_uri, ids)
        storage.remove_files([file.uri for file in files])


def _ids(uri: str) -> list[str]:
    return list(storage.read_json(uri)["record_ids"])
