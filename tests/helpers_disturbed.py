"""Commands in any order, each of them also killed, stopped by its disk, or with another beside it, at any write."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from clip_spark import storage
from clip_spark.errors import ClipSparkError, StorageError

BROKEN = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


@dataclass(frozen=True)
class Command:
    """One command: what it does below a folder, and what becomes of a world when it succeeds.

    Attributes:
        half: what it may have done when it fails: a removal holds, though nothing is erased.
    """

    name: str
    run: Callable[[str], object]
    after: Callable[[Any], Any]
    half: Callable[[Any], Any] | None = None


class Killed(BaseException):
    """The process ends here."""


@contextlib.contextmanager
def at_write(folder: str, number: int, happen: Callable[[], None], *, for_good: bool) -> Iterator[None]:
    """Let something happen right before the n-th file appears or goes; `for_good`: before each that follows, too.

    Not while a lock is held: there another writer waits, and in one thread it would wait for ever.
    """
    count, inside = 0, False

    def before(locked: bool) -> None:
        nonlocal count, inside
        if inside or (locked and not for_good):
            return
        count += 1
        if count == number or (for_good and count > number):
            inside = True
            try:
                happen()
            finally:
                inside = False

    with pytest.MonkeyPatch.context() as patch:
        (_hook_disk if storage.is_local(folder) else _hook_s3)(patch, folder, before)
        yield


def _hook_disk(patch: pytest.MonkeyPatch, folder: str, before: Callable[[bool], None]) -> None:
    def hooked(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            path = str(given[-1] if len(given) > 1 else given[0])
            if path.startswith(folder):  # not in the cache folder, where other locks are held
                before(any(name.startswith(".manifest.json.lock") for name in _beside(path)))
            return real(*given, **named)

        return call

    for module, name in ((os, "replace"), (os, "link"), (os, "remove"), (shutil, "rmtree")):
        patch.setattr(module, name, hooked(getattr(module, name)))


def _beside(path: str) -> list[str]:
    folder = os.path.dirname(path)
    return os.listdir(folder) if os.path.isdir(folder) else []


def _hook_s3(patch: pytest.MonkeyPatch, folder: str, before: Callable[[bool], None]) -> None:
    fs = storage.filesystem(folder)[0]

    def hooked(real: Callable[..., Any], only: tuple[str, ...] = ()) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if not only or given[0] in only:
                before(False)
            return real(*given, **named)

        return call

    for name in ("pipe_file", "rm", "rm_file"):
        patch.setattr(fs, name, hooked(getattr(fs, name)))
    patch.setattr(fs, "call_s3", hooked(fs.call_s3, ("put_object", "complete_multipart_upload")))  # what streams do


def orders(world: Any, done: Sequence[Command]) -> list[Any]:
    """What two commands may lead to, one after the other."""
    results = []
    for sequence in (done, done[::-1]):
        now = world
        for command in sequence:
            now = command.after(now)
        results.append(now)
    return results


def outcomes(before: Any, command: Command) -> list[Any]:
    """What a command may leave that was stopped somewhere."""
    half = [command.half(before)] if command.half else []
    return [before, *half, command.after(before)]


def lives(examples: int, steps: int) -> settings:
    """How many lives, and how long; more than a hundred are also shrunk to the shortest that fails."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate) + ((Phase.shrink,) if examples > 100 else ()),
        suppress_health_check=list(HealthCheck),
    )


def disturbed(commands: st.SearchStrategy[Command], writes: int) -> type[RuleBasedStateMachine]:
    """The rules of all machines, for these commands, each of which writes about so many files.

    A subclass has a `folder` and a `world`, and says with `settle` which of some worlds has come about.
    """
    numbers = st.integers(1, writes)

    class Disturbed(RuleBasedStateMachine):
        folder: str
        world: Any

        def settle(self, *possible: Any) -> None:
            """Go on from the one of these worlds that is there."""
            raise NotImplementedError

        def attempt(self, command: Command) -> bool:
            """True if it succeeded; a clear error is an answer too."""
            try:
                command.run(self.folder)
            except ClipSparkError:
                return False
            return True

        @rule(command=commands)
        def run(self, command: Command) -> None:
            before = self.world
            self.settle(command.after(before) if self.attempt(command) else before)

        @rule(command=commands, number=numbers)
        def killed(self, command: Command, number: int) -> None:
            def die() -> None:
                raise Killed

            before = self.world
            with contextlib.suppress(Killed), at_write(self.folder, number, die, for_good=True):
                self.attempt(command)
            self.settle(*outcomes(before, command))

        @rule(command=commands, number=numbers, code=st.sampled_from(BROKEN))
        def full_or_read_only(self, command: Command, number: int, code: int) -> None:
            """From one write on nothing can be written; each error is a clear one."""

            def fail() -> None:  # as the disk says it, or as the storage room says it of a store
                raise OSError(code, os.strerror(code)) if storage.is_local(self.folder) else StorageError("no answer")

            before = self.world
            with at_write(self.folder, number, fail, for_good=True):
                self.attempt(command)
            self.settle(*outcomes(before, command))

        @rule(one=commands, other=commands, number=numbers)
        def interleaved(self, one: Command, other: Command, number: int) -> None:
            done: list[bool] = []
            with at_write(self.folder, number, lambda: done.append(self.attempt(other)), for_good=False):
                first = self.attempt(one)
            if not done:
                done.append(self.attempt(other))
            sure = [one] * first + [other] * done[0]
            half = [
                replace(command, after=command.half)
                for command, ended in ((one, first), (other, done[0]))
                if command.half and not ended
            ]
            self.settle(*orders(self.world, sure), *orders(self.world, [*sure, *half]))

    return Disturbed
