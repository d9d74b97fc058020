"""*Driver.* The claim of a run on the place that it writes into, and whom it refuses."""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress

from clip_spark import storage
from clip_spark.datasets.commit import Head
from clip_spark.datasets.plan import PLAN, Plan, differences, found_plan
from clip_spark.errors import OutputError


def claimed(place: str, plan: Plan) -> str:
    """*Driver.* The place, once it holds this plan; raises OutputError if it holds another."""
    found = found_plan(place)
    if found is None:
        found = _take(place, plan)
    elif found.fingerprint == plan.fingerprint:
        _claim_again(place)
    if found.fingerprint != plan.fingerprint:
        raise another_run(place, found, plan)
    return place


def _take(place: str, plan: Plan) -> Plan:
    """*Driver.* Write the plan unless another driver was quicker; returns the plan that holds the folder now."""
    text = json.dumps({**dataclasses.asdict(plan), "fingerprint": plan.fingerprint}, indent=1, ensure_ascii=False)
    storage.create_bytes(storage.join(place, PLAN), text.encode())
    return found_plan(place) or plan


def _claim_again(place: str) -> None:
    """A run that goes on after a long time does not look abandoned to `clean`."""
    uri = storage.join(place, PLAN)
    with suppress(FileNotFoundError):
        storage.write_bytes(uri, storage.read_bytes(uri))


def another_run(output: str, found: Plan, plan: Plan) -> OutputError:
    """*Pure.* The error that says in what a run differs from the one that holds the folder."""
    return OutputError(
        f"'{output}' holds another run: {'; '.join(differences(found, plan))}. "
        "Choose another --output, repeat the old options, or replace it with --overwrite."
    )


def check_kind(head: Head, plan: Plan) -> None:
    """*Pure.* Raise OutputError if a dataset of another kind is there."""
    if head.manifest is not None and head.manifest.kind != plan.kind:
        raise OutputError(
            f"'{head.uri}' holds {head.manifest.kind}; --overwrite replaces {plan.kind} by {plan.kind} only. "
            "Choose another --output."
        )
