"""*Worker.* Texts of queries without torch, for models whose text tower was compared with the model itself here.

Whoever loads such a model on this machine compares `QueryTower` with it, once, and writes down what it needs. From
then on a search for a text starts in a fraction of a second; the answer is the same but for the last bits of float32.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np

from clip_spark.encoders.bpe import Bpe
from clip_spark.encoders.query_tower import QueryTower, TowerFacts
from clip_spark.encoders.tokens import BulkTokeniser
from clip_spark.storage.local_cache import cache_folder, remember, remembered_name

log = logging.getLogger(__name__)

COMPARED = (
    "a dog",
    "a photo of two red apples, on a table.",
    "New York",
    "Caf\u00e9 &amp; Stra\u00dfe \u2013 3 \u20ac!",
    "word " * 99,
)
FARTHEST = 1e-4
"""Most that a number of a vector of length 1 may differ by."""


class QueryTexts:
    """The text half of an encoder, for few texts; safe to use from many threads."""

    def __init__(self, facts: TowerFacts) -> None:
        self._tokenise, self._tower = BulkTokeniser(Bpe(), facts.context_length), QueryTower(facts)

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed n >= 1 texts, float32 (n, d), rows of length 1."""
        return np.stack([self._tower(ids) for ids in self._tokenise(texts).rows])


def load_query_texts(encoder: Mapping[str, Any]) -> QueryTexts | None:
    """*Worker.* The text half of a model, if this machine has compared it, and its weights have not changed since.

    Args:
        encoder: what an index says of its encoder.
    """
    with suppress(OSError, ValueError, TypeError, KeyError):
        facts = TowerFacts(**json.loads((cache_folder() / _name(encoder)).read_bytes()))
        status = os.stat(facts.path)
        if (status.st_size, status.st_mtime_ns) == (facts.size, facts.mtime_ns):
            return QueryTexts(facts)
    return None


def compare(encoder: Mapping[str, Any], facts: TowerFacts, exact: Callable[[Sequence[str]], np.ndarray]) -> None:
    """*Worker.* Write down the facts of a tower if its vectors are those of the model; once per machine and model.

    Args:
        encoder: the model's `info()`.
        facts: of its tower.
        exact: texts to the model's own vectors in fp32.
    """

    def decide() -> dict[str, Any]:
        try:
            farthest = float(np.abs(QueryTexts(facts).encode_texts(COMPARED) - exact(COMPARED)).max())
        except (OSError, ValueError, KeyError, IndexError, ImportError) as error:
            log.debug("queries of '%s' need the model itself: %s", encoder["model"], error)
            return {}
        return asdict(facts) if farthest < FARTHEST else {}

    def is_whole(found: Any) -> bool:
        return found == {} or (isinstance(found, dict) and found.get("mtime_ns") == facts.mtime_ns)

    remember(_name(encoder), decide, is_whole)


def _name(encoder: Mapping[str, Any]) -> str:
    return remembered_name("query-tower", [encoder["model"], encoder["weights_sha256"]])
