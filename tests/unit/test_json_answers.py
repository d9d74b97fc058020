"""`--json`: every command that takes it answers with one line for a program."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from clip_spark.commands.console import show_found
from clip_spark.commands.options import RunOptions
from clip_spark.datasets.tables import Table
from clip_spark.jobs import plan
from tests.helpers_embeddings import numbered, unit_vectors
from tests.helpers_pieces import write_listed

JOBS = Path(plan.__file__).parent
COMMANDS = [path for path in sorted(JOBS.glob("*.py")) if "command_main(" in path.read_text()]
HEEDS = ("show_found(", "options.json", "job_main(")
NO_ANSWER = {"mcp.py"}
"""Its output is the protocol's."""


def answer(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(JOBS.glob("*.py")) if "command_main(" in path.read_text()],
    ids=lambda path: path.stem,
)
def test_no_command_takes_it_and_prints_for_people(path: Path) -> None:
    assert path.name in NO_ANSWER or any(word in path.read_text() for word in HEEDS)


def test_tables_and_the_sentence_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    tables = [Table("größe", ("what", "value"), [("rows", np.int64(3)), ("share", np.float32(0.5))])]
    show_found("some-command", RunOptions(json=True), tables, "done")
    rows = [{"what": "rows", "value": 3}, {"what": "share", "value": 0.5}]
    wanted = {
        "event": "report",
        "command": "some-command",
        "tables": [{"title": "größe", "rows": rows}],
        "said": "done",
    }
    assert answer(capsys) == wanted
    show_found("some-command", RunOptions(), tables, "done")
    assert "größe" in (shown := capsys.readouterr().out) and shown.endswith("done\n")


def test_takedowns_and_plans_answer_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["--pictures", "1M", "--json"]) == 0
    assert [table["title"] for table in answer(capsys)["tables"]] == ["plan", "index"]
    index = write_listed(tmp_path, unit_vectors(len(numbered(60))), "IVF2,Flat", parts=1)
    remove = import_module("clip_spark.jobs.remove_records")
    assert remove.main(["--index", index, "--where", "text = 'text 3'", "--json"]) == 0
    assert {"what": "removed now", "value": 1} in answer(capsys)["tables"][0]["rows"]
