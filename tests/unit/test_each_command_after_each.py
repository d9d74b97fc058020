"""Every command on a folder where everything has happened once already; in `make life`, every ordered pair of them.

Lives (tests/helpers_life_machine.py) are drawn by chance and seldom reach a world as full as this one: an index of two
sets that has learnt of hubs, lost records, and keeps the index of another model beside it.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.helpers_disturbed import Command
from tests.helpers_life import (
    CLEAN,
    FOREIGN,
    INDICES,
    OTHERS,
    SETS,
    adopting,
    building,
    building_beside,
    calibrating,
    compacting,
    doubling,
    forgetting,
    removing,
    switching,
    writing,
)
from tests.helpers_life_machine import Life

FIRST, SECOND = INDICES
HISTORY = (
    building(FIRST, "a"),
    building(FIRST, "b", append=True),
    building_beside(FIRST, "a2"),
    calibrating(FIRST),
    removing(FIRST, 1, where=False, compact=False),
    doubling("b", FIRST),
    building(SECOND, "c"),
)
EACH = (
    *(building(FIRST, name, overwrite=again) for name in SETS for again in (False, True)),
    *(building(FIRST, name, append=True) for name in SETS),
    *(adopting(index, name, overwrite=True) for index in INDICES for name in FOREIGN),
    *(removing(FIRST, 8, where=where, compact=compact) for where in (False, True) for compact in (False, True)),
    *(building_beside(index, name) for index in INDICES for name in OTHERS),
    *(change(index) for change in (compacting, calibrating, switching, forgetting) for index in INDICES),
    *(doubling(name, FIRST) for name in SETS),
    *(writing(name, 1) for name in SETS),
    CLEAN,
)
PAIRS = list(itertools.product(EACH, EACH)) if os.environ.get("CLIP_SPARK_LIFE_PAIRS") else [(one,) for one in EACH]


def named(commands: Sequence[Command]) -> str:
    return ", ".join(command.name for command in commands)


class Full(Life):
    """A life that begins with a history, as often as is asked."""

    def __init__(self, folder: Path) -> None:
        self.place_of_all, self.copy = folder / "all", folder / "copy"
        super().__init__()
        for command in HISTORY:
            assert self.attempt(command), command.name
            self.settle(command.after(self.world))
        shutil.copytree(self.place_of_all, self.copy)
        self.full = self.world

    def new_folder(self) -> str:
        self.place_of_all.mkdir()
        return str(self.place_of_all)

    def begin(self) -> None:
        """As it was after the history: at the same place, for datasets name each other by it."""
        shutil.rmtree(self.place_of_all)
        shutil.copytree(self.copy, self.place_of_all)
        self.world = self.full


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    full = Full(tmp_path_factory.mktemp("life"))
    yield full
    full.teardown()


@pytest.mark.parametrize("commands", PAIRS, ids=named)
def test_nothing_is_lost_where_everything_has_happened_before(life: Full, commands: tuple[Command, ...]) -> None:
    life.begin()
    for command in commands:
        life.run(command)
    life.a_search_is_brute_force()
    life.a_corrected_search_finds_the_same()
    life.nothing_that_is_named_is_missing()
