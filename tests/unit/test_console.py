"""What a user sees: exit statuses, one-sentence errors, tables, the next command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clip_spark.analysis.specs import TagSpec
from clip_spark.commands.console import Job, job_main, load
from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.datasets.tables import Table
from clip_spark.errors import InputError, TaskError

ERROR: list[Exception] = []


def toy_step(source: Any, spec: TagSpec) -> Manifest:
    """Writes an empty dataset, or raises what the test put into ERROR."""
    if ERROR:
        raise ERROR[0]
    run = begin_run(spec.output, Plan.of("tags", spec, {}, 1), overwrite=spec.overwrite)
    if run.manifest is None:
        with ShardWriter(run.output, run.plan.fingerprint, 0, {}) as writer:
            writer.finish()
    return run.manifest or run.commit()


def toy_preview(manifest: Manifest) -> list[Table]:
    return [Table("a look", ("word", "count"), [("dog", 12345)])]


JOB = Job("toy", TagSpec, f"{__name__}:toy_step", f"{__name__}:toy_preview", next_command="look at {output}")
ARGV = ["--embeddings", "e", "--index", "i", "--output"]


@pytest.fixture(autouse=True)
def no_error() -> None:
    ERROR.clear()


def test_a_job_shows_tables_and_the_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert job_main(JOB, [*ARGV, str(tmp_path / "o")]) == 0
    out = capsys.readouterr().out
    assert "dog" in out and "12,345" in out and f"Next: look at {tmp_path / 'o'}" in out


def test_json_is_one_line_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert job_main(JOB, [*ARGV, str(tmp_path / "o"), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["event"], value["step"], value["rows_out"]) == ("report", "toy", 0)


@pytest.mark.parametrize(
    ("error", "status"), [(InputError("No such corpus."), 2), (TaskError("Stopped."), 1), (KeyboardInterrupt(), 130)]
)
def test_errors_become_one_sentence_and_a_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: Exception, status: int
) -> None:
    ERROR.append(error)
    assert job_main(JOB, [*ARGV, str(tmp_path / "o")]) == status
    err = capsys.readouterr().err
    assert err.startswith("clip-spark toy: ") and len(err.splitlines()) == 1


def test_a_typing_mistake_has_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert job_main(JOB, ["--emebddings", "e"]) == 2
    assert "Did you mean '--embeddings'?" in capsys.readouterr().err


def test_every_command_has_a_file_with_a_main() -> None:
    from clip_spark.jobs.cli import COMMANDS

    for name in COMMANDS:
        assert callable(load(f"clip_spark.jobs.{name.replace('-', '_')}:main")), name


def test_every_job_names_functions_that_exist() -> None:
    from clip_spark.jobs.run import jobs

    for name, job in jobs().items():
        assert job.name == name
        assert callable(load(job.step)) and (not job.preview or callable(load(job.preview)))
        assert job.examples, f"{name} --help has no example"


def test_the_commands_are_listed_and_a_wrong_one_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    from clip_spark.jobs.cli import main

    assert main([]) == 0
    assert "build-index" in capsys.readouterr().out
    assert main(["bild-index"]) == 2
    assert "Did you mean 'build-index'?" in capsys.readouterr().err
