"""*Driver.* An exchange in processes of this machine: what tasks deal out lies in files of a temporary folder.

Each task of the first kind leaves one file with all its messages by part, and where each part's begin; a task of the
second kind reads its piece of every file, a message at a time. A shared value is mapped, not copied, into each process.
"""

from __future__ import annotations

import mmap
import pickle
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from clip_spark.runtime.devices import usable_cores
from clip_spark.runtime.memory import Tidied, tidy
from clip_spark.runtime.processes import Processes
from clip_spark.runtime.progress import show_progress

NUMBER_BYTES = 8
ALIGNED = 64
"""Bytes; Arrow wants its buffers so."""


class Here:
    """*Driver.* An Exchange; its processes and files are there as long as the block runs."""

    def __init__(self, step: str, items: int) -> None:
        self._step = step
        self._processes = Processes(min(items, usable_cores()))
        self._folder = Path()
        self._stack = ExitStack()
        self._files = 0

    def __enter__(self) -> Here:
        """Start the processes."""
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clip-spark-")))
            stack.enter_context(self._processes)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        """End them, and delete the files."""
        self._stack.__exit__(*error)

    def share(self, value: Any) -> MappedValue:
        """A file that each process maps."""
        return MappedValue.of(value, self._next())

    def each(self, items: Sequence[Any], work: Callable[[Any], object]) -> None:
        """One task for each item."""
        if items:
            with show_progress(self._step, len(items)) as done:
                self._processes.map(_Each(work), items, done)

    def deal(
        self,
        items: Sequence[Any],
        deal: Callable[[Any], Iterator[tuple[int, Any]]],
        parts: int,
        gather: Callable[[int, Iterable[tuple[int, Any]]], Iterator[Any]],
    ) -> list[Any]:
        """One task for each item, then one for each part."""
        files = [str(self._next()) for _ in items]
        with show_progress(self._step, len(items) + parts) as done:
            self._processes.map(_Deal(Tidied(deal), parts), list(zip(items, files, strict=True)), done)
            found = self._processes.map(_Gather(Tidied(gather), files, parts), range(parts), done)
        for file in files:
            Path(file).unlink()
        return [result for results in found for result in results]

    def _next(self) -> Path:
        self._files += 1
        return self._folder / str(self._files)


@dataclass(frozen=True)
class MappedValue:
    """*Anywhere.* A value in a file: its large buffers (numpy's, Arrow's) are shared by all processes that look at it.

    Attributes:
        path: of the file.
        cuts: where in it the buffers begin and end, and last the rest of the value.
    """

    path: str
    cuts: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, value: Any, path: Path) -> MappedValue:
        """*Driver.* Write the file."""
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        cuts = []
        with path.open("wb") as stream:
            for data in (*(buffer.raw() for buffer in buffers), memoryview(pickled)):
                stream.write(bytes(-stream.tell() % ALIGNED))
                start = stream.tell()
                stream.write(data)
                cuts.append((start, stream.tell()))
        return cls(str(path), tuple(cuts))

    @property
    def value(self) -> Any:
        """*Worker.* The value; read once in each process."""
        return _mapped(self)


@lru_cache(1)
def _mapped(shared: MappedValue) -> Any:
    with open(shared.path, "rb") as stream:
        data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    *buffers, pickled = (data[start:end] for start, end in shared.cuts)
    return pickle.loads(pickled, buffers=buffers)


@dataclass(frozen=True)
class _Each:
    """*Worker.* Does a task whose result nobody waits for."""

    work: Callable[[Any], object]

    def __call__(self, item: Any) -> None:
        try:
            self.work(item)
        finally:
            tidy()


@dataclass(frozen=True)
class _Deal:
    """*Worker.* (item, file) -> the file: messages by part, then where each part's begin."""

    deal: Callable[[Any], Iterator[tuple[int, Any]]]
    parts: int

    def __call__(self, item_and_file: tuple[Any, str]) -> None:
        item, file = item_and_file
        messages: dict[int, list[bytes]] = defaultdict(list)
        for part, value in self.deal(item):
            messages[part].append(pickle.dumps((part, value), protocol=5))
        starts = []
        with open(file, "wb") as stream:
            for part in range(self.parts):
                starts.append(stream.tell())
                stream.writelines(messages.pop(part, ()))
            starts.append(stream.tell())
            stream.write(b"".join(start.to_bytes(NUMBER_BYTES, "little") for start in starts))


@dataclass(frozen=True)
class _Gather:
    """*Worker.* Reads what all files have for a part."""

    gather: Callable[[int, Iterable[tuple[int, Any]]], Iterator[Any]]
    files: Sequence[str]
    parts: int

    def __call__(self, part: int) -> list[Any]:
        return list(self.gather(part, self._messages(part)))

    def _messages(self, part: int) -> Iterator[tuple[int, Any]]:
        for file in self.files:
            with open(file, "rb") as stream:
                stream.seek(-NUMBER_BYTES * (self.parts + 1 - part), 2)
                start, end = (int.from_bytes(stream.read(NUMBER_BYTES), "little") for _ in range(2))
                stream.seek(start)
                while stream.tell() < end:
                    yield pickle.load(stream)
