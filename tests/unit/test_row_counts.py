"""Rows that tasks tell the driver while they run."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass

import pytest

from clip_spark.runtime import row_counts
from clip_spark.runtime.row_counts import PROPERTY, RowsHeard, count_rows, tell_rows


@dataclass
class FakeTask:
    """What Spark tells of a task."""

    where: str
    task: int
    partition: int
    attempt: int = 0

    def taskAttemptId(self) -> int:
        return self.task

    def stageId(self) -> int:
        return 1

    def partitionId(self) -> int:
        return self.partition

    def attemptNumber(self) -> int:
        return self.attempt

    def getLocalProperty(self, name: str) -> str | None:
        return self.where if name == PROPERTY else None


def work(monkeypatch: pytest.MonkeyPatch, task: FakeTask | None, *rows: int, ends: bool = True) -> None:
    """A task that does so many rows, one after the other."""
    monkeypatch.setattr(row_counts, "task_context", lambda: task)
    for number in rows:
        count_rows(number)
    if ends:
        tell_rows()


@pytest.fixture
def heard() -> RowsHeard:
    return RowsHeard("127.0.0.1")


def test_the_rows_of_all_tasks_add_up(heard: RowsHeard, monkeypatch: pytest.MonkeyPatch) -> None:
    work(monkeypatch, FakeTask(heard.where, 10, 0), 3, 4)
    work(monkeypatch, FakeTask(heard.where, 11, 1), 5)
    heard.listen(0.05)
    assert heard.rows == 12
    heard.close()


def test_a_task_that_is_tried_again_counts_from_its_beginning(
    heard: RowsHeard, monkeypatch: pytest.MonkeyPatch
) -> None:
    work(monkeypatch, FakeTask(heard.where, 10, 0), 700)
    work(monkeypatch, FakeTask(heard.where, 12, 0, attempt=1), 5)
    work(monkeypatch, FakeTask(heard.where, 10, 0), 900)  # the first try still runs, as a speculative copy does
    heard.listen(0.05)
    assert heard.rows == 5
    heard.close()


def test_rows_are_told_now_and_then_and_at_the_end(heard: RowsHeard, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(row_counts, "_send", lambda where, context: sent.append(row_counts._count.rows))
    work(monkeypatch, FakeTask(heard.where, 20, 0), *[1] * 1000)
    tell_rows()
    assert sent == [1, 1000]
    heard.close()


def test_what_strangers_send_counts_nothing(heard: RowsHeard) -> None:
    host, port, secret = heard.where.split()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for message in (b"0123 1 1 0 99", f"{secret} 1 1 0 x".encode(), f"{secret} 1".encode(), b"", b"\xff\xfe" * 50):
            stranger.sendto(message, (host, int(port)))
    heard.listen(0.05)
    assert heard.rows == 0
    heard.close()


def test_outside_of_a_task_and_where_nobody_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    work(monkeypatch, None, 5)
    work(monkeypatch, FakeTask("", 30, 0), 5)
    work(monkeypatch, FakeTask("no-such-host.invalid 1 s", 31, 0), 5)


def test_the_end_of_a_job_waits_for_no_listener(heard: RowsHeard) -> None:
    listener = threading.Thread(target=heard.listen, args=(600.0,), daemon=True)
    listener.start()
    heard.wake()
    listener.join(60)
    assert not listener.is_alive()
    heard.close()
