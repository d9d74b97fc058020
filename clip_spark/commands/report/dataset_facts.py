"""*Driver.* What one dataset says of itself: rows, rejects, seconds, bytes, recall, cost; and whether it is stale."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from clip_spark import storage
from clip_spark.commands.console import rows_of
from clip_spark.commands.registry import COMMANDS
from clip_spark.datasets.commit import read_head
from clip_spark.datasets.manifest import INDEX, REPORT, Manifest
from clip_spark.datasets.plan import found_plan
from clip_spark.embed.task import GPU_MS
from clip_spark.errors import ClipSparkError
from clip_spark.index.files.layout import index_info

WHOLE_TASK, DRIVER_STAGES = "task", ("session",)
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One dataset of a report.

    Attributes:
        uri: its folder.
        kind: as in the manifest.
        step: the command that made it; empty where no command of this version has such options.
        created: when it became official, ISO 8601; empty: it never has.
        rows_in: what the step looked at.
        rows_out: what came of it; of an index without what was taken down.
        rejects: reason -> rows; of a download status -> links that gave no picture.
        shards: files of each folder.
        bytes: of all files of this generation.
        seconds: of the last run that worked on it, by the clock.
        stages: stage -> seconds, summed over tasks.
        core_hours: tasks held cores for so long, as far as they measure it.
        gpu_hours: tasks held GPUs for so long; not part of `core_hours`.
        cost: of both by the rates.
        model: of embeddings and indices.
        recall: k -> share of the true nearest k that a search finds, as the build measured it.
        notes: sentences that a person should read.
        inputs: URIs of the datasets and folders that it was made of.
        problem: why its report cannot be read; empty where it can.
    """

    uri: str
    kind: str
    step: str = ""
    created: str = ""
    rows_in: int = 0
    rows_out: int = 0
    rejects: Mapping[str, int] = field(default_factory=dict)
    shards: int = 0
    bytes: int = 0
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    core_hours: float = 0.0
    gpu_hours: float = 0.0
    cost: float = 0.0
    model: str = ""
    recall: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    problem: str = ""

    @property
    def told(self) -> tuple[str, ...]:
        """*Pure.* All sentences that a person should read."""
        return (*self.notes, self.problem) if self.problem else self.notes

    @property
    def share(self) -> float | None:
        """*Pure.* Of the rows that came in, those that came out; None where a step makes other rows of them."""
        if not self.rows_in or self.rows_out + sum(self.rejects.values()) != self.rows_in:
            return None
        return self.rows_out / self.rows_in


def read_facts(uri: str, rates: Mapping[str, Any]) -> Facts | None:
    """*Driver.* The facts of a folder with a manifest or a claim; None if neither is ours.

    A dataset that cannot be read is told as a problem: a report of many must not end with one.
    """
    try:
        head = read_head(uri)
        if head.manifest is not None:
            return _committed(head.manifest, rates)
        plan = found_plan(uri)
    except (ClipSparkError, OSError, KeyError, TypeError, ValueError) as error:
        return Facts(uri=storage.absolute(uri), kind="?", problem=str(error))
    if plan is None:
        return None
    return Facts(
        uri=head.uri,
        kind=plan.kind,
        step=step_of(plan.kind, plan.spec),
        inputs=tuple(one["uri"] for one in plan.inputs.values()),
        notes=("it is unfinished: its command, once more, goes on from where it stopped",),
    )


def _committed(manifest: Manifest, rates: Mapping[str, Any]) -> Facts:
    report = storage.read_json(manifest.locate(REPORT))
    stages, counters = report["seconds_by_stage"], report.get("counters", {})
    gpu = counters.get(GPU_MS, 0) / 1000 / HOUR
    cores = max(0.0, task_seconds(stages) / HOUR - gpu)
    encoder, live = manifest.extra.get("encoder") or {}, rows_of(manifest)
    return Facts(
        uri=manifest.uri,
        kind=manifest.kind,
        step=step_of(manifest.kind, manifest.spec),
        created=manifest.created,
        rows_in=report["rows_in"],
        rows_out=live if manifest.kind == INDEX else report["rows_out"],
        rejects=_rejects(manifest, report),
        shards=len(manifest.receipts),
        bytes=_bytes(manifest),
        seconds=report["wall_seconds"],
        stages=stages,
        core_hours=cores,
        gpu_hours=gpu,
        cost=cores * rates["price_per_core_hour"] + gpu * rates["price_per_gpu_hour"],
        model=encoder.get("model", ""),
        recall=_recall(manifest),
        notes=tuple(_notes(manifest, report, manifest.rows - live)),
        inputs=tuple(one["uri"] for one in manifest.inputs.values()),
    )


def step_of(kind: str, spec: Mapping[str, Any]) -> str:
    """*Driver.* The command whose options these are."""
    wanted = str(spec.get("spec", ""))
    named = (one for one in COMMANDS.values() if one.kind == kind and one.spec.endswith(f":{wanted}"))
    return next((one.name for one in named), "")


def task_seconds(stages: Mapping[str, float]) -> float:
    """*Pure.* How long tasks ran: `task` is the whole of one, inside which stages overlap; else they are added up."""
    if WHOLE_TASK in stages:
        return stages[WHOLE_TASK]
    return sum(value for stage, value in stages.items() if stage not in DRIVER_STAGES)


def _rejects(manifest: Manifest, report: Mapping[str, Any]) -> dict[str, int]:
    """Of a download what became of links without a picture: they are rows of the dataset, not rejects."""
    statuses = {name: n for name, n in report.get("by_status", {}).items() if name != "ok"}
    return {**manifest.rejects, **statuses}


def _bytes(manifest: Manifest) -> int:
    """All files that the manifest names; those of an index are named by its receipts and beside."""
    return sum(manifest.beside.values()) + sum(sum(receipt.files.values()) for receipt in manifest.receipts)


def _recall(manifest: Manifest) -> dict[str, float]:
    if manifest.kind != INDEX:
        return {}
    return {str(k): recall for k, recall in index_info(manifest).recalls.items()}


def _notes(manifest: Manifest, report: Mapping[str, Any], taken: int) -> list[str]:
    stale = [uri for uri in map(_changed, manifest.inputs.values()) if uri]
    return [
        *(f"stale: '{uri}' has changed since" for uri in stale),
        *([f"{taken:,} of its rows are taken down"] if taken else []),
        *([f"done again: {report['done_again']}"] if report.get("done_again") else []),
        *([f"{len(manifest.replaced)} replaced generations wait to be deleted"] if manifest.replaced else []),
        *([f"{len(report['left_out'])} kinds of files were left out"] if report.get("left_out") else []),
        *([f"computed in {report['precision']}"] if report.get("precision") else []),
    ]


def _changed(named: Mapping[str, Any]) -> str:
    """The URI of an input that is a dataset of ours and has another content by now; else empty."""
    with suppress(ClipSparkError, OSError, KeyError, TypeError, ValueError):
        now = read_head(named["uri"]).manifest
        if now is not None and now.content_fingerprint != named["fingerprint"]:
            return str(named["uri"])
    return ""
