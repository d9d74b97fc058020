"""*Driver.* A run: from a folder taken for a plan to the commit; a second run of the same plan goes on.

<place>/plan.json       written first: what the run will do (spec, inputs, number of shards)
<place>/receipts/*.json written by tasks; pending = plan - receipts
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from clip_spark import storage
from clip_spark.datasets.apart import check_apart
from clip_spark.datasets.commit import TIME, Head, make_official, read_head, read_open_head
from clip_spark.datasets.manifest import GENERATIONS, MANIFEST, REPORT, Manifest, inside, report, versions
from clip_spark.datasets.own_files import files_of_run
from clip_spark.datasets.plan import PLAN, Plan, check_plan, differences, found_plan
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.receipt_files import ReadMany, ReceiptReader, read_many
from clip_spark.datasets.retire import collect
from clip_spark.datasets.shards import REJECTS
from clip_spark.datasets.spec import fingerprint
from clip_spark.errors import DatasetError, OutputError

Refine = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """*Driver.* One place taken for one plan; `manifest` is set when there is nothing left to do.

    Attributes:
        output: where this run's tasks write: the dataset's folder, or that of a generation which will replace another.
        head: what was official when the run began; None means nothing.
    """

    output: str
    plan: Plan
    manifest: Manifest | None
    read: ReadMany = read_many
    started: float = field(default_factory=time.time)
    head: Head | None = None

    @cached_property
    def _reader(self) -> ReceiptReader:
        return ReceiptReader(self.output, self.read)

    @property
    def place(self) -> str:
        """The folder of this generation inside the dataset; empty at the top."""
        return self.output[len(self.head.uri) + 1 :] if self.head else ""

    def pending(self) -> list[int]:
        """Numbers of the shards that have no valid receipt yet, in order."""
        done = {receipt.shard for receipt in self.receipts()}
        return [number for number in range(self.plan.shards) if number not in done]

    def receipts(self) -> list[Receipt]:
        """The valid receipts, by shard number; paths in them are relative to `output`."""
        plan = self.plan.fingerprint
        return [r for r in self._reader.read() if r.plan == plan and r.shard < self.plan.shards]

    def commit(
        self, extra: dict[str, Any] | None = None, refine: Refine | None = None, beside: Sequence[str] = ()
    ) -> Manifest:
        """Check receipts against files, write the report, make the manifest official.

        Args:
            extra: what readers of this kind of dataset need to know (the encoder of embeddings, totals by order, ...).
            refine: makes the report of this kind of dataset of the one that every dataset has.
            beside: names of files that the step may have written beside the shards.

        Raises:
            DatasetError: a shard or a file is missing, cut short, or not listed; the folder stays resumable.
            OutputError: another run was quicker; what it made official stays.
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
            created=time.strftime(TIME, time.gmtime()),
            receipts=tuple(_moved(receipt, self.place) for receipt in receipts),
            extra=extra or {},
            uri=self.head.uri if self.head else self.output,
            place=self.place,
        )
        found = report(manifest, time.time() - self.started)
        storage.write_json(storage.join(self.output, REPORT), refine(found) if refine else found)
        check_plan(self.output, self.plan.fingerprint)
        if found_plan(self.output) is None:
            raise OutputError(f"'{self.output}': the plan of this run was deleted meanwhile; nothing is committed.")
        return self._make_official(dataclasses.replace(manifest, beside=self._sizes((PLAN, REPORT, *beside))))

    def _sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Path in the dataset -> bytes of those of some files that there are."""
        uris = {inside(self.place, name): storage.join(self.output, name) for name in names}
        return {path: storage.file_size(uri) for path, uri in uris.items() if storage.exists(uri)}

    def _make_official(self, manifest: Manifest) -> Manifest:
        head = self.head or Head(manifest.uri, None, "", b"")
        try:
            manifest = make_official(head, manifest)
        except OutputError:
            found = read_head(manifest.uri).manifest
            if found is not None and (found.place, found.fingerprint) == (manifest.place, manifest.fingerprint):
                return found  # the same command, given twice: the other driver has committed these very shards
            self.abandon()
            raise
        collect(manifest)
        return manifest

    def abandon(self) -> None:
        """Take away what this run has written, so that it does not bar the next; no file of anybody else."""
        if self.place:
            storage.remove_tree(self.output)
        else:
            storage.remove_files(files_of_run(self.output))
            storage.remove_empty_folders(self.output)


def _moved(receipt: Receipt, place: str) -> Receipt:
    """*Pure.* A receipt with its paths as the manifest names them."""
    if not place:
        return receipt
    return dataclasses.replace(receipt, files={inside(place, path): size for path, size in receipt.files.items()})


def begin_run(output: str, plan: Plan, *, overwrite: bool, read: ReadMany = read_many) -> Run:
    """*Driver.* Take a place for a plan: new, resumed, or already done. Nothing is deleted.

    Args:
        output: the folder of the dataset.
        plan: what is to be done.
        overwrite: write a generation that replaces what is there when it is committed; until then that is served.
        read: reads receipts; a step of very many shards gives `tasks.read_on_executors`.

    Raises:
        OutputError: the folder holds another run, or files that clip-spark did not write, or overlaps an input.
    """
    head = read_open_head(output)
    if head.manifest is not None and head.manifest.fingerprint == plan.fingerprint and not overwrite:
        return Run(_place_of(head.manifest), plan, head.manifest, read, head=head)
    check_apart(head.uri, plan.inputs)
    place = head.uri
    if overwrite and (head.manifest is not None or found_plan(head.uri) is not None):
        _check_kind(head, plan)
        # The same command after a kill finds what it has done: the name follows from the plan and what it replaces.
        place = storage.join(head.uri, GENERATIONS, fingerprint([plan.fingerprint, head.version])[:8])
    elif head.manifest is not None:
        raise _another_run(head.uri, plan_of(head.manifest), plan)
    found = found_plan(place)
    if found is None:
        if place == head.uri:
            _refuse_foreign_files(place)
        found = _take(place, plan)
    elif found.fingerprint == plan.fingerprint:
        _claim_again(place)
    if found.fingerprint != plan.fingerprint:
        raise _another_run(place, found, plan)
    return Run(place, plan, None, read, head=head)


def finished(output: str, plan: Plan) -> Manifest | None:
    """*Driver.* What a run of the very same plan has committed, or None; takes nothing."""
    found = read_head(output).manifest
    return found if found is not None and found.fingerprint == plan.fingerprint else None


def _place_of(manifest: Manifest) -> str:
    return storage.join(manifest.uri, manifest.place) if manifest.place else manifest.uri


def plan_of(manifest: Manifest) -> Plan:
    """*Pure.* The plan that a manifest came from."""
    return Plan(manifest.kind, manifest.spec, manifest.inputs, len(manifest.receipts))


def _another_run(output: str, found: Plan, plan: Plan) -> OutputError:
    return OutputError(
        f"'{output}' holds another run: {'; '.join(differences(found, plan))}. "
        "Choose another --output, repeat the old options, or replace it with --overwrite."
    )


def _check_kind(head: Head, plan: Plan) -> None:
    if head.manifest is not None and head.manifest.kind != plan.kind:
        raise OutputError(
            f"'{head.uri}' holds {head.manifest.kind}; --overwrite replaces {plan.kind} by {plan.kind} only. "
            "Choose another --output."
        )


def _take(output: str, plan: Plan) -> Plan:
    """*Driver.* Write the plan unless another driver was quicker; returns the plan that holds the folder now."""
    text = json.dumps({**dataclasses.asdict(plan), "fingerprint": plan.fingerprint}, indent=1, ensure_ascii=False)
    storage.create_bytes(storage.join(output, PLAN), text.encode())
    return found_plan(output) or plan


def _claim_again(place: str) -> None:
    """A run that goes on after a long time does not look abandoned to `clean`."""
    uri = storage.join(place, PLAN)
    with suppress(FileNotFoundError):
        storage.write_bytes(uri, storage.read_bytes(uri))


def _refuse_foreign_files(output: str) -> None:
    files = [file for file in storage.list_files(output) if file.uri != storage.join(output, MANIFEST)]
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
