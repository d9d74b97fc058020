"""On the bundled pictures: corrected tags are better than those by cosine, and the obvious ways are worse."""

from __future__ import annotations

import io
import json
import re
import tarfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clip_spark.encoders import EncoderSpec, load_encoder
from clip_spark.index.build.build import build_index
from clip_spark.index.specs import IndexSpec
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import write_embeddings

EVERY = 4


def no_spark() -> Any:
    raise AssertionError("a small index needs no session")


def bundled() -> tuple[list[bytes], list[set[str]]]:
    """Every fourth bundled picture, and the words that are right for it."""
    members: dict[str, dict[str, bytes]] = {}
    for tar in sorted(path for path in (files("clip_spark.demo") / "pictures").iterdir() if path.name.endswith(".tar")):
        with tarfile.open(fileobj=io.BytesIO(tar.read_bytes())) as archive:
            for member in archive:
                stream = archive.extractfile(member)
                assert stream is not None
                key, _, ending = member.name.rpartition(".")
                members.setdefault(key, {})[ending] = stream.read()
    chosen = [members[key] for key in sorted(members)][::EVERY]
    about = [json.loads(one["json"]) for one in chosen]
    words = [set(re.findall(r"[a-z]+", f"{one['name']} {one['keywords']}".lower())) for one in about]
    return [one["png"] for one in chosen], words


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Searcher, np.ndarray, np.ndarray, np.ndarray]:
    """An index of words that half of the pictures has taught; both halves, and which words are right for the other."""
    folder: Path = tmp_path_factory.mktemp("answers")
    pictures, right = bundled()
    texts = sorted(set().union(*right))
    encoder = load_encoder(EncoderSpec("demo", "fp32"), None)
    vectors = encoder.encode_images([Image.open(io.BytesIO(data)).convert("RGB") for data in pictures])
    write_embeddings(folder / "texts", encoder.encode_texts(texts), texts, shard_rows=len(texts))
    taught, asked = vectors[::2], vectors[1::2]
    names = [f"{row}.png" for row in range(len(taught))]
    write_embeddings(folder / "pictures", taught, names, modality="image", shard_rows=len(taught))
    output = str(folder / "index")
    queries = str(folder / "pictures")
    build_index(
        no_spark, IndexSpec(embeddings=(str(folder / "texts"),), queries=queries, output=output, index_key="Flat")
    )
    truth = np.array([[word in one for word in texts] for one in right[1::2]])
    return Searcher.open(output), taught, asked, truth


def first_right(scores: np.ndarray, truth: np.ndarray) -> float:
    return float(truth[np.arange(len(truth)), scores.argmax(axis=1)].mean())


def test_corrected_tags_are_better_and_their_greatest_hub_is_smaller(tagged: Any) -> None:
    searcher, _, asked, truth = tagged
    raw, ours = (searcher.search_positions(asked, Wanted(k=10), kind=kind)[1] for kind in ("", "image"))
    hit = [np.take_along_axis(truth, found, 1) for found in (raw, ours)]
    assert hit[1][:, 0].mean() > hit[0][:, 0].mean() + 0.05
    assert hit[1][:, :5].mean() > hit[0][:, :5].mean() - 0.02  # words alone: lists stay as good, first tags get better
    assert np.bincount(ours.ravel()).max() < np.bincount(raw.ravel()).max()


def test_centring_minus_the_mean_and_z_scores_are_worse_than_plain_cosines(tagged: Any) -> None:
    searcher, taught, asked, truth = tagged
    texts = searcher.parts.vectors.take(np.arange(searcher.rows))
    scores, known = asked @ texts.T, taught @ texts.T
    middle = [rows - centre.mean(axis=0) for rows, centre in ((asked, taught), (texts, texts))]
    centred = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in middle]
    losing = {
        "centred": centred[0] @ centred[1].T,
        "minus the mean": scores - known.mean(axis=0),
        "z-score": (scores - known.mean(axis=0)) / known.std(axis=0),
    }
    ours = searcher.search_positions(asked, Wanted(k=1), kind="image")[1][:, 0]
    right = float(truth[np.arange(len(truth)), ours].mean())
    assert all(first_right(values, truth) < right for values in losing.values())
