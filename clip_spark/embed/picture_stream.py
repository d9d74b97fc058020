"""*Worker.* From stored pictures to vectors, as a stream: threads read and decode while the model computes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from clip_spark.errors import Rejected
from clip_spark.pictures.records import ImageRow
from clip_spark.pictures.sources import FileEntry, Part, Picture, Unreadable
from clip_spark.runtime.ahead import map_ordered
from clip_spark.runtime.child_process import Apart
from clip_spark.runtime.devices import decode_threads, is_retry

if TYPE_CHECKING:
    from clip_spark.datasets.shards import ShardWriter
    from clip_spark.encoders.open_clip import Encoder
    from clip_spark.encoders.picture_pixels import PicturePreparer

Decode = Callable[[bytes], tuple[np.ndarray, tuple[int, int]]]


@dataclass(frozen=True)
class Prepared:
    """A picture that is ready for the model: pixels uint8 (height, width, 3) of the model's input size."""

    row: ImageRow
    pixels: np.ndarray
    read_seconds: float
    decode_seconds: float


def prepared_pictures(
    encoder: Encoder, part: Part, writer: ShardWriter, fast_decode: bool = False
) -> Iterator[Prepared]:
    """*Worker.* The usable pictures of a part, in order; the others are rejected.

    At most two forward passes' worth of pictures wait, which bounds the memory.
    """

    with decoder(encoder.preparers[fast_decode]) as decode:

        def work(item: FileEntry | Picture | Unreadable) -> Prepared | Unreadable:
            return prepare(decode, item)

        results = map_ordered(work, part.read(), decode_threads(), ahead=2 * encoder.pictures_per_pass.size)
        for result in results:
            if isinstance(result, Unreadable):
                writer.reject(result.uri, result.reason, result.message)
            else:
                writer.watch.seconds["read"] += result.read_seconds
                writer.watch.seconds["decode"] += result.decode_seconds
                yield result


def decoder(preparer: PicturePreparer) -> AbstractContextManager[Decode]:
    """*Worker.* Decodes here; when the task was tried before, in processes of its own: a picture may have ended it."""
    return Apart(preparer.with_size) if is_retry() else nullcontext(preparer.with_size)


def prepare(decode: Decode, item: FileEntry | Picture | Unreadable) -> Prepared | Unreadable:
    """*Worker.* Read a picture if that is still to be done, decode and resize it; runs in a thread."""
    start = time.perf_counter()
    picture = item.load() if isinstance(item, FileEntry) else item
    if isinstance(picture, Unreadable):
        return picture
    loaded = time.perf_counter()
    try:
        pixels, (width, height) = decode(picture.data)
    except Rejected as error:
        return Unreadable(picture.uri, error.reason, error.message)
    row = ImageRow(replace(picture, data=b""), width, height, len(picture.data))
    return Prepared(row, pixels, loaded - start, time.perf_counter() - loaded)


def encode_pictures(encoder: Encoder, pictures: Iterator[Prepared]) -> Iterator[tuple[ImageRow, np.ndarray]]:
    """*Worker.* Each picture with its vector, float32 (d,), in order."""
    while batch := list(islice(pictures, encoder.pictures_per_pass.size)):
        vectors = encoder.encode_pixels(np.stack([picture.pixels for picture in batch]))
        yield from zip((picture.row for picture in batch), vectors, strict=True)
