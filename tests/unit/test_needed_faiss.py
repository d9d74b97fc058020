"""An index that needs a later Faiss than the one here is said to, and not to be damaged."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clip_spark.analysis.own_recall import measure_own
from clip_spark.analysis.publish.contents import Contents
from clip_spark.datasets.manifest import MANIFEST
from clip_spark.errors import UserError
from clip_spark.index.build.build import build_index
from clip_spark.index.change.calibrate import calibrate_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.files import needed_faiss
from clip_spark.index.specs import CalibrateSpec, IndexSpec, RemoveSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings
from tests.helpers_pieces import write_listed

ROWS, DIM = 600, 32
NEEDS = r"\(RR32,IVF4,RaBitQ\) needs faiss-cpu>=1\.11, and the Faiss here is 1\.10\.0; install that"


def no_spark():
    raise AssertionError("it is said before a session starts")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One whose key says RaBitQ, which is all that is known before a part is opened, where Faiss has none."""
    uri = write_listed(tmp_path, unit_vectors(ROWS, DIM), "IVF4,SQ8", parts=1)
    place = Path(uri, MANIFEST)
    found = json.loads(place.read_text())
    place.write_text(json.dumps({**found, "extra": {**found["extra"], "key": "RR32,IVF4,RaBitQ"}}))
    monkeypatch.setattr(needed_faiss, "has_rabitq", lambda: False)
    monkeypatch.setattr(needed_faiss, "load_faiss", lambda: SimpleNamespace(__version__="1.10.0"))
    return uri


def test_searches_say_what_to_install(index: str) -> None:
    with pytest.raises(UserError, match=NEEDS):
        Searcher.open(index)
    with pytest.raises(UserError, match=NEEDS):
        Contents(index)


def test_jobs_say_so_on_the_driver_before_any_work(tmp_path: Path, index: str) -> None:
    more = str(tmp_path / "more")
    write_embeddings(Path(more), unit_vectors(50, DIM, seed=3), [f"more {text}" for text in numbered(50)])
    with pytest.raises(UserError, match=NEEDS):
        measure_own(no_spark, "search-index", more, index, 10)
    with pytest.raises(UserError, match=NEEDS):
        build_index(no_spark, IndexSpec(embeddings=(more,), output=index, append=True))
    with pytest.raises(UserError, match=NEEDS):
        calibrate_index(no_spark, CalibrateSpec(index=index, queries=more))


def test_records_are_taken_down_all_the_same_and_nothing_is_where_they_cannot_be_erased(index: str) -> None:
    for option in ("compact", "verify"):
        with pytest.raises(UserError, match=NEEDS):
            remove_records(no_spark, RemoveSpec(index=index, where="text = 'text 3'", **{option: True}))
    rows = dict(remove_records(no_spark, RemoveSpec(index=index, where="text = 'text 3'")).rows)
    assert rows["removed now"] == 1


def test_other_kinds_and_a_faiss_that_will_do_are_no_matter(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    assert not needed_faiss.lacking("OPQ8_32,IVF4,PQ8x8")
    monkeypatch.setattr(needed_faiss, "has_rabitq", lambda: True)
    assert not needed_faiss.lacking("RR32,IVF4,RaBitQ")
    with Searcher.open(index) as searcher:
        assert len(searcher.search_embedding(np.eye(DIM, dtype=np.float32)[0], 5)) == 5
