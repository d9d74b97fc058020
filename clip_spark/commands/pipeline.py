"""*Driver.* `run`: the steps of a YAML file in order, in one Spark application, each skipped when it is done.

    vars:
      work: demo-out                 # overridden by --set work=elsewhere
    steps:
      - count-ngrams: {corpus: "${work}/text", output: "${work}/counts"}
      - filter-ngrams: {counts: "${work}/counts", output: "${work}/records", top: 2000}

A step is done when its output's manifest names the same options and the same content of its inputs. Where an input has
grown the step does what is new, or all again. When options differ the run stops, and says in which; `--rebuild`
replaces what is stale instead, as make does.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clip_spark.commands.console import rows_of, was_done_before
from clip_spark.commands.entry import Command
from clip_spark.commands.options import comma_hint, make_spec, read_yaml
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.spec import one_or_more
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError, OutputError, SpecError, UserError, nearest
from clip_spark.pictures.download.report import by_status
from clip_spark.pictures.download.statuses import OK
from clip_spark.runtime.session import SessionSource

log = logging.getLogger(__name__)

VARIABLE = re.compile(r"\$\{([\w-]+)\}")
OLD_VARIABLE = re.compile(r"(?<!\$)\{([A-Za-z_][\w-]*)\}")


@dataclass(frozen=True)
class Step:
    """One entry of a pipeline: the job and its checked options."""

    job: Command
    spec: Any


@dataclass(frozen=True)
class Outcome:
    """What became of a step."""

    name: str
    manifest: Manifest
    seconds: float
    skipped: bool


def read_pipeline(uri: str, settings: Mapping[str, str], jobs: Mapping[str, Command]) -> list[Step]:
    """*Driver.* The steps of a YAML file, every option of every step checked before any runs.

    Args:
        uri: the YAML file.
        settings: values for `vars` that win over the file's.
        jobs: step name -> its entry in the registry.

    Raises:
        SpecError: an unknown step, option or variable.
    """
    value = read_yaml(uri)
    if not isinstance(value, dict) or not isinstance(value.get("steps"), list):
        raise SpecError(f"'{uri}' must have a list under 'steps:'.")
    declared = value.get("vars") or {}
    for name in settings.keys() - declared.keys():
        known = ", ".join(map(str, declared)) or "none"
        raise SpecError(f"'{uri}' has no variable '{name}'; there are: {known}.{nearest(name, declared)}")
    variables = {**declared, **settings}
    steps = [_step(uri, entry, variables, jobs) for entry in value["steps"]]
    check_kinds(steps)
    return steps


def _step(uri: str, entry: Any, variables: Mapping[str, Any], jobs: Mapping[str, Command]) -> Step:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise SpecError(f"A step in '{uri}' must be one 'name: {{options}}' pair, not {entry!r}.")
    name, options = next(iter(entry.items()))
    if name not in jobs:
        raise SpecError(f"'{uri}' names a step '{name}' that does not exist.{nearest(str(name), jobs)}")
    filled = {key: fill(item, variables) for key, item in (options or {}).items()}
    try:
        return Step(jobs[name], make_spec(jobs[name].spec_class, filled))
    except UserError as error:
        raise SpecError(f"In step {name} of '{uri}': {error}") from error


def fill(value: Any, variables: Mapping[str, Any]) -> Any:
    """*Pure.* `${name}` replaced by variables; a value that is only that becomes the variable, a list for example.

    Raises:
        SpecError: there is no such variable.
    """
    if isinstance(value, list):
        return [fill(item, variables) for item in value]
    if not isinstance(value, str):
        return value
    for name in VARIABLE.findall(value):
        if name not in variables:
            raise SpecError(f"'{value}' uses a variable '{name}' that is not under 'vars'.{nearest(name, variables)}")
    for name in OLD_VARIABLE.findall(value):
        if name in variables:
            raise SpecError(f"'{value}' has '{{{name}}}'; variables are written with a dollar: '${{{name}}}'.")
    alone = VARIABLE.fullmatch(value)
    return variables[alone[1]] if alone else VARIABLE.sub(lambda found: str(variables[found[1]]), value)


def check_kinds(steps: Sequence[Step]) -> None:
    """*Pure.* Raise SpecError where a step would read what an earlier step writes, and that is of another kind."""
    kinds: dict[str, Command] = {}
    for step in steps:
        for field in dataclasses.fields(step.spec):
            given, wanted = getattr(step.spec, field.name), field.metadata["kinds"]
            for uri in one_or_more(given) if wanted else ():
                if uri in kinds and kinds[uri].kind not in wanted:
                    raise SpecError(
                        f"{step.job.name}: --{field.name} is '{uri}', where {kinds[uri].name} writes {kinds[uri].kind};"
                        f" it needs {' or '.join(wanted)}."
                    )
        kinds[step.spec.output] = step.job


def run_pipeline(source: SessionSource, steps: list[Step], *, rebuild: bool) -> list[Outcome]:
    """*Driver.* Run the steps in order.

    Args:
        source: gives the session to steps that have work.
        steps: from `read_pipeline`.
        rebuild: replace a step's output when its options or inputs have changed, instead of stopping.
    """
    return [_run_step(source, step, rebuild) for step in steps]


def _run_step(source: SessionSource, step: Step, rebuild: bool) -> Outcome:
    started = time.time()
    try:
        manifest = step.job.run(source, step.spec)
    except OutputError as error:
        if not rebuild:
            raise OutputError(f"{step.job.name}: {error} `--rebuild` does that for every stale step.") from error
        log.info("%s: stale, building again", step.job.name)
        manifest = step.job.run(source, dataclasses.replace(step.spec, overwrite=True))
    except InputError as error:
        raise InputError(f"{step.job.name}: {error}{comma_hint(step.spec, str(error))}") from error
    outcome = Outcome(step.job.name, manifest, time.time() - started, was_done_before(manifest, started))
    verb = "already done" if outcome.skipped else f"done in {outcome.seconds:.1f} s"
    also = f" ({manifest.news})" if manifest.news else ""
    log.info("%s: %s, %s rows%s", outcome.name, verb, f"{rows_of(manifest):,}", also)
    return outcome


def outcome_table(outcomes: Sequence[Outcome]) -> Table:
    """*Pure.* One row per step."""
    rows = [
        (o.name, "skipped" if o.skipped else "done", rows_of(o.manifest), lost(o.manifest), o.seconds, o.manifest.uri)
        for o in outcomes
    ]
    return Table("steps", ("step", "state", "rows", "rejected", "seconds", "dataset"), rows)


def lost(manifest: Manifest) -> int:
    """*Pure.* Records that a step has rejected, and links that gave no picture."""
    failed = {status: count for status, count in by_status(manifest).items() if status != OK}
    return sum(manifest.rejects.values()) + (sum(failed.values()) if manifest.kind == "images" else 0)


def next_line(steps: Sequence[Step], outcomes: Sequence[Outcome]) -> str:
    """*Pure.* What to type after the last step; empty where there is nothing to say."""
    if not outcomes:
        return ""
    last = steps[-1]
    following = last.job.next_for(last.spec, shlex.quote(outcomes[-1].manifest.uri))
    return f"Next: {following}" if following else ""
