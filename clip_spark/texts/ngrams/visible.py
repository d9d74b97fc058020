"""*Driver.* The n-grams of counts that have an embedding, scored by how visible they are in a sample of pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import differing_encoder, read_embeddings
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.vector_sample import read_sample
from clip_spark.errors import InputError, ModelError
from clip_spark.texts.ngrams.ranking.drop_reasons import Lists
from clip_spark.texts.ngrams.ranking.score_and_cut import (
    NOT_EMBEDDED,
    Selection,
    rounded,
    select_by,
    with_scores,
)
from clip_spark.texts.ngrams.ranking.visibility import PICTURES, TEXTS, View
from clip_spark.texts.specs import FilterSpec

COUNTED = ("n", "text", "count")


@dataclass(frozen=True)
class Seen:
    """The two sets of vectors that visibility is measured with.

    Attributes:
        missing: n-grams of the counts that have no embedding: `reason_order` -> rows.
    """

    texts: Manifest
    pictures: Manifest
    missing: Counter[str]

    def inputs(self) -> dict[str, dict[str, Any]]:
        """How a plan names them."""
        return {"texts": self.texts.as_input(), "pictures": self.pictures.as_input()}

    def source(self, spec: FilterSpec, lists: Lists) -> VisibleSource:
        """Samples are read here; what is scored with them is read by the tasks."""
        names = [self.texts.files(folder) for folder in ("records", "embeddings")]
        files = tuple(zip(*names, strict=True))
        view = View.of(read_sample(self.pictures, PICTURES), read_sample(self.texts, TEXTS), self.texts.rows)
        return VisibleSource(spec, lists, files, view)


@dataclass(frozen=True)
class VisibleSource:
    """*Worker.* Shards of embedded n-grams, and what selects from them.

    Attributes:
        files: URIs of each shard's records and embeddings.
    """

    spec: FilterSpec
    lists: Lists
    files: tuple[tuple[str, str], ...]
    view: View

    def select(self, files: tuple[str, str]) -> Selection:
        """*Worker.* The rows of one shard that may be in the result."""
        counts, vectors = _counts(files[0]), read_embeddings(files[1])

        def scored(kept: pa.Table, rows: np.ndarray) -> pa.Table:
            roots = np.sqrt(kept["count"].to_numpy())
            return with_scores(kept, rounded(self.view.visibility(vectors[rows]) * roots))

        return select_by(counts, self.spec, self.lists, scored)


def check_seen(counts: Manifest, texts: Manifest, pictures: Manifest) -> Seen:
    """*Driver.* What n-grams of counts are seen with.

    Raises:
        InputError: a set holds the other kind, is empty, or its texts are no n-grams.
        ModelError: two models made them.
    """
    for option, dataset, kind in (("texts", texts, "text"), ("pictures", pictures, "image")):
        if dataset.extra["modality"] != kind:
            raise InputError(f"--{option} is '{dataset.uri}', which holds embeddings of {dataset.extra['modality']}s.")
        if not dataset.rows:
            raise InputError(f"--{option} is '{dataset.uri}', which is empty.")
    _check_model(texts, pictures)
    records = texts.files("records")
    with storage.open_read(records[0]) as stream:
        lacking = [name for name in COUNTED if name not in pq.read_schema(stream).names]
    if lacking:
        raise InputError(
            f"The records of '{texts.uri}' have no {', '.join(lacking)}: they are not of n-grams. "
            f"Embed what filter-ngrams has made of '{counts.uri}'."
        )
    return Seen(texts, pictures, _not_embedded(counts, records))


def _check_model(texts: Manifest, pictures: Manifest) -> None:
    one, other = (dataset.extra["encoder"] for dataset in (texts, pictures))
    if differing_encoder(one, other):
        raise ModelError(
            f"'{texts.uri}' was embedded with '{one.get('model')}' and '{pictures.uri}' with "
            f"'{other.get('model')}', or with other weights or preprocessing; use the same model for both."
        )


def _counts(uri: str) -> pa.Table:
    """Rows of COUNTS out of the records of one shard."""
    with storage.open_read(uri) as stream:
        return pq.read_table(stream, columns=list(COUNTED)).select(schema.COUNTS.names).cast(schema.COUNTS)


def _not_embedded(counts: Manifest, records: list[str]) -> Counter[str]:
    """How many n-grams of each order are in the counts and not among the embedded ones."""
    there = sum(map(_orders, records), Counter[int]())
    found = {n: order["survivors"] - there[int(n)] for n, order in counts.extra["orders"].items()}
    if any(missing < 0 for missing in found.values()) or any(str(n) not in found for n in there):
        raise InputError(
            f"--texts holds n-grams that '{counts.uri}' has not; embed what was filtered from these counts."
        )
    return Counter({f"{NOT_EMBEDDED}_{n}": missing for n, missing in found.items() if missing})


def _orders(uri: str) -> Counter[int]:
    with storage.open_read(uri) as stream:
        found = pq.read_table(stream, columns=["n"]).column(0).value_counts().to_pylist()
    return Counter({one["values"]: one["counts"] for one in found})
