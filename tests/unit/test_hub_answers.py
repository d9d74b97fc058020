"""On the bundled pictures: corrected tags are no worse than those by cosine, and better where there are hubs."""

from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import dataclass, replace
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
LEAN, LEANT_TO = 1.0, 20
"""How far pictures are moved towards the mean of so many texts, as models that have hubs do."""


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


@dataclass(frozen=True)
class Tagged:
    """Words, both halves of the pictures, and which words are right for the second."""

    texts: np.ndarray
    taught: np.ndarray
    asked: np.ndarray
    truth: np.ndarray

    def index(self, folder: Path) -> Searcher:
        """An index of the words that the first half has taught."""
        write_embeddings(folder / "texts", self.texts, [f"{row}" for row in range(len(self.texts))])
        write_embeddings(
            folder / "pictures", self.taught, [f"{row}.png" for row in range(len(self.taught))], modality="image"
        )
        queries, output = str(folder / "pictures"), str(folder / "index")
        build_index(
            no_spark, IndexSpec(embeddings=(str(folder / "texts"),), queries=queries, output=output, index_key="Flat")
        )
        return Searcher.open(output)

    def tags(self, searcher: Searcher) -> tuple[np.ndarray, np.ndarray]:
        """The first ten of each picture by cosine, and corrected."""
        raw, ours = (searcher.search_positions(self.asked, Wanted(k=10), kind=kind)[1] for kind in ("", "image"))
        return raw, ours

    def precision(self, found: np.ndarray, k: int) -> float:
        """The share of right ones among the first k."""
        return float(np.take_along_axis(self.truth, found[:, :k], 1).mean())


@pytest.fixture(scope="module")
def tagged() -> Tagged:
    """By the demo's model."""
    pictures, right = bundled()
    texts = sorted(set().union(*right))
    encoder = load_encoder(EncoderSpec("demo", "fp32"), None)
    vectors = encoder.encode_images([Image.open(io.BytesIO(data)).convert("RGB") for data in pictures])
    truth = np.array([[word in one for word in texts] for one in right[1::2]])
    return Tagged(encoder.encode_texts(texts), vectors[::2], vectors[1::2], truth)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_where_pictures_lean_to_some_texts_corrected_tags_are_better_and_hubs_smaller(
    tagged: Tagged, tmp_path: Path
) -> None:
    lean = LEAN * unit(tagged.texts[:LEANT_TO].mean(axis=0, keepdims=True))
    leaning = replace(tagged, taught=unit(tagged.taught + lean), asked=unit(tagged.asked + lean))
    raw, ours = leaning.tags(leaning.index(tmp_path))
    assert leaning.precision(ours, 1) > leaning.precision(raw, 1) + 0.05
    assert leaning.precision(ours, 5) > leaning.precision(raw, 5)
    assert np.bincount(ours.ravel()).max() < np.bincount(raw.ravel()).max()


def test_where_hubs_do_no_harm_tags_stay_as_good(tagged: Tagged, tmp_path: Path) -> None:
    raw, ours = tagged.tags(tagged.index(tmp_path))
    assert tagged.precision(ours, 1) >= tagged.precision(raw, 1)
    assert tagged.precision(ours, 5) >= tagged.precision(raw, 5)


def test_centring_minus_the_mean_and_z_scores_are_worse_than_plain_cosines(tagged: Tagged) -> None:
    texts, taught, asked = tagged.texts, tagged.taught, tagged.asked
    scores, known = asked @ texts.T, taught @ texts.T
    losing = {
        "centred": unit(asked - taught.mean(axis=0)) @ unit(texts - texts.mean(axis=0)).T,
        "minus the mean": scores - known.mean(axis=0),
        "z-score": (scores - known.mean(axis=0)) / known.std(axis=0),
    }
    plain, *others = (tagged.precision(np.argsort(-each, axis=1), 5) for each in (scores, *losing.values()))
    assert all(other < plain for other in others)
