"""*Server.* The thread that checks chosen queries against all vectors, beside the requests.

It works for some milliseconds and rests fifty times as long, so that it takes a fiftieth of one core however many
queries there are and however large the index is.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from clip_spark.errors import ClipSparkError
from clip_spark.index.open.missed import Checked, Comparison
from clip_spark.web.served import ServedIndex

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""How often it looks whether queries wait."""
RESTS = 49.0
"""Times as long as it works."""
WORK_SECONDS = 0.005
"""After so much work it rests; a block of vectors more may take longer."""
NOT_CHECKED = (ClipSparkError, OSError, RuntimeError, ValueError)
"""What files that are gone or damaged may raise; requests meet it too, and say so."""


class RecallChecks:
    """Checks the queries that the indices of `state.catalog` have chosen; `state` is the app's."""

    def __init__(self, state: Any, rests: float = RESTS) -> None:
        self._state, self._rests = state, rests
        self._closed = threading.Event()

    def start(self) -> None:
        """Check from now on, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="recall", daemon=True).start()

    def close(self) -> None:
        """Check no more."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Check all that waits now."""
        for index in list(self._state.catalog.indices.values()):
            if waiting := index.watch.take():
                try:
                    self._check(index, waiting)
                except NOT_CHECKED as error:
                    log.info("queries of '%s' could not be checked: %s", index.name, error)

    def _check(self, index: ServedIndex, checked: list[Checked]) -> None:
        comparison, began = Comparison(index.searcher.parts, checked), time.perf_counter()
        for _ in comparison.steps():
            worked = time.perf_counter() - began
            if worked < WORK_SECONDS:
                continue
            if self._closed.wait(self._rests * worked) or self._state.catalog.indices.get(index.name) is not index:
                return  # the server ends, or another generation is served by now
            began = time.perf_counter()
        before, now = index.watch.figures, index.watch.note(checked, comparison.recalls())
        if now.low and not (before and before.low):
            log.warning("index '%s': %s", index.name, now.warning)
