"""Finished work is never lost, on a disk: see tests/helpers_life_machine.py.

CLIP_SPARK_LIFE_EXAMPLES gives the number of lives; a few in CI, hundreds in `make life`.
"""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.helpers_disturbed import lives
from tests.helpers_life_machine import Life

EXAMPLES = int(os.environ.get("CLIP_SPARK_LIFE_EXAMPLES", "16"))


class LifeOnDisk(Life):
    """In a temporary folder."""

    def new_folder(self) -> str:
        return tempfile.mkdtemp()


@pytest.mark.timeout(0)
def test_finished_work_is_never_lost() -> None:
    run_state_machine_as_test(LifeOnDisk, settings=lives(EXAMPLES, steps=14))
