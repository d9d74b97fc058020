"""*Driver.* The sets of embeddings that an index is made of: of one encoder and look, and no record in two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from clip_spark import storage
from clip_spark.datasets.doubled import doubled_rows
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.schema import RECORD_ID
from clip_spark.errors import InputError
from clip_spark.index.build.read_vectors import VectorFile, dataset_files
from clip_spark.index.files.one_encoder import THE_INDEX, check_same_encoder, check_same_look

SHARDS = "shards"
"""Key of an index's input: identities of the shards of that set (Receipt.identity)."""


def check_sets(sets: Sequence[Manifest]) -> None:
    """*Pure.* Refuse sets that cannot be in one index.

    Raises:
        InputError: they are empty, hold texts and pictures, or pictures that were prepared in different ways.
        ModelError: different encoders made them.
    """
    first = sets[0]
    if not any(one.rows for one in sets):
        raise InputError(f"'{first.uri}' holds no embeddings; see the rejects in its report.json.")
    for other in sets[1:]:
        check_fits(first.extra["encoder"], first.extra["modality"], other, f"'{first.uri}'")


def check_fits(encoder: Mapping[str, Any], modality: str, more: Manifest, whose: str = THE_INDEX) -> None:
    """*Pure.* Refuse embeddings that cannot stand beside others in one index.

    Args:
        encoder: of the others.
        modality: of the others: text or image.
        more: what comes to them.
        whose: who they are, for the message.

    Raises:
        InputError: they are of the other kind, or pictures that were prepared in another way.
        ModelError: another encoder made them.
    """
    what = f"the embeddings in '{more.uri}'"
    check_same_encoder(encoder, more.extra["encoder"], what, whose)
    if more.extra["modality"] != modality:
        raise InputError(
            f"{whose[0].upper()}{whose[1:]} holds {modality}s and {what} are of {more.extra['modality']}s; "
            "an index has one kind."
        )
    if modality == "image":
        check_same_look(encoder, more.extra["encoder"], what, whose)


def as_source(embeddings: Manifest) -> dict[str, Any]:
    """*Pure.* How an index names a set that it is made of: with its shards, so that it can tell what is new later."""
    shards = [receipt.identity for receipt in embeddings.receipts if receipt.rows]
    return {**embeddings.as_input(), SHARDS: shards}


def sets_files(sets: Sequence[Manifest], folder: str) -> tuple[VectorFile, ...]:
    """*Anywhere.* The files of one folder of several sets, one set behind the other."""
    found: list[VectorFile] = []
    for one in sets:
        found += dataset_files(one, folder, found[-1].end if found else 0)
    return tuple(found)


def check_no_record_twice(sets: Sequence[Manifest]) -> None:
    """*Driver.* One id is one record: a removal, a tag or a look-up means a single row.

    Raises:
        InputError: several sets hold a record.
    """
    if len(sets) < 2:
        return
    doubled = doubled_rows([file.uri for file in sets_files(sets, "records")])
    if not doubled:
        return
    uri, rows = next(iter(doubled.items()))
    with storage.open_read(uri) as stream:
        example = pq.read_table(stream, columns=[RECORD_ID]).column(0)[int(rows[0])]
    number = sum(map(len, doubled.values()))
    raise InputError(
        f"{number:,} records are given more than once, such as '{example}' in '{uri}'; an index has each record once. "
        "One job over all inputs reads it once: embed-text --records A --records B, embed-images --images A --images B."
    )
