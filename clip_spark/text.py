"""*Pure.* What a token is: the reference that the fast engine must equal on every input."""

from __future__ import annotations

import re

WORDPUNCT = re.compile(r"\w+|[^\w\s]+")
"""nltk's wordpunct_tokenize: runs of word characters (Unicode), and runs of anything else that is not white space."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def tokenize(line: str, *, lower: bool = True) -> list[str]:
    """*Pure.* The tokens of one line."""
    return WORDPUNCT.findall(line.lower() if lower else line)


def decode(line: bytes) -> str:
    """*Pure.* UTF-8 to text; bytes that are not UTF-8 become U+FFFD."""
    return line.decode("utf-8", "replace")
