"""*Worker.* What the manifest of an index says, and where its files are.

<index>/manifest.json                               names the generation that is served
<index>/parts/<generation>/part-000.index           Faiss files with global ids; one trained quantizer for all
<index>/parts/<generation>/records/00000.arrow      the records, one file per embedding shard, memory-mappable
<index>/parts/<generation>/vectors/00000.f16        the vectors (float16), only beside compressed parts
<index>/parts/<generation>/penalties/00000.f16      what each item loses for being a hub (float16), if it is calibrated
<index>/parts/<generation>/references/00000.f16     the queries that it was calibrated with (float16)
<index>/building/<generation>/                      only while a build runs

So an index answers by itself: it may be moved, and its embeddings may be archived.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clip_spark import __version__
from clip_spark.datasets.manifest import Manifest, read_manifest
from clip_spark.datasets.plan import Plan
from clip_spark.errors import DatasetError
from clip_spark.index.files.calibration import Calibration

PARTS, BUILDING = "parts", "building"
ALWAYS = ("parts", "records", "vectors")
FILES = (*ALWAYS, "penalties", "references")
"""Folders of files; those that an index need not have are missing in the manifests of older versions."""


@dataclass(frozen=True)
class IndexFile:
    """One file of an index: a part, or records, vectors or penalties of some positions.

    Attributes:
        path: inside the index folder.
        start: the first position in it; the others follow without a gap.
        rows: vectors or records in it.
        sha256: of the file's bytes.
    """

    path: str
    start: int
    rows: int
    bytes: int
    sha256: str

    @property
    def end(self) -> int:
        """First position after the file."""
        return self.start + self.rows

    def to_json(self) -> dict[str, Any]:
        """*Pure.* Ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class SearchSettings:
    """How a search runs; chosen by the build from measured recall.

    Attributes:
        nprobe: inverted lists that a query looks into; 0 where the index has none.
        ef: candidates kept in an HNSW coarse quantizer; 0 where there is none.
        rerank: candidates per hit that are compared again with their float16 vectors; 0 where parts are exact.
    """

    nprobe: int = 0
    ef: int = 0
    rerank: int = 0


@dataclass(frozen=True)
class Effort:
    """One row of what the build measured: the settings that a search for `k` hits takes.

    Attributes:
        k: hits.
        settings: the cheapest that reached the wanted recall, or all lists where fewer did not.
        recall: share of the true best k that they found, the mean over the test queries of the harder kind.
    """

    k: int
    settings: SearchSettings
    recall: float


@dataclass(frozen=True)
class IndexInfo:
    """What a searcher must know; the `extra` of the manifest.

    Attributes:
        encoder: as the embeddings' manifest describes it.
        modality: `text` or `image`.
        dim: d.
        metric: `ip` or `l2`.
        key: Faiss factory key.
        settings: how to search for ten hits.
        efforts: how to search for k hits, by growing k; none where every search is exact (and in older indices).
        parts, records, vectors: files in the order of their positions.
        measured: recall and times on the machine of the build.
        generation: name of the folder of parts.
        train_rows: vectors that the quantizer was trained on.
        columns: of the records of all files (record_schema.to_text); empty where an older version built the index.
        penalties: what each position loses for being a hub, in the order of positions; none where `calibration` is.
        references: the queries that these come from, numbered from 0.
        lost: URI of each set of embeddings -> reason -> records that never came into it; older versions do not say.
        calibration: what queries of the other kind have taught; None where the index was never calibrated.
        other: a second index of the same records, by another model, that is kept beside this one.
    """

    encoder: Mapping[str, Any]
    modality: str
    dim: int
    metric: str
    key: str
    settings: SearchSettings
    parts: tuple[IndexFile, ...]
    records: tuple[IndexFile, ...] = ()
    vectors: tuple[IndexFile, ...] = ()
    measured: dict[str, Any] = field(default_factory=dict)
    generation: str = ""
    train_rows: int = 0
    efforts: tuple[Effort, ...] = ()
    columns: str = ""
    penalties: tuple[IndexFile, ...] = ()
    references: tuple[IndexFile, ...] = ()
    lost: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    calibration: Calibration | None = None
    other: Other | None = None

    @property
    def recalls(self) -> dict[int, float]:
        """k -> share of the true nearest k that a search for k finds, as the build measured it, by growing k."""
        if self.efforts:
            return {effort.k: round(effort.recall, 4) for effort in self.efforts}
        measured = self.measured.get("recall_at_10")
        return {10: round(measured, 4)} if isinstance(measured, float) else {}

    @property
    def rows(self) -> int:
        """Positions; where records were erased, fewer vectors."""
        return self.records[-1].end if self.records else sum(part.rows for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """*Pure.* Ready for JSON, and equal to itself after a trip through it."""
        files = {folder: [file.to_json() for file in getattr(self, folder)] for folder in FILES}
        calibration = self.calibration and self.calibration.to_json()
        efforts = [dataclasses.asdict(one) for one in self.efforts]
        other = self.other and self.other.to_json()
        plain = dataclasses.asdict(dataclasses.replace(self, other=None))
        return {**plain, "efforts": efforts, "calibration": calibration, "other": other, **files}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> IndexInfo:
        """*Pure.* The inverse of `to_json`; keys of other versions are ignored."""
        known = {f.name for f in dataclasses.fields(IndexInfo)}
        plain = {key: item for key, item in value.items() if key in known}
        plain["settings"] = SearchSettings(**value["settings"])
        plain["efforts"] = tuple(_effort(effort) for effort in value.get("efforts", ()))
        if plain.get("calibration"):
            plain["calibration"] = Calibration.from_json(value["calibration"])
        plain["other"] = Other.from_json(value["other"]) if value.get("other") else None
        asked = {folder: value[folder] if folder in ALWAYS else value.get(folder, ()) for folder in FILES}
        files = {folder: tuple(IndexFile(**file) for file in found) for folder, found in asked.items()}
        return IndexInfo(**{**plain, **files})


@dataclass(frozen=True)
class Other:
    """A second index in the folder of the first, which answers nothing until both are switched (change/other.py).

    Attributes:
        plan: what it was made of.
        info: what a searcher must know of it.
        was_served: it was the first until the last switch, and is kept to go back to; else it is to come.
    """

    plan: Plan
    info: IndexInfo
    was_served: bool = False

    def to_json(self) -> dict[str, Any]:
        """*Pure.* Ready for JSON."""
        plan = dataclasses.asdict(self.plan)
        return {"plan": plan, "info": self.info.to_json(), "was_served": self.was_served}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Other:
        """*Pure.* The inverse of `to_json`."""
        return Other(Plan(**value["plan"]), IndexInfo.from_json(value["info"]), value["was_served"])


def _effort(value: Mapping[str, Any]) -> Effort:
    return Effort(value["k"], SearchSettings(**value["settings"]), value["recall"])


NEEDED = frozenset({"encoder", "modality", "dim", "metric", "key", "settings", *ALWAYS})
"""Fields without which an index cannot be searched."""


def read_index(uri: str) -> tuple[Manifest, IndexInfo]:
    """*Anywhere.* The manifest of an index and what it says.

    Raises:
        InputError: there is no index.
        DatasetError: it was built by a clip-spark that writes other fields.
    """
    manifest = read_manifest(uri, "index")
    return manifest, index_info(manifest)


def index_info(manifest: Manifest) -> IndexInfo:
    """*Pure.* What the manifest of an index says; raises DatasetError if it lacks what is needed."""
    try:
        return IndexInfo.from_json(manifest.extra)
    except (KeyError, TypeError) as error:
        builder = manifest.versions.get("clip_spark", "of an unknown version")
        lacking = ", ".join(sorted(NEEDED - manifest.extra.keys())) or "fields of the known shape"
        raise DatasetError(
            f"The index '{manifest.uri}' was built by clip-spark {builder} and lacks {lacking}, which {__version__} "
            "needs; build it again with --overwrite."
        ) from error


def check_files(files: Sequence[IndexFile], start: int, end: int) -> tuple[IndexFile, ...]:
    """*Pure.* Files in the order of their positions.

    Raises:
        DatasetError: they do not hold the positions start ... end - 1 once each.
    """
    ordered = tuple(sorted(files, key=lambda file: file.start))
    expected = start
    for file in ordered:
        if file.start != expected:
            raise DatasetError(f"'{file.path}' starts at {file.start} where {expected} was due; build the index again.")
        expected = file.end
    if expected != end:
        raise DatasetError(f"The files of the index end at position {expected} where {end} was due; build it again.")
    return ordered


def part_path(generation: str, number: int) -> str:
    """*Pure.* Path of a part inside the index folder."""
    return f"{PARTS}/{generation}/part-{number:03d}.index"
