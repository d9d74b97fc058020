"""*Pure.* What may go to a terminal: texts without control characters, cells of tables, widths that keep paths whole.

Records come from strangers. A text with escape sequences would move the cursor, retitle the window or worse; one with
marks of writing direction shows another name than it has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, those of 8 bits too; tab and newline stay
    "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # writing direction
    "\u2028\u2029\ud800-\udfff]"  # line ends that are none of ours; halves of characters, which no encoding has
)
BREAKS = re.compile(r"[\t\n]")
LEAST_WIDTH = 20
"""Columns of a folded text at least."""


def printable(text: str) -> str:
    """*Pure.* The text with escapes such as `\\x1b` in place of what a terminal would obey."""
    return UNPRINTABLE.sub(_escaped, text)


def printable_json(text: str) -> str:
    """*Pure.* JSON that means the same, without such characters."""
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def encodable_json(text: str, encoding: str) -> str:
    """*Pure.* The same JSON; all but ASCII as \\u00e9 if an output's encoding lacks some character of it."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(character if character.isascii() else json.dumps(character)[1:-1] for character in text)
    return text


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def cell(value: Any) -> str:
    """*Pure.* 12,345 and 0.123; None is empty; lists and mappings as people write them; on one line, printable."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{cell(key)}: {cell(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(cell(item) for item in value)
    return BREAKS.sub(" ", printable(str(value)))


def is_path(text: str) -> bool:
    """*Pure.* True for what people copy as one piece: a path, a URI, an id."""
    return " " not in text.strip() and ("/" in text or len(text) > LEAST_WIDTH)


def cut(text: str, width: int) -> str:
    """*Pure.* A path in at most so many characters: its end says most, of a member of a tar its beginning."""
    if len(text) <= width:
        return text
    end = (width - 1) // 4 if "::" in text else (width - 1) * 2 // 3
    return f"{text[: width - 1 - end]}\u2026{text[len(text) - end :]}"


def table_width(terminal: int | None, columns: Iterable[tuple[int, bool]]) -> int:
    """*Pure.* Characters that a table may take: those of the terminal, but enough for what must stay whole.

    Args:
        terminal: its width; None where there is none, and nothing is folded.
        columns: (characters of the longest cell, whether it must stay whole) of each column.
    """
    frame = 1  # each column has a border and two blanks
    natural = least = frame
    for width, whole in columns:
        natural += width + 3
        least += (width if whole else min(width, LEAST_WIDTH)) + 3
    return natural if terminal is None else max(min(natural, terminal), least)


def cut_paths(cells: list[list[str]], heads: Iterable[str], terminal: int) -> list[list[str]]:
    """*Pure.* The same rows of cells with paths cut, so that the table fits into a terminal where that can be.

    Ids stay whole, for people copy them into the next command.
    """
    columns = list(zip(heads, *cells, strict=True))
    paths = [any(is_path(text) and "/" in text for text in column[1:]) for column in columns]
    least = [
        max(map(len, column)) if any(map(is_path, column)) else min(max(map(len, column)), LEAST_WIDTH)
        for column, path in zip(columns, paths, strict=True)
        if not path
    ]
    room = (terminal - 1 - sum(least) - 3 * len(columns)) // max(1, sum(paths))
    most = max(LEAST_WIDTH, room)
    return [[cut(text, most) if path else text for text, path in zip(row, paths, strict=True)] for row in cells]
