"""*Driver.* A sample of pictures that have a text, chosen by chance from all inputs in one pass over them."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from clip_spark import storage
from clip_spark.analysis.compare.spec import STEM, CompareSpec
from clip_spark.pictures.find import FoundPictures
from clip_spark.pictures.items import Item, Picture, Unreadable
from clip_spark.pictures.plain_text import value_at
from clip_spark.pictures.sources import FileEntry, FilesPart


@dataclass(frozen=True)
class Sample:
    """Pictures as files in memory, in the order of their URIs, and the text of each.

    Attributes:
        left_out: why pictures were none to choose from, with counts.
    """

    pictures: list[Picture]
    texts: list[str]
    left_out: Counter[str] = field(default_factory=Counter)


def read_sample(found: FoundPictures, spec: CompareSpec) -> Sample:
    """*Worker.* The pictures with the least hashes among those with a text: the same ones wherever they lie in a list.

    Single files are read only if they may be chosen. Tars and parquet files are read from start to end; what is kept
    of them is never more than the sample.
    """
    kept: list[tuple[int, str, Picture, str]] = []
    left_out: Counter[str] = Counter()
    for item in _items(found):
        key = -_hash(spec.seed, item.uri) if isinstance(item, (FileEntry, Picture)) else 0
        if isinstance(item, FileEntry):
            if len(kept) == spec.sample and key < kept[0][0]:
                continue
            item = item.load()
        if isinstance(item, Unreadable):
            left_out[item.reason] += 1
        elif isinstance(item, Picture):
            text = text_of(item, spec.text)
            if not text:
                left_out["no text"] += 1
            elif len(kept) < spec.sample:
                heapq.heappush(kept, (key, item.uri, item, text))
            else:
                heapq.heappushpop(kept, (key, item.uri, item, text))
    chosen = sorted(kept, key=lambda row: row[1])
    return Sample([row[2] for row in chosen], [row[3] for row in chosen], left_out)


def _items(found: FoundPictures) -> Iterator[FileEntry | Item]:
    if found.files:
        yield from FilesPart(found.files).read()
    for archive in found.archives:
        yield from archive.read()


def _hash(seed: int, uri: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {uri}".encode("utf-8", "replace"), digest_size=8).digest(), "big")


def text_of(picture: Picture, key: str) -> str:
    """*Pure.* What a picture shows in words: its caption, its file's name, or a value beside it; empty for none."""
    if key == STEM:
        name = PurePosixPath(storage.name(picture.uri.split("::", 1)[0])).stem
        return " ".join(name.replace("_", " ").replace("-", " ").split())
    metadata = json.loads(picture.metadata) if picture.metadata else {}
    value = picture.caption if key == "caption" else value_at(metadata, key)
    return " ".join(str(value).split()) if value is not None else ""
