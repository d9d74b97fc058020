"""*Worker.* Search an index: text, pictures, embeddings or records in; hits with their records out. No Spark."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark import schema, storage
from clip_spark.errors import SpecError
from clip_spark.index.cache import verify_files
from clip_spark.index.layout import IndexInfo, check_same_encoder, read_index
from clip_spark.index.parts import MISSING, PartSet, open_parts
from clip_spark.index.records import RecordReader
from clip_spark.index.vectors import vector_in_parts
from clip_spark.manifest import MANIFEST, Manifest, read_manifest
from clip_spark.shards import UNIT_TOLERANCE
from clip_spark.specs.encode import EncoderSpec

log = logging.getLogger(__name__)


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


class Searcher:
    """An open index with its records and, once a text or a picture is asked for, its encoder. Thread-safe."""

    def __init__(self, manifest: Manifest, info: IndexInfo, parts: PartSet) -> None:
        self.manifest, self.info, self.parts = manifest, info, parts
        self.records = RecordReader(manifest.uri, info.records)
        self._encoder: Any = None
        self._lock = threading.Lock()

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
        return Searcher(manifest, info, open_parts(manifest.uri, info))

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
        if not text.strip():
            raise SpecError("The text to search for is empty.")
        return self.search_embedding(self.encoder.encode_texts([text])[0], k)

    def search_image(self, image: Any, k: int = 10) -> list[Hit]:
        """The records nearest to a picture (PIL image or the bytes of a file)."""
        return self.search_embedding(self.encoder.encode_images([image])[0], k)

    def search_like(self, record_id: str, k: int = 10) -> list[Hit]:
        """The records nearest to one that is in the index, itself left out."""
        vector = self.embedding_of(record_id)
        hits = [hit for hit in self.search_embedding(vector, k + 1) if hit.record[schema.RECORD_ID] != record_id]
        return [Hit(rank, hit.score, hit.record) for rank, hit in enumerate(hits[:k], 1)]

    def embedding_of(self, record_id: str) -> np.ndarray:
        """The embedding of a record, float32 (d,)."""
        position = self.records.find(record_id)
        if self.parts.store is None:
            return vector_in_parts(self.parts.indexes, position)
        vector = self.parts.store.take(np.array([position]))[0]
        return vector / np.linalg.norm(vector)

    def search_embedding(self, embedding: np.ndarray, k: int = 10) -> list[Hit]:
        """The records nearest to one unit vector, float32 (d,)."""
        return self.search_embeddings(np.asarray(embedding)[None], k)[0]

    def search_embeddings(self, embeddings: np.ndarray, k: int = 10) -> list[list[Hit]]:
        """The records nearest to each of several unit vectors, float32 (n, d); at most k hits each."""
        check_queries(embeddings, self.info.dim, k)
        scores, positions = self.parts.search(embeddings, k)
        found = positions != MISSING
        rows = iter(self.records.take(positions[found]).to_pylist())
        return [
            [Hit(rank, float(score), next(rows)) for rank, score in enumerate(scores[row][found[row]], 1)]
            for row in range(len(embeddings))
        ]


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
