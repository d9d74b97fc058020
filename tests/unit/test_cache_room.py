"""The cache of fetched index files stays below its size: the one unused for longest goes, and none that is in use."""

from __future__ import annotations

import gc
import hashlib
import os
from pathlib import Path

import pytest

from clip_spark import storage
from clip_spark.errors import SpecError
from clip_spark.index.files import cache_room
from clip_spark.index.files.cache_room import SIZE_VARIABLE
from clip_spark.index.files.layout import IndexFile
from clip_spark.index.files.local_copy import open_local

INDEX = "memory://room/index"
BYTES = 100


class Opened:
    """Something that has a file open."""

    def __init__(self, path: str) -> None:
        self.data = Path(path).read_bytes()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with room for two files and a half."""
    monkeypatch.setenv("CLIP_SPARK_CACHE", str(tmp_path))
    monkeypatch.setenv(SIZE_VARIABLE, str(2 * BYTES + BYTES // 2))
    return tmp_path


def file_of(letter: str) -> IndexFile:
    """A file of the store that is filled with one letter."""
    data = letter.encode() * BYTES
    storage.write_bytes(storage.join(INDEX, letter), data)
    return IndexFile(letter, 0, 1, BYTES, hashlib.sha256(data).hexdigest())


def use(letter: str) -> Opened:
    opened = open_local(INDEX, file_of(letter), Opened)
    assert opened.data == letter.encode() * BYTES
    return opened


def kept(cache: Path, letters: str) -> str:
    """Which of some files are in the cache."""
    return "".join(letter for letter in letters if (cache / file_of(letter).sha256).exists())


def age(cache: Path, letter: str, seconds: int) -> None:
    os.utime(cache / file_of(letter).sha256, (seconds, seconds))


def test_what_was_not_used_for_longest_goes(cache: Path) -> None:
    (cache / "weights.safetensors").write_bytes(bytes(10 * BYTES))  # not ours to remove
    for seconds, letter in enumerate("ab", 1):
        use(letter)
        age(cache, letter, seconds)
    use("a")  # so b is the oldest now
    use("c")
    assert kept(cache, "abc") == "ac"
    assert (cache / "weights.safetensors").exists()


def test_what_is_in_use_stays_even_if_that_is_too_much(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    held = [use(letter) for letter in "abc"]
    assert kept(cache, "abc") == "abc" and "in use" in caplog.text
    del held
    gc.collect()
    age(cache, "a", 1)
    use("d")
    assert kept(cache, "ad") == "d"


def test_what_a_dead_process_was_fetching_goes(cache: Path) -> None:
    (cache / f"{cache_room.FETCHING}x.tmp").write_bytes(bytes(BYTES))
    use("a")
    assert [path.name for path in cache.iterdir()] == [file_of("a").sha256]


def test_a_size_that_is_none_is_said(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SIZE_VARIABLE, "much")
    with pytest.raises(SpecError, match="CLIP_SPARK_CACHE_SIZE is 'much'; give a size such as 200G"):
        use("a")
