"""Files that other programs leave beside an input change no plan; pictures: tests/helpers_growth_machine.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clip_spark.analysis import search_index, tag_images
from clip_spark.analysis.specs import SearchIndexSpec, TagSpec
from clip_spark.embed import texts
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.index.build.build import build_index
from clip_spark.index.build.index_plan import plan_index
from clip_spark.index.specs import IndexSpec
from clip_spark.texts.corpus import as_input, list_corpus
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

STRAYS = ("a.knn", "Thumbs.db", "desktop.ini", ".DS_Store")


def strew(folder: Path) -> None:
    """One of each in every folder."""
    for place in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        for name in STRAYS:
            (place / name).write_bytes(b"whatever")


@pytest.mark.parametrize("name", ["a.txt", "a.csv"])
def test_a_corpus_or_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("text,n\nhello,1\n")

    def found() -> Any:
        return as_input(list_corpus((str(tmp_path),)).files, (str(tmp_path),))

    before = found()
    strew(tmp_path)
    assert found() == before


def test_steps_that_read_datasets(tmp_path: Path) -> None:
    sets, index = (str(tmp_path / "emb"),), str(tmp_path / "index")
    write_embeddings(tmp_path / "emb", unit_vectors(20), numbered(20))
    write_embeddings(tmp_path / "pictures", unit_vectors(5), numbered(5, "p"), modality="image")
    build_index(lambda: None, IndexSpec(embeddings=sets, output=index))
    given: dict[str, Any] = {"output": str(tmp_path / "out")}

    def plans() -> list[str]:
        pictures = str(tmp_path / "pictures")
        return [
            texts.plan_tasks(EmbedTextSpec(records=sets, **given)).plan.fingerprint,
            plan_index(IndexSpec(embeddings=sets, **given)).as_plan.fingerprint,
            search_index.plan_tasks(SearchIndexSpec(queries=pictures, index=index, **given)).plan.fingerprint,
            tag_images.plan_tasks(TagSpec(embeddings=pictures, index=index, **given)).plan.fingerprint,
        ]

    before = plans()
    strew(tmp_path)
    assert plans() == before
