"""*Pure.* "a beach without people": what a person types, as what is wanted and what is not. English only."""

from __future__ import annotations

import re

from clip_spark.search.expression import Term

SAID = "".join(rf"(?<!\b{word}\s)" for word in ("say", "says", "saying", "read", "reads", "is", "are"))
"""Behind these "no" is what is written or said."""
NOT_WANTED = re.compile(
    rf"""[\s,;]+ (?: (?:but|and|with|has|have|having|there(?:\sis|\sare)) \s+ )?
    (?: without | excluding | except (?:\s+for)? | {SAID} (?<=\s) no ) \s+""",
    re.VERBOSE | re.IGNORECASE,
)
SEVERAL = re.compile(r"\s*,\s*(?:(?:and|or|nor|no)\s+)?|\s+(?:and|or|nor)\s+(?:no\s+|without\s+)?", re.IGNORECASE)
ARTICLE = re.compile(r"^(?:any|a|an|the)\s+", re.IGNORECASE)


def terms_of(text: str) -> list[Term]:
    """*Pure.* The terms of a text: itself, or what stands before "without" or "no", less what stands behind.

    Words in double quotes around all of it are taken to the letter.
    """
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
        return [Term(1.0, "text", text[1:-1])]
    wanted, *others = NOT_WANTED.split(text)
    if not wanted.strip() or not others:
        return [Term(1.0, "text", text)]
    things = [ARTICLE.sub("", thing.strip(" .!?")) for other in others for thing in SEVERAL.split(other)]
    return [Term(1.0, "text", wanted.strip()), *(Term(-1.0, "text", thing) for thing in things if thing)]
