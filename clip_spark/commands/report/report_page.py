"""*Driver.* The report of a pipeline as one HTML page that stands alone and opens from a disk."""

from __future__ import annotations

from clip_spark.commands.report.dataset_facts import Facts
from clip_spark.commands.report.spark_log import application_table, held_table
from clip_spark.commands.report.work import Work, short_name, totals
from clip_spark.datasets.html_page import Markup, bar, heading, page, paragraph, table
from clip_spark.datasets.sizes import human

LEAST_SHARE = 0.01
"""Of the longest stage of all; shorter ones are not drawn."""


def report_page(work: Work) -> str:
    """*Pure.* The page of a report; names, reasons and sentences are escaped."""
    sums = totals(work.datasets)
    return page(
        "Pipeline",
        [
            heading(f"{sums['datasets']:,} datasets, {human(sums['bytes'])}", 1),
            paragraph(_summary(work)),
            _datasets(work),
            _time(work),
            _rejects(work),
            _recall(work),
            _notes(work),
            _spark(work),
        ],
    )


def _summary(work: Work) -> str:
    sums = totals(work.datasets)
    hours = f"Tasks held cores for {sums['core_hours']:.4g} hours and GPUs for {sums['gpu_hours']:.4g}"
    price = f"{sums['cost']:.4g} USD at {work.prices[0]:g} an hour of a core and {work.prices[1]:g} of a GPU"
    state = f" {sums['unfinished']} are unfinished." if sums["unfinished"] else ""
    return f"{hours}: {price}. Figures are those of the runs that made what is official now.{state}"


def _datasets(work: Work) -> str:
    rows = [
        (short_name(one.uri, work.folders), one.step or one.kind, one.rows_in, one.rows_out, _share(one),
         human(one.bytes), round(one.seconds, 1), round(one.core_hours, 4), round(one.gpu_hours, 4),
         round(one.cost, 4), one.created[:16].replace("T", " "))
        for one in work.datasets
    ]  # fmt: skip
    columns = ("dataset", "step", "rows in", "rows out", "kept", "size", "seconds", "core h", "GPU h", "USD", "made")
    return heading("Datasets") + table(columns, rows)


def _share(one: Facts) -> Markup | None:
    if one.share is None:
        return None
    lost = one.rows_in - one.rows_out
    parts = [("ok", one.rows_out, f"{one.rows_out:,} kept"), ("failed", lost, f"{lost:,} rejected")]
    return Markup(f"{bar(parts, one.rows_in, 120)} {one.share:.2%}")


def _time(work: Work) -> str:
    longest = max((seconds for one in work.datasets for seconds in one.stages.values()), default=0.0)
    rows = [
        (short_name(one.uri, work.folders), stage, round(seconds, 2), bar([("bin", seconds, "")], longest))
        for one in work.datasets
        for stage, seconds in sorted(one.stages.items(), key=lambda item: -item[1])
        if seconds > longest * LEAST_SHARE
    ]
    note = paragraph("Seconds of all tasks together. Stages inside a `task` overlap; `session` is the driver's.", True)
    return heading("Where the time went") + note + table(("dataset", "stage", "seconds", ""), rows) if rows else ""


def _rejects(work: Work) -> str:
    rows = [
        (short_name(one.uri, work.folders), reason, number, f"{number / one.rows_in:.2%}" if one.rows_in else "",
         bar([("failed", number, "")], one.rows_in))
        for one in work.datasets
        for reason, number in sorted(one.rejects.items(), key=lambda item: -item[1])
    ]  # fmt: skip
    if not rows:
        return heading("Rejects") + paragraph("None: every row that came in came out.")
    return heading("Rejects") + table(("dataset", "reason", "rows", "share", ""), rows)


def _recall(work: Work) -> str:
    rows = [
        (short_name(one.uri, work.folders), one.model, f"recall@{k}", value, bar([("ok", value, "")], 1.0))
        for one in work.datasets
        for k, value in one.recall.items()
    ]
    return heading("Indices") + table(("index", "model", "measured", "value", ""), rows) if rows else ""


def _notes(work: Work) -> str:
    rows = [(short_name(one.uri, work.folders), note) for one in work.datasets for note in one.told]
    return heading("What to know") + table(("dataset", ""), rows) if rows else ""


def _spark(work: Work) -> str:
    if not work.applications:
        return ""
    held, steps = held_table(work.applications), application_table(work.applications)
    return heading("Spark") + table(held.columns, held.rows) + table(steps.columns, steps.rows)
