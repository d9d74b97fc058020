"""Banks from a user's own files to tags and a described set: folders of lists, records, embeddings, index, Spark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip_spark.analysis.describe.step import describe_set
from clip_spark.analysis.specs import DescribeSpec, TagSpec
from clip_spark.analysis.tag_images import tag_images
from clip_spark.datasets.manifest import Manifest
from clip_spark.embed.specs import EmbedTextSpec
from clip_spark.embed.texts import embed_text
from clip_spark.errors import SpecError
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.search.searcher import Searcher
from clip_spark.texts.make_records import make_records
from clip_spark.texts.specs import RecordsSpec
from tests.helpers_embeddings import write_embeddings

pytestmark = pytest.mark.spark
BANKS = {
    "medium": ["oil painting", "photo", "sketch", "mosaic"],
    "style": ["cubism", "pixel art", "baroque", "art deco", "minimalism"],
    "colour": ["red", "blue", "a pale green"],
    "place": ["Rome", "a beach", "forest", "kitchen"],
}
PICTURES = ["a red heart", "sunny beach", "green tree", "fried egg", "blue whale"]
QUOTAS = {"medium": 1, "style": 3, "place": 2}
"""No quota, no tags: colours are left out."""


@pytest.fixture(scope="module")
def folder(spark, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the banks, and five pictures that lie where texts do."""
    folder = tmp_path_factory.mktemp("banks")
    for bank, texts in BANKS.items():
        (folder / "banks" / f"bank={bank}").mkdir(parents=True)
        (folder / "banks" / f"bank={bank}" / "list.txt").write_text("\n".join(texts) + "\n")
    make_records(lambda: spark, RecordsSpec(rows=(f"{folder}/banks",), output=f"{folder}/records"))
    embed_text(lambda: spark, EmbedTextSpec(records=(f"{folder}/records",), output=f"{folder}/texts"))
    build_index(lambda: spark, IndexSpec(embeddings=(f"{folder}/texts",), output=f"{folder}/index"))
    with Searcher.open(f"{folder}/index") as searcher:
        vectors = np.stack([searcher.embed_text(text) for text in PICTURES])
        encoder = searcher.info.encoder
    names = [f"{folder}/{text}.png" for text in PICTURES]
    write_embeddings(folder / "pictures", vectors, names, modality="image", shard_rows=2, encoder=encoder)
    return folder


def nearest(folder: Path) -> dict[tuple[str, str], list[str]]:
    """(picture, bank) -> its texts by cosine, best first: brute force over the embeddings of the banks."""
    with Searcher.open(f"{folder}/index") as searcher:
        pictures = np.stack([searcher.embed_text(text) for text in PICTURES])
        texts = {bank: np.stack([searcher.embed_text(text) for text in mine]) for bank, mine in BANKS.items()}
    return {
        (picture, bank): [BANKS[bank][at] for at in np.argsort(-(texts[bank] @ vector), kind="stable")]
        for picture, vector in zip(PICTURES, pictures, strict=True)
        for bank in BANKS
    }


def rows_of(manifest: Manifest, part: str) -> list[dict[str, object]]:
    """All rows of one folder, with the pictures' names in place of their URIs."""
    rows = pa.concat_tables([pq.read_table(uri) for uri in manifest.files(part)]).to_pylist()
    return [{**row, "uri": Path(row["uri"]).stem} for row in rows]


def test_each_picture_is_tagged_from_each_bank_by_its_quota(spark, folder: Path) -> None:
    quotas = tuple(f"{bank}:{tags}" for bank, tags in QUOTAS.items())
    spec = TagSpec(
        embeddings=f"{folder}/pictures",
        index=f"{folder}/index",
        output=f"{folder}/tags",
        classes="bank",
        quotas=quotas,
        jsonl=True,
    )
    rows, expected = rows_of(tag_images(lambda: spark, spec), "tags"), nearest(folder)
    found = {
        (picture, bank): [row["text"] for row in rows if (row["uri"], row["class"]) == (picture, bank)]
        for picture in PICTURES
        for bank in BANKS
    }
    assert found == {key: texts[: QUOTAS.get(key[1], 0)] for key, texts in expected.items()}
    lines = "".join(path.read_text() for path in sorted((folder / "tags" / "jsonl").iterdir())).splitlines()
    tags = [[tag["class"] for tag in json.loads(line)["tags"]] for line in lines]
    assert [sorted(classes) for classes in tags] == [["medium", "place", "place", "style", "style", "style"]] * 5


def test_a_set_is_described_by_each_bank(spark, folder: Path) -> None:
    described = f"{folder}/described"
    options = {"embeddings": f"{folder}/pictures", "index": f"{folder}/index", "classes": "bank"}
    spec = DescribeSpec(output=described, quotas=("medium:1", "place:3"), **options)
    rows, expected = rows_of(describe_set(lambda: spark, spec), "best"), nearest(folder)
    assert {(row["uri"], row["class"]): [row["text"]] for row in rows} == {
        (picture, bank): texts[:1] for (picture, bank), texts in expected.items() if bank in ("medium", "place")
    }
    summary = json.loads((folder / "described" / "summary.json").read_text())["classes"]
    listed = {each["class"]: len(each["tags"]) for each in summary}
    firsts = {bank: {expected[picture, bank][0] for picture in PICTURES} for bank in ("medium", "place")}
    assert listed == {"medium": 1, "place": min(3, len(firsts["place"]))}
    with pytest.raises(SpecError, match="'colours' that --quotas names; there are: .*Did you mean 'colour'"):
        describe_set(lambda: spark, DescribeSpec(output=f"{folder}/x", quotas=("colours:1",), **options))
