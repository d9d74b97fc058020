"""Disks that are full or not ours, and clocks that jump: clear sentences, and nothing is lost."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest

from clip_spark import storage
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.datasets import retire
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.run import begin_run
from clip_spark.errors import StorageError
from clip_spark.storage import writes
from tests.helpers_datasets import finished, plan_of, write_shard

DAY = 24 * 3600.0


class SmallDisk:
    """`open` on a disk with room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, path: str, mode: str = "r") -> Any:
        stream = open(path, mode)  # noqa: SIM115 - its caller closes it
        write = stream.write

        def limited(data: bytes) -> int:
            self.room -= len(data)
            if self.room < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(data)

        return _Limited(stream, limited)


class _Limited:
    def __init__(self, stream: Any, write: Any) -> None:
        self._stream, self.write = stream, write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> _Limited:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def replace_it(place: str) -> None:
    """What an embed step with --overwrite does; goes on where it has stopped."""
    run = begin_run(place, plan_of(size=3), overwrite=read_manifest(place).spec["size"] != 3)
    for number in [] if run.manifest else run.pending():
        write_shard(run, number)
    if run.manifest is None:
        run.commit()


def test_a_disk_that_is_full_at_any_byte_keeps_what_was_there_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = finished(tmp_path / "d").output
    old, failures = read_manifest(place), 0
    for room in range(0, 20_000, 500):
        monkeypatch.setattr(writes, "open", SmallDisk(room), raising=False)
        try:
            replace_it(place)
        except StorageError as error:
            failures += 1
            assert "No space left on device. Make room, then run the same command again" in str(error)
        finally:
            monkeypatch.delattr(writes, "open")
        if read_manifest(place) != old:
            break
        assert all(map(os.path.exists, (storage.join(place, path) for path in old.owned())))
    assert failures > 5 and read_manifest(place).spec["size"] == 3
    assert not [path for path in Path(place).rglob("*") if path.name.endswith(".tmp")]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_folder_that_may_not_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    place = finished(tmp_path / "d").output

    def refuse(path: str, *_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), path)

    for name in ("makedirs", "replace"):
        monkeypatch.setattr(os, name, refuse)
        with pytest.raises(StorageError, match=f"cannot be written: {os.strerror(code)}"):
            begin_run(f"{tmp_path}/{name}", plan_of(), overwrite=False)
        monkeypatch.undo()
    assert read_manifest(place).rows == 4


def test_a_commit_stays_one_when_what_it_replaced_cannot_be_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place = finished(tmp_path / "d").output
    monkeypatch.setenv(retire.GRACE_VARIABLE, "0")

    def refuse(*_: object) -> None:
        raise StorageError("nobody may delete here")

    monkeypatch.setattr(retire, "delete_retired", refuse)
    replace_it(place)
    assert read_manifest(place).spec["size"] == 3 and "cannot be removed" in caplog.text
    monkeypatch.undo()
    list(delete_each(find_leftovers(place, older_than_hours=0, unfinished=False)))
    left = {path.relative_to(place).parts[0] for path in Path(place).rglob("*") if path.is_file()}
    assert left == {"generations", "manifest.json"}


def test_what_another_clock_calls_the_future_is_young_and_goes_only_when_all_may_go(tmp_path: Path) -> None:
    place = finished(tmp_path / "d").output
    killed = Path(place, "embeddings", f".00000.parquet.{'a' * 32}.tmp")
    killed.write_bytes(b"half")
    os.utime(killed, (time.time() + DAY, time.time() + DAY))
    assert not list(find_leftovers(place, older_than_hours=0.001, unfinished=True))
    list(delete_each(find_leftovers(place, older_than_hours=0, unfinished=True)))
    assert not killed.exists() and read_manifest(place).rows == 4


def test_a_clock_that_jumps_back_keeps_what_was_replaced_for_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = finished(tmp_path / "d").output
    old = list(read_manifest(place).owned())
    replace_it(place)
    now = time.time()
    for jump, kept in ((-7 * DAY, True), (23 * 3600.0, True), (25 * 3600.0, False)):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        list(delete_each(find_leftovers(place, older_than_hours=24, unfinished=True)))
        assert all(os.path.exists(storage.join(place, path)) for path in old) == kept
    assert all(os.path.exists(storage.join(place, path)) for path in read_manifest(place).owned())
