"""*Anywhere.* A corpus: which files it is made of, and which task reads what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clip_spark import storage
from clip_spark.datasets.spec import fingerprint
from clip_spark.errors import InputError
from clip_spark.texts.corpus import sniff
from clip_spark.texts.corpus.account import printable
from clip_spark.texts.corpus.places import ending_of, list_place
from clip_spark.texts.corpus.sniff import Form

SNIFF_THREADS = 32
SPLIT_BYTES = 16 << 20
"""Bytes of text that one task reads: few enough to bound its memory, many enough for repeats to be combined."""
TWICE = "given twice: read once"
MANY_SPLITS, LARGEST_SPLIT = 20_000, 64 << 20
"""Of a corpus that would make more tasks (320 GB), the tasks read more, up to this."""
COMPRESSED_WEIGHT = 4
"""A byte of a compressed file stands for about so many bytes of text."""


@dataclass(frozen=True)
class CorpusFile:
    """One file of a corpus: where, how many bytes on disk, a stamp that changes when it is rewritten."""

    uri: str
    relative: str
    bytes: int
    stamp: str

    @property
    def weight(self) -> int:
        """About how many bytes of text it holds."""
        return self.bytes * (COMPRESSED_WEIGHT if sniff.split_name(storage.name(self.uri))[2] else 1)


@dataclass(frozen=True)
class Listing:
    """The files of a corpus, and how many others lay there: (ending, reason) -> files."""

    files: tuple[CorpusFile, ...]
    left_out: dict[tuple[str, str], int]


@dataclass(frozen=True)
class Piece:
    """A file, or the lines of it that begin in the bytes [start, end); `end` is None for the whole file.

    A part of a file has the form of the file, one of lines; what a whole file is, is found by who reads it.
    """

    uri: str
    form: Form | None = None
    start: int = 0
    end: int | None = None


Split = tuple[Piece, ...]
"""What one task reads."""


def list_corpus(uris: Sequence[str], option: str = "corpus") -> Listing:
    """*Driver.* The files of a corpus, in the order of the URIs and by path below each; each file once.

    Args:
        uris: files, folders and globs. Of a folder those files are read whose ending says text or a table, or that have
            none; a file that is named itself, or by a glob, is read whatever its name.
        option: name of the command line option, for messages.

    Raises:
        InputError: a place is missing, nothing in it is text that we read, or a file that is named is no text.
    """
    found: dict[str, CorpusFile] = {}
    left_out: Counter[tuple[str, str]] = Counter()
    for uri in map(storage.absolute, uris):
        place = list_place(uri, option)
        left_out.update(place.left_out)
        for file in place.files:
            if file.uri in found:
                left_out[ending_of(file.uri), TWICE] += 1
            else:
                found[file.uri] = CorpusFile(file.uri, _relative(file.uri, uri), file.bytes, file.stamp)
    if not any(file.bytes for file in found.values()):
        raise InputError(f"--{option} {','.join(uris)}: all {len(found)} files are empty; there is nothing to read.")
    return Listing(tuple(found.values()), dict(left_out))


def _relative(uri: str, root: str) -> str:
    below = uri[len(root) :].lstrip("/") if uri.startswith(root) and uri != root else storage.name(uri)
    return printable(below)


def as_input(files: Sequence[CorpusFile], uris: Sequence[str]) -> dict[str, str]:
    """*Driver.* How a plan names a corpus: changed when a file is added, removed or rewritten, not when it is moved."""
    stamps = [[file.relative, file.bytes, file.stamp] for file in files]
    return {"uri": ",".join(uris), "fingerprint": fingerprint(stamps)}


def plan_splits(
    files: Sequence[CorpusFile], split_bytes: int = 0, look: Callable[[CorpusFile], Form | None] | None = None
) -> list[Split]:
    """*Driver.* Deal the files out to tasks of about `split_bytes` of text each, in order; 0 chooses.

    Small files share a task, big plain files are cut into equal byte ranges, any other file is one piece.

    Args:
        files: the corpus.
        split_bytes: of text per task.
        look: tells what a file is; asked only of those that are too large for one task.
    """
    split_bytes = split_bytes or choose_split_bytes(sum(file.weight for file in files))
    large = [file for file in files if file.bytes > split_bytes]
    with ThreadPoolExecutor(SNIFF_THREADS) as pool:
        forms = dict(zip((file.uri for file in large), pool.map(look, large) if look else (), strict=False))
    splits: list[list[Piece]] = [[]]
    room = split_bytes
    for file in files:
        for piece, weight in _pieces(file, split_bytes, forms.get(file.uri)):
            if splits[-1] and weight > room:
                splits.append([])
                room = split_bytes
            splits[-1].append(piece)
            room -= weight
    return [tuple(split) for split in splits if split]


def choose_split_bytes(total: int) -> int:
    """*Pure.* The size of splits for a corpus of `total` bytes of text."""
    return min(max(SPLIT_BYTES, total // MANY_SPLITS), LARGEST_SPLIT)


def _pieces(file: CorpusFile, split_bytes: int, form: Form | None) -> list[tuple[Piece, int]]:
    if form is None or not form.can_cut:
        return [(Piece(file.uri), file.weight)] if file.bytes else []
    parts = -(-file.bytes // split_bytes)
    cuts = [file.bytes * i // parts for i in range(parts + 1)]
    return [(Piece(file.uri, form, a, b), b - a) for a, b in zip(cuts, cuts[1:], strict=False)]
