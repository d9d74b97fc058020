"""*Worker.* What the characters of a text are: white space, part of a word, or other; and their lower case.

An ASCII character is a byte, and its class is found by `bytes.translate`. The other characters are looked up in
tables of all code points, made from Python's own `re` and `str.lower`, so that tokens are those of its patterns on
every input. Where there are few of them, all bytes of a character get its class, and the text is not widened to
UTF-32.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

SPACE, WORD, OTHER, LINE_END = 0, 1, 2, 3
CODE_POINTS = 0x110000
LAST_LETTER = 0x40000
"""No letter, digit or white space lies above (held by a test); looking at fewer starts a worker sooner."""
LAST_CAPITAL = 0x20000
"""No code point above has another lower case (held by a test)."""
FINAL_SIGMA = ord("Σ")
"""The one code point whose lower case depends on its neighbours."""
BY_TEXT = CODE_POINTS
"""In place of a lower case that is not one code point of the same number of bytes, wherever it stands."""
FEW = 1 / 4
"""Of a text's bytes; where more are not ASCII, it is widened."""


@lru_cache(maxsize=2)
def class_table(other: int = OTHER) -> np.ndarray:
    """*Pure.* Class of every code point, uint8 (0x110000,); `other` = WORD makes tokens end at white space only."""
    classes = np.full(CODE_POINTS, other, np.uint8)
    letters = "".join(map(chr, range(LAST_LETTER)))
    for of_class, pattern in ((WORD, r"\w+"), (SPACE, r"\s+")):
        for run in re.finditer(pattern, letters):
            classes[run.start() : run.end()] = of_class
    classes[ord("\n")] = LINE_END
    return classes


@lru_cache(maxsize=1)
def lower_table() -> np.ndarray:
    """*Pure.* Lower case of every code point, uint32 (0x110000,); BY_TEXT where only `str.lower` can tell."""
    table = np.arange(CODE_POINTS, dtype=np.uint32)
    for point in range(0x80, LAST_CAPITAL):
        if (lower := chr(point).lower()) != chr(point):
            same = len(lower) == 1 and len(lower.encode()) == len(chr(point).encode())
            table[point] = ord(lower) if same and point != FINAL_SIGMA else BY_TEXT
    return table


class Classed(NamedTuple):
    """A text with the classes of its characters.

    Attributes:
        data: UTF-8.
        classes: uint8, one for each byte; or for each character.
        places: int64 (characters + 1,), where in `data` characters begin; None if there is a class for each byte.
    """

    data: bytes
    classes: np.ndarray
    places: np.ndarray | None = None


def classed(text: bytes, table: np.ndarray, lower: bool) -> Classed:
    """*Pure.* UTF-8, in lower case if that is wanted as `str.lower` has it, with classes by a table of code points."""
    data = text.lower() if lower else text
    own = np.frombuffer(bytearray(data), np.uint8)
    others = own >= 0x80
    if (many := np.count_nonzero(others)) > FEW * len(data):
        return _widened(text, table, lower)
    found = np.frombuffer(bytearray(data.translate(table[:128].tobytes() + bytes(128))), np.uint8)
    if not many:
        return Classed(data, found)
    places = np.flatnonzero(others)
    those = own[places]
    number = np.cumsum(those >= 0xC0) - 1
    points = np.frombuffer(those.tobytes().decode().encode("utf-32-le"), np.uint32)
    if lower:
        points, changed = lower_table().take(points), points
        changes = np.flatnonzero(points != changed)
        if (points[changes] == BY_TEXT).any():
            return _widened(text, table, lower)
        if len(changes):
            own[places] = np.frombuffer(points.tobytes().decode("utf-32-le").encode(), np.uint8)
    found[places] = table.take(points).take(number)
    return Classed(own.tobytes(), found)


def _widened(text: bytes, table: np.ndarray, lower: bool) -> Classed:
    """*Pure.* By characters, where many are not ASCII."""
    letters = text.decode().lower() if lower else text.decode()
    points = np.frombuffer(letters.encode("utf-32-le"), np.uint32)
    places = np.zeros(len(points) + 1, np.int64)
    np.cumsum(utf8_lengths(points), out=places[1:])
    return Classed(letters.encode(), table.take(points), places)


def utf8_lengths(points: np.ndarray) -> np.ndarray:
    """*Pure.* Bytes of each code point in UTF-8, 1 to 4, int8."""
    return 1 + (points >= 0x80).astype(np.int8) + (points >= 0x800) + (points >= 0x10000)
