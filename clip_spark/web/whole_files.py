"""*Server.* Fetches the files of indices that are read in pieces, beside the requests; `Reloader` takes them up.

The first answers need a few pieces alone. Later ones are faster where everything is on this machine, so one file after
the other is fetched into its cache, as long as the cache may hold all of an index.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from clip_spark.errors import ClipSparkError
from clip_spark.index.files.whole import fetch_all, fits_cache
from clip_spark.web.served import ServedIndex

log = logging.getLogger(__name__)

FIRST_SECONDS, LOOK_SECONDS = 10.0, 15.0
"""It begins so long after the start, for the first answers go before, and looks so often whether there is more."""


class WholeFiles:
    """Fetches the files of the indices of `state.catalog`; `state` is the app's."""

    def __init__(self, state: Any) -> None:
        self._state = state
        self._closed = threading.Event()
        self._told: set[str] = set()

    def start(self) -> None:
        """Fetch from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="whole-files", daemon=True).start()

    def close(self) -> None:
        """Fetch no more, once the file of the moment is here."""
        self._closed.set()

    def _run(self) -> None:
        wait = FIRST_SECONDS
        while not self._closed.wait(wait):
            self.look()
            wait = LOOK_SECONDS

    def look(self) -> None:
        """Fetch all that is missing now."""
        for index in list(self._state.catalog.indices.values()):
            if index.searcher.in_pieces:
                try:
                    self._fetch(index)
                except (ClipSparkError, OSError) as error:
                    self._tell(f"the files of index '{index.name}' cannot be fetched ({error}); pieces still are")

    def _fetch(self, index: ServedIndex) -> None:
        uri, info = index.searcher.manifest.uri, index.searcher.info
        if not fits_cache(info):
            self._tell(f"index '{index.name}' is larger than the cache may be; it is read in pieces")
            return
        fetch_all(uri, info, lambda: not self._closed.is_set() and self._state.catalog.indices[index.name] is index)

    def _tell(self, what: str) -> None:
        if what not in self._told:
            log.warning("%s", what)
            self._told.add(what)
