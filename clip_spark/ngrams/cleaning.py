"""*Worker.* Which n-grams are dropped, and why: each has one reason, the first of REASONS that fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark import storage
from clip_spark.errors import InputError, SpecError, nearest
from clip_spark.specs.text import FilterSpec
from clip_spark.text import decode

REASONS = (
    "another order",
    "below min count",
    "not in the keep list",
    "in the drop list",
    "does not match",
    "too short or too long",
    "punctuation",
    "digits",
    "stop word",
)


@dataclass(frozen=True)
class Lists:
    """Words and n-grams that files or languages name, lower-cased where they are stop words; read on the driver."""

    stop_words: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    drop: frozenset[str] = frozenset()

    def is_stop_word(self, word: str) -> bool:
        """*Pure.* True whatever the case."""
        return word.lower() in self.stop_words


def read_lists(spec: FilterSpec) -> Lists:
    """*Driver.* The lists that a spec names.

    Raises:
        SpecError: there are no stop words for that language.
        InputError: a file is missing or empty.
    """
    stop_words = _stop_words(spec.stop_words) if spec.stop_words else frozenset()
    keep = _read_list(spec.keep_list, "keep-list") if spec.keep_list else frozenset()
    drop = _read_list(spec.drop_list, "drop-list") if spec.drop_list else frozenset()
    return Lists(stop_words, keep, drop)


def languages() -> dict[str, str]:
    """*Driver.* Language -> its bundled stop words, one per line."""
    folder = resources.files("clip_spark.ngrams") / "stop_words"
    return {
        file.name.removesuffix(".txt"): file.read_text("utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".txt")
    }


def _stop_words(name: str) -> frozenset[str]:
    bundled = languages()
    if name in bundled:
        return frozenset(bundled[name].split())
    if "/" not in name and "." not in name:
        listed = ", ".join(sorted(bundled))
        raise SpecError(f"--stop-words '{name}' is neither a file nor one of {listed}.{nearest(name, bundled)}")
    return frozenset(text.lower() for text in _read_list(name, "stop-words"))


def _read_list(uri: str, option: str) -> frozenset[str]:
    place = storage.absolute(uri)
    if not storage.exists(place):
        raise InputError(f"--{option} '{uri}' does not exist; give a file with one entry per line.")
    entries = frozenset(line.strip() for line in decode(storage.read_bytes(place)).split("\n")) - {""}
    if not entries:
        raise InputError(f"--{option} '{uri}' is empty; give a file with one entry per line.")
    return entries


def reasons(counts: pa.Table, spec: FilterSpec, lists: Lists) -> np.ndarray:
    """*Worker.* For each row the place of its reason in REASONS, or -1 if it is kept; int8 (rows,)."""
    rows = counts.num_rows
    found = np.full(rows, -1, np.int8)
    if not rows:
        return found
    texts = counts["text"].combine_chunks()
    for place, drop in enumerate(_checks(counts, texts, spec, lists)):
        if drop is not None:
            found[(found < 0) & drop] = place
    return found


def _checks(counts: pa.Table, texts: pa.Array, spec: FilterSpec, lists: Lists) -> list[np.ndarray | None]:
    """*Worker.* In the order of REASONS: which rows it drops, bool (rows,), or None where it is not asked for."""
    orders = counts["n"].to_numpy()
    lengths = pc.utf8_length(texts).to_numpy()
    words = _Words(texts, orders)
    return [
        ~np.isin(orders, spec.orders) if spec.orders else None,
        counts["count"].to_numpy() < spec.min_count,
        ~_is_in(texts, lists.keep) if lists.keep else None,
        _is_in(texts, lists.drop) if lists.drop else None,
        ~_matches(texts, spec.matching) if spec.matching else None,
        (lengths < spec.min_length) | ((lengths > spec.max_length) if spec.max_length else False),
        words.having(is_punctuation, spec.punctuation) if spec.punctuation != "keep" else None,
        words.having(str.isdigit, spec.digits) if spec.digits != "keep" else None,
        words.having(lists.is_stop_word, spec.stop_words_at) if lists.stop_words else None,
    ]


def is_punctuation(word: str) -> bool:
    """*Pure.* True for a token without a letter or digit."""
    return not any(map(str.isalnum, word))


def _is_in(texts: pa.Array, entries: frozenset[str]) -> np.ndarray:
    return pc.is_in(texts, pa.array(sorted(entries), pa.string())).to_numpy(zero_copy_only=False)


def _matches(texts: pa.Array, pattern: str) -> np.ndarray:
    search = re.compile(pattern).search
    return np.fromiter((search(text) is not None for text in texts.to_pylist()), bool, len(texts))


class _Words:
    """*Worker.* The words of n-grams, each different one looked at once."""

    def __init__(self, texts: pa.Array, orders: np.ndarray) -> None:
        words = pc.list_flatten(pc.split_pattern(texts, " ")).dictionary_encode()
        self._different = words.dictionary.to_pylist()
        self._codes = words.indices.to_numpy()
        self._starts = np.concatenate([[0], np.cumsum(orders)[:-1]])
        self._ends = self._starts + orders - 1

    def having(self, test: Callable[[str], bool], where: str) -> np.ndarray:
        """Rows with such a word at an edge, or anywhere; bool (rows,)."""
        found = np.fromiter(map(test, self._different), bool, len(self._different))[self._codes]
        if where == "edges":
            return found[self._starts] | found[self._ends]
        return np.logical_or.reduceat(found, self._starts)
