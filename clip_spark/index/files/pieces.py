"""*Worker.* Files of an index in an object store of which only pieces are here: byte ranges, fetched when needed.

Each file has a copy without a name in the cache folder, of its full size and with holes, which takes as much of the
disk as was fetched. It is mapped as a whole file would be, so all that reads mapped files reads it as well, once what
it needs is there: `with pieces.reading(): pieces.fill(...)`, then read. What is here is let go of where it takes too
much, but never inside that block.
"""

from __future__ import annotations

import logging
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from clip_spark import storage
from clip_spark.errors import SpecError
from clip_spark.index.files.cache_room import SIZE_VARIABLE, limit
from clip_spark.index.files.layout import IndexFile
from clip_spark.storage.local_cache import cache_folder
from clip_spark.storage.stores import clear_disk_errors

log = logging.getLogger(__name__)

BLOCK_BYTES = 4096
"""What is here is known by blocks of so many bytes."""
WHOLE_BYTES = 4 << 20
"""Files up to this size are fetched in one request."""
GAP_BYTES, REQUEST_BYTES = 32 << 10, 4 << 20
"""Ranges this near to each other are one request; a longer one is divided among connections."""
HELD_BYTES = 64 << 20
"""Of fetched ranges that are in memory at once."""
SHARE = 4
"""One part in so many of what the cache may take is for pieces."""


class Wanted(NamedTuple):
    """Byte ranges of one file: starts and ends, int64 (n,)."""

    file: PieceFile
    starts: np.ndarray
    ends: np.ndarray

    @staticmethod
    def one(file: PieceFile, start: int, end: int) -> Wanted:
        """A single range, as far as the file goes."""
        return Wanted(file, np.array([max(0, start)]), np.array([min(end, file.bytes)]))


class PieceFile:
    """One file with holes.

    Attributes:
        uri: of the whole file.
        bytes: of the whole file.
        path: opens the copy, as long as this object lives.
        map: the copy, read-only.
    """

    def __init__(self, uri: str, file: IndexFile) -> None:
        self.uri, self.bytes = uri, file.bytes
        self._folder = str(cache_folder())
        self._copy = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115, closed with this object
        self._descriptor = self._copy.fileno()
        os.ftruncate(self._descriptor, file.bytes)
        self.path = f"/dev/fd/{self._descriptor}"
        self.map: mmap.mmap | bytes = (
            mmap.mmap(self._descriptor, file.bytes, access=mmap.ACCESS_READ) if file.bytes else b""
        )
        self._block = BLOCK_BYTES if file.bytes > WHOLE_BYTES else max(1, file.bytes)
        self._here = np.zeros(-(-file.bytes // self._block), bool)

    def missing(self, starts: np.ndarray, ends: np.ndarray) -> Iterator[storage.ByteRange]:
        """What has to be fetched for some ranges to be here."""
        wanted = np.zeros(len(self._here) + 1, np.int32)
        some = ends > starts
        np.add.at(wanted, starts[some] // self._block, 1)
        np.add.at(wanted, -(-ends[some] // self._block), -1)
        needed = np.flatnonzero((np.cumsum(wanted)[:-1] > 0) & ~self._here)
        if not len(needed):
            return
        far = np.flatnonzero(np.diff(needed) > 1 + GAP_BYTES // self._block)
        firsts, lasts = needed[np.r_[0, far + 1]], needed[np.r_[far, len(needed) - 1]]
        for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
            end = min((last + 1) * self._block, self.bytes)
            for start in range(first * self._block, end, REQUEST_BYTES):
                yield storage.ByteRange(self.uri, start, min(start + REQUEST_BYTES, end))

    def put(self, start: int, data: bytes) -> None:
        """Bytes that lie at `start`; blocks that they cover only partly are still missing."""
        with clear_disk_errors(self._folder, "written"):
            written = os.pwrite(self._descriptor, data, start)
        if written != len(data):
            raise OSError(f"{written} of {len(data)} bytes of a piece of '{self.uri}' could be written")
        end = start + len(data)
        last = len(self._here) if end == self.bytes else end // self._block
        self._here[-(-start // self._block) : last] = True

    def empty(self) -> None:
        """Nothing is here any more; whoever reads the map meanwhile must not go on."""
        os.ftruncate(self._descriptor, 0)
        os.ftruncate(self._descriptor, self.bytes)
        self._here[:] = False


Piece = tuple[PieceFile, storage.ByteRange]


class Pieces:
    """The files of one index of which pieces are here; safe to use from several threads, one of which reads at a time.

    Attributes:
        uri: folder of the index.
        fetched: bytes so far.
        requests: so far.
        held: bytes that are here.
        check: called between fetches; may raise what ends a search that takes too long.
    """

    def __init__(self, index_uri: str) -> None:
        self.uri, self.fetched, self.requests = index_uri, 0, 0
        self.check: Callable[[], None] = lambda: None
        self._room = limit(str(cache_folder()))
        self._most = self._room // SHARE
        self._lock, self._depth, self.held = threading.RLock(), 0, 0
        self._forget: list[weakref.WeakMethod[Callable[[], None]]] = []

    def open(self, file: IndexFile) -> PieceFile:
        """A file of the index, nothing of which is here yet."""
        return PieceFile(storage.join(self.uri, file.path), file)

    def on_full(self, forget: Callable[[], None]) -> None:
        """Call a method where too much is here, outside of any `reading`, to let go of it."""
        self._forget.append(weakref.WeakMethod(forget))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """As long as the block runs, what is here stays here; no other thread reads meanwhile."""
        with self._lock:
            if self._depth == 0 and self.held > self._most:
                self._let_go()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def _let_go(self) -> None:
        log.info("%d MB of '%s' are here, which is more than may be; they are let go of", self.held >> 20, self.uri)
        for forget in filter(None, (reference() for reference in self._forget)):
            forget()
        self.held = 0

    def fill(self, wanted: Iterable[Wanted]) -> None:
        """Fetch what is missing of some ranges, side by side; inside `reading`.

        Raises:
            DatasetError: a file is missing or cut short.
            StorageError: the store does not answer.
            SpecError: it is more than the cache may hold.
        """
        some = [(one.file, piece) for one in wanted for piece in one.file.missing(one.starts, one.ends)]
        needed = sum(piece.end - piece.start for _, piece in some)
        if needed > self._room:
            raise SpecError(
                f"This needs {needed >> 20:,} MB of '{self.uri}' at once, and {SIZE_VARIABLE} allows "
                f"{self._room >> 20:,} MB; raise it, or ask for less: a condition that leaves more records."
            )
        for group in _groups(some):
            self.check()
            self._fetch(group)

    def _fetch(self, some: Sequence[Piece]) -> None:
        found = storage.read_ranges([piece for _, piece in some])
        for (file, piece), data in zip(some, found, strict=True):
            file.put(piece.start, data)
            self.fetched += len(data)
            self.held += len(data)
        self.requests += len(some)


def _groups(some: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """*Pure.* The same in turns of about HELD_BYTES."""
    ends = np.cumsum([piece.end - piece.start for _, piece in some])
    cuts = np.flatnonzero(np.diff(ends // HELD_BYTES)) + 1
    for first, last in pairwise([0, *cuts.tolist(), len(some)]):
        if last > first:
            yield some[first:last]
