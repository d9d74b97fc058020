"""One word per idea: the names that the code defines use the words of the table in clip_spark/README.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "clip_spark").rglob("*.py"), *(ROOT / "jobs").glob("*.py")])
PUBLIC = {
    "EmbedImagesSpec": "a spec's name is in the fingerprint of every plan",
    "download_images": "a command",
    "embed_images": "a command",
    "encode_images": "a public method of the encoder, beside open_clip's encode_image",
    "image": "an option of search, and PIL's word for decoded pixels",
    "image_column": "an option of embed-images",
    "image_id": "a column of tags",
    "image_size": "an option of download-images, as img2dataset calls it",
    "images": "an option of embed-images, plan, demo and compare-models",
    "min_image_size": "an option of download-images, as img2dataset calls it",
    "tag_images": "a command",
}
"""Names with `image` that are public, or somebody else's, and why they stay."""
IMAGE_FILES = {
    "image": ("api/index.py", "api/pair.py", "search/spec.py", "web/", "pictures/", "encoders/"),
    "images": ("commands/estimate_spec.py", "embed/specs.py", "jobs/demo.py", "encoders/", "analysis/compare/"),
}
"""Where the two short ones may be defined."""
WIRE = ("web/asked.py", "web/answers.py")
"""Files whose fields are clip-retrieval's wire names."""
OTHER_WORDS = {
    "picture": ("photo", "photos", "img", "imgs", "pic", "pics"),
    "line": ("document", "documents", "doc", "docs"),
    "ngram": ("gram", "grams"),
    "embedding": ("emb", "embs", "vec", "vecs"),
    "artefact": ("artifact", "artifacts"),
    "score": ("similarity", "similarities"),
    "tokenise": ("tokenize", "tokenized", "tokenizes", "tokenization", "tokenisation"),
    "reject": ("discard", "discarded"),
    "receipt": ("marker", "checkpoint"),
}
"""The word, and what is not to be said in its place."""
DEFINED = {"__doc__", "step_doc"}  # Python's own word


def defined(path: Path) -> Iterator[str]:
    """Names that a file defines: itself, classes, functions, parameters, variables and attributes."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def words(name: str) -> list[str]:
    """`read`, `many`, `rows` of `readMany_rows`."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_use_the_words_of_the_table(path: Path) -> None:
    for name in set(defined(path)) - DEFINED:
        for word, others in OTHER_WORDS.items():
            assert not set(words(name)) & set(others), f"{path.name} defines '{name}'; the word is {word}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_say_picture(path: Path) -> None:
    place = str(path.relative_to(ROOT)).removeprefix("clip_spark/")
    for name in defined(path):
        if {"image", "images"} & set(words(name)) and place not in WIRE:
            assert name in PUBLIC, f"{place} defines '{name}'; the word is picture"
            files = IMAGE_FILES.get(name, (place,))
            assert place.startswith(files), f"{place} defines '{name}'; the word is picture"


def test_the_exceptions_are_still_needed() -> None:
    found = {name for path in SOURCES for name in defined(path)}
    assert set(PUBLIC) <= found, set(PUBLIC) - found
