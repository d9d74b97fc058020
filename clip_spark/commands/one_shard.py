"""*Driver.* `shard`: one task of a plan, run in this process into a folder of its own: for a debugger, a profiler."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clip_spark import storage
from clip_spark.commands.entry import Command, load
from clip_spark.commands.options import make_spec
from clip_spark.commands.registry import STEPS
from clip_spark.datasets.commit import read_head
from clip_spark.datasets.growth import GROWTH, TAKEN_OVER
from clip_spark.datasets.plan import Plan, differences, found_plan
from clip_spark.datasets.receipt import RECEIPTS, Receipt, shard_name
from clip_spark.datasets.tables import Table
from clip_spark.embed.task import ENCODER
from clip_spark.errors import InputError, OutputError, SpecError
from clip_spark.runtime.tasks import Planned

WITH_TASKS = {name: step for name, step in STEPS.items() if step.tasks}


@dataclass(frozen=True)
class Ran:
    """What came of it.

    Attributes:
        step: name of the step.
        receipt: of the task that ran here.
        known: the receipt of the same shard in the dataset; None where it has not been written.
    """

    step: str
    receipt: Receipt
    known: Receipt | None

    def table(self) -> Table:
        """*Pure.* The figures of both, side by side."""
        here, there = _figures(self.receipt), _figures(self.known) if self.known else {}
        rows = [(name, here.get(name), there.get(name)) for name in [*here, *(there.keys() - here.keys())]]
        return Table(f"shard {self.receipt.shard} of {self.step}", ("what", "here", "in the dataset"), rows)


def place_of(uri: str) -> str:
    """*Driver.* Where a dataset's plan and receipts lie: its folder, or that of the generation that is official."""
    uri = storage.absolute(uri)
    found = read_head(uri).manifest
    return storage.join(uri, found.place) if found and found.place else uri


def dataset_plan(uri: str) -> tuple[Plan, Command]:
    """*Driver.* The plan of a dataset, finished or not, and the step that made it.

    Raises:
        InputError: there is no plan, or its step has no tasks that could run alone.
    """
    plan = found_plan(place_of(uri))
    if plan is None:
        raise InputError(f"'{uri}' has no plan.json; give the folder of a dataset, finished or not.")
    for step in WITH_TASKS.values():
        if step.spec.endswith(f":{plan.spec['spec']}"):
            return plan, step
    raise InputError(f"The tasks of '{uri}' cannot run alone; those of {', '.join(WITH_TASKS)} can.")


def run_one(dataset: str, number: int, output: str, more: Mapping[str, Any]) -> Ran:
    """*Driver.* Plan a dataset's tasks again and run one of them, without Spark.

    Args:
        dataset: folder of a dataset, finished or not; nothing is written there.
        number: of the shard, from 0.
        output: empty folder for what the task writes.
        more: options of the step: inputs that have moved, a batch size.

    Raises:
        InputError: the inputs are not those of the plan.
        SpecError: there is no such shard.
        OutputError: the folder holds files.
    """
    dataset, output = storage.absolute(dataset), storage.absolute(output)
    plan, step = dataset_plan(dataset)
    if not 0 <= number < plan.shards:
        raise SpecError(f"'{dataset}' has shards 0 to {plan.shards - 1}; there is no shard {number}.")
    if f"{output}/".startswith(f"{dataset}/") or storage.list_files(output):
        raise OutputError(f"--output '{output}' must be an empty folder outside the dataset.")
    if (found := read_head(dataset).manifest) and {GROWTH, TAKEN_OVER} & found.extra.keys():
        raise InputError(f"'{dataset}' has grown: its tasks depend on what was there before, and cannot run alone.")
    spec = make_spec(step.spec_class, {**planned_options(plan, step), **more, "output": dataset})
    planned: Planned = load(step.tasks)(spec)
    if planned.plan.fingerprint != plan.fingerprint:
        raise InputError(f"'{dataset}' cannot be planned again: {'; '.join(differences(plan, planned.plan))}.")
    place = place_of(dataset)
    _follow_encoder(place, output)
    receipt = planned.work(output, 0)(planned.items[number])
    return Ran(step.name, receipt, _known(place, number))


def planned_options(plan: Plan, step: Command) -> dict[str, Any]:
    """*Pure.* The options that a plan remembers: those that decide the result, and the places of the inputs."""
    fields = {field.name for field in dataclasses.fields(step.spec_class)}
    content = {name: value for name, value in plan.spec.items() if name != "spec"}
    places = {name: value.get("uris", value["uri"]) for name, value in plan.inputs.items() if name in fields}
    return {**content, **places}


def _follow_encoder(place: str, output: str) -> None:
    """*Driver.* The task must use the precision that the dataset's tasks have agreed on."""
    noted = storage.join(place, ENCODER)
    if storage.exists(noted):
        storage.write_bytes(storage.join(output, ENCODER), storage.read_bytes(noted))


def _known(place: str, number: int) -> Receipt | None:
    uri = storage.join(place, RECEIPTS, f"{shard_name(number)}.json")
    return Receipt.from_json(storage.read_json(uri)) if storage.exists(uri) else None


def _figures(receipt: Receipt) -> dict[str, Any]:
    return {
        "rows": receipt.rows,
        "checksum of the ids": receipt.id_checksum,
        **{f"bytes of {name}": size for name, size in receipt.files.items()},
        **{f"rejected: {reason}": count for reason, count in receipt.rejects.items()},
        **{f"seconds: {stage}": seconds for stage, seconds in receipt.seconds.items()},
        **receipt.counters,
    }
