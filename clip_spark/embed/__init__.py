"""*Driver.* The two encoding steps, and what their jobs show at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clip_spark import storage
from clip_spark.datasets.manifest import REPORT, Manifest
from clip_spark.datasets.tables import Table
from clip_spark.embed.outcome import left_out_table, rejects_table
from clip_spark.embed.pictures import embed_images
from clip_spark.embed.texts import embed_text

__all__ = ["embed_images", "embed_text", "preview"]


def preview(manifest: Manifest) -> list[Table]:
    """*Driver.* The encoder, where the time went, what was left out and what was rejected."""
    report = storage.read_json(manifest.locate(REPORT))
    found = [left_out_table(report), rejects_table(manifest)]
    return [
        encoder_table(manifest, report),
        stages_table(report),
        *(table for table in found if table.rows),
    ]


def encoder_table(manifest: Manifest, report: Mapping[str, Any]) -> Table:
    """*Pure.* What the vectors are, and what was measured that decided their precision."""
    encoder = manifest.extra["encoder"]
    rows: list[tuple[str, Any]] = [
        ("model", encoder["model"]),
        ("weights", encoder["weights_sha256"][:12]),
        ("precision", encoder["precision"]),
        ("dimensions", encoder["dim"]),
        ("modality", manifest.extra["modality"]),
    ]
    rows += [
        (f"{tower} products in {precision}, billions a second", rate)
        for tower, measured in report.get("precision_rates", {}).items()
        for precision, rate in measured.items()
    ]
    if sample := report.get("precision_sample"):
        pictures = f"{sample['pictures']} of these pictures"
        rows += [(f"{pictures} in {name}, a second", rate) for name, rate in sample["pictures_a_second"].items()]
        rows.append((f"least cosine of {pictures} in int8 to fp32", sample["cosine"]))
    rows += [
        (name.replace("_", " "), manifest.extra[name])
        for name in ("cost", "cost_per_million")
        if name in manifest.extra
    ]
    return Table("encoder", ("what", "value"), rows)


def stages_table(report: dict[str, Any]) -> Table:
    """*Pure.* Seconds of each stage, summed over tasks, longest first, and the counters."""
    stages = report["seconds_by_stage"]
    seconds = sorted(stages.items(), key=lambda item: -item[1])
    busy = [("device busy, share of the tasks' time", stages["forward"] / stages["task"])] if stages.get("task") else []
    counters = [(name.replace("_", " "), int(value)) for name, value in report["counters"].items()]
    return Table("seconds by stage, summed over tasks", ("what", "value"), [*seconds, *busy, *counters])
