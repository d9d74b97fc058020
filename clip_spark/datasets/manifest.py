"""*Anywhere.* Plans, runs and manifests: what makes a folder a dataset, and a second run a resume.

<dataset>/plan.json       written first: what the run will do (spec, inputs, number of shards)
<dataset>/receipts/*.json written by tasks; pending = plan - receipts
<dataset>/report.json     written by the driver
<dataset>/manifest.json   written last; a dataset exists if and only if it does
"""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from typing import Any

from clip_spark import __version__, storage
from clip_spark.datasets.receipt_files import ReadMany, ReceiptReader, read_many, read_parts, write_parts
from clip_spark.datasets.shards import PLAN, REJECTS, Receipt, check_plan
from clip_spark.datasets.spec import Spec, fingerprint
from clip_spark.errors import DatasetError, InputError, OutputError

FORMAT_VERSION = 1
MANIFEST, REPORT = "manifest.json", "report.json"
Refine = Callable[[dict[str, Any]], dict[str, Any]]
VERSIONED = ("pyspark", "torch", "open_clip_torch", "faiss-cpu", "autofaiss", "numpy", "pyarrow", "pillow")


@dataclass(frozen=True)
class Plan:
    """What a run will do; equal plans may resume each other.

    Attributes:
        kind: what the dataset holds: counts, records, embeddings, images, index, hits, tags or map.
        spec: the options that decide the result (`Spec.content`), and the spec's class name under `spec`.
        inputs: name -> {"uri": ..., "fingerprint": ...}; the fingerprint says whether the input changed.
        shards: how many shards the tasks will write; they are numbered from 0.
    """

    kind: str
    spec: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    shards: int

    @property
    def fingerprint(self) -> str:
        """*Pure.* Of spec, shards and the inputs' contents, not of where the inputs are."""
        contents = {name: value["fingerprint"] for name, value in self.inputs.items()}
        return fingerprint([self.kind, self.spec, contents, self.shards])

    @staticmethod
    def of(kind: str, spec: Spec, inputs: dict[str, dict[str, Any]], shards: int) -> Plan:
        """*Pure.* The plan of a spec."""
        content = {"spec": type(spec).__name__, **_plain(spec.content())}
        return Plan(kind, content, inputs, shards)


def _plain(value: Any) -> Any:
    """*Pure.* Tuples to lists, so that a plan equals itself after a trip through JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True)
class Manifest:
    """A committed dataset; `uri` is where it was read from and is not stored."""

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

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(receipt.rows for receipt in self.receipts)

    @property
    def rejects(self) -> dict[str, int]:
        """Reason -> records dropped, over all shards."""
        return dict(_sum_up(receipt.rejects for receipt in self.receipts))

    @property
    def content_fingerprint(self) -> str:
        """What another step's plan remembers of this dataset: the plan, the rows and the ids."""
        return fingerprint([self.fingerprint, [[r.shard, r.rows, r.id_checksum] for r in self.receipts]])

    def files(self, folder: str) -> list[str]:
        """URIs of one folder's files in the order of the plan; shards without such a file are left out."""
        return [
            storage.join(self.uri, path)
            for receipt in self.receipts
            for path in receipt.files
            if path.startswith(folder + "/")
        ]

    def as_input(self) -> dict[str, Any]:
        """How a plan names this dataset as its input."""
        return {"uri": self.uri, "fingerprint": self.content_fingerprint}

    def to_json(self) -> dict[str, Any]:
        """*Pure.* Ready for JSON, `uri` left out: a dataset may be moved."""
        return {**self.head_to_json(), "receipts": [receipt.to_json() for receipt in self.receipts]}

    def head_to_json(self) -> dict[str, Any]:
        """*Pure.* The same without the receipts."""
        kept = [f.name for f in dataclasses.fields(self) if f.name not in ("uri", "receipts")]
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
    if not storage.exists(place):
        raise InputError(_why_no_dataset(uri, kinds))
    value = storage.read_json(place)
    if value.get("format_version", 0) > FORMAT_VERSION:
        raise DatasetError(f"'{uri}' was written by a newer clip-spark (format {value['format_version']}); upgrade.")
    if kinds and value["kind"] not in kinds:
        raise InputError(f"'{uri}' holds {value['kind']}; this option needs {' or '.join(kinds)}.")
    value.pop("totals", None)
    receipts = tuple(Receipt.from_json(receipt) for receipt in value.pop("receipts"))
    receipts += tuple(read_parts(uri, value.pop("receipt_parts", ())))
    return Manifest(**value, receipts=receipts, uri=uri)


def _why_no_dataset(uri: str, kinds: tuple[str, ...]) -> str:
    wanted = " or ".join(kinds) or "a dataset"
    if storage.exists(storage.join(uri, PLAN)):
        return f"'{uri}' is unfinished: its job stopped before the end. Run the same command again to finish it."
    if storage.exists(uri):
        return f"'{uri}' is not a dataset of clip-spark (no {MANIFEST}); this option needs {wanted}."
    return f"'{uri}' does not exist; this option needs {wanted}."


@dataclass(frozen=True)
class Run:
    """*Driver.* One output folder taken for one plan; `manifest` is set when there is nothing left to do."""

    output: str
    plan: Plan
    manifest: Manifest | None
    read: ReadMany = read_many
    started: float = field(default_factory=time.time)

    @cached_property
    def _reader(self) -> ReceiptReader:
        return ReceiptReader(self.output, self.read)

    def pending(self) -> list[int]:
        """Numbers of the shards that have no valid receipt yet, in order."""
        done = {receipt.shard for receipt in self.receipts()}
        return [number for number in range(self.plan.shards) if number not in done]

    def receipts(self) -> list[Receipt]:
        """The valid receipts, by shard number."""
        plan = self.plan.fingerprint
        return [r for r in self._reader.read() if r.plan == plan and r.shard < self.plan.shards]

    def commit(self, extra: dict[str, Any] | None = None, refine: Refine | None = None) -> Manifest:
        """Check receipts against files, write report and manifest.

        Args:
            extra: what readers of this kind of dataset need to know (the encoder of embeddings, totals by order, ...).
            refine: makes the report of this kind of dataset of the one that every dataset has.

        Raises:
            DatasetError: a shard or a file is missing, cut short, or not listed; the folder stays resumable.
        """
        receipts = self.receipts()
        _check_complete(self.plan, receipts)
        _check_files(self.output, receipts)
        manifest = Manifest(
            kind=self.plan.kind,
            fingerprint=self.plan.fingerprint,
            spec=self.plan.spec,
            inputs=self.plan.inputs,
            versions=versions(),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            receipts=tuple(receipts),
            extra=extra or {},
            uri=self.output,
        )
        found = report(manifest, time.time() - self.started)
        storage.write_json(storage.join(self.output, REPORT), refine(found) if refine else found)
        check_plan(self.output, self.plan.fingerprint)
        write_manifest(manifest)
        return manifest


def write_manifest(manifest: Manifest) -> None:
    """*Driver.* Make a dataset official; the receipts of very many shards go into files of their own first."""
    paths = write_parts(manifest.uri, manifest.receipts)
    value = {**manifest.head_to_json(), "receipts": [], "receipt_parts": paths} if paths else manifest.to_json()
    storage.write_json(storage.join(manifest.uri, MANIFEST), value)


def begin_run(output: str, plan: Plan, *, overwrite: bool, read: ReadMany = read_many) -> Run:
    """*Driver.* Take an output folder for a plan: new, resumed, or already done.

    Args:
        output: the folder.
        plan: what is to be done.
        overwrite: delete what another plan has left there.
        read: reads receipts; a step of very many shards gives `tasks.read_on_executors`.

    Raises:
        OutputError: the folder holds another run, or files that clip-spark did not write.
    """
    output = storage.absolute(output)
    found = _found_plan(output)
    if found is not None and overwrite:
        storage.remove_tree(output)
        found = None
    if found is None:
        _refuse_foreign_files(output)
        found = _take(output, plan)
    if found.fingerprint != plan.fingerprint:
        raise OutputError(
            f"'{output}' holds another run: {'; '.join(differences(found, plan))}. "
            "Choose another --output, repeat the old options, or replace it with --overwrite."
        )
    committed = storage.exists(storage.join(output, MANIFEST))
    return Run(output, plan, read_manifest(output) if committed else None, read)


def finished(output: str, plan: Plan) -> Manifest | None:
    """*Driver.* What a run of the very same plan has committed, or None; takes nothing."""
    found = _found_plan(storage.absolute(output))
    same = found is not None and found.fingerprint == plan.fingerprint
    return read_manifest(output) if same and storage.exists(storage.join(output, MANIFEST)) else None


def _take(output: str, plan: Plan) -> Plan:
    """*Driver.* Write the plan unless another driver was quicker; returns the plan that holds the folder now."""
    text = json.dumps({**dataclasses.asdict(plan), "fingerprint": plan.fingerprint}, indent=1, ensure_ascii=False)
    storage.create_bytes(storage.join(output, PLAN), text.encode())
    return _found_plan(output) or plan


def _found_plan(output: str) -> Plan | None:
    place = storage.join(output, PLAN)
    if not storage.exists(place):
        return None
    value = storage.read_json(place)
    value.pop("fingerprint", None)  # for tasks, which check it before they write
    return Plan(**value)


def _refuse_foreign_files(output: str) -> None:
    files = storage.list_files(output)
    if files:
        raise OutputError(
            f"'{output}' already holds {len(files)} files that clip-spark did not plan (such as "
            f"'{storage.name(files[0].uri)}'); it deletes only what it wrote. Choose another --output."
        )


def differences(old: Plan, new: Plan) -> list[str]:
    """*Pure.* One phrase for each thing in which two plans differ."""
    phrases = []
    for key in sorted(old.spec.keys() | new.spec.keys()):
        before, after = old.spec.get(key), new.spec.get(key)
        if before != after:
            phrases.append(f"{key.replace('_', '-')} was {before!r}, now {after!r}")
    for key in sorted(old.inputs.keys() | new.inputs.keys()):
        before, after = old.inputs.get(key, {}), new.inputs.get(key, {})
        if before.get("fingerprint") != after.get("fingerprint"):
            phrases.append(f"the input {key} has changed since")
    if not phrases and old.shards != new.shards:
        phrases.append(f"it had {old.shards} shards, now {new.shards}")
    return phrases or ["it is of another kind"]


def _check_complete(plan: Plan, receipts: list[Receipt]) -> None:
    missing = sorted(set(range(plan.shards)) - {receipt.shard for receipt in receipts})
    if missing:
        raise DatasetError(f"{len(missing)} of {plan.shards} shards are missing, the first is {missing[0]}; run again.")


def _check_files(output: str, receipts: list[Receipt]) -> None:
    """*Driver.* The folders that receipts name hold exactly the files that receipts name, with their sizes."""
    folders = {path.split("/", 1)[0] for receipt in receipts for path in receipt.files} | {REJECTS}

    def check(folder: str) -> str:
        wanted = {
            path: size for receipt in receipts for path, size in receipt.files.items() if path.startswith(folder + "/")
        }
        return _first_odd(wanted, storage.iter_files(storage.join(output, folder)), folder)

    with ThreadPoolExecutor(len(folders)) as pool:  # a store lists 1,000 files at a time, and each page takes its time
        for odd in filter(None, pool.map(check, sorted(folders))):
            raise DatasetError(
                f"'{storage.join(output, odd)}' is missing, cut short or not listed by any receipt; use --overwrite."
            )


def _first_odd(wanted: dict[str, int], found: Iterable[storage.FileInfo], folder: str) -> str:
    """*Pure.* A path that is not as wanted, or an empty string; empties `wanted`."""
    for file in found:
        path = f"{folder}/{storage.name(file.uri)}"
        if wanted.pop(path, None) != file.bytes:
            return path
    return next(iter(wanted), "")


def report(manifest: Manifest, driver_seconds: float) -> dict[str, Any]:
    """*Pure.* Rows in and out, rejects by reason, seconds by stage (summed over tasks), rates."""
    seconds = _sum_up(receipt.seconds for receipt in manifest.receipts)
    counters = _sum_up(receipt.counters for receipt in manifest.receipts)
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
        "rows_per_second": round(manifest.rows / driver_seconds, 1) if driver_seconds else None,
        "versions": manifest.versions,
        "created": manifest.created,
    }


def _sum_up(values: Iterable[Mapping[str, Any]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for value in values:
        total.update(value)
    return total


def versions() -> dict[str, str]:
    """*Driver.* Versions of Python, clip-spark and the libraries that shape results, as far as installed."""
    found = {"python": platform.python_version(), "clip_spark": __version__}
    for package in VERSIONED:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
