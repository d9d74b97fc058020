"""*Driver.* Every dataset below some folders, in the order in which one was made of another, and their sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clip_spark import __version__, storage
from clip_spark.commands.leftovers import claimed_folders
from clip_spark.commands.report.dataset_facts import Facts, read_facts
from clip_spark.commands.report.spark_log import Application, application_table, held_table
from clip_spark.datasets.sizes import human
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError


@dataclass(frozen=True)
class Work:
    """A whole pipeline.

    Attributes:
        folders: where it was looked for.
        datasets: every one after those that it was made of.
        applications: of Spark's event log, by their start.
        prices: USD an hour of a core and of a GPU.
    """

    folders: tuple[str, ...]
    datasets: tuple[Facts, ...]
    applications: tuple[Application, ...]
    prices: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """*Pure.* All of it, with the sums, ready for JSON."""
        return {
            "clip_spark": __version__,
            "folders": list(self.folders),
            "totals": totals(self.datasets),
            "price_per_core_hour": self.prices[0],
            "price_per_gpu_hour": self.prices[1],
            "datasets": [{**asdict(one), "share": one.share} for one in self.datasets],
            "applications": [
                {name: value for name, value in asdict(one).items() if not name.startswith("_")}
                for one in self.applications
            ],
        }


def read_work(folders: Sequence[str], rates: Mapping[str, Any], applications: Sequence[Application] = ()) -> Work:
    """*Driver.* Look through folders.

    Raises:
        InputError: a folder does not exist, or holds no dataset.
    """
    found: dict[str, Facts] = {}
    for folder in folders:
        uris = sorted(set(claimed_folders(storage.absolute(folder))))
        here = [facts for facts in (read_facts(uri, rates) for uri in uris) if facts is not None]
        if not here:
            why = "holds no dataset of clip-spark" if storage.exists(folder) else "does not exist"
            raise InputError(f"'{folder}' {why}; give the folder in which a pipeline's outputs lie.")
        found |= {facts.uri: facts for facts in here}
    prices = (float(rates["price_per_core_hour"]), float(rates["price_per_gpu_hour"]))
    return Work(tuple(map(storage.absolute, folders)), tuple(in_order(found)), tuple(applications), prices)


def in_order(found: Mapping[str, Facts]) -> list[Facts]:
    """*Pure.* Each after its inputs, else by the time at which it was made; a circle is broken where it closes."""
    placed: dict[str, Facts] = {}

    def place(facts: Facts, above: frozenset[str]) -> None:
        for uri in facts.inputs:
            if uri in found and uri not in placed and uri not in above:
                place(found[uri], above | {facts.uri})
        placed.setdefault(facts.uri, facts)

    for facts in sorted(found.values(), key=lambda one: (one.created or "~", one.uri)):
        place(facts, frozenset({facts.uri}))
    return list(placed.values())


def totals(datasets: Sequence[Facts]) -> dict[str, Any]:
    """*Pure.* Sums over datasets; of rows there is none, for one row goes through many of them."""
    rejects: dict[str, int] = {}
    for one in datasets:
        for reason, number in one.rejects.items():
            rejects[reason] = rejects.get(reason, 0) + number
    return {
        "datasets": len(datasets),
        "unfinished": sum(not one.created and not one.problem for one in datasets),
        "problems": sum(bool(one.problem) for one in datasets),
        "rejects": dict(sorted(rejects.items(), key=lambda item: (-item[1], item[0]))),
        **{name: sum(getattr(one, name) for one in datasets) for name in ("shards", "bytes")},
        **{
            name: round(sum(getattr(one, name) for one in datasets), 6)
            for name in ("seconds", "core_hours", "gpu_hours", "cost")
        },
    }


def short_name(uri: str, folders: Sequence[str]) -> str:
    """*Pure.* A dataset's folder inside the one that was looked through."""
    inside = [uri[len(folder) :].strip("/") for folder in folders if uri.startswith(folder.rstrip("/") + "/")]
    return min(inside, key=len) if inside else storage.name(uri)


def tables(work: Work) -> list[Table]:
    """*Pure.* What is shown in the terminal."""
    rows: list[tuple[Any, ...]] = [
        (short_name(one.uri, work.folders), one.step or one.kind, one.rows_in, one.rows_out, sum(one.rejects.values()),
         human(one.bytes), round(one.seconds, 1), f"{one.core_hours + one.gpu_hours:.4f}", f"{one.cost:.4f}")
        for one in work.datasets
    ]  # fmt: skip
    sums = totals(work.datasets)
    hours, cost = f"{sums['core_hours'] + sums['gpu_hours']:.4f}", f"{sums['cost']:.4f}"
    rows.append(("all", "", "", "", sum(sums["rejects"].values()), human(sums["bytes"]), round(sums["seconds"], 1),
                 hours, cost))  # fmt: skip
    columns = ("dataset", "step", "rows in", "rows out", "rejected", "bytes", "seconds", "task hours", "USD")
    said = [(short_name(one.uri, work.folders), note) for one in work.datasets for note in one.told]
    reasons = [(reason, number) for reason, number in sums["rejects"].items()]
    recall = [
        (short_name(one.uri, work.folders), f"recall@{k}", value) for one in work.datasets
        for k, value in one.recall.items()
    ]  # fmt: skip
    found = [
        Table("pipeline", columns, rows),
        Table("rejects", ("reason", "rows"), reasons),
        Table("indices", ("index", "measure", "value"), recall),
        Table("notes", ("dataset", "what to know"), said),
        application_table(work.applications),
        held_table(work.applications),
    ]
    return [table for table in found if table.rows]
