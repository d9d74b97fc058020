"""Any commands on one index, in any order, killed at any write or with another at any write; the oracle is a set.

CLIP_SPARK_LIFE_EXAMPLES gives the number of lives (12 in CI, which take about a minute).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from clip_spark import storage
from clip_spark.commands.clean import delete_each, find_leftovers
from clip_spark.datasets import schema
from clip_spark.datasets.commit import read_head
from clip_spark.errors import ClipSparkError
from clip_spark.index.build import build as build_module
from clip_spark.index.build.build import build_index
from clip_spark.index.change.remove import remove_records
from clip_spark.index.specs import IndexSpec, RemoveSpec
from clip_spark.search.searcher import Searcher
from tests.helpers_embeddings import numbered, unit_vectors, write_embeddings

EXAMPLES = int(os.environ.get("CLIP_SPARK_LIFE_EXAMPLES", "12"))
SETS, EACH = ("a", "b", "c"), 4
TEXTS = numbered(len(SETS) * EACH)
VECTORS = unit_vectors(len(TEXTS), dim=8)
ROWS = {name: range(at * EACH, (at + 1) * EACH) for at, name in enumerate(SETS)}
QUERY = unit_vectors(1, dim=8, seed=5)[0]


@dataclass(frozen=True)
class State:
    """What the index should hold: sets of embeddings in the order in which they were added, and removed rows."""

    sets: tuple[str, ...] = ()
    removed: frozenset[int] = frozenset()

    @property
    def rows(self) -> list[int]:
        return [row for name in self.sets for row in ROWS[name]]

    def answer(self) -> list[int]:
        """Brute force: the rows that a search finds, the nearest first."""
        left = [row for row in self.rows if row not in self.removed]
        return sorted(left, key=lambda row: -float(VECTORS[row] @ QUERY))


@dataclass(frozen=True)
class Command:
    """One command: what it does, and what becomes of a state when it succeeds.

    Attributes:
        halves: what it may do before it says that another was quicker: a removal holds, though nothing is erased.
    """

    name: str
    run: Callable[[str], object]
    after: Callable[[State], State]
    halves: bool = False


def no_spark() -> Any:
    raise AssertionError("no session is needed here")


def building(name: str, *, overwrite: bool = False, append: bool = False) -> Command:
    def run(index: str) -> object:
        source = str(Path(index).parent / name)
        return build_index(no_spark, IndexSpec(embeddings=source, output=index, overwrite=overwrite, append=append))

    def after(state: State) -> State:
        if append:
            return state if name in state.sets else replace(state, sets=(*state.sets, name))
        return replace(state, sets=(name,))

    kind = "append" if append else "rebuild" if overwrite else "build"
    return Command(f"{kind} {name}", run, after)


def removing(row: int, *, where: bool, compact: bool) -> Command:
    def run(index: str) -> object:
        condition, ids = (f"text = '{TEXTS[row]}'", ()) if where else ("", (schema.record_id(TEXTS[row]),))
        return remove_records(no_spark, RemoveSpec(index=index, where=condition, ids=ids, compact=compact))

    def after(state: State) -> State:
        return replace(state, removed=state.removed | {row}) if row in state.rows else state

    return Command(f"remove {row} where={where} compact={compact}", run, after, halves=compact)


COMPACT = Command("compact", lambda index: remove_records(no_spark, RemoveSpec(index=index, compact=True)), lambda s: s)


def clean(index: str) -> None:
    list(delete_each(find_leftovers(str(Path(index).parent), older_than_hours=0, unfinished=True)))


names, numbers = st.sampled_from(SETS), st.sampled_from(range(len(TEXTS)))
commands = st.one_of(
    st.builds(building, names, overwrite=st.booleans()),
    st.builds(building, names, append=st.just(True)),
    st.builds(removing, numbers, where=st.booleans(), compact=st.booleans()),
    st.just(COMPACT),
    st.just(Command("clean", clean, lambda state: state)),
)


class Killed(BaseException):
    """The process ends here."""


@contextlib.contextmanager
def at_write(number: int, happen: Callable[[], None], *, for_good: bool) -> Iterator[None]:
    """Let something happen right before the n-th file appears or goes; `for_good`: before each that follows, too.

    Not while a lock is held: there another writer waits, and in one thread it would wait for ever.
    """
    count, inside = 0, False

    def hooked(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal count, inside
            locked = any(str(name).startswith(".manifest.json.lock") for name in _beside(given))
            if not inside and (for_good or not locked):
                count += 1
                if count == number or (for_good and count > number):
                    inside = True
                    try:
                        happen()
                    finally:
                        inside = for_good and False
            return real(*given, **named)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((os, "replace"), (os, "link"), (os, "remove"), (storage, "remove_tree")):
            patch.setattr(module, name, hooked(getattr(module, name)))
        yield


def _beside(given: tuple[Any, ...]) -> list[str]:
    folder = os.path.dirname(str(given[-1] if len(given) > 1 else given[0]))
    return os.listdir(folder) if os.path.isdir(folder) else []


class Life(RuleBasedStateMachine):
    """One index from its first build on."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(build_module, "log", type("Quiet", (), {"info": staticmethod(lambda *_: None)})())
        for name in SETS:
            rows = list(ROWS[name])
            write_embeddings(self.folder / name, VECTORS[rows], [TEXTS[row] for row in rows], shard_rows=3)
        self.index = str(self.folder / "index")
        self.state = State()
        self.foreign: dict[str, bytes] = {}
        self.reader: tuple[Searcher, State] | None = None

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.folder)

    def attempt(self, command: Command) -> bool:
        """True if it succeeded; a clear error is an answer too."""
        if command.name == "clean":
            self.reader = None
        try:
            command.run(self.index)
        except ClipSparkError:
            return False
        return True

    def answer(self) -> list[int]:
        if read_head(self.index).manifest is None:
            return []
        return rows_of(Searcher.open(self.index))

    def settle(self, *possible: State) -> None:
        """Go on from the one of these states that the index is in."""
        found = self.answer()
        fitting = [state for state in possible if state.answer() == found and self.holds(state)]
        assert fitting, f"a search finds {found}, possible were {[state.answer() for state in possible]}"
        self.state = fitting[0]

    def holds(self, state: State) -> bool:
        """True if the manifest has as many positions as the state; records that were erased keep theirs."""
        found = read_head(self.index).manifest
        if found is None:
            return not state.sets
        return sum(file["rows"] for file in found.extra["records"]) == len(state.rows)

    @rule(hours=st.sampled_from(["0", "24"]))
    def grace(self, hours: str) -> None:
        self.patch.setenv("CLIP_SPARK_GRACE_HOURS", hours)
        self.reader = None

    @rule(command=commands)
    def run(self, command: Command) -> None:
        before = self.state
        self.settle(command.after(before) if self.attempt(command) else before)

    @rule(command=commands, number=st.integers(1, 12))
    def killed(self, command: Command, number: int) -> None:
        def die() -> None:
            raise Killed

        before = self.state
        with contextlib.suppress(Killed), at_write(number, die, for_good=True):
            self.attempt(command)
        self.settle(before, command.after(before))

    @rule(one=commands, other=commands, number=st.integers(1, 12))
    def interleaved(self, one: Command, other: Command, number: int) -> None:
        done: list[bool] = []
        with at_write(number, lambda: done.append(self.attempt(other)), for_good=False):
            first = self.attempt(one)
        if not done:
            done.append(self.attempt(other))
        sure = [one] * first + [other] * done[0]
        half = [command for command, ended in ((one, first), (other, done[0])) if command.halves and not ended]
        self.settle(*orders(self.state, sure), *orders(self.state, [*sure, *half]))

    @precondition(lambda self: bool(self.state.sets))
    @rule(place=st.sampled_from(["", "parts", "generations", "removed", "parts/notes", "_work"]))
    def foreign_file(self, place: str) -> None:
        path = os.path.join(self.index, place, f"thesis{len(self.foreign)}.txt")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(b"years of work")
        self.foreign[path] = b"years of work"

    @precondition(lambda self: bool(self.state.sets) and os.environ.get("CLIP_SPARK_GRACE_HOURS") == "24")
    @rule()
    def open_reader(self) -> None:
        self.reader = (Searcher.open(self.index), self.state)

    @invariant()
    def a_search_is_brute_force(self) -> None:
        assert self.answer() == self.state.answer()

    @invariant()
    def nothing_that_is_named_is_missing(self) -> None:
        found = read_head(self.index).manifest
        assert not [path for path in found.owned() if not os.path.exists(f"{self.index}/{path}")] if found else True

    @invariant()
    def foreign_files_are_untouched(self) -> None:
        assert {path: Path(path).read_bytes() for path in self.foreign} == self.foreign

    @invariant()
    def a_reader_goes_on(self) -> None:
        if self.reader is not None:
            searcher, then = self.reader
            found = set(rows_of(searcher))
            assert set(then.rows) - self.state.removed <= found <= set(then.answer())


def orders(state: State, done: list[Command]) -> list[State]:
    """What two commands may lead to, one after the other."""
    results = []
    for sequence in (done, done[::-1]):
        now = state
        for command in sequence:
            now = command.after(now)
        results.append(now)
    return results


def rows_of(searcher: Searcher) -> list[int]:
    return [TEXTS.index(hit.record["text"]) for hit in searcher.search_embedding(QUERY, len(TEXTS))]


@pytest.mark.timeout(0)
def test_finished_work_is_never_lost() -> None:
    quick = settings(
        max_examples=EXAMPLES,
        stateful_step_count=12,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate) + ((Phase.shrink,) if EXAMPLES > 100 else ()),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Life, settings=quick)
