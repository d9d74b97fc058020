"""Datasets follow a folder that changes, on a disk: see tests/helpers_growth_machine.py."""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.helpers_disturbed import lives
from tests.helpers_growth_machine import Growth

EXAMPLES = int(os.environ.get("CLIP_SPARK_LIFE_EXAMPLES", "8"))


class GrowthOnDisk(Growth):
    """In a temporary folder."""

    def new_folder(self) -> str:
        return tempfile.mkdtemp()


@pytest.mark.timeout(0)
def test_datasets_follow_a_folder_that_changes() -> None:
    run_state_machine_as_test(GrowthOnDisk, settings=lives(EXAMPLES, steps=16))
