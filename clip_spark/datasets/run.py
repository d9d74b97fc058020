"""*Driver.* A run: from a folder taken for a plan to the commit; a second run of the same plan goes on.

<place>/plan.json       written first: what the run will do (spec, inputs, number of shards)
<place>/receipts/*.json written by tasks; pending = plan - receipts
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from clip_spark import storage
from clip_spark.datasets.apart import check_apart
from clip_spark.datasets.check_files import check_complete, check_files, check_kept
from clip_spark.datasets.claim import another_run, check_kind, claimed
from clip_spark.datasets.commit import TIME, Head, lost_to, make_official, read_head, read_open_head
from clip_spark.datasets.growth import GROWTH, AllAgain, Grow, Growth, told
from clip_spark.datasets.manifest import GENERATIONS, REPORT, Manifest, inside, report, versions
from clip_spark.datasets.own_files import check_known, files_of_run
from clip_spark.datasets.plan import PLAN, Plan, check_plan, differences, found_plan, same_places
from clip_spark.datasets.receipt import Receipt
from clip_spark.datasets.receipt_files import ReadMany, ReceiptReader, read_many
from clip_spark.datasets.retire import collect
from clip_spark.datasets.sources import SOURCES, write_sources
from clip_spark.datasets.spec import fingerprint
from clip_spark.datasets.taken_over import find_finished
from clip_spark.datasets.unfinished import claimable, drop_superseded
from clip_spark.errors import OutputError

log = logging.getLogger(__name__)

AGAIN = "done_again"
"""In a report: why all of the work was done again, though a generation of it was finished."""
Refine = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Run:
    """*Driver.* One place taken for one plan; `manifest` is set when there is nothing left to do.

    Attributes:
        output: where this run's tasks write: the dataset's folder, or that of a generation which will replace another.
        head: what was official when the run began; None means nothing.
        growth: what it takes over from there; None if it does all of the plan.
        again: why it does all of it again, of a dataset that was finished; empty otherwise.
    """

    output: str
    plan: Plan
    manifest: Manifest | None
    read: ReadMany = read_many
    started: float = field(default_factory=time.time)
    head: Head | None = None
    growth: Growth | None = None
    again: str = ""

    @cached_property
    def _reader(self) -> ReceiptReader:
        return ReceiptReader(self.output, self.read)

    @property
    def place(self) -> str:
        """The folder of this generation inside the dataset; empty at the top."""
        return self.output[len(self.head.uri) + 1 :] if self.head else ""

    @property
    def grown_from(self) -> Manifest | None:
        """The generation from which this one takes shards; None if it does all of its plan."""
        return self.head.manifest if self.growth and self.head else None

    @property
    def numbers(self) -> Sequence[int]:
        """Of the shards that this run writes, in order."""
        return self.growth.numbers if self.growth else range(self.plan.shards)

    def todo(self, planned: Sequence[Any]) -> list[Any]:
        """What the tasks of the pending shards get: of the growth, or of what was planned for all shards."""
        items = {item.number: item for item in self.growth.items} if self.growth else dict(enumerate(planned))
        return [items[number] for number in self.pending()]

    def pending(self) -> list[int]:
        """Numbers of the shards that have no valid receipt yet, in order."""
        done = {receipt.shard for receipt in self.receipts()}
        return [number for number in self.numbers if number not in done]

    def receipts(self) -> list[Receipt]:
        """The valid receipts, by shard number; paths in them are relative to `output`."""
        plan, wanted = self.plan.fingerprint, set(self.numbers)
        return [r for r in self._reader.read() if r.plan == plan and r.shard in wanted]

    def committed_elsewhere(self) -> Manifest | None:
        """What another driver of the very same command has committed since this run began, out of these shards."""
        found = read_head(self.head.uri).manifest if self.head else None
        mine = found is not None and (found.place, found.fingerprint) == (self.place, self.plan.fingerprint)
        return found if mine else None

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
        if (done := self.committed_elsewhere()) is not None:  # its report is official
            return done
        if found_plan(self.output) is None:
            raise OutputError(self.why_deleted())
        receipts = self.receipts()
        check_complete(self.numbers, receipts)
        check_files(self.output, receipts)
        kept = self._kept()
        manifest = Manifest(
            kind=self.plan.kind,
            fingerprint=self.plan.fingerprint,
            spec=self.plan.spec,
            inputs=self.plan.inputs,
            versions=versions(),
            created=time.strftime(TIME, time.gmtime()),
            receipts=_in_order([*kept, *(_moved(receipt, self.place) for receipt in receipts)]),
            extra={**(extra or {}), **self._figures(receipts)},
            uri=self.head.uri if self.head else self.output,
            place=self.place,
        )
        new_rows = sum(receipt.rows for receipt in receipts)
        found = {**report(manifest, time.time() - self.started, new_rows), **self._figures(receipts)}
        found |= {AGAIN: self.again} if self.again else {}
        storage.write_json(storage.join(self.output, REPORT), refine(found) if refine else found)
        check_plan(self.output, self.plan.fingerprint)
        beside = (PLAN, REPORT, SOURCES, *beside)
        check_known(beside)
        official = self._make_official(dataclasses.replace(manifest, beside=self._sizes(beside)))
        return dataclasses.replace(official, news=self.again or told(official.extra.get(GROWTH, {})))

    def why_deleted(self) -> str:
        """Give up; gives the reason: another writer was quicker, or `clean` took this run for dead."""
        self.abandon()
        if self.head and self.head.manifest is None and (now := read_head(self.head.uri)).manifest is not None:
            return lost_to(now)
        return f"'{self.output}': the plan of this run was deleted meanwhile; nothing is committed."

    def _kept(self) -> Sequence[Receipt]:
        """The receipts of shards that stay, the files of which are all there."""
        if self.growth is None or self.head is None:
            return ()
        check_kept(self.head.uri, self.growth.kept)
        return self.growth.kept

    def _figures(self, receipts: list[Receipt]) -> dict[str, Any]:
        if self.growth is None:
            return {}
        grown = {GROWTH: self.growth.figures(receipts)} if self.grown_from else {}
        return {**grown, **self.growth.taken_over()}

    def _sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Path in the dataset -> bytes of those of some files that there are."""
        uris = {inside(self.place, name): storage.join(self.output, name) for name in names}
        return {path: storage.file_size(uri) for path, uri in uris.items() if storage.exists(uri)}

    def _make_official(self, manifest: Manifest) -> Manifest:
        head = self.head or Head(manifest.uri, None, "", b"")
        try:
            manifest = make_official(head, manifest)
        except OutputError:
            if (done := self.committed_elsewhere()) is not None:
                return done
            self.abandon()
            raise
        collect(manifest)
        if head.manifest is None and self.place:
            drop_superseded(head.uri)
        return manifest

    def abandon(self) -> None:
        """Take away what this run has written, so that it does not bar the next; no file of anybody else."""
        if self.place:
            storage.remove_tree(self.output)
        else:
            storage.remove_files(files_of_run(self.output))
            storage.remove_empty_folders(self.output)


def _in_order(receipts: list[Receipt]) -> tuple[Receipt, ...]:
    return tuple(sorted(receipts, key=lambda receipt: receipt.shard))


def _moved(receipt: Receipt, place: str) -> Receipt:
    """*Pure.* A receipt with its paths as the manifest names them."""
    if not place:
        return receipt
    return dataclasses.replace(receipt, files={inside(place, path): size for path, size in receipt.files.items()})


def begin_run(
    output: str,
    plan: Plan,
    *,
    overwrite: bool,
    read: ReadMany = read_many,
    grow: Grow | None = None,
    prune: bool = False,
) -> Run:
    """*Driver.* Take a place for a plan: new, resumed, grown, or already done. Nothing is deleted.

    The same options with inputs that have changed make a new generation, also where the first was never finished. A
    step that can grow does what is new there; any other does all of it again, if its inputs are the datasets that they
    were.

    Args:
        output: the folder of the dataset.
        plan: what is to be done, all of it.
        overwrite: write a generation that replaces what is there when it is committed; until then that is served.
        read: reads receipts; a step of very many shards gives `tasks.read_on_executors`.
        grow: finds what is new; raises OutputError if the input is another one.
        prune: take out what vanished, and do again what changed.

    Raises:
        OutputError: the folder holds another run, or files that clip-spark did not write, or overlaps an input.
    """
    head = read_open_head(output)
    same = head.manifest is not None and head.manifest.fingerprint == plan.fingerprint
    if head.manifest is not None and same and not overwrite and not (prune and grow):
        return Run(_place_of(head.manifest), plan, _with_news(head.manifest), read, head=head)
    check_apart(head.uri, plan.inputs)
    before = plan_of(head.manifest) if head.manifest else found_plan(head.uri)
    if overwrite or before is None or (head.manifest is None and before.fingerprint == plan.fingerprint):
        return _whole_run(head, plan, overwrite, read)
    if grow is not None and _may_grow(head, before, plan):
        growth = grow(head.manifest, find_finished(head, plan, read))
        if isinstance(growth, AllAgain):
            return _again(head, plan, growth.why, read)
        if growth is not None:
            return _grown_run(head, plan, growth, read)
    if same_places(before, plan):
        return _again(head, plan, f"{'; '.join(differences(before, plan))}; all of it is done again", read)
    raise another_run(head.uri, before, plan)


def _may_grow(head: Head, before: Plan, plan: Plan) -> bool:
    """*Pure.* True if what is there may have been made of the same input; a run that was not finished cannot tell."""
    return (before.kind, before.spec) == (plan.kind, plan.spec) if head.manifest else same_places(before, plan)


def _whole_run(head: Head, plan: Plan, overwrite: bool, read: ReadMany) -> Run:
    """*Driver.* All of a plan: at the top of the folder, or aside where something is to be replaced."""
    place = head.uri
    if overwrite and (head.manifest is not None or found_plan(head.uri) is not None):
        check_kind(head, plan)
        # The same command after a kill finds what it has done: the name follows from the plan and what it replaces.
        place = storage.join(head.uri, GENERATIONS, fingerprint([plan.fingerprint, head.version])[:8])
    else:
        head = claimable(head)
    return Run(claimed(place, plan), plan, None, read, head=head)


def _again(head: Head, plan: Plan, why: str, read: ReadMany) -> Run:
    """*Driver.* All of a plan aside, for a reason that is told now, at the end and in the report."""
    log.info("'%s': %s", head.uri, why)
    run = _whole_run(head, plan, True, read)
    return dataclasses.replace(run, again=why) if head.manifest is not None else run


def _grown_run(head: Head, plan: Plan, growth: Growth, read: ReadMany) -> Run:
    """*Driver.* What is new of a plan, aside; or nothing, if the dataset stays as it is."""
    if head.manifest is not None and growth.is_idle(head.manifest):
        news = told(growth.figures())
        manifest = dataclasses.replace(head.manifest, news=news)
        return Run(_place_of(manifest), plan, manifest, read, head=head)
    if growth.copied:
        log.info("'%s': runs that were not finished had done %s shards of it; they are taken over", head.uri,
                 f"{len(growth.copied):,}")  # fmt: skip
    content = [plan.fingerprint, head.version, growth.numbers, [r.shard for r in growth.kept]]
    content += [[item.place, item.receipt.shard] for item in growth.copied]
    place = claimed(storage.join(head.uri, GENERATIONS, fingerprint(content)[:8]), plan)
    if growth.sources is not None:
        write_sources(place, growth.sources)
    return Run(place, plan, None, read, head=head, growth=growth)


def _with_news(manifest: Manifest) -> Manifest:
    """*Pure.* Nothing was done now; what an earlier run kept although it is gone is told again."""
    figures = {**manifest.extra.get(GROWTH, {}), "new_rows": 0}
    return manifest if figures.get("pruned") else dataclasses.replace(manifest, news=told(figures))


def finished(output: str, plan: Plan) -> Manifest | None:
    """*Driver.* What a run of the very same plan has committed, or None; takes nothing."""
    found = read_head(output).manifest
    return found if found is not None and found.fingerprint == plan.fingerprint else None


def _place_of(manifest: Manifest) -> str:
    return storage.join(manifest.uri, manifest.place) if manifest.place else manifest.uri


def plan_of(manifest: Manifest) -> Plan:
    """*Pure.* The plan that a manifest came from."""
    return Plan(manifest.kind, manifest.spec, manifest.inputs, len(manifest.receipts))
