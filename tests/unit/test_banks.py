"""Banks of a user's own, such as mediums and styles, are classes with quotas: by a column of the texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clip_spark.analysis.classes import check_classes
from clip_spark.analysis.specs import DescribeSpec, TagSpec
from clip_spark.analysis.tag_images import plan_tasks, searches, tag_block, tag_lines
from clip_spark.datasets import schema
from clip_spark.datasets.embeddings import embedding_table
from clip_spark.datasets.plan import Plan
from clip_spark.datasets.run import begin_run
from clip_spark.datasets.shards import ShardWriter
from clip_spark.errors import InputError, SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import ENCODER, FakeSpec, numbered, unit_vectors, write_embeddings

BANKS = ("medium", "style", "it's, a: place", None)
TEXTS, VECTORS, PICTURES = [f"text {at}" for at in range(60)], unit_vectors(60, seed=1), unit_vectors(6, seed=2)
BANK = [BANKS[at % 4] for at in range(60)]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Texts of three banks and of none."""
    folder = tmp_path_factory.mktemp("banks")
    run = begin_run(str(folder / "emb"), Plan.of("embeddings", FakeSpec(output="o"), {}, 1), overwrite=False)
    records = pa.table({"record_id": [schema.record_id(text) for text in TEXTS], "text": TEXTS, "bank": BANK})
    with ShardWriter(
        run.output, run.plan.fingerprint, 0, {"embeddings": schema.EMBEDDINGS, "records": records.schema}
    ) as writer:
        writer.write("embeddings", embedding_table(records["record_id"].to_pylist(), VECTORS))
        writer.write("records", records)
        writer.finish()
    run.commit({"encoder": ENCODER, "modality": "text", "dim": VECTORS.shape[1]})
    spec = IndexSpec(embeddings=(str(folder / "emb"),), output=str(folder / "index"))
    return build_index(lambda: pytest.fail("no session"), spec).uri


def spec_of(index: str, **options: Any) -> TagSpec:
    return TagSpec(embeddings="e", index=index, output="o", **{"classes": "bank", **options})


def test_each_bank_gives_the_tags_of_its_quota(index: str) -> None:
    spec = spec_of(index, quotas=("medium:2", "it's, a: place:3"))
    pictures = pa.table({"record_id": numbered(6), "uri": [f"{at}.jpg" for at in range(6)]})
    with Searcher.open(index) as searcher:
        table = tag_block(searcher, pictures, PICTURES, searches(spec), spec.classes)
    scores = PICTURES @ VECTORS.T
    for picture in range(6):
        mine = table.slice(5 * picture, 5).to_pylist()
        for bank, quota in (("medium", 2), ("it's, a: place", 3)):
            expected = [TEXTS[at] for at in np.argsort(-scores[picture]) if BANK[at] == bank][:quota]
            assert [row["text"] for row in mine if row["class"] == bank] == expected
        assert [row["rank"] for row in mine] == [1, 2, 3, 4, 5]
    assert '"class": "medium"' in tag_lines(table)[0] and table.column("n").null_count == 30


def test_a_condition_holds_in_each_bank(index: str) -> None:
    spec = spec_of(index, quotas=("medium:2", "style:1"), where="text <> 'text 4'")
    with Searcher.open(index) as searcher:
        table = tag_block(
            searcher, pa.table({"record_id": ["4"], "uri": ["4.jpg"]}), VECTORS[4:5], searches(spec), spec.classes
        )
    assert "text 4" not in table.column("text").to_pylist() and table.num_rows == 3


def test_a_bank_that_does_not_exist_is_told_before_a_session(index: str, tmp_path: Path) -> None:
    write_embeddings(tmp_path / "p", PICTURES, numbered(6), modality="image")
    with pytest.raises(SpecError, match="'styel' that --quotas names; there are: .*Did you mean 'style'"):
        plan_tasks(
            TagSpec(embeddings=str(tmp_path / "p"), index=index, output="o", classes="bank", quotas=("styel:1",))
        )
    with pytest.raises((InputError, SpecError), match="bonk"):
        plan_tasks(
            TagSpec(embeddings=str(tmp_path / "p"), index=index, output="o", classes="bonk", quotas=("style:1",))
        )
    with Searcher.open(index) as searcher:
        check_classes(searcher.records, "bank", ["style", "medium"])


@pytest.mark.parametrize(
    "options",
    [
        {"quotas": ("style",)},
        {"quotas": ("style:0",)},
        {"quotas": ("style:1", "style:2")},
        {"quotas": ()},
        {"classes": "n", "quotas": ("style:1",)},
        {"quotas": (":1",)},
    ],
)
def test_quotas_that_say_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="--quotas"):
        spec_of("i", **options)


def test_describe_set_takes_quotas_too() -> None:
    assert DescribeSpec(embeddings="e", index="i", output="o", classes="bank", quotas=("style:3",)).quotas == (
        "style:3",
    )
    with pytest.raises(SpecError, match="--quotas"):
        DescribeSpec(embeddings="e", index="i", output="o", quotas=("style",))
