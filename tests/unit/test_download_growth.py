"""download-images on records that have grown: only new links are asked for, and no row is lost or doubled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pyarrow.parquet as pq
import pytest

from clip_spark import storage
from clip_spark.datasets.manifest import file_of as receipt_file
from clip_spark.datasets.manifest import read_manifest
from clip_spark.datasets.own_files import files_of_run
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.unfinished import delete_unfinished
from clip_spark.errors import OutputError, ResultError, SpecError
from clip_spark.pictures.download import checkpoints, earlier, outcomes, report, shard, slices
from clip_spark.pictures.download.link_changes import compare_links
from clip_spark.pictures.download.outcomes import FIELDS, SCHEMA
from clip_spark.pictures.download.report import by_status
from clip_spark.pictures.download.slices import cut
from clip_spark.pictures.download.specs import DownloadSpec
from tests.helpers_download import Web, download, fake_web, links, make_records, rows


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    return fake_web(monkeypatch)


def test_only_new_links_are_fetched_and_shards_stay(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links(*map(str, range(7)), "1gone"))
    before = download(tmp_path)
    web.clear()
    made = make_records(tmp_path / "records", links(*map(str, range(12)), "1gone", "2gone"), shards=3)
    after = download(tmp_path)
    assert web == Counter(f"http://a/{name}" for name in ["7", "8", "9", "10", "11", "2gone"])
    assert after.receipts[: len(before.receipts)] == before.receipts
    assert after.news == "6 new" and after.rows == made.rows and after.extra["pictures"] == 12
    assert len(rows(after)) == 14 and by_status(after) == {"ok": 12, "http 404": 2}
    web.clear()
    assert download(tmp_path).receipts == after.receipts and not web


def test_after_a_retry_and_a_growth_together_nothing_is_doubled(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links(*map(str, range(7)), "1gone"))
    first = download(tmp_path)
    web.clear()
    make_records(tmp_path / "records", links(*map(str, range(8)), "1gone", "2gone"))
    again = download(tmp_path, retry_failed=("http",))
    assert web == Counter(f"http://a/{name}" for name in ["1gone", "7", "2gone"])
    stay = [receipt for receipt in first.receipts if receipt in again.receipts]
    assert len(stay) == len(first.receipts) - 1, "only the shard with a failure is written again"
    web.clear()
    assert download(tmp_path).receipts == again.receipts
    download(tmp_path, retry_failed=("timeout",))
    assert not web and len(rows(again)) == 10


def test_links_that_vanished_stay_until_they_are_pruned(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links(*map(str, range(7))))
    download(tmp_path)
    make_records(tmp_path / "records", links("0", "1", "2", "3", "new"))
    kept = download(tmp_path)
    assert kept.news == "1 new; 3 vanished, kept; --prune takes them out" and len(rows(kept)) == 8
    web.clear()
    pruned = download(tmp_path, prune=True)
    assert not web and rows(pruned).keys() == {f"http://a/{name}" for name in ["0", "1", "2", "3", "new"]}
    assert download(tmp_path, prune=True).receipts == pruned.receipts


def test_a_record_with_another_link_is_told_and_fetched_when_pruned(web: Web, tmp_path: Path) -> None:
    ids = [{"record_id": f"{n:032x}", "uri": f"http://a/{n}", "text": str(n)} for n in range(5)]
    make_records(tmp_path / "records", ids)
    download(tmp_path)
    ids[2]["uri"] = "http://a/other"
    make_records(tmp_path / "records", ids)
    web.clear()
    assert download(tmp_path).news == "1 changed, kept as they were; --prune does them again" and not web
    pruned = download(tmp_path, prune=True)
    assert web == {"http://a/other": 1} and len(rows(pruned)) == 5 and "http://a/2" not in rows(pruned)


def test_new_columns_of_new_rows_take_nothing_from_old_ones(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links("0", "1gone", likes=7))
    download(tmp_path)
    make_records(tmp_path / "records", links("0", "1gone", "2", author="me"))
    again = download(tmp_path, retry_failed=("all",))
    old, new = (pq.read_table(uri).to_pylist() for uri in again.files("records"))
    assert [row["likes"] for row in old] == [7, 7] and [row["author"] for row in new] == ["me"]


def test_options_that_came_later_leave_the_plans_of_older_commands_alone() -> None:
    inputs = {"records": {"uri": "r", "fingerprint": "f"}}
    plan = Plan.of("images", DownloadSpec(records="r", output="o"), inputs, 1)
    assert plan.fingerprint == "ac1e8139a8fc04c6bbd6c6d84ae6fca4", "as the first version of download-images had it"
    other = Plan.of("images", DownloadSpec(records="r", output="o", dedup="sha256"), inputs, 1)
    assert other.spec == {**plan.spec, "dedup": "sha256"}


@pytest.mark.parametrize("finished", [True, False])
def test_what_an_older_version_wrote_goes_on(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: bool
) -> None:
    """Before there were hashes of what pictures show, and pictures that others store."""
    make_records(tmp_path / "records", links(*map(str, range(5)), "1gone"))
    with monkeypatch.context() as patch:
        fields = tuple(field for field in FIELDS if field[0] not in ("pdq", "stored_as"))
        schema = SCHEMA.remove(SCHEMA.get_field_index("pdq"))
        for module in (outcomes, shard):
            patch.setattr(module, "FIELDS", fields)
        for module in (outcomes, checkpoints):
            patch.setattr(module, "SCHEMA", schema.remove(schema.get_field_index("stored_as")))
        for module in (slices, earlier):
            patch.setattr(module, "OWN", tuple(name for name, _ in fields))
        if finished:
            download(tmp_path)
        else:
            patch.setattr(shard.DownloadWork, "_write", Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                download(tmp_path)
    web.clear()
    if finished:
        make_records(tmp_path / "records", links(*map(str, range(6)), "1gone"))
    made = download(tmp_path, **({"retry_failed": ("http",)} if finished else {}))
    assert by_status(made) == {"ok": 6 if finished else 5, "http 404": 1}
    assert len(web) == (2 if finished else 3), "of three links of a killed task each has come already"


@pytest.mark.parametrize("options", [{}, {"dedup": "sha256"}, {"dedup": "perceptual", "format": "parquet"}])
@pytest.mark.parametrize("grown", [False, True])
def test_a_killed_run_goes_on_when_its_records_have_grown(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], grown: bool
) -> None:
    """A first run, or one that made a download grow: finished shards are copied, but for those that have lost a row."""
    names = [*map(str, range(8)), "1-again", "1gone"]
    if grown:
        make_records(tmp_path / "records", links("20", "0-again", "5-again"))
        download(tmp_path, **options)
    make_records(tmp_path / "records", links(*names, *(["20", "0-again", "5-again"] if grown else [])))
    whole, done = shard.DownloadWork._write, list[str]()

    def dying(self: Any, part: Any, outcomes: Any) -> Any:
        if len(done) == 3:
            raise KeyboardInterrupt
        receipt = whole(self, part, outcomes)
        done.append(f"{self.output}/{receipt_file(receipt, 'records')}")
        return receipt

    with monkeypatch.context() as patch:
        patch.setattr(shard.DownloadWork, "_write", dying)
        with pytest.raises(KeyboardInterrupt):
            download(tmp_path, **options)
    held = [pq.read_table(uri).to_pylist() for uri in done]
    lost = held[0][0]["text"]
    left = [name for name in names if name != lost]
    make_records(tmp_path / "records", links(*left, "30", *(["20", "0-again", "5-again"] if grown else [])), shards=3)
    web.clear()
    made = download(tmp_path, **options)
    assert rows(made).keys() == {
        f"http://a/{name}" for name in [*left, "30", *(["20", "0-again", "5-again"] if grown else [])]
    }
    taken = made.extra.get("taken_over", {"shards": 0, "rows": 0})
    points = {row["stored_as"] for part in held for row in part} - {None}
    assert taken["shards"] == 2 or (points and taken["shards"] < 2)
    assert sum(web.values()) == len(left) + 1 - taken["rows"], "what was finished is not asked for again"
    web.clear()
    assert download(tmp_path, **options).receipts == made.receipts and not web


def test_other_links_and_other_options_are_refused(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links("0", "1"))
    with pytest.raises(SpecError, match="no finished download"):
        download(tmp_path, retry_failed=("all",))
    download(tmp_path)
    with pytest.raises(OutputError, match="image-size was 256"):
        download(tmp_path, image_size=100)
    with pytest.raises(SpecError, match="with these options"):
        download(tmp_path, image_size=100, retry_failed=("all",))
    make_records(tmp_path / "records", links("2", "3"))
    with pytest.raises(OutputError, match="made of other links: none of them"):
        download(tmp_path)


def test_a_run_that_fails_wholly_keeps_its_rows(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links("1gone", "2gone"))
    with pytest.raises(ResultError, match="None of 2 links gave a picture"):
        download(tmp_path)
    assert len(rows(read_manifest(str(tmp_path / "out")))) == 2


def test_a_download_that_is_cleaned_away_at_its_commit_does_not_bar_the_next(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_records(tmp_path / "records", links("0", "1", "1gone"))
    out, page = str(tmp_path / "out"), report.download_page

    def cleaned(found: dict[str, Any]) -> str:
        delete_unfinished(out)
        return page(found)

    with monkeypatch.context() as patch:
        patch.setattr(report, "download_page", cleaned)
        with pytest.raises(OutputError, match="another writer was quicker"):
            download(tmp_path)
    assert by_status(download(tmp_path)) == {"ok": 2, "http 404": 1}
    written = {str(file) for file in Path(out).rglob("*") if file.is_file() and file.name != "manifest.json"}
    assert set(files_of_run(out)) == written, "a file that clean would not know for ours"


def test_preferences_that_are_switched_off_are_told_in_the_report(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links("0", "1"))
    made = download(tmp_path, robots=False, tdm=False)
    said = ["robots.txt was not obeyed (--no-robots)", "tdm-reservation was not obeyed (--no-tdm)"]
    assert storage.read_json(made.locate("report.json"))["not_obeyed"] == said
    assert all(sentence in storage.read_text(made.locate("report.html")) for sentence in said)
    assert report.preview(made)[-1].rows == [(sentence,) for sentence in said]


def test_links_are_compared_in_rounds_as_at_once(web: Web, tmp_path: Path) -> None:
    make_records(tmp_path / "records", links(*map(str, range(100))), shards=3)
    before = download(tmp_path, shard_rows=20)
    now = make_records(tmp_path / "records", links(*map(str, range(50, 170))), shards=4)
    found = [compare_links(before.files("records"), now.files("records"), now.rows, size) for size in (10**6, 13)]
    for name, number in {"new": 70, "changed": 0, "outdated": 0, "vanished": 50}.items():
        one, other = (getattr(each, name) for each in found)
        assert one.keys() == other.keys() and all(np.array_equal(one[uri], other[uri]) for uri in one)
        assert sum(map(len, one.values())) == number


def test_shards_are_full_whatever_files_the_rows_are_in() -> None:
    files = [("a", np.array([1, 2, 3, 9])), ("b", np.arange(5)), ("c", np.array([4, 7]))]
    shards = cut(files, 4, first=3)
    assert [one.number for one in shards] == [3, 4, 5]
    assert [sum(map(len, one.slices)) for one in shards] == [4, 4, 3]
    assert [(part.uri, part.start, part.stop, part.rows) for one in shards for part in one.slices] == [
        ("a", 1, 10, (1, 2, 3, 9)), ("b", 0, 4, ()), ("b", 4, 5, ()), ("c", 4, 8, (4, 7))]  # fmt: skip
