"""*Worker.* Texts to token ids, in bulk: open_clip's own tokens, many times faster on plain text.

open_clip's tokeniser repairs and unescapes each text before it splits it, and looks up each letter run by itself. On
printable ASCII without `&` those repairs change nothing, and no token crosses a space: so every space-separated
chunk has ids of its own, which are kept. Any other text goes through open_clip's code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KEPT_CHUNKS = 500_000
"""Ids of at most so many chunks are kept (about 100 MB); then the memory starts anew."""


@dataclass(frozen=True)
class Tokens:
    """Token ids of some texts, start and end tokens included, none longer than the context.

    Attributes:
        rows: one list of ids for each text, without padding.
        cut: how many texts were longer than the context and lost their end.
    """

    rows: list[list[int]]
    cut: int

    @property
    def total(self) -> int:
        """Tokens of all texts."""
        return sum(map(len, self.rows))


class BulkTokeniser:
    """*Worker.* open_clip's SimpleTokenizer for lists of texts; `lower` says whether it takes capital letters away."""

    def __init__(self, tokeniser: Any, context_length: int) -> None:
        self._tokeniser = tokeniser
        self._context_length = context_length
        self._start, self._end = tokeniser.sot_token_id, tokeniser.eot_token_id
        self.lower = tokeniser.clean_fn.__name__ == "_clean_lower"
        self._chunks: dict[str, list[int]] = {}

    @staticmethod
    def fits(tokeniser: Any) -> bool:
        """*Pure.* True if the tokeniser is of the kind that this class reproduces."""
        return (
            type(tokeniser).__name__ == "SimpleTokenizer"
            and tokeniser.reduction_fn is None
            and tokeniser.clean_fn.__name__ in ("_clean_lower", "_clean_whitespace")
        )

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Ids of each text, cut to the context length with the end token kept.

        A text may spell out `<end_of_text>`: the tower pools at the first, and what follows does not matter.
        """
        rows, cut = [], 0
        for text in texts:
            ids = [self._start, *self._ids(text), self._end]
            if len(ids) > self._context_length:
                del ids[self._context_length - 1 : -1]
                cut += 1
            rows.append(ids[: ids.index(self._end) + 1])
        return Tokens(rows, cut)

    def _ids(self, text: str) -> list[int]:
        if not (text.isascii() and text.isprintable()) or "&" in text:
            return self._tokeniser.encode(text)
        ids: list[int] = []
        for chunk in (text.lower() if self.lower else text).split():
            ids += self._chunks.get(chunk) or self._remember(chunk)
        return ids

    def _remember(self, chunk: str) -> list[int]:
        if len(self._chunks) >= KEPT_CHUNKS:
            self._chunks.clear()
        known, bpe = self._tokeniser.encoder, self._tokeniser.bpe  # its encode(), less the repairs: half the time
        ids = [known[piece] for part in self._tokeniser.pat.findall(chunk) for piece in bpe(part).split(" ")]
        self._chunks[chunk] = ids
        return ids
