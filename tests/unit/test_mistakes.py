"""A user's mistake is one sentence with exit status 2, said before any session starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clip_spark.jobs.cli import main
from clip_spark.runtime.session import check_java

NO_SESSION = "a session was started for a mistake"


@pytest.fixture(autouse=True)
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError(NO_SESSION)

    monkeypatch.setattr("clip_spark.runtime.session.get_session", refuse)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("a dog and a cat\n")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("count-ngrams --corpus {0}/absent --output {0}/o", "absent"),
        ("count-ngrams --corpus {0}/empty --output {0}/o", "empty"),
        ("count-ngrams --corpus s4://bucket/x --output {0}/o", "no reader for scheme 's4://'"),
        ("count-ngrams --corpus {0}/text --output {0}/o --orders 9", "--orders is '9'"),
        ("count-ngrams --corpus {0}/text --output {0}/text", "is the input corpus"),
        ("filter-ngrams --counts {0}/text --output {0}/o", "is not a dataset"),
        ("filter-ngrams --counts {0}/o --output {0}/p --rank pim", "Did you mean 'pmi'"),
        ("embed-text --records {0}/absent --output {0}/o", "does not exist"),
        ("embed-images --images {0}/absent --output {0}/o", "absent"),
        ("embed-images --images {0}/text --output {0}/o --model ViT-B-23:openai", "ViT-B-"),
        ("embed-images --images {0}/text --output {0}/o --model dmo", "demo"),
        ("build-index --embeddings {0}/absent --output {0}/o", "does not exist"),
        ("build-index --embeddings {0}/absent --output {0}/o --max-index-memory lots", "give a size such as"),
        ("search --index {0}/absent --text dog", "does not exist"),
        ("tag-images --embeddings {0}/absent --index {0}/absent --output {0}/o", "does not exist"),
        ("run --config {0}/absent.yaml", "does not exist"),
        ("demo --corpus {0}/absent", "does not exist or holds no files"),
    ],
)
def test_mistakes(command: str, message: str, corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([part.format(corpus) for part in command.split()]) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and len(err.strip().splitlines()) == 1, err


def test_without_java_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from clip_spark.errors import UserError

    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="Java was not found.*apt-get install"):
        check_java()


def test_an_old_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from clip_spark.errors import UserError

    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UserError, match="Java 11 was found"):
        check_java()


@pytest.mark.parametrize(
    ("program", "mode", "why"),
    [
        (b"\x7fELF of another machine", 0o755, "Exec format error"),
        (b"#!/bin/sh\n", 0o644, "Permission denied"),
        (b"#!/bin/sh\necho 'Error: no libjvm.so' >&2\nexit 6\n", 0o755, "Error: no libjvm.so"),
        (b"#!/bin/sh\nexit 6\n", 0o755, "exit status 6"),
    ],
)
def test_a_java_that_cannot_run_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: bytes, mode: int, why: str
) -> None:
    from clip_spark.errors import UserError

    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_bytes(program)
    java.chmod(mode)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UserError, match=rf"The Java at .* cannot run \({why}\)"):
        check_java()


def test_the_process_leaves_with_the_status(corpus: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "clip_spark.jobs.cli",
        "count-ngrams",
        "--corpus",
        f"{corpus}/absent",
        "--output",
        "o",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=corpus)
    assert done.returncode == 2 and done.stderr.startswith("clip-spark count-ngrams: ")
