"""*Worker.* Search an index: text, pictures, embeddings or records in; hits with their records out. No Spark."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import UNIT_TOLERANCE
from clip_spark.datasets.manifest import MANIFEST, Manifest, read_manifest
from clip_spark.encoders.spec import EncoderSpec
from clip_spark.errors import InputError, SpecError
from clip_spark.index.files.layout import IndexInfo, check_same_encoder, read_index
from clip_spark.index.files.local_copy import verify_files
from clip_spark.index.open.parts import MISSING, PartSet, open_parts
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.removals import Removals
from clip_spark.index.open.selection import Selection, select_where
from clip_spark.index.open.unique import search_unique

log = logging.getLogger(__name__)

LATEST_CONDITIONS = 16


HIT_COLUMNS = ("query", "query_id", "rank", "score")
"""What a hit says itself; n-grams have a `score` of their own."""


def hit_column(name: str) -> str:
    """*Pure.* What a record's column is called in a row that is a hit: `record_score` for `score`."""
    return f"record_{name}" if name in HIT_COLUMNS else name


@dataclass(frozen=True)
class Hit:
    """One answer.

    Attributes:
        rank: from 1.
        score: cosine.
        record: the columns of the record.
    """

    rank: int
    score: float
    record: dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """Which hits a query gets.

    Attributes:
        k: most hits.
        offset: hits to leave out at the beginning, for paging.
        threshold: least cosine.
        where: an SQL condition on the columns of the records; empty is no condition.
        unique: drop a hit whose cosine with a better one is at least this; 0 keeps all.
        columns: of the records; none means all.
    """

    k: int = 10
    offset: int = 0
    threshold: float = -2.0
    where: str = ""
    unique: float = 0.0
    columns: tuple[str, ...] = ()


class Searcher:
    """An open index with its records and, once a text or a picture is asked for, its encoder. Thread-safe."""

    def __init__(self, manifest: Manifest, info: IndexInfo) -> None:
        self.manifest, self.info = manifest, info
        self.records = RecordReader(manifest.uri, info.records)
        self.parts: PartSet = open_parts(manifest.uri, info, Removals(manifest.uri, self.records))
        self._encoder: Any = None
        self._lock = threading.Lock()
        self._selection = lru_cache(LATEST_CONDITIONS)(self._select)

    @staticmethod
    def open(uri: str, *, verify: bool = False) -> Searcher:
        """Open an index.

        Args:
            uri: folder of the index.
            verify: read all of it first and compare the hashes.

        Raises:
            InputError: there is no index.
            DatasetError: a file is missing or damaged.
        """
        manifest, info = read_index(uri)
        if verify:
            verify_files(manifest.uri, info)
        _warn_if_stale(manifest)
        return Searcher(manifest, info)

    @property
    def encoder(self) -> Any:
        """The encoder that the index was built with, loaded at first use.

        Raises:
            ModelError: what is installed under its name is another model.
        """
        with self._lock:
            if self._encoder is None:
                from clip_spark.encoders import load_encoder

                encoder = load_encoder(EncoderSpec(str(self.info.encoder["model"])), None)
                check_same_encoder(self.info.encoder, encoder.info(), "these queries")
                self._encoder = encoder
        return self._encoder

    def search_text(self, text: str, k: int = 10) -> list[Hit]:
        """The records nearest to a text."""
        return self.search(self.embed_text(text)[None], Wanted(k))[0]

    def search_image(self, image: Any, k: int = 10) -> list[Hit]:
        """The records nearest to a picture (PIL image or the bytes of a file)."""
        return self.search(self.encoder.encode_images([image]), Wanted(k))[0]

    def search_like(self, record_id: str, k: int = 10) -> list[Hit]:
        """The records nearest to one that is in the index, itself left out."""
        return self.search_like_wanted(record_id, Wanted(k))

    def search_like_wanted(self, record_id: str, wanted: Wanted) -> list[Hit]:
        """The same with all that `Wanted` says."""
        more = replace(wanted, k=wanted.offset + wanted.k + 1, offset=0)
        found = self.search(self.embedding_of(record_id)[None], more)[0]
        hits = [hit for hit in found if hit.record[schema.RECORD_ID] != record_id]
        page = hits[wanted.offset : wanted.offset + wanted.k]
        return [replace(hit, rank=rank) for rank, hit in enumerate(page, wanted.offset + 1)]

    def search_embedding(self, embedding: np.ndarray, k: int = 10) -> list[Hit]:
        """The records nearest to one unit vector, float32 (d,)."""
        return self.search(np.asarray(embedding)[None], Wanted(k))[0]

    def search_embeddings(self, embeddings: np.ndarray, k: int = 10) -> list[list[Hit]]:
        """The records nearest to each of several unit vectors, float32 (n, d); at most k hits each."""
        return self.search(embeddings, Wanted(k))

    def embed_text(self, text: str) -> np.ndarray:
        """The embedding of a text, float32 (d,)."""
        if not text.strip():
            raise SpecError("The text to search for is empty.")
        return self.encoder.encode_texts([text])[0]

    def embedding_of(self, record_id: str) -> np.ndarray:
        """The embedding of a record, float32 (d,); raises InputError if there is none or it was removed."""
        position = self.records.find(record_id)
        allowed = self.parts.allowed(None)
        if allowed is not None and not allowed.mask[position]:
            raise InputError(f"The record '{record_id}' was removed from '{self.manifest.uri}'.")
        vector = self.parts.vectors.take(np.array([position]))[0]
        return vector / np.linalg.norm(vector)

    def search(self, embeddings: np.ndarray, wanted: Wanted) -> list[list[Hit]]:
        """Hits for each of several unit vectors, float32 (n, d).

        Raises:
            SpecError: a query, k, the offset or the condition cannot be used.
        """
        scores, positions = self.search_positions(embeddings, wanted)
        found = positions != MISSING
        rows = iter(self.records.take(positions[found], wanted.columns).to_pylist())
        return [
            [
                Hit(wanted.offset + rank, float(score), next(rows))
                for rank, score in enumerate(scores[row][found[row]], 1)
            ]
            for row in range(len(embeddings))
        ]

    def search_positions(self, embeddings: np.ndarray, wanted: Wanted) -> tuple[np.ndarray, np.ndarray]:
        """The same as scores float32 (n, m) and positions int64 (n, m), MISSING where there is no hit."""
        check_queries(embeddings, self.info.dim, wanted.k)
        if wanted.offset < 0:
            raise SpecError(f"The offset is {wanted.offset}; it must be at least 0.")
        selection = self._selection(wanted.where) if wanted.where else None
        last = wanted.offset + wanted.k

        def ask(rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
            scores, positions = self.parts.search(rows, most, selection=selection)
            return scores, np.where(scores >= wanted.threshold, positions, MISSING)

        if wanted.unique:
            scores, positions = search_unique(ask, embeddings, last, self.parts.vectors, wanted.unique)
        else:
            scores, positions = ask(embeddings, last)
        return scores[:, wanted.offset : last], positions[:, wanted.offset : last]

    def _select(self, condition: str) -> Selection:
        return select_where(self.records, self.info.rows, condition)


def _warn_if_stale(manifest: Manifest) -> None:
    """Say so where the embeddings have changed since; the index goes on answering for those that it was built from."""
    source = manifest.inputs["embeddings"]
    if not storage.is_local(source["uri"]) or not storage.exists(storage.join(source["uri"], MANIFEST)):
        return
    if read_manifest(source["uri"]).content_fingerprint != source["fingerprint"]:
        log.warning("the embeddings in '%s' have changed since '%s' was built", source["uri"], manifest.uri)


def check_queries(embeddings: np.ndarray, dim: int, k: int) -> None:
    """*Pure.* Refuse what has no answer.

    Raises:
        SpecError: k is below 1, the shape is wrong, or a row is not a unit vector (zero, NaN, not normalised).
    """
    if k < 1:
        raise SpecError(f"k is {k}; it must be at least 1.")
    if embeddings.ndim != 2 or embeddings.shape[1] != dim:
        raise SpecError(f"The queries have shape {tuple(embeddings.shape)}; this index needs (n, {dim}).")
    lengths = np.linalg.norm(embeddings, axis=1)
    if not np.all(np.abs(lengths - 1.0) < UNIT_TOLERANCE):  # also false for NaN
        worst = int(np.argmax(~(np.abs(lengths - 1.0) < UNIT_TOLERANCE)))
        raise SpecError(f"Query {worst} has length {lengths[worst]:.4g}; queries must be finite and of length 1.")
