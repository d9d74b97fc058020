"""What a task leaves behind in its process."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from clip_spark.errors import UserError
from clip_spark.runtime.memory import Tidied
from clip_spark.runtime.tasks import _Work


class Cycle:
    """Something that only the garbage collector can free."""

    alive = 0

    def __init__(self) -> None:
        Cycle.alive += 1
        self.itself = self

    def __del__(self) -> None:
        Cycle.alive -= 1


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """The test's own process must not stay frozen."""
    yield
    gc.unfreeze()


def leave_garbage(fails: bool) -> None:
    Cycle()
    if fails:
        raise UserError("a mistake")


@pytest.mark.parametrize("fails", [False, True])
def test_after_a_task_there_is_no_garbage_and_nothing_to_look_through(fails: bool) -> None:
    kept = [Cycle() for _ in range(10)]
    _Work(leave_garbage)(fails)
    assert Cycle.alive == len(kept)
    assert gc.get_freeze_count() > 10_000 and len(gc.get_objects()) < 5_000
    del kept


def yield_beside_a_cycle(count: int) -> Iterator[int]:
    held = Cycle()
    yield from range(count)
    assert held.alive


def test_what_a_generators_frame_held_is_gone_too() -> None:
    gc.collect()  # what other tests left
    before = Cycle.alive
    assert list(Tidied(yield_beside_a_cycle)(3)) == [0, 1, 2]
    assert Cycle.alive == before
