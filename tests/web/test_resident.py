"""A running server answers `clip-spark search` as the command itself would, and nobody else."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clip_spark.index.change.remove import remove_records
from clip_spark.index.specs import RemoveSpec
from clip_spark.jobs import search
from clip_spark.search import resident, resident_server
from clip_spark.search.resident import ask_servers, meeting_folder
from clip_spark.search.resident_server import answering
from clip_spark.search.searcher import Searcher
from clip_spark.search.spec import SearchSpec
from tests.helpers_web import DEMO_TAR, make_indices, no_spark
from tests.web.served import start_server, wait_ready

NO_OTHERS = ("numpy", "pyarrow", "faiss", "torch", "pandas", "yaml")
"""What a command has no use for when a server answers."""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where servers of this test are found: sockets have short paths."""
    place = tempfile.mkdtemp(prefix="cs-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", place)
    found = meeting_folder()
    assert found is not None
    yield found
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_indices(tmp_path_factory.mktemp("resident"), 12)


@pytest.fixture
def served(uris: dict[str, str], folder: Path) -> Iterator[list[Searcher]]:
    searchers = [Searcher.open(uri) for uri in uris.values()]
    with answering(lambda: searchers):
        yield searchers
    assert list(folder.iterdir()) == []


def shown(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert search.main(options) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ("--text", "a face"), ("happy", "face", "-k", "3", "--json"), ("--text", "cat", "--offset", "2", "-k", "2"),
        ("--text", "face", "--where", "caption like '%face%'", "--json"), ("--text", "x", "--where", "width = 1"),
        ("--text", "face", "--columns", "caption,width", "--threshold", "0.3"), ("--text", "face", "--unique", "0.9"),
        ("--text", "日本 <b>", "--json"),
    ],
)  # fmt: skip
def test_the_answer_is_the_commands_own(
    served: list[Searcher], uris: dict[str, str], options: tuple[str, ...], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    here = shown(capsys, "--index", uris["images"], "--no-server", *options)
    monkeypatch.setattr(search, "search_here", never)
    assert shown(capsys, "--index", uris["images"], *options) == here


def test_pictures_and_records_are_queries_too(
    served: list[Searcher], uris: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    shutil.unpack_archive(DEMO_TAR, tmp_path)
    monkeypatch.chdir(tmp_path)  # the server is elsewhere
    record = served[0].search_text("face", 1)[0].record["record_id"]
    for options in (("--image", next(tmp_path.glob("*.png")).name), ("--like", record)):
        here = shown(capsys, "--index", uris["images"], "--no-server", "--json", *options)
        with monkeypatch.context() as patched:
            patched.setattr(search, "search_here", never)
            assert shown(capsys, "--index", uris["images"], "--json", *options) == here


def never(*_: object) -> Any:
    raise AssertionError("the server was to answer")


def test_what_a_server_cannot_answer_the_command_does_itself(
    served: list[Searcher], uris: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "hits.jsonl"
    assert search.main(["--index", uris["images"], "--text", "face", "--save", str(file)]) == 0 and file.exists()
    capsys.readouterr()
    assert search.main(["--index", uris["images"], "--text", "face", "--where", "colour = 1"]) == 2
    assert "no such column" in capsys.readouterr().err
    assert search.main(["--index", str(tmp_path / "nowhere"), "--text", "face"]) == 2


def test_a_takedown_counts_at_once_and_another_generation_is_not_answered(tmp_path: Path, folder: Path) -> None:
    uri = make_indices(tmp_path, 8)["words"]
    searcher = Searcher.open(uri)
    spec = SearchSpec(index=uri, text="face", k=20)
    with answering(lambda: [searcher]):
        first = ask_servers(spec)
        assert first is not None
        gone = searcher.search_text("face", 1)[0].record
        remove_records(no_spark, RemoveSpec(index=uri, ids=(gone["record_id"],)))
        then = ask_servers(spec)
        assert then is not None and len(then[0][0].rows) == len(first[0][0].rows) - 1
        assert gone["record_id"] not in then[0][1]
        remove_records(no_spark, RemoveSpec(index=uri, compact=True))  # a new generation; the server has the old one
        assert ask_servers(spec) is None


def test_files_of_dead_servers_go_and_others_are_not_believed(
    folder: Path, uris: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SearchSpec(index=uris["words"], text="face")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(folder / "1.sock"))
    dead.close()
    (folder / "notes.txt").write_text("mine")
    assert ask_servers(spec) is None
    assert [place.name for place in folder.iterdir()] == ["notes.txt"]
    monkeypatch.setattr(resident, "ANSWER_SECONDS", 0.3)
    for answer in (b"junk\n", b'{"answers": 3}\n', b"[]\n", b"", b'{"answers": [{"title": 1'):
        with speaking(folder / "2.sock", answer):
            assert ask_servers(spec) is None


class speaking:
    """Somebody who listens there and says always the same."""

    def __init__(self, place: Path, answer: bytes) -> None:
        self._place, self._answer = place, answer
        self.heard = b""

    def __enter__(self) -> speaking:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._place))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        peer, _ = self._listener.accept()
        with peer:
            self.heard = peer.recv(1 << 16)
            with contextlib.suppress(BrokenPipeError):
                peer.sendall(self._answer)

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()
        self._place.unlink(missing_ok=True)


def test_nothing_is_sent_to_another_user(folder: Path, uris: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "is_same_user", lambda peer: False)
    with speaking(folder / "2.sock", b"x\n") as other:
        assert ask_servers(SearchSpec(index=uris["words"], text="secret")) is None
    assert other.heard == b""


def test_a_server_answers_no_other_user(
    served: list[Searcher], uris: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = SearchSpec(index=uris["words"], text="face")
    assert ask_servers(spec) is not None
    monkeypatch.setattr(resident_server, "is_same_user", lambda peer: False)
    assert ask_servers(spec) is None


def test_a_folder_that_others_can_reach_is_no_meeting_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    place = tmp_path / f"clip-spark-{os.getuid()}"
    place.mkdir(mode=0o755)
    place.chmod(0o755)
    assert meeting_folder() is None
    place.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "elsewhere")
    assert meeting_folder() is None
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "not" / "there"))
    assert meeting_folder() is None
    with answering(list):
        pass  # a server starts without it


def test_serve_answers_the_shell_and_leaves_no_file(folder: Path, uris: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = start_server(uris, log)
    try:
        wait_ready(server, log)
        assert len(list(folder.iterdir())) == 1
        code = (
            "import sys; from clip_spark.jobs import search; search.search_here = None; "
            "status = search.main(sys.argv[1:]); "
            f"print(status, [name for name in {NO_OTHERS!r} if name in sys.modules])"
        )
        command = [sys.executable, "-c", code, "face", "--index", uris["images"], "-k", "2"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "rank" in done.stdout and done.stdout.splitlines()[-1] == "0 []", done.stdout + done.stderr
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    assert list(folder.iterdir()) == []
