"""--dedup: one file for each picture, all its rows point at it, however the rows are cut, retried, killed or grown."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from clip_spark.datasets.manifest import Manifest
from clip_spark.datasets.taken_over import MakeOrCopy
from clip_spark.errors import SpecError
from clip_spark.pictures.download import step
from clip_spark.pictures.download.report import preview
from clip_spark.pictures.download.shard import Fetch
from tests.helpers_download import Web, download, fake_web, links, make_records, rows, shown


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    return fake_web(monkeypatch)


def all_rows(manifest: Manifest) -> list[dict[str, Any]]:
    return [row for uri in manifest.files("records") for row in pq.read_table(uri).to_pylist()]


def check(manifest: Manifest) -> dict[str, str | None]:
    """Each picture has one file, and its rows point at that; link -> the record that stores it."""
    rows(manifest)
    found = [row for row in all_rows(manifest) if row["status"] == "ok"]
    holders = {row["record_id"]: shown(row["uri"]) for row in found if row["stored_as"] is None}
    assert len(holders) == len({*holders.values()}) == manifest.extra["pictures"]
    assert all(holders[row["stored_as"]] == shown(row["uri"]) for row in found if row["stored_as"])
    return {row["uri"]: row["stored_as"] for row in found}


NAMES = [*map(str, range(12)), *(f"{n}-b" for n in range(0, 12, 2)), *(f"{n}-c" for n in range(0, 12, 3)), "1gone"]


def test_who_keeps_the_file_does_not_depend_on_the_shards(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links(*NAMES))
    found = [
        check(download(tmp_path, dedup="sha256", shard_rows=size, output=str(tmp_path / f"{size}")))
        for size in (1, 4, 100)
    ]
    assert found[0] == found[1] == found[2] and sum(held is not None for held in found[0].values()) == 10


def test_the_end_says_how_many_files_there_are_and_leaves_no_work_behind(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links(*NAMES))
    shared = preview(download(tmp_path, dedup="sha256"))[1]
    assert dict(shared.rows) == {"with a file of their own": 12, "whose picture another one stores": 10}
    assert not (tmp_path / "out/_work").exists()


def test_a_killed_run_decides_the_same(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_records(tmp_path / "records", links(*NAMES))
    undisturbed = check(download(tmp_path, dedup="sha256", output=str(tmp_path / "other")))
    order = random.Random(1)
    for kill_after, phase in ((2, Fetch), (1, MakeOrCopy), (3, MakeOrCopy)):
        with monkeypatch.context() as patch:

            def dying(
                _spark: Any, _step: str, items: Any, work: Any, rows: int, ends: Any = (kill_after, phase)
            ) -> None:
                after, phase = ends
                for item in order.sample(list(items), len(items))[: after if isinstance(work, phase) else None]:
                    work(item)
                if isinstance(work, phase):
                    raise KeyboardInterrupt

            patch.setattr(step, "run_shards", dying)
            with pytest.raises(KeyboardInterrupt):
                download(tmp_path, dedup="sha256")
    web.clear()
    assert check(download(tmp_path, dedup="sha256")) == undisturbed
    assert not web, "everything had come before"


def test_new_rows_point_at_files_that_are_there(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links(*map(str, range(6)), "0-b", "2gone"))
    before = download(tmp_path, dedup="sha256")
    held = check(before)
    make_records(tmp_path / "records", links(*map(str, range(6)), "0-b", "2gone", "0-a", "5-a", "7", "7-a"))
    after = check(download(tmp_path, dedup="sha256", retry_failed=("http",)))
    assert {uri: after[uri] for uri in held} == held
    ids = {row["uri"]: row["record_id"] for row in all_rows(before)}
    assert after["http://a/5-a"] == ids["http://a/5"]
    assert {after["http://a/7"], after["http://a/7-a"]} >= {None}


def test_what_could_lose_files_of_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="--prune with --dedup"):
        download(tmp_path, dedup="sha256", prune=True)
    with pytest.raises(SpecError, match="--dedup is 'md5'"):
        download(tmp_path, dedup="md5")


def test_a_shard_of_them_cannot_be_written_alone(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_records(tmp_path / "records", links("1", "1-b"))
    monkeypatch.setattr(step, "mark_doubles", lambda *_: None)
    with pytest.raises(SpecError, match="cannot be written alone"):
        download(tmp_path, dedup="sha256")
