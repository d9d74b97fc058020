"""The folder of what was fetched: nobody else may put anything there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from clip_spark.errors import InputError
from clip_spark.storage.local_cache import CACHE_VARIABLE, cache_folder


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"clip-spark-cache-{os.getuid()}"


def test_it_is_private_also_where_an_older_version_let_a_group_write(temporary: Path) -> None:
    assert cache_folder() == temporary and temporary.stat().st_mode & 0o777 == 0o700
    temporary.chmod(0o775)
    assert cache_folder().stat().st_mode & 0o777 == 0o755


def test_a_link_or_a_folder_of_somebody_else_is_refused(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (temporary.parent / "elsewhere").mkdir()
    temporary.symlink_to(temporary.parent / "elsewhere")
    with pytest.raises(InputError, match="is not yours; set CLIP_SPARK_CACHE"):
        cache_folder()
    monkeypatch.setenv(CACHE_VARIABLE, str(temporary))
    assert cache_folder() == temporary, "what the user names is the user's affair"
