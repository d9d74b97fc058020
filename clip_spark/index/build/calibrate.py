"""*Driver.* What queries of the other kind teach an index: a penalty for each item, and which are hubs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError
from clip_spark.index.build.hub_audit import AT, Hub, audit
from clip_spark.index.build.null_tables import NullTables, null_tables
from clip_spark.index.build.penalties import PenaltyWriter, pieces, write_penalties
from clip_spark.index.build.questions import recalls
from clip_spark.index.build.references import (
    draw_references,
    numbers_path,
    read_names,
    read_references,
    write_numbers,
)
from clip_spark.index.build.round_trip import LEAST_REFERENCES, NO_CHOICE, choose
from clip_spark.index.files.calibration import Calibration
from clip_spark.index.files.keys import is_exact
from clip_spark.index.files.layout import IndexInfo
from clip_spark.index.files.one_encoder import check_same_encoder
from clip_spark.index.open.effort import everything
from clip_spark.index.open.parts import PartSet, open_parts
from clip_spark.index.open.ranking import RankedParts, open_ranking
from clip_spark.index.open.records import RecordReader
from clip_spark.index.open.removals import Removals
from clip_spark.runtime.session import SessionSource

log = logging.getLogger(__name__)

NAMES = ("text", "caption", "uri")
"""Columns by which people know a record."""


def check_queries(info: IndexInfo, queries: Manifest) -> None:
    """*Driver.* Refuse queries that can teach an index nothing.

    Raises:
        InputError: they are of its own kind, or too few.
        ModelError: another encoder made them.
    """
    check_same_encoder(info.encoder, queries.extra["encoder"], "the --queries")
    if not teaches(info, queries):
        raise InputError(
            f"'{queries.uri}' holds {queries.rows} {queries.extra['modality']}s; an index of {info.modality}s learns "
            f"from at least {LEAST_REFERENCES} of the other kind."
        )


def teaches(info: IndexInfo, queries: Manifest) -> bool:
    """*Pure.* Whether queries say something of hubs: they are of the other kind, and not just a few."""
    return bool(queries.extra["modality"] != info.modality and queries.rows >= LEAST_REFERENCES)


@dataclass(frozen=True)
class Calibrator:
    """*Driver.* Writes what is learnt into a generation of an index, and says it in its `IndexInfo`.

    Attributes:
        get_spark: used unless the index is a small exact one.
        step: whose stages these are.
        uri: of the index.
        generation: that is being written.
    """

    get_spark: SessionSource
    step: str
    uri: str
    generation: str

    def learn(self, info: IndexInfo, queries: Manifest, seed: int) -> IndexInfo:
        """From a sample of a dataset that `check_queries` lets in."""
        rows, references = draw_references(queries, info.dim, seed)
        info = self._with_references(info, references)
        parts = self._open(info)
        choice = choose(parts, references.astype(np.float32)) if parts.live_rows else NO_CHOICE
        log.info(
            "hubs: queries find themselves back at %.3f, at %.3f without %g of the mean over %d",
            *(choice.corrected, choice.raw, choice.strength, choice.nearest),
        )
        figures = {"references": len(rows), "way_back": choice.corrected, "way_back_raw": choice.raw}
        learnt = Calibration(
            asked_by=queries.extra["modality"],
            strength=choice.strength,
            nearest=choice.nearest,
            queries=queries.as_input(),
            figures=figures,
        )
        info, hubs = self._extended(replace(info, calibration=learnt), 0)
        examples = np.array([one for hub in hubs for one in hub.examples], np.int64)
        return self._told(info, hubs, read_names(queries, rows[examples], NAMES))

    def grow(self, info: IndexInfo, first: int) -> IndexInfo:
        """The same for items from position `first` on, from the queries that the index has kept; if it has any."""
        return self._told(*self._extended(info, first)) if info.calibration is not None else info

    def learn_again(self, info: IndexInfo, before: IndexInfo | None) -> IndexInfo:
        """An index that replaces one learns from the queries that the one before it had kept, if it had any."""
        if before is None or before.calibration is None or before.modality != info.modality:
            return info
        if before.dim != info.dim or before.encoder != info.encoder:
            return info
        references = read_references(self.uri, before.references, before.dim)
        return self.grow(replace(self._with_references(info, references), calibration=before.calibration), 0)

    def _with_references(self, info: IndexInfo, references: np.ndarray) -> IndexInfo:
        path = numbers_path(self.generation, "references", 0)
        return replace(info, references=(write_numbers(self.uri, path, 0, references),))

    def _extended(self, info: IndexInfo, first: int) -> tuple[IndexInfo, list[Hub]]:
        """With penalties from a position on, and the hubs of all."""
        learnt = info.calibration
        assert learnt is not None
        writer = PenaltyWriter(self.uri, self.generation, replace(info, measured={}), learnt.nearest, learnt.strength)
        files, least = write_penalties(self.get_spark, self.step, writer, pieces(info, first))
        least = min(least, learnt.least) if first else least
        before = info.penalties if first else ()
        info = replace(info, penalties=(*before, *files), calibration=replace(learnt, least=least))
        parts = self._open(info)
        references, ranking = read_references(self.uri, info.references, info.dim), open_ranking(self.uri, info, parts)
        tables = null_tables(parts, ranking, references) if parts.live_rows else NullTables()
        learnt = replace(learnt, least=least, **tables._asdict())
        info = replace(info, calibration=learnt)
        if ranking is not None and not is_exact(info.key):
            figures = {
                **learnt.figures,
                f"recall_at_{AT}": self._recall(info, ranking, references[:: len(references) // 64]),
            }
            info = replace(info, calibration=replace(learnt, figures=figures))
        return info, audit(parts, ranking, references)

    def _recall(self, info: IndexInfo, ranking: RankedParts, queries: np.ndarray) -> float:
        """The share of the true first hits, hubs corrected, that searches find; the true ones are in all lists."""
        complete = self._open(replace(info, settings=everything(info.settings), efforts=()))
        true = replace(ranking, parts=complete).search(queries, AT)[1]
        return round(float(recalls(ranking.search(queries, AT)[1], true).mean()), 4)

    def _open(self, info: IndexInfo) -> PartSet:
        """What was taken down is asked for nothing, and named nowhere."""
        removals = Removals(self.uri, RecordReader(self.uri, info.records, info.columns))
        removals.close()  # nothing may change while it is measured
        return open_parts(self.uri, info, removals)

    def _told(self, info: IndexInfo, hubs: Sequence[Hub], examples: Sequence[str] = ()) -> IndexInfo:
        """With the hubs as people read them."""
        assert info.calibration is not None
        records = RecordReader(self.uri, info.records, info.columns)
        columns = [name for name in NAMES if name in records.columns]
        rows = records.take(np.array([hub.position for hub in hubs], np.int64), columns).to_pylist()
        names, rest = [next(filter(None, row.values()), "") for row in rows], list(examples)
        shown: list[dict[str, Any]] = []
        for hub, name in zip(hubs, names, strict=True):
            mine = [rest.pop(0) for _ in hub.examples if rest]
            shown.append({"name": name, **hub.to_json(), "asked_by": mine})
        quarantined = tuple(hub.position for hub in hubs if hub.quarantined)
        return replace(info, calibration=replace(info.calibration, hubs=tuple(shown), quarantined=quarantined))


def calibration_tables(info: IndexInfo) -> list[Table]:
    """*Pure.* What an index has learnt, for people; nothing where it was never calibrated."""
    learnt = info.calibration
    if learnt is None:
        return []
    rows = [
        ("asked by", f"{learnt.figures.get('references', 0):,} {learnt.asked_by}s"),
        ("strength", learnt.strength),
        ("mean over the nearest", learnt.nearest),
        ("queries find themselves back", learnt.figures.get("way_back")),
        ("without", learnt.figures.get("way_back_raw")),
        (f"recall@{AT} after the correction", learnt.figures.get(f"recall_at_{AT}", 1.0)),
        ("quarantined", len(learnt.quarantined)),
    ]
    hubs = [
        (hub["name"], f"{hub['share']:.1%}", f"{hub['corrected']:.1%}", hub["related"], ", ".join(hub["asked_by"]))
        for hub in learnt.hubs
    ]
    columns = ("hub", "of all first ten", "corrected", "its queries are related", "such as")
    return [Table("hubs", ("what", "value"), rows), *([Table("greatest hubs", columns, hubs)] if hubs else [])]
