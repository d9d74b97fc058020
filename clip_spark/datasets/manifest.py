"""*Anywhere.* The committed list of receipts, the plan and the versions: a dataset exists if and only if it does.

<dataset>/manifest.json            written last, in one conditional put; names all files of its generation
<dataset>/report.json ...          of the first generation
<dataset>/generations/<name>/      of one that replaced another; inside as the first
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from clip_spark import __version__, storage
from clip_spark.datasets.plan import PLAN
from clip_spark.datasets.receipt import RECEIPTS, Receipt, shard_name, sum_up
from clip_spark.datasets.receipt_files import read_parts
from clip_spark.datasets.spec import fingerprint
from clip_spark.errors import DatasetError, InputError

FORMAT_VERSION = 2
"""2: manifests name their place and the files beside the shards."""
MANIFEST, REPORT = "manifest.json", "report.json"
EMPTIED = "emptied"
"""Key of an empty head: what was never finished here has been deleted, and its writers may commit no more."""
BESIDE_BEFORE_2 = (PLAN, REPORT, "encoder.json", "rank-frequency.png", "vocabulary-growth.png")
GENERATIONS = "generations"
INDEX, INDEX_FILES = "index", ("parts", "records", "vectors")
VERSIONED = ("pyspark", "torch", "open_clip_torch", "faiss-cpu", "autofaiss", "numpy", "pyarrow", "pillow")


@dataclass(frozen=True)
class Manifest:
    """A committed dataset; `uri` is where it was read from and is not stored.

    Attributes:
        receipts: paths in them are relative to the dataset.
        extra: what readers of this kind need to know.
        place: folder of this generation inside the dataset; empty for the first one, which lies at the top.
        beside: files of this generation that no receipt names (report, plots, ...): path in the dataset -> bytes.
        replaced: manifests that this one has replaced (`history/<name>.json`) -> when, as long as they are kept.
        fenced: places of writers that began with this manifest and that `clean` took for dead; they can commit no more.
        news: what a person should hear of the run that returned this, in a few words; not stored.
    """

    kind: str
    fingerprint: str
    spec: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    versions: dict[str, str]
    created: str
    receipts: tuple[Receipt, ...]
    extra: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    uri: str = ""
    place: str = ""
    beside: dict[str, int] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    fenced: tuple[str, ...] = ()
    news: str = ""

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(receipt.rows for receipt in self.receipts)

    @property
    def rejects(self) -> dict[str, int]:
        """Reason -> records dropped, over all shards."""
        return dict(sum_up(receipt.rejects for receipt in self.receipts))

    @property
    def content_fingerprint(self) -> str:
        """What another step's plan remembers of this dataset: the plan, the rows and the ids."""
        return fingerprint([self.fingerprint, [[r.shard, r.rows, r.id_checksum] for r in self.receipts]])

    def files(self, folder: str) -> list[str]:
        """URIs of one folder's files in the order of the plan; shards without such a file are left out."""
        return [uri for uri, _ in self.sized_files(folder)]

    def sized_files(self, folder: str) -> list[tuple[str, int]]:
        """The same, each with its rows; of a folder with a row for each of the shard's."""
        return [
            (storage.join(self.uri, path), receipt.rows)
            for receipt in self.receipts
            for path in receipt.files
            if folder_of(path) == folder
        ]

    def locate(self, name: str) -> str:
        """URI of a file of this generation beside its shards, such as the report."""
        return storage.join(self.uri, inside(self.place, name))

    def owned(self) -> Iterator[str]:
        """Paths of all files that this generation needs or has written, inside the dataset."""
        yield from self.beside
        for receipt in self.receipts:
            yield from receipt.files
            if self.kind != INDEX:
                yield inside(place_of(receipt, self.place), f"{RECEIPTS}/{shard_name(receipt.shard)}.json")
        if self.kind == INDEX:  # older ones name their records and vectors only here
            for folder in INDEX_FILES:
                yield from (file["path"] for file in self.extra.get(folder, ()))

    def as_input(self) -> dict[str, Any]:
        """How a plan names this dataset as its input."""
        return {"uri": self.uri, "fingerprint": self.content_fingerprint}

    def to_json(self) -> dict[str, Any]:
        """*Pure.* Ready for JSON, `uri` left out: a dataset may be moved."""
        return {**self.head_to_json(), "receipts": [receipt.to_json() for receipt in self.receipts]}

    def head_to_json(self) -> dict[str, Any]:
        """*Pure.* The same without the receipts."""
        kept = [f.name for f in dataclasses.fields(self) if f.name not in ("uri", "news", "receipts")]
        totals = {"rows": self.rows, "shards": len(self.receipts), "rejects": self.rejects}
        return {**{name: getattr(self, name) for name in kept}, "totals": totals}


def read_manifest(uri: str, *kinds: str) -> Manifest:
    """*Driver.* The manifest of a dataset.

    Args:
        uri: the dataset's folder.
        kinds: what the caller can use; none means any.

    Raises:
        InputError: there is no dataset, an unfinished one, or one of another kind.
        DatasetError: the manifest is damaged or was written by a newer version.
    """
    uri = storage.absolute(uri)
    place = storage.join(uri, MANIFEST)
    try:
        value = storage.read_json(place)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(_why_no_dataset(uri, kinds)) from None
    if EMPTIED in value:
        raise InputError(_why_no_dataset(uri, kinds))
    manifest = parse_manifest(uri, value)
    if kinds and manifest.kind not in kinds:
        raise InputError(f"'{uri}' holds {manifest.kind}; this option needs {' or '.join(kinds)}.")
    return manifest


def parse_manifest(uri: str, value: dict[str, Any]) -> Manifest:
    """*Driver.* The manifest of the dataset `uri` from its JSON, and from the files of receipts that it names.

    Raises:
        DatasetError: it was written by a newer version.
    """
    if value.get("format_version", 0) > FORMAT_VERSION:
        raise DatasetError(f"'{uri}' was written by a newer clip-spark (format {value['format_version']}); upgrade.")
    value.pop("totals", None)
    receipts = tuple(Receipt.from_json(receipt) for receipt in value.pop("receipts"))
    parts = value.pop("receipt_parts", ())
    receipts += tuple(read_parts(uri, parts))
    unnamed = BESIDE_BEFORE_2 if value.get("format_version", 0) < 2 else ()
    beside = {**dict.fromkeys((*unnamed, *parts), 0), **value.pop("beside", {})}
    fenced = tuple(value.pop("fenced", ()))
    return Manifest(**value, receipts=receipts, uri=uri, beside=beside, fenced=fenced)


def as_inputs(name: str, manifests: Sequence[Manifest]) -> dict[str, dict[str, Any]]:
    """*Pure.* How a plan names the datasets of one option: `records`, `records-2`, ..."""
    return {name if at == 1 else f"{name}-{at}": manifest.as_input() for at, manifest in enumerate(manifests, 1)}


def empty_head(token: str, *, closed: bool) -> dict[str, Any]:
    """*Pure.* What stands in the place of a manifest so that none can be created; older versions ask for an upgrade."""
    return {"format_version": FORMAT_VERSION + 1, EMPTIED: token, "closed": closed}


def _why_no_dataset(uri: str, kinds: tuple[str, ...]) -> str:
    wanted = " or ".join(kinds) or "a dataset"
    if storage.exists(storage.join(uri, PLAN)):
        return f"'{uri}' is unfinished: its job stopped before the end. Run the same command again to finish it."
    if storage.exists(storage.join(uri, MANIFEST)):
        return f"'{uri}' holds nothing: what was begun there was cleaned away; this option needs {wanted}."
    if storage.exists(uri):
        return f"'{uri}' is not a dataset of clip-spark (no {MANIFEST}); this option needs {wanted}."
    return f"'{uri}' does not exist; this option needs {wanted}."


def folder_of(path: str) -> str:
    """*Pure.* `embeddings` for `embeddings/00000.parquet`, whatever the place of its generation."""
    parts = path.split("/")
    return parts[2] if parts[0] == GENERATIONS else parts[0]


def file_of(receipt: Receipt, folder: str) -> str:
    """*Pure.* The path of a shard's file in one folder; empty if it has none."""
    return next((path for path in receipt.files if folder_of(path) == folder), "")


def place_of(receipt: Receipt, place: str) -> str:
    """*Pure.* The place of the generation that wrote a shard: a dataset that has grown names shards of several.

    Args:
        receipt: of a manifest.
        place: of the manifest, and so of a shard that has no file.
    """
    path = next(iter(receipt.files), None)
    if path is None:
        return place
    return "/".join(path.split("/", 2)[:2]) if path.startswith(GENERATIONS + "/") else ""


def inside(place: str, path: str) -> str:
    """*Pure.* A path in the dataset of one that is relative to a generation's place."""
    return f"{place}/{path}" if place else path


def report(manifest: Manifest, driver_seconds: float, new_rows: int | None = None) -> dict[str, Any]:
    """*Pure.* Rows in and out, rejects by reason, seconds by stage (summed over tasks), rates.

    Args:
        manifest: of all shards; their figures are those of the work that made them, whenever that was.
        driver_seconds: that this run took.
        new_rows: that it wrote; None means all.
    """
    written = manifest.rows if new_rows is None else new_rows
    seconds = sum_up(receipt.seconds for receipt in manifest.receipts)
    counters = sum_up(receipt.counters for receipt in manifest.receipts)
    rejected = sum(manifest.rejects.values())
    return {
        "kind": manifest.kind,
        "rows_in": manifest.rows + rejected,
        "rows_out": manifest.rows,
        "rejects": manifest.rejects,
        "shards": len(manifest.receipts),
        "bytes": sum(sum(receipt.files.values()) for receipt in manifest.receipts),
        "seconds_by_stage": {stage: round(value, 3) for stage, value in sorted(seconds.items())},
        "counters": dict(sorted(counters.items())),
        "wall_seconds": round(driver_seconds, 3),
        "rows_per_second": round(written / driver_seconds, 1) if driver_seconds else None,
        "versions": manifest.versions,
        "created": manifest.created,
    }


def versions() -> dict[str, str]:
    """*Driver.* Versions of Python, clip-spark and the libraries that shape results, as far as installed."""
    return {"python": platform.python_version(), "clip_spark": __version__, **versions_of(VERSIONED)}


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """*Anywhere.* The version of each of these packages that is installed."""
    found = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
