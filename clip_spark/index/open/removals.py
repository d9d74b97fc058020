"""*Worker.* Records that were taken down: by id, beside the generations, so that no rebuild brings one back.

<index>/removed.json    {"record_ids": [...]}; searchers that are open see a change within seconds
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import numpy as np

from clip_spark import storage
from clip_spark.index.open.records import RecordReader

REMOVED = "removed.json"
LOCAL_SECONDS, REMOTE_SECONDS = 0.5, 30.0
"""How often an open searcher looks for changes."""


class Removals:
    """The removed records of one index; safe to use from several threads."""

    def __init__(self, index_uri: str, records: RecordReader) -> None:
        self._uri, self._records = storage.join(index_uri, REMOVED), records
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
        files = storage.list_files(self._uri)
        stamp = f"{files[0].stamp} {files[0].bytes}" if files else ""
        if stamp != self._stamp:
            self._positions = self._records.find_all(read_removed(self._uri)) if files else np.empty(0, np.int64)
            self._stamp = stamp
        self._looked = time.monotonic()


def read_removed(uri: str) -> list[str]:
    """*Worker.* The ids in a removals file; none if it is not there."""
    return storage.read_json(uri)["record_ids"] if storage.exists(uri) else []


def add_removed(index_uri: str, record_ids: Iterable[str]) -> list[str]:
    """*Worker.* Take records down; returns all that are removed now. One writer at a time."""
    uri = storage.join(index_uri, REMOVED)
    everything = sorted({*read_removed(uri), *record_ids})
    storage.write_json(uri, {"record_ids": everything})
    return everything
