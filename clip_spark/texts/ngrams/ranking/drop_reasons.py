"""*Worker.* Which n-grams are dropped, and why: each has one reason, the first of REASONS that fits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import resources

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clip_spark import storage
from clip_spark.errors import InputError, SpecError, nearest
from clip_spark.texts.ngrams.counting.tokenizer import Tokenizer, find_words
from clip_spark.texts.specs import FilterSpec

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


NO_PUNCTUATION = "LNM"
"""Unicode's categories of letters, digits and combining marks; a token with one of them is no punctuation."""
PICTURES = "So"
REPLACED = "\ufffd"


@dataclass(frozen=True)
class Lists:
    """Words and n-grams that files or languages name, in the form that the counts have; read on the driver."""

    stop_words: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    drop: frozenset[str] = frozenset()

    def is_stop_word(self, word: str) -> bool:
        """*Pure.* True whatever the case."""
        return word.lower() in self.stop_words


def read_lists(spec: FilterSpec, tokenizer: Tokenizer) -> Lists:
    """*Driver.* The lists that a spec names.

    Args:
        spec: names the lists.
        tokenizer: the one of the counts: an entry is compared in their case, normal form and spacing.

    Raises:
        SpecError: there are no stop words for that language.
        InputError: a file is missing or empty.
    """
    stop_words = _stop_words(spec.stop_words) if spec.stop_words else frozenset()
    keep = _read_list(spec.keep_list, "keep-list") if spec.keep_list else frozenset()
    drop = _read_list(spec.drop_list, "drop-list") if spec.drop_list else frozenset()
    words = (word.lower() for entry in stop_words for word in find_words(tokenizer, entry))
    return Lists(
        frozenset(word for word in words if not is_punctuation(word)),  # "don't" is three tokens, and ' no stop word
        frozenset(" ".join(find_words(tokenizer, entry)) for entry in keep),
        frozenset(" ".join(find_words(tokenizer, entry)) for entry in drop),
    )


def languages() -> dict[str, str]:
    """*Driver.* Language -> its bundled stop words, one per line."""
    folder = resources.files("clip_spark.texts.ngrams.ranking") / "stop_words"
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
    return _read_list(name, "stop-words")


def _read_list(uri: str, option: str) -> frozenset[str]:
    place = storage.absolute(uri)
    if not storage.exists(place):
        raise InputError(f"--{option} '{uri}' does not exist; give a file with one entry per line.")
    entries = frozenset(line.strip() for line in re.split("[\r\n]", storage.read_text(place))) - {""}
    if not entries:
        raise InputError(f"--{option} '{uri}' is empty; give a file with one entry per line.")
    return entries


def reasons(counts: pa.Table, spec: FilterSpec, lists: Lists) -> np.ndarray:
    """*Worker.* For each row the place of its reason in REASONS, or -1 if it is kept; int8 (rows,)."""
    found = np.full(counts.num_rows, -1, np.int8)
    if not counts.num_rows:
        return found
    for place, drop in enumerate(_checks(counts, spec, lists)):
        if drop is not None:
            found[(found < 0) & drop] = place
    return found


def _checks(counts: pa.Table, spec: FilterSpec, lists: Lists) -> list[np.ndarray | None]:
    """*Worker.* In the order of REASONS: which rows it drops, bool (rows,), or None where it is not asked for."""
    orders, texts = counts["n"].to_numpy(), counts["text"].combine_chunks()
    words = _Words(texts, orders)
    return [
        ~np.isin(orders, spec.orders) if spec.orders else None,
        counts["count"].to_numpy() < spec.min_count,
        ~_is_in(texts, lists.keep) if spec.keep_list else None,
        _is_in(texts, lists.drop) if spec.drop_list else None,
        ~_matches(texts, spec.matching) if spec.matching else None,
        _is_length_outside(texts, spec.min_length, spec.max_length),
        words.having(is_punctuation, spec.punctuation) if spec.punctuation != "keep" else None,
        words.having(str.isdigit, spec.digits) if spec.digits != "keep" else None,
        words.having(lists.is_stop_word, spec.stop_words_at) if spec.stop_words else None,
    ]


def is_punctuation(word: str) -> bool:
    """*Pure.* True for a token without a letter, digit, mark or pictorial sign: emoji are words of their own."""
    categories = map(unicodedata.category, word.replace(REPLACED, ""))
    return not any(category[0] in NO_PUNCTUATION or category == PICTURES for category in categories)


def _is_length_outside(texts: pa.Array, least: int, most: int) -> np.ndarray | None:
    if least <= 1 and not most:
        return None
    lengths = pc.utf8_length(texts).to_numpy()
    return (lengths < least) | ((lengths > most) if most else False)


def _is_in(texts: pa.Array, entries: frozenset[str]) -> np.ndarray:
    return pc.is_in(texts, pa.array(sorted(entries), pa.string())).to_numpy(zero_copy_only=False)


def _matches(texts: pa.Array, pattern: str) -> np.ndarray:
    search = re.compile(pattern).search
    return np.fromiter((search(text) is not None for text in texts.to_pylist()), bool, len(texts))


class _Words:
    """*Worker.* The words of n-grams, each different one looked at once."""

    def __init__(self, texts: pa.Array, orders: np.ndarray) -> None:
        self._texts = texts
        self._starts = np.cumsum(orders) - orders
        self._ends = self._starts + orders - 1

    @cached_property
    def _words(self) -> pa.DictionaryArray:
        return pc.list_flatten(pc.split_pattern(self._texts, " ")).dictionary_encode()

    def having(self, test: Callable[[str], bool], where: str) -> np.ndarray:
        """Rows with such a word at an edge, or anywhere; bool (rows,)."""
        different = self._words.dictionary.to_pylist()
        found = np.fromiter(map(test, different), bool, len(different))[self._words.indices.to_numpy()]
        if where == "edges":
            return found[self._starts] | found[self._ends]
        return np.logical_or.reduceat(found, self._starts)
