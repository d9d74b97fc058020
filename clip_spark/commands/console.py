"""*Driver.* What all commands share: parse, run, report, and turn errors into one sentence and an exit status.

The only module of the library that prints. Tables go to stdout, everything else to stderr.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from clip_spark import storage
from clip_spark.commands.options import RunOptions, parse_spec
from clip_spark.datasets import tables as reports
from clip_spark.datasets.manifest import REPORT, Manifest
from clip_spark.datasets.tables import Table
from clip_spark.errors import ClipSparkError
from clip_spark.runtime.session import session_source

INTERRUPTED = 130


@dataclass(frozen=True)
class Job:
    """A step as a command; strings name functions, so that a job file imports nothing heavy.

    Attributes:
        name: the subcommand, such as `count-ngrams`.
        spec: the Spec class whose fields are the options.
        step: `module:function`, called with (SessionSource, spec), returns a Manifest.
        preview: `module:function`, called with the Manifest, returns tables to show; empty shows only the overview.
        examples: (what it does, command line) pairs for `--help`.
        next_command: a command to type next; `{output}` and the spec's other fields are filled in.
    """

    name: str
    spec: type[Any]
    step: str
    preview: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    next_command: str = ""

    def run(self, source: Any, spec: Any) -> Manifest:
        """*Driver.* Do the work; Spark's page shows every stage of it under the step's name."""

        def named() -> Any:
            spark = source()
            spark.sparkContext.setJobGroup(self.name, f"clip-spark {self.name}", interruptOnCancel=True)
            return spark

        return load(self.step)(named, spec)


def load(name: str) -> Callable[..., Any]:
    """*Driver.* The function that `module:function` names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def job_main(job: Job, argv: Sequence[str] | None = None) -> int:
    """*Driver.* The whole of a job file: parse -> spec -> step -> report.

    Returns:
        0 done, 1 failed, 2 the user's mistake, 130 interrupted.
    """

    def work() -> None:
        prog = f"clip-spark {job.name}"
        spec, options = parse_spec(prog, job.spec, job.examples, argv)
        started = time.time()
        manifest = job.run(session_source(prog, options.master, dict(options.conf)), spec)
        show_result(job, spec, manifest, options, started)

    return guarded(job.name, work)


def guarded(name: str, work: Callable[[], None]) -> int:
    """*Driver.* Run a command; our own errors become one sentence on stderr and their exit status."""
    set_up_logging()
    try:
        work()
    except ClipSparkError as error:
        print(f"clip-spark {name}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print(f"clip-spark {name}: interrupted; run the same command again to go on.", file=sys.stderr)
        return INTERRUPTED
    return 0


def set_up_logging() -> None:
    """*Driver.* Our own log lines on stderr, the noise of others only when it is a warning."""
    if not logging.getLogger("clip_spark").handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logging.getLogger("clip_spark").addHandler(handler)
        logging.getLogger("clip_spark").propagate = False  # open_clip gives the root logger a handler: lines came twice
    logging.getLogger("clip_spark").setLevel(logging.INFO)
    logging.getLogger("py4j").setLevel(logging.ERROR)


def show_result(job: Job, spec: Any, manifest: Manifest, options: RunOptions, started: float) -> None:
    """*Driver.* The end of a job: what it made, a look at it, and what to type next."""
    summary = read_report(manifest)
    if options.json:
        print(json.dumps({"event": "report", "step": job.name, "output": manifest.uri, **summary}, ensure_ascii=False))
        return
    for table in [*(load(job.preview)(manifest) if job.preview else []), reports.overview(summary)]:
        show_table(table)
    print(result_line(job, manifest, started))
    if job.next_command:
        print(f"Next: {job.next_command.format(**{**vars(spec), 'output': manifest.uri})}")


def read_report(manifest: Manifest) -> dict[str, Any]:
    """*Driver.* The dataset's `report.json`."""
    return storage.read_json(storage.join(manifest.uri, REPORT))


def result_line(job: Job, manifest: Manifest, started: float) -> str:
    """*Driver.* One line: what was made, or that it was there already."""
    if was_done_before(manifest, started):
        return f"{job.name}: already done ({manifest.rows:,} rows) in {manifest.uri}; --overwrite does it again."
    return f"{job.name}: {manifest.rows:,} rows in {time.time() - started:.1f} s -> {manifest.uri}"


def was_done_before(manifest: Manifest, started: float) -> bool:
    """*Driver.* True if the manifest was committed before `started` (seconds since the epoch)."""
    return manifest.created < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))


def say(text: str) -> None:
    """*Driver.* Print lines on stdout."""
    print(text)


def show_table(table: Table) -> None:
    """*Driver.* Draw a table on stdout."""
    from rich.console import Console
    from rich.table import Table as Drawing

    drawing = Drawing(title=table.title, title_justify="left", title_style="bold")
    for index, column in enumerate(table.columns):
        numeric = all(isinstance(row[index], (int, float)) for row in table.rows)
        drawing.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in table.rows:
        drawing.add_row(*(cell(value) for value in row))
    Console(markup=False, highlight=False).print(drawing)


def cell(value: Any) -> str:
    """*Pure.* 12,345 and 0.123; None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
