"""`clip-spark report`: every dataset below a folder, after those that it was made of, with what Spark's log adds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from clip_spark.commands.estimate import read_rates
from clip_spark.commands.report.dataset_facts import Facts, task_seconds
from clip_spark.commands.report.report_page import report_page
from clip_spark.commands.report.spark_log import read_logs
from clip_spark.commands.report.work import in_order, read_work, totals
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.run import begin_run
from clip_spark.errors import InputError
from clip_spark.jobs import report as command
from tests.helpers_datasets import finished, plan_of, write_shard


def test_rows_rejects_and_bytes_are_those_of_the_dataset(tmp_path: Path) -> None:
    finished(tmp_path / "work" / "emb")
    (facts,) = read_work([str(tmp_path / "work")], read_rates("")).datasets
    assert (facts.kind, facts.rows_in, facts.rows_out, dict(facts.rejects)) == ("embeddings", 6, 4, {"empty": 2})
    assert facts.share == pytest.approx(4 / 6)
    made = [path for path in (tmp_path / "work" / "emb").rglob("*") if path.is_file()]
    own = {"manifest.json"}
    receipts = {path for path in made if path.parent.name == "receipts"}
    assert facts.bytes == sum(path.stat().st_size for path in made if path.name not in own and path not in receipts)


def test_an_unfinished_run_and_a_damaged_manifest_are_told_and_end_nothing(tmp_path: Path) -> None:
    finished(tmp_path / "whole")
    begin_run(str(tmp_path / "begun"), plan_of(), overwrite=False)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "manifest.json").write_text("{")
    work = read_work([str(tmp_path)], read_rates(""))
    sums = totals(work.datasets)
    assert (sums["datasets"], sums["unfinished"], sums["problems"]) == (3, 1, 1)
    page = report_page(work)
    assert "goes on from where it stopped" in page and "is not a manifest" in page


def test_an_input_that_has_changed_since_is_called_stale(tmp_path: Path) -> None:
    finished(tmp_path / "first")
    uri = read_manifest(str(tmp_path / "first")).uri
    plan = plan_of(uri=uri, source="another content")
    run = begin_run(str(tmp_path / "second"), plan, overwrite=False)
    for number in run.pending():
        write_shard(run, number)
    run.commit()
    first, second = read_work([str(tmp_path)], read_rates("")).datasets
    assert (first.notes, second.notes) == ((), (f"stale: '{uri}' has changed since",))


def test_a_dataset_comes_after_those_it_was_made_of_even_in_a_circle() -> None:
    def facts(uri: str, created: str, *inputs: str) -> Facts:
        return Facts(uri=uri, kind="records", created=created, inputs=inputs)

    found = {one.uri: one for one in (facts("c", "1", "b"), facts("b", "2", "a"), facts("a", "3", "c"))}
    assert [one.uri for one in in_order(found)] == ["a", "b", "c"]
    found = {one.uri: one for one in (facts("index", "1", "emb"), facts("emb", "2", "folder of text"))}
    assert [one.uri for one in in_order(found)] == ["emb", "index"]


def test_stages_inside_a_task_are_not_added_to_it() -> None:
    assert task_seconds({"task": 6.0, "forward": 4.0, "decode": 3.0}) == 6.0
    assert task_seconds({"search": 2.0, "write": 1.0, "session": 9.0}) == 3.0


def test_a_folder_without_datasets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no dataset"):
        read_work([str(tmp_path)], read_rates(""))
    with pytest.raises(InputError, match="does not exist"):
        read_work([str(tmp_path / "nothing")], read_rates(""))


def event(kind: str, **values: Any) -> str:
    return json.dumps({"Event": f"SparkListener{kind}", **values})


def task_end(stage: int, run_ms: int, reason: str = "Success") -> str:
    metrics = {"Executor Run Time": run_ms, "Executor CPU Time": run_ms * 500_000, "Disk Bytes Spilled": 7,
               "Shuffle Write Metrics": {"Shuffle Bytes Written": 10}}  # fmt: skip
    ended = {"Reason": reason}
    return event("TaskEnd", **{"Stage ID": stage, "Task End Reason": ended, "Task Metrics": metrics})


EVENTS = [
    event("ApplicationStart", **{"App Name": "clip-spark run", "Timestamp": 1_000}),
    event("ExecutorAdded", **{"Executor ID": "1", "Timestamp": 2_000, "Executor Info": {"Total Cores": 4}}),
    event("ExecutorAdded", **{"Executor ID": "2", "Timestamp": 2_000, "Executor Info": {"Total Cores": 4}}),
    event("JobStart", **{"Stage IDs": [0, 1], "Properties": {"spark.jobGroup.id": "embed-images"}}),
    task_end(0, 3_000),
    task_end(1, 1_000, "ExecutorLostFailure"),
    event("ExecutorRemoved", **{"Executor ID": "2", "Timestamp": 5_000}),
    event("JobStart", **{"Stage IDs": [2], "Properties": None}),
    task_end(2, 500),
    event("ApplicationEnd", **{"Timestamp": 12_000}),
]


def test_sparks_log_says_what_each_step_used_and_what_was_held(tmp_path: Path) -> None:
    folder = tmp_path / "eventlog_v2_app-1"
    folder.mkdir()
    rolled = [EVENTS[:5], EVENTS[5:]]
    for number, lines in enumerate(rolled, 1):
        packed = zstandard.ZstdCompressor().compress(("\n".join(lines) + "\n").encode())
        (folder / f"events_{number}_app-1.zstd").write_bytes(packed)
    (folder / "appstatus_app-1").write_bytes(b"")
    (one,) = read_logs(str(tmp_path))
    work = one.steps["embed-images"]
    assert (work.tasks, work.failed, work.run_seconds, work.cpu_seconds) == (2, 1, 4.0, 2.0)
    assert (work.shuffled, work.spilled, one.steps["(no step)"].tasks) == (20, 14, 1)
    assert one.held_core_seconds == 4 * 10 + 4 * 3
    assert (one.executors_lost, one.started, one.ended) == (1, 1.0, 12.0)


def test_a_log_that_is_cut_counts_up_to_its_last_word(tmp_path: Path) -> None:
    (tmp_path / "app-20261128-0001.inprogress").write_text("\n".join(EVENTS[:7]) + '\n{"Event": "SparkListenerTas')
    (one,) = read_logs(str(tmp_path))
    assert (one.ended, one.held_core_seconds, one.steps["embed-images"].tasks) == (0.0, 4 * 3 + 4 * 3, 2)


def test_logs_that_only_a_jvm_unpacks_and_folders_without_any_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no event log"):
        read_logs(str(tmp_path))
    (tmp_path / "app-1.lz4").write_bytes(b"LZ4Block")
    with pytest.raises(InputError, match="codec=zstd"):
        read_logs(str(tmp_path))


def test_the_command_writes_a_page_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(tmp_path / "work" / "<b>emb")
    page = tmp_path / "report.html"
    assert command.main([str(tmp_path / "work"), "--output", str(page), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["totals"]["rejects"], told["datasets"][0]["rows_out"]) == ({"empty": 2}, 4)
    assert "&lt;b&gt;emb" in page.read_text() and "<b>emb" not in page.read_text()
    assert command.main([str(tmp_path / "work")]) == 0
    assert "rejects" in capsys.readouterr().out
