"""*Driver.* Python processes of this machine that do tasks, without Spark and without a JVM.

They are fresh interpreters, and not started by `multiprocessing`: that would run the user's script again in each of
them, and a fork of a process with Arrow's threads can hang. A process ends when its pipe does: none outlives us.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from multiprocessing.connection import Connection, wait
from typing import Any

from clip_spark.errors import UserError
from clip_spark.runtime.child_process import how_ended

START = "import sys; sys.path[:] = {path!r}; from clip_spark.runtime.processes import serve; serve({descriptor})"
CLOSE_SECONDS = 10


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


class _Child:
    """*Driver.* One process, and the pipe to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            code = START.format(path=sys.path, descriptor=theirs.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the driver's, which ends them
            )
        self.connection = Connection(ours.detach())

    def send(self, task: tuple[Callable[[Any], Any], Any]) -> None:
        """Let it begin a task."""
        try:
            self.connection.send(task)
        except ConnectionError as error:
            raise ProcessFailed(self._end()) from error

    def answer(self) -> Any:
        """What its task has made."""
        try:
            good, answer = self.connection.recv()
        except (EOFError, ConnectionError) as error:
            raise ProcessFailed(self._end()) from error
        if not good:
            raise answer
        return answer

    def _end(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_SECONDS)
        return f"a process ended ({how_ended(self._process.returncode or 0)})"

    def close(self, now: bool) -> None:
        """End it; waits for that."""
        self.connection.close()
        if now:
            self._process.kill()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve(descriptor: int) -> None:
    """*Worker.* In the process: do tasks until the driver closes the pipe or is gone."""
    _let_arrow_find_no_pandas()
    with Connection(descriptor) as asked, suppress(EOFError, ConnectionError):
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
