"""*Driver.* What both indices are asked: texts of the user's own file, or what a sample of the records says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clip_spark import storage
from clip_spark.analysis.migrate.spec import MOST, MigrateSpec
from clip_spark.datasets import schema
from clip_spark.errors import InputError
from clip_spark.search.searcher import Searcher

DRAWN = 20
"""Positions that are looked at for one record with a text."""


@dataclass(frozen=True)
class Question:
    """A text and what is a right answer to it.

    Attributes:
        right: record ids, or the text itself where each record that says the same is one; empty if nobody knows.
    """

    text: str
    right: frozenset[str] = frozenset()


def read_questions(spec: MigrateSpec, first: Searcher) -> list[Question]:
    """*Driver.* Those of the file, else those of a sample; raises InputError where there are none."""
    found = _of_file(spec.queries) if spec.queries else _of_records(first, spec)
    if not found:
        raise InputError(
            f"There is nothing to ask: {spec.queries or first.manifest.uri!r} has no "
            f"{'line' if spec.queries else f'record with a {spec.text_column!r}'}. Give --queries FILE, one text on a "
            "line, or another --text-column."
        )
    return found


def _of_file(uri: str) -> list[Question]:
    try:
        lines = storage.read_text(uri).splitlines()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(f"--queries '{uri}' is no file; give one with a text on each line.") from error
    asked: dict[str, set[str]] = {}
    for line in lines:
        text, *ids = (part.strip() for part in line.split("\t"))
        if text:
            asked.setdefault(text, set()).update(filter(None, ids))
    if len(asked) > MOST:
        raise InputError(f"--queries '{uri}' has {len(asked):,} texts; at most {MOST:,} are asked.")
    return [Question(text, frozenset(ids)) for text, ids in asked.items()]


def _of_records(first: Searcher, spec: MigrateSpec) -> list[Question]:
    """Texts of live records, each once. What a record of an index of texts says finds itself: that proves nothing."""
    if spec.text_column not in first.records.columns:
        return []
    rows = first.parts.rows
    drawn = np.random.default_rng(spec.seed).choice(rows, min(rows, spec.sample * DRAWN), replace=False)
    allowed = first.parts.allowed(None)
    drawn = drawn if allowed is None else drawn[allowed.mask[drawn]]
    found = first.records.take(drawn, [schema.RECORD_ID, spec.text_column]).to_pydict()
    said = [" ".join(str(value or "").split()) for value in found[spec.text_column]]
    texts = list(dict.fromkeys(filter(None, said)))[: spec.sample]
    labelled = first.info.modality != "text"
    return [Question(text, frozenset([text]) if labelled else frozenset()) for text in texts]
