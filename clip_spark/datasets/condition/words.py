"""*Pure.* A condition as words, each with its place, and the errors that name a place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clip_spark.errors import SpecError

MOST_CHARACTERS = 100_000
SHOWN = 40
"""Characters of a wrong word that an error repeats."""
WORD = re.compile(
    r"""(?P<space>\s+)
    |(?P<comment>--|/\*)
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<text>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")+")
    |(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
    |(?P<mark><>|!=|<=|>=|==|[=<>(),+\-*/%])""",
    re.VERBOSE,
)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""What no condition needs: control characters, and halves of characters that cannot be encoded."""


@dataclass(frozen=True)
class Word:
    """One word.

    Attributes:
        kind: number, text, quoted (a column in double quotes), name, mark, or end.
        value: without quotes; as written, but for a mark's synonyms.
        place: characters before it.
    """

    kind: str
    value: str
    place: int

    def says(self, *words: str) -> bool:
        """Whether it is one of some marks or unquoted names."""
        return self.kind in ("name", "mark") and self.value.lower() in words


def mistake(condition: str, place: int, what: str) -> SpecError:
    """*Pure.* The error for a place in a condition; it repeats the word there and no data."""
    found = WORD.match(condition, place)
    word = (found[0] if found else condition[place : place + 1])[:SHOWN]
    shown = "".join(letter if letter.isprintable() else "?" for letter in word)
    where = f"at character {place + 1} ({shown})" if shown else "at its end"
    return SpecError(f"The condition cannot be used, {where}: {what}")


def words_of(condition: str) -> list[Word]:
    """*Pure.* The words of a condition; the last is of kind `end`.

    Raises:
        SpecError: it is too long, or something in it is no word.
    """
    if len(condition) > MOST_CHARACTERS:
        raise SpecError(f"The condition has {len(condition):,} characters; at most {MOST_CHARACTERS:,} are read.")
    if odd := CONTROL.search(condition):
        raise mistake(condition, odd.start(), "no character of this kind can stand in a condition.")
    found: list[Word] = []
    place = 0
    while place < len(condition):
        match = WORD.match(condition, place)
        if match is None or match.lastgroup == "comment":
            raise mistake(condition, place, _no_word(condition, place))
        place = match.end()
        if match.lastgroup != "space":
            found.append(_word(condition, match))
    return [*found, Word("end", "", len(condition))]


def _word(condition: str, match: re.Match[str]) -> Word:
    kind, value, place = str(match.lastgroup), match[0], match.start()
    if kind == "number" and re.match(r"\w", condition[match.end() : match.end() + 1]):
        raise mistake(
            condition, place, "a number ends in a letter; put a name that begins with a digit in double quotes."
        )
    if kind in ("text", "quoted"):
        quote = value[0]
        value = value[1:-1].replace(quote * 2, quote)
    return Word(kind, {"==": "=", "!=": "<>"}.get(value, value) if kind == "mark" else value, place)


def _no_word(condition: str, place: int) -> str:
    if condition[place] in "'\"":
        return "this quote is never closed; a quote inside quotes is written twice."
    return "nothing of a condition begins like this."
