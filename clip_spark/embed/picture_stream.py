"""*Worker.* From stored pictures to vectors, as a stream: threads read and decode while the model computes."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from clip_spark.errors import Rejected
from clip_spark.pictures.items import Item, LeftOut, Picture, Unreadable
from clip_spark.pictures.parts import Part
from clip_spark.pictures.records import PictureRow
from clip_spark.pictures.sources import FileEntry
from clip_spark.runtime.ahead import map_ordered
from clip_spark.runtime.child_process import Apart, Limits
from clip_spark.runtime.devices import decode_threads, is_retry
from clip_spark.runtime.row_counts import count_rows

if TYPE_CHECKING:
    from clip_spark.datasets.shards import ShardWriter
    from clip_spark.encoders.protocol import Encoder, Pixels

Decode = Callable[[bytes], "Pixels"]
SECOND_TRY = Limits(seconds=60)
"""Of a picture that may have ended the task before; a large one takes a second."""


@dataclass(frozen=True)
class Prepared:
    """A picture that is ready for the model: pixels uint8 (height, width, 3) of the model's input size."""

    row: PictureRow
    pixels: np.ndarray
    notices: tuple[str, ...]
    read_seconds: float
    decode_seconds: float


def prepared_pictures(
    encoder: Encoder, part: Part, writer: ShardWriter, fast_decode: bool = False, per_pass: int = 0
) -> Iterator[Prepared]:
    """*Worker.* The usable pictures of a part, in order; the others are rejected.

    At most two forward passes' worth of pictures wait, which bounds the memory.
    """
    ahead = 2 * (per_pass or encoder.stats().pictures_per_pass)

    with decoder(partial(encoder.prepare, fast=fast_decode)) as decode, counted_warnings(writer.counters):

        def work(item: FileEntry | Item) -> Prepared | Unreadable | LeftOut:
            return prepare(decode, item)

        results = map_ordered(work, part.read(), decode_threads(), ahead)
        for result in results:
            if isinstance(result, Unreadable):
                writer.reject(result.uri, result.reason, result.message)
            elif isinstance(result, LeftOut):
                writer.counters[result.counter] += 1
            else:
                writer.watch.seconds["read"] += result.read_seconds
                writer.watch.seconds["decode"] += result.decode_seconds
                writer.counters.update(f"pictures {notice}" for notice in result.notices)
                yield result


def decoder(prepare: Decode) -> AbstractContextManager[Decode]:
    """*Worker.* Decodes here; when the task was tried before, in processes of its own: a picture may have ended it."""
    return Apart(prepare, SECOND_TRY) if is_retry() else nullcontext(prepare)


@contextmanager
def counted_warnings(counters: Counter[str]) -> Iterator[None]:
    """*Worker.* Pillow's warnings are counted, not printed: a thousand pictures of the web bring dozens of them."""
    show = warnings.showwarning

    def count(message: Any, category: type[Warning], filename: str, *where: Any) -> None:
        if "PIL" in filename or filename.endswith("decode.py"):
            counters["warnings of the decoders"] += 1
        else:
            show(message, category, filename, *where)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", module=r"PIL\b|clip_spark\.pictures\.decode")
        warnings.showwarning = count  # type: ignore[assignment]
        yield


def prepare(decode: Decode, item: FileEntry | Item) -> Prepared | Unreadable | LeftOut:
    """*Worker.* Read a picture if that is still to be done, decode and resize it; runs in a thread."""
    start = time.perf_counter()
    picture = item.load() if isinstance(item, FileEntry) else item
    if not isinstance(picture, Picture):
        return picture
    loaded = time.perf_counter()
    try:
        found = decode(picture.data)
    except Rejected as error:
        return Unreadable(picture.uri, error.reason, error.message)
    row = PictureRow(replace(picture, data=b""), *found.size, len(picture.data))
    return Prepared(row, found.values, (*picture.notices, *found.notices), loaded - start, time.perf_counter() - loaded)


def encode_pictures(
    encoder: Encoder, pictures: Iterator[Prepared], per_pass: int = 0
) -> Iterator[tuple[PictureRow, np.ndarray]]:
    """*Worker.* Each picture with its vector, float32 (d,), in order; `per_pass` 0 leaves the batch to the encoder."""
    while batch := list(islice(pictures, per_pass or encoder.stats().pictures_per_pass)):
        vectors = encoder.encode_pixels(np.stack([picture.pixels for picture in batch]), per_pass)
        count_rows(len(batch))
        yield from zip((picture.row for picture in batch), vectors, strict=True)
