"""*Worker.* Search an index: text, pictures, embeddings or records in; hits with their records out. No Spark."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark import schema
from clip_spark.errors import InputError, SpecError
from clip_spark.index.layout import IndexInfo, check_same_encoder, read_index
from clip_spark.index.parts import MISSING, PartSet, open_parts
from clip_spark.index.reader import VectorReader, dataset_files
from clip_spark.index.records import RecordReader
from clip_spark.manifest import Manifest, read_manifest
from clip_spark.shards import UNIT_TOLERANCE
from clip_spark.specs.encode import EncoderSpec


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

    def __init__(self, manifest: Manifest, info: IndexInfo, parts: PartSet, embeddings: Manifest) -> None:
        self.manifest, self.info, self.parts, self.embeddings = manifest, info, parts, embeddings
        self.records = RecordReader(embeddings)
        self._encoder: Any = None
        self._lock = threading.Lock()

    @staticmethod
    def open(uri: str, embeddings: str = "") -> Searcher:
        """Open an index.

        Args:
            uri: folder of the index.
            embeddings: where its embeddings are, if they were moved.

        Raises:
            InputError: there is no index, or its embeddings have changed since it was built.
            DatasetError: a part is missing or damaged.
        """
        manifest, info = read_index(uri)
        source = manifest.inputs["embeddings"]
        records = read_manifest(embeddings or source["uri"], "embeddings")
        if records.content_fingerprint != source["fingerprint"]:
            raise InputError(f"The embeddings in '{records.uri}' have changed since '{manifest.uri}' was built.")
        return Searcher(manifest, info, open_parts(manifest.uri, info), records)

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
        position = np.array([self.records.find(record_id)], np.int64)
        return VectorReader(dataset_files(self.embeddings, "embeddings"), self.info.dim).take(position)[0]

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
