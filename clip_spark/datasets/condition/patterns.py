"""*Pure.* LIKE as tests that take linear time."""

from __future__ import annotations

import re

from clip_spark.datasets.condition.literals import quoted

ANY, ONE = object(), object()


def like_sql(value: str, pattern: str, escape: str, *, any_case: bool) -> str | None:
    """*Pure.* SQL that is true where a text fulfils a LIKE pattern (ILIKE: whatever the case).

    Args:
        value: SQL of the text.
        pattern: % stands for any characters, _ for one.
        escape: a character that takes the meaning of the next one away; empty is none.
        any_case: compare in lower case.

    Returns:
        None if the pattern ends in its escape.
    """
    parts = _parts(pattern, escape)
    if parts is None:
        return None
    cased = f"lower({value})" if any_case else value
    literal = "".join(part for part in parts if isinstance(part, str))
    wanted = _literal(literal, any_case)
    match [part if part in (ANY, ONE) else "" for part in _joined(parts)]:
        case [] | [""]:
            return f"({cased} = {wanted})"
        case ["", one] if one is ANY:
            return f"starts_with({cased}, {wanted})"
        case [one, ""] if one is ANY:
            return f"ends_with({cased}, {wanted})"
        case [one, "", two] if one is ANY and two is ANY:
            return f"contains({cased}, {wanted})"
    expression = "".join(_expression(part) for part in parts)
    return f"regexp_full_match({cased}, {_literal(expression, any_case)}, 's')"


def _parts(pattern: str, escape: str) -> list[object] | None:
    found: list[object] = []
    letters = iter(pattern)
    for letter in letters:
        if escape and letter == escape:
            following = next(letters, None)
            if following is None:
                return None
            found.append(following)
        else:
            found.append({"%": ANY, "_": ONE}.get(letter, letter))
    return found


def _joined(parts: list[object]) -> list[object]:
    """Neighbouring letters as one text, neighbouring % as one."""
    found: list[object] = []
    for part in parts:
        if found and isinstance(part, str) and isinstance(found[-1], str):
            found[-1] += part
        elif not (found and part is ANY and found[-1] is ANY):
            found.append(part)
    return found


def _expression(part: object) -> str:
    if part is ANY:
        return ".*"
    return "." if part is ONE else re.sub(r"[!-/:-@\[-`{-~]", r"\\\g<0>", str(part))


def _literal(text: str, any_case: bool) -> str:
    return f"lower({quoted(text)})" if any_case else quoted(text)
