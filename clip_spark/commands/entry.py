"""*Driver.* What the registry says of one command; strings name code, so that knowing a command imports nothing."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clip_spark.datasets.manifest import Manifest


@dataclass(frozen=True)
class Command:
    """One command, as `clip-spark --help`, `jobs/`, `run`, `submit` and the README know it.

    Attributes:
        name: the subcommand, such as `count-ngrams`; its job file is `jobs/count_ngrams.py`.
        group: the heading in `clip-spark --help`.
        takes: what it reads, in words.
        gives: what comes out, in words.
        spec: `module:Class` whose fields are the options; empty where the job file has a parser of its own.
        step: `module:function`, called with (SessionSource, spec), returns a Manifest; empty where there is none.
        kind: of the dataset that a step writes.
        tasks: `module:function`, called with the spec, returns `tasks.Planned`: tasks that can run alone; see `shard`.
        preview: `module:function`, called with the Manifest, returns tables to show; empty shows only the overview.
        examples: (what it does, command line) pairs for `--help`.
        next_command: a command to type next; `{output}` and the spec's other fields are filled in.
        next_with: an option, and the command to type next where it is given.
        words: the option that words without an option's name are, such as the query of `search`; empty takes none.
        spark: whether it takes a Spark master and settings.
        page: page of the documentation, such as `docs/ngrams.md`.
    """

    name: str
    group: str
    takes: str
    gives: str
    spec: str = ""
    step: str = ""
    kind: str = ""
    tasks: str = ""
    preview: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    next_command: str = ""
    next_with: tuple[str, str] = ("", "")
    words: str = ""
    spark: bool = True
    page: str = ""

    @property
    def help(self) -> str:
        """*Pure.* One line for `clip-spark --help`."""
        return f"{self.takes} -> {self.gives}".replace("`", "")

    @property
    def prog(self) -> str:
        """*Pure.* What a user types."""
        return f"clip-spark {self.name}"

    @property
    def module(self) -> str:
        """*Pure.* The job file as a module."""
        return f"clip_spark.jobs.{self.name.replace('-', '_')}"

    @property
    def spec_class(self) -> type[Any]:
        """*Driver.* The class whose fields are the options."""
        return load(self.spec)

    def next_for(self, spec: Any, output: str) -> str:
        """*Pure.* The command to type next after a run of a spec into a folder, quoted; empty for none."""
        option, command = self.next_with
        chosen = command if option and getattr(spec, option) else self.next_command
        return chosen.format(output=output)

    def run(self, source: Any, spec: Any) -> Manifest:
        """*Driver.* Do the work of a step; Spark's page shows every stage of it under the step's name."""
        from clip_spark.runtime.session import LateSession, name_jobs

        def named() -> Any:
            spark = source()
            name_jobs(spark, self.name, self.prog)
            return spark

        late = isinstance(source, LateSession)  # it stays one: a step may ask whether Spark would be started at all
        return load(self.step)(replace(source, jobs=(self.name, self.prog)) if late else named, spec)


def load(name: str) -> Any:
    """*Driver.* The function or class that `module:name` names."""
    module, _, inside = name.partition(":")
    return getattr(importlib.import_module(module), inside)
