"""*Server.* One open index as requests need it: a page of hits with positions, records by id, vectors by id."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from starlette.concurrency import run_in_threadpool

from clip_spark.datasets import schema
from clip_spark.errors import InputError
from clip_spark.index.open.missed import Checked
from clip_spark.index.open.parts import MISSING
from clip_spark.search.hits import Hit, Wanted
from clip_spark.search.negatives import NOTHING
from clip_spark.search.ranked import hits_of, with_chances
from clip_spark.web.budget import check_budget
from clip_spark.web.errors import NotFound
from clip_spark.web.id_places import IdPlaces
from clip_spark.web.latest import Latest
from clip_spark.web.metrics import Timings
from clip_spark.web.recall_watch import RecallWatch
from clip_spark.web.shared_search import is_plain, search_shared, search_soon
from clip_spark.web.together import Together

if TYPE_CHECKING:
    from clip_spark.index.open.selection import Selection
    from clip_spark.search.searcher import Searcher

KNOWN_IDS = 200_000
"""Record ids whose positions are remembered: those of latest hits, so that their pictures need no scan."""

CROSS_RECALL = "recall_at_10_cross"
"""What the build measured with queries of the other kind; words instead of a number where it had none."""
LATEST_TEXTS = 1000
"""Texts whose embeddings are kept; 2 MB at 512 numbers."""
WHERE_SECONDS = 5.0
"""The longest that a condition of a visitor may run."""

encoding = Together()
"""One for all indices: two passes at once would only take turns."""


class Answered(NamedTuple):
    """What one query found, best first.

    Attributes:
        scores: cosines, float32 (m,).
        positions: int64 (m,).
        chances: how often an unrelated pair scores as high, float64 (m,); None where that is not known.
    """

    scores: np.ndarray
    positions: np.ndarray
    chances: np.ndarray | None = None

    def page(self, part: slice) -> Answered:
        """*Pure.* Some of the hits."""
        chances = None if self.chances is None else self.chances[part]
        return Answered(self.scores[part], self.positions[part], chances)


class ServedIndex:
    """A searcher under a name; safe to use from many threads.

    Attributes:
        fetches: pictures of records whose URI is a web address are shown too.
        watch: what real queries find of what they should.
        pairs: name and generation of other indices -> whether they have records of this one (see pairs.py).
    """

    def __init__(self, name: str, searcher: Searcher, timings: Timings, fetches: bool = False) -> None:
        self.name, self.searcher, self.timings, self.fetches = name, searcher, timings, fetches
        searcher.where_seconds = WHERE_SECONDS
        searcher.search_with = search_shared
        if searcher.pieces is not None:
            searcher.pieces.check = check_budget
        self.watch = RecallWatch(searcher.info, is_here=not searcher.in_pieces)
        self.pairs: dict[str, bool] = {}
        self._known: OrderedDict[str, int] = OrderedDict()
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._by_id: IdPlaces | None = None
        self._vectors = Latest[str, np.ndarray](LATEST_TEXTS)

    @property
    def kind(self) -> str:
        """`image` or `text`."""
        return self.searcher.info.modality

    @property
    def rows(self) -> int:
        """Positions in the index, those of removed records among them."""
        return self.searcher.info.rows

    @property
    def summary(self) -> str:
        """One line for a person."""
        line = f"{self.name}: {self.searcher.rows:,} {self.kind}s, model {self.searcher.info.encoder['model']}"
        return f"{line}, read in pieces from {self.searcher.manifest.uri}" if self.searcher.in_pieces else line

    def embed_text(self, text: str) -> np.ndarray:
        """The embedding of a text, float32 (d,), not to be written to: every page of a scroll gets the same one."""
        found = self._vectors.get(text)
        if found is None:
            with self.timings("text_clip_inference_time"):
                found = self._kept(text, encoding(self.searcher.encoder.encode_texts, text))
        return found

    async def embed_text_soon(self, text: str) -> np.ndarray:
        """The same for the event loop."""
        found = self._vectors.get(text)
        if found is None:
            with self.timings("text_clip_inference_time"):
                found = self._kept(text, await encoding.soon(self.searcher.encoder.encode_texts, text))
        return found

    def _kept(self, text: str, vector: np.ndarray) -> np.ndarray:
        vector = np.array(vector)  # without the others of its pass
        vector.flags.writeable = False
        self._vectors.put(text, vector)
        return vector

    def embed_picture(self, data: bytes) -> np.ndarray:
        """The embedding of a picture file, float32 (d,); raises Rejected for bytes that are no usable picture."""
        encoder = self.searcher.encoder
        with self.timings("image_prepro_time"):
            pixels = encoder.prepare(data).values
        with self.timings("image_clip_inference_time"):
            return encoding(encoder.encode_pixels, pixels, np.stack)

    def vectors(self, hits: Sequence[Hit]) -> list[list[float]]:
        """The stored vectors of hits, ready for JSON."""
        positions = np.array([hit.position for hit in hits], np.int64)
        return list(self.searcher.parts.vectors.take(positions).tolist()) if len(positions) else []

    def embedding_of(self, record_id: str) -> np.ndarray:
        """The stored embedding of a record, float32 (d,); raises NotFound."""
        self.position(record_id)  # its message names the index and not a command's option
        return self.searcher.embedding_of(record_id)

    def nearest(self, vector: np.ndarray, wanted: Wanted, records: int | None = None, kind: str = "") -> list[Hit]:
        """The hits of one query.

        Args:
            vector: float32 (d,), of length 1.
            wanted: how many from where on, and which.
            records: how many hits, from the first on, get their records; None is all.
            kind: of the query.
        """
        return self.hits(self.search(vector, wanted, kind=kind), wanted, records)

    async def nearest_soon(self, vector: np.ndarray, wanted: Wanted, records: int, kind: str = "") -> list[Hit]:
        """The same for the event loop: a plain search goes with those of others, anything else into a thread."""
        if not is_plain(wanted):
            return await run_in_threadpool(self.nearest, vector, wanted, records, kind)
        ranking = self.searcher.ranking(wanted, kind)
        with self.timings("knn_index_time"):
            found = await search_soon(ranking, vector, wanted.k, records, self._read)
        if len(found[1]) and self.watch.wants(wanted):
            self.watch.add(Checked(vector, ranking, found[0], found[1], MISSING, self.recall_expected(wanted, kind)))
        return hits_of(ranking.cosines(found[0], found[1]), found[1], 0, found[2])

    def search(
        self, vector: np.ndarray, wanted: Wanted, without: int = MISSING, kind: str = "", less: np.ndarray = NOTHING
    ) -> Answered:
        """The hits of one query, best first; no record is read.

        Args:
            vector: float32 (d,), of length 1.
            wanted: how many from where on, and which.
            without: a position that is no hit, such as that of the record which is the query.
            kind: of the query.
            less: what it does not want, float32 (m, d), each as long as its weight.
        """
        with self.timings("knn_index_time"):
            ranked = self.searcher.search_ranked(vector[None], wanted, without=without, kind=kind, less=[less])
            ranking = self.searcher.ranking(wanted, kind)
            scores = ranking.cosines(ranked.scores, ranked.positions)
        first, positions = ranked.scores[0], ranked.positions[0]
        if len(positions) and self.watch.wants(wanted, less):
            self.watch.add(Checked(vector, ranking, first, positions, without, self.recall_expected(wanted, kind)))
        there, chances = positions != MISSING, self.searcher.chances(ranked, wanted, kind)
        return Answered(scores[0][there], positions[there], None if chances is None else chances[0][there])

    def hits(self, found: Answered, wanted: Wanted, records: int | None = None) -> list[Hit]:
        """What a search found as hits: ranks behind the offset, the wanted columns of so many first records."""
        read = self._read(found.positions[:records], wanted.columns)
        return with_chances(hits_of(found.scores, found.positions, wanted.offset, read), found.chances)

    def recall_expected(self, wanted: Wanted, kind: str) -> float | None:
        """The share of the true nearest that these hits are, as the build measured it; 1 where a search is exact.

        Args:
            wanted: which hits.
            kind: of the query: `text`, `image`, or anything else where it is not known.

        Returns:
            None where nothing was measured: in indices of older versions, and for queries of another kind than the
            records where the build had none to ask.
        """
        effort = self.searcher.effort(wanted)
        approximate = effort.recall < 1.0 or effort.settings.rerank
        other_kind = kind != self.kind and not isinstance(self.searcher.info.measured.get(CROSS_RECALL), float)
        if math.isnan(effort.recall) or (approximate and other_kind):
            return None
        return effort.recall

    def check(self) -> None:
        """Search, and read a record and a vector in the middle; raises what a request would meet.

        Of an index that is read in pieces that vector would take all of them; then it is that of the hit.
        """
        hits = self.nearest(self.embed_text("ready"), Wanted(k=1))
        if self.searcher.in_pieces:
            self.vectors(hits)
            return
        allowed = self.searcher.parts.allowed(None)
        live = np.arange(self.rows) if allowed is None else np.flatnonzero(allowed.mask)
        middle = live[len(live) // 2 : len(live) // 2 + 1]
        if len(middle):
            self.searcher.records.take(middle)
            self.searcher.parts.vectors.take(middle)

    @property
    def outdated(self) -> str:
        """Why it is not known what was taken down meanwhile; empty where it is."""
        return self.searcher.parts.outdated

    @property
    def warning(self) -> str:
        """That real queries find less than they should; empty where they do not."""
        figures = self.watch.figures
        return figures.warning if figures else ""

    def records(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """The records at some positions, in that order; raises NotFound where there is none, or none any more."""
        if positions and (min(positions) < 0 or max(positions) >= self.rows):
            raise NotFound(f"Index '{self.name}' has ids from 0 to {self.rows - 1:,}.")
        allowed = self.searcher.parts.allowed(None)
        removed = [position for position in positions if allowed is not None and not allowed.mask[position]]
        if removed:
            raise NotFound(f"The record with id {removed[0]} was removed from index '{self.name}'.")
        return self._read(positions)

    def _read(self, positions: Sequence[int] | np.ndarray, columns: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Some records, with some columns (record_id among them) or with all."""
        if not len(positions):
            return []
        with self.timings("metadata_get_time"):
            records = self.searcher.records.take(np.asarray(positions, np.int64), columns).to_pylist()
        self._remember(records, positions)
        return records

    def _is_served(self, position: int) -> bool:
        allowed = self.searcher.parts.allowed(None)
        return allowed is None or bool(allowed.mask[position])

    def record(self, record_id: str) -> dict[str, Any]:
        """The record with an id; raises NotFound."""
        return self.records([self.position(record_id)])[0]

    def position(self, record_id: str) -> int:
        """Where a record is; from memory for the latest hits, else by a scan; raises NotFound."""
        with self._lock:
            position = self._known.get(record_id)
        try:
            found = self.searcher.records.find(record_id) if position is None else position
        except InputError as error:
            raise NotFound(f"There is no record '{record_id}' in index '{self.name}'.") from error
        if not self._is_served(found):
            raise NotFound(f"The record '{record_id}' was removed from index '{self.name}'.")
        return found

    def records_of(self, record_ids: Sequence[str]) -> list[dict[str, Any] | None]:
        """The records of some ids in their order, None where there is none; one scan for those that are not known."""
        with self._lock:
            places = {name: self._known[name] for name in record_ids if name in self._known}
        unknown = [name for name in record_ids if name not in places]
        positions = [*places.values(), *self.searcher.records.find_all(unknown).tolist()]
        served = [position for position in positions if self._is_served(position)]
        found = {record[schema.RECORD_ID]: record for record in self._read(served)}
        return [found.get(name) for name in record_ids]

    def has_all(self, record_ids: Sequence[str]) -> list[bool]:
        """Which of some records there are, those that were taken down not among them; one scan."""
        positions = [int(at) for at in self.searcher.records.find_all(record_ids) if self._is_served(int(at))]
        rows = self.searcher.records.take(np.asarray(positions, np.int64), (schema.RECORD_ID,))
        there = set(rows.column(schema.RECORD_ID).to_pylist())
        return [name in there for name in record_ids]

    def positions_of(self, record_ids: Any) -> np.ndarray:
        """Where many records are, int64; MISSING for those that are not there, or were taken down.

        The ids of all records are read at the first call, and then take 16 bytes each.
        """
        with self._reading:
            if self._by_id is None:
                self._by_id = IdPlaces.read(self.searcher.records)
        found, allowed = self._by_id.of(record_ids), self.searcher.parts.allowed(None)
        return found if allowed is None else np.where((found != MISSING) & allowed.mask[found], found, MISSING)

    def allowed(self, where: str) -> Selection | None:
        """What a condition allows of the live records; None is everything."""
        return self.searcher.allowed(where)

    def spread(self, k: int, where: str = "") -> list[dict[str, Any]]:
        """Up to k records, evenly spread over the index, or over what fulfils a condition: what a newcomer is shown."""
        allowed = self.allowed(where)
        rows = self.rows if allowed is None else allowed.count
        if not rows:
            return []
        places = np.unique(np.linspace(0, rows - 1, min(k, rows)).astype(np.int64))
        return self._read((places if allowed is None else np.flatnonzero(allowed.mask)[places]).tolist())

    def _remember(self, records: Sequence[dict[str, Any]], positions: Sequence[int] | np.ndarray) -> None:
        with self._lock:
            for record, position in zip(records, map(int, positions), strict=True):
                self._known[record[schema.RECORD_ID]] = position
                self._known.move_to_end(record[schema.RECORD_ID])
            while len(self._known) > KNOWN_IDS:
                self._known.popitem(last=False)
