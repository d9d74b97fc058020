"""Finished work is never lost, on S3: the machine of tests/helpers_life_machine.py, with few and short lives."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis.stateful import run_state_machine_as_test

from clip_spark import storage
from tests.helpers_life_machine import Life, lives

pytestmark = pytest.mark.storage
EXAMPLES = int(os.environ.get("CLIP_SPARK_LIFE_EXAMPLES_S3", "2"))


@pytest.mark.timeout(0)
def test_finished_work_is_never_lost_on_s3(
    bucket: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.forget_clients()
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path_factory.mktemp("cache")))
    numbers = itertools.count()

    class LifeOnS3(Life):
        def new_folder(self) -> str:
            return f"{bucket}/{next(numbers)}"

    run_state_machine_as_test(LifeOnS3, settings=lives(EXAMPLES, steps=6))
