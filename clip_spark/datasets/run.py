"""*Driver.* A run: from a folder taken for a plan to the commit; a second run of the same plan goes on.

<dataset>/plan.json       written first: what the run will do (spec, inputs, number of shards)
<dataset>/receipts/*.json written by tasks; pending = plan - receipts
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from clip_spark import storage
from clip_spark.datasets.manifest import MANIFEST, REPORT, Manifest, read_manifest, report, versions, write_manifest
from clip_spark.datasets.plan import PLAN, Plan, check_plan, differences, found_plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.receipt_files import ReadMany, ReceiptReader, read_many
from clip_spark.datasets.shards import REJECTS
from clip_spark.errors import DatasetError, OutputError

Refine = Callable[[dict[str, Any]], dict[str, Any]]


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
    found = found_plan(output)
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
    found = found_plan(storage.absolute(output))
    same = found is not None and found.fingerprint == plan.fingerprint
    return read_manifest(output) if same and storage.exists(storage.join(output, MANIFEST)) else None


def _take(output: str, plan: Plan) -> Plan:
    """*Driver.* Write the plan unless another driver was quicker; returns the plan that holds the folder now."""
    text = json.dumps({**dataclasses.asdict(plan), "fingerprint": plan.fingerprint}, indent=1, ensure_ascii=False)
    storage.create_bytes(storage.join(output, PLAN), text.encode())
    return found_plan(output) or plan


def _refuse_foreign_files(output: str) -> None:
    files = storage.list_files(output)
    if files:
        raise OutputError(
            f"'{output}' already holds {len(files)} files that clip-spark did not plan (such as "
            f"'{storage.name(files[0].uri)}'); it deletes only what it wrote. Choose another --output."
        )


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
