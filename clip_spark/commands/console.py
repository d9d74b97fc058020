"""*Driver.* What all commands share: parse, run, report, and turn errors into one sentence and an exit status.

The only module of the library that prints. Tables go to stdout, everything else to stderr.
"""

from __future__ import annotations

import json
import logging
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from clip_spark import storage
from clip_spark.commands.entry import Command, load
from clip_spark.commands.options import RunOptions, comma_hint, parse_spec
from clip_spark.commands.registry import COMMANDS
from clip_spark.commands.stdout import any_characters, put
from clip_spark.commands.terminal import (
    BREAKS,
    cell,
    cut_paths,
    encodable_json,
    is_path,
    printable,
    printable_json,
    table_width,
)
from clip_spark.datasets import tables as reports
from clip_spark.datasets.manifest import REPORT, Manifest
from clip_spark.datasets.tables import Table
from clip_spark.errors import ClipSparkError, InputError, UserError
from clip_spark.runtime.session import LateSession, SessionSource

INTERRUPTED = 130


def job_main(step: Command | str, argv: Sequence[str] | None = None) -> int:
    """*Driver.* The whole of a step's job file: parse -> spec -> step -> report.

    Args:
        step: its name, or the registry's entry.
        argv: arguments, or None for those of the process.

    Returns:
        0 done, 1 failed, 2 the user's mistake, 130 interrupted.
    """
    command = COMMANDS[step] if isinstance(step, str) else step

    def work(spec: Any, options: RunOptions) -> None:
        started = time.time()
        manifest = command.run(spark_source(command, options), spec)
        show_result(command, spec, manifest, options, started)

    return command_main(command, argv, work)


def command_main(command: Command | str, argv: Sequence[str] | None, work: Callable[[Any, RunOptions], None]) -> int:
    """*Driver.* Parse the options of a command that has a spec, and call `work(spec, options)`; returns the status."""
    found = COMMANDS[command] if isinstance(command, str) else command

    def parse_and_work() -> None:
        spec, options = parse_spec(found, argv)
        try:
            work(spec, options)
        except InputError as error:
            raise InputError(f"{error}{comma_hint(spec, str(error))}") from error

    return guarded(found.name, parse_and_work)


def spark_source(command: Command | str, options: RunOptions) -> SessionSource:
    """*Driver.* Gives the session that the user's options ask for, under the command's name.

    Ctrl-C stays Python's own: pyspark would ask the JVM to cancel its jobs from inside a call to it, which fails with
    tracebacks; they end with the driver anyway.
    """
    prog = command.prog if isinstance(command, Command) else COMMANDS[command].prog
    return _Interruptible(prog, options.master, dict(options.conf))


class _Interruptible(LateSession):
    def __call__(self) -> Any:
        spark = super().__call__()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return spark


def guarded(name: str, work: Callable[[], None]) -> int:
    """*Driver.* Run a command; our own errors become one sentence on stderr and their exit status.

    So do those of the disk that name a path of the user's, such as an output below a file.
    """
    set_up_logging()
    any_characters()
    try:
        work()
    except ClipSparkError as error:
        complain(f"clip-spark {name}: {error}")
        return error.exit_status
    except OSError as error:
        if error.filename is None:
            raise
        complain(f"clip-spark {name}: '{error.filename}' cannot be used: {error.strerror}.")
        return UserError.exit_status
    except KeyboardInterrupt:
        complain(f"clip-spark {name}: interrupted; run the same command again to go on.")
        return INTERRUPTED
    finally:
        put("")  # also what argparse has written
    return 0


class _PrintableFormatter(logging.Formatter):
    """Log lines name files and records, which may hold anything."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _not_of_py4j(record: logging.LogRecord) -> bool:
    return "py4j" not in record.pathname


def set_up_logging() -> None:
    """*Driver.* Our own log lines on stderr, the noise of others only when it is a warning."""
    if not logging.getLogger("clip_spark").handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_PrintableFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logging.getLogger("clip_spark").addHandler(handler)
        logging.getLogger("clip_spark").propagate = False  # open_clip gives the root logger a handler: lines came twice
    logging.getLogger("clip_spark").setLevel(logging.INFO)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # what it has to say comes as an exception
    logging.getLogger().addFilter(_not_of_py4j)  # it tells the root logger of a Ctrl-C, with a traceback


def show_result(job: Command, spec: Any, manifest: Manifest, options: RunOptions, started: float) -> None:
    """*Driver.* The end of a job: what it made, a look at it, and what to type next."""
    summary = read_report(manifest)
    if options.json:
        event = {"event": "report", "step": job.name, "output": manifest.uri, **summary}
        say_json(json.dumps(event, ensure_ascii=False))
        return
    for table in [*(load(job.preview)(manifest) if job.preview else []), reports.overview(summary)]:
        show_table(table)
    say(result_line(job, manifest, started))
    if following := job.next_for(spec, shlex.quote(manifest.uri)):
        say(f"Next: {following}")


def show_found(
    command: str, options: RunOptions, tables: Sequence[Table] = (), said: str = "", *, cut: bool = False
) -> None:
    """*Driver.* What a command found that makes no dataset: tables, and a sentence; with --json one line of both.

    Args:
        command: its name.
        options: whether it is for a program.
        tables: what to draw.
        said: the sentence, if there is one.
        cut: as of `show_table`.
    """
    if options.json:
        event = {"event": "report", "command": command, "tables": reports.as_plain(tables), "said": said}
        say_json(json.dumps(event, ensure_ascii=False, default=_number))
        return
    for table in tables:
        show_table(table, cut)
    if said:
        say(said)


def _number(value: Any) -> Any:
    """*Pure.* numpy's numbers as Python's."""
    return value.item()


def read_report(manifest: Manifest) -> dict[str, Any]:
    """*Driver.* The dataset's `report.json`."""
    return storage.read_json(manifest.locate(REPORT))


def result_line(job: Command, manifest: Manifest, started: float) -> str:
    """*Driver.* One line: what was made, or that it was there already."""
    rows, news = f"{rows_of(manifest):,} rows", manifest.news
    if was_done_before(manifest, started):
        also = f"; {news}" if news else ""
        return f"{job.name}: already done ({rows}{also}) in {manifest.uri}; --overwrite does it again."
    also = f" ({news})" if news else ""
    return f"{job.name}: {rows}{also} in {time.time() - started:.1f} s -> {manifest.uri}"


def rows_of(manifest: Manifest) -> int:
    """*Driver.* The rows of a dataset; of an index without those that are removed."""
    return load("clip_spark.index.open.removals:live_rows")(manifest) if manifest.kind == "index" else manifest.rows


def was_done_before(manifest: Manifest, started: float) -> bool:
    """*Driver.* True if the manifest was committed before `started` (seconds since the epoch)."""
    return manifest.created < time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))


def say(text: str) -> None:
    """*Driver.* Print lines on stdout."""
    put(f"{printable(text)}\n")


def say_json(text: str) -> None:
    """*Driver.* Print lines of JSON on stdout."""
    put(encodable_json(printable_json(text), sys.stdout.encoding or "utf-8") + "\n")


def complain(text: str) -> None:
    """*Driver.* Print one line on stderr."""
    print(BREAKS.sub(" ", printable(text)), file=sys.stderr)


def draw(escapes: str) -> None:
    """*Driver.* Send escapes of our own making, such as a picture, to the terminal as they are."""
    sys.stdout.write(escapes)
    sys.stdout.flush()


def show_table(table: Table, cut: bool = False) -> None:
    """*Driver.* Draw a table on stdout: as wide as the terminal, wider where a path would be folded.

    Args:
        table: what to draw.
        cut: on a terminal, shorten paths so that the table fits; what is piped stays whole.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table as Drawing

    cells = [[cell(value) for value in row] for row in table.rows]
    terminal = Console().width if sys.stdout.isatty() else None
    if cut and terminal is not None:
        cells = cut_paths(cells, table.columns, terminal)
    drawing = Drawing(title=cell(table.title), title_justify="left", title_style="bold")
    shapes = []
    for index, column in enumerate(table.columns):
        texts = [row[index] for row in cells]
        whole = any(map(is_path, texts))
        shapes.append((max(map(cell_len, [*texts, column])), whole))
        numeric = all(isinstance(row[index], (int, float)) for row in table.rows)
        drawing.add_column(cell(column), justify="right" if numeric else "left", overflow="fold", no_wrap=whole)
    for row in cells:
        drawing.add_row(*row)
    console = Console(markup=False, highlight=False, width=table_width(terminal, shapes))
    with console.capture() as drawn:
        console.print(drawing)
    put(drawn.get())
