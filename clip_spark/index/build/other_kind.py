"""*Driver.* Queries of the other kind for a new index: those of --queries, else bundled captions over pictures.

Texts lie beside pictures and not among them, so that settings which suit pictures alone miss a third of what a text is
after. Whoever builds an index of pictures rarely has texts at hand; plain captions ask much as people do.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from clip_spark.datasets.manifest import Manifest
from clip_spark.encoders import load_encoder_like
from clip_spark.errors import ModelError
from clip_spark.index.build.questions import TEST_QUERIES
from clip_spark.index.build.read_vectors import VectorReader, dataset_files
from clip_spark.index.build.train import draw_positions
from clip_spark.index.files.keys import is_exact
from clip_spark.index.files.layout import IndexInfo
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.runtime.devices import CPU
from clip_spark.storage.local_cache import remember, remembered_name

log = logging.getLogger(__name__)

NOTHING = np.empty((0, 0), np.float32)
EXACT = "every search is exact"
UNMEASURED = {
    "image": "not measured: texts as queries; --queries measures them",
    "text": "not measured: pictures as queries; --queries measures them",
}
"""Kind of an index -> what to say where there are no queries of the other."""


@dataclass(frozen=True)
class OtherKind:
    """Queries of the other kind.

    Attributes:
        vectors: float32 (n, d); empty where there are none.
        how: where they come from, or why there are none, in words.
    """

    vectors: np.ndarray
    how: str


def other_kind(info: IndexInfo, queries: Manifest | None, seed: int) -> OtherKind:
    """*Driver.* Queries of the other kind for an index; nothing is read or encoded where every search is exact.

    Args:
        info: of the index; its encoder, kind and key are enough.
        queries: dataset of --queries, if there is one.
        seed: of the sample that is drawn of it.
    """
    if is_exact(info.key):
        return OtherKind(NOTHING, EXACT)
    if queries is not None:
        reader = VectorReader(dataset_files(queries, "embeddings"), info.dim)
        _, drawn = draw_positions(reader.count, 0, TEST_QUERIES, seed)
        return OtherKind(reader.take(drawn), f"{len(drawn)} of the --queries")
    if info.modality != "image":
        return OtherKind(NOTHING, UNMEASURED["text"])
    try:
        vectors = caption_vectors(info.encoder, info.dim)
    except (ModelError, ImportError) as error:
        log.warning("the index is not tuned for texts: its model cannot be loaded here to encode some (%s)", error)
        return OtherKind(NOTHING, UNMEASURED["image"])
    return OtherKind(vectors, f"{len(vectors)} bundled captions")


def captions() -> list[str]:
    """*Anywhere.* Texts that describe everyday pictures; made for this purpose, and free."""
    return (files(__package__) / "captions.txt").read_text("utf-8").splitlines()


def caption_vectors(encoder: Mapping[str, Any], dim: int) -> np.ndarray:
    """*Driver.* The captions through the encoder of an index, float32 (n, dim); encoded once per machine and model.

    Raises:
        ModelError: the model cannot be loaded here, or is not the one of the index.
        ImportError: what it needs is not installed here.
    """
    texts = captions()
    name = remembered_name("captions", [encoder.get("weights_sha256"), encoder.get("model"), texts])

    def encode() -> str:
        model = load_encoder_like(encoder, CPU)  # a GPU is left to the tasks
        check_same_encoder(encoder, model.info(), "the bundled captions")
        return base64.b64encode(model.encode_texts(texts).tobytes()).decode()

    def is_whole(found: Any) -> bool:
        return isinstance(found, str) and len(base64.b64decode(found)) == 4 * len(texts) * dim

    found = base64.b64decode(remember(name, encode, is_whole))
    return np.frombuffer(found, np.float32).reshape(len(texts), dim)
