"""*Driver.* How two indices of the same records answer the same questions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark.analysis.compare.figures import FIRST, Found, found_of, margin
from clip_spark.analysis.migrate.questions import Question
from clip_spark.datasets import schema
from clip_spark.index.change.new_rows import IDS_AT_ONCE
from clip_spark.index.open.parts import MISSING
from clip_spark.index.open.records import RecordReader
from clip_spark.search.hits import Wanted
from clip_spark.search.searcher import Searcher

DEPTH = max(FIRST)
AT_ONCE = 256
"""Questions of one search."""


@dataclass(frozen=True)
class Answers:
    """What one index answered.

    Attributes:
        ids: record ids of the first ten of each question, best first.
        found: recall of the questions whose right answers are known, hubs of all; None where none are known.
        hub: share of questions that have the most frequent answer among their first ten.
        ms: milliseconds of one question, the model's share of it among them.
    """

    ids: list[list[str]]
    found: Found | None
    hub: float
    ms: float


def ask(searcher: Searcher, questions: Sequence[Question], text_column: str) -> Answers:
    """*Driver.* The first ten hits of each question, as the index ranks texts; a text is no hit of itself."""
    own, texts = searcher.info.modality == "text", [question.text for question in questions]
    columns = [name for name in (schema.RECORD_ID, text_column) if name in searcher.records.columns]
    searcher.encoder.encode_texts(texts[:1])
    began, hits = time.perf_counter(), []
    for start in range(0, len(texts), AT_ONCE):
        part = texts[start : start + AT_ONCE]
        vectors = searcher.encoder.encode_texts(part)
        hits += searcher.search(vectors, Wanted(k=DEPTH + own, columns=tuple(columns)), kind="text")
    ms = 1000 * (time.perf_counter() - began) / len(texts)
    rows = [
        [hit.record for hit in found if not own or hit.record.get("text") != question.text][:DEPTH]
        for found, question in zip(hits, questions, strict=True)
    ]
    return _figures(rows, questions, text_column, ms)


def _figures(
    rows: Sequence[Sequence[dict[str, Any]]], questions: Sequence[Question], text_column: str, ms: float
) -> Answers:
    ids = [[record[schema.RECORD_ID] for record in found] for found in rows]
    numbers: dict[str, int] = {}
    hits = np.full((len(rows), DEPTH), MISSING, np.int64)
    right = np.zeros((len(rows), DEPTH), bool)
    for at, (found, question) in enumerate(zip(rows, questions, strict=True)):
        for place, record in enumerate(found):
            name = record[schema.RECORD_ID]
            said = " ".join(str(record.get(text_column) or "").split())
            hits[at, place] = numbers.setdefault(name, len(numbers))
            right[at, place] = name in question.right or said in question.right
    known = np.array([bool(question.right) for question in questions])
    found_all = found_of(hits, right)
    return Answers(ids, found_of(hits[known], right[known]) if known.any() else None, found_all.hub, ms)


def in_common(first: Answers, second: Answers) -> float:
    """*Pure.* Share of the first ten of a question that both have, the mean over all questions."""
    pairs = zip(first.ids, second.ids, strict=True)
    shares = [len(set(one) & set(other)) / max(len(one), len(other), 1) for one, other in pairs]
    return float(np.mean(shares))


def row_of(model: str, searcher: Searcher, answers: Answers) -> dict[str, Any]:
    """*Pure.* The figures of one index, ready for JSON; recalls are None where nobody knows what is right."""
    found = answers.found
    recalls = {f"R@{k}": round(found.recall[k], 4) if found else None for k in FIRST}
    asked = len(found.first) if found else 0
    return {
        "model": model,
        **recalls,
        "R@1 ±": round(margin(found.recall[1], asked), 4) if found else None,
        "greatest hub": round(answers.hub, 4),
        "ms per query": round(answers.ms, 3),
        "records": searcher.rows,
        "bytes per vector": 4 * searcher.info.dim,
    }


def passes(first: Answers, second: Answers, bar: float) -> bool:
    """*Pure.* True if each recall of the second is at least this share of the first's; False where none is known."""
    if first.found is None or second.found is None:
        return False
    return all(second.found.recall[k] >= bar * first.found.recall[k] for k in FIRST)


def only_in(one: Searcher, other: Searcher) -> int:
    """*Driver.* How many live records one index has and the other has not; some millions of ids are in memory."""
    return sum(len(ids) - len(other.records.find_all(ids)) for ids in _live_ids(one))


def _live_ids(searcher: Searcher) -> Iterator[list[str]]:
    allowed, some = searcher.parts.allowed(None), list[str]()
    records: RecordReader = searcher.records
    for start, batch in records.batches():
        ids = batch.column(schema.RECORD_ID).to_pylist()
        mask = None if allowed is None else allowed.mask[start : start + len(ids)]
        live = ids if mask is None else [name for name, there in zip(ids, mask, strict=True) if there]
        some += filter(None, live)  # an erased record has no id
        if len(some) >= IDS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some
