"""*Worker.* Arrays in .npy files, read by rows; what such a file says of itself is compared with its size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from clip_spark import storage
from clip_spark.errors import InputError

VECTOR_TYPES = ("float16", "float32", "float64")
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class NpyFile:
    """The header of a .npy file.

    Attributes:
        uri: where it is.
        shape: of the array.
        dtype: of its values, with the order of their bytes.
        at: byte at which the values begin.
    """

    uri: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    at: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))

    def blocks(self, start: int, stop: int, rows: int) -> Iterator[np.ndarray]:
        """Rows `start` to `stop`, at most `rows` at a time; only their bytes are read.

        Raises:
            InputError: the file has become shorter since it was looked at.
        """
        with storage.open_read(self.uri) as stream:
            stream.seek(self.at + start * self.row_bytes)
            for first in range(start, stop, rows):
                count = min(rows, stop - first)
                data = stream.read(count * self.row_bytes)
                if len(data) != count * self.row_bytes:
                    raise InputError(f"'{self.uri}' ends before row {first + count:,}; it was cut short meanwhile.")
                yield np.frombuffer(data, self.dtype).reshape(count, *self.shape[1:])


def open_npy(uri: str, size: int) -> NpyFile:
    """*Anywhere.* The header of a .npy file of `size` bytes; nothing in it is ever executed.

    Raises:
        InputError: it is none, holds Python objects, lies by columns, or is longer or shorter than it says.
    """
    try:
        with storage.open_read(uri) as stream:
            version = np.lib.format.read_magic(stream)
            if version not in HEADERS:
                raise ValueError(f"its format {version[0]}.{version[1]} is unknown")
            shape, by_columns, dtype = HEADERS[version](stream)
            at = stream.tell()
    except (ValueError, EOFError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(f"'{uri}' is no .npy file: {' '.join(str(error).split())[:200] or 'damaged'}.") from error
    if dtype.hasobject:
        raise InputError(f"'{uri}' holds Python objects, which only pickle can read; save it as an array of texts.")
    if by_columns and len(shape) > 1:
        raise InputError(f"'{uri}' lies by columns; save it again as `numpy.ascontiguousarray(array)`.")
    wanted = at + dtype.itemsize * _product(shape)
    if size != wanted:
        raise InputError(f"'{uri}' has {size:,} bytes where its header asks for {wanted:,}; it is damaged.")
    return NpyFile(uri, tuple(shape), dtype, at)


def open_vectors(uri: str, size: int) -> NpyFile:
    """*Anywhere.* The same of a file of vectors, floats (n, d); raises InputError where it is something else."""
    found = open_npy(uri, size)
    if len(found.shape) != 2 or found.dtype.newbyteorder("=").name not in VECTOR_TYPES:
        raise InputError(
            f"'{uri}' is {found.dtype} of shape {found.shape}; vectors are (rows, numbers) "
            f"of {', '.join(VECTOR_TYPES)}."
        )
    return found


def _product(shape: tuple[int, ...]) -> int:
    """Of Python's numbers, which do not overflow."""
    product = 1
    for length in shape:
        product *= length
    return product
