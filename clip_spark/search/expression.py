"""*Pure.* Weighted queries: `"beach" + 0.5 * sunset.jpg - "people"`.

expression = term (("+" | "-") term)*
term       = [number "*"] ( "a text" | path of a picture | id:RECORD_ID )
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clip_spark.errors import SpecError

TERM = re.compile(
    r"""\s*(?P<sign>[+-])?\s*(?:(?P<weight>\d+(?:\.\d+)?)\s*\*\s*)?
        (?:"(?P<text>[^"]*)"|'(?P<quoted>[^']*)'|id:(?P<id>[0-9a-f]+)|(?P<picture>[^\s"'*]+))""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Term:
    """One part of a query.

    Attributes:
        weight: negative for what is not wanted.
        kind: `text`, `image` or `like`.
        value: the text, the picture's URI or the record id.
    """

    weight: float
    kind: str
    value: str


def parse_expression(expression: str) -> list[Term]:
    """*Pure.* The terms of an expression; raises SpecError with the place that is not understood."""
    terms: list[Term] = []
    at, text = 0, expression.strip()
    while at < len(text):
        found = TERM.match(text, at)
        if found is None or (terms and not found["sign"]):
            raise SpecError(
                f"The query is not understood at '{text[at : at + 20].strip()}'; join \"texts\", pictures and "
                'id:RECORD_ID with + and -, such as "beach" + 0.5 * sea.jpg - "people".'
            )
        weight = float(found["weight"] or 1) * (-1 if found["sign"] == "-" else 1)
        terms.append(_term(weight, found))
        at = found.end()
    if not any(term.weight > 0 for term in terms):
        raise SpecError("A query needs at least one term that is wanted, before what is not.")
    return terms


def _term(weight: float, found: re.Match[str]) -> Term:
    text = found["text"] if found["text"] is not None else found["quoted"]
    if text is not None:
        return Term(weight, "text", text)
    return Term(weight, "like", found["id"]) if found["id"] else Term(weight, "image", found["picture"])
