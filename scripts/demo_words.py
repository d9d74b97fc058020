"""What may be said about each emoji, as token ids, in training the demo's CLIP."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import open_clip
import torch
from demo_model import MODEL
from make_demo_data import Emoji

TEMPLATES = ("a picture of {}", "a picture of a {}", "an emoji of {}", "a photo of a {}", "{} emoji", "{} icon")
FILLERS = re.compile("and|with|of|the|in|on|a|an|not|for|no|at|to|from|without|other")


@dataclass
class Words:
    """What may be said about each emoji, as token ids, and which emoji each term describes.

    `describes` is bool (terms, emoji); the first terms are the names, in the order of the emoji.
    """

    tokens: list[list[int]]
    keywords: list[list[int]]
    describes: np.ndarray
    templates: list[tuple[list[int], list[int]]] = field(default_factory=list)


def read_words(emoji: list[Emoji]) -> Words:
    """Collect names and keywords as terms."""
    terms = {("name", each.name): number for number, each in enumerate(emoji)}
    keywords = [
        sorted({terms.setdefault(("keyword", word), len(terms)) for word in sorted(words_about(each))})
        for each in emoji
    ]
    describes = np.zeros((len(terms), len(emoji)), bool)
    for number, numbers in enumerate(keywords):
        describes[[number, *numbers], number] = True
    encode = open_clip.SimpleTokenizer().encode
    templates = [tuple(encode(side) for side in template.split("{}")) for template in TEMPLATES]
    return Words([encode(term) for _, term in terms], keywords, describes, templates)


def words_about(emoji: Emoji) -> set[str]:
    """Keywords, the words of the name, and the words of its group and subgroup."""
    words = {word.lower() for word in (*emoji.keywords, *emoji.more_keywords)}
    words |= set(re.findall(r"\w+", emoji.name.lower()))
    words |= {*emoji.group.split("-"), *emoji.subgroup.split("-"), emoji.subgroup.replace("-", " ")}
    if emoji.name.startswith("flag: "):
        country = emoji.name[6:].lower()
        words |= {country, f"flag of {country}", f"{country} flag"}
    return {word for word in words if not FILLERS.fullmatch(word)}


def choose_terms(words: Words, number: int, rng: np.random.Generator) -> list[int]:
    """Choose what to say about one emoji: its name, a keyword, both, or several keywords."""
    keywords = words.keywords[number]
    kind = rng.random()
    if kind < 0.45:
        return [number]
    if kind < 0.72:
        return [int(rng.choice(keywords))]
    several = [int(each) for each in rng.permutation(keywords)[: rng.integers(1, 4)]]
    return [number, *several] if kind < 0.9 else several


def phrase(words: Words, terms: list[int], rng: np.random.Generator) -> list[int]:
    """Token ids of the chosen terms, sometimes inside a template."""
    said = [token for term in terms for token in words.tokens[term]]
    if len(terms) == 1 and rng.random() < 0.3:
        before, after = words.templates[rng.integers(len(words.templates))]
        said = [*before, *said, *after]
    return said


def pad_tokens(rows: list[list[int]]) -> torch.Tensor:
    """Frame token rows with start and end, and pad them to the longest: int64 (rows, length)."""
    vocabulary, longest = MODEL["text_cfg"]["vocab_size"], MODEL["text_cfg"]["context_length"] - 2
    framed = [[vocabulary - 2, *row[:longest], vocabulary - 1] for row in rows]
    padded = torch.zeros(len(framed), max(map(len, framed)), dtype=torch.long)
    for number, row in enumerate(framed):
        padded[number, : len(row)] = torch.tensor(row)
    return padded
