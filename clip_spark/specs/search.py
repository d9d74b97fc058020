"""*Pure.* Specs of build-index, search and tag-images."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clip_spark.errors import SpecError
from clip_spark.specs.base import Spec, check_at_least, check_choice, check_not_empty, option

METRICS = ("ip", "l2")
MOST_PARTS = 100
"""autofaiss merges what it added into 100 files first, and fails when more are to be kept."""
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def memory_bytes(name: str, text: str) -> int:
    """*Pure.* Bytes of `16G`, `512M`, `1.5GB` or a plain number; raises SpecError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", text.strip().upper())
    if not found or float(found[1]) == 0:
        raise SpecError(f"--{name} is '{text}'; give a size such as 512M or 16G.")
    return int(float(found[1]) * UNITS[found[2]])


def task_bytes(text: str) -> int:
    """*Pure.* Most bytes of a part, or of the training sample, with --max-build-memory `text`: the half of it,
    for as much again is needed to work on it; raises SpecError for less than 512M."""
    memory = memory_bytes("max-build-memory", text)
    if memory < 512 << 20:
        raise SpecError(f"--max-build-memory is '{text}'; it must be at least 512M.")
    return memory // 2


@dataclass(frozen=True, kw_only=True)
class IndexSpec(Spec):
    """build-index: embeddings -> index."""

    embeddings: str = option("dataset of embeddings (URI)", content=False)
    parts: int = option("Faiss files of the index; 0 chooses from the number of vectors", 0)
    recall: float = option("recall@10 against exact search that the search parameters must reach", 0.95)
    max_index_memory: str = option("memory that the index may take when it is searched, such as 16G", "16G")
    max_query_ms: float = option("milliseconds that a query may take; recall comes first, and a warning says so", 10.0)
    max_build_memory: str = option("memory of each task and of the driver while it is built, such as 4G", "4G")
    metric: str = option("ip (inner product, which is the cosine) or l2", "ip")
    index_key: str = option("Faiss index factory key; empty chooses from size and memory", "")
    queries: str = option("embeddings of the other kind (URI) to tune cross-modal recall with", "", content=False)
    seed: int = option("seed of the training sample and the test queries", 0)
    append: bool = option("add the embeddings to the index in --output, without training again", False, content=False)

    def __post_init__(self) -> None:
        check_choice("metric", self.metric, METRICS)
        check_at_least("parts", self.parts, 0)
        if self.parts > MOST_PARTS:
            raise SpecError(f"--parts is {self.parts}; at most {MOST_PARTS} are possible.")
        if not 0 < self.recall <= 1:
            raise SpecError(f"--recall is {self.recall}; it must be above 0 and at most 1.")
        if self.max_query_ms <= 0:
            raise SpecError(f"--max-query-ms is {self.max_query_ms}; it must be above 0.")
        memory_bytes("max-index-memory", self.max_index_memory)
        task_bytes(self.max_build_memory)


@dataclass(frozen=True, kw_only=True)
class TagSpec(Spec):
    """tag-images: image embeddings x text index -> tags."""

    embeddings: str = option("dataset of image embeddings (URI)", content=False)
    index: str = option("index of texts (URI)", content=False)
    k: int = option("tags per image", 10)
    quotas: tuple[str, ...] = option("instead of -k: tags of each n-gram order, such as 1:5,2:3,3:2", ())
    threshold: float = option("least score (cosine) of a tag", -1.0)
    where: str = option("SQL condition on the texts' columns that says which may be tags", "")
    unique: float = option("drop tags whose cosine with a better one is at least this; 0 keeps all", 0.0)
    jsonl: bool = option("also write the tags as jsonl/00000.jsonl ..., one line per picture", False)
    sidecars: bool = option("also write <stem>.knn beside each picture, as clip-grams does", False)

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1)
        parse_quotas(self.quotas)


def parse_quotas(quotas: tuple[str, ...]) -> dict[int, int]:
    """*Pure.* {order: tags} of `1:5,2:3`; raises SpecError for anything else."""
    found = [re.fullmatch(r"(\d+):(\d+)", quota.strip()) for quota in quotas]
    pairs = [(int(match[1]), int(match[2])) for match in found if match]
    if len(pairs) != len(quotas) or any(count < 1 for _, count in pairs) or len(dict(pairs)) != len(pairs):
        raise SpecError(f"--quotas is '{','.join(quotas)}'; give ORDER:TAGS pairs, each order once, such as 1:5,2:3.")
    return dict(pairs)


@dataclass(frozen=True, kw_only=True)
class SearchIndexSpec(Spec):
    """search-index: queries x index -> hits."""

    queries: str = option("dataset of embeddings (URI); each is a query", content=False)
    index: str = option("index to search (URI)", content=False)
    k: int = option("hits per query", 10)
    threshold: float = option("least score (cosine) of a hit", -1.0)
    where: str = option("SQL condition on the records' columns", "")
    unique: float = option("drop hits whose cosine with a better one is at least this; 0 keeps all", 0.0)
    columns: tuple[str, ...] = option("columns of the records to copy to the hits, such as text or uri,caption", ())

    def __post_init__(self) -> None:
        check_at_least("k", self.k, 1)


@dataclass(frozen=True, kw_only=True)
class DescribeSpec(Spec):
    """describe-set: how a set of images as a whole is described by each class of text."""

    embeddings: str = option("dataset of image embeddings (URI)", content=False)
    index: str = option("index of texts (URI)", content=False)
    classes: str = option("column of the texts that says their class, such as n (the n-gram order)", "n")
    top: int = option("tags listed per class", 20)
    examples: int = option("pictures shown per tag", 3)
    where: str = option("SQL condition on the texts' columns that says which may be tags", "")

    def __post_init__(self) -> None:
        check_at_least("top", self.top, 1)
        check_at_least("examples", self.examples, 0)


SAVED, SHEETS = ("jsonl", "csv", "parquet"), ("html", "png")


@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """search: query -> hits, in the terminal."""

    index: str = option("index to search (URI)")
    text: str = option("search for a text", "")
    image: str = option("search for a picture (path or URI)", "")
    like: str = option("search for what is like a record of the index (its record_id)", "")
    query: str = option('weighted query, such as \'"beach" + 0.5 * sea.jpg - "people"\'', "")
    batch: str = option("file with one text to search for per line, or a .npy with one embedding per row", "")
    k: int = option("hits per query", 10)
    offset: int = option("leave out so many hits at the beginning", 0)
    threshold: float = option("least score (cosine) of a hit", -1.0)
    where: str = option("SQL condition on the records' columns, such as \"n = 2 and text like '%dog%'\"", "")
    unique: float = option("drop hits whose cosine with a better one is at least this, such as 0.95; 0 keeps all", 0.0)
    columns: tuple[str, ...] = option("columns of the records to show and save; empty means all", ())
    save: str = option("also write the hits to a file: .jsonl, .csv or .parquet", "")
    show: str = option("also write a contact sheet of the hits' pictures: .html or .png", "")
    verify: bool = option("read the whole index first and compare its hashes", False)

    def __post_init__(self) -> None:
        check_not_empty("index", self.index)
        check_at_least("k", self.k, 1)
        check_at_least("offset", self.offset, 0)
        ways = ("text", "image", "like", "query", "batch")
        given = [name for name in ways if getattr(self, name)]
        if len(given) != 1:
            found = "none" if not given else " and ".join(f"--{name}" for name in given)
            raise SpecError(f"Give one of {', '.join(f'--{name}' for name in ways)}; found {found}.")
        if self.save:
            check_choice("save", self.save.rsplit(".", 1)[-1], SAVED)
        if self.show:
            check_choice("show", self.show.rsplit(".", 1)[-1], SHEETS)


@dataclass(frozen=True, kw_only=True)
class RemoveSpec:
    """remove-records: take records of an index down, at once and for good."""

    index: str = option("index (URI)")
    ids: tuple[str, ...] = option("record ids to remove", ())
    where: str = option("SQL condition on the records' columns that says which to remove", "")
    compact: bool = option("also erase all removed records and vectors from the index files", False)

    def __post_init__(self) -> None:
        check_not_empty("index", self.index)
        if not (self.ids or self.where or self.compact):
            raise SpecError("Give --ids, --where or --compact; none was found.")
