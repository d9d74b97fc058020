"""Finished work is never lost, and datasets follow what changes, on S3: both machines, with few and short lives."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from clip_spark import storage
from tests.helpers_disturbed import lives
from tests.helpers_growth_machine import Growth
from tests.helpers_life_machine import Life

pytestmark = pytest.mark.storage
EXAMPLES = int(os.environ.get("CLIP_SPARK_LIFE_EXAMPLES_S3", "2"))


@pytest.mark.timeout(0)
@pytest.mark.parametrize(("machine", "steps"), [(Life, 6), (Growth, 10)])
def test_finished_work_is_never_lost_on_s3(
    machine: type[RuleBasedStateMachine],
    steps: int,
    bucket: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    storage.forget_clients()
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path_factory.mktemp("cache")))
    numbers = itertools.count()

    class OnS3(machine):  # type: ignore[misc, valid-type]
        def new_folder(self) -> str:
            return f"{bucket}/{next(numbers)}"

    run_state_machine_as_test(OnS3, settings=lives(EXAMPLES, steps))
