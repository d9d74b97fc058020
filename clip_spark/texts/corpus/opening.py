"""*Worker.* Files opened as what they are: sniffed, unpacked, as UTF-8 without a mark."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

import pyarrow as pa

from clip_spark import storage
from clip_spark.texts.corpus import magic
from clip_spark.texts.corpus.encodings import AUTO, UTF_8, LineEnds, Transcoded
from clip_spark.texts.corpus.sniff import FOREIGN, Form, sniff, split_name

BUFFER_BYTES = 256 << 10
MOST_LAYERS = 4
"""A file that is compressed more often is a bomb."""
ARROW_WINDOW_LOG = 27
"""pyarrow unpacks zstd whose matches reach back 2 ** 27 bytes; `zstd --long=31` writes more."""


class GarbledError(Exception):
    """A file's bytes contradict themselves or its name; no other reading will help."""


DAMAGE = (
    *(GarbledError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, tarfile.ReadError),
    *(pa.ArrowException, MemoryError, UnicodeDecodeError),
)
"""What the readers of compressed files, tars and tables raise when the bytes are not what they should be."""


def is_damage(error: BaseException) -> bool:
    """*Pure.* True if a file is cut short or garbled; False for what may go away, such as a lost connection."""
    if isinstance(error, DAMAGE) or type(error).__name__ == "ZstdError":
        return True
    return type(error) is OSError and error.errno is None  # how bz2 and pyarrow tell of bad data


class Peeked:
    """*Worker.* A stream whose beginning has been read already."""

    def __init__(self, head: bytes, stream: Any) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes; none at the end only."""
        if not self._head:
            return self._stream.read(size)
        if size < 0:
            data, self._head = self._head + self._stream.read(), b""
        else:
            data, self._head = self._head[:size], self._head[size:]
        return data


@dataclass(frozen=True)
class Source:
    """A file that is open.

    Attributes:
        uri: what rejects name.
        name: its name, which tells the format where the bytes do not.
        form: what it is.
        stream: has `read(size)`; text is UTF-8, without a mark, lines end with a line feed.
        file: the file itself where it can seek, else None.
    """

    uri: str
    name: str
    form: Form
    stream: Any
    file: Any = None

    def seekable(self) -> Any:
        """*Worker.* A file that can seek; what is packed is unpacked into memory."""
        return self.file if self.file is not None else io.BytesIO(self.stream.read())


@contextmanager
def open_source(uri: str, encoding: str = AUTO) -> Iterator[Source]:
    """*Worker.* Open a file and see what it is.

    Raises:
        GarbledError: its name says that it is compressed, its bytes say otherwise.
    """
    with storage.open_read(uri) as stream:
        yield from _opened(uri, storage.name(uri), stream, encoding)


def look(uri: str, encoding: str = AUTO) -> Form | None:
    """*Anywhere.* What a file is; None if its bytes contradict themselves, which its reader will say."""
    try:
        with open_source(uri, encoding) as source:
            return source.form
    except Exception as error:
        if not is_damage(error):
            raise
        return None


@contextmanager
def open_member(uri: str, name: str, stream: Any, encoding: str = AUTO) -> Iterator[Source]:
    """*Worker.* The same for a stream, such as a member of a tar."""
    yield from _opened(uri, name, stream, encoding)


def _opened(uri: str, name: str, file: Any, encoding: str) -> Iterator[Source]:
    can_seek = hasattr(file, "seek") and file.seekable()
    with ExitStack() as held:
        packed: tuple[str, ...] = ()
        plain = file
        while True:
            head = read_head(plain)
            plain = Peeked(head, plain) if packed or not can_seek else _rewound(file)
            found = magic.compression_of(head)
            if not found or len(packed) == MOST_LAYERS:
                break
            packed += (found,)
            plain = held.enter_context(unpacked(plain, found, head))
        form = sniff(head, name, encoding, packed)
        _check_name(name, form, head)
        yield Source(uri, name, form, as_utf8(plain, form), file if can_seek and not packed else None)


def _rewound(file: Any) -> Any:
    file.seek(0)
    return file


def read_head(stream: Any) -> bytes:
    """*Worker.* The first HEAD_BYTES of a stream, fewer only at its end."""
    held: list[bytes] = []
    missing = magic.HEAD_BYTES
    while missing and (data := stream.read(missing)):
        held.append(data)
        missing -= len(data)
    return b"".join(held)


def _check_name(name: str, form: Form, head: bytes) -> None:
    told = split_name(name)[2]
    if told and head and not form.compressions and form.format not in (magic.PARQUET, magic.ARROW, FOREIGN):
        raise GarbledError(f"the name says {told[0]}, the bytes do not")


@contextmanager
def unpacked(stream: Any, compression: str, head: bytes) -> Iterator[Any]:
    """*Worker.* A stream unpacked; `head` is how it begins."""
    if compression == "zstd" and zstd_window_log(head) > ARROW_WINDOW_LOG:
        import zstandard

        yield zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(stream, read_across_frames=True)
    elif compression in ("zstd", "lz4"):  # pyarrow brings them along, the standard library does not yet
        yield pa.CompressedInputStream(pa.PythonFile(_Closable(stream), mode="r"), compression)
    else:
        with storage.unpack(cast(IO[bytes], _Closable(stream)), compression) as plain:
            yield plain


class _Closable(io.RawIOBase):
    """*Worker.* What libraries want of a file, for a stream that only reads."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes."""
        return self._stream.read(size)

    def readable(self) -> bool:
        """Yes."""
        return True


def zstd_window_log(head: bytes) -> int:
    """*Pure.* How far back the matches of a first zstd frame reach, as a power of two; 0 where it does not say."""
    if head[:4] != b"\x28\xb5\x2f\xfd" or len(head) < 14:
        return 0
    if head[4] & 0x20:  # a single segment: the window is the content
        widths = (1, 2, 4, 8)
        width, start = widths[head[4] >> 6], 5 + (0, 1, 2, 4)[head[4] & 3]
        return (int.from_bytes(head[start : start + width], "little") + 256 * (width == 2)).bit_length()
    return 10 + (head[5] >> 3)


def as_utf8(stream: Any, form: Form) -> Any:
    """*Worker.* The text of a stream in UTF-8 without its mark, lines ended by line feeds."""
    if form.mark:
        stream.read(form.mark)
    if form.encoding != UTF_8:
        stream = Transcoded(stream, form.encoding)
    return LineEnds(stream) if form.lone_cr else stream
