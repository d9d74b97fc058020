"""*Anywhere.* What a run will do, and the claim that it puts on its output folder."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from clip_spark import storage
from clip_spark.datasets.spec import Spec, fingerprint
from clip_spark.errors import OutputError

PLAN = "plan.json"


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
            moved = before.get("uri") != after.get("uri") and before and after
            phrases.append(
                f"the input {key} was '{before['uri']}', now '{after['uri']}'"
                if moved
                else f"the input {key} has changed since"
            )
    if not phrases and old.shards != new.shards:
        phrases.append(f"it had {old.shards} shards, now {new.shards}")
    return phrases or ["it is of another kind"]


def same_places(old: Plan, new: Plan) -> bool:
    """*Pure.* True if two plans have the same options and the same inputs by their places, whatever is there now."""
    places = [{name: value.get("uri") for name, value in plan.inputs.items()} for plan in (old, new)]
    return (old.kind, old.spec, places[0]) == (new.kind, new.spec, places[1])


def found_plan(output: str) -> Plan | None:
    place = storage.join(output, PLAN)
    if not storage.exists(place):
        return None
    value = storage.read_json(place)
    value.pop("fingerprint", None)  # for tasks, which check it before they write
    return Plan(**value)


def check_plan(output: str, plan: str) -> None:
    """*Worker.* Refuse to write into a folder that a run with --overwrite has taken since this task began.

    Raises:
        OutputError: `plan.json` there is of another plan; no retry can mend that.
    """
    with suppress(FileNotFoundError):
        found = storage.read_json(storage.join(output, PLAN)).get("fingerprint", plan)
        if found != plan:
            raise OutputError(
                f"'{output}': another run has taken over this folder; this run stops and leaves it alone."
            )
