"""*Driver.* What a map is made of: sets of embeddings, named themselves or by the indices that are made of them.

An index stands for the shards that it was built from, without the records that were taken down of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark.analysis.map.frame import KINDS, PICTURE
from clip_spark.analysis.map.shards import FIRST_POINTS, PointShard, point_shards
from clip_spark.datasets.doubled import doubled_rows
from clip_spark.datasets.manifest import Manifest, as_inputs, read_manifest
from clip_spark.datasets.spec import fingerprint
from clip_spark.errors import InputError, SpecError
from clip_spark.index.build.embedding_sets import SHARDS
from clip_spark.index.change.new_rows import find_new_rows, held_sources, was_adopted
from clip_spark.index.files.layout import index_info
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.index.open.removals import read_removed

OPTIONS = dict(zip(KINDS, ("embeddings", "texts"), strict=True))
"""Kind of point -> the option that names a set of them."""


@dataclass(frozen=True)
class MapInputs:
    """The sets of a map.

    Attributes:
        sets: kind -> sets of embeddings, one behind the other.
        removed: kind -> ids of records that stay off the map.
        indices: kind -> URI of the index that names them; empty where they are named themselves.
    """

    sets: dict[str, tuple[Manifest, ...]]
    removed: dict[str, tuple[str, ...]]
    indices: dict[str, str]

    @property
    def pictures(self) -> tuple[Manifest, ...]:
        """Sets of pictures, at least one."""
        return self.sets[PICTURE]

    def shards(self) -> list[PointShard]:
        """One for each shard of all sets, pictures first; ids are read where some records may have to stay away."""
        found: list[PointShard] = []
        for kind in KINDS:
            left_out = self._left_out(kind)
            for one in self.sets[kind]:
                found += point_shards(kind, one, FIRST_POINTS + len(found), left_out)
        return found

    def _left_out(self, kind: str) -> dict[str, np.ndarray]:
        """URI of a file of records -> rows (int64) that were taken down, or that an earlier set has already."""
        sets, found = self.sets[kind], dict[str, np.ndarray]()
        if self.removed[kind]:
            new = find_new_rows(None, sets, self.removed[kind])
            kept = zip(new.records, new.keep, strict=True)
            found = {file.uri: np.flatnonzero(~keep) for file, keep in kept if keep is not None}
        doubled = doubled_rows([uri for one in sets for uri in one.files("records")]) if len(sets) > 1 else {}
        return {**found, **{uri: np.union1d(rows, found.get(uri, rows)) for uri, rows in doubled.items()}}

    def as_inputs(self) -> dict[str, dict[str, Any]]:
        """*Pure.* As a plan names them."""
        found: dict[str, dict[str, Any]] = {}
        for kind, name in OPTIONS.items():
            found.update(as_inputs(name, self.sets[kind]))
            if self.removed[kind]:
                found[f"{name}-takedowns"] = {"uri": self.indices[kind], "fingerprint": fingerprint(self.removed[kind])}
        return found


def inputs_of(named: Mapping[str, Manifest | None], indices: Sequence[Manifest]) -> MapInputs:
    """*Driver.* The sets of a map: kind -> embeddings that are named themselves, and indices for those that are not.

    Raises:
        SpecError: there are no pictures, or a kind is named twice.
        InputError: a set is of the other kind, or is not any more what an index was built from.
        ModelError: different encoders made them.
    """
    sets, removed, homes = _of_indices(indices)
    for kind, embeddings in named.items():
        if embeddings is not None:
            if kind in sets:
                raise SpecError(f"--index '{homes[kind]}' holds {kind}s, and --{OPTIONS[kind]} names others; give one.")
            sets[kind] = (_checked(embeddings, kind),)
    if PICTURE not in sets:
        raise SpecError("A map needs pictures: name them with --embeddings, or with --index and an index of pictures.")
    every = [one for kind in KINDS for one in sets.get(kind, ())]
    for other in every[1:]:
        check_same_encoder(every[0].extra["encoder"], other.extra["encoder"], f"'{other.uri}'", "the pictures")
    return MapInputs(
        {kind: sets.get(kind, ()) for kind in KINDS}, {kind: removed.get(kind, ()) for kind in KINDS}, homes
    )


def _checked(embeddings: Manifest, kind: str) -> Manifest:
    found = embeddings.extra["modality"]
    if found != kind:
        raise InputError(f"'{embeddings.uri}' holds embeddings of {found}s; --{OPTIONS[kind]} needs those of {kind}s.")
    return embeddings


def _of_indices(
    indices: Sequence[Manifest],
) -> tuple[dict[str, tuple[Manifest, ...]], dict[str, tuple[str, ...]], dict[str, str]]:
    """By kind: the sets of some indices, what was taken down of them, and their URIs."""
    sets: dict[str, tuple[Manifest, ...]] = {}
    removed: dict[str, tuple[str, ...]] = {}
    homes: dict[str, str] = {}
    for index in indices:
        kind = index_info(index).modality
        if kind in sets:
            raise SpecError(
                f"--index names two indices of {kind}s, '{homes[kind]}' and '{index.uri}'; give one of each kind."
            )
        sets[kind], removed[kind], homes[kind] = _sets_of(index), tuple(read_removed(index.uri)), index.uri
    return sets, removed, homes


def _sets_of(index: Manifest) -> tuple[Manifest, ...]:
    """The sets of an index with the shards that it was built from."""
    if was_adopted(index):
        raise InputError(
            f"'{index.uri}' was taken over by adopt-index, so no embeddings of its records are there. "
            "`clip-spark import-index` takes them out of the same file; name the result by --embeddings or --texts."
        )
    found = []
    for uri, source in held_sources(index).items():
        one, held = read_manifest(uri, "embeddings"), source.get(SHARDS)
        there = {receipt.identity for receipt in one.receipts}
        if held is not None and not there.issuperset(held):
            raise InputError(
                f"'{index.uri}' was built from embeddings that '{uri}' has not any more; bring the index up to date "
                "with build-index, or name the embeddings themselves."
            )
        kept = tuple(
            receipt for receipt in one.receipts if held is None or receipt.identity in held or not receipt.rows
        )
        found.append(dataclasses.replace(one, receipts=kept))
    return tuple(found)
