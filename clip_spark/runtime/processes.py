"""*Driver.* Python processes of this machine that do the tasks of a job, without Spark and without a JVM.

A task that kills its process, or that another try may mend, fails the whole job here: Spark then does it. What is done
record by record, and must know the deadly one, is `child_process.Apart`'s.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from multiprocessing.connection import Connection, wait
from typing import Any

from clip_spark.errors import UserError
from clip_spark.runtime.fresh_process import FreshProcess


class ProcessFailed(Exception):
    """A process has died, or its task failed for a reason that another try may mend."""


class Processes:
    """*Driver.* So many processes, for as long as the block runs."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._children: list[_Child] = []

    def __enter__(self) -> Processes:
        """Start them; they import what the first task needs."""
        for _ in range(self._count):
            self._children.append(_Child())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        """End them; in the middle of their tasks if the block has failed."""
        for child in self._children:
            child.close(now=kind is not None)

    def map(self, work: Callable[[Any], Any], items: Sequence[Any], done: Callable[[], object]) -> list[Any]:
        """*Driver.* What `work` makes of each item, in order, one task for each.

        Args:
            work: picklable, like items and results.
            items: the tasks; those that come first are begun first.
            done: called after each task.

        Raises:
            UserError: a task found a mistake that no other try can mend.
            ProcessFailed: anything else.
        """
        results: list[Any] = [None] * len(items)
        todo, idle = deque(enumerate(items)), list(self._children)
        busy: dict[Any, tuple[_Child, int]] = {}
        while todo or busy:
            while todo and idle:
                number, item = todo.popleft()
                child = idle.pop()
                child.send((work, item))
                busy[child.connection] = child, number
            for connection in wait(list(busy)):
                child, number = busy.pop(connection)
                results[number] = child.answer()
                idle.append(child)
                done()
        return results


class _Child(FreshProcess):
    """*Driver.* One process; what goes wrong with it is ProcessFailed."""

    def __init__(self) -> None:
        super().__init__(_serve)

    def send(self, task: tuple[Callable[[Any], Any], Any]) -> None:
        """Let it begin a task."""
        try:
            self.connection.send(task)
        except ConnectionError as error:
            raise ProcessFailed(f"a process ended ({self.close()})") from error

    def answer(self) -> Any:
        """What its task has made."""
        try:
            good, answer = self.connection.recv()
        except (EOFError, ConnectionError) as error:
            raise ProcessFailed(f"a process ended ({self.close()})") from error
        if not good:
            raise answer
        return answer


def _serve(asked: Connection) -> None:
    """*Worker.* In the process: do tasks."""
    _let_arrow_find_no_pandas()
    while True:
        work, item = asked.recv()
        asked.send(_answer(work, item))


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Nothing but pandas is not found."""
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def _let_arrow_find_no_pandas() -> None:
    """*Worker.* Arrow looks once, at the first array that it makes, since that could come from a Series; where it finds
    pandas it imports it, which takes half a second and 40 MB."""
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        import pyarrow as pa

        pa.array([])
    finally:
        sys.meta_path.remove(finder)


def _answer(work: Callable[[Any], Any], item: Any) -> tuple[bool, Any]:
    try:
        return True, work(item)
    except UserError as error:
        return False, UserError(str(error))
    except Exception as error:  # noqa: BLE001 - Spark's try of it will say what is wrong
        return False, ProcessFailed(f"{type(error).__name__}: {error}")
