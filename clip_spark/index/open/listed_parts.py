"""*Worker.* Parts of which only the heads are here at first, and then the inverted lists that searches look into."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from clip_spark.index.files.keys import lists_of
from clip_spark.index.files.layout import IndexFile, IndexInfo
from clip_spark.index.files.part_head import PartHead, described_bytes, find_head, likely_bytes, with_rows
from clip_spark.index.files.pieces import PieceFile, Pieces, Wanted
from clip_spark.index.open.vectors import PartVectors

log = logging.getLogger(__name__)

NOWHERE = -1


class ListedParts:
    """The files of all parts of an index, which share one coarse quantizer.

    Attributes:
        pieces: of the index.
        files: with the head of each here.
    """

    def __init__(self, pieces: Pieces, info: IndexInfo, files: Sequence[PieceFile], heads: Sequence[PartHead]) -> None:
        self.pieces, self.files, self._heads = pieces, list(files), list(heads)
        self.part = np.zeros(info.rows, np.int16)
        self.number, self.offset = np.full((2, info.rows), NOWHERE, np.int32)
        self._here = np.zeros(lists_of(info.key), bool)
        pieces.on_full(self.forget)

    @staticmethod
    def open(pieces: Pieces, info: IndexInfo) -> ListedParts | None:
        """Fetch the heads; None where the parts cannot be read in pieces, which the log says.

        Raises:
            DatasetError: a part is missing or cut short.
        """
        files = [pieces.open(part) for part in info.parts]
        with pieces.reading():
            heads = _read_heads(pieces, info, files)
        if heads is None:
            log.info("the parts of '%s' are fetched: their lists do not lie one behind the other", pieces.uri)
            return None
        return ListedParts(pieces, info, files, heads)

    def fill(self, lists: np.ndarray) -> None:
        """Fetch inverted lists (numbers, int64 of any shape; below 0 is none) of all parts; inside `reading`."""
        new = np.unique(lists[lists >= 0])
        new = new[~self._here[new]]
        if not len(new):
            return
        if 2 * len(new) > len(self._here):
            log.info("a search needs %d of the %d lists of '%s'", len(new), len(self._here), self.pieces.uri)
        self.pieces.fill(
            Wanted(file, head.starts[new], head.starts[new + 1])
            for file, head in zip(self.files, self._heads, strict=True)
        )
        for at, (file, head) in enumerate(zip(self.files, self._heads, strict=True)):
            for number in new[head.sizes[new] > 0].tolist():
                ids = np.frombuffer(file.map, np.int64, int(head.sizes[number]), head.ids_at(number))
                self.part[ids], self.number[ids], self.offset[ids] = at, number, np.arange(len(ids))
        self._here[new] = True

    def fill_all(self) -> None:
        """Fetch all lists; inside `reading`."""
        self.fill(np.arange(len(self._here)))
        self.number[self.number == NOWHERE] = 0  # erased: as PartVectors has them

    def forget(self) -> None:
        """Let go of all lists."""
        for file in self.files:
            file.empty()
        self._here[:] = False
        self.number[:] = NOWHERE


class ListedVectors(PartVectors):
    """Vectors out of such parts: those of hits are here; any other one needs all lists."""

    def __init__(self, indexes: Sequence[Any], listed: ListedParts) -> None:
        super().__init__(indexes, len(listed.part))
        self._listed = listed

    def _where(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._listed.part, self._listed.number, self._listed.offset

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Vectors at positions (int64, any order), float32 (m, d)."""
        with self._listed.pieces.reading():
            if (self._listed.number[positions] == NOWHERE).any():
                self._listed.fill_all()
            return super().take(positions)

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All vectors, as `PartVectors` gives them; others wait until the last one is asked for."""
        with self._listed.pieces.reading():
            self._listed.fill_all()
            yield from super().blocks()


def _read_heads(pieces: Pieces, info: IndexInfo, files: Sequence[PieceFile]) -> list[PartHead] | None:
    """Fetch the head of each part; None where one has none."""
    lists = lists_of(info.key)
    first = _read_head(pieces, files[0], info.parts[0], lists, likely_bytes(info.key, info.dim))
    if first is None:
        return None
    end = first.at + described_bytes(lists)
    pieces.fill(Wanted.one(file, first.at, end) for file in files[1:])
    heads = [first]
    for file, part in zip(files[1:], info.parts[1:], strict=True):
        head = _shared_head(files[0], first, info.parts[0], file, part) or _read_head(pieces, file, part, lists, end)
        if head is None:
            return None
        heads.append(head)
    return heads


def _read_head(pieces: Pieces, file: PieceFile, part: IndexFile, lists: int, size: int) -> PartHead | None:
    """Fetch the beginning of a part, more and more of it, until its head is here."""
    while True:
        pieces.fill([Wanted.one(file, 0, size)])
        head = find_head(file.map[:size], 0, lists, part)
        if head is not None or size >= file.bytes // 2:
            return head
        size *= 2


def _shared_head(
    first_file: PieceFile, first: PartHead, first_part: IndexFile, file: PieceFile, part: IndexFile
) -> PartHead | None:
    """The head of another part, whose quantizers are those of the first one; None where it is not made alike."""
    end = first.at + described_bytes(len(first.sizes))
    head = find_head(file.map[first.at : end], first.at, len(first.sizes), part)
    if head is None or first_part.rows == len(first.sizes):  # rows and centroids could not be told apart
        return None
    file.put(0, with_rows(first_file.map[: first.at], first_part.rows, part.rows))
    return head
