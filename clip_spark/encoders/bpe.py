"""*Worker.* CLIP's byte pair encoding without torch, which open_clip's own module imports: the same ids of any text.

The vocabulary is the file that open_clip brings. `BulkTokeniser` takes this class in place of open_clip's.
"""

from __future__ import annotations

import gzip
import html
import importlib.util
from functools import cache
from pathlib import Path

MERGES = 49_152 - 256 - 2
"""Lines of the file that count."""
START, END = "<start_of_text>", "<end_of_text>"
WORD_END = "</w>"


class Bpe:
    """Texts to ids, in lower case; what `BulkTokeniser` asks of a tokeniser has the names of open_clip's."""

    def __init__(self) -> None:
        import regex

        merges = [tuple(line.split()) for line in _merge_lines()]
        self._bytes = byte_letters()
        letters = list(self._bytes.values())
        pieces = [*letters, *(letter + WORD_END for letter in letters), *map("".join, merges), START, END]
        self.encoder = {piece: number for number, piece in enumerate(pieces)}
        self._ranks = {merge: rank for rank, merge in enumerate(merges)}
        self.sot_token_id, self.eot_token_id = self.encoder[START], self.encoder[END]
        words = r"|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
        self.pat = regex.compile(f"{START}|{END}{words}", regex.IGNORECASE)
        self.clean_fn = _clean_lower
        self.bpe = cache(self._merged)

    def _merged(self, token: str) -> str:
        """The pieces of one word (its bytes as letters), with blanks between: the best known pair is joined first."""
        if token in (START, END):
            return token
        word = [*token[:-1], token[-1] + WORD_END]
        while len(word) > 1:
            rank, pair = min(
                (self._ranks.get(pair, len(self._ranks)), pair) for pair in zip(word, word[1:], strict=False)
            )
            if rank == len(self._ranks):
                break
            word = _joined(word, pair)
        return " ".join(word)

    def encode(self, text: str) -> list[int]:
        """The ids of a text of any kind, without those of start and end."""
        ids: list[int] = []
        for token in self.pat.findall(self.clean_fn(text)):
            letters = "".join(self._bytes[byte] for byte in token.encode())
            ids += [self.encoder[piece] for piece in self.bpe(letters).split(" ")]
        return ids


def _joined(word: list[str], pair: tuple[str, str]) -> list[str]:
    """*Pure.* The word with each occurrence of a pair as one piece, from the left."""
    joined, at = list[str](), 0
    while at < len(word):
        both = tuple(word[at : at + 2]) == pair
        joined.append("".join(pair) if both else word[at])
        at += 2 if both else 1
    return joined


def _merge_lines() -> list[str]:
    found = importlib.util.find_spec("open_clip")  # found and not imported
    if found is None or found.origin is None:
        raise FileNotFoundError("open_clip is not installed")
    packed = (Path(found.origin).parent / "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    return gzip.decompress(packed).decode().split("\n")[1 : MERGES + 1]


def byte_letters() -> dict[int, str]:
    """*Pure.* A printable letter for each byte: itself where it is printable, else one from U+0100 on."""
    own = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in own]
    return {**{byte: chr(byte) for byte in own}, **{byte: chr(256 + n) for n, byte in enumerate(others)}}


def _clean_lower(text: str) -> str:
    """*Pure.* Broken encodings mended, entities resolved, blanks one by one, in lower case."""
    import ftfy

    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()
