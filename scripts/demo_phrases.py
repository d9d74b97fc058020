"""Phrases that people might type, with how well each describes every emoji: what the demo's text tower is tuned on.

Frames are put together from parts, so that there are far more of them than can be remembered; `bench_demo_model.py`
asks with frames and words of frames that are never made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from demo_lexicon import Lexicon, plural, weigh_keywords
from make_demo_data import Emoji

HELD_OUT = frozenset(("image", "images", "lovely", "enormous", "drawing", "wish", "anything", "fetch"))
"""Words of the frames that only the benchmark uses; here they are never part of a frame."""
IDLE = """
the a an of in on at to for from by with without and or but not no is are was were be been am it its this that
these those there here i me my we our you your he him his she her they them their who what which when why how some
any all each every both few many much more most other another such same own so too very just only also then than as
if do does did done have has had can will would should may might must let get got give please find see look looking
need like thing things something someone somebody one ones way kind sort type piece lot lots bit really quite about
into over under up down out off again once now today always never maybe perhaps ok okay hi hello hey thanks could
where whose whom shall cannot ought been being myself yourself itself everyone everything everybody nothing nobody
none somewhere anywhere everywhere however though although while because since until unless whether yet still
already soon later earlier often sometimes usually ever else instead together alone apart enough almost nearly
rather bit around near next behind beside between among above below across along through during before after toward
against inside outside within onto upon per via want wants wanted needs needed loves seen saw seeing showing shown
shows displays displayed contains containing featuring depicting having holding includes including called named
known looks looked seems means bring make made take put keep use using used try tried know knows believe become
went go going come coming came gonna wanna gotta dont cant im ive its thats theres whats
""".split()  # noqa: SIM905
ADJECTIVES = """
happy sad angry big small little huge giant old new young red green blue yellow black white brown pink orange
purple cute funny scary nice good bad beautiful ugly pretty fast slow hot cold warm wet dry fresh hungry tired
sleepy sick strong tall long short round fat rich poor loud quiet dark bright shiny broken clean dirty heavy light
sweet wild real great tiny friendly smiling crying lonely lucky lazy busy modern simple single whole empty full
open famous favourite best
""".split()  # noqa: SIM905
OPENERS = """
|||||please|find|find me|i need|i would like|i am looking for|looking for|give me|search for|let me see
|do you have|have you got|here is|this is|that is|there is|it is|it was|we saw|we have|can i see|is it|get me
|please find|look at|show me|i want|show|where is|where are|where can i find|where can i buy|could you find
|could i see|could i have|can i have|would you show me|how do i draw|how to draw|what does it look like
|do you know|do we have any|are there any|are there|tell me about|help me find|i would love|i would love to see
|i want to see|i want to buy|i am after|i was thinking of|i remember|i think it was|he has|she has|they had
|he bought|she wants|everyone needs|everybody likes|nobody has|you can see|you see|we need|bring me|get me|take
|pick|use|draw me|draw|make me|put|choose|select|display|display all|list|list all|results for|all results for
|i like|i love|what about|how about|who has|is there|can you give me|i really need|more of
""".replace("\n", "").split("|")
MEDIA = """
||||||a picture of|a photo of|photo of|picture of|photos of|pictures of|an icon of|an emoji of|a sketch of
|a cartoon of|a painting of|a close up of|an illustration of|a symbol for|a sign of|clip art of|a sticker of
|a photograph of|something like|a kind of|pics of|a pic of|a shot of|a view of|a portrait of|a snapshot of
|a render of|a black and white photo of|a blurry photo of|a cropped photo of|a good photo of|a bad photo of
|a logo of|a poster of|a screenshot of|a statue of|a toy|a model of|artwork of|an artwork of|a doodle of
|line art of|a vector of|a clipart of|the sign for|the symbol of
""".replace("\n", "").split("|")
ONE = """
|||a|a|a|the|the|the|my|your|his|her|our|their|this|that|some|any|one|another|every|only the|just a
""".replace("\n", "").split("|")
MANY = """
|||the|my|two|two|three|four|ten|many|several|some|a few|lots of|a pair of|a couple of|all the|these|those|more
|a bunch of
""".replace("\n", "").split("|")
ENDS = """
||||||||please|for me|here|now|in the picture|on it|today|or so|and nothing else|on white|on a plain background
|and so on|of any kind|if you can|from the side|for my friend|again|emoji|icon|picture|photo|symbol|over here
|somewhere|around here|somewhere in it|in it|among them|in my hand|on the table|in the background
|in front of a wall|from above|up close|at home|right now|tonight|as soon as possible|thank you|thanks
|if there is one|if there are any|or something|or something like that|clipart|sticker|logo|pic|pics|illustration
|wallpaper|that i can use|you have|i can draw|to print|for kids|for a card|there
""".replace("\n", "").split("|")
PAIRS = """
{} {}|{} {}|{} and {}|{} with {}|{} with a {}|{} for {}|{} for the {}|{} in the {}|{} on a {}|{} at {}|{} or {}
|the {} of the {}|{}, {}|something {} for {}|a {} that is {}|someone who likes {} and {}|{} but also {}|{} to {}
|when you {} and {}|{} near the {}
""".replace("\n", "").split("|")
ALONE = """
something to {}|something {}|someone who is {}|people who {}|i am {}|i feel {}|feeling {}|it is {}|so {}|very {}
|how to {}|things for {}|all about {}|time for {}|in the {}|at the {}|going to {}|about {}|let us {}|what you {}
|used for {}|a place for {}|what you need to {}|to {}|being {}|{} things|{} stuff|made of {}|what a {} has
|who is {}|we are {}|{} day|it has to do with {}|a thing you {}|somebody who {}
""".replace("\n", "").split("|")
COMMON = 2500
LOW, SHARP = 0.55, 2.0
"""A text describes emoji of more than LOW of its best score, by the SHARPth power of what they have above that."""


@dataclass
class Speaker:
    """Makes texts.

    Attributes:
        emoji: whose names and keywords are said.
        lexicon: what else may be said.
        keywords: of each emoji, those that are terms.
        at: where each term is in the lexicon.
        sums: how often each term is said, summed up, float64 (terms).
    """

    emoji: Sequence[Emoji]
    lexicon: Lexicon
    keywords: list[list[str]] = field(default_factory=list)
    at: dict[str, int] = field(default_factory=dict)
    sums: np.ndarray = field(default_factory=lambda: np.zeros(0))
    adjectives: list[str] = field(default_factory=list)
    common: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.at = {term: n for n, term in enumerate(self.lexicon.terms)}
        idle = set(IDLE)
        self.keywords = [[word for word in weigh_keywords(each) if word not in idle] for each in self.emoji]
        best = self.lexicon.scores.max(axis=1).astype(float)
        idle_terms = np.array([term in idle for term in self.lexicon.terms])
        self.common = [self.lexicon.terms[n] for n in np.argsort(-self.lexicon.frequent, kind="stable")[:COMMON]]
        share = np.where(idle_terms, 0, self.lexicon.frequent * np.minimum(best, 1) ** 3)
        self.sums = (share / share.sum()).cumsum()
        self.adjectives = [word for word in self.lexicon.adjectives if word not in idle | HELD_OUT]

    def say(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        """A text, and how well it describes each emoji: float32 (emoji) that sums up to 1."""
        kind = rng.random()
        if kind < 0.36:
            return self.name(rng)
        if kind < 0.58:
            return self.words_of_one(rng)
        return self.one_term(rng) if kind < 0.8 else self.two_terms(rng)

    def name(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        """The name of an emoji, bare, in a frame, with a word before or a keyword after it."""
        number = int(rng.integers(len(self.emoji)))
        target = np.zeros(len(self.emoji), np.float32)
        target[number] = 1
        said = self.emoji[number].name
        if rng.random() < 0.35:
            return said, target
        if rng.random() < 0.15:
            said = f"{said} {one_of(self.keywords[number], rng)}"
        return self.framed(said, rng), target

    def words_of_one(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        """One to three keywords of one emoji."""
        number = int(rng.integers(len(self.emoji)))
        words = [str(word) for word in rng.permutation(self.keywords[number])[: rng.choice([1, 1, 1, 2, 3])]]
        scores = sum(self.scores(word) for word in words)
        said = " ".join(words) if rng.random() < 0.6 else self.joined(words, rng)
        return said, self.target(scores)

    def one_term(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        """Any term, bare or in a frame."""
        term = self.any_term(rng)
        kind = rng.random()
        said = term if kind < 0.35 else self.joined([term], rng)
        return said, self.target(self.scores(term))

    def two_terms(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        """Two terms; the first is what it is about if the second only tells more."""
        words = [self.any_term(rng), self.any_term(rng)]
        if rng.random() < 0.3:
            words[0] = self.adjective(rng)
            scores = 0.5 * self.scores(words[0]) + self.scores(words[1])
            return self.framed(" ".join(words), rng), self.target(scores)
        return self.joined(words, rng), self.target(self.scores(words[0]) + 0.8 * self.scores(words[1]))

    def any_term(self, rng: np.random.Generator) -> str:
        """One of the lexicon's terms, the frequent ones more often."""
        return self.lexicon.terms[min(int(np.searchsorted(self.sums, rng.random())), len(self.sums) - 1)]

    def scores(self, term: str) -> np.ndarray:
        """How well a term describes each emoji; 0 for what the lexicon does not have."""
        at = self.at.get(term)
        return np.zeros(len(self.emoji), np.float32) if at is None else self.lexicon.scores[at].astype(np.float32)

    def target(self, scores: np.ndarray) -> np.ndarray:
        """Scores as shares that sum up to 1."""
        raised = np.maximum(scores - LOW * scores.max(), 0) ** SHARP
        return (raised / max(raised.sum(), 1e-9)).astype(np.float32)

    def framed(self, said: str, rng: np.random.Generator) -> str:
        """A name or noun in a frame, sometimes in the plural, with a word before it, or among idle words."""
        several = rng.random() < 0.25
        said = (plural(said) if rng.random() < 0.6 else f"{said}s") if several else said
        if rng.random() < 0.25:
            said = f"{self.adjective(rng)} {said}"
        if rng.random() < 0.35:
            return " ".join([*self.idle(rng), said, *self.idle(rng)])
        before = [one_of(part, rng) for part in (OPENERS, MEDIA, MANY if several else ONE)]
        if before[2] == "a" and said[:1].lower() in "aeiou":
            before[2] = "an"
        return " ".join(part for part in (*before, said, one_of(ENDS, rng)) if part)

    def joined(self, words: list[str], rng: np.random.Generator) -> str:
        """One or more terms in a frame of their own."""
        if len(words) == 1:
            return self.framed(words[0], rng) if rng.random() < 0.5 else one_of(ALONE, rng).format(words[0])
        said = one_of(PAIRS, rng).format(*words[:2])
        said = " ".join([said, *words[2:]])
        return self.framed(said, rng) if rng.random() < 0.3 else said

    def adjective(self, rng: np.random.Generator) -> str:
        """A word to stand before a noun: half of them are those that people use most."""
        return one_of(ADJECTIVES if rng.random() < 0.5 else self.adjectives, rng)

    def idle(self, rng: np.random.Generator) -> list[str]:
        """Up to four words that mean nothing here, though some of them would alone."""
        kinds = (IDLE, IDLE, self.lexicon.idle, self.common)
        some = [one_of(kinds[int(rng.integers(4))], rng) for _ in range(rng.integers(0, 5))]
        return [word for word in some if word not in HELD_OUT]


def one_of(some: Sequence[str], rng: np.random.Generator) -> str:
    """One at random; `rng.choice` makes an array of them all each time."""
    return some[int(rng.integers(len(some)))]
