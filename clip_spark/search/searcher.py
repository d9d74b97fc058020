"""*Worker.* Search an index: text, pictures, embeddings or records in; hits with their records out. No Spark."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from itertools import islice
from typing import Any, Unpack

import numpy as np

from clip_spark import storage
from clip_spark.datasets.condition.evaluate import SECONDS
from clip_spark.datasets.manifest import MANIFEST, Manifest, read_manifest
from clip_spark.errors import ClipSparkError, InputError, SpecError
from clip_spark.index.files.calibration import Calibration
from clip_spark.index.files.layout import Effort, IndexInfo, read_index
from clip_spark.index.files.local_copy import verify_files
from clip_spark.index.files.needed_faiss import check_faiss
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.index.files.pieces import Pieces
from clip_spark.index.files.whole import open_pieces
from clip_spark.index.open.listed_parts import ListedParts
from clip_spark.index.open.meaning import BEST, chances, ground, own_best, relative, relevant
from clip_spark.index.open.parts import MISSING, PartSet, open_parts
from clip_spark.index.open.piece_records import open_records
from clip_spark.index.open.piece_vectors import open_vectors
from clip_spark.index.open.ranking import RankedParts, open_ranking
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.removals import Removals
from clip_spark.index.open.selection import Selection, select_where
from clip_spark.index.open.unique import search_unique
from clip_spark.search.hits import Hits, Wanted
from clip_spark.search.negatives import Ask, Exclusion, search_less
from clip_spark.search.ranked import OfQueries, Ranked, check_queries, hits_of, leave_out, padded, with_chances

log = logging.getLogger(__name__)

LATEST_CONDITIONS = 16


class Searcher:
    """An open index with its records and, once a text or a picture is asked for, its encoder. Thread-safe."""

    def __init__(self, manifest: Manifest, info: IndexInfo, pieces: Pieces | None = None) -> None:
        check_faiss(manifest.uri, info.key)
        self.manifest, self.info, self.pieces = manifest, info, pieces
        self.records = open_records(manifest.uri, info.records, info.columns, pieces)
        with ThreadPoolExecutor(1) as pool:  # both wait for the store
            listed = pool.submit(lambda: None if pieces is None else ListedParts.open(pieces, info))
            removals = Removals(manifest.uri, self.records)
        self.parts: PartSet = open_parts(manifest.uri, info, removals, listed.result())
        self.where_seconds = SECONDS
        self.search_with: Callable[..., tuple[np.ndarray, np.ndarray]] = _search_with
        self._ranked = open_ranking(manifest.uri, info, self.parts, pieces)
        self._references = open_vectors(manifest.uri, info.references, info.dim, pieces)
        self._encoder: Any = None
        self._query_texts: Any = None
        self._lock = threading.Lock()
        select = partial(_select, self.records, self.parts)
        self._selected = lru_cache(LATEST_CONDITIONS)(select)  # no circle: see PartSet

    @staticmethod
    def open(uri: str, *, verify: bool = False, fetch: bool = True) -> Searcher:
        """Open an index.

        Args:
            uri: folder of the index.
            verify: read all of it first and compare the hashes.
            fetch: of an index in an object store, all parts first; else what searches need, where its kind allows it.

        Raises:
            InputError: there is no index.
            UserError: it needs a later Faiss.
            DatasetError: a file is missing or damaged.
        """
        manifest, info = read_index(uri)
        if verify:
            verify_files(manifest.uri, info)
        _warn_if_stale(manifest)
        return Searcher(manifest, info, None if fetch else open_pieces(manifest.uri, info))

    @property
    def rows(self) -> int:
        """Records that can be found: those that are removed are not counted."""
        return self.parts.live_rows

    @property
    def in_pieces(self) -> bool:
        """Whether only what searches need is fetched from an object store."""
        return self.parts.in_pieces

    @property
    def encoder(self) -> Any:
        """The encoder that the index was built with, loaded at first use, in its precision or one close to it.

        Raises:
            ModelError: what is installed under its name is another model.
        """
        with self._lock:
            if self._encoder is None:
                from clip_spark.encoders import load_encoder_like

                encoder = load_encoder_like(self.info.encoder)
                check_same_encoder(self.info.encoder, encoder.info(), "these queries")
                self._encoder = encoder
        return self._encoder

    def share_encoder(self, other: Searcher) -> None:
        """Use the encoder that another searcher has loaded, if this index was built with it too."""
        if other._encoder is not None and self.info.encoder == other.info.encoder:
            self._encoder = other._encoder

    def search_text(self, text: str, k: int = 10) -> Hits:
        """The records nearest to a text."""
        return self.search(self.embed_text(text)[None], Wanted(k=k), kind="text")[0]

    def search_picture(self, picture: Any, k: int = 10) -> Hits:
        """The records nearest to a picture (PIL image or the bytes of a file)."""
        return self.search(self.embed_picture(picture)[None], Wanted(k=k), kind="image")[0]

    def search_like(self, record_id: str, k: int = 10) -> Hits:
        """The records nearest to one that is in the index, itself left out."""
        return self.search_like_wanted(record_id, Wanted(k=k))

    def search_like_wanted(self, record_id: str, wanted: Wanted) -> Hits:
        """The same with all that `Wanted` says."""
        position, vector = self._locate(record_id)
        return self.search(vector[None], wanted, without=position)[0]

    def search_embedding(self, embedding: np.ndarray, k: int = 10) -> Hits:
        """The records nearest to one unit vector, float32 (d,)."""
        return self.search(np.asarray(embedding)[None], Wanted(k=k))[0]

    def search_embeddings(self, embeddings: np.ndarray, k: int = 10) -> list[Hits]:
        """The records nearest to each of several unit vectors, float32 (n, d); at most k hits each."""
        return self.search(embeddings, Wanted(k=k))

    def embed_text(self, text: str) -> np.ndarray:
        """The embedding of a text, float32 (d,)."""
        if not text.strip():
            raise SpecError("The text to search for is empty.")
        return self._texts.encode_texts([text])[0]

    @property
    def _texts(self) -> Any:
        """What embeds texts: the text half alone where this machine knows it, for it loads in no time."""
        if self._query_texts is None:
            from clip_spark.encoders import load_query_texts

            self._query_texts = load_query_texts(self.info.encoder) or self.encoder
        return self._query_texts

    def embed_picture(self, picture: Any) -> np.ndarray:
        """The embedding of a picture (PIL image or the bytes of a file), float32 (d,); raises Rejected."""
        return self.encoder.encode_images([picture])[0]

    def embedding_of(self, record_id: str) -> np.ndarray:
        """The embedding of a record, float32 (d,); raises InputError if there is none or it was removed."""
        return self._locate(record_id)[1]

    def _locate(self, record_id: str) -> tuple[int, np.ndarray]:
        position = self.records.find(record_id)
        allowed = self.parts.allowed(None)
        if allowed is not None and not allowed.mask[position]:
            raise InputError(f"The record '{record_id}' was removed from '{self.manifest.uri}'.")
        vector = self.parts.vectors.take(np.array([position]))[0]
        return position, vector / np.linalg.norm(vector)

    def search(self, embeddings: np.ndarray, wanted: Wanted, **asked: Unpack[OfQueries]) -> list[Hits]:
        """Hits with their records for each of several unit vectors, float32 (n, d).

        Raises:
            SpecError: a query or the condition cannot be used.
        """
        kind, ranked = asked.get("kind", ""), self.search_ranked(embeddings, wanted, **asked)
        positions, chances = ranked.positions, self.chances(ranked, wanted, kind)
        scores = self.ranking(wanted, kind).cosines(ranked.scores, positions)
        records = self.records.take(positions[positions != MISSING], wanted.columns)
        rows = iter(records.to_pylist())
        found = (
            with_chances(
                hits_of(scores[row, there], positions[row, there], wanted.offset, islice(rows, int(there.sum()))),
                None if chances is None else chances[row, there],
            )
            for row, there in enumerate(positions != MISSING)
        )
        return [Hits(tuple(hits), schema=records.schema) for hits in found]

    def search_positions(
        self, embeddings: np.ndarray, wanted: Wanted, **asked: Unpack[OfQueries]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same as cosines float32 (n, m) and positions int64 (n, m), best first, MISSING where there is no hit."""
        found = self.search_ranked(embeddings, wanted, **asked)
        return self.ranking(wanted, asked.get("kind", "")).cosines(found.scores, found.positions), found.positions

    def search_ranked(self, embeddings: np.ndarray, wanted: Wanted, **asked: Unpack[OfQueries]) -> Ranked:
        """The same with the scores that decide the ranking: they fall, and those of several searches compare.

        Raises:
            SpecError: relevance is asked for, and the index has not learnt it of queries of this kind.
        """
        kind, without, less = asked.get("kind", ""), asked.get("without", MISSING), asked.get("less", ())
        check_queries(embeddings, self.info.dim)
        selection, learnt = self._selection(wanted), self._learnt(wanted, kind)
        last = wanted.offset + wanted.k
        most = (max(last, BEST) if learnt else last) + (without != MISSING)
        ranking = self.ranking(wanted, kind)

        def ask(rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
            scores, positions = self.search_with(ranking, rows, most, selection=selection)
            if ranking is not self.parts or wanted.threshold <= -1:  # rounding takes cosines below -1
                return scores, positions
            return scores, np.where(scores >= wanted.threshold, positions, MISSING)

        some = any(len(mine) for mine in less)
        scores, positions = leave_out(*self._find(ask, embeddings, most, wanted, less if some else ()), without)
        best = own_best(leave_out(*ask(embeddings, BEST + 1), without)[0] if some else scores)
        if learnt and wanted.relevant:
            near = relevant(learnt, scores, self._grounds(embeddings, learnt), wanted.relevant)
            positions = np.where(near, positions, MISSING)
        return Ranked(scores[:, wanted.offset : last], positions[:, wanted.offset : last], best)

    def _find(
        self, ask: Ask, embeddings: np.ndarray, most: int, wanted: Wanted, less: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `ask` finds for queries, (n, m), each without what it does not want, and without doubles if wanted."""

        def found(ask: Ask, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            if wanted.unique:
                return search_unique(ask, rows, most, self.parts.vectors, wanted.unique)
            return ask(rows, most)

        if not less:
            return found(ask, embeddings)
        pairs = zip(embeddings, less, strict=True)
        each = [found(self._less(ask, query, mine), query[None]) for query, mine in pairs]
        return padded([row for row, _ in each], -np.inf), padded([row for _, row in each], MISSING)

    def _less(self, ask: Ask, query: np.ndarray, less: np.ndarray) -> Ask:
        """A search for one query, float32 (d,), without what it does not want, float32 (m, d)."""
        if not len(less):
            return ask
        exclusion, take = self.exclusion(query, less), self.parts.vectors.take
        return lambda _, most: search_less(ask, exclusion, most, take, self.parts.rows)

    def exclusion(self, query: np.ndarray, less: np.ndarray) -> Exclusion:
        """What a query, float32 (d,), does not want in this index (float32 (m, d))."""
        return Exclusion.of(query, less, partial(self.search_with, self.parts))

    def chances(self, found: Ranked, wanted: Wanted, kind: str) -> np.ndarray | None:
        """How often an unrelated pair scores as high as each hit, float64 (n, m); None where that is not known."""
        learnt = self._learnt(wanted, kind)
        return chances(learnt, relative(found.scores, found.best)) if learnt else None

    def _grounds(self, embeddings: np.ndarray, learnt: Calibration) -> np.ndarray:
        """What scores of queries, float32 (n, d), have to rise above, float32 (n,)."""
        return ground(embeddings, np.array(learnt.centre, np.float32), self._known_queries)

    @cached_property
    def _known_queries(self) -> np.ndarray:
        """The queries that the index was calibrated with, float32 (m, d): some MB, read for the first search only."""
        return np.concatenate([rows for _, rows in self._references.blocks()])

    def _learnt(self, wanted: Wanted, kind: str) -> Calibration | None:
        """What is known of the scores of queries of a kind, ranked as `wanted` says."""
        learnt = self.info.calibration
        known = learnt if learnt and learnt.pairs and kind == learnt.asked_by and not wanted.raw else None
        if wanted.relevant and not (known and known.nothing):
            raise SpecError(
                f"'{self.manifest.uri}' has not learnt what is relevant to such queries; calibrate-index teaches an "
                "index of pictures by texts, and one of texts by pictures. Leave relevant out, or use threshold."
            )
        return known

    def ranking(self, wanted: Wanted, kind: str) -> PartSet | RankedParts:
        """What queries of a kind are ranked by: cosines, or those of an index that knows its hubs, minus penalties."""
        calibration = self.info.calibration
        if self._ranked is None or calibration is None or wanted.raw or kind != calibration.asked_by:
            return self.parts
        return replace(self._ranked, threshold=wanted.threshold if wanted.threshold > -1 else -np.inf)

    def effort(self, wanted: Wanted) -> Effort:
        """What such a search does, and the recall to expect: 1 where it is exact, NaN where it is not known."""
        selection = self._selection(wanted)
        return self.parts.effort(wanted.offset + wanted.k, selection)

    def allowed(self, where: str) -> Selection | None:
        """What a condition allows of the records that were not taken down; None is everything."""
        return self.parts.allowed(self._selection(Wanted(where=where)))

    def _selection(self, wanted: Wanted) -> Selection | None:
        """What a condition and the quarantine leave; None is everything."""
        learnt = self.info.calibration
        hubs = learnt.quarantined if learnt is not None and wanted.quarantine_hubs else ()
        return self._selected(wanted.where, hubs, self.where_seconds) if wanted.where or hubs else None

    def hold(self) -> Searcher:
        """Map all files now, so that they can be read even after a rebuild has deleted them; returns itself.

        What is read in pieces is not held: its generation stays for hours after another one has replaced it.
        """
        self.records.hold()
        penalties = self._ranked.penalties if self._ranked is not None else None
        for store in (self.parts.store, penalties, self._references):
            if store is not None:
                store.hold()
        return self

    def close(self) -> None:
        """Let go of all files and of the thread that looks for takedowns; no search is possible any more."""
        self._selected.cache_clear()
        self.parts.close()
        if self._ranked is not None:
            self._ranked.penalties.close()
        self._references.close()
        self.records.close()

    def __enter__(self) -> Searcher:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _search_with(
    parts: PartSet | RankedParts, queries: np.ndarray, k: int, *, selection: Selection | None = None
) -> tuple[np.ndarray, np.ndarray]:
    return parts.search(queries, k, selection=selection)


def _select(records: RecordReader, parts: PartSet, condition: str, hubs: tuple[int, ...], seconds: float) -> Selection:
    allowed = (
        select_where(records, parts.rows, condition, parts.allowed(None), seconds)
        if condition
        else Selection.everything(parts.rows)
    )
    return allowed.without(np.array(hubs, np.int64)) if hubs else allowed


def _warn_if_stale(manifest: Manifest) -> None:
    """Say so where the embeddings have changed since; the index goes on answering for those that it was built from."""
    for source in (value for name, value in manifest.inputs.items() if name.startswith("embeddings")):
        if not storage.is_local(source["uri"]) or not storage.exists(storage.join(source["uri"], MANIFEST)):
            continue
        with suppress(ClipSparkError):  # whatever has become of them, the index needs them no more
            if read_manifest(source["uri"]).content_fingerprint == source["fingerprint"]:
                continue
        log.warning("the embeddings in '%s' have changed since '%s' was built", source["uri"], manifest.uri)
