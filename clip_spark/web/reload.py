"""*Server.* Takes up new generations of the indices that are served, without a request noticing.

So it does with files that were fetched meanwhile. A thread looks at each manifest. Where one has changed, the new
generation is opened beside the old one and checked, then a catalog with it takes the place of the catalog before. A
request works with the catalog that it found: one generation from its query to its records. The old generation's files
stay mapped until its last request is done, and a generation that cannot be opened changes nothing but the log.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from clip_spark import storage
from clip_spark.datasets.manifest import MANIFEST, read_manifest
from clip_spark.errors import ClipSparkError
from clip_spark.index.files.whole import all_here
from clip_spark.search.resident import generation_of
from clip_spark.web.catalog import Catalog
from clip_spark.web.maps.served_map import ServedMap, version_of

if TYPE_CHECKING:
    from clip_spark.search.searcher import Searcher

log = logging.getLogger(__name__)

LOCAL_SECONDS, REMOTE_SECONDS = 1.0, 15.0
"""How often a manifest is looked at."""
NOT_SERVED = (ClipSparkError, OSError, RuntimeError, ValueError, LookupError, TypeError)
"""What a generation that is damaged, half gone or of a newer version may raise."""


class Reloader:
    """Keeps `state.catalog` at the latest generations of indices and maps; `state` is the app's."""

    def __init__(
        self, state: Any, uris: Mapping[str, str], maps: Mapping[str, str] | None = None, *, whole: bool = False
    ) -> None:
        self._state, self._uris, self._maps, self._whole = state, dict(uris), dict(maps or {}), whole
        self._refused: dict[str, str] = {}
        self._closed = threading.Event()

    def start(self) -> None:
        """Look from now on, in a thread that ends with the process."""
        every = (
            LOCAL_SECONDS
            if all(map(storage.is_local, (*self._uris.values(), *self._maps.values())))
            else REMOTE_SECONDS
        )
        threading.Thread(target=self._run, args=(every,), name="reload", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _run(self, every: float) -> None:
        while not self._closed.wait(every):
            self.look()

    def look(self) -> None:
        """Take up what is new, once."""
        for name, uri in self._uris.items():
            self._try(f"index '{name}'", partial(self._look_at, name, uri))
        for name, uri in self._maps.items():
            self._try(f"map '{name}'", partial(self._look_at_map, name, uri))

    def _try(self, what: str, look: Callable[[], None]) -> None:
        try:
            look()
        except NOT_SERVED as error:  # whatever is wrong with the new one, the old one goes on
            if self._refused.get(what) != str(error):
                log.warning("the new state of %s cannot be served (%s); the one before still is", what, error)
            self._refused[what] = str(error)
        else:
            self._refused.pop(what, None)

    def _look_at(self, name: str, uri: str) -> None:
        catalog: Catalog = self._state.catalog
        before = catalog.indices[name].searcher
        found = storage.read_json(storage.join(before.manifest.uri, MANIFEST))
        same = generation_of(found) == generation_of(vars(before.manifest))
        if same and not (before.in_pieces and all_here(before.manifest.uri, before.info)):
            return
        fresh = _opened(uri, before, self._whole)
        catalog = catalog.replaced(name, fresh)
        catalog.indices[name].check()
        self._state.catalog = catalog
        if same:
            log.info("index '%s': all of it was fetched, and is read from this machine now", name)
            return
        log.info(
            "index '%s': generation %s is served in place of %s", name, fresh.info.generation, before.info.generation
        )

    def _look_at_map(self, name: str, uri: str) -> None:
        catalog: Catalog = self._state.catalog
        manifest = read_manifest(uri, "map")
        if version_of(manifest) == catalog.maps[name].version:
            return
        served = ServedMap.open(name, uri, catalog.indices)
        self._state.catalog = catalog.with_map(served)
        log.info("map '%s': generation %s is served now", name, served.version)


def _opened(uri: str, before: Searcher, whole: bool) -> Searcher:
    from clip_spark.search.searcher import Searcher

    fresh = Searcher.open(uri, fetch=whole).hold()
    fresh.share_encoder(before)
    return fresh
