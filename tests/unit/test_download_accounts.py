"""Rows in = rows out by status, however cut into shards, killed, grown and tried again; no success is fetched twice."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_spark.datasets.manifest import Manifest
from clip_spark.errors import ResultError, SpecError
from clip_spark.pictures.download import step
from clip_spark.pictures.download.report import by_status
from tests.helpers_download import Web, download, fake_web, links, make_records, rows

NAMES = [f"{n}{kind}" for n in range(8) for kind in ("", "-again", "gone")]
ACTS = st.one_of(
    st.tuples(st.just("run"), st.none()),
    st.tuples(st.just("kill"), st.integers(0, 3)),
    st.tuples(st.just("retry"), st.sampled_from(["http", "all", "timeout"])),
    st.tuples(st.just("grow"), st.sets(st.sampled_from(NAMES), min_size=1, max_size=6)),
)


class Killed(BaseException):
    """The driver's end."""


def act(folder: Path, kind: str, value: Any, options: dict[str, Any], known: set[str]) -> Manifest | None:
    """What one command left; None if it was killed or refused."""
    if kind == "grow":
        known |= value
        make_records(folder / "records", links(*sorted(known)))
        return None
    again = {"retry_failed": (value,)} if kind == "retry" else {}
    with pytest.MonkeyPatch.context() as patch:
        if kind == "kill":

            def dying(_spark: Any, _step: str, items: Any, work: Any, **_more: Any) -> None:
                for item in list(items)[:value]:
                    work(item)
                raise Killed

            patch.setattr(step, "run_shards", dying)
        try:
            return download(folder, **options, **again)
        except (Killed, SpecError, ResultError):
            return None


def check(manifest: Manifest, known: set[str], web: Web, succeeded: set[str]) -> None:
    found = rows(manifest)  # each picture with its row, each row once
    wanted = {f"http://a/{name}": "http 404" if name.endswith("gone") else "ok" for name in known}
    assert found == wanted and manifest.rows == len(known)
    assert by_status(manifest) == Counter(wanted.values())
    assert not [url for url in succeeded if web[url]], "a success was fetched again"
    succeeded |= {url for url, status in found.items() if status == "ok"}
    web.clear()


@settings(max_examples=int(os.environ.get("DOWNLOAD_EXAMPLES", "8")), deadline=None)
@given(
    st.integers(0, 3),
    st.sets(st.sampled_from(NAMES), min_size=1, max_size=10),
    st.lists(ACTS, max_size=6),
    st.integers(1, 5),
    st.sampled_from([{}, {"dedup": "sha256"}, {"format": "parquet"}]),
)
def test_no_row_is_lost_doubled_or_fetched_again(
    kill_after: int, first: set[str], acts: list[tuple[str, Any]], shard_rows: int, options: dict[str, Any]
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        web, folder, known, succeeded = fake_web(patch), Path(place), {"0", *first}, set[str]()
        make_records(folder / "records", links(*sorted(known)))
        options = {**options, "shard_rows": shard_rows}
        act(folder, "kill", kill_after, options, known)
        made = download(folder, **options)
        assert max(web.values()) == 1, "what had come before the kill was fetched again"
        check(made, known, web, succeeded)
        for kind, value in [*acts, ("run", None)]:
            if (made := act(folder, kind, value, options, known)) is not None:  # type: ignore[assignment]
                check(made, known, web, succeeded)
