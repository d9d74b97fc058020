"""*Worker.* Records that were taken down: by id, beside the generations, so that no rebuild brings one back.

<index>/removed/<uuid>.json    {"record_ids": [...]}, one for each takedown and never changed; compaction merges them
<index>/removed.json           the same, of older versions
Searchers that are open see a change within seconds: a thread looks for it, never a search. So a store that is down
or slow holds no search up; what was known last goes on to count, and the log says since when.
"""

from __future__ import annotations

import logging
import re
import threading
import uuid
import weakref
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain

import numpy as np

from clip_spark import storage
from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import ClipSparkError
from clip_spark.index.files.layout import index_info
from clip_spark.index.open.records import RecordReader

log = logging.getLogger(__name__)

REMOVED, TAKEDOWNS = "removed.json", "removed"
TAKEDOWN = re.compile(r"/(removed\.json|removed/[0-9a-f]{32}\.json)\Z")
"""Other files that lie there are somebody else's."""
READ_THREADS = 16
"""The files are small: reading them is bound by the round trip to the store."""
LOCAL_SECONDS, REMOTE_SECONDS = 0.5, 15.0
"""How often an open searcher looks for changes."""


class Removed:
    """What is removed at one moment: sorted positions (int64); never changed, so that it may be a key of caches."""

    def __init__(self, positions: np.ndarray) -> None:
        self.positions = positions


NOTHING = Removed(np.empty(0, np.int64))


class Removals:
    """The removed records of one index; safe to use from several threads."""

    def __init__(self, index_uri: str, records: RecordReader) -> None:
        self._uri, self._records = index_uri, records
        self._lock = threading.Lock()
        self._stamp, self._now = "", NOTHING
        self._closed = threading.Event()
        self.outdated = ""
        """Why the latest look failed, in one sentence; empty where it did not."""
        self.refresh()
        every = LOCAL_SECONDS if storage.is_local(index_uri) else REMOTE_SECONDS
        arguments = (weakref.ref(self), self._closed, every)  # the thread must not keep it alive
        threading.Thread(target=_watch, args=arguments, name="removals", daemon=True).start()

    def now(self) -> Removed:
        """What is removed now, as far as is known; asks no store."""
        return self._now

    def refresh(self) -> None:
        """Look for changes; a store that does not answer leaves what was known."""
        with self._lock:
            try:
                stamp, ids = _read(self._uri, self._stamp)
                if stamp != self._stamp:
                    self._now, self._stamp = Removed(self._records.find_all(ids)), stamp
            except (OSError, ClipSparkError, RuntimeError) as error:  # RuntimeError: no thread can be started
                if not threading.main_thread().is_alive():
                    return  # the process ends and starts none any more; nobody is told who cannot act on it
                if not self.outdated:
                    log.warning("takedowns of '%s' cannot be read since now (%s); the last known ones count",
                                self._uri, error)  # fmt: skip
                self.outdated = f"takedowns cannot be read: {error}"
            else:
                self.outdated = ""

    def close(self) -> None:
        """End the thread; what is removed stays as it is known."""
        self._closed.set()


def _watch(removals: weakref.ref[Removals], closed: threading.Event, every: float) -> None:
    while not closed.wait(every):
        alive = removals()
        if alive is None:
            return
        alive.refresh()
        del alive  # not held while it waits


def takedowns(index_uri: str) -> list[storage.FileInfo]:
    """*Worker.* The files that name removed records."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(storage.list_files, [storage.join(index_uri, name) for name in (REMOVED, TAKEDOWNS)]))
    return [file for files in found for file in files if TAKEDOWN.search(file.uri)]


def read_removed(index_uri: str) -> list[str]:
    """*Worker.* The ids of all that is removed from an index, sorted."""
    return _read(index_uri)[1]


def _read(index_uri: str, known: str = "") -> tuple[str, list[str]]:
    """*Worker.* A stamp of all takedowns and the sorted ids; none where the stamp is the known one."""
    while True:
        files = takedowns(index_uri)
        if known and str(files) == known:
            return known, []
        try:
            with ThreadPoolExecutor(READ_THREADS) as pool:
                return str(files), sorted({*chain.from_iterable(pool.map(_ids, [file.uri for file in files]))})
        except FileNotFoundError:
            continue  # merged since the listing, into a file that was there before these were deleted


def take_down(index_uri: str, record_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """*Worker.* Take records of an index down; gives the ids that are new among them, and all that are removed."""
    before = read_removed(index_uri)
    new = sorted(set(record_ids).difference(before))
    if new:
        add_removed(index_uri, new)
    return new, sorted({*before, *new})


def add_removed(index_uri: str, record_ids: Iterable[str]) -> str:
    """*Worker.* Take records down, in a file of their own, so that takedowns at once do not meet; returns its URI."""
    uri = storage.join(index_uri, TAKEDOWNS, f"{uuid.uuid4().hex}.json")
    storage.write_json(uri, {"record_ids": sorted(record_ids)})
    return uri


def live_rows(manifest: Manifest) -> int:
    """*Driver.* Records of an index that are not removed."""
    removed = read_removed(manifest.uri)
    info = index_info(manifest)
    return info.rows - len(RecordReader(manifest.uri, info.records, info.columns).find_all(removed) if removed else ())


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
