"""*Pure.* What a token is: the reference that the fast engine must equal on every input."""

from __future__ import annotations

import re
import unicodedata

WORDPUNCT = re.compile(r"\w+|[^\w\s]+")
"""nltk's wordpunct_tokenize: runs of word characters (Unicode), and runs of anything else that is not white space.

Compiled by Python's `re`, as nltk did up to 3.9; nltk 3.10 uses the package `regex`, whose word characters differ
(combining marks are in, superscript digits are out) and change with its version."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def tokenise(line: str, *, lower: bool = True, nfkc: bool = False) -> list[str]:
    """*Pure.* The tokens of one line: normalised first, then lower-cased, then cut."""
    line = unicodedata.normalize("NFKC", line) if nfkc else line
    return WORDPUNCT.findall(line.lower() if lower else line)


def decode(line: bytes) -> str:
    """*Pure.* UTF-8 to text; bytes that are not UTF-8 become U+FFFD."""
    return line.decode("utf-8", "replace")


def is_utf8(line: bytes) -> bool:
    """*Pure.* True if all of it is UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
