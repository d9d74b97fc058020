"""*Server.* All indices that are served, by name; the first is the default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from clip_spark.errors import InputError, nearest
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.index.open.parts import MISSING
from clip_spark.web.errors import NotFound
from clip_spark.web.fetch import fetch
from clip_spark.web.maps.served_map import ServedMap
from clip_spark.web.metrics import Timings
from clip_spark.web.served import ServedIndex

if TYPE_CHECKING:
    from clip_spark.search.searcher import Searcher

MOST_BYTES = 20 << 20
"""Of a picture at a web address."""


class Catalog:
    """Name -> open index; never changed, so that a request that holds one sees one generation of each index."""

    def __init__(
        self, searchers: Mapping[str, Searcher], timings: Timings | None = None, *, fetches: bool = False
    ) -> None:
        self.timings, self.fetches = timings or Timings(), fetches
        self.indices = {
            name: ServedIndex(name, searcher, self.timings, fetches) for name, searcher in searchers.items()
        }
        self.maps: Mapping[str, ServedMap] = {}

    @staticmethod
    def open(
        uris: Mapping[str, str], maps: Mapping[str, str] | None = None, *, fetches: bool = False, whole: bool = False
    ) -> Catalog:
        """Open indices and load their encoders, so that what is wrong is said at the start and not to a visitor.

        Args:
            uris: name -> URI of each index.
            maps: name -> URI of each map.
            fetches: pictures are opened at web addresses too.
            whole: fetch all parts of an index in an object store first, where most can be read in pieces.

        Raises:
            UserError, DatasetError: as `Searcher.open`, `Searcher.encoder` and `ServedMap.open` do.
        """
        from clip_spark.search.searcher import Searcher

        opened = {name: Searcher.open(uri, fetch=whole).hold() for name, uri in uris.items()}
        catalog = Catalog(opened, fetches=fetches)
        for index in catalog.indices.values():
            index.embed_text("a")
        catalog.maps = {name: ServedMap.open(name, uri, catalog.indices) for name, uri in (maps or {}).items()}
        return catalog

    def replaced(self, name: str, searcher: Searcher) -> Catalog:
        """The same indices with a new generation of one of them."""
        catalog = Catalog({name: searcher}, self.timings, fetches=self.fetches)
        catalog.indices, catalog.maps = {**self.indices, **catalog.indices}, self.maps
        return catalog

    def with_map(self, served: ServedMap) -> Catalog:
        """The same indices and maps with a new generation of one map."""
        catalog = Catalog({}, self.timings, fetches=self.fetches)
        catalog.indices, catalog.maps = self.indices, {**self.maps, served.name: served}
        return catalog

    @property
    def names(self) -> list[str]:
        """In the order of the command line."""
        return list(self.indices)

    def get(self, name: str | None) -> ServedIndex:
        """The index of that name; no name means the first; raises NotFound."""
        if not name:
            return self.indices[self.names[0]]
        if name not in self.indices:
            listed = ", ".join(self.names)
            raise NotFound(f"There is no index '{name}'; there are: {listed}.{nearest(name, self.names)}")
        return self.indices[name]

    def first_of(self, kind: str) -> ServedIndex:
        """The first index of images or of texts; raises NotFound."""
        found = next((index for index in self.indices.values() if index.kind == kind), None)
        if found is None:
            raise NotFound(f"No index of kind '{kind}' is served here; there are: {', '.join(self.names)}.")
        return found

    def fetched(self, address: str) -> bytes:
        """The picture at a web address, where this server opens them; raises InputError for those that it does not."""
        if not self.fetches:
            raise InputError(
                "'image_url' is refused: this server opens no addresses for others (--fetch-urls does); send 'image'."
            )
        with self.timings("download_time"):
            return fetch(address, MOST_BYTES)

    def embedding_of(self, record_id: str, home: ServedIndex, target: ServedIndex) -> tuple[np.ndarray, int]:
        """A record of one index as a query for another: its embedding, and its position if the two are the same.

        Raises:
            NotFound: there is no such record.
            ModelError: the two indices were not built with the same encoder.
        """
        if home is not target:
            check_same_encoder(target.searcher.info.encoder, home.searcher.info.encoder, f"index '{home.name}'")
        own = home.position(record_id) if home is target else MISSING
        return home.embedding_of(record_id), own
